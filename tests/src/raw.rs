//! Bytes as a hostile or broken peer sends them, over every stream transport: nothing here knows SIP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// Nothing takes longer, unless a test says so.
const SOON: Duration = Duration::from_secs(20);

/// A stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What trusts a certificate that a test made.
pub fn trusting(certificate: &Path) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects from `own`, which tells sources apart.
pub async fn tcp(own: &str, to: SocketAddr) -> Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{own}:0").parse()?)?;
    let stream = timeout(SOON, socket.connect(to))
        .await
        .context("no connection")??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same under TLS, for the name `localhost`.
pub async fn tls(own: &str, to: SocketAddr, connector: &TlsConnector) -> Result<Box<dyn Stream>> {
    let stream = tcp(own, to).await?;
    let name = ServerName::try_from("localhost")?;
    let stream = timeout(SOON, connector.connect(name, stream))
        .await
        .context("no TLS handshake")??;
    Ok(Box::new(stream))
}

/// A WebSocket of the subprotocol `sip` on a stream.
pub async fn websocket<S: Stream>(stream: S) -> Result<WebSocketStream<S>> {
    let mut request = "ws://localhost/".into_client_request()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", HeaderValue::from_static("sip"));
    let config = WebSocketConfig::default()
        .max_frame_size(None)
        .max_message_size(None);
    let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    Ok(timeout(SOON, upgrade).await.context("no upgrade")??.0)
}

/// Reads until the peer has closed or reset; everything that came. An error if it takes longer than `limit`.
pub async fn read_to_end(
    stream: &mut (impl AsyncRead + Unpin),
    limit: Duration,
) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let reading = async {
        // A reset is an end, too.
        while let Ok(1..) = stream.read_buf(&mut all).await {}
    };
    if timeout(limit, reading).await.is_err() {
        bail!("the connection is still open after {limit:?}");
    }
    Ok(all)
}

/// Writes as much as the peer takes: he may close in the middle.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let _ = timeout(SOON, stream.write_all(bytes)).await;
    let _ = timeout(SOON, stream.flush()).await;
}

/// Sends one message of a WebSocket; the peer may be gone.
pub async fn send<S: Stream>(socket: &mut WebSocketStream<S>, message: Message) {
    let _ = timeout(SOON, socket.send(message)).await;
}

/// Reads a WebSocket until it ends; the messages. An error if it takes longer than `limit`.
pub async fn frames_to_end<S: Stream>(
    socket: &mut WebSocketStream<S>,
    limit: Duration,
) -> Result<Vec<Message>> {
    let mut all = Vec::new();
    let reading = async {
        while let Some(Ok(message)) = socket.next().await {
            all.push(message);
        }
        Ok::<(), tungstenite::Error>(())
    };
    if timeout(limit, reading).await.is_err() {
        bail!("the WebSocket is still open after {limit:?}");
    }
    Ok(all)
}

/// Bytes that look like nothing: a generator of its own (xorshift), so that a failure comes again.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
