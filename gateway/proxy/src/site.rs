//! What this node is and whom it knows, as far as a decision needs it: built from the configuration, fixed until a
//! reload.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use sip::{Transport, Uri};

use crate::call_out::CallOut;
use crate::cluster::Shared;
use crate::flow::{Flow, ListenerId};
pub use crate::group::{Algorithm, By, FailOver, Group, Member, Standing};
pub use crate::listener::Listener;
use crate::media::policy::Policies;
use crate::peer::{Peer, Peers};
pub use crate::rule::{Asked, Condition, Match, Route, To, dialled};
pub use crate::side::Side;
use crate::side::within;

/// What this node is.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Our number in the cluster; tokens carry it.
    pub node: u16,
    /// Keys the names of devices, the same on all nodes of the cluster: see [`crate::device::whole`].
    pub device_key: (u64, u64),
    /// Where we receive; a `ListenerId` is an index here.
    pub listeners: Vec<Listener>,
    /// Addresses of this machine, where a listener is bound to all of them.
    pub own: Vec<IpAddr>,
    /// Other names of our domains: from the alias to the domain, both in lower case.
    pub aliases: HashMap<String, String>,
    /// Domains that our own registrar serves (lower case); empty in the edge role.
    pub domains: HashSet<String>,
    /// Gateway groups.
    pub groups: Vec<Group>,
    /// Who is known by his address at listeners that face devices.
    pub peers: Peers,
    /// Networks of the core: a device's request leaves for nowhere else, whatever its Route or request-URI says.
    pub core: Vec<IpNet>,
    /// Who is asked where rules say so.
    pub call_outs: Vec<CallOut>,
    /// Rules for what is not inside a dialog, first match first.
    pub routes: Vec<Route>,
    /// What this node and the others of its cluster are called together.
    pub shared: Shared,
    /// True when an RTPEngine is configured: sessions are anchored, unless a policy says otherwise.
    pub media: bool,
    /// What is wanted of media.
    pub policies: Policies,
    /// Require authentication of requests that claim a user of ours (on unless told otherwise).
    pub authenticate: bool,
}

impl Site {
    /// The listener of a number, if it is one of ours.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(usize::from(id.0))
    }

    /// True for what comes from an edge in front of us: of users, who have to prove who they are.
    pub fn is_edge(&self, flow: &Flow) -> bool {
        self.listener(flow.listener)
            .is_some_and(|listener| within(&listener.edges, flow.peer.ip()))
    }

    /// True for the address of an edge in front of us.
    pub fn is_edge_at(&self, address: IpAddr) -> bool {
        self.listeners
            .iter()
            .any(|listener| within(&listener.edges, address))
    }

    /// True for an address of the core: a member's (not of a group outside), or of a network that a core listener trusts.
    pub fn is_core(&self, address: SocketAddr) -> bool {
        self.core.iter().any(|net| net.contains(&address.ip())) || self.is_member(address)
    }

    /// True for an address of a group's member, unless it is outside.
    pub(crate) fn is_member(&self, address: SocketAddr) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.has(address) && !self.is_outside(group, address))
    }

    /// The index of the peer that sent by a flow, if it is one.
    pub fn peer_index(&self, flow: &Flow) -> Option<usize> {
        let peer = self.peers.of(flow.listener, flow.peer.ip())?;
        (self.side_of(flow) == Side::Device).then_some(peer)
    }

    /// The peer that sent by a flow, if it is one.
    pub fn peer(&self, flow: &Flow) -> Option<&Peer> {
        self.peers.all().get(self.peer_index(flow)?)
    }

    /// The peer that sent by a flow, if its calls are counted.
    pub(crate) fn limits(&self, flow: &Flow) -> Option<usize> {
        let counted = |peer: &usize| self.peers.all()[*peer].limited;
        self.peer_index(flow).filter(counted)
    }

    /// True if what comes by a flow may assert who a caller is (RFC 3325 §5).
    pub fn believes(&self, flow: &Flow) -> bool {
        self.side_of(flow) == Side::Core || self.peer(flow).is_some_and(|peer| peer.identity)
    }

    /// True for where a request of a device may leave for the core: not for ourselves, who would take it for the core's.
    pub fn takes_from_devices(&self, transport: Transport, address: SocketAddr) -> bool {
        let speaks_sip = !transport.is_stream() || self.speaks_sip(address.port());
        self.is_core(address) && speaks_sip && !self.is_ours(address)
    }

    /// True for where we receive, by whatever address of this machine, and for the address towards the core that the nodes share:
    /// whichever of them has it now would take for the core's what a device sent there.
    pub(crate) fn is_ours(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let means_us = |listener: &Listener| {
            let bind = listener.bind.ip();
            let is_one_of_all =
                || ip.is_loopback() || self.own.contains(&ip) || listener.host.parse() == Ok(ip);
            listener.bind.port() == address.port()
                && (bind == ip
                    || bind.is_unspecified() && bind.is_ipv4() == ip.is_ipv4() && is_one_of_all())
        };
        let moves = || {
            let shared = self.shared.core.as_ref();
            shared.is_some_and(|shared| shared.host.parse() == Ok(ip)) && !self.is_member(address)
        };
        self.listeners.iter().any(means_us) || moves()
    }

    /// True for a port on which the core speaks SIP: a member's, one of ours towards it, or one that SIP servers usually have.
    /// A device must not choose to which others we open a stream: Redis takes the lines of a body for commands.
    fn speaks_sip(&self, port: u16) -> bool {
        let members = || self.groups.iter().flat_map(|group| &group.members);
        let ours = |listener: &Listener| listener.faces_core() && listener.bind.port() == port;
        matches!(port, 5060..=5099)
            || members().any(|member| member.port == port)
            || self.listeners.iter().any(ours)
    }

    /// True when the host and port of a URI mean us (RFC 3261 §16.4): a listener, an advertised name, an alias; a
    /// port that is not given matches any of ours.
    pub fn names_us(&self, uri: &Uri<'_>) -> bool {
        let bare = uri
            .host
            .strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"))
            .unwrap_or(uri.host);
        let port_is_ours = |listener: &Listener| {
            uri.port
                .is_none_or(|port| port == listener.port || port == listener.bind.port())
        };
        if self.domain_of(bare).is_some() {
            return uri.port.is_none() || self.listeners.iter().any(port_is_ours);
        }
        let address = address_of(bare);
        let is_our_port = |port| {
            let mut listeners = self.listeners.iter();
            listeners.any(|listener| port == listener.port || port == listener.bind.port())
        };
        if self
            .shared
            .is_named_by(bare, address, uri.port, is_our_port)
        {
            return true;
        }
        self.listeners.iter().any(|listener| {
            let host_is_ours = listener.host.as_bytes().eq_ignore_ascii_case(bare)
                || address.is_some_and(|address| {
                    let bind = listener.bind.ip();
                    bind == address
                        || bind.is_unspecified() && address.is_loopback()
                        || listener.host.parse() == Ok(address)
                });
            host_is_ours && port_is_ours(listener)
        })
    }

    /// True when some listener hides the topology from its devices.
    pub(crate) fn hides(&self) -> bool {
        self.listeners.iter().any(|listener| listener.hides)
    }

    /// True when our registrar serves the host of this URI.
    pub fn serves(&self, uri: &Uri<'_>) -> bool {
        self.domain_of(uri.host).is_some()
    }

    /// The domain of ours that a host means, by its own name or an alias.
    pub fn domain_of(&self, host: &[u8]) -> Option<&str> {
        if self.domains.is_empty() {
            return None;
        }
        let mut host = Cow::Borrowed(std::str::from_utf8(host).ok()?);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            host = Cow::Owned(host.to_ascii_lowercase());
        }
        let name = self.aliases.get(&*host).map_or(&*host, String::as_str);
        self.domains.get(name).map(String::as_str)
    }

    /// `user@domain` as the location service keeps it: escapes undone, the domain by its own name in lower case. A name of
    /// ours that is no domain counts as the domain when there is only one.
    pub fn address_of_record(&self, uri: &Uri<'_>) -> Vec<u8> {
        let mut key = uri.user_decoded().into_owned();
        key.push(b'@');
        let only = || {
            self.domains
                .iter()
                .next()
                .filter(|_| self.domains.len() == 1 && self.names_us(uri))
        };
        match self
            .domain_of(uri.host)
            .or_else(|| only().map(String::as_str))
        {
            Some(domain) => key.extend_from_slice(domain.as_bytes()),
            None => key.extend(uri.host.to_ascii_lowercase()),
        }
        key
    }

    /// True for what comes from the address of a member of this group.
    pub(crate) fn is_from_group(&self, group: usize, flow: &Flow) -> bool {
        let group = self.groups.get(group);
        group.is_some_and(|group| group.member_at(flow.peer.ip()).is_some())
    }

    /// True for an address of a group that gets our own URIs as Contacts of devices.
    pub(crate) fn takes_contact_tokens(&self, address: SocketAddr) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.contact_token && group.member_at(address.ip()).is_some())
    }

    /// The first group and member that has this address, at whatever port: a stream is opened from any.
    pub fn place_at(&self, ip: IpAddr) -> Option<(usize, usize)> {
        let mut groups = self.groups.iter().enumerate();
        groups.find_map(|(index, group)| Some((index, group.member_at(ip)?)))
    }

    /// The group and member that a URI names, by host or address and port.
    pub fn member(&self, uri: &Uri<'_>) -> Option<(usize, &Member)> {
        let (group, member) = self.place_of(uri)?;
        Some((group, self.groups.get(group)?.members.get(member)?))
    }

    /// The same, as indexes.
    pub(crate) fn place_of(&self, uri: &Uri<'_>) -> Option<(usize, usize)> {
        self.groups.iter().enumerate().find_map(|(index, group)| {
            let named = |at: &usize| group.members[*at].is_named_by(uri);
            let is_gone = |at: &usize| group.members[*at].standing == Standing::Gone;
            // A name that leads elsewhere now means who is there, not who was.
            let member = (0..group.members.len()).filter(named).min_by_key(is_gone)?;
            Some((index, member))
        })
    }
}

/// The address that a host without brackets is; names are told by their first byte.
fn address_of(host: &[u8]) -> Option<IpAddr> {
    let may_be = host.first().is_some_and(u8::is_ascii_digit) || host.contains(&b':');
    if may_be {
        std::str::from_utf8(host).ok()?.parse().ok()
    } else {
        None
    }
}
