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

#[tokio::test]
async fn a_call_that_moves_to_and_fro_is_ended_wherever_it_was() {
    let stage = Stage::set([&[], &[]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    let mut talk = Talk::between(&alice, &bob).await;
    let first = stage.holder(&talk.caller).await;
    let other = 1 - first;

    // It takes the offer, and its answer comes too late: the other one gets the call, and keeps it.
    for from in [first, other] {
        let late = Duration::from_secs(3);
        stage.relays[from].delays("offer", late);
        talk.changes("sendrecv", "sendrecv").await;
        stage.relays[from].passes();
        talk.speaks();
        talk.flows().await;
        talk.changes("sendrecv", "sendrecv").await;
        talk.flows().await;
        assert_eq!(
            stage.relays[from].seen("answer"),
            1 + usize::from(from == other),
            "what came after it went where the call is"
        );
    }
    talk.ends().await;
    for engine in &stage.engines {
        engine.empty_within(SOON).await.unwrap();
    }
}

#[tokio::test]
async fn an_offer_that_two_rtpengines_took_leaves_nothing_at_the_one_whose_answer_was_late() {
    let stage = Stage::set([&[], &[]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    stage.relays[0].delays("offer", Duration::from_secs(3));
    let mut calls = Vec::new();
    // Some of them begin there.
    for _ in 0..6 {
        calls.push(Talk::between(&alice, &bob).await);
    }
    assert!(stage.relays[0].seen("offer") > 0);
    stage.engines[0].empty_within(SOON).await.unwrap();
    assert_eq!(stage.engines[1].calls().await.unwrap().len(), calls.len());
    for call in &mut calls {
        call.flows().await;
        call.ends().await;
    }
    stage.engines[1].empty_within(SOON).await.unwrap();
}

#[tokio::test]
async fn a_refused_offer_that_went_to_another_rtpengine_leaves_the_call_where_it_was() {
    let stage = Stage::set([&[], &[]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    let mut talk = Talk::between(&alice, &bob).await;
    let first = stage.holder(&talk.caller).await;
    let other = 1 - first;

    stage.relays[first].delays("offer", Duration::from_secs(3));
    let offer = talk.voices[0].sdp("sendonly");
    let (said, refused) = tokio::join!(talk.caller.says("INVITE", "", &offer), async {
        let invite = talk.called.expects("INVITE").await?;
        stage.relays[first].passes();
        talk.called.replies(&invite, "488 Not Acceptable Here", "");
        talk.called.expects("ACK").await
    });
    refused.unwrap();
    assert_eq!(said.unwrap().status(), Some(488));
    talk.flows().await;
    talk.changes("sendrecv", "sendrecv").await;
    talk.flows().await;
    assert_eq!(stage.relays[other].seen("answer"), 0);
    talk.ends().await;
    for engine in &stage.engines {
        engine.empty_within(SOON).await.unwrap();
    }
}
