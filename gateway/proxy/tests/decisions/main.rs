//! What the proxy decides, a table for each rule. Each row names the section that it comes from: RFC 3261 and its like, or
//! the design page on signalling (SIGNALLING).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod call_outs;
mod captured;
mod cluster;
mod dialogs;
mod draft;
mod edges;
mod flows;
mod forwards;
mod groups;
mod hiding;
mod hostile;
mod kit;
mod lookups;
mod moved;
mod mtu;
mod paths;
mod peers;
mod policies;
mod privacy;
mod redirects;
mod refused;
mod registers;
mod replay;
mod responses;

mod routes;
mod single_homed;
mod state;
mod trace;
mod verdicts;
