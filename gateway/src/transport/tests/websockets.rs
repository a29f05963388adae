//! WebSockets (RFC 7118) and the HTTP side of their port.

use futures_util::{SinkExt, StreamExt};
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::super::{Http, OutboxLimit, SendError};
use super::*;

async fn upgrade(node: &Node, protocol: &'static str) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = "ws://edge.example.test/ws?token=abc"
        .into_client_request()
        .unwrap();
    let protocol = hyper::header::HeaderValue::from_static(protocol);
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let stream = TcpStream::connect(node.address(0)).await.unwrap();
    soon(client_async(request, stream))
        .await
        .map(|(stream, _)| stream)
}

async fn page(node: &Node) -> WebSocketStream<TcpStream> {
    upgrade(node, "sip").await.unwrap()
}

async fn next(page: &mut WebSocketStream<TcpStream>) -> Message {
    soon(page.next()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> Message {
    Message::text(String::from_utf8(bytes.to_vec()).unwrap())
}

fn frame(code: Data, bytes: &[u8], last: bool) -> Message {
    Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(code), last))
}

/// A masked frame as bytes.
fn wire(bytes: &[u8]) -> Vec<u8> {
    let mut header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    header.mask = Some([0; 4]);
    let mut out = Vec::new();
    header.format(bytes.len() as u64, &mut out).unwrap();
    out.extend(bytes);
    out
}

#[tokio::test]
async fn text_binary_and_fragments_are_messages_and_go_back_as_text_where_they_can() {
    for bind in [V4, V6] {
        let mut node = Node::one(Transport::Ws, bind);
        let mut page = page(&node).await;
        assert!(matches!(node.event().await, Event::Opened(_)));
        let sent = message("OPTIONS", 300);
        page.send(text(&sent)).await.unwrap();
        assert_eq!(next(&mut page).await, text(&sent));
        page.send(Message::binary(sent.clone())).await.unwrap();
        assert_eq!(next(&mut page).await, text(&sent));
        let latin = [message("OPTIONS", 0), vec![0xe4]].concat();
        page.send(Message::binary(latin.clone())).await.unwrap();
        assert_eq!(next(&mut page).await, Message::binary(latin.clone()));
        for (code, bytes, last) in [
            (Data::Text, &sent[..100], false),
            (Data::Continue, &sent[100..200], false),
            (Data::Continue, &sent[200..], true),
        ] {
            page.send(frame(code, bytes, last)).await.unwrap();
            if !last {
                let between = Bytes::from_static(b"between");
                page.send(Message::Ping(between.clone())).await.unwrap();
                assert_eq!(next(&mut page).await, Message::Pong(between));
            }
        }
        assert_eq!(next(&mut page).await, text(&sent));
        for want in [&sent, &sent, &latin, &sent] {
            let (flow, bytes) = node.message().await;
            assert_eq!((flow.transport, &bytes[..]), (Transport::Ws, &want[..]));
        }
        page.close(None).await.unwrap();
        assert_eq!(node.closed().await, CloseReason::ByPeer);
        node.transports.shutdown().await;
    }
}

#[tokio::test]
async fn keepalives_of_sip_js_are_answered_and_pongs_are_seen() {
    let mut node = Node::one(Transport::Ws, V4);
    let mut page = page(&node).await;
    page.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(next(&mut page).await, Message::text("\r\n"));
    page.send(Message::text("\r\n")).await.unwrap();
    page.send(Message::Pong(Bytes::new())).await.unwrap();
    assert!(matches!(node.event().await, Event::Opened(_)));
    for _ in 0..3 {
        assert!(matches!(node.event().await, Event::Keepalive(_)));
    }
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_silent_page_is_pinged_and_one_that_does_not_answer_is_gone() {
    let mut settings = settings();
    settings.timeouts.ping = Duration::from_millis(100);
    settings.timeouts.pong = Duration::from_millis(100);
    let mut node = Node::start(vec![listener(0, Transport::Ws, V4)], settings);
    let mut page = page(&node).await;
    for _ in 0..3 {
        assert!(matches!(next(&mut page).await, Message::Ping(_)));
        // The library's answer waits for this.
        soon(page.flush()).await.unwrap();
        while !matches!(node.event().await, Event::Keepalive(_)) {}
    }
    assert_eq!(node.closed().await, CloseReason::NoPong);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn without_the_subprotocol_sip_there_is_no_websocket() {
    let node = Node::one(Transport::Ws, V4);
    match upgrade(&node, "xmpp").await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 400),
        other => panic!("{other:?}"),
    }
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_message_above_the_limit_and_garbage_end_a_websocket_with_a_word() {
    let mut node = Node::one(Transport::Ws, V4);
    let mut too_long = page(&node).await;
    // Told, not sent: what is not read in a closing socket would turn the farewell into a reset.
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        mask: Some([0; 4]),
        ..FrameHeader::default()
    };
    let mut told = Vec::new();
    header.format(3_000_000, &mut told).unwrap();
    too_long.get_mut().write_all(&told).await.unwrap();
    match next(&mut too_long).await {
        Message::Close(Some(close)) => assert_eq!(close.code, CloseCode::Size),
        other => panic!("{other:?}"),
    }
    assert_eq!(node.closed().await, CloseReason::TooLarge);
    let mut sending = page(&node).await;
    let _ = sending.send(text(&message("OPTIONS", 3_000_000))).await;
    assert_eq!(node.closed().await, CloseReason::TooLarge);
    let mut garbage = page(&node).await;
    garbage.get_mut().write_all(&[0x7f; 300]).await.unwrap();
    assert!(matches!(node.closed().await, CloseReason::Malformed(_)));
    let mut unmasked = page(&node).await;
    unmasked
        .get_mut()
        .write_all(&[0x81, 1, b'x'])
        .await
        .unwrap();
    assert!(matches!(node.closed().await, CloseReason::Malformed(_)));
    node.transports.shutdown().await;
}

#[tokio::test]
async fn half_a_frame_held_open_ends_a_websocket() {
    let mut settings = settings();
    settings.timeouts.message = Duration::from_millis(100);
    let mut node = Node::start(vec![listener(0, Transport::Ws, V4)], settings);
    let mut page = page(&node).await;
    page.get_mut()
        .write_all(&wire(b"OPTIONS")[..8])
        .await
        .unwrap();
    assert_eq!(node.closed().await, CloseReason::HalfMessage);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn buffers_given_back_after_a_long_message_lose_nothing_of_what_follows() {
    let node = Node::one(Transport::Ws, V4);
    let mut page = page(&node).await;
    let long = message("OPTIONS", 60_000);
    let short = message("OPTIONS", 700);
    let sent = [&long, &short, &long, &short, &short];
    let bytes: Vec<u8> = sent.iter().flat_map(|message| wire(message)).collect();
    let [first, second] = [wire(&long).len(), wire(&short).len()];
    // Each cut is a moment in which the connection looks idle: in a header, in a payload, between messages.
    for cuts in [
        vec![first],
        vec![first + 1],
        vec![first + 3, first + 500],
        vec![100, first + second + 5],
        vec![first + second + 60_000, 2 * first + second + 2],
    ] {
        let (mut from, mut answered, mut end) = (0, 0, 0);
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            page.get_mut().write_all(&bytes[from..cut]).await.unwrap();
            from = cut;
            // The answers to all whole messages show that the node has read what came with them.
            while answered < sent.len() && end + wire(sent[answered]).len() <= cut {
                end += wire(sent[answered]).len();
                assert_eq!(next(&mut page).await, text(sent[answered]), "{cuts:?}");
                answered += 1;
            }
        }
        assert_eq!(answered, sent.len());
    }
    node.transports.shutdown().await;
}

#[tokio::test]
async fn what_a_client_sends_right_behind_the_upgrade_is_not_lost() {
    let mut node = Node::one(Transport::Ws, V4);
    let mut stream = TcpStream::connect(node.address(0)).await.unwrap();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: /HBgxG4QKNjrA+sXGh+y+A==\r\n\
        Sec-WebSocket-Protocol: sip\r\n\r\n";
    let sent = [message("QUIET", 5), message("QUIET", 3000)];
    let frames = sent.iter().flat_map(|message| wire(message));
    let all: Vec<u8> = upgrade.bytes().chain(frames).collect();
    stream.write_all(&all).await.unwrap();
    for want in sent {
        assert_eq!(node.message().await.1, want);
    }
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_page_that_never_reads_is_reset_and_another_is_served_meanwhile() {
    let mut one = listener(0, Transport::Ws, V4);
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
    let mut deaf = page(&node).await;
    deaf.send(text(&message("QUIET", 0))).await.unwrap();
    let (flow, _) = node.message().await;
    let mut other = page(&node).await;
    let long = Bytes::from(message("NOTIFY", 60_000));
    let short = text(&message("OPTIONS", 10));
    let error = loop {
        other.send(short.clone()).await.unwrap();
        assert_eq!(next(&mut other).await, short);
        if let Err(error) = node.transports.send(&flow, long.clone()) {
            break error;
        }
    };
    assert_eq!(error, SendError::Full);
    assert_eq!(node.closed().await, CloseReason::OutboxFull);
    drop(deaf);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_tells_pages_that_the_node_goes_away() {
    let mut node = Node::one(Transport::Ws, V4);
    let mut page = page(&node).await;
    node.event().await;
    let transports = node.transports.clone();
    let shutdown = tokio::spawn(async move { transports.shutdown().await });
    match next(&mut page).await {
        Message::Close(Some(close)) => assert_eq!(close.code, CloseCode::Away),
        other => panic!("{other:?}"),
    }
    soon(shutdown).await.unwrap();
    assert_eq!(node.closed().await, CloseReason::Stopping);
}

#[tokio::test]
async fn the_port_serves_pages_too_and_half_a_request_is_not_held_for_ever() {
    struct Site;
    impl Http for Site {
        fn answer(&self, request: &Request<()>) -> Response<Bytes> {
            Response::new(Bytes::from(request.uri().path().to_owned()))
        }
    }
    let mut settings = settings();
    settings.timeouts.http = Duration::from_millis(200);
    let mut with_site = listener(0, Transport::Ws, V4);
    with_site.http = Some(Arc::new(Site));
    let bare = listener(1, Transport::Ws, V4);
    let node = Node::start(vec![with_site, bare], settings);
    for (port, request, status, end) in [
        (
            0,
            "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "200",
            "\r\n\r\n/healthz",
        ),
        (
            0,
            "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "200",
            "\r\n\r\n",
        ),
        (
            0,
            "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "405",
            "here",
        ),
        (
            1,
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "426",
            "WebSocket",
        ),
        (0, "GET / HTTP/1.1\r\nHost: held open", "408", ""),
    ] {
        let mut stream = TcpStream::connect(node.address(port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = String::new();
        soon(stream.read_to_string(&mut got)).await.unwrap();
        if status == "408" {
            // hyper closes without a word or with a 408; closed it must be.
            assert!(got.is_empty() || got.contains(status), "{got}");
            continue;
        }
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {got}"
        );
        assert!(got.ends_with(end), "{request}: {got}");
    }
    node.transports.shutdown().await;
}
