//! Faults, one after the other, and the verdict that must come out: with a real RTPEngine, and phones of the test that do what a
//! real one does only when it is broken. The table is printed.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it unwraps: the panic prints the logs of its peers"
)]

mod answered;
mod audio;
mod core;
mod records;
mod stage;
mod unanswered;
