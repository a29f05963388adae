//! SIGNALLING §8: what towards a device does not fit a datagram, and what it loses to fit.

use std::path::Path;

use proxy::Flow;
use proxy::media::lines::reject_surplus;
use proxy::mtu::{Mtu, Saving, Shortened, shorten};
use sdp::Session;
use sip::{Edited, Header, Message};

use crate::kit::*;

fn captured(file: &str) -> Message {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/captured");
    let bytes = std::fs::read(Path::new(root).join(file)).expect(file);
    Message::parse(bytes.into(), &sip::Limits::default()).expect(file)
}

/// The edge with datagrams of that size towards phones, and these savings alone.
fn edge_with(bytes: u16, savings: &[Saving]) -> Edge {
    let mut edge = Edge::registrar().knows(BOB, phone());
    edge.site.listeners[usize::from(UDP)].mtu = Mtu {
        bytes,
        savings: savings.to_vec(),
    };
    edge
}

fn edge() -> Edge {
    edge_with(1500, &Saving::ALL)
}

fn labels(spent: &[Saving]) -> String {
    let labels: Vec<&str> = spent.iter().map(|saving| saving.label()).collect();
    labels.join(" ")
}

/// The copy of a captured INVITE that a phone gets, with the SDP that RTPEngine had made of it.
fn at_phone(edge: &Edge, came: &Message, rewritten: &str, from: &Flow) -> (Message, Shortened) {
    let mut request = Edited::new(came.clone());
    let facts = if *from == core() {
        request.set(Header::Route, edge.path(&phone()).as_bytes());
        nothing()
    } else {
        request.remove(Header::Route);
        let contact = String::from_utf8_lossy(captured(rewritten).uri()).into_owned();
        bound(vec![edge.binding(&contact, &phone(), BOB)])
    };
    let request = parse(&request.to_bytes());
    let mut forward = edge.forwards(&request, from, &facts).remove(0);
    let made = captured(rewritten);
    let mut sdp = Session::parse(made.body()).expect("an SDP");
    reject_surplus(&Session::parse(came.body()).expect("an SDP"), &mut sdp);
    forward.request.set_body(sdp.to_bytes().into());
    let sealed = edge.seal(&forward);
    let shortened = *sealed.shortened.expect("it was too long");
    let bytes = sealed.request.to_bytes();
    assert_eq!(
        bytes.len(),
        shortened.after,
        "what is counted is what leaves"
    );
    assert_eq!(
        bytes,
        edge.seal(&forward).request.to_bytes(),
        "a retransmission is the same"
    );
    (parse(&bytes), shortened)
}

/// Whose INVITE it is, as it came, and with RTPEngine's SDP as the edge of the capture sent it on.
const INVITES: &[(&str, &str, &str, &str)] = &[
    (
        "FreeSWITCH",
        "chain/b1_invite_unstripped/003_reg1_to_edge",
        "chain/b1_invite_unstripped/005_edge_to_device",
        "allow_events agent freeswitch disposition allow identity sdp_implied",
    ),
    (
        "with P-Asserted-Identity",
        "chain/k3_identity_pai_no_privacy/002_reg1_to_edge",
        "chain/k3_identity_pai_no_privacy/003_edge_to_device",
        "allow_events agent freeswitch disposition allow identity sdp_implied",
    ),
    (
        "two alternative lines",
        "chain/f1_offer_two_m_lines/002_reg1_to_edge",
        "chain/f1_offer_two_m_lines/003_edge_to_device",
        "allow_events agent freeswitch disposition allow identity sdp_implied names",
    ),
    (
        "FreeSWITCH's WebRTC",
        "chain/n1_fs_webrtc_offer_unstripped/002_reg1_to_edge",
        "chain/n1_fs_webrtc_offer_unstripped/003_edge_to_device",
        "allow_events agent freeswitch disposition allow identity sdp_foreign sdp_implied",
    ),
    (
        "JsSIP",
        "browser/jssip/invite-audio/04-jssip1-to-edge",
        "browser/jssip/invite-audio/06-edge-to-desk1",
        "agent allow sdp_foreign",
    ),
    (
        "SIP.js",
        "browser/sipjs/invite-audio/04-sipjs1-to-edge",
        "browser/sipjs/invite-audio/06-edge-to-desk1",
        "agent allow sdp_foreign",
    ),
];

#[test]
fn a_captured_invite_reaches_a_phone_in_one_datagram() {
    println!("INVITE                    came  theirs  whole  ours  spent");
    for (who, came, theirs, spent) in INVITES {
        let [came, theirs] = [came, theirs].map(|file| {
            let divider = if file.starts_with("chain") { '_' } else { '-' };
            format!("{file}{divider}INVITE.sip")
        });
        let message = captured(&came);
        let from = if came.starts_with("browser") {
            browser()
        } else {
            core()
        };
        let (left, shortened) = at_phone(&edge(), &message, &theirs, &from);
        println!(
            "{who:25} {:4} {:7} {:6} {:5}  {}",
            message.bytes().len(),
            captured(&theirs).bytes().len(),
            shortened.before,
            shortened.after,
            labels(&shortened.spent)
        );
        assert_eq!(labels(&shortened.spent), *spent, "{who}");
        assert!(left.bytes().len() <= 1300, "{who}: {}", left.bytes().len());
        for header in [
            Header::From,
            Header::To,
            Header::CallId,
            Header::CSeq,
            Header::Contact,
            Header::SessionExpires,
            Header::Supported,
        ] {
            let before = message.header(header);
            assert_eq!(
                left.header(header),
                before,
                "{who}: {}",
                String::from_utf8_lossy(header.name())
            );
        }
    }
}

/// An INVITE of the core that has all that could go, and what must not.
fn laden() -> Draft {
    invite()
        .set("From", "\"Alice\" <sip:alice@example.test>;tag=alice")
        .with("Allow-Events", "talk, hold")
        .with("User-Agent", "FreeSWITCH")
        .with("X-FS-Support", "update_display")
        .with("Content-Disposition", "session")
        .with("Allow", "INVITE, ACK, MESSAGE, BYE, REGISTER, PUBLISH, SUBSCRIBE")
        .with("Remote-Party-ID", "Alice <sip:alice@example.test>;party=calling")
        .with("P-Asserted-Identity", "\"Alice\" <sip:alice@example.test>")
        .with("X-Queue", "7")
        .with("Call-Info", "<sip:x>;answer-after=0")
        .with("Alert-Info", "<urn:alert:x>")
        .with("Diversion", "<sip:carol@example.test>")
        .with("Reason", "SIP;cause=200")
        .with("Session-Expires", "90")
        .with("Require", "timer")
        .with("Content-Type", "application/sdp")
        .with("Organization", &"o".repeat(1500))
        .body("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n\
               a=ssrc:1 cname:x\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")
}

fn as_response(status: u16, draft: &Draft) -> Message {
    let request = draft.build();
    let text = String::from_utf8_lossy(request.bytes()).into_owned();
    let (_, rest) = text.split_once("\r\n").expect("a start line");
    parse(format!("SIP/2.0 {status} Whatever\r\n{rest}").as_bytes())
}

/// What is missing of a message after one saving: lines, without their ends.
fn lost(message: &Message, saving: Saving) -> Vec<String> {
    let edge = edge_with(1500, &[saving]);
    let mut edited = Edited::new(message.clone());
    let shortened = shorten(&mut edited, &phone(), &edge.site).expect("it is too long");
    assert!(shortened.is_too_long(), "one saving is not enough for it");
    let after = String::from_utf8_lossy(&edited.to_bytes()).into_owned();
    let before = String::from_utf8_lossy(message.bytes()).into_owned();
    assert_eq!(
        before.len() - after.len(),
        shortened.before - shortened.after
    );
    let is_gone = |line: &&str| {
        !line.starts_with("Content-Length") && !after.split("\r\n").any(|kept| kept == *line)
    };
    before
        .split("\r\n")
        .filter(is_gone)
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_saving_takes_what_it_says_and_nothing_else() {
    let identities = [
        "Remote-Party-ID: Alice <sip:alice@example.test>;party=calling",
        "P-Asserted-Identity: \"Alice\" <sip:alice@example.test>",
    ];
    let allow = "Allow: INVITE, ACK, MESSAGE, BYE, REGISTER, PUBLISH, SUBSCRIBE";
    let in_dialog = |method: &str| {
        laden()
            .set("CSeq", &format!("1 {method}"))
            .method(method)
            .tagged("bob")
            .build()
    };
    let other_name = laden()
        .set("P-Asserted-Identity", "<sip:carol@example.test>")
        .without("Remote-Party-ID")
        .build();
    let invite = laden().build();
    for (why, message, saving, gone) in [
        (
            "step 1",
            &invite,
            Saving::AllowEvents,
            &["Allow-Events: talk, hold"][..],
        ),
        (
            "step 1",
            &invite,
            Saving::Agent,
            &["User-Agent: FreeSWITCH"],
        ),
        (
            "step 1, in a response",
            &as_response(200, &laden().with("Server", "s")),
            Saving::Agent,
            &["User-Agent: FreeSWITCH", "Server: s"],
        ),
        (
            "step 1",
            &invite,
            Saving::FreeSwitch,
            &["X-FS-Support: update_display"],
        ),
        (
            "what an UPDATE may be for",
            &in_dialog("UPDATE"),
            Saving::FreeSwitch,
            &[],
        ),
        (
            "step 1",
            &invite,
            Saving::Disposition,
            &["Content-Disposition: session"],
        ),
        (
            "only if exactly session",
            &laden().set("Content-Disposition", "early-session").build(),
            Saving::Disposition,
            &[],
        ),
        ("step 2", &invite, Saving::Allow, &[allow]),
        (
            "RFC 3261 §21.4.6: 405 is for its Allow",
            &as_response(405, &laden()),
            Saving::Allow,
            &[],
        ),
        (
            "RFC 6665 §4.2.1.1: 489 is for its Allow-Events",
            &as_response(489, &laden()),
            Saving::AllowEvents,
            &[],
        ),
        (
            "RFC 3261 §11.2: OPTIONS asks for it",
            &as_response(200, &laden().set("CSeq", "1 OPTIONS")),
            Saving::Allow,
            &[],
        ),
        (
            "nothing left would say that nothing is allowed",
            &laden().set("Allow", "MESSAGE").build(),
            Saving::Allow,
            &[],
        ),
        ("step 3", &invite, Saving::Identity, &identities),
        (
            "somebody else is asserted",
            &other_name,
            Saving::Identity,
            &[],
        ),
        (
            "a display update is sent for it",
            &in_dialog("UPDATE"),
            Saving::Identity,
            &[],
        ),
        (
            "an initial INVITE only",
            &in_dialog("INVITE"),
            Saving::Identity,
            &[],
        ),
        (
            "an initial INVITE only",
            &as_response(200, &laden()),
            Saving::Identity,
            &[],
        ),
        (
            "step 4",
            &invite,
            Saving::Extensions,
            &["X-FS-Support: update_display", "X-Queue: 7"],
        ),
        (
            "what a NOTIFY may be for",
            &in_dialog("NOTIFY"),
            Saving::Extensions,
            &[],
        ),
        ("step 5", &invite, Saving::SdpForeign, &["a=ssrc:1 cname:x"]),
        (
            "step 5",
            &invite,
            Saving::SdpImplied,
            &["a=ssrc:1 cname:x", "a=rtpmap:0 PCMU/8000", "a=sendrecv"],
        ),
        (
            "no SDP",
            &laden().set("Content-Type", "text/plain").build(),
            Saving::SdpImplied,
            &[],
        ),
    ] {
        assert_eq!(lost(message, saving), gone, "{why}: {}", saving.label());
    }
    let short = lost(&invite, Saving::Names);
    assert!(
        short.iter().any(|line| line.starts_with("Via:")),
        "{short:?}"
    );
    assert!(
        !short.iter().any(|line| line.starts_with("Max-Forwards:")),
        "{short:?}"
    );
}

#[test]
fn nothing_is_spent_that_is_not_needed() {
    let message = laden().set("Organization", "").build();
    let whole = message.bytes().len();
    for (room, spent) in [
        (0, None),
        (1, Some("allow_events")),
        (27, Some("allow_events agent")),
    ] {
        let mut edge = edge_with(0, &Saving::ALL);
        edge.site.listeners[usize::from(UDP)].mtu.bytes =
            u16::try_from(whole + 200 - room).expect("small");
        let mut edited = Edited::new(message.clone());
        let shortened = shorten(&mut edited, &phone(), &edge.site);
        assert_eq!(
            shortened
                .map(|shortened| labels(&shortened.spent))
                .as_deref(),
            spent,
            "{room}"
        );
    }
}

#[test]
fn only_datagrams_to_devices_have_a_budget() {
    let edge = edge();
    let phone6 = flow(UDP6, sip::Transport::Udp, "[2001:db8::9]:5060", None);
    for (why, is_request, flow, budget) in [
        ("RFC 3261 §18.1.1", true, phone(), Some(1300)),
        ("a response, IPv4", false, phone(), Some(1472)),
        ("RFC 3261 §18.1.1, IPv6", true, phone6, Some(1300)),
        ("a response, IPv6", false, phone6, Some(1452)),
        ("a stream", true, browser(), None),
        ("a stream", false, tcp_phone(), None),
        ("the core", true, core(), None),
        ("the core", false, core(), None),
    ] {
        assert_eq!(
            proxy::mtu::budget(is_request, &flow, &edge.site),
            budget,
            "{why}"
        );
    }
    let pppoe = edge_with(1492, &Saving::ALL);
    assert_eq!(
        proxy::mtu::budget(false, &phone(), &pppoe.site),
        Some(1464),
        "over PPPoE"
    );
    let big = laden().with("Organization", &"o".repeat(3000)).build();
    for flow in [browser(), core()] {
        let mut edited = Edited::new(big.clone());
        assert_eq!(shorten(&mut edited, &flow, &edge.site), None);
        assert_eq!(edited.to_bytes(), *big.bytes(), "nothing is touched");
    }
}

#[test]
fn what_a_device_sends_to_the_core_stays_whole() {
    let edge = Edge::relay();
    let request = laden()
        .without("Diversion")
        .without("Remote-Party-ID")
        .without("P-Asserted-Identity")
        .without("Require")
        .build();
    let passed = edge.sealed(&request, &phone(), &nothing());
    assert_eq!(passed.shortened, None);
    let text = String::from_utf8_lossy(&passed.request.to_bytes()).into_owned();
    for line in [
        "User-Agent: FreeSWITCH",
        "Allow-Events: talk, hold",
        "X-Queue: 7",
        "a=sendrecv",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn a_display_update_keeps_whom_it_names() {
    let edge = edge_with(1100, &Saving::ALL).knows(ALICE, phone());
    let came = captured("chain/d1_update_with_sdp/011_reg2_to_edge_UPDATE.sip");
    let mut request = Edited::new(came);
    let call = String::from_utf8_lossy(request.call_id()).into_owned();
    let route = edge.core_copy_of(&call, &phone(), ALICE, proxy::token::Pass::Up);
    request.set(Header::Route, route.as_bytes());
    let sealed = edge.sealed(&parse(&request.to_bytes()), &core(), &nothing());
    let shortened = sealed.shortened.expect("900 bytes are not enough for it");
    println!("{shortened:?}");
    let left = parse(&sealed.request.to_bytes());
    assert_eq!(
        left.header(Header::PAssertedIdentity),
        Some(&b"\"NewName\" <sip:5551234@10.33.69.154>"[..])
    );
    assert!(labels(&shortened.spent).contains("agent"), "{shortened:?}");
}

#[test]
fn an_answer_that_fits_stays_as_it_is() {
    let edge = edge();
    for file in [
        "browser/jssip/incoming-audio/08-edge-to-desk1-200-INVITE.sip",
        "chain/c1_early_media_183/009_edge_to_caller_INVITE-183.sip",
    ] {
        let message = captured(file);
        assert_eq!(
            shorten(&mut Edited::new(message), &phone(), &edge.site),
            None,
            "{file}"
        );
    }
    // As it came over WSS, without RTPEngine, it is 1531.
    let mut raw = Edited::new(captured(
        "browser/jssip/incoming-audio/07-jssip1-to-edge-200-INVITE.sip",
    ));
    let shortened = shorten(&mut raw, &phone(), &edge.site).expect("more than 1472");
    assert!(!shortened.is_too_long(), "{shortened:?}");
    // FreeSWITCH's late offer in a 200, after RTPEngine: 1866.
    let mut late = Edited::new(captured(
        "chain/f2_late_offer_from_device/006_edge_to_caller_INVITE-200.sip",
    ));
    let shortened = shorten(&mut late, &phone(), &edge.site).expect("more than 1472");
    println!("{shortened:?}");
    assert!(!shortened.is_too_long(), "{shortened:?}");
}
