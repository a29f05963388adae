//! One thing that passed: where from, where to, when, and its bytes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proxy::flow::ListenerId;
use serde::{Deserialize, Serialize};
use sip::Transport;

/// What passed, and in which direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A SIP message came.
    In,
    /// A SIP message left.
    Out,
    /// It did not leave after all: the connection is gone, or takes no more.
    Unsent,
    /// A command was sent to RTPEngine, the first time.
    Command,
    /// RTPEngine answered, and be it with an error.
    Answer,
    /// RTPEngine did not answer: the bytes are the command's cookie, and why.
    Silence,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::In,
        Self::Out,
        Self::Unsent,
        Self::Command,
        Self::Answer,
        Self::Silence,
    ];

    /// True for what a node and RTPEngine say to each other.
    pub fn is_ng(self) -> bool {
        matches!(self, Self::Command | Self::Answer | Self::Silence)
    }

    /// True for what we received.
    pub fn is_inwards(self) -> bool {
        matches!(self, Self::In | Self::Answer | Self::Silence)
    }
}

/// What is known of one thing that passed, besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Since the ring was made.
    pub at: Duration,
    /// What passed.
    pub kind: Kind,
    /// Our listener; without meaning for ng.
    pub listener: ListenerId,
    /// What is spoken; UDP for ng.
    pub transport: Transport,
    /// Our address.
    pub local: SocketAddr,
    /// The other side's.
    pub peer: SocketAddr,
    /// Of an answer or a silence: how long it took.
    pub took: Duration,
    /// Of an answer or a silence: how many datagrams the command took.
    pub datagrams: u16,
}

/// Bytes of a head in the ring, its length before it included.
pub(super) const HEAD: usize = 4 + 8 + 3 + 18 + 18 + 4 + 2;

impl Head {
    /// As it stands in the ring, before a payload of `payload` bytes.
    pub(super) fn encode(&self, payload: usize) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let whole = u32::try_from(HEAD + payload).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&whole.to_le_bytes());
        bytes[4..12].copy_from_slice(&micros(self.at).to_le_bytes());
        bytes[12] = self.kind as u8;
        bytes[13] = self.listener.0;
        bytes[14] = self.transport as u8;
        bytes[15..33].copy_from_slice(&address(self.local));
        bytes[33..51].copy_from_slice(&address(self.peer));
        let took = u32::try_from(self.took.as_micros()).unwrap_or(u32::MAX);
        bytes[51..55].copy_from_slice(&took.to_le_bytes());
        bytes[55..57].copy_from_slice(&self.datagrams.to_le_bytes());
        bytes
    }

    /// What [`encode`](Self::encode) wrote; `None` for anything else.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            at: at(bytes)?,
            kind: *Kind::ALL.get(usize::from(*bytes.get(12)?))?,
            listener: ListenerId(*bytes.get(13)?),
            transport: *Transport::ALL.get(usize::from(*bytes.get(14)?))?,
            local: socket(bytes.get(15..33)?)?,
            peer: socket(bytes.get(33..51)?)?,
            took: Duration::from_micros(number(51)?.into()),
            datagrams: u16::from_le_bytes(bytes.get(55..57)?.try_into().ok()?),
        })
    }
}

/// When the record that begins here passed.
pub(super) fn at(bytes: &[u8]) -> Option<Duration> {
    let micros = u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?);
    Some(Duration::from_micros(micros))
}

/// How long the record is that begins here.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    usize::try_from(length).ok()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// An IPv4 address stands as IPv6 maps it: no flow has an address in both notations.
fn address(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

fn socket(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_at_checked(16)?;
    let ip = Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?);
    let port = u16::from_be_bytes(port.try_into().ok()?);
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// One thing that passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Where, when, what.
    pub head: Head,
    /// The message, or the ng datagram.
    pub bytes: Bytes,
}

/// Takes records off the front of a run of them.
pub(super) fn records(mut run: Bytes) -> Vec<Record> {
    let mut found = Vec::new();
    while let Some(length) = length(&run).filter(|length| (HEAD..=run.len()).contains(length)) {
        let mut one = run.split_to(length);
        let Some(head) = Head::decode(&one) else {
            break;
        };
        let bytes = one.split_off(HEAD);
        found.push(Record { head, bytes });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_went_in() {
        for (local, peer) in [
            ("192.0.2.1:5060", "198.51.100.7:40000"),
            ("[2001:db8::1]:5061", "[2001:db8::2]:1"),
        ] {
            let head = Head {
                at: Duration::from_micros(1_234_567),
                kind: Kind::Silence,
                listener: ListenerId(3),
                transport: Transport::Wss,
                local: local.parse().unwrap(),
                peer: peer.parse().unwrap(),
                took: Duration::from_micros(500_001),
                datagrams: 3,
            };
            let mut run = head.encode(5).to_vec();
            run.extend_from_slice(b"hello");
            let bytes = Bytes::from_static(b"hello");
            assert_eq!(records(run.into()), [Record { head, bytes }]);
        }
    }

    #[test]
    fn each_kind_and_transport_has_its_place() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        for (place, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, place);
        }
    }
}
