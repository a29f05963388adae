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
use crate::mtu::Mtu;
use crate::path::PathStyle;
use crate::peer::{Peer, Peers};
pub use crate::side::Side;

/// A place where we receive, and how others name it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its number, which tokens carry.
    pub id: ListenerId,
    /// Towards whom it faces.
    pub side: Side,
    /// Networks of the core on a listener that faces devices: who speaks from there is no device ([`Site::side_of`]).
    pub core: Vec<IpNet>,
    /// What is spoken there.
    pub transport: Transport,
    /// Where it is bound.
    pub bind: SocketAddr,
    /// The host that Via, Path and Record-Route name: an address (IPv6 without brackets) or a name.
    pub host: String,
    /// The port that they name.
    pub port: u16,
    /// What its datagrams may be.
    pub mtu: Mtu,
    /// Networks of edges, where we are the registrar behind them: trusted, but what they send is of users.
    pub edges: Vec<IpNet>,
    /// What the Path of its devices says.
    pub path: PathStyle,
    /// Its devices do not see the core's addresses ([`crate::hiding`]).
    pub hides: bool,
}

impl Listener {
    /// `host:port` as a URI and a Via have it: IPv6 in brackets, the transport's default port left out.
    pub fn sent_by(&self) -> String {
        let mut text = String::with_capacity(self.host.len() + 8);
        self.write_sent_by(&mut text);
        text
    }

    /// The same, behind what is there.
    pub(crate) fn write_sent_by(&self, to: &mut String) {
        // Only an IPv6 address has a colon.
        if self.host.contains(':') {
            to.push('[');
            to.push_str(&self.host);
            to.push(']');
        } else {
            to.push_str(&self.host);
        }
        if self.port != self.transport.default_port() {
            to.push(':');
            write_number(to, self.port.into());
        }
    }

    /// A URI of this listener for a Contact, without angle brackets; `write_user` writes its user part.
    pub(crate) fn uri(&self, write_user: impl FnOnce(&mut String)) -> String {
        let mut text = String::with_capacity(160);
        text.push_str("sip:");
        write_user(&mut text);
        text.push('@');
        self.write_sent_by(&mut text);
        if self.transport != Transport::Udp {
            text.push_str(";transport=");
            text.push_str(self.transport.uri_param());
        }
        text
    }

    /// The Path or Record-Route value that names this listener, in angle brackets; `write_token` writes its user part, and
    /// `more` are further URI parameters.
    pub fn route(&self, write_token: impl FnOnce(&mut String), more: &str) -> String {
        let mut text = String::with_capacity(128);
        text.push_str("<sip:");
        write_token(&mut text);
        text.push('@');
        self.write_sent_by(&mut text);
        if self.transport != Transport::Udp {
            text.push_str(";transport=");
            text.push_str(self.transport.uri_param());
        }
        text.push_str(";lr");
        text.push_str(more);
        text.push('>');
        text
    }
}

/// Decimal digits, without the machinery of `format!`: this is on the way of every message.
pub(crate) fn write_number(to: &mut String, number: u32) {
    if number >= 10 {
        write_number(to, number / 10);
    }
    to.push(char::from(b'0' + (number % 10) as u8));
}

/// Which requests a route is for.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// From devices (`Some(Device)`; a peer is none), from the core, or either.
    pub side: Option<Side>,
    /// Only from users behind an edge of ours.
    pub edges: bool,
    /// Only from this peer.
    pub peer: Option<usize>,
    /// Only by these listeners; empty for all.
    pub listeners: Vec<ListenerId>,
    /// Only from the addresses of this group's members. Their ports do not count: a stream is opened from any.
    pub group: Option<usize>,
    /// Only these methods, if any are named.
    pub methods: Vec<String>,
    /// Only request-URIs of these domains, if any are named.
    pub domains: Vec<String>,
    /// Only this user of the request-URI.
    pub user: Option<String>,
    /// Only request-URI users that begin so.
    pub prefix: Option<String>,
    /// Only request-URI users that this matches.
    pub regex: Option<regex::Regex>,
}

/// Where a route leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum To {
    /// To the bindings that our registrar holds.
    Lookup,
    /// To the group of this index.
    Group(usize),
    /// Refused with this status.
    Reject(u16),
    /// Where this call-out says, by its index.
    CallOut(usize),
}

/// One rule; the first that matches decides.
#[derive(Clone, Debug)]
pub struct Route {
    /// For which requests.
    pub when: Match,
    /// Where they go.
    pub to: To,
}

/// A condition of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// [`Match::side`].
    Side,
    /// [`Match::peer`].
    Peer,
    /// [`Match::listeners`].
    Listener,
    /// [`Match::group`].
    Group,
    /// [`Match::methods`].
    Method,
    /// [`Match::domains`].
    Domain,
    /// [`Match::user`].
    User,
    /// [`Match::prefix`].
    Prefix,
    /// [`Match::regex`].
    Regex,
}

impl Condition {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 9] = [
        Self::Side,
        Self::Peer,
        Self::Listener,
        Self::Group,
        Self::Method,
        Self::Domain,
        Self::User,
        Self::Prefix,
        Self::Regex,
    ];
}

/// What rules ask of a request that is in no dialog.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How it came.
    pub flow: &'a Flow,
    /// Its method.
    pub method: &'a [u8],
    /// Its request-URI.
    pub uri: &'a Uri<'a>,
}

impl Match {
    /// True if the request meets every condition.
    pub fn takes(&self, asked: &Asked<'_>, site: &Site) -> bool {
        Condition::ALL
            .iter()
            .all(|condition| self.meets(*condition, asked, site))
    }

    /// The conditions that a request does not meet, in their order; none for one that is taken.
    pub fn misses(&self, asked: &Asked<'_>, site: &Site) -> Vec<Condition> {
        let mut all = Condition::ALL.to_vec();
        all.retain(|condition| !self.meets(*condition, asked, site));
        all
    }

    /// True if the request meets this condition, or the rule has none of its kind.
    fn meets(&self, condition: Condition, asked: &Asked<'_>, site: &Site) -> bool {
        let Asked { flow, method, uri } = asked;
        match condition {
            Condition::Side => {
                let fits = |wanted| {
                    wanted == site.side_of(flow)
                        && (wanted == Side::Core || site.peer_index(flow).is_none())
                };
                self.side.is_none_or(fits) && (!self.edges || site.is_edge(flow))
            }
            Condition::Peer => self
                .peer
                .is_none_or(|wanted| site.peer_index(flow) == Some(wanted)),
            Condition::Listener => {
                self.listeners.is_empty() || self.listeners.contains(&flow.listener)
            }
            Condition::Group => self
                .group
                .is_none_or(|group| site.is_from_group(group, flow)),
            Condition::Method => {
                self.methods.is_empty()
                    || self.methods.iter().any(|name| name.as_bytes() == *method)
            }
            Condition::Domain => {
                let is_it = |name: &String| name.as_bytes().eq_ignore_ascii_case(uri.host);
                self.domains.is_empty() || self.domains.iter().any(is_it)
            }
            Condition::User => self
                .user
                .as_ref()
                .is_none_or(|wanted| *wanted.as_bytes() == *dialled(uri)),
            Condition::Prefix => self
                .prefix
                .as_ref()
                .is_none_or(|prefix| dialled(uri).starts_with(prefix.as_bytes())),
            Condition::Regex => self
                .regex
                .as_ref()
                .is_none_or(|regex| regex.is_match(&String::from_utf8_lossy(&dialled(uri)))),
        }
    }
}

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
    /// True when an RTPEngine is configured: sessions are anchored.
    pub media: bool,
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
            .is_some_and(|listener| contains(&listener.edges, flow.peer.ip()))
    }

    /// True for the address of an edge in front of us.
    pub fn is_edge_at(&self, address: IpAddr) -> bool {
        self.listeners
            .iter()
            .any(|listener| contains(&listener.edges, address))
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

    /// The rule for what is in no dialog: the first that matches.
    pub fn route(&self, flow: &Flow, method: &[u8], uri: &Uri<'_>) -> Option<&To> {
        let asked = Asked { flow, method, uri };
        self.routes
            .iter()
            .find(|route| route.when.takes(&asked, self))
            .map(|route| &route.to)
    }

    /// True for what comes from the address of a member of this group.
    fn is_from_group(&self, group: usize, flow: &Flow) -> bool {
        let members = self
            .groups
            .get(group)
            .map_or(&[][..], |group| &group.members);
        members
            .iter()
            .filter_map(|member| member.address)
            .any(|at| at.ip() == flow.peer.ip().to_canonical())
    }

    /// True for an address of a group that gets our own URIs as Contacts of devices.
    pub(crate) fn takes_contact_tokens(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let mut groups = self.groups.iter().filter(|group| group.contact_token);
        groups.any(|group| {
            let mut members = group.members.iter().filter_map(|member| member.address);
            members.any(|at| at.ip() == ip)
        })
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

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    !networks.is_empty()
        && networks
            .iter()
            .any(|net| net.contains(&address.to_canonical()))
}

/// Whom a request-URI calls: its user, or the number of a `tel` URI (RFC 3966 §3).
pub fn dialled<'u>(uri: &Uri<'u>) -> Cow<'u, [u8]> {
    if uri.scheme.eq_ignore_ascii_case(b"tel") {
        let number = uri.opaque.split(|byte| *byte == b';').next();
        return Cow::Borrowed(number.unwrap_or_default());
    }
    match uri.user {
        Some(user) => sip::uri::decode(user),
        None => Cow::Borrowed(b""),
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
