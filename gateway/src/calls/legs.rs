//! What a BYE of our own needs (RFC 3261 §12.2.1.1), of both sides of a call.
//!
//! Each side is kept as it would speak itself: its tags, the route set from our Record-Route on, the target that it was told, and the
//! number of its last request. So its BYE takes the way of any BYE that comes from it, and what decides about those decides about this.

use proxy::{Device, Flow};
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
    /// The sides of a call that an INVITE begins; `None` where we are not in its way, or what would be kept is too long. `is_ours`
    /// says of a URI that it names us.
    pub(super) fn of(answered: &Answered<'_>, is_ours: impl Fn(&Uri<'_>) -> bool) -> Option<Self> {
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
            routes: from_ours(&back, &is_ours)?,
            target: target(*response)?,
            number: invite.cseq()?.number,
        };
        let there: Vec<&[u8]> = sent.values(Header::RecordRoute).collect();
        let answers = Leg {
            flow: flow.0,
            device: flow.1,
            from: came.header(Header::To)?.into(),
            to: sent.header(Header::From)?.into(),
            routes: from_ours(&there, &is_ours)?,
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
fn from_ours(routes: &[&[u8]], is_ours: impl Fn(&Uri<'_>) -> bool) -> Option<Box<[u8]>> {
    let has_token = |value: &&[u8]| {
        let uri = NameAddr::parse(value).and_then(|route| Uri::parse(route.uri));
        uri.is_some_and(|uri| uri.user.is_some() && is_ours(&uri))
    };
    let first = routes.iter().position(has_token)?;
    Some(routes[first..].join(&b", "[..]).into())
}

/// The URI in Contact.
fn target(message: &impl View) -> Option<Box<[u8]>> {
    let contact = message.values(Header::Contact).next()?;
    Some(NameAddr::parse(contact)?.uri.into())
}

#[cfg(test)]
mod tests {
    use proxy::ListenerId;
    use sip::{Limits, Transport};

    use super::*;

    fn message(text: &str) -> Message {
        let text = text.replace('\n', "\r\n");
        Message::parse(text.into_bytes().into(), &Limits::default()).unwrap()
    }

    fn flow(port: u16) -> Flow {
        Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            local: ([192, 0, 2, 1], 5060).into(),
            peer: ([192, 0, 2, 2], port).into(),
            connection: None,
        }
    }

    /// INVITE as it came from a member behind another proxy, as it left for the device, and the 200 as it goes back.
    fn call(number: u32, more: &str, contacts: [&str; 2], to_tag: &str) -> [Edited; 3] {
        let tail = format!("Call-ID: c\nCSeq: {number} INVITE\n");
        let invite = format!(
            "INVITE sip:b@d SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\n{more}From: <sip:a@h>;tag=a\nTo: <sip:b@h>{to_tag}\n\
             {tail}Contact: <{}>\nContent-Length: 0\n\n",
            contacts[0]
        );
        let ours = "Record-Route: <sip:ours-to-b@edge;lr>\nVia:";
        let sent = invite.replacen("Via:", ours, 1);
        let answer = format!(
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nRecord-Route: <sip:ours-to-a@edge;lr>\n{more}From: <sip:a@h>;tag=a\n\
             To: <sip:b@h>;tag=b\n{tail}Contact: <{}>\nContent-Length: 0\n\n",
            contacts[1]
        );
        [invite, sent, answer].map(|text| Edited::new(message(&text)))
    }

    fn answered(messages: &[Edited; 3], ports: [u16; 2]) -> Answered<'_> {
        Answered {
            invite: messages[0].original(),
            source: (flow(ports[0]), None),
            sent: &messages[1],
            flow: (flow(ports[1]), None),
            response: &messages[2],
        }
    }

    fn legs(messages: &[Edited; 3]) -> Option<Legs> {
        Legs::of(&answered(messages, [1, 2]), |uri| uri.host == b"edge")
    }

    fn bye(legs: &Legs, side: usize) -> String {
        let bytes = legs.0[side].bye(b"c", "SIP/2.0/UDP edge;branch=z9hG4bKbye", "Q.850;cause=41");
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn each_side_says_bye_by_its_own_routes_tags_and_numbers() {
        let proxied = "Record-Route: <sip:other@proxy;lr>\n";
        let begun = call(7, proxied, ["sip:a@pc", "sip:b@phone"], "");
        let mut legs = legs(&begun).unwrap();
        let (of_caller, of_called) = (bye(&legs, 0), bye(&legs, 1));
        for (why, text, wants) in [
            (
                "RFC 3261 §12.1.2: the route set of who calls is turned round, and what stands before us is not ours to say",
                &of_caller,
                [
                    "BYE sip:b@phone SIP/2.0\r\n",
                    "\r\nRoute: <sip:ours-to-a@edge;lr>\r\n",
                    "\r\nFrom: <sip:a@h>;tag=a\r\nTo: <sip:b@h>;tag=b\r\n",
                    "\r\nCSeq: 107 BYE\r\n",
                ],
            ),
            (
                "RFC 3261 §12.1.1: that of who is called is as it came",
                &of_called,
                [
                    "BYE sip:a@pc SIP/2.0\r\n",
                    "\r\nRoute: <sip:ours-to-b@edge;lr>, <sip:other@proxy;lr>\r\n",
                    "\r\nFrom: <sip:b@h>;tag=b\r\nTo: <sip:a@h>;tag=a\r\n",
                    "\r\nCSeq: 100 BYE\r\n",
                ],
            ),
        ] {
            for want in wants {
                assert!(text.contains(want), "{why}: no {want:?} in {text}");
            }
        }

        // A re-INVITE of the caller from another place, and an INFO of the other side.
        let moved = call(9, proxied, ["sip:a@elsewhere", "sip:b@phone2"], ";tag=b");
        legs.heard(0, 9);
        legs.heard(1, 55);
        legs.refresh(0, &answered(&moved, [3, 4]));
        let (of_caller, of_called) = (bye(&legs, 0), bye(&legs, 1));
        assert!(of_caller.starts_with("BYE sip:b@phone2 ") && of_caller.contains("CSeq: 109 BYE"));
        assert!(
            of_called.starts_with("BYE sip:a@elsewhere ") && of_called.contains("CSeq: 155 BYE")
        );
        assert!(
            of_caller.contains("Route: <sip:ours-to-a@edge;lr>\r\n"),
            "a route set stays"
        );
        assert_eq!(legs.places().map(|(flow, _)| flow.peer.port()), [3, 4]);
    }

    #[test]
    fn nothing_is_kept_of_a_call_that_is_not_ours_or_too_long() {
        let ours = call(1, "", ["sip:a@pc", "sip:b@phone"], "");
        assert!(Legs::of(&answered(&ours, [1, 2]), |_| false).is_none());
        let long = "Record-Route: <sip:other@proxy;lr>\n".repeat(MOST / 20);
        assert!(legs(&call(1, &long, ["sip:a@pc", "sip:b@phone"], "")).is_none());
    }
}
