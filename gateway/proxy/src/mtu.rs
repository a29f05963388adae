//! The MTU budget (SIGNALLING §8): what a message towards a device may cost over UDP, and what it loses to get there. A
//! fragmented datagram is lost where a NAT or firewall drops fragments, and then the phone does not ring.
//!
//! Least harm first, and no more than is needed. Towards the core nothing is ever shortened: FreeSWITCH decides by User-Agent
//! and Allow. Call-Info, Alert-Info, Diversion, Reason, Session-Expires and Require are never touched.

use bytes::Bytes;
use sdp::Slim;
use sip::{Edited, Header, Method, NameAddr, Start};

use crate::flow::Flow;
use crate::media::lines::slim_sdp;
use crate::site::{Side, Site};

/// RFC 3261 §18.1.1: a request leaves this much of the path's MTU, for the response may be larger. 1300 bytes of 1500.
const FOR_THE_RESPONSE: usize = 200;

/// What Allow need not say to a phone that is called: nobody sends these within a call.
const NOT_IN_A_CALL: [&[u8]; 4] = [b"MESSAGE", b"REGISTER", b"PUBLISH", b"SUBSCRIBE"];

/// Something that a message can do without.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Saving {
    /// Allow-Events: which subscriptions the sender would take.
    AllowEvents,
    /// User-Agent and Server.
    Agent,
    /// `X-FS-*` of an INVITE: FreeSWITCH talking to FreeSWITCH.
    FreeSwitch,
    /// Content-Disposition where it says what is assumed without it (RFC 3261 §20.11).
    Disposition,
    /// Methods in Allow that nobody sends within a call.
    Allow,
    /// Remote-Party-ID and P-Asserted-Identity of an initial INVITE whose name and URI are From's.
    Identity,
    /// Other `X-*` of an INVITE.
    Extensions,
    /// Lines of the SDP that mean nothing to a plain phone.
    SdpForeign,
    /// Lines of the SDP that say what is assumed without them.
    SdpImplied,
    /// Long header names (RFC 3261 §7.3.3).
    Names,
}

impl Saving {
    /// All of them, the least harm first.
    pub const ALL: [Saving; 10] = [
        Saving::AllowEvents,
        Saving::Agent,
        Saving::FreeSwitch,
        Saving::Disposition,
        Saving::Allow,
        Saving::Identity,
        Saving::Extensions,
        Saving::SdpForeign,
        Saving::SdpImplied,
        Saving::Names,
    ];

    /// Its name in the configuration, the log and the counter.
    pub fn label(self) -> &'static str {
        match self {
            Saving::AllowEvents => "allow_events",
            Saving::Agent => "agent",
            Saving::FreeSwitch => "freeswitch",
            Saving::Disposition => "disposition",
            Saving::Allow => "allow",
            Saving::Identity => "identity",
            Saving::Extensions => "extensions",
            Saving::SdpForeign => "sdp_foreign",
            Saving::SdpImplied => "sdp_implied",
            Saving::Names => "names",
        }
    }

    /// Takes it out of the message, if it may go and is there.
    fn spend(self, message: &mut Edited) {
        match self {
            Saving::AllowEvents if !tells_what_we_can(message) => {
                message.remove(Header::AllowEvents);
            }
            Saving::Agent => {
                message.remove(Header::UserAgent);
                message.remove(Header::Server);
            }
            // In others they may be what the message is for.
            Saving::FreeSwitch if message.method() == Method::Invite => {
                message.remove_lines_where(|header, _| begins(header, b"X-FS-"));
            }
            Saving::Disposition => message.remove_lines_where(|header, value| {
                header == Header::ContentDisposition && value.eq_ignore_ascii_case(b"session")
            }),
            Saving::Allow if !tells_what_we_can(message) => shorten_allow(message),
            Saving::Identity if is_initial_invite(message) => {
                for header in [Header::RemotePartyId, Header::PAssertedIdentity] {
                    if says_what_from_says(message, header) {
                        message.remove(header);
                    }
                }
            }
            Saving::Extensions if message.method() == Method::Invite => {
                message.remove_lines_where(|header, _| begins(header, b"X-"));
            }
            Saving::SdpForeign => slim(message, Slim::Foreign),
            Saving::SdpImplied => slim(message, Slim::Implied),
            Saving::Names => message.compact_names(),
            _ => {}
        }
    }
}

/// What datagrams of a listener may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mtu {
    /// Bytes of an IP packet on the way to its devices.
    pub bytes: u16,
    /// What may be taken out of what is too long, in this order.
    pub savings: Vec<Saving>,
}

impl Default for Mtu {
    /// Ethernet, and everything.
    fn default() -> Self {
        Self {
            bytes: 1500,
            savings: Saving::ALL.to_vec(),
        }
    }
}

/// What a message lost to fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shortened {
    /// Bytes that it may have.
    pub budget: usize,
    /// Bytes that it had.
    pub before: usize,
    /// Bytes that it has. More than the budget if all was not enough: it leaves all the same, in fragments.
    pub after: usize,
    /// What went, in this order; what saved nothing is left out.
    pub spent: Vec<Saving>,
}

impl Shortened {
    /// True when all was not enough.
    pub fn is_too_long(&self) -> bool {
        self.after > self.budget
    }
}

/// Bytes that a request or a response may have by this flow. `None` where there is no limit: on streams, and towards the core.
pub fn budget(is_request: bool, flow: &Flow, site: &Site) -> Option<usize> {
    let listener = site.listener(flow.listener)?;
    if flow.transport.is_stream() || listener.side_of(flow.peer) != Side::Device {
        return None;
    }
    // IP and UDP; of IPv6 the fixed header.
    let headers = if flow.peer.ip().to_canonical().is_ipv4() {
        28
    } else {
        48
    };
    let reserved = if is_request {
        FOR_THE_RESPONSE
    } else {
        headers
    };
    Some(usize::from(listener.mtu.bytes).saturating_sub(reserved))
}

/// Shortens a message, ready but for this, that leaves by this flow. `None` if it is short enough, or has no limit: then it
/// stays as it is.
pub fn shorten(message: &mut Edited, flow: &Flow, site: &Site) -> Option<Shortened> {
    let is_request = matches!(message.start(), Start::Request { .. });
    let budget = budget(is_request, flow, site)?;
    let before = message.len();
    if before <= budget {
        return None;
    }
    let listener = site.listener(flow.listener)?;
    let (mut after, mut spent) = (before, Vec::new());
    for saving in &listener.mtu.savings {
        saving.spend(message);
        let length = message.len();
        if length < after {
            after = length;
            spent.push(*saving);
        }
        if after <= budget {
            break;
        }
    }
    Some(Shortened {
        budget,
        before,
        after,
        spent,
    })
}

/// A response as it leaves by this flow, and what it lost to fit a datagram.
pub fn fit(response: &Edited, flow: &Flow, site: &Site) -> (Bytes, Option<Shortened>) {
    let fits = budget(false, flow, site).is_none_or(|budget| response.len() <= budget);
    if fits {
        return (response.to_bytes(), None);
    }
    let mut response = response.clone();
    let shortened = shorten(&mut response, flow, site);
    (response.to_bytes(), shortened)
}

/// Allow and Allow-Events are what these are for: answers to OPTIONS, 405 (RFC 3261 §21.4.6), 489 (RFC 6665 §4.2.1.1).
fn tells_what_we_can(message: &Edited) -> bool {
    match message.start() {
        Start::Request { .. } => message.method() == Method::Options,
        Start::Response { status, .. } => {
            message.method() == Method::Options || matches!(status, 405 | 489)
        }
    }
}

fn is_initial_invite(message: &Edited) -> bool {
    matches!(message.start(), Start::Request { .. })
        && message.method() == Method::Invite
        && message.to_tag().is_none()
}

fn begins(header: Header<'_>, with: &[u8]) -> bool {
    let name = header.name();
    name.get(..with.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn shorten_allow(message: &mut Edited) {
    let kept: Vec<&[u8]> = message
        .values(Header::Allow)
        .filter(|method| !NOT_IN_A_CALL.contains(method))
        .collect();
    // An Allow with nothing in it would say that nothing is allowed.
    if !kept.is_empty() {
        let kept = kept.join(&b", "[..]);
        message.set(Header::Allow, &kept);
    }
}

/// True if each value is From's name and URI, and the header is there.
fn says_what_from_says(message: &Edited, header: Header<'_>) -> bool {
    let Some(from) = message.from() else {
        return false;
    };
    let mut values = message.values(header).peekable();
    values.peek().is_some()
        && values.all(|value| {
            NameAddr::parse(value).is_some_and(|identity| {
                identity.uri == from.uri && unquoted(identity.display) == unquoted(from.display)
            })
        })
}

fn unquoted(display: &[u8]) -> &[u8] {
    display
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(display)
}

fn slim(message: &mut Edited, how: Slim) {
    if message.has_sdp()
        && let Some(body) = slim_sdp(message.body(), how)
    {
        message.set_body(Bytes::from(body));
    }
}
