//! The kit of the end-to-end tests: real peers, started, driven and measured.
//!
//! Everything listens on loopback, on ports drawn free ([`ports`]), and ends when its value is dropped ([`process`]).
//! Start reading at [`gateway`], [`baresip`], [`linphone`] and [`browser`]; `peers/` shows each of them in use.

pub mod agent;
pub mod baresip;
pub mod browser;
pub mod certificate;
pub mod core;
pub mod data;
pub mod draw;
pub mod gateway;
pub mod http;
pub mod kamailio;
pub mod linphone;
pub mod nameserver;
pub mod namespace;
pub mod party;
pub mod ports;
pub mod prober;
pub mod process;
pub mod raw;
pub mod relay;
pub mod rtpengine;
pub mod scene;
pub mod sipp;
pub mod sound;
pub mod turn;
pub mod usage;
pub mod wait;
pub mod wav;
