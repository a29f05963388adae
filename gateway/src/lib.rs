//! A WebRTC-first SIP edge gateway with RTPEngine control.
