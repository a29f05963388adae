//! The torture messages of RFC 4475 and RFC 5118, sent to a running gateway over UDP, TCP and WSS.
//!
//! What each must lead to stands in `tests/data/torture/expect.json`. They name addresses of others, so all of it runs in
//! a network namespace that has a loopback only: the outer test makes one and starts this program in it again.

mod expected;
mod ground;

use std::time::Duration;

use causeway_tests::namespace;
use expected::Expectations;
use ground::{Ground, Way};

/// How long the whole may take.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test]
async fn every_torture_message_is_answered_dropped_or_forwarded_as_its_rfc_says() {
    let _turn = crate::siege::TURN.lock().await;
    namespace::play("torture::inside", "", "torture: ", LIMIT)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "runs in a network namespace, started by the test above"]
async fn inside() {
    namespace::must_be_inside();
    let expectations = Expectations::read();
    let mut faults = Vec::new();
    let mut ground = Ground::start().await;
    for way in [Way::Udp, Way::Tcp, Way::Wss] {
        let mut counts = std::collections::BTreeMap::new();
        for message in &expectations.messages {
            ground.fresh(way, message).await;
            let seen = ground.send(way, message).await;
            let verdict = message.edge(way.is_stream()).judge(&seen);
            *counts.entry(seen.summary()).or_insert(0) += 1;
            if let Err(why) = verdict {
                faults.push(format!("{} over {way:?}: {why}; {seen:?}", message.name));
            }
            if let Err(why) = ground.answers_options().await {
                faults.push(format!("{} over {way:?}: afterwards {why:#}", message.name));
                ground.restart().await;
            }
        }
        println!(
            "torture: {way:?}: {} messages: {counts:?}",
            expectations.messages.len()
        );
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
