//! Tests with real RTPEngine processes.
#![allow(clippy::unwrap_used)]

mod commands;
mod engine;
mod pool;
mod words;
