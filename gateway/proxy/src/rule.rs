//! The rules of the configuration for requests that are in no dialog: the first that takes one says where it goes.

use std::borrow::Cow;

use sip::Uri;

use crate::flow::{Flow, ListenerId};
use crate::side::Side;
use crate::site::Site;

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

impl Site {
    /// The rule for what is in no dialog: the first that matches.
    pub fn route(&self, flow: &Flow, method: &[u8], uri: &Uri<'_>) -> Option<&To> {
        let asked = Asked { flow, method, uri };
        self.routes
            .iter()
            .find(|route| route.when.takes(&asked, self))
            .map(|route| &route.to)
    }
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
