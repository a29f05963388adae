//! Connections that bring what no connection should, or take nothing.

use std::time::Duration;

use causeway_tests::raw::{self, noise};
use tokio_tungstenite::tungstenite::Message;

use crate::siege::Siege;

const MIB: u64 = 1 << 20;
/// The besieger's address.
const OWN: &str = "127.0.0.66";

fn options(extra: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.66;branch=z9hG4bKhostile\r\nMax-Forwards: 70\r\n\
         From: <sip:mallory@elsewhere.test>;tag=m\r\nTo: <sip:127.0.0.1>\r\nCall-ID: hostile\r\nCSeq: 1 OPTIONS\r\n\
         {extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_three_megabytes_closes_its_connection() {
    let siege = Siege::begin("3 MB messages", "").await;
    let long = options("", &"x".repeat(3_000_000));
    let endless = format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nSubject: {}",
        "x".repeat(3_000_000)
    );
    for message in [&long, &endless] {
        let mut tcp = raw::tcp(OWN, siege.sip).await.unwrap();
        raw::write(&mut tcp, message.as_bytes()).await;
        raw::read_to_end(&mut tcp, Duration::from_secs(10))
            .await
            .unwrap();
        let mut tls = raw::tls(OWN, siege.tls, &siege.client).await.unwrap();
        raw::write(&mut tls, message.as_bytes()).await;
        raw::read_to_end(&mut tls, Duration::from_secs(10))
            .await
            .unwrap();
        let mut ws = raw::websocket(raw::tcp(OWN, siege.ws).await.unwrap())
            .await
            .unwrap();
        raw::send(&mut ws, Message::text(message.as_str())).await;
        raw::frames_to_end(&mut ws, Duration::from_secs(10))
            .await
            .unwrap();
    }
    for transport in ["Tcp", "Tls", "Ws"] {
        siege
            .logged(&[
                "connection closed",
                "TooLarge",
                &format!("transport: {transport},"),
            ])
            .await;
    }
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_dropped_or_closes_its_connection_on_every_transport() {
    let siege = Siege::begin(
        "garbage on every transport",
        "handshake_timeout = \"1s\"\nmessage_timeout = \"1s\"\nfirst_timeout = \"1s\"",
    )
    .await;
    let udp = tokio::net::UdpSocket::bind((OWN, 0)).await.unwrap();
    let long = Duration::from_secs(20);
    for seed in 0..20 {
        let bytes = noise(seed, 300 + 97 * seed as usize);
        udp.send_to(&bytes, siege.sip).await.unwrap();
        for to in [siege.sip, siege.tls, siege.ws, siege.wss] {
            let mut stream = raw::tcp(OWN, to).await.unwrap();
            raw::write(&mut stream, &bytes).await;
            raw::read_to_end(&mut stream, long).await.unwrap();
        }
        // Good TLS, and garbage in it.
        for to in [siege.tls, siege.wss] {
            let mut stream = raw::tls(OWN, to, &siege.client).await.unwrap();
            raw::write(&mut stream, &bytes).await;
            raw::read_to_end(&mut stream, long).await.unwrap();
        }
        // A good upgrade, and garbage for frames.
        let mut ws = raw::websocket(raw::tcp(OWN, siege.ws).await.unwrap())
            .await
            .unwrap();
        raw::write(ws.get_mut(), &bytes).await;
        raw::read_to_end(ws.get_mut(), long).await.unwrap();
    }
    // Good frames with garbage in them: RFC 7118 gives no reason to close.
    let tls = raw::tls(OWN, siege.wss, &siege.client).await.unwrap();
    let mut wss = raw::websocket(tls).await.unwrap();
    for seed in 0..20 {
        raw::send(&mut wss, Message::binary(noise(seed, 500))).await;
    }
    siege.reaches("unreadable", 40).await;
    siege.logged(&["connection closed", "Malformed"]).await;
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_header_is_not_held_for_ever() {
    let siege = Siege::begin(
        "half a header held open",
        "message_timeout = \"1s\"\nhandshake_timeout = \"1s\"",
    )
    .await;
    let half = b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.66";
    let mut held: Vec<Box<dyn raw::Stream>> = Vec::new();
    for _ in 0..50 {
        held.push(Box::new(raw::tcp(OWN, siege.sip).await.unwrap()));
        held.push(raw::tls(OWN, siege.tls, &siege.client).await.unwrap());
        // An upgrade that is never finished.
        held.push(Box::new(raw::tcp(OWN, siege.ws).await.unwrap()));
        held.push(raw::tls(OWN, siege.wss, &siege.client).await.unwrap());
    }
    for (n, stream) in held.iter_mut().enumerate() {
        let bytes: &[u8] = if n % 4 < 2 {
            half
        } else {
            b"GET / HTTP/1.1\r\nHost: 127"
        };
        raw::write(stream, bytes).await;
    }
    for stream in &mut held {
        raw::read_to_end(stream, Duration::from_secs(20))
            .await
            .unwrap();
    }
    siege.logged(&["connection closed", "HalfMessage"]).await;
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_is_closed_and_holds_nobody_up() {
    let limits = "messages_per_second = 0\nmessage_size = \"16KiB\"\noutbox = \"64KiB\"";
    let siege = Siege::begin("a peer that never reads", limits).await;
    // An answer repeats what stands in Via, From, To and Call-ID: 10 KB for each question.
    let long = "x".repeat(10_000);
    let message = options("", "").replace("<sip:mallory@", &format!("\"{long}\" <sip:mallory@"));
    let mut tcp = raw::tcp(OWN, siege.sip).await.unwrap();
    let mut ws = raw::websocket(raw::tcp(OWN, siege.ws).await.unwrap())
        .await
        .unwrap();
    let mut wss = raw::websocket(raw::tls(OWN, siege.wss, &siege.client).await.unwrap())
        .await
        .unwrap();
    // Until the gateway resets the connection; what the kernel holds for both sides is some megabytes.
    let asking = async {
        use futures_util::SinkExt as _;
        use tokio::io::AsyncWriteExt as _;
        while tcp.write_all(message.as_bytes()).await.is_ok() {}
        while ws.send(Message::text(message.as_str())).await.is_ok() {}
        while wss.send(Message::text(message.as_str())).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .expect("a peer that never reads is not closed");
    siege.reaches("dropped/outbox_full", 3).await;
    for transport in ["Tcp", "Ws", "Wss"] {
        siege
            .logged(&[
                "connection closed",
                "OutboxFull",
                &format!("transport: {transport},"),
            ])
            .await;
    }
    siege.end(32 * MIB).await;
}
