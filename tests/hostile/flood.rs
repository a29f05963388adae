//! More datagrams from one source than anybody needs.

use std::net::{SocketAddr, UdpSocket};

use causeway_tests::raw::noise;

use crate::siege::Siege;

const MIB: u64 = 1 << 20;
const OWN: &str = "127.0.0.66";
/// At full speed, some seconds' worth.
const DATAGRAMS: u64 = 300_000;

/// Sends `each(n)` from an ordinary thread, as fast as it goes.
async fn flood(to: SocketAddr, each: impl Fn(u64) -> Vec<u8> + Send + 'static) {
    let sending = move || {
        let socket = UdpSocket::bind((OWN, 0)).unwrap();
        for n in 0..DATAGRAMS {
            // The kernel may have no room: that is what a flood is for.
            let _ = socket.send_to(&each(n), to);
        }
    };
    tokio::task::spawn_blocking(sending).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_noise_is_refused_and_others_are_answered() {
    let siege = Siege::begin("a flood of noise", "").await;
    flood(siege.sip, |n| noise(n, 200)).await;
    siege.reaches("refused/too_fast", 1000).await;
    siege
        .logged(&["refused", "limits.messages_per_second", OWN])
        .await;
    let unreadable = siege.figure("unreadable").await;
    assert!(
        (1..DATAGRAMS / 10).contains(&unreadable),
        "{unreadable} of {DATAGRAMS} were looked at"
    );
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_good_requests_is_refused_and_others_are_answered() {
    let siege = Siege::begin("a flood of REGISTERs", "").await;
    let request = |n: u64| {
        format!(
            "REGISTER sip:hostile.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.66:9;branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:prober@hostile.test>;tag={n}\r\nTo: <sip:prober@hostile.test>\r\nCall-ID: flood-{n}\r\n\
             CSeq: 1 REGISTER\r\nContact: <sip:prober@127.0.0.66>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    flood(siege.sip, request).await;
    siege.reaches("refused/too_fast", 1000).await;
    siege
        .logged(&["refused", "limits.messages_per_second", OWN])
        .await;
    assert_eq!(
        siege.figure("transactions").await,
        0,
        "a challenge needs none"
    );
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_invitations_without_a_limit_ends_and_leaves_nothing() {
    // Without the guard every request is decided, and half of all other sources share the flooded socket: they wait. But
    // memory is bounded, and afterwards all is well.
    let limits = "[limits]\nmessages_per_second = 0\n";
    let mut siege = Siege::begin_with("after a flood without a limit", limits).await;
    siege.rest().await;
    let request = |n: u64| {
        format!(
            "INVITE sip:prober@hostile.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.66:9;branch=z9hG4bK{n}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:mallory@elsewhere.test>;tag={n}\r\nTo: <sip:prober@hostile.test>\r\n\
             Call-ID: flood-{n}\r\nCSeq: 1 INVITE\r\nContact: <sip:mallory@127.0.0.66>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    flood(siege.sip, request).await;
    siege.reaches("received/UDP", 1000).await;
    siege.end(64 * MIB).await;
}
