//! Topology hiding (SIGNALLING §9): each header towards the device and back, and Contacts that lead to a device.

use proptest::prelude::*;
use proxy::Flow;
use proxy::response::pass_on;
use proxy::token::Purpose;
use sip::{Header, Message, NameAddr};

use crate::kit::*;

const VIAS: [&str; 2] = [
    "SIP/2.0/UDP 10.33.69.152:5060;branch=z9hG4bKa895.93a53077.0",
    "SIP/2.0/UDP 10.33.69.154:5080;received=10.33.69.154;rport=5080;branch=z9hG4bKQ1Dj8jDHKQ4BB",
];
const ROUTES: [&str; 2] = [
    "<sip:10.33.69.152;lr;ftag=HpNSr8vraF6Fe>",
    "<sip:10.33.69.155;lr>",
];
const CONTACT: &str = "\"FS, 1\" <sip:mod_sofia@10.33.69.154:5080;transport=udp;x=y>;isfocus";

/// All listeners towards devices hide.
fn edge() -> Edge {
    let mut edge = Edge::relay().knows(BOB, phone()).knows(ALICE, browser());
    edge.site.core = vec!["10.0.0.0/8".parse().unwrap()];
    for listener in &mut edge.site.listeners {
        listener.hides = true;
    }
    edge
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}

/// A request of the core, as it comes through a registrar.
fn of_core(method: &str, route: &str) -> Draft {
    let mut draft = request(method, "sip:bob@192.168.77.5:5060")
        .without("Via")
        .set("Contact", CONTACT)
        .route(route);
    for via in VIAS {
        draft = draft.with("Via", via);
    }
    for route in ROUTES {
        draft = draft.with("Record-Route", route);
    }
    draft
}

fn back(edge: &Edge, response: &Message, by: &Flow) -> Message {
    parse(
        &pass_on(response, by, &edge.context())
            .expect("passes")
            .response
            .to_bytes(),
    )
}

fn uri_of(value: &str) -> String {
    let uri = NameAddr::parse(value.as_bytes()).expect("a name-addr").uri;
    String::from_utf8_lossy(uri).into_owned()
}

fn shows_the_core(message: &Message) -> bool {
    text(message).contains("10.")
}

#[test]
fn a_called_device_sees_one_via_one_record_route_and_a_contact_of_ours() {
    let edge = edge();
    for flow in [phone(), browser(), tcp_phone()] {
        let sent = edge.passes(
            &of_core("INVITE", &edge.path(&flow)).build(),
            &core(),
            &nothing(),
        );
        assert!(!shows_the_core(&sent), "{}", text(&sent));
        assert_eq!(values(&sent, Header::Via).len(), 1);
        assert_eq!(values(&sent, Header::RecordRoute).len(), 1);
        let contact = values(&sent, Header::Contact).remove(0);
        assert!(
            contact.starts_with("\"FS, 1\" <sip:") && contact.ends_with(">;isfocus"),
            "{contact}"
        );

        // RFC 3261 §16.7 steps 3 and 8: the core gets its own back, byte for byte.
        for status in [180, 200, 486] {
            let answer = back(&edge, &response_to(&sent, status).build(), &flow);
            // RFC 3261 §18.2.1 is the one thing that was added on the way in.
            let stamped = format!("{};received=10.0.0.21", VIAS[0]);
            assert_eq!(
                values(&answer, Header::Via),
                [&stamped, VIAS[1]],
                "{status}"
            );
            if status < 300 {
                let routes = values(&answer, Header::RecordRoute);
                assert_eq!(routes[1..], ROUTES, "{status}");
                let bye = edge.says(&inside("BYE", &routes[0]).build(), &core());
                assert!(bye.contains(" down "), "{bye}");
            }
        }
    }
}

#[test]
fn what_a_called_device_sends_back_finds_the_core() {
    let edge = edge();
    let sent = edge.passes(
        &of_core("INVITE", &edge.path(&phone())).build(),
        &core(),
        &nothing(),
    );
    // RFC 3261 §12.1.1: the UAS takes Record-Route as it stands.
    let (route, contact) = (
        values(&sent, Header::RecordRoute).remove(0),
        uri_of(&values(&sent, Header::Contact)[0]),
    );
    for method in ["BYE", "INVITE", "REFER", "ACK", "UPDATE"] {
        let request = request(method, &contact)
            .tagged("core")
            .route(&route)
            .build();
        let passed = edge.passes(&request, &phone(), &nothing());
        assert_eq!(values(&passed, Header::Route), ROUTES, "{method}");
        let uri = String::from_utf8_lossy(passed.uri()).into_owned();
        assert_eq!(
            uri, "sip:mod_sofia@10.33.69.154:5080;transport=udp;x=y",
            "{method}"
        );
        let says = edge.says(&request, &phone());
        assert!(
            says.ends_with("up udp 10.33.69.152:5060"),
            "{method}: {says}"
        );
    }
    // The other dialog's token is none here: its Call-ID is in it.
    let stolen = request("BYE", &contact)
        .set("Call-ID", "call-2")
        .tagged("core")
        .route(&route);
    assert_eq!(edge.says(&stolen.build(), &phone()), "403 foreign_token");
}

#[test]
fn a_calling_device_sees_no_more_and_its_requests_find_the_core() {
    let edge = edge();
    let sent = edge.passes(&invite().build(), &phone(), &nothing());
    for status in [183, 200] {
        // The registrars' values stand before ours.
        let mut draft = response_to(&sent, status)
            .without("Record-Route")
            .set("Contact", CONTACT);
        for value in ROUTES.iter().copied().chain(
            values(&sent, Header::RecordRoute)
                .iter()
                .map(String::as_str),
        ) {
            draft = draft.with("Record-Route", value);
        }
        let draft = draft.with("Warning", "392 10.33.69.152:5060 \"Noisy feedback\"");
        let answer = back(&edge, &draft.build(), &core());
        assert!(!shows_the_core(&answer), "{}", text(&answer));
        let route = values(&answer, Header::RecordRoute);
        assert_eq!(route.len(), 1, "{status}");
        // RFC 3261 §12.1.2: the UAC takes them the other way round.
        let contact = uri_of(&values(&answer, Header::Contact)[0]);
        let bye = request("BYE", &contact)
            .tagged("core")
            .route(&route[0])
            .build();
        let passed = edge.passes(&bye, &phone(), &nothing());
        assert_eq!(
            values(&passed, Header::Route),
            [ROUTES[1], ROUTES[0]],
            "{status}"
        );
        assert_eq!(
            edge.says(&bye, &phone()),
            "relay up udp 10.33.69.155:5060",
            "{status}"
        );
    }
}

#[test]
fn answers_to_a_device_name_the_core_nowhere() {
    let edge = edge();
    for (why, method, status, header, value) in [
        (
            "RFC 3327 §5.3: the Path of its REGISTER",
            "REGISTER",
            200,
            "Path",
            "<sip:x@10.0.0.10;lr>",
        ),
        (
            "RFC 3608",
            "REGISTER",
            200,
            "Service-Route",
            "<sip:10.33.69.152;lr>",
        ),
        (
            "a Contact of a redirection",
            "INVITE",
            302,
            "Contact",
            "<sip:9196@10.33.69.154>",
        ),
        (
            "one of a failure",
            "INVITE",
            485,
            "Contact",
            "sip:bob@10.33.69.154;x=y",
        ),
        (
            "Record-Route without ours",
            "INVITE",
            200,
            "Record-Route",
            "<sip:10.33.69.152;lr>",
        ),
        (
            "Record-Route of a failure",
            "INVITE",
            486,
            "Record-Route",
            "<sip:10.33.69.152;lr>",
        ),
        (
            "RFC 3261 §20.43",
            "OPTIONS",
            200,
            "Warning",
            "399 10.33.69.152 \"x\"",
        ),
    ] {
        let sent = edge.passes(
            &request(method, "sip:bob@example.test").build(),
            &phone(),
            &nothing(),
        );
        let draft = response_to(&sent, status)
            .without("Record-Route")
            .without("Contact");
        let answer = back(&edge, &draft.with(header, value).build(), &core());
        assert!(!shows_the_core(&answer), "{why}: {}", text(&answer));
        if header == "Contact" {
            assert_eq!(values(&answer, Header::Contact).len(), 1, "{why}");
        }
    }
}

/// A Contact of the core as a device knows it.
fn hidden_contact(edge: &Edge) -> String {
    let sent = edge.passes(
        &of_core("INVITE", &edge.path(&phone())).build(),
        &core(),
        &nothing(),
    );
    uri_of(&values(&sent, Header::Contact)[0])
}

#[test]
fn a_hidden_contact_is_honoured_where_devices_quote_it() {
    let edge = edge();
    let token = hidden_contact(&edge);
    let core_uri = "sip:mod_sofia@10.33.69.154:5080;transport=udp;x=y";
    for (why, draft, header, want) in [
        (
            "SIGNALLING §9: Refer-To, the headers in it kept",
            request("REFER", "sip:bob@example.test").with(
                "Refer-To",
                &format!("<{token}?Replaces=c1%3Bto-tag%3D1%3Bfrom-tag%3D2>"),
            ),
            Header::ReferTo,
            format!("<{core_uri}?Replaces=c1%3Bto-tag%3D1%3Bfrom-tag%3D2>"),
        ),
        (
            "with a name, in the compact form",
            request("REFER", "sip:bob@example.test").with("r", &format!("\"B\" <{token}>;x=y")),
            Header::ReferTo,
            format!("\"B\" <{core_uri}>;x=y"),
        ),
        (
            "somebody else's stays",
            request("REFER", "sip:bob@example.test").with("Refer-To", "<sip:carol@example.test>"),
            Header::ReferTo,
            "<sip:carol@example.test>".to_owned(),
        ),
    ] {
        let passed = edge.passes(&draft.build(), &phone(), &nothing());
        assert_eq!(values(&passed, header), [want], "{why}");
    }
    // The INVITE with Replaces of a transfer: out of dialog, so it goes the configured way.
    let invite = request("INVITE", &token)
        .with("Replaces", "c1;to-tag=1;from-tag=2")
        .build();
    let passed = edge.passes(&invite, &phone(), &nothing());
    assert_eq!(passed.uri(), core_uri.as_bytes());
    assert_eq!(
        values(&passed, Header::Other(b"Replaces")),
        ["c1;to-tag=1;from-tag=2"]
    );
    assert_eq!(edge.says(&invite, &phone()), "relay up udp 10.0.0.21:5060");

    // A 302 of a device that names it.
    let sent = edge.passes(
        &of_core("INVITE", &edge.path(&phone())).build(),
        &core(),
        &nothing(),
    );
    let moved = response_to(&sent, 302)
        .set("Contact", &format!("<{token}>"))
        .build();
    assert_eq!(
        values(&back(&edge, &moved, &phone()), Header::Contact),
        [format!("<{core_uri}>")]
    );
}

#[test]
fn what_is_no_token_of_a_contact_stays_what_it_is() {
    let edge = edge();
    let token = hidden_contact(&edge);
    let forged = token.replacen("sip:", "sip:A", 1);
    let elsewhere = token.split_once('@').unwrap().0.to_owned() + "@other.example.net";
    let a_path = uri_of(&edge.path(&phone()));
    for uri in [forged, elsewhere, a_path, "sip:bob@203.0.113.10".to_owned()] {
        let refer = request("REFER", "sip:bob@example.test")
            .with("Refer-To", &format!("<{uri}>"))
            .build();
        let passed = edge.passes(&refer, &phone(), &nothing());
        assert_eq!(values(&passed, Header::ReferTo), [format!("<{uri}>")]);
    }
}

#[test]
fn nothing_is_hidden_from_the_core_nor_without_the_setting() {
    let edge = edge();
    let up = edge.passes(&invite().build(), &phone(), &nothing());
    assert_eq!(
        values(&up, Header::Contact),
        ["<sip:alice@192.168.1.9:5060>"]
    );
    assert_eq!(values(&up, Header::Via).len(), 2);

    let open = Edge::relay().knows(BOB, phone());
    let sent = open.passes(
        &of_core("INVITE", &open.path(&phone())).build(),
        &core(),
        &nothing(),
    );
    assert_eq!(values(&sent, Header::Via).len(), 3);
    assert_eq!(values(&sent, Header::RecordRoute).len(), 3);
    assert_eq!(values(&sent, Header::Contact), [CONTACT]);
}

#[test]
fn a_group_that_routes_by_contact_gets_one_that_leads_to_the_device() {
    let mut edge = Edge::relay().knows(BOB, browser());
    edge.site.groups[0].contact_token = true;
    let private = "sip:bob@192.168.77.5:5060";
    // Of a calling device, and of one that is called.
    let up = edge.passes(&invite().build(), &browser(), &nothing());
    let called = of_core("INVITE", &edge.path(&browser())).build();
    let sent = edge.passes(&called, &core(), &nothing());
    let answer = back(&edge, &response_to(&sent, 200).build(), &browser());
    for (contact, own) in [
        (
            values(&up, Header::Contact).remove(0),
            "sip:alice@192.168.1.9:5060",
        ),
        (values(&answer, Header::Contact).remove(0), private),
    ] {
        assert!(
            contact.contains("@10.0.0.10"),
            "our core address: {contact}"
        );
        let uri = uri_of(&contact);
        let plain = request("INVITE", &uri).build();
        let in_dialog = request("BYE", &uri).tagged("bob");
        for (why, request, by, want) in [
            ("out of dialog", &plain, core(), "start down connection 31"),
            (
                "in one, without its Route",
                &in_dialog.build(),
                core(),
                "start down connection 31",
            ),
            (
                "with it",
                &in_dialog
                    .clone()
                    .route(&edge.core_copy(&browser(), BOB, proxy::token::Pass::Up))
                    .build(),
                core(),
                "start down connection 31",
            ),
            (
                "SIGNALLING §1: no device calls another by it",
                &plain,
                phone(),
                "relay up udp 10.0.0.21:5060",
            ),
        ] {
            assert_eq!(edge.says(request, &by), want, "{why}");
            if by == core() {
                assert_eq!(
                    edge.passes(request, &by, &nothing()).uri(),
                    own.as_bytes(),
                    "{why}"
                );
            }
        }
    }
    assert!(edge.sealer.open(Purpose::Contact, b"x", None, NOW).is_err());
    // Not in a REGISTER, and not for another group.
    let register = request("REGISTER", "sip:example.test").build();
    let passed = edge.passes(&register, &browser(), &nothing());
    assert_eq!(
        values(&passed, Header::Contact),
        ["<sip:alice@192.168.1.9:5060>"]
    );
    let other = request("INVITE", "sip:771@example.test").build();
    let passed = edge.passes(&other, &browser(), &nothing());
    assert_eq!(
        values(&passed, Header::Contact),
        ["<sip:alice@192.168.1.9:5060>"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_hidden_comes_back_byte_for_byte(
        vias in proptest::collection::vec("SIP/2\\.0/(UDP|TCP) 10\\.[0-9]{1,2}\\.1\\.[1-9](:[1-9][0-9]{3})?;branch=z9hG4bK[a-z0-9.]{1,40}(;rport=[0-9]{4}|;x=\"a, b\")?", 1..6),
        routes in proptest::collection::vec("(\"a, b\" )?<sip:([a-z0-9]{1,20}@)?10\\.0\\.[0-9]\\.[1-9];lr(;did=[a-z0-9.]{1,9})?>(;z=1)?", 0..5),
        user in "[a-z0-9%;=.]{1,60}",
    ) {
        let edge = edge();
        let mut draft = request("INVITE", "sip:bob@192.168.77.5:5060").without("Via").route(&edge.path(&phone()));
        let contact = format!("<sip:{}@10.1.1.1:5080>", user.replace('%', "%41"));
        draft = draft.set("Contact", &contact);
        for via in &vias {
            draft = draft.with("Via", via);
        }
        for route in &routes {
            draft = draft.with("Record-Route", route);
        }
        let open = Edge::relay().knows(BOB, phone());
        let shown = open.passes(&draft.build(), &core(), &nothing());
        let sent = edge.passes(&draft.build(), &core(), &nothing());
        prop_assert!(!shows_the_core(&sent));
        let answer = back(&edge, &response_to(&sent, 200).build(), &phone());
        prop_assert_eq!(&values(&answer, Header::Via), &values(&shown, Header::Via)[1..]);
        prop_assert_eq!(&values(&answer, Header::RecordRoute)[1..], &routes[..]);
        let target = uri_of(&values(&sent, Header::Contact)[0]);
        let own = values(&sent, Header::RecordRoute).remove(0);
        let bye = edge.passes(&request("ACK", &target).tagged("x").route(&own).build(), &phone(), &nothing());
        prop_assert_eq!(&values(&bye, Header::Route), &routes);
        let uri = uri_of(&contact);
        prop_assert_eq!(bye.uri(), uri.as_bytes());
    }
}
