//! The kit's own tests: every peer is started and does what the other tests rely on.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it unwraps: the panic prints the logs of its peers"
)]

mod baresip;
mod gateway;
mod kamailio;
mod others;
