//! Connections that we open.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::ConnectError;
use super::*;

const FROM: ListenerId = ListenerId(0);

#[tokio::test]
async fn callers_at_once_share_one_connection_and_later_ones_find_it() {
    let mut node = Node::one(Transport::Tcp, V4);
    let core = TcpListener::bind(V4).await.unwrap();
    let to = core.local_addr().unwrap();
    let transports = node.transports.clone();
    let connect = || tokio::spawn(transports.connect(FROM, Transport::Tcp, to, None));
    let callers: Vec<_> = (0..20).map(|_| connect()).collect();
    let mut flows = Vec::new();
    for caller in callers {
        flows.push(soon(caller).await.unwrap().unwrap());
    }
    assert!(flows.iter().all(|flow| *flow == flows[0]));
    assert_eq!(
        node.transports.connected(Transport::Tcp, to),
        Some(flows[0])
    );
    assert_eq!(node.transports.counters().opened(Transport::Tcp), 1);
    assert_eq!((flows[0].listener, flows[0].peer), (FROM, to));

    let (mut far, _) = soon(core.accept()).await.unwrap();
    let request = message("QUIET", 3);
    node.transports
        .send(&flows[0], request.clone().into())
        .unwrap();
    let mut got = vec![0; request.len()];
    soon(far.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, request);
    far.write_all(&request).await.unwrap();
    assert_eq!(node.message().await, (flows[0], request.into()));

    drop(far);
    assert_eq!(node.closed().await, CloseReason::ByPeer);
    assert_eq!(node.transports.connected(Transport::Tcp, to), None);
    let again = soon(connect()).await.unwrap().unwrap();
    assert_ne!(again.connection, flows[0].connection);
    node.transports.shutdown().await;
    assert_eq!(soon(connect()).await.unwrap(), Err(ConnectError::Stopping));
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let mut settings = settings();
    settings.timeouts.connect = Duration::from_millis(200);
    let node = Node::start(vec![listener(0, Transport::Tcp, V4)], settings);
    let closed = TcpListener::bind(V4).await.unwrap().local_addr().unwrap();
    let refused = ConnectError::Io(std::io::ErrorKind::ConnectionRefused);
    let v6 = "[::1]:5060".parse().unwrap();
    for (why, from, transport, to, want) in [
        ("nobody listens", FROM, Transport::Tcp, closed, refused),
        (
            "UDP",
            FROM,
            Transport::Udp,
            closed,
            ConnectError::Unsupported,
        ),
        (
            "a browser",
            FROM,
            Transport::Wss,
            closed,
            ConnectError::Unsupported,
        ),
        (
            "no such listener",
            ListenerId(9),
            Transport::Tcp,
            v6,
            ConnectError::Unsupported,
        ),
    ] {
        let got = soon(node.transports.connect(from, transport, to, None)).await;
        assert_eq!(got, Err(want), "{why}");
    }
    // Whose queue is full does not answer at all.
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&V4.parse::<SocketAddr>().unwrap().into())
        .unwrap();
    deaf.listen(0).unwrap();
    let to = deaf.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    let late = loop {
        let first = std::net::TcpStream::connect_timeout(&to, Duration::from_millis(100));
        match first {
            Ok(stream) => held.push(stream),
            Err(_) => break soon(node.transports.connect(FROM, Transport::Tcp, to, None)).await,
        }
    };
    assert_eq!(late, Err(ConnectError::Timeout));
    assert_eq!(node.transports.counters().connect_failures(), 2);
    node.transports.shutdown().await;
}
