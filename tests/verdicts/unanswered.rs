//! Calls that nobody answers.

use causeway_tests::agent::{Account, Device, Kind};

use crate::stage::{scene, verdict};

#[tokio::test]
async fn a_call_that_is_not_answered_says_why() {
    let scene = scene(&[]).await.unwrap();
    let alice = scene.device("alice", Kind::Tcp).await.unwrap();
    let bob = scene.device("bob", Kind::Udp).await.unwrap();
    let offer = alice.offer();

    for (fault, status, want) in [
        ("busy", "486 Busy Here", "busy"),
        ("declined", "603 Decline", "declined"),
        (
            "the phone has no codec in common",
            "488 Not Acceptable Here",
            "no_common_codec",
        ),
    ] {
        let mut call = alice.calls("bob", &offer).await.unwrap();
        let mut incoming = bob.called().await.unwrap();
        incoming.refuses(status).await.unwrap();
        call.outcome().await.unwrap();
        verdict(&scene, fault, &call.call_id, want).await.unwrap();
    }

    let mut call = alice.calls("bob", &offer).await.unwrap();
    bob.called().await.unwrap().rings();
    call.progress(180).await.unwrap();
    assert_eq!(call.outcome().await.unwrap().status(), Some(408));
    let record = verdict(&scene, "nobody answers", &call.call_id, "no_answer").await;
    assert!(record.unwrap()["setup"]["rang_ms"].is_u64());

    let mut call = alice.calls("bob", &offer).await.unwrap();
    let mut incoming = bob.called().await.unwrap();
    incoming.rings();
    call.progress(180).await.unwrap();
    call.cancels(PLAIN).await.unwrap();
    let cancel = incoming.expects("CANCEL").await.unwrap();
    incoming.answers(&cancel, "200 OK", PLAIN, "", "");
    incoming.refuses("487 Request Terminated").await.unwrap();
    call.outcome().await.unwrap();
    let fault = "the caller gives up";
    verdict(&scene, fault, &call.call_id, "caller_gave_up")
        .await
        .unwrap();

    // It is there, as far as anybody knows, and says nothing at all.
    let mut call = alice.calls("bob", &offer).await.unwrap();
    let _silent = bob.called().await.unwrap();
    assert_eq!(call.outcome().await.unwrap().status(), Some(408));
    let fault = "the called phone is silent";
    verdict(&scene, fault, &call.call_id, "device_unreachable")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_call_that_never_reaches_a_phone_says_why() {
    let scene = scene(&[]).await.unwrap();
    let alice = scene.device("alice", Kind::Tcp).await.unwrap();
    let offer = alice.offer();
    for (fault, whom, want) in [
        ("nobody is registered", "carol", "not_registered"),
        ("no such user", "nobody", "no_such_user"),
    ] {
        let mut call = alice.calls(whom, &offer).await.unwrap();
        call.outcome().await.unwrap();
        verdict(&scene, fault, &call.call_id, want).await.unwrap();
    }

    let wrong = Account {
        password: "wrong",
        ..scene.agent("desk1", Kind::Udp)
    };
    let desk = Device::open(&wrong, None).await.unwrap();
    let mut call = desk.calls("alice", &desk.offer()).await.unwrap();
    assert_eq!(call.outcome().await.unwrap().status(), Some(403));
    verdict(&scene, "wrong password", &call.call_id, "wrong_password")
        .await
        .unwrap();

    let page = scene.device("bob", Kind::Ws).await.unwrap();
    let mut call = alice.calls("bob", &offer).await.unwrap();
    page.called().await.unwrap().rings();
    call.progress(180).await.unwrap();
    page.cuts_the_connection();
    assert_eq!(call.outcome().await.unwrap().status(), Some(480));
    let fault = "the page is closed while it rings";
    verdict(&scene, fault, &call.call_id, "device_unreachable")
        .await
        .unwrap();
}

/// The pattern of what is only confirmed.
const PLAIN: &str = "X\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n";
