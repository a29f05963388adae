//! Who is admitted before any work is spent on what he sends (DESIGN §3): by the listener's access list, by messages a
//! second and connections of a source.
//!
//! Pure decisions: no socket, and the time is an argument. [`Guard`] is the whole; `rate` and `places` are its parts.

mod complaint;
mod pace;
mod places;
mod rate;

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use proxy::flow::ListenerId;
use proxy::peer::Peers;
use siphasher::sip::SipHasher24;

pub(crate) use complaint::Complaint;
pub(crate) use pace::Pace;
use places::Places;
use rate::Rate;

pub use places::Place;

/// What the guard is told by the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Messages a second from one source; 0 is no limit.
    pub messages_per_second: u32,
    /// How many may come at once before that counts. At least 1.
    pub burst: u32,
    /// Connections of one source at once; 0 is no limit.
    pub connections_per_source: u32,
    /// Who may speak to a core listener, by the listener's number; empty for one that faces devices.
    pub trust: Vec<Vec<IpNet>>,
    /// Who is trusted at a listener that faces devices too, by the listener's number.
    pub core: Vec<Vec<IpNet>>,
    /// Who is known by his address at listeners that face devices.
    pub peers: Peers,
    /// Messages a second of each of them, in their order; 0 is no limit.
    pub peers_per_second: Vec<u32>,
}

/// Why somebody is not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// He is not on the access list of this core listener (DESIGN §9).
    Untrusted,
    /// More messages a second than one source may send.
    TooFast,
    /// More messages a second than this peer may send.
    PeerTooFast,
    /// More connections than one source may have.
    TooManyConnections,
}

impl Refusal {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 4] = [
        Self::Untrusted,
        Self::TooFast,
        Self::PeerTooFast,
        Self::TooManyConnections,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::TooFast => "too_fast",
            Self::PeerTooFast => "peer_too_fast",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Untrusted => "not on the access list of a core listener",
            Self::TooFast => "more messages than limits.messages_per_second",
            Self::PeerTooFast => "more messages than the peer's messages_per_second",
            Self::TooManyConnections => "more connections than limits.connections_per_source",
        }
    }
}

/// A source as it is counted: an IPv4 address, or the /64 of an IPv6 one, for whoever has one address of it has all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source(u64, bool);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(u64::from(u32::from(v4)), true),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self(u64::from(u32::from(v4)), true),
                None => Self((u128::from(v6) >> 64) as u64, false),
            },
        }
    }
}

impl Source {
    fn hash(self, key: (u64, u64)) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
        hasher.write_u64(self.0);
        hasher.write_u8(u8::from(self.1));
        hasher.finish()
    }
}

/// Admits or refuses, and counts whom it refused.
pub struct Guard {
    trust: Vec<Vec<IpNet>>,
    core: Vec<Vec<IpNet>>,
    rate: Option<Rate>,
    peers: Peers,
    /// The pace of each peer, and where it is in it.
    paces: Vec<(Option<Pace>, AtomicU64)>,
    places: Places,
    refused: [AtomicU64; Refusal::ALL.len()],
    complaints: [Complaint; Refusal::ALL.len()],
}

impl Guard {
    /// A guard that has seen nobody yet. `key` is random: who knows it could put himself into another's cell.
    pub fn new(settings: Settings, key: (u64, u64)) -> Self {
        let Settings {
            messages_per_second,
            burst,
            connections_per_source,
            trust,
            core,
            peers,
            peers_per_second,
        } = settings;
        let pace = |each: u32| (Pace::new(each, each), AtomicU64::new(0));
        Self {
            trust,
            core,
            rate: Rate::new(messages_per_second, burst, key),
            peers,
            paces: peers_per_second.into_iter().map(pace).collect(),
            places: Places::new(connections_per_source),
            refused: Default::default(),
            complaints: Default::default(),
        }
    }

    /// One message from `peer`; `now` is the time since the start. Who is trusted is not counted: a trunk carries many
    /// users. Loopback is nobody special.
    ///
    /// # Errors
    /// Why it is to be dropped.
    pub fn message(
        &self,
        listener: ListenerId,
        peer: IpAddr,
        now: Duration,
    ) -> Result<(), Refusal> {
        let refusal = match self.is_trusted(listener, peer) {
            Some(true) => return Ok(()),
            Some(false) => Refusal::Untrusted,
            None => match (self.peers.of(listener, peer), &self.rate) {
                (Some(known), _) if !self.peer_may(known, now) => Refusal::PeerTooFast,
                (None, Some(rate)) if !rate.admit(peer.into(), now) => Refusal::TooFast,
                _ => return Ok(()),
            },
        };
        Err(self.refuse(refusal, peer, now))
    }

    fn peer_may(&self, peer: usize, now: Duration) -> bool {
        match self.paces.get(peer) {
            Some((Some(pace), cell)) => pace.admit(cell, now),
            _ => true,
        }
    }

    /// One connection that `peer` opened; its place is held until the value is dropped.
    ///
    /// # Errors
    /// Why it is to be closed.
    pub fn connection(
        &self,
        listener: ListenerId,
        peer: IpAddr,
        now: Duration,
    ) -> Result<Option<Place>, Refusal> {
        let refusal = match self.is_trusted(listener, peer) {
            Some(true) => return Ok(None),
            Some(false) => Refusal::Untrusted,
            None => match self.places.take(peer.into()) {
                Ok(place) => return Ok(place),
                Err(places::Full) => Refusal::TooManyConnections,
            },
        };
        Err(self.refuse(refusal, peer, now))
    }

    /// Whether a core listener's list names the peer; `None` for a device at a listener that faces devices.
    pub fn is_trusted(&self, listener: ListenerId, peer: IpAddr) -> Option<bool> {
        let named_by = |lists: &[Vec<IpNet>]| {
            let nets = lists
                .get(usize::from(listener.0))
                .filter(|nets| !nets.is_empty())?;
            let peer = peer.to_canonical();
            Some(nets.iter().any(|net| net.contains(&peer)))
        };
        named_by(&self.trust).or_else(|| named_by(&self.core).filter(|named| *named))
    }

    /// How often somebody was refused so.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize].load(Ordering::Relaxed)
    }

    fn refuse(&self, refusal: Refusal, peer: IpAddr, now: Duration) -> Refusal {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(since) = self.complaints[refusal as usize].due(now) {
            tracing::warn!(%peer, since_last_line = since, "refused: {}", refusal.words());
        }
        refusal
    }
}

#[cfg(test)]
mod tests {
    use proxy::peer::Peer;

    use super::*;

    const PUBLIC: ListenerId = ListenerId(0);
    const CORE: ListenerId = ListenerId(1);
    const BOTH: ListenerId = ListenerId(2);

    fn guard() -> Guard {
        let settings = Settings {
            messages_per_second: 10,
            burst: 3,
            connections_per_source: 2,
            trust: vec![
                vec![],
                vec![
                    "10.33.69.0/24".parse().unwrap(),
                    "2001:db8::/32".parse().unwrap(),
                ],
                vec![],
            ],
            core: vec![vec![], vec![], vec!["10.33.69.0/24".parse().unwrap()]],
            peers: Peers::new(vec![Peer {
                networks: vec!["198.51.100.0/28".parse().unwrap()],
                listeners: vec![PUBLIC],
                admitted: vec![PUBLIC],
                ..Peer::default()
            }]),
            peers_per_second: vec![20],
        };
        Guard::new(settings, (1, 2))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_core_listener_hears_its_list_only_and_without_a_limit() {
        let guard = guard();
        for (peer, want) in [
            ("10.33.69.7", Ok(())),
            ("2001:db8:1::5", Ok(())),
            ("10.33.70.7", Err(Refusal::Untrusted)),
            ("127.0.0.1", Err(Refusal::Untrusted)),
            ("::1", Err(Refusal::Untrusted)),
        ] {
            for _ in 0..10 {
                assert_eq!(
                    guard.message(CORE, ip(peer), Duration::ZERO),
                    want,
                    "{peer}"
                );
                let connection = guard.connection(CORE, ip(peer), Duration::ZERO);
                assert_eq!(connection.map(drop), want, "{peer}");
            }
        }
        assert_eq!(guard.refused(Refusal::Untrusted), 60);
        assert_eq!(
            guard.is_trusted(PUBLIC, ip("10.33.69.7")),
            None,
            "trust belongs to its listener"
        );
    }

    #[test]
    fn where_both_sides_speak_the_core_has_no_limit_and_devices_have_theirs() {
        let guard = guard();
        let passed = |peer| {
            (0..100)
                .filter(|_| guard.message(BOTH, ip(peer), Duration::ZERO).is_ok())
                .count()
        };
        assert_eq!(passed("10.33.69.7"), 100);
        assert_eq!(passed("::ffff:10.33.69.7"), 100);
        assert_eq!(passed("192.0.2.9"), 3);
        assert_eq!(guard.refused(Refusal::Untrusted), 0);
    }

    #[test]
    fn a_source_that_sends_too_fast_is_refused_and_others_are_not() {
        let guard = guard();
        for peer in ["192.0.2.1", "127.0.0.1", "2001:db8::1"] {
            let passed = (0..100)
                .filter(|_| guard.message(PUBLIC, ip(peer), Duration::ZERO).is_ok())
                .count();
            assert_eq!(passed, 3, "{peer}");
        }
        assert_eq!(guard.refused(Refusal::TooFast), 3 * 97);
    }

    #[test]
    fn a_peer_has_its_own_pace_whatever_its_addresses() {
        let guard = guard();
        let passed = |now: Duration| {
            let peers = (0..16u8).cycle().map(|n| IpAddr::from([198, 51, 100, n]));
            peers
                .take(100)
                .filter(|peer| guard.message(PUBLIC, *peer, now).is_ok())
                .count()
        };
        assert_eq!(passed(Duration::ZERO), 20);
        assert_eq!(passed(Duration::from_millis(500)), 10);
        assert_eq!(guard.refused(Refusal::PeerTooFast), 80 + 90);
        assert_eq!(
            guard.message(PUBLIC, ip("198.51.100.16"), Duration::ZERO),
            Ok(()),
            "a neighbour is a device"
        );
        assert_eq!(
            guard.message(CORE, ip("198.51.100.1"), Duration::ZERO),
            Err(Refusal::Untrusted),
            "and at a core listener a peer is nobody"
        );
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_source() {
        let guard = guard();
        let passed = (0..100u16).filter(|n| {
            let peer = IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, *n]);
            guard.message(PUBLIC, peer, Duration::ZERO).is_ok()
        });
        assert_eq!(passed.count(), 3);
        assert_eq!(
            Source::from(ip("::ffff:192.0.2.1")),
            Source::from(ip("192.0.2.1"))
        );
        assert_ne!(
            Source::from(ip("::c000:201")),
            Source::from(ip("192.0.2.1"))
        );
    }

    #[test]
    fn a_source_has_so_many_connections_until_one_ends() {
        let guard = guard();
        let open = || guard.connection(PUBLIC, ip("192.0.2.1"), Duration::ZERO);
        let first = open().unwrap();
        let _second = open().unwrap();
        assert_eq!(open().map(drop), Err(Refusal::TooManyConnections));
        assert!(
            guard
                .connection(PUBLIC, ip("192.0.2.2"), Duration::ZERO)
                .is_ok()
        );
        drop(first);
        assert!(open().is_ok());
        assert_eq!(guard.refused(Refusal::TooManyConnections), 1);
    }

    #[test]
    fn zero_is_no_limit() {
        let guard = Guard::new(Settings::default(), (1, 2));
        let mut held = Vec::new();
        for _ in 0..5000 {
            assert_eq!(
                guard.message(PUBLIC, ip("192.0.2.1"), Duration::ZERO),
                Ok(())
            );
            held.push(
                guard
                    .connection(PUBLIC, ip("192.0.2.1"), Duration::ZERO)
                    .unwrap(),
            );
        }
    }
}
