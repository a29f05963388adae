//! RTPEngines that fail, and calls whose media is dead: signalling goes on, and what nobody ends is ended.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it unwraps: the panic prints the logs of its peers"
)]

mod dead;
mod nodes;
mod silent;
mod stage;
mod voice;
