//! Gateways that do the same job: their members, and how a group chooses among them (SIGNALLING §6).

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use sip::{Transport, Uri};
use siphasher::sip::SipHasher13;

use crate::flow::ListenerId;

/// What a weight of 1 is in the file, so that SRV records can share it out among the targets of one name.
pub const WEIGHT: u32 = 1 << 16;

/// A server of a group. A name in the configuration may be several of them (RFC 3263); each has a place of its own, which
/// keeps its number while the node runs: requests that are pending know it by that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its address or name: as configured, or the target of an SRV record. Empty in a place that nobody has yet.
    pub host: String,
    /// The name in the configuration, if the host is what DNS made of it.
    pub service: Option<String>,
    /// Its port.
    pub port: u16,
    /// What is spoken to it.
    pub transport: Transport,
    /// Where it is, if that is known.
    pub address: Option<SocketAddr>,
    /// Who is tried first: the lowest (the configuration's in the upper half, that of the SRV record in the lower).
    pub priority: u32,
    /// Its share of what its priority gets, beside the others'; see [`WEIGHT`]. Never 0.
    pub weight: u32,
    /// Whether it is given anything new.
    pub standing: Standing,
    /// What rendezvous hashing knows it by: the same on every node and after every start.
    pub key: u64,
}

/// Whether a member is given anything new. Requests in dialogs and pending transactions go on in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// It is.
    #[default]
    Serves,
    /// It is being drained.
    Drained,
    /// Its name does not lead to it any more.
    Gone,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            host: String::new(),
            service: None,
            port: 0,
            transport: Transport::Udp,
            address: None,
            priority: 0,
            weight: WEIGHT,
            standing: Standing::Serves,
            key: 0,
        }
    }
}

impl Member {
    /// A member that is alone behind its host.
    pub fn new(host: &str, port: u16, transport: Transport, address: Option<SocketAddr>) -> Self {
        Self {
            host: host.to_owned(),
            port,
            transport,
            address,
            key: key(host, port, None),
            ..Self::default()
        }
    }

    /// True for a place that nobody has yet.
    pub fn is_vacant(&self) -> bool {
        self.host.is_empty()
    }

    /// True if a URI means it: by its host or address and its port, or by the name of its service without a port.
    pub(crate) fn is_named_by(&self, uri: &Uri<'_>) -> bool {
        if self.is_vacant() {
            return false;
        }
        let bare = uri
            .host
            .strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"))
            .unwrap_or(uri.host);
        let is_host = || {
            self.host.as_bytes().eq_ignore_ascii_case(bare)
                || uri
                    .ip()
                    .is_some_and(|ip| self.address.is_some_and(|at| at.ip() == ip))
        };
        // RFC 3263 §4.2: a port in the URI takes the SRV records out of it.
        let is_service = || {
            uri.port.is_none()
                && self
                    .service
                    .as_ref()
                    .is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(bare))
        };
        uri.port.unwrap_or(self.transport.default_port()) == self.port && is_host() || is_service()
    }
}

/// What rendezvous hashing knows a member by. `among` is its address where several share host and port.
pub fn key(host: &str, port: u16, among: Option<SocketAddr>) -> u64 {
    let mut hasher = hasher();
    hasher.write(host.to_ascii_lowercase().as_bytes());
    hasher.write_u16(port);
    if let Some(address) = among {
        hasher.write(address.ip().to_string().as_bytes());
    }
    hasher.finish()
}

/// The same on every node: who sees a request first does not matter.
pub(crate) fn hasher() -> SipHasher13 {
    SipHasher13::new_with_keys(0x4341_5553, 0x4557_4159)
}

/// Gateways that do the same job.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Group {
    /// As the configuration names it.
    pub name: String,
    /// Its members.
    pub members: Vec<Member>,
    /// Which of them a request goes to.
    pub algorithm: Algorithm,
    /// After which answers the next one is asked.
    pub fail_over: FailOver,
    /// A 3xx to an INVITE is followed in the caller's place, and not passed back.
    pub follows_redirects: bool,
    /// By which listeners requests leave for the members; empty for any that faces the core.
    pub listeners: Vec<ListenerId>,
    /// Those listeners face devices, so the members are outside (carriers): no Route of a device may name them, and we stay in
    /// the way of their calls as in those of a device.
    pub outside: bool,
    /// It routes by Contact: devices' Contacts are URIs of ours there.
    pub contact_token: bool,
}

impl Group {
    /// True if a member is at this address.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.address == Some(address))
    }

    /// The first member that has this address, at whatever port.
    pub(crate) fn member_at(&self, ip: IpAddr) -> Option<usize> {
        let ip = ip.to_canonical();
        let mut members = self.members.iter();
        members.position(|member| member.address.is_some_and(|at| at.ip() == ip))
    }
}

/// Which member of a group a request goes to, among those of the best priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Highest random weight: the same key goes to the same living member, and a member that goes takes only its own along.
    Rendezvous(By),
    /// One after the other, whatever their weights.
    RoundRobin,
    /// The one that has the fewest calls for its weight.
    LeastCalls,
}

/// What rendezvous hashing hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The address-of-record in From: a registrar that challenged gets the answer.
    AddressOfRecord,
    /// The Call-ID: calls are shared out by weight, and all of one call meet.
    CallId,
    /// The address that the request came from.
    Source,
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Rendezvous(By::AddressOfRecord)
    }
}

impl Algorithm {
    /// True if it goes by what changes from request to request: the same request would not find its member again.
    pub fn counts(self) -> bool {
        matches!(self, Self::RoundRobin | Self::LeastCalls)
    }
}

/// Answers after which the next member is asked: ranges of statuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailOver(pub Vec<(u16, u16)>);

impl Default for FailOver {
    fn default() -> Self {
        Self(vec![(503, 503)])
    }
}

impl FailOver {
    /// True if a member that answers so is not believed. A challenge is the caller's to answer, and 487 is our own CANCEL's,
    /// whatever class is named.
    pub fn takes(&self, status: u16) -> bool {
        !matches!(status, 401 | 407 | 487)
            && self
                .0
                .iter()
                .any(|(least, most)| (*least..=*most).contains(&status))
    }
}
