//! Calls in which one side says nothing any more, or is not there: said, and ended with a BYE to both sides if so configured.

use std::time::Duration;

use causeway_tests::agent::Kind;
use causeway_tests::scene::Scene;

use crate::stage::{Talk, call};
use crate::voice::Voice;
use causeway_tests::gateway::FAST;

impl Talk {
    /// Both get a BYE for this reason, above all that the other side has said, and take it.
    async fn is_ended(&mut self, reason: &str) {
        let (to_caller, to_called) =
            tokio::join!(self.caller.takes("BYE", ""), self.called.takes("BYE", ""));
        let (to_caller, to_called) = (to_caller.unwrap(), to_called.unwrap());
        for bye in [&to_caller, &to_called] {
            assert!(
                bye.header("Reason").unwrap_or_default().contains(reason),
                "{}",
                bye.text
            );
        }
        assert!(
            to_called.cseq().0 > self.caller.number,
            "{}",
            to_called.text
        );
        assert!(to_caller.cseq().0 > 0, "{}", to_caller.text);
    }
}

#[tokio::test]
async fn a_side_that_falls_silent_ends_the_call_for_both_and_a_held_one_goes_on() {
    let scene = Scene::start_with(
        &[],
        &format!("silent_after = \"5s\"\nsilent = \"end\"\n{FAST}"),
    )
    .await
    .unwrap();
    let (alice, bob) = (
        scene.device("alice", Kind::Udp).await.unwrap(),
        scene.device("bob", Kind::Udp).await.unwrap(),
    );
    let (carol, desk) = (
        scene.device("carol", Kind::Tcp).await.unwrap(),
        scene.device("desk1", Kind::Udp).await.unwrap(),
    );
    let mut dead = Talk::between(&alice, &bob).await;
    let mut held = Talk::between(&carol, &desk).await;

    // The hold of a phone that plays no music: neither sends anything.
    held.changes("sendonly", "recvonly").await;
    held.voices.iter().for_each(Voice::falls_silent);

    // The other call's caller says nothing more, and goes on hearing.
    dead.voices[0].falls_silent();
    dead.is_ended("No Media").await;
    assert_eq!(scene.figure("ended_silent").await, 1);

    // The one on hold was silent for longer, and goes on.
    assert_eq!(
        (held.caller.requests("BYE"), held.called.requests("BYE")),
        (0, 0)
    );
    held.changes("sendrecv", "sendrecv").await;
    held.speaks();
    held.flows().await;

    // The one who was called falls silent.
    held.voices[1].falls_silent();
    held.is_ended("No Media").await;
    scene.nothing_stays(Duration::from_secs(15)).await.unwrap();
    assert_eq!(scene.figure("ended_silent").await, 2);
}

#[tokio::test]
async fn a_browser_that_crashed_ends_its_call_and_one_that_reloads_does_not() {
    let times = format!("{FAST}device_wait = \"1s\"\ndevice_gone = \"10s\"\n");
    let scene = Scene::start_with(&[], &times).await.unwrap();
    let (alice, bob) = (
        scene.device("alice", Kind::Ws).await.unwrap(),
        scene.device("bob", Kind::Udp).await.unwrap(),
    );
    let (mut carol, desk) = (
        scene.device("carol", Kind::Tcp).await.unwrap(),
        scene.device("desk1", Kind::Udp).await.unwrap(),
    );
    let (_, mut lost, _) = call(&alice, &bob, &[alice.offer(), bob.answer()]).await;
    let (mut caller, mut called, _) = call(&desk, &carol, &[desk.offer(), carol.answer()]).await;

    alice.cuts_the_connection();
    carol.cuts_the_connection();
    carol.reconnects().await.unwrap();
    assert_eq!(carol.registers().await.unwrap().status, 200);
    let bye = lost.takes("BYE", "").await.unwrap();
    assert!(
        bye.header("Reason")
            .unwrap_or_default()
            .contains("Device Gone"),
        "{}",
        bye.text
    );
    assert_eq!(scene.figure("ended_gone").await, 1);

    // Who came back has its call, and hangs up itself.
    assert_eq!((caller.requests("BYE"), called.requests("BYE")), (0, 0));
    let (hung_up, taken) = tokio::join!(caller.hangs_up(), called.takes("BYE", ""));
    hung_up.unwrap();
    taken.unwrap();
    scene.nothing_stays(Duration::from_secs(15)).await.unwrap();
}
