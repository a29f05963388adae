//! What can go wrong in the transport, each for its caller: at the start, while sending, while connecting, and why a
//! connection ended.

use std::io;
use std::net::SocketAddr;

use sip::Transport;
use thiserror::Error;

/// Why the transports could not start. The address is the configured one.
#[derive(Debug, Error)]
pub enum StartError {
    /// The kernel refused to bind.
    #[error("cannot listen on {} {address}: {}", .transport.uri_param(), bind_reason(.source))]
    Bind {
        /// The listener's transport.
        transport: Transport,
        /// Where it should have listened.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A TLS or WSS listener without a certificate.
    #[error("{} {address} needs a certificate", .transport.uri_param())]
    NoCertificate {
        /// The listener's transport.
        transport: Transport,
        /// Where it should have listened.
        address: SocketAddr,
    },
    /// Two listeners with one number: tokens would name the wrong one.
    #[error("two listeners have the number {0}")]
    SameNumber(u8),
    /// No thread or no runtime for a worker.
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
}

fn bind_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses this port".into(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".into(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE (or run as root)".into()
        }
        _ => error.to_string(),
    }
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// The connection is closed, or the listener is not ours.
    #[error("the flow is gone")]
    Gone,
    /// The peer does not read, and its outbox is full (the connection is being reset), or the kernel had no room for a
    /// datagram.
    #[error("no room to send")]
    Full,
    /// The kernel refused the datagram.
    #[error("cannot send: {0}")]
    Io(io::ErrorKind),
}

/// Why a connection could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConnectError {
    /// There is no such listener, or no connection is ever opened over UDP or towards browsers.
    #[error("no connection can be opened this way")]
    Unsupported,
    /// The peer did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The kernel's or the peer's answer.
    #[error("cannot connect: {0}")]
    Io(io::ErrorKind),
    /// The TLS handshake failed; the text says why (a certificate that is not trusted, for example).
    #[error("TLS: {0}")]
    Tls(String),
    /// More connections than configured, or than open files allow.
    #[error("too many connections")]
    TooMany,
    /// The node is stopping.
    #[error("stopping")]
    Stopping,
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer closed it.
    ByPeer,
    /// Nothing was heard for the idle timeout.
    Idle,
    /// It was opened, and no message came.
    Silent,
    /// A message was begun and not ended in time.
    HalfMessage,
    /// A WebSocket peer answered no ping.
    NoPong,
    /// A message above the limit.
    TooLarge,
    /// What came is no SIP stream or no WebSocket; the text says what is wrong.
    Malformed(String),
    /// The peer did not read, and its outbox was full.
    OutboxFull,
    /// The kernel or TLS reported an error.
    Io(io::ErrorKind),
    /// The gateway asked for it.
    Asked,
    /// The node is stopping.
    Stopping,
}

impl CloseReason {
    /// The label in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ByPeer => "by_peer",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::HalfMessage => "half_message",
            Self::NoPong => "no_pong",
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
            Self::OutboxFull => "outbox_full",
            Self::Io(_) => "io",
            Self::Asked => "asked",
            Self::Stopping => "stopping",
        }
    }

    /// The peer did something that its owner should know of.
    pub(super) fn is_peers_fault(&self) -> bool {
        match self {
            Self::Silent | Self::HalfMessage | Self::TooLarge => true,
            Self::Malformed(_) | Self::OutboxFull => true,
            Self::ByPeer | Self::Idle | Self::NoPong | Self::Io(_) => false,
            Self::Asked | Self::Stopping => false,
        }
    }

    /// There is no use in a farewell: the connection is reset, and the kernel keeps nothing for it.
    pub(super) fn is_abrupt(&self) -> bool {
        matches!(self, Self::OutboxFull | Self::Io(_) | Self::NoPong)
    }
}
