//! An RTPEngine that dies, is started anew, or is taken out of service, with calls up (MEDIA.md §6).

use std::time::Duration;

use causeway_tests::wait;

use crate::stage::{Stage, Talk};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_call_whose_rtpengine_died_has_audio_again_after_its_next_offer() {
    let mut stage = Stage::set([&[], &[]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    let mut talk = Talk::between(&alice, &bob).await;
    let first = stage.holder(&talk.caller).await;
    let other = 1 - first;

    stage.engines[first].process.kill();
    stage.says(first, "state", "dead").await;
    talk.changes("sendrecv", "sendrecv").await;
    assert_eq!(stage.engines[other].calls().await.unwrap().len(), 1);
    talk.speaks();
    talk.flows().await;
    // What ends the call finds it where it is now.
    talk.ends().await;
    stage.engines[other].empty_within(SOON).await.unwrap();
}

#[tokio::test]
async fn an_rtpengine_that_was_started_anew_is_another_one_to_the_calls_that_it_had() {
    let mut stage = Stage::set([&[], &[]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    let mut talk = Talk::between(&alice, &bob).await;
    let first = stage.holder(&talk.caller).await;

    // It has run for long enough to be told from the next one: its uptime is all that it says of itself.
    let is_known = || stage.relays[first].seen("statistics") >= 2;
    assert!(wait::until(2 * SOON, is_known).await);

    stage.engines[first].restart().await.unwrap();
    stage.says(first, "restarts", 1).await;
    // It knows nothing of the call; a fresh offer makes it anew, there or at the other one, and the answer goes there too.
    talk.changes("sendrecv", "sendrecv").await;
    stage.holder(&talk.caller).await;
    talk.speaks();
    talk.flows().await;
    talk.changes("sendrecv", "sendrecv").await;
    talk.flows().await;
    talk.ends().await;
    for engine in &stage.engines {
        engine.empty_within(SOON).await.unwrap();
    }
}

#[tokio::test]
async fn an_rtpengine_that_is_drained_keeps_its_calls_and_gets_no_new_one() {
    let stage = Stage::set([&[], &[]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    let mut talk = Talk::between(&alice, &bob).await;
    let drained = stage.holder(&talk.caller).await;
    let name = stage.relays[drained].address.to_string();

    let said = stage.ctl(&["drain", "media", &name]).await;
    assert_eq!(said, format!("{name} of media gets nothing new\n"));
    let table = stage.ctl(&["status"]).await;
    let line = table.lines().find(|line| line.starts_with(&name)).unwrap();
    assert!(
        line.contains("alive") && line.contains("drained"),
        "{table}"
    );
    for _ in 0..6 {
        let mut new = Talk::between(&alice, &bob).await;
        assert_eq!(stage.holder(&new.caller).await, 1 - drained);
        new.ends().await;
    }
    // Also at its next offer.
    talk.changes("sendrecv", "sendrecv").await;
    assert_eq!(stage.holder(&talk.caller).await, drained);
    talk.flows().await;
    talk.ends().await;

    stage.ctl(&["undrain", "media", &name]).await;
    assert_eq!(stage.nodes().await[drained]["standing"], "serves");
    for engine in &stage.engines {
        engine.empty_within(SOON).await.unwrap();
    }
}
