//! What goes wrong in real telephony, with real peers: each ends with the right response, in words, and nothing stays.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it unwraps: the panic prints the logs of its peers"
)]

mod refused;

use std::time::Duration;

/// The times of RFC 3261, a fifth as long: what a vanished peer leaves behind is gone after 64·T1, and no test waits for 32 s.
const FAST: &str = "[timers]\nt1 = \"100ms\"\nt4 = \"1s\"\ntimer_c = \"10s\"\n";
/// 64·T1 and what lingers after it, with a machine that is busy.
const GONE: Duration = Duration::from_secs(15);
