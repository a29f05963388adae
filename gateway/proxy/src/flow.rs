//! Flows: one way to reach a peer (RFC 5626 §3.1), as plain values.
//!
//! A flow is a UDP 4-tuple or one TCP, TLS, WS or WSS connection, **and our listener**: through a port-restricted NAT an
//! answer from another port of ours is lost (RFC 3581 §4). Whether a flow still lives, only the transport knows.

use std::net::SocketAddr;

use sip::Transport;

use crate::token::FlowAddress;

/// The number of one of our listeners, as tokens carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u8);

/// The name of a connection: 48 random bits, drawn when it is accepted or opened.
///
/// Not a counter, which after a restart would name somebody else's connection (SIGNALLING §1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The name made of six random bytes.
    pub fn from_random(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The name that a token holds; bits above the 48th are cut off.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & 0xffff_ffff_ffff)
    }

    /// The 48 bits, for a token.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// One way to reach a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// Our listener: the one that received, or the one on whose behalf a connection was opened.
    pub listener: ListenerId,
    /// What is spoken.
    pub transport: Transport,
    /// Our address of this flow. For a listener on the wildcard address, the address that the peer had used.
    pub local: SocketAddr,
    /// The peer's address as we see it, behind NAT the NAT's.
    pub peer: SocketAddr,
    /// The connection; `None` for UDP.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// What a token holds of this flow.
    pub fn address(&self) -> FlowAddress {
        match self.connection {
            Some(connection) => FlowAddress::Connection(connection.bits()),
            None => FlowAddress::Udp(self.peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_named_by_48_bits() {
        let id = ConnectionId::from_random([0xff, 2, 3, 4, 5, 6]);
        assert_eq!(id.bits(), 0xff02_0304_0506);
        assert_eq!(ConnectionId::from_bits(id.bits() | 0xdead << 48), id);
    }

    #[test]
    fn a_token_holds_the_connection_or_the_peer_of_a_datagram() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 5060));
        let udp = Flow {
            listener: ListenerId(3),
            transport: Transport::Udp,
            local: SocketAddr::from(([198, 51, 100, 1], 5060)),
            peer,
            connection: None,
        };
        assert_eq!(udp.address(), FlowAddress::Udp(peer));
        let connection = ConnectionId::from_bits(7);
        let wss = Flow {
            transport: Transport::Wss,
            connection: Some(connection),
            ..udp
        };
        assert_eq!(wss.address(), FlowAddress::Connection(7));
    }
}
