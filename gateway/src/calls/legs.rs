//! What a BYE of our own needs (RFC 3261 §12.2.1.1), of both sides of a call.
//!
//! Each side is kept as it would speak itself: its tags, the route set from our Record-Route on, the target that it was told, and the
//! number of its last request. So its BYE takes the way of any BYE that comes from it, and what decides about those decides about this.

use proxy::{Device, Flow, Site};
use sip::build::Request;
use sip::{Edited, Header, Message, Method, NameAddr, Uri, View};

/// Bytes that are kept of a call at most; with more nobody hangs up for it.
pub(super) const MOST: usize = 4096;
/// Requests that another node of the cluster may have passed on meanwhile: a UAS takes any number above the last one (§12.2.2).
const UNSEEN: u32 = 100;

/// One side of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Leg {
    /// By which flow it was heard last.
    pub(crate) flow: Flow,
    /// Which device it is, if it is one.
    pub(crate) device: Option<Device>,
    /// From, To, Route and request-URI of its requests.
    from: Box<[u8]>,
    to: Box<[u8]>,
    routes: Box<[u8]>,
    target: Box<[u8]>,
    /// The highest number of a request of its own.
    number: u32,
}

/// A 2xx to an INVITE and what it answers: all that is known of a call when it is up.
pub(crate) struct Answered<'a> {
    /// As it came from the one who asks.
    pub(crate) invite: &'a Message,
    /// By which flow, and who that is.
    pub(crate) source: (Flow, Option<Device>),
    /// As it left for the one who answers.
    pub(crate) sent: &'a Edited,
    /// By which flow, and who that is.
    pub(crate) flow: (Flow, Option<Device>),
    /// The answer as it goes back.
    pub(crate) response: &'a Edited,
}

/// The two sides, the one that asked first.
pub(crate) struct Legs(pub(crate) [Leg; 2]);

impl Legs {
    /// The sides of a call that an INVITE begins; `None` where we are not in its way, or what would be kept is too long.
    pub(crate) fn of(answered: &Answered<'_>, site: &Site) -> Option<Self> {
        let Answered {
            invite,
            source,
            sent,
            flow,
            response,
        } = answered;
        let came = response.original();
        let mut back: Vec<&[u8]> = response.values(Header::RecordRoute).collect();
        back.reverse();
        let asks = Leg {
            flow: source.0,
            device: source.1,
            from: invite.header(Header::From)?.into(),
            to: response.header(Header::To)?.into(),
            routes: from_ours(&back, site)?,
            target: target(*response)?,
            number: invite.cseq()?.number,
        };
        let there: Vec<&[u8]> = sent.values(Header::RecordRoute).collect();
        let answers = Leg {
            flow: flow.0,
            device: flow.1,
            from: came.header(Header::To)?.into(),
            to: sent.header(Header::From)?.into(),
            routes: from_ours(&there, site)?,
            target: target(*sent)?,
            number: 0,
        };
        let legs = Self([asks, answers]);
        (legs.bytes() <= MOST).then_some(legs)
    }

    /// A 2xx to a request that refreshes targets (§12.2.1.2, §12.2.2); `asks` is the side that sent it.
    pub(crate) fn refresh(&mut self, asks: usize, answered: &Answered<'_>) {
        let [one, other] = &mut self.0;
        let (asks, answers) = if asks == 0 {
            (one, other)
        } else {
            (other, one)
        };
        (asks.flow, answers.flow) = (answered.source.0, answered.flow.0);
        let kept = |new: Option<Box<[u8]>>| new.filter(|uri| uri.len() <= MOST / 4);
        // What the one is told is the target of the other's words, and the other way round.
        if let Some(uri) = kept(target(answered.response)) {
            asks.target = uri;
        }
        if let Some(uri) = kept(target(answered.sent)) {
            answers.target = uri;
        }
    }

    /// A request of this number came from a side.
    pub(crate) fn heard(&mut self, side: usize, number: u32) {
        if let Some(leg) = self.0.get_mut(side) {
            leg.number = leg.number.max(number);
        }
    }

    /// Where the two sides are, and which devices.
    pub(super) fn places(&self) -> [(Flow, Option<Device>); 2] {
        self.0.each_ref().map(|leg| (leg.flow, leg.device))
    }

    /// How many bytes are kept.
    pub(super) fn bytes(&self) -> usize {
        let of = |leg: &Leg| leg.from.len() + leg.to.len() + leg.routes.len() + leg.target.len();
        self.0.iter().map(of).sum()
    }
}

impl Leg {
    /// This side's BYE; `via` is ours, and `reason` says why (RFC 3326).
    pub(crate) fn bye(&self, call_id: &[u8], via: &str, reason: &str) -> bytes::Bytes {
        let number = self.number.saturating_add(UNSEEN);
        Request::new(Method::Bye, &self.target)
            .header(Header::Via, via.as_bytes())
            .header(Header::MaxForwards, b"70")
            .header(Header::Route, &self.routes)
            .header(Header::From, &self.from)
            .header(Header::To, &self.to)
            .header(Header::CallId, call_id)
            .header(Header::CSeq, format!("{number} BYE").as_bytes())
            .header(Header::Reason, reason.as_bytes())
            .to_bytes()
    }
}

/// A route set from the value that names us on: what stands before it was taken off on the way to us.
fn from_ours(routes: &[&[u8]], site: &Site) -> Option<Box<[u8]>> {
    let is_ours = |value: &&[u8]| {
        let uri = NameAddr::parse(value).and_then(|route| Uri::parse(route.uri));
        uri.is_some_and(|uri| uri.user.is_some() && site.names_us(&uri))
    };
    let first = routes.iter().position(is_ours)?;
    Some(routes[first..].join(&b", "[..]).into())
}

/// The URI in Contact.
fn target(message: &impl View) -> Option<Box<[u8]>> {
    let contact = message.values(Header::Contact).next()?;
    Some(NameAddr::parse(contact)?.uri.into())
}
