//! What goes wrong in real telephony, with real peers: each ends with the right response, in words, and nothing stays.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it unwraps: the panic prints the logs of its peers"
)]

mod killed;
mod media;
mod network;
mod refused;
mod soak;
mod stage;
mod vanished;

use causeway_tests::browser::Page;

/// The times of RFC 3261, a fifth as long: what a vanished peer leaves behind is gone after 64·T1, and no test waits for
/// 32 s. A phone that rings is given up after 10 s.
const FAST: &str = "[timers]\nt1 = \"100ms\"\nt4 = \"1s\"\ntimer_c = \"10s\"\n";

/// Waits until the page's call has ended: the SIP status, the machine word, and what a person reads.
async fn ended(page: &Page) -> (String, String, String) {
    let state = page.state(&["ended"]).await.unwrap();
    let field = |name: &str| state[name].as_str().unwrap_or_default().to_owned();
    (
        field("status"),
        field("reason"),
        page.text("call-status").await.unwrap(),
    )
}
