//! The ground in the namespace: the gateway, the server behind it, and the sender on the ports that the messages' Vias name.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use causeway_tests::gateway::Gateway;
use causeway_tests::prober::Prober;
use causeway_tests::raw;
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite;

use super::expected::{Message, Seen};

const SIP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5060);
const WSS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 443);
/// The sender's address; the messages have no `rport`, so answers come to the ports of their Vias.
const SENDER: &str = "127.0.0.2";
const VIA_PORTS: [u16; 5] = [5060, 5050, 6050, 19823, 5070];
/// The server that the gateway forwards to.
const SERVER: &str = "127.0.0.3";

const CONFIG: &str = r#"
[node]
data_dir = "@FOLDER@/data"
open_files = 1024
[listen.public]
udp = "127.0.0.1:5060"
tcp = "127.0.0.1:5060"
wss = "127.0.0.1:443"
certificate = { chain = "@FOLDER@/certificate.pem", key = "@FOLDER@/key.pem" }
[listen.core]
udp = "127.0.0.1:5080"
trust = ["127.0.0.3"]
[group.servers]
members = ["sip:127.0.0.3"]
[[route]]
from = "devices"
to = "group:servers"
[limits]
message_timeout = "1s"
first_timeout = "2s"
handshake_timeout = "2s"
"#;

/// How long an answer that must come may take, and a close.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long silence is listened to, at least.
const SILENCE: Duration = Duration::from_millis(150);

/// By which transport a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Udp,
    Tcp,
    Wss,
}

impl Way {
    /// A message's end must be found.
    pub(crate) fn is_stream(self) -> bool {
        self == Way::Tcp
    }
}

pub(crate) struct Ground {
    gateway: Gateway,
    client: TlsConnector,
    sockets: Vec<Arc<UdpSocket>>,
    answers: UnboundedReceiver<String>,
    forwarded: UnboundedReceiver<String>,
    prober: Prober,
    /// Transactions that the running gateway has seen.
    known: HashSet<String>,
}

impl Ground {
    pub(crate) async fn start() -> Self {
        let gateway = Gateway::start(CONFIG).await.unwrap();
        let client = raw::trusting(&gateway.certificate()).unwrap();
        let (heard, answers) = unbounded_channel();
        let mut sockets = Vec::new();
        for port in VIA_PORTS {
            let socket = Arc::new(UdpSocket::bind((SENDER, port)).await.unwrap());
            tokio::spawn(listen(socket.clone(), heard.clone()));
            sockets.push(socket);
        }
        let (heard, forwarded) = unbounded_channel();
        tokio::spawn(serve(UdpSocket::bind((SERVER, 5060)).await.unwrap(), heard));
        let prober = Prober::new("127.0.0.4:0", SIP).await.unwrap();
        Self {
            gateway,
            client,
            sockets,
            answers,
            forwarded,
            prober,
            known: HashSet::new(),
        }
    }

    /// A gateway that has seen no message which looks like this one.
    pub(crate) async fn fresh(&mut self, way: Way, message: &Message) {
        // Also from one transport to the next: a transaction's key has no transport (RFC 3261 §17.2.3).
        let _ = way;
        if !self.known.insert(message.transaction.clone()) {
            self.restart().await;
            self.known.insert(message.transaction.clone());
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.gateway.restart().await.unwrap();
        self.known.clear();
    }

    /// The gateway still serves.
    pub(crate) async fn answers_options(&mut self) -> Result<()> {
        let (status, ..) = self.prober.ask("OPTIONS").await?;
        anyhow::ensure!(status == 200, "OPTIONS was answered with {status}");
        Ok(())
    }

    /// Sends a message and waits for what comes of it.
    pub(crate) async fn send(&mut self, way: Way, message: &Message) -> Seen {
        while self.answers.try_recv().is_ok() || self.forwarded.try_recv().is_ok() {}
        let mut seen = match way {
            Way::Udp => self.send_datagram(message).await,
            Way::Tcp => self.send_stream(message).await,
            Way::Wss => self.send_frame(message).await,
        };
        // What the gateway sends on may reach the server later than the close reaches us.
        let until = Instant::now() + PATIENCE;
        let copies = message.edge(way.is_stream()).copies(seen.status());
        while seen.forwarded.len() < copies
            && let Ok(Some(copy)) = timeout_at(until, self.forwarded.recv()).await
        {
            seen.forwarded.push(copy);
        }
        while let Ok(copy) = self.forwarded.try_recv() {
            seen.forwarded.push(copy);
        }
        seen
    }

    async fn send_datagram(&mut self, message: &Message) -> Seen {
        self.sockets[0].send_to(&message.bytes, SIP).await.unwrap();
        let mut seen = Seen::default();
        let until = Instant::now()
            + if message.edge(false).wants_something() {
                PATIENCE
            } else {
                SILENCE
            };
        while !seen.is_over()
            && let Ok(Some(answer)) = timeout_at(until, self.answers.recv()).await
        {
            take(&answer, &mut seen);
        }
        seen
    }

    async fn send_stream(&self, message: &Message) -> Seen {
        let mut stream = raw::tcp(SENDER, SIP).await.unwrap();
        raw::write(&mut stream, &message.bytes).await;
        let edge = message.edge(true);
        let (mut all, mut seen) = (
            Vec::new(),
            Seen {
                closed: Some(false),
                ..Seen::default()
            },
        );
        let patience = if edge.wants_something() || edge.wants_close() {
            PATIENCE
        } else {
            SILENCE
        };
        let until = Instant::now() + patience;
        while let Ok(read) = timeout_at(until, stream.read_buf(&mut all)).await {
            seen.closed = Some(!matches!(read, Ok(1..)));
            seen.responses.clear();
            let text = String::from_utf8_lossy(&all);
            let whole = text
                .split_inclusive("\r\n\r\n")
                .filter(|one| one.ends_with("\r\n\r\n"));
            whole.for_each(|one| take(one, &mut seen));
            if seen.closed == Some(true) || seen.is_over() && !edge.wants_close() {
                break;
            }
        }
        seen
    }

    async fn send_frame(&self, message: &Message) -> Seen {
        let mut socket = raw::websocket(raw::tls(SENDER, WSS, &self.client).await.unwrap())
            .await
            .unwrap();
        let frame = match message.is_binary() {
            true => tungstenite::Message::binary(message.bytes.clone()),
            false => {
                tungstenite::Message::text(String::from_utf8_lossy(&message.bytes).into_owned())
            }
        };
        raw::send(&mut socket, frame).await;
        let mut seen = Seen::default();
        let until = Instant::now()
            + if message.edge(false).wants_something() {
                PATIENCE
            } else {
                SILENCE
            };
        while !seen.is_over()
            && let Ok(Some(Ok(frame))) = timeout_at(until, socket.next()).await
        {
            take(&String::from_utf8_lossy(&frame.into_data()), &mut seen);
        }
        seen
    }
}

fn take(answer: &str, seen: &mut Seen) {
    let status = answer
        .strip_prefix("SIP/2.0 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    if let Some(status) = status {
        seen.responses.push((status, answer.to_owned()));
    }
}

/// Latin-1, so that every octet is a sign: `expect.json` reads forwarded copies so.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

async fn listen(socket: Arc<UdpSocket>, heard: UnboundedSender<String>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = socket.recv(&mut buffer).await {
        let _ = heard.send(latin1(&buffer[..length]));
    }
}

/// The server refuses every request with 480: its answer repeats the header fields that RFC 3261 §8.2.6 names, as they are.
async fn serve(socket: UdpSocket, heard: UnboundedSender<String>) {
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let request = &buffer[..length];
        // The ACK to our refusal is the gateway's own, and may come when the next message is on its way.
        if let Some(answer) = refusal(request) {
            // The gateway's own question whether the server lives is nobody's message.
            if !latin1(request).contains("branch=z9hG4bKprobe-") {
                let _ = heard.send(latin1(request));
            }
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

fn refusal(request: &[u8]) -> Option<Vec<u8>> {
    let mut answer = b"SIP/2.0 480 Temporarily Unavailable\r\n".to_vec();
    let mut lines = request.split_inclusive(|&byte| byte == b'\n');
    if lines.next()?.starts_with(b"ACK ") {
        return None;
    }
    let mut repeated = false;
    for line in lines.take_while(|line| *line != b"\r\n") {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|&byte| byte == b':').next()?;
            let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
            repeated = matches!(
                name.as_str(),
                "via" | "v" | "from" | "f" | "to" | "t" | "call-id" | "i" | "cseq"
            );
        }
        if repeated {
            answer.extend(line);
        }
    }
    answer.extend(b"Content-Length: 0\r\n\r\n");
    Some(answer)
}
