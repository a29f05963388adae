//! Calls that are answered, and whose signalling goes wrong.

use std::time::{Duration, Instant};

use causeway_tests::agent::{Call, Device, Kind};
use causeway_tests::wait;

use crate::stage::{scene, verdict};

/// A call that rings.
async fn rings(alice: &Device, bob: &Device, offer: &str) -> (Call, Call) {
    let mut call = alice.calls("bob", offer).await.unwrap();
    let incoming = bob.called().await.unwrap();
    incoming.rings();
    call.progress(180).await.unwrap();
    (call, incoming)
}

/// Hangs up.
async fn ends(mut call: Call, mut incoming: Call) -> String {
    let (one, other) = tokio::join!(call.hangs_up(), incoming.takes("BYE", ""));
    one.and(other.map(drop)).unwrap();
    call.call_id
}

#[tokio::test]
async fn an_answer_that_is_no_good_says_why() {
    let scene = scene(&[]).await.unwrap();
    let alice = scene.device("alice", Kind::Tcp).await.unwrap();
    let bob = scene.device("bob", Kind::Udp).await.unwrap();
    let (offer, answer) = (alice.offer(), bob.answer());

    for (fault, body, want) in [
        (
            "answered without SDP",
            String::new(),
            "answered_without_sdp",
        ),
        (
            "answered with port 0",
            answer.replace("m=audio 49170", "m=audio 0"),
            "no_common_codec",
        ),
    ] {
        let (mut call, mut incoming) = rings(&alice, &bob, &offer).await;
        let (one, other) = tokio::join!(call.is_answered(""), incoming.accepts(&body));
        one.and(other).unwrap();
        let call_id = ends(call, incoming).await;
        verdict(&scene, fault, &call_id, want).await.unwrap();
    }

    // RFC 3261 §9.1: the CANCEL comes, and the phone has been picked up.
    let (mut call, mut incoming) = rings(&alice, &bob, &offer).await;
    call.cancels(PLAIN).await.unwrap();
    incoming.expects("CANCEL").await.unwrap();
    let (one, other) = tokio::join!(call.is_answered(""), incoming.accepts(&answer));
    one.and(other).unwrap();
    let call_id = ends(call, incoming).await;
    let fault = "answered when the caller had given up";
    verdict(&scene, fault, &call_id, "answered_too_late")
        .await
        .unwrap();

    // Nobody sends: it is held from its beginning, so that only the timer is judged.
    let held = |sdp: &str| sdp.replace("a=sendrecv", "a=inactive");
    let (mut call, mut incoming) = rings(&alice, &bob, &held(&offer)).await;
    let invite = incoming.invite.clone();
    let timer = "Session-Expires: 2;refresher=uac\r\n";
    incoming.answers(&invite, "200 OK", ANSWER, timer, &held(&answer));
    let (one, other) = tokio::join!(call.is_answered(""), incoming.expects("ACK"));
    one.and(other.map(|_| call.invite.clone())).unwrap();
    let began = Instant::now();
    wait::until(Duration::from_secs(5), || {
        began.elapsed() > Duration::from_secs(2)
    })
    .await;
    let call_id = ends(call, incoming).await;
    let fault = "nobody refreshes the session timer";
    verdict(&scene, fault, &call_id, "session_expired")
        .await
        .unwrap();
}

/// How a phone answers.
const ANSWER: &str = "X\r\nVia: x\r\nRecord-Route: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\n\
                      Supported: timer\r\nContent-Type: application/sdp\r\nContent-Length: 0\r\n\r\n";
/// How it gives up.
const PLAIN: &str = "X\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n";
