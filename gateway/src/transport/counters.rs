//! What the transport counts: plain atomics that the table of metrics reads. No label comes from the network.

use std::sync::atomic::{AtomicU64, Ordering};

use sip::Transport;

/// Why a message or a connection was dropped by us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropReason {
    /// The guard did not admit the source.
    NotAdmitted,
    /// A datagram above the limit of a message.
    TooLarge,
    /// A datagram that is neither SIP, nor STUN, nor a keepalive: too short to be anything.
    NoMessage,
    /// The kernel had no room to send a datagram.
    SendBufferFull,
    /// The kernel refused to send a datagram: no route, or too long for the path.
    SendFailed,
    /// The outbox of a connection was full; the connection is reset.
    OutboxFull,
    /// The connection is gone.
    Gone,
    /// More connections than configured, or than open files allow.
    TooManyConnections,
    /// The handler panicked over a message; a mistake of ours.
    HandlerPanicked,
}

impl DropReason {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 9] = [
        Self::NotAdmitted,
        Self::TooLarge,
        Self::NoMessage,
        Self::SendBufferFull,
        Self::SendFailed,
        Self::OutboxFull,
        Self::Gone,
        Self::TooManyConnections,
        Self::HandlerPanicked,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAdmitted => "not_admitted",
            Self::TooLarge => "too_large",
            Self::NoMessage => "no_message",
            Self::SendBufferFull => "send_buffer_full",
            Self::SendFailed => "send_failed",
            Self::OutboxFull => "outbox_full",
            Self::Gone => "gone",
            Self::TooManyConnections => "too_many_connections",
            Self::HandlerPanicked => "handler_panicked",
        }
    }
}

fn place(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
        Transport::Ws => 3,
        Transport::Wss => 4,
    }
}

/// The counters of one transport.
#[derive(Debug, Default)]
struct OfTransport {
    received: AtomicU64,
    sent: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
}

/// The counters of a node's transports. All grow only; what is open is `opened` less `closed`.
#[derive(Debug, Default)]
pub struct Counters {
    transports: [OfTransport; Transport::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
    keepalives: AtomicU64,
    handshakes: AtomicU64,
    handshake_failures: AtomicU64,
    connect_failures: AtomicU64,
}

impl Counters {
    /// Messages received by this transport.
    pub fn received(&self, transport: Transport) -> u64 {
        self.of(transport).received.load(Ordering::Relaxed)
    }

    /// Messages given to this transport: a datagram sent, or a place in a connection's outbox.
    pub fn sent(&self, transport: Transport) -> u64 {
        self.of(transport).sent.load(Ordering::Relaxed)
    }

    /// Connections ever opened, by either side.
    pub fn opened(&self, transport: Transport) -> u64 {
        self.of(transport).opened.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub fn open(&self, transport: Transport) -> u64 {
        let of = self.of(transport);
        let closed = of.closed.load(Ordering::Relaxed);
        of.opened.load(Ordering::Relaxed).saturating_sub(closed)
    }

    /// Messages and connections dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }

    /// CRLF keepalives, pongs and STUN Binding requests seen.
    pub fn keepalives(&self) -> u64 {
        self.keepalives.load(Ordering::Relaxed)
    }

    /// TLS handshakes that succeeded.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// TLS handshakes and WebSocket upgrades that failed or took too long.
    pub fn handshake_failures(&self) -> u64 {
        self.handshake_failures.load(Ordering::Relaxed)
    }

    /// Connections that we could not open.
    pub fn connect_failures(&self) -> u64 {
        self.connect_failures.load(Ordering::Relaxed)
    }

    pub(super) fn count_received(&self, transport: Transport) {
        add(&self.of(transport).received);
    }

    pub(super) fn count_sent(&self, transport: Transport) {
        add(&self.of(transport).sent);
    }

    pub(super) fn count_opened(&self, transport: Transport) {
        add(&self.of(transport).opened);
    }

    pub(super) fn count_closed(&self, transport: Transport) {
        add(&self.of(transport).closed);
    }

    pub(super) fn count_dropped(&self, reason: DropReason) {
        add(&self.dropped[reason as usize]);
    }

    pub(super) fn count_keepalive(&self) {
        add(&self.keepalives);
    }

    pub(super) fn count_handshake(&self, succeeded: bool) {
        add(if succeeded {
            &self.handshakes
        } else {
            &self.handshake_failures
        });
    }

    pub(super) fn count_connect_failure(&self) {
        add(&self.connect_failures);
    }

    fn of(&self, transport: Transport) -> &OfTransport {
        &self.transports[place(transport)]
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_transport_has_a_counter_of_its_own() {
        let counters = Counters::default();
        for (n, reason) in DropReason::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| counters.count_dropped(reason));
        }
        for (n, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(counters.dropped(reason), n as u64 + 1, "{}", reason.label());
        }
        for transport in Transport::ALL {
            counters.count_opened(transport);
            assert_eq!(counters.open(transport), 1);
            counters.count_closed(transport);
            assert_eq!(
                (counters.open(transport), counters.opened(transport)),
                (0, 1)
            );
        }
    }
}
