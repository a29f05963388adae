//! A WebRTC-first SIP edge gateway with RTPEngine control.

pub mod admin;
pub mod call_out;
pub mod calls;
pub mod cluster;
pub mod config;
pub mod ctl;
pub mod demo;
pub mod dns;
pub mod engine;
pub mod explain;
pub mod guard;
pub mod keepalive;
pub mod ladder;
pub mod media;
pub mod node;
mod options;
pub mod record;
pub mod registrar;
pub mod telemetry;
pub mod transport;
pub mod upstream;
