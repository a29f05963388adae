//! A WebRTC-first SIP edge gateway with RTPEngine control.

pub mod config;

pub mod transport;
