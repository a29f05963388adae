//! TCP, and what holds for every stream.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::{DropReason, OutboxLimit, SendError};
use super::*;

async fn dial(node: &Node) -> TcpStream {
    soon(TcpStream::connect(node.address(0))).await.unwrap()
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    soon(stream.read_exact(&mut buffer)).await.unwrap();
    buffer
}

/// Reads to the end; a reset is an end too.
async fn ends(stream: &mut TcpStream) {
    let mut buffer = Vec::new();
    let _ = soon(stream.read_to_end(&mut buffer)).await;
}

#[tokio::test]
async fn messages_are_framed_however_the_bytes_are_cut_and_answered_in_order() {
    for bind in [V4, V6] {
        let mut node = Node::one(Transport::Tcp, bind);
        let mut stream = dial(&node).await;
        let sent: Vec<Vec<u8>> = [0, 5, 700, 60_000, 1]
            .iter()
            .map(|&size| message("OPTIONS", size))
            .collect();
        let all = sent.concat();
        stream.write_all(&all[..20]).await.unwrap();
        stream.flush().await.unwrap();
        assert!(matches!(node.event().await, Event::Opened(_)));
        stream.write_all(&all[20..]).await.unwrap();
        assert_eq!(read(&mut stream, all.len()).await, all);
        for one in &sent {
            let (flow, bytes) = node.message().await;
            assert_eq!(bytes, one);
            assert_eq!(flow.peer, stream.local_addr().unwrap());
            assert_eq!(
                node.transports.connection(flow.connection.unwrap()),
                Some(flow)
            );
        }
        drop(stream);
        assert_eq!(node.closed().await, CloseReason::ByPeer);
        assert_eq!(node.transports.counters().open(Transport::Tcp), 0);
        node.transports.shutdown().await;
    }
}

#[tokio::test]
async fn a_ticket_is_held_as_long_as_the_connection_lives_and_who_gets_none_is_closed() {
    let mut node = Node::one(Transport::Tcp, V4);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.66:0".parse().unwrap()).unwrap();
    let mut stranger = soon(socket.connect(node.address(0))).await.unwrap();
    ends(&mut stranger).await;
    let dropped = node.transports.counters().dropped(DropReason::NotAdmitted);
    assert_eq!(dropped, 1);
    let held = || Arc::strong_count(&node.tickets);
    let before = held();
    let streams = [dial(&node).await, dial(&node).await];
    soon(async {
        while held() != before + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(streams);
    for _ in 0..2 {
        assert_eq!(node.closed().await, CloseReason::ByPeer);
    }
    assert_eq!(Arc::strong_count(&node.tickets), before);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_double_crlf_is_answered_with_one() {
    let mut node = Node::one(Transport::Tcp, V4);
    let mut stream = dial(&node).await;
    stream.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut stream, 2).await, b"\r\n");
    assert!(matches!(node.event().await, Event::Opened(_)));
    assert!(matches!(node.event().await, Event::Keepalive(_)));
    node.transports.shutdown().await;
}

#[tokio::test]
async fn who_holds_a_connection_without_use_loses_it_and_the_reason_is_told() {
    let mut settings = settings();
    settings.timeouts.message = Duration::from_millis(150);
    settings.timeouts.first = Duration::from_millis(300);
    settings.timeouts.idle = Duration::from_millis(500);
    let mut node = Node::start(vec![listener(0, Transport::Tcp, V4)], settings);
    for (bytes, want) in [
        (&b""[..], CloseReason::Silent),
        (
            b"OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: ",
            CloseReason::HalfMessage,
        ),
        (
            b"OPTIONS sip:a@example.com SIP/2.0\r\nContent-Length: 9\r\n\r\nhalf",
            CloseReason::HalfMessage,
        ),
        (&message("QUIET", 0), CloseReason::Idle),
    ] {
        let mut stream = dial(&node).await;
        stream.write_all(bytes).await.unwrap();
        assert_eq!(node.closed().await, want);
        ends(&mut stream).await;
    }
    node.transports.shutdown().await;
}

#[tokio::test]
async fn garbage_and_messages_above_the_limit_close_the_connection_before_they_fill_memory() {
    let mut node = Node::one(Transport::Tcp, V4);
    let mut endless = b"OPTIONS sip:a@example.com SIP/2.0\r\n".to_vec();
    endless.extend(b"X: y\r\n".repeat(20_000));
    for (why, bytes) in [
        (
            "3 MB told",
            b"OPTIONS sip:a@example.com SIP/2.0\r\nContent-Length: 3000000\r\n\r\n".to_vec(),
        ),
        ("3 MB sent", message("OPTIONS", 3_000_000)),
        ("headers without an end", endless),
        ("garbage", (0..255u8).cycle().take(100_000).collect()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        (
            "a length that is none",
            b"OPTIONS sip:a SIP/2.0\r\nContent-Length: x\r\n\r\n".to_vec(),
        ),
    ] {
        let mut stream = dial(&node).await;
        // The connection may be gone before all is written.
        let _ = stream.write_all(&bytes).await;
        let reason = node.closed().await;
        let refused = matches!(reason, CloseReason::TooLarge | CloseReason::Malformed(_));
        assert!(refused, "{why}: {reason:?}");
        ends(&mut stream).await;
    }
    assert_eq!(node.transports.counters().received(Transport::Tcp), 0);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_reset_and_another_is_served_meanwhile() {
    let mut one = listener(0, Transport::Tcp, V4);
    one.outbox = OutboxLimit {
        messages: 1000,
        bytes: 200_000,
    };
    let mut node = Node::start(
        vec![one],
        Settings {
            workers: 1,
            ..settings()
        },
    );
    let mut deaf = dial(&node).await;
    deaf.write_all(&message("QUIET", 0)).await.unwrap();
    let (flow, _) = node.message().await;
    let mut other = dial(&node).await;
    let long = Bytes::from(message("NOTIFY", 60_000));
    let short = message("OPTIONS", 10);
    let mut sent = 0;
    let error = loop {
        // All fits into the kernel's buffers until those are full.
        other.write_all(&short).await.unwrap();
        assert_eq!(read(&mut other, short.len()).await, short);
        match node.transports.send(&flow, long.clone()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "it is never full");
    };
    assert_eq!(error, SendError::Full);
    assert_eq!(node.closed().await, CloseReason::OutboxFull);
    assert_eq!(node.transports.send(&flow, long), Err(SendError::Gone));
    assert_eq!(
        node.transports.counters().dropped(DropReason::OutboxFull),
        1
    );
    assert_eq!(node.transports.counters().open(Transport::Tcp), 1);
    // Reset, not closed: the kernel keeps nothing for it.
    let mut buffer = Vec::new();
    let read = soon(deaf.read_to_end(&mut buffer)).await;
    assert!(read.is_err() || buffer.len() < sent * 60_000);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_burst_that_fits_the_outbox_arrives_whole() {
    let mut node = Node::one(Transport::Tcp, V4);
    let mut stream = dial(&node).await;
    stream.write_all(&message("QUIET", 0)).await.unwrap();
    let (flow, _) = node.message().await;
    let sent: Vec<Vec<u8>> = (0..500).map(|n| message("NOTIFY", n)).collect();
    for one in &sent {
        assert_eq!(node.transports.send(&flow, one.clone().into()), Ok(()));
    }
    node.transports.close(&flow);
    let mut got = Vec::new();
    soon(stream.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, sent.concat());
    assert_eq!(node.closed().await, CloseReason::Asked);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused_and_a_place_is_free_again_afterwards() {
    let mut settings = settings();
    settings.connections = 2;
    let mut node = Node::start(vec![listener(0, Transport::Tcp, V4)], settings);
    let first = dial(&node).await;
    let _second = dial(&node).await;
    for _ in 0..2 {
        assert!(matches!(node.event().await, Event::Opened(_)));
    }
    assert_eq!(node.transports.stats().free_connections, 0);
    ends(&mut dial(&node).await).await;
    assert_eq!(
        node.transports
            .counters()
            .dropped(DropReason::TooManyConnections),
        1
    );
    drop(first);
    node.closed().await;
    let mut third = dial(&node).await;
    let sent = message("OPTIONS", 0);
    third.write_all(&sent).await.unwrap();
    assert_eq!(read(&mut third, sent.len()).await, sent);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_handlers_panic_over_a_message_leaves_its_connection_alive() {
    let node = Node::one(Transport::Tcp, V4);
    let mut stream = dial(&node).await;
    let sent = message("OPTIONS", 1);
    stream
        .write_all(&[message("PANIC", 3), sent.clone()].concat())
        .await
        .unwrap();
    assert_eq!(read(&mut stream, sent.len()).await, sent);
    assert_eq!(
        node.transports
            .counters()
            .dropped(DropReason::HandlerPanicked),
        1
    );
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_sends_what_waits_closes_every_connection_and_frees_the_port() {
    let mut node = Node::one(Transport::Tcp, V4);
    let address = node.address(0);
    let mut stream = dial(&node).await;
    stream.write_all(&message("QUIET", 0)).await.unwrap();
    let (flow, _) = node.message().await;
    let last = message("NOTIFY", 1000);
    node.transports.send(&flow, last.clone().into()).unwrap();
    soon(node.transports.shutdown()).await;
    let mut got = Vec::new();
    soon(stream.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, last);
    assert_eq!(node.closed().await, CloseReason::Stopping);
    let again = Node::start(
        vec![listener(0, Transport::Tcp, &address.to_string())],
        settings(),
    );
    again.transports.shutdown().await;
}
