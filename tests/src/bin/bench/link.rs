//! How the load reaches what is measured: one UDP socket, or many TCP or WSS connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What the load speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Udp,
    Tcp,
    Wss,
}

impl Kind {
    /// As it stands in a Via.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Udp => "UDP",
            Kind::Tcp => "TCP",
            Kind::Wss => "WSS",
        }
    }
}

type WebSocket = WebSocketStream<TlsStream<TcpStream>>;

enum Writer {
    Tcp(OwnedWriteHalf),
    Wss(SplitSink<WebSocket, Message>),
}

/// Open connections; messages in from all of them in one queue.
pub(crate) struct Links {
    kind: Kind,
    udp: Option<UdpSocket>,
    writers: Vec<Writer>,
    inbox: mpsc::UnboundedReceiver<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Links {
    /// Opens `count` connections to `server` (one socket for UDP); a WSS server's certificate is the one in `trust`.
    pub(crate) async fn open(
        kind: Kind,
        server: SocketAddr,
        count: usize,
        trust: Option<&Path>,
    ) -> Result<Self> {
        let (sender, inbox) = mpsc::unbounded_channel();
        let mut links = Links {
            kind,
            udp: None,
            writers: Vec::new(),
            inbox,
            buffer: vec![0; 65536],
        };
        match kind {
            Kind::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await?;
                socket.connect(server).await?;
                links.udp = Some(socket);
            }
            Kind::Tcp => {
                for _ in 0..count {
                    let stream = TcpStream::connect(server).await?;
                    stream.set_nodelay(true)?;
                    let (read, write) = stream.into_split();
                    tokio::spawn(read_stream(read, sender.clone()));
                    links.writers.push(Writer::Tcp(write));
                }
            }
            Kind::Wss => {
                let connector = connector(trust.context("no certificate to trust")?)?;
                for _ in 0..count {
                    let (sink, stream) = websocket(&connector, server).await?.split();
                    tokio::spawn(read_websocket(stream, sender.clone()));
                    links.writers.push(Writer::Wss(sink));
                }
            }
        }
        Ok(links)
    }

    /// How many connections there are.
    pub(crate) fn count(&self) -> usize {
        self.writers.len().max(1)
    }

    /// How they are named in a Via.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Sends one message on one of them.
    pub(crate) async fn send(&mut self, link: usize, message: &[u8]) -> Result<()> {
        if let Some(udp) = &self.udp {
            udp.send(message).await?;
            return Ok(());
        }
        let count = self.count();
        match self.writers.get_mut(link % count) {
            Some(Writer::Tcp(write)) => write.write_all(message).await?,
            Some(Writer::Wss(sink)) => {
                let text = String::from_utf8(message.to_vec())?;
                sink.send(Message::Text(text.into())).await?;
            }
            None => bail!("no connection is open"),
        }
        Ok(())
    }

    /// A message that is there already.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        match &self.udp {
            Some(udp) => udp
                .try_recv(&mut self.buffer)
                .ok()
                .map(|length| self.buffer[..length].to_vec()),
            None => self.inbox.try_recv().ok(),
        }
    }

    /// The next message, waited for.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>> {
        match &self.udp {
            Some(udp) => {
                let length = udp.recv(&mut self.buffer).await?;
                Ok(self.buffer[..length].to_vec())
            }
            None => self
                .inbox
                .recv()
                .await
                .context("every connection is closed"),
        }
    }
}

/// Answers end with their headers here: the stub sends no bodies.
async fn read_stream(mut read: OwnedReadHalf, inbox: mpsc::UnboundedSender<Vec<u8>>) {
    let mut waiting = Vec::with_capacity(4096);
    while let Ok(length) = read.read_buf(&mut waiting).await {
        if length == 0 {
            return;
        }
        while let Some(end) = waiting.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = waiting.split_off(end + 4);
            if inbox.send(std::mem::replace(&mut waiting, rest)).is_err() {
                return;
            }
        }
    }
}

async fn read_websocket(mut stream: SplitStream<WebSocket>, inbox: mpsc::UnboundedSender<Vec<u8>>) {
    while let Some(Ok(message)) = stream.next().await {
        let bytes: Bytes = match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
            _ => continue,
        };
        if inbox.send(bytes.to_vec()).is_err() {
            return;
        }
    }
}

fn connector(trust: &Path) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trust).context("no certificate to trust")?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    )))
}

async fn websocket(connector: &TlsConnector, server: SocketAddr) -> Result<WebSocket> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(server.ip()).to_owned();
    let secure = connector
        .connect(name, stream)
        .await
        .context("TLS with what is measured")?;
    let mut request = format!("wss://{server}/").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "sip".parse()?);
    headers.insert("Origin", "https://bench.test".parse()?);
    // Small buffers: thousands of these stand beside what is measured.
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0);
    Ok(client_async_with_config(request, secure, Some(config))
        .await
        .context("the WebSocket handshake")?
        .0)
}
