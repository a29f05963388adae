//! Calls that nobody answers.

use causeway_tests::agent::Kind;

use crate::stage::{device, scene, verdict};

#[tokio::test]
async fn a_call_that_is_not_answered_says_why() {
    let scene = scene().await.unwrap();
    let alice = device(&scene, "alice", Kind::Tcp).await.unwrap();
    let bob = device(&scene, "bob", Kind::Udp).await.unwrap();

    for (fault, status, want) in [
        ("busy", "486 Busy Here", "busy"),
        ("declined", "603 Decline", "declined"),
        (
            "no common codec",
            "488 Not Acceptable Here",
            "no_common_codec",
        ),
    ] {
        let mut call = alice.calls("bob", &alice.offer()).await.unwrap();
        let mut incoming = bob.called().await.unwrap();
        incoming.refuses(status).await.unwrap();
        call.outcome().await.unwrap();
        verdict(&scene, fault, &call.call_id, want).await.unwrap();
    }

    let mut call = alice.calls("bob", &alice.offer()).await.unwrap();
    let incoming = bob.called().await.unwrap();
    incoming.rings();
    call.progress(180).await.unwrap();
    let outcome = call.outcome().await.unwrap();
    assert_eq!(outcome.status(), Some(408));
    verdict(&scene, "nobody answers", &call.call_id, "no_answer")
        .await
        .unwrap();
}
