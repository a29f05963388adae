//! What the configuration wants of media decides which calls RTPEngine carries, what tokens say of it, and what becomes of keys.

use proxy::media::policy::{Anchor, Dtmf, Policies, Policy, Sections};
use proxy::media::{Ends, Legs};
use proxy::token::{Media, Pass, RecordRouteDevice, Token};
use proxy::{Binding, Decision, Flow};
use sip::Transport;

use crate::kit::*;

const BOB_HOME: &str = "bob@example.test";

fn says_of(anchor: Option<Anchor>) -> Policy {
    Policy {
        anchor,
        ..Policy::default()
    }
}

/// A registrar with RTPEngine, where these sections speak.
fn edge(everywhere: Policy, bob: Policy) -> Edge {
    let mut edge = Edge::registrar().with_media();
    edge.site.policies = Policies::new(Sections {
        everywhere,
        users: vec![("bob".to_owned(), "example.test".to_owned(), bob)],
        ..Sections::default()
    });
    edge
}

fn other_phone() -> Flow {
    flow(UDP, Transport::Udp, "198.51.100.9:5060", None)
}

/// What bob registered at a flow.
fn binding(edge: &Edge, contact: &str, at: &Flow) -> Binding {
    Binding {
        aor: BOB_HOME.into(),
        ..edge.binding(contact, at, BOB)
    }
}

fn audio(address: &str, protocol: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 4000 {protocol} 0\r\n"
    )
}

#[test]
fn rtpengine_carries_the_calls_that_the_stricter_end_wants_it_to() {
    let (public, own) = (
        audio("198.51.100.7", "RTP/AVP"),
        "sip:bob@198.51.100.9:5060",
    );
    let none = Policy::default;
    let bridging = || says_of(Some(Anchor::Bridging));
    for (why, everywhere, bob, offer, contact, at, want) in [
        (
            "nobody says anything",
            none(),
            none(),
            &public,
            own,
            other_phone(),
            true,
        ),
        (
            "two public phones",
            bridging(),
            none(),
            &public,
            own,
            other_phone(),
            false,
        ),
        (
            "only the called says so",
            none(),
            bridging(),
            &public,
            own,
            other_phone(),
            false,
        ),
        (
            "the user's own counts",
            says_of(Some(Anchor::Never)),
            says_of(Some(Anchor::Always)),
            &public,
            own,
            other_phone(),
            true,
        ),
        (
            "never, even to a browser",
            says_of(Some(Anchor::Never)),
            none(),
            &public,
            "sip:bob@x.invalid",
            browser(),
            false,
        ),
        (
            "a browser needs another kind",
            bridging(),
            none(),
            &public,
            "sip:bob@x.invalid",
            browser(),
            true,
        ),
        (
            "the caller is behind NAT",
            bridging(),
            none(),
            &audio("192.168.1.9", "RTP/AVP"),
            own,
            other_phone(),
            true,
        ),
        (
            "the called is behind NAT",
            bridging(),
            none(),
            &public,
            "sip:bob@192.168.1.9:5060",
            other_phone(),
            true,
        ),
        (
            "SRTP towards a plain one",
            bridging(),
            none(),
            &audio("198.51.100.7", "RTP/SAVP"),
            own,
            other_phone(),
            true,
        ),
        (
            "no SDP tells",
            bridging(),
            none(),
            &String::new(),
            own,
            other_phone(),
            true,
        ),
        (
            "one wants a recording",
            bridging(),
            Policy {
                record: Some(true),
                ..none()
            },
            &public,
            own,
            other_phone(),
            true,
        ),
        (
            "one wants telephone events",
            bridging(),
            Policy {
                dtmf: Some(Dtmf::Rfc4733),
                ..none()
            },
            &public,
            own,
            other_phone(),
            true,
        ),
    ] {
        let edge = edge(everywhere, bob);
        let facts = bound(vec![binding(&edge, contact, &at)]);
        let mut request = invite().body(offer);
        if !offer.is_empty() {
            request = request.with("Content-Type", "application/sdp");
        }
        let forwards = edge.forwards(&request.build(), &phone(), &facts);
        assert_eq!(forwards[0].anchored, want, "{why}");
    }
}

/// A request inside a dialog whose token says this of its ends.
fn in_dialog(edge: &Edge, method: &str, ends: Ends, anchored: bool) -> Draft {
    let media = match anchored {
        true => Media {
            node: 1,
            generation: 0,
            pass: Pass::Local,
            ends,
        },
        false => Media::none(Pass::Local),
    };
    let token = Token::RecordRouteDevice(RecordRouteDevice {
        media,
        called: false,
        anonymous: false,
        holder: None,
        towards: Some(proxy::token::Towards {
            listener: UDP,
            node: edge.site.node,
            flow: other_phone().address(),
            device: BOB.0,
        }),
    });
    let text = edge.sealer.seal(&token, Some(CALL.as_bytes()), NOW);
    let route = edge.site.listeners[usize::from(UDP)].route(|to| to.push_str(&text), "");
    inside(method, &route)
}

#[test]
fn a_key_by_info_is_played_for_who_takes_events_and_anything_else_goes_on() {
    let events = Policy {
        dtmf: Some(Dtmf::Rfc4733),
        ..Policy::default()
    };
    let edge = edge(Policy::default(), events);
    let bob = edge
        .site
        .policies
        .number(&proxy::media::ends::Owner::User(BOB_HOME.into()));
    let mut called = Ends::NONE;
    called.called.policy = bob;
    let mut caller = Ends::NONE;
    caller.caller.policy = bob;
    let (relay, key) = ("application/dtmf-relay", "Signal=7\r\nDuration=160\r\n");
    for (why, method, kind, body, ends, anchored, want) in [
        ("a key", "INFO", relay, key, called, true, Some('7')),
        (
            "the other kind",
            "INFO",
            "application/dtmf",
            "#",
            called,
            true,
            Some('#'),
        ),
        (
            "it is the sender who takes events",
            "INFO",
            relay,
            key,
            caller,
            true,
            None,
        ),
        ("nobody does", "INFO", relay, key, Ends::NONE, true, None),
        (
            "RTPEngine does not carry the call",
            "INFO",
            relay,
            key,
            called,
            false,
            None,
        ),
        (
            "no key",
            "INFO",
            "application/media_control+xml",
            "<x/>",
            called,
            true,
            None,
        ),
        ("no INFO", "MESSAGE", relay, key, called, true, None),
    ] {
        let request = in_dialog(&edge, method, ends, anchored)
            .body(body)
            .with("Content-Type", kind);
        let pressed = match edge.decide(&request.build(), &phone(), &nothing()) {
            Decision::Press(pressed) => Some(pressed.key),
            _ => None,
        };
        assert_eq!(pressed, want, "{why}");
    }
}

#[test]
fn a_later_offer_finds_the_policies_of_both_ends_in_its_token() {
    let ptime = |milliseconds| Policy {
        ptime: Some(milliseconds),
        ..Policy::default()
    };
    let edge = edge(ptime(20), ptime(40));
    let mut ends = Ends::NONE;
    ends.called.policy = edge
        .site
        .policies
        .number(&proxy::media::ends::Owner::User(BOB_HOME.into()));
    let request = in_dialog(&edge, "INVITE", ends, true).sdp().build();
    let forwards = edge.forwards(&request, &phone(), &nothing());
    let legs = Legs::of(&forwards[0], &edge.context());
    let of = |leg: &proxy::media::policy::Leg| leg.ptime.as_ref().map(|said| said.value);
    assert_eq!((of(&legs.from), of(&legs.to)), (Some(20), Some(40)));
}
