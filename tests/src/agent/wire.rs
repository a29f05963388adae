//! What a message goes out by: a datagram socket, or one connection of any kind. A task owns it; when the sending end of its
//! channel is dropped, the connection closes.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;

use super::message::Message;
use crate::raw::{self, Stream};

/// How a device reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
    /// A WebSocket without TLS.
    Ws,
    /// A WebSocket in TLS.
    Wss,
}

impl Kind {
    /// All five.
    pub const ALL: [Kind; 5] = [Kind::Udp, Kind::Tcp, Kind::Tls, Kind::Ws, Kind::Wss];

    /// As Via names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Udp => "UDP",
            Kind::Tcp => "TCP",
            Kind::Tls => "TLS",
            Kind::Ws => "WS",
            Kind::Wss => "WSS",
        }
    }
}

/// Both ends of a channel to a task that holds the wire.
pub(super) struct Wire {
    pub(super) out: UnboundedSender<(String, SocketAddr)>,
    pub(super) incoming: UnboundedReceiver<Message>,
    pub(super) own: SocketAddr,
}

/// The address of this machine that a server sees.
pub(super) fn own_towards(server: SocketAddr) -> Result<IpAddr> {
    let asking = std::net::UdpSocket::bind("0.0.0.0:0")?;
    asking.connect(server)?;
    Ok(asking.local_addr()?.ip())
}

/// A datagram socket.
pub(super) async fn datagrams(own: SocketAddr) -> Result<Wire> {
    let socket = UdpSocket::bind(own).await?;
    let own = socket.local_addr()?;
    let (out, mut outgoing) = mpsc::unbounded_channel::<(String, SocketAddr)>();
    let (into, incoming) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        loop {
            tokio::select! {
                next = outgoing.recv() => {
                    let Some((text, to)) = next else { return };
                    // Who is gone answers by ICMP, and the next call says so; the test sees it by what does not come.
                    let _ = socket.send_to(text.as_bytes(), to).await;
                }
                received = socket.recv_from(&mut buffer) => {
                    let Ok((length, from)) = received else { continue };
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if !text.trim().is_empty() {
                        let _ = into.send(Message { text, from });
                    }
                }
            }
        }
    });
    Ok(Wire { out, incoming, own })
}

/// A connection to a server.
pub(super) async fn connection(
    kind: Kind,
    server: SocketAddr,
    trust: Option<&TlsConnector>,
) -> Result<Wire> {
    let (out, outgoing) = mpsc::unbounded_channel();
    let (into, incoming) = mpsc::unbounded_channel();
    let tcp = raw::tcp(&own_towards(server)?.to_string(), server).await?;
    let own = tcp.local_addr()?;
    let stream: Box<dyn Stream> = match kind {
        Kind::Tls | Kind::Wss => {
            let connector = trust.context("nobody to trust")?;
            Box::new(connector.connect("localhost".try_into()?, tcp).await?)
        }
        _ => Box::new(tcp),
    };
    if matches!(kind, Kind::Ws | Kind::Wss) {
        let socket = raw::websocket(stream).await?;
        tokio::spawn(carry_frames(socket, server, outgoing, into));
    } else {
        tokio::spawn(carry_bytes(stream, server, outgoing, into));
    }
    Ok(Wire { out, incoming, own })
}

async fn carry_frames(
    mut socket: WebSocketStream<Box<dyn Stream>>,
    server: SocketAddr,
    mut outgoing: UnboundedReceiver<(String, SocketAddr)>,
    into: UnboundedSender<Message>,
) {
    loop {
        tokio::select! {
            next = outgoing.recv() => {
                let Some((text, _)) = next else { return };
                if socket.send(tungstenite::Message::text(text)).await.is_err() { return }
            }
            frame = socket.next() => {
                let Some(Ok(frame)) = frame else { return };
                if let tungstenite::Message::Text(_) | tungstenite::Message::Binary(_) = frame {
                    let text = String::from_utf8_lossy(&frame.into_data()).into_owned();
                    if !text.trim().is_empty() {
                        let _ = into.send(Message { text, from: server });
                    }
                }
            }
        }
    }
}

async fn carry_bytes(
    stream: Box<dyn Stream>,
    server: SocketAddr,
    mut outgoing: UnboundedReceiver<(String, SocketAddr)>,
    into: UnboundedSender<Message>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut read = Vec::new();
    loop {
        tokio::select! {
            next = outgoing.recv() => {
                let Some((text, _)) = next else {
                    let _ = writer.shutdown().await;
                    return;
                };
                if writer.write_all(text.as_bytes()).await.is_err() { return }
                let _ = writer.flush().await;
            }
            length = reader.read_buf(&mut read) => {
                let Ok(1..) = length else { return };
                while let Some(text) = cut(&mut read) {
                    let _ = into.send(Message { text, from: server });
                }
            }
        }
    }
}

/// The first whole message, taken out: RFC 3261 §18.3.
fn cut(read: &mut Vec<u8>) -> Option<String> {
    let blank = read
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .unwrap_or(read.len());
    read.drain(..blank);
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("Content-Length") || name == "l";
        is_it.then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = end + length.unwrap_or(0);
    if read.len() < whole {
        return None;
    }
    let message: Vec<u8> = read.drain(..whole).collect();
    Some(String::from_utf8_lossy(&message).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_of_a_stream_only_when_whole() {
        let mut read = b"\r\n\r\nA\r\nContent-Length: 2\r\n\r\nhiB\r\nl: 3\r\n\r\nx".to_vec();
        assert_eq!(cut(&mut read).unwrap(), "A\r\nContent-Length: 2\r\n\r\nhi");
        assert!(cut(&mut read).is_none());
        read.extend_from_slice(b"yz");
        assert_eq!(cut(&mut read).unwrap(), "B\r\nl: 3\r\n\r\nxyz");
    }
}
