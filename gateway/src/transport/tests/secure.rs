//! TLS and WSS.

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::super::{ConnectError, tls};
use super::*;

/// A server's settings for `names`, and a client's that trusts them.
fn trust(names: &[&[&str]]) -> (Arc<rustls::ServerConfig>, Arc<ClientConfig>) {
    let folder = tempfile::tempdir().unwrap();
    let mut certificates = Vec::new();
    let mut roots = Vec::new();
    for (n, names) in names.iter().enumerate() {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let made = tls::self_made(&names).unwrap();
        let path = folder.path().join(format!("{n}.pem"));
        std::fs::write(&path, &made.chain_pem).unwrap();
        certificates.push(made.certificate);
        roots.push(path);
    }
    (
        tls::server_config(certificates).unwrap(),
        tls::client_config(&roots).unwrap(),
    )
}

fn secured(id: u8, transport: Transport, config: &Arc<rustls::ServerConfig>) -> Listener {
    Listener {
        tls: Some(config.clone()),
        ..listener(id, transport, V4)
    }
}

async fn dial(
    to: SocketAddr,
    client: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(to).await?;
    soon(TlsConnector::from(client.clone()).connect(name, stream)).await
}

#[tokio::test]
async fn sip_over_tls_is_served_with_the_certificate_that_the_peer_asked_for() {
    let names: &[&[&str]] = &[&["127.0.0.1", "first.test"], &["*.second.test"]];
    let (server, client) = trust(names);
    let mut node = Node::start(vec![secured(0, Transport::Tls, &server)], settings());
    // An address is no server name, so nothing is asked for, and the first certificate is the default.
    for name in ["first.test", "phone.second.test", "127.0.0.1"] {
        let mut stream = dial(node.address(0), &client, name).await.unwrap();
        for size in [10, 60_000] {
            let sent = message("OPTIONS", size);
            stream.write_all(&sent).await.unwrap();
            let mut got = vec![0; sent.len()];
            soon(stream.read_exact(&mut got)).await.unwrap();
            assert_eq!(got, sent);
            assert_eq!(node.message().await.0.transport, Transport::Tls);
        }
        stream.shutdown().await.unwrap();
        assert_eq!(node.closed().await, CloseReason::ByPeer);
    }
    assert!(dial(node.address(0), &client, "other.test").await.is_err());
    node.transports.shutdown().await;
}

#[tokio::test]
async fn sip_over_secure_websockets_is_served() {
    let (server, client) = trust(&[&["edge.example.test"]]);
    let mut node = Node::start(vec![secured(0, Transport::Wss, &server)], settings());
    let mut client = (*client).clone();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = dial(node.address(0), &Arc::new(client), "edge.example.test")
        .await
        .unwrap();
    let mut request = "wss://edge.example.test/".into_client_request().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let (mut page, response) = soon(client_async(request, stream)).await.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
    for size in [10, 60_000, 10] {
        let sent = Message::text(String::from_utf8(message("OPTIONS", size)).unwrap());
        page.send(sent.clone()).await.unwrap();
        assert_eq!(soon(page.next()).await.unwrap().unwrap(), sent);
        assert_eq!(node.message().await.0.transport, Transport::Wss);
    }
    node.transports.shutdown().await;
}

#[tokio::test]
async fn a_connection_to_the_core_is_opened_only_to_whom_the_certificate_names() {
    let (server, client) = trust(&[&["core.test", "127.0.0.1"]]);
    let mut settings = settings();
    settings.client_tls = Some(client);
    let mut core = Node::start(vec![secured(0, Transport::Tls, &server)], settings.clone());
    let mut edge = Node::start(vec![secured(3, Transport::Tls, &server)], settings);
    let connect = |name| {
        soon(
            edge.transports
                .connect(ListenerId(3), Transport::Tls, core.address(0), name),
        )
    };
    let wrong = connect(Some("other.test")).await;
    assert!(matches!(wrong, Err(ConnectError::Tls(_))), "{wrong:?}");
    let by_address = connect(None).await.unwrap();
    let by_name = connect(Some("core.test")).await.unwrap();
    assert_ne!(by_address, by_name);
    assert_eq!(connect(Some("core.test")).await, Ok(by_name));
    let request = message("OPTIONS", 100);
    edge.transports
        .send(&by_name, request.clone().into())
        .unwrap();
    assert_eq!(core.message().await.1, request);
    // It comes back from the echo, and is echoed again.
    assert_eq!(edge.message().await, (by_name, request.into()));
    edge.transports.shutdown().await;
    core.transports.shutdown().await;
}

#[tokio::test]
async fn a_handshake_that_is_none_or_never_ends_is_counted_and_given_up() {
    let (server, _) = trust(&[&["edge.example.test"]]);
    let mut settings = settings();
    settings.timeouts.handshake = Duration::from_millis(150);
    let node = Node::start(vec![secured(0, Transport::Tls, &server)], settings);
    for (n, bytes) in [&b""[..], b"\x16\x03", b"GET / HTTP/1.1\r\n\r\n"]
        .iter()
        .enumerate()
    {
        let mut stream = TcpStream::connect(node.address(0)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut got = Vec::new();
        let _ = soon(stream.read_to_end(&mut got)).await;
        soon(async {
            while node.transports.counters().handshake_failures() != n as u64 + 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(node.transports.counters().opened(Transport::Tls), 0);
    node.transports.shutdown().await;
}

/// Prints how long a datagram takes there and back, alone and beside 200 handshakes; asserts only that all is served.
#[tokio::test]
async fn two_hundred_handshakes_at_once_hold_up_no_datagram() {
    const CROWD: usize = 200;
    let (server, client) = trust(&[&["edge.example.test"]]);
    let listeners = vec![
        secured(0, Transport::Tls, &server),
        listener(1, Transport::Udp, V4),
    ];
    let node = Node::start(listeners, settings());
    let echo = node.address(1);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let measure = move |rounds: usize| {
        let socket = std::net::UdpSocket::bind(V4).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let request = message("OPTIONS", 400);
        let mut times = Vec::new();
        let mut buffer = [0; 1000];
        while times.len() < rounds {
            let start = Instant::now();
            socket.send_to(&request, echo).unwrap();
            socket.recv(&mut buffer).unwrap();
            times.push(start.elapsed());
            if stopped.try_recv().is_ok() {
                break;
            }
        }
        times.sort();
        (
            times.len(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
        )
    };
    let (quiet, measure) = {
        let thread = std::thread::spawn(move || (measure(2000), measure));
        thread.join().unwrap()
    };
    let busy = std::thread::spawn(move || measure(usize::MAX));
    let begin = Instant::now();
    let to = node.address(0);
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut stream = dial(to, &client, "edge.example.test").await?;
                let sent = message("OPTIONS", 0);
                stream.write_all(&sent).await?;
                soon(stream.read_exact(&mut vec![0; sent.len()])).await
            })
        })
        .collect();
    for one in crowd {
        soon(one).await.unwrap().unwrap();
    }
    let took = begin.elapsed();
    stop.send(()).unwrap();
    let busy = tokio::task::spawn_blocking(|| busy.join().unwrap())
        .await
        .unwrap();
    println!(
        "UDP alone: {} datagrams, p50 {:?}, p99 {:?}",
        quiet.0, quiet.1, quiet.2
    );
    println!(
        "beside {CROWD} handshakes in {took:?}: {}, p50 {:?}, p99 {:?}",
        busy.0, busy.1, busy.2
    );
    assert_eq!(node.transports.counters().handshakes(), CROWD as u64);
    node.transports.shutdown().await;
}
