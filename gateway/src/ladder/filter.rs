//! Who sees what: by user, number, Call-ID, source or method. Whoever asks for a user gets the whole call, with what was said to
//! RTPEngine about it: the first message that matches names the Call-ID.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rtpengine_client::bencode;
use serde_bencode::value::Value;
use sip::uri::{self, Uri};
use sip::{Limits, Message};

use super::line::{Line, Side};
use super::record::{Kind, Record};
use super::redact;

/// Calls and ng commands that a reader remembers.
const REMEMBERED: usize = 4096;

/// What is asked for; all that is given has to hold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The user of From, To or the request-URI.
    pub user: Option<String>,
    /// As `user`, compared by its digits from the end: `030123` finds `+4930123`.
    pub number: Option<String>,
    /// What the Call-ID begins with.
    pub call_id: Option<String>,
    /// The other side's address, with or without its port.
    pub source: Option<Source>,
    /// The method of a request, and of its responses.
    pub method: Option<String>,
}

/// An address that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Any port of it.
    Ip(IpAddr),
    /// This one.
    Socket(SocketAddr),
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(socket) = text.parse() {
            return Ok(Self::Socket(socket));
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let ip = bare.unwrap_or(text).parse().map_err(|_| {
            format!("`{text}` is no address: 192.0.2.1, 192.0.2.1:5060, or [2001:db8::1]:5060")
        })?;
        Ok(Self::Ip(ip))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Socket(socket) => socket.fmt(f),
        }
    }
}

impl Source {
    fn is(self, peer: SocketAddr) -> bool {
        match self {
            Self::Ip(ip) => ip == peer.ip(),
            Self::Socket(socket) => socket == peer,
        }
    }
}

impl Filter {
    /// True if it names a party: then whole calls are shown.
    fn names_a_party(&self) -> bool {
        self.user.is_some() || self.number.is_some() || self.source.is_some()
    }

    fn has_party(&self, message: &Message, peer: SocketAddr) -> bool {
        let mut users = Vec::new();
        for name in [message.from(), message.to()].into_iter().flatten() {
            users.push(user_of(name.uri));
        }
        if message.is_request() {
            users.push(user_of(message.uri()));
        }
        let user = self
            .user
            .as_deref()
            .is_none_or(|wanted| users.iter().any(|user| user == wanted));
        let number = self.number.as_deref().is_none_or(|wanted| {
            let wanted = digits(wanted);
            users
                .iter()
                .any(|user| !wanted.is_empty() && digits(user).ends_with(&wanted))
        });
        user && number && self.source.is_none_or(|source| source.is(peer))
    }

    fn has_method(&self, message: &Message) -> bool {
        let Some(wanted) = &self.method else {
            return true;
        };
        let method = match message.cseq() {
            Some(cseq) if !message.is_request() => cseq.method,
            _ => message.method(),
        };
        method.as_bytes().eq_ignore_ascii_case(wanted.as_bytes())
    }
}

/// The user of a SIP URI, the number of a `tel:` one; empty if there is none.
pub(super) fn user_of(text: &[u8]) -> String {
    let user = match Uri::parse(text) {
        Some(parsed) if parsed.is_sip() || parsed.is_sips() => {
            parsed.user.unwrap_or_default().to_vec()
        }
        Some(parsed) => {
            let end = parsed.opaque.iter().position(|byte| *byte == b';');
            parsed.opaque[..end.unwrap_or(parsed.opaque.len())].to_vec()
        }
        None => Vec::new(),
    };
    String::from_utf8_lossy(&uri::decode(&user)).into_owned()
}

/// Only the digits, and of those not a leading `00` or `0`: the national and the international spelling end alike.
fn digits(text: &str) -> String {
    let all: String = text.chars().filter(char::is_ascii_digit).collect();
    all.trim_start_matches('0').to_owned()
}

/// How what is shown is shown.
pub struct Naming<'n> {
    /// The sections of the listeners, in their order.
    pub listeners: &'n [String],
    /// Which side a flow leads to.
    pub side: &'n (dyn Fn(&Record) -> Side + Sync),
    /// Secrets are shown.
    pub secrets: bool,
}

/// A filter at work, and what it remembers of what it saw.
#[derive(Debug)]
pub struct Reader {
    filter: Filter,
    calls: Newest<String, ()>,
    cookies: Newest<Vec<u8>, String>,
    limits: Limits,
}

impl Reader {
    /// Begins to look.
    pub fn new(filter: Filter) -> Self {
        Self {
            filter,
            calls: Newest::default(),
            cookies: Newest::default(),
            // What passed was within the node's own limits.
            limits: Limits {
                message_bytes: usize::MAX,
                headers: usize::MAX,
            },
        }
    }

    /// What is shown of a record, if anything. `wall` is when it passed, since 1970.
    pub fn take(
        &mut self,
        mut record: Record,
        wall: Duration,
        naming: &Naming<'_>,
    ) -> Option<Line> {
        let (call_id, wanted) = match record.head.kind.is_ng() {
            true => self.of_ng(&record),
            false => self.of_sip(&record),
        };
        if !wanted {
            return None;
        }
        if !naming.secrets {
            let mut bytes = record.bytes.to_vec();
            redact::hide(&mut bytes);
            record.bytes = bytes.into();
        }
        let side = (naming.side)(&record);
        let listener = match record.head.kind.is_ng() {
            true => None,
            false => naming.listeners.get(usize::from(record.head.listener.0)),
        };
        let micros = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
        Some(Line::of(
            record,
            micros,
            side,
            listener.cloned().unwrap_or_default(),
            call_id,
        ))
    }

    fn of_sip(&mut self, record: &Record) -> (String, bool) {
        let Ok(message) = Message::parse(record.bytes.clone(), &self.limits) else {
            // Of what is no SIP nothing is known but where it came from.
            let filter = Filter {
                source: None,
                ..self.filter.clone()
            };
            let source = self
                .filter
                .source
                .is_none_or(|source| source.is(record.head.peer));
            return (String::new(), filter == Filter::default() && source);
        };
        let call_id = String::from_utf8_lossy(message.call_id()).into_owned();
        let filter = &self.filter;
        if !filter
            .call_id
            .as_deref()
            .is_none_or(|start| call_id.starts_with(start))
        {
            return (call_id, false);
        }
        let wanted = if filter.names_a_party() {
            let known = self.calls.get(&call_id).is_some();
            if !known && filter.has_party(&message, record.head.peer) {
                self.calls.put(call_id.clone(), ());
                true
            } else {
                known
            }
        } else {
            true
        };
        let wanted = wanted && self.filter.has_method(&message);
        (call_id, wanted)
    }

    fn of_ng(&mut self, record: &Record) -> (String, bool) {
        let (cookie, rest) = cookie_of(&record.bytes);
        let call_id = if record.head.kind == Kind::Command {
            let call_id = call_of(rest);
            self.cookies.put(cookie.to_vec(), call_id.clone());
            call_id
        } else {
            self.cookies.get(cookie).cloned().unwrap_or_default()
        };
        let filter = &self.filter;
        let call = filter
            .call_id
            .as_deref()
            .is_none_or(|start| call_id.starts_with(start));
        let party = !filter.names_a_party() || self.calls.get(&call_id).is_some();
        (call_id, call && party && filter.method.is_none())
    }
}

/// The cookie of an ng datagram, and what follows it.
pub(super) fn cookie_of(datagram: &[u8]) -> (&[u8], &[u8]) {
    let end = datagram.iter().position(|byte| *byte == b' ');
    match end {
        Some(end) => (&datagram[..end], &datagram[end + 1..]),
        None => (datagram, &[]),
    }
}

/// The Call-ID that a command is about: RTPEngine's, less the pass (`/u`, `/d`, `/l`).
fn call_of(dictionary: &[u8]) -> String {
    let Some(Value::Bytes(call_id)) = value_of(dictionary, "call-id") else {
        return String::new();
    };
    let bare = match call_id.as_slice() {
        [bare @ .., b'/', _] => bare,
        whole => whole,
    };
    String::from_utf8_lossy(bare).into_owned()
}

/// A value of an ng dictionary.
pub(super) fn value_of(dictionary: &[u8], key: &str) -> Option<Value> {
    dictionary_of(dictionary).remove(key.as_bytes())
}

/// An ng dictionary; empty for what is none.
pub(super) fn dictionary_of(dictionary: &[u8]) -> HashMap<Vec<u8>, Value> {
    // serde_bencode goes as deep as whoever wrote it wants.
    let is_one = bencode::check(dictionary, &bencode::Limits::default()).is_ok();
    match is_one.then(|| serde_bencode::from_bytes(dictionary)) {
        Some(Ok(Value::Dict(entries))) => entries,
        _ => HashMap::new(),
    }
}

/// The newest of what was put in, so many and no more.
#[derive(Debug)]
struct Newest<K, V> {
    known: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Newest<K, V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Newest<K, V> {
    fn put(&mut self, key: K, value: V) {
        if self.known.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn get<Q: ?Sized + Eq + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.known.get(key)
    }
}

/// The calls of lines, each once, in the order of their first.
pub fn calls_of(lines: &[Line]) -> Vec<&str> {
    let mut seen = HashSet::new();
    lines
        .iter()
        .map(|line| line.call_id.as_str())
        .filter(|call_id| !call_id.is_empty() && seen.insert(*call_id))
        .collect()
}
