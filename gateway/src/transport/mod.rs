//! Bytes and flows: UDP, TCP, TLS, WS and WSS (RFC 3261 §18, RFC 5626, RFC 7118).
//!
//! Knows no SIP beyond framing and calls nobody but its [`Handler`]. Each worker is a thread with a runtime of its own;
//! a message is handed over, decided and answered on the thread that received it. TLS handshakes have another thread.
//! Start reading at [`Transports`], then `udp` for datagrams; for connections `accept`, `connection`, `stream`,
//! `http` and `websocket`.

mod accept;
mod connect;
mod connection;
mod counters;
mod datagram;
mod deadlines;
mod error;
mod frames;
mod http;
mod kernel;
mod link;
mod outbox;
mod shared;
mod stream;
mod stun;
pub mod tls;
mod transports;
mod udp;
mod websocket;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use proxy::flow::{Flow, ListenerId};
use sip::{Limits, Transport};

pub use counters::{Counters, DropReason};
pub use deadlines::Timeouts;
pub use error::{CloseReason, ConnectError, SendError, StartError};
pub use http::Http;
pub use kernel::{OpenFiles, raise_open_files};
pub use outbox::OutboxLimit;
pub use transports::{Stats, Transports};

/// Who gets what the transport receives. Every method runs on a worker, so none may wait.
pub trait Handler: Send + Sync + 'static {
    /// A whole message came: a datagram, a framed message, or a WebSocket message. Not parsed, so it may be anything.
    fn message(&self, flow: &Flow, bytes: Bytes);

    /// A connection was opened, by either side; for WebSockets after the upgrade.
    fn opened(&self, _flow: &Flow) {}

    /// A connection is gone. Called once for each that was opened.
    fn closed(&self, flow: &Flow, why: &CloseReason);

    /// Asked for each datagram that comes, before any work is spent on it.
    fn admit(&self, _listener: ListenerId, _peer: IpAddr) -> bool {
        true
    }

    /// Asked for each connection that comes, before any work is spent on it; `None` closes it.
    fn admit_connection(&self, _listener: ListenerId, _peer: IpAddr) -> Option<Ticket> {
        Some(Ticket(None))
    }

    /// A message is about to leave; whoever sends it waits.
    fn sending(&self, _flow: &Flow, _message: &[u8]) {}

    /// It could not leave after all.
    fn unsent(&self, _flow: &Flow, _message: &[u8], _why: SendError) {}

    /// A keepalive came: CRLF, a pong, or a STUN Binding request.
    fn keepalive(&self, _flow: &Flow) {}
}

/// What a handler wants to be dropped when a connection is gone, however far it came: its handshake may have failed.
pub struct Ticket(pub Option<Box<dyn Any + Send + Sync>>);

/// A place to listen.
#[derive(Clone)]
pub struct Listener {
    /// Its number, different for each.
    pub id: ListenerId,
    /// What is spoken there.
    pub transport: Transport,
    /// The address; port 0 lets the kernel choose. The IPv6 wildcard does not take in IPv4, which has listeners of its own.
    pub bind: SocketAddr,
    /// The address moves from machine to machine: it may be bound while another one has it.
    pub moves: bool,
    /// How much may wait for each of its connections.
    pub outbox: OutboxLimit,
    /// Needed for TLS and WSS; see [`tls::server_config`].
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Answers plain HTTP requests on WS and WSS; without it they get 426.
    pub http: Option<Arc<dyn Http>>,
    /// The origins whose pages may connect, as `https://phone.example.com`; empty for all. A client that sends no
    /// Origin is no page and may connect always.
    pub origins: Vec<String>,
}

impl Listener {
    /// A listener with defaults for all else.
    pub fn new(id: ListenerId, transport: Transport, bind: SocketAddr) -> Self {
        let outbox = OutboxLimit::default();
        Self {
            id,
            transport,
            bind,
            moves: false,
            outbox,
            tls: None,
            http: None,
            origins: Vec::new(),
        }
    }
}

/// What all listeners share.
#[derive(Clone)]
pub struct Settings {
    /// Threads that serve sockets and connections. Default: one a core. The TLS handshakes' thread is not among them.
    pub workers: usize,
    /// What a message may have at most; what is longer is dropped (datagram) or closes the connection.
    pub limits: Limits,
    /// Bytes asked for each UDP socket's receive buffer. Default 4 MiB; the kernel's own 208 KiB hold 5 ms of a busy
    /// edge's datagrams. A warning says when less was given.
    pub receive_buffer: usize,
    /// TLS handshakes at once, for each listener. Default 1,024. Who comes when all are taken waits in the kernel.
    pub handshakes: usize,
    /// Open files to ask the system for; where it allows more without asking, that is taken. Default 0.
    pub open_files: u64,
    /// Connections at once, of all listeners and our own. Default 0: as many as open files allow, less 256.
    pub connections: usize,
    /// How long peers may take.
    pub timeouts: Timeouts,
    /// For TLS connections that we open; without it there are none. See [`tls::client_config`].
    pub client_tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            receive_buffer: 4 * 1024 * 1024,
            handshakes: 1024,
            open_files: 0,
            connections: 0,
            timeouts: Timeouts::default(),
            client_tls: None,
        }
    }
}
