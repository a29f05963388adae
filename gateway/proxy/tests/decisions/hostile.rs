//! What a hostile device tries, each row a hole that somebody's edge has had.

use proxy::key::Keys;
use proxy::response::pass_on;
use proxy::site::Site;
use proxy::{Bindings, Facts, device};

use crate::kit::*;

#[test]
fn a_response_that_two_elements_read_differently_goes_no_further() {
    let edge = Edge::relay().knows(BOB, browser());
    let invite = request("INVITE", "sip:x@y.invalid").route(&edge.path(&browser()));
    let sent = edge.passes(&invite.build(), &core(), &nothing());
    let says = |response: Draft| match pass_on(&response.build(), &browser(), &edge.context()) {
        Ok(_) => "passes",
        Err(reason) => reason.label(),
    };
    let answer = || response_to(&sent, 200);
    for (why, response, want) in [
        ("an ordinary one", answer(), "passes"),
        (
            "sofia ends a line at CR alone: an identity that nobody took off",
            answer().with("Subject", "x\rP-Asserted-Identity: <sip:ceo@example.test>"),
            "stray_response",
        ),
        (
            "and a head at two: a request of the core's own edge",
            answer().with("Subject", "x\r\r\rINVITE sip:0900@10.0.0.21 SIP/2.0"),
            "stray_response",
        ),
        (
            "LF alone",
            answer().with("Subject", "x\nP-Asserted-Identity: <sip:ceo@example.test>"),
            "stray_response",
        ),
        (
            "a second CSeq",
            answer().with("CSeq", "1 REGISTER"),
            "stray_response",
        ),
        (
            "a second Call-ID",
            answer().with("i", "another"),
            "stray_response",
        ),
        (
            "a second Content-Type",
            answer().sdp().with("c", "text/plain"),
            "stray_response",
        ),
        ("no To", answer().without("To"), "stray_response"),
        (
            "§7.2: a class that is none",
            response_to(&sent, 700),
            "stray_response",
        ),
    ] {
        assert_eq!(says(response), want, "{why}");
    }
}

#[test]
fn a_token_of_an_earlier_call_begins_no_new_one() {
    let edge = Edge::relay().knows(BOB, browser());
    let again = |to: &str| {
        request("INVITE", "sip:bob@192.168.77.5:5060")
            .set("From", "<sip:ceo@example.test>;tag=x")
            .set("To", to)
            .route(&edge.local_copy(UDP, false, &browser(), BOB))
            .build()
    };
    for (why, to, want) in [
        (
            "inside its dialog",
            "<sip:bob@example.test>;tag=bob",
            "start local connection 31",
        ),
        ("no tag", "<sip:bob@example.test>", "403 foreign_token"),
        (
            "a tag that is none: whoever reads it so rings",
            "<sip:bob@example.test>;tag=",
            "403 foreign_token",
        ),
        ("nothing", "<sip:bob@example.test>;tag", "403 foreign_token"),
        (
            "quotes",
            "<sip:bob@example.test>;tag=\"\"",
            "403 foreign_token",
        ),
        (
            "the tag of a URI is no tag of To",
            "<sip:bob@example.test;tag=bob>",
            "403 foreign_token",
        ),
        (
            "the first of two counts for some, the last for others",
            "<sip:bob@example.test>;tag=bob;tag=",
            "403 foreign_token",
        ),
    ] {
        assert_eq!(edge.says(&again(to), &phone()), want, "{why}");
    }
}

#[test]
fn a_device_opens_no_stream_to_what_does_not_speak_sip() {
    let edge = Edge::relay();
    let inside = |uri: &str| {
        request("BYE", uri)
            .tagged("bob")
            .route(&edge.device_copy(false))
            .body("FLUSHALL\r\n")
            .build()
    };
    for (why, uri, want) in [
        (
            "a member's port",
            "sip:gw@10.0.0.41;transport=tcp",
            "start up tcp 10.0.0.41:5060",
        ),
        (
            "FreeSWITCH's second profile",
            "sip:gw@10.0.0.77:5080;transport=tcp",
            "start up tcp 10.0.0.77:5080",
        ),
        (
            "Redis takes a body for commands",
            "sip:gw@10.0.0.77:6379;transport=tcp",
            "403 foreign_route",
        ),
        (
            "an HTTP API of the core",
            "sip:gw@10.0.0.77:80;transport=ws",
            "403 foreign_route",
        ),
        (
            "SMTP",
            "sip:gw@10.0.0.21:25;transport=tcp",
            "403 foreign_route",
        ),
        (
            "UDP has a Contact of any port",
            "sip:gw@10.0.0.77:49152",
            "relay up udp 10.0.0.77:49152",
        ),
    ] {
        assert_eq!(edge.says(&inside(uri), &phone()), want, "{why}");
    }
}

#[test]
fn what_stands_behind_a_member_in_a_devices_route_leads_into_the_core_too() {
    let edge = Edge::relay();
    for (why, further, want) in [
        (
            "RFC 3608: a Service-Route of two",
            "<sip:10.0.0.99;lr>",
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "the member would follow it: it trusts us",
            "<sip:192.0.2.66;lr>",
            "403 foreign_route",
        ),
        (
            "a name leads anywhere",
            "<sip:evil.example;lr>",
            "403 foreign_route",
        ),
        ("nobody can tell", "nonsense", "403 foreign_route"),
    ] {
        let request = invite().route("<sip:10.0.0.21;lr>").route(further);
        assert_eq!(edge.says(&request.build(), &phone()), want, "{why}");
    }
}

#[test]
fn who_shows_no_credentials_does_not_learn_who_is_a_user() {
    let edge = Edge::registrar();
    let facts = |bindings| Facts {
        bindings: Some(bindings),
        ..Facts::default()
    };
    for (why, bindings) in [
        ("no such user", Bindings::NoUser),
        ("not registered", Bindings::Devices(Vec::new())),
    ] {
        let says =
            |request: Draft| edge.says_with(&request.build(), &phone(), &facts(bindings.clone()));
        assert_eq!(says(invite()), "ask sender", "{why}");
        assert_eq!(
            says(request("CANCEL", "sip:bob@example.test")),
            "481 no_transaction",
            "RFC 3261 §22.1: a CANCEL cannot show any: {why}"
        );
    }
}

#[test]
fn nobody_can_look_for_an_instance_id_that_has_anothers_name() {
    let name = |key| {
        let site = Site {
            device_key: key,
            ..registrar_site()
        };
        device::of(
            &site,
            b"bob@example.test",
            Some(b"\"<urn:uuid:1>\""),
            b"sip:bob@192.0.2.1",
        )
    };
    assert_eq!(name((1, 2)), name((1, 2)), "the same on all nodes");
    assert_ne!(
        name((1, 2)),
        name((1, 3)),
        "and no other cluster's, nor a guess"
    );
    let keys = |byte| Keys::single([byte; 32]).hash_key("causeway device");
    assert_eq!(keys(7), keys(7));
    assert_ne!(keys(7), keys(8));
    let rolled = |text: &str| Keys::parse(text).unwrap().hash_key("causeway device");
    let (old, new) = ("0".repeat(64), "1".repeat(64));
    assert_eq!(
        rolled(&format!("0 {old} 0 0")),
        rolled(&format!("0 {old} 0 0\n1 {new} 1000 2000")),
        "a key that is rolled in changes no name"
    );
}

#[test]
fn a_device_does_not_make_the_edge_speak_to_itself() {
    let takes = |bind: &str, to: &str| {
        let mut edge = Edge::relay();
        edge.site.listeners[usize::from(CORE)].bind = bind.parse().expect("an address");
        edge.site.own = vec!["10.0.0.10".parse().expect("an address")];
        let to = to.parse().expect("an address");
        edge.site.takes_from_devices(sip::Transport::Udp, to)
    };
    for (why, bind, to, want) in [
        (
            "where the core side is bound",
            "10.0.0.10:5070",
            "10.0.0.10:5070",
            false,
        ),
        (
            "it is bound to all, and this is one",
            "0.0.0.0:5070",
            "10.0.0.10:5070",
            false,
        ),
        (
            "another port of this machine",
            "0.0.0.0:5070",
            "10.0.0.10:5080",
            true,
        ),
        ("another machine", "0.0.0.0:5070", "10.0.0.21:5070", true),
    ] {
        assert_eq!(takes(bind, to), want, "{why}");
    }
}

#[test]
fn a_device_says_nothing_that_only_the_core_may_say() {
    let edge = Edge::relay();
    let headers = [
        ("P-Asserted-Identity", "<sip:ceo@example.test>"),
        ("p-asserted-identity ", "<sip:ceo@example.test>"),
        ("Remote-Party-ID", "<sip:ceo@example.test>"),
        ("Diversion", "<sip:ceo@example.test>"),
        ("History-Info", "<sip:ceo@example.test>;index=1"),
        ("P-Served-User", "<sip:ceo@example.test>"),
        ("P-Asserted-Service", "urn:urn-7:3gpp-service.x"),
        ("P-Charging-Vector", "icid-value=1"),
        ("P-Charging-Function-Addresses", "ccf=192.0.2.1"),
        ("X-AUTH-IP", "10.0.0.41"),
        ("x-auth-port", "47114"),
    ];
    for (name, value) in headers {
        let request = invite().with(name, value);
        let says = |from: &proxy::Flow| {
            let sent = edge.sealed(&request.build(), from, &nothing());
            let text = sent.request.to_bytes();
            memchr::memmem::find(&text, value.as_bytes()).is_some()
        };
        assert!(!says(&phone()), "{name}");
    }
    let kept = invite().with("P-Preferred-Identity", "<sip:alice@example.test>");
    let sent = edge.passes(&kept.build(), &phone(), &nothing());
    let mut lines = sent.all_lines();
    assert!(lines.any(|(name, _)| name.name() == b"P-Preferred-Identity"));
}

#[test]
fn a_call_is_no_way_round_the_registrar() {
    let edge = Edge::relay();
    let inside = |method: &str, uri: &str| {
        request(method, uri)
            .tagged("bob")
            .route(&edge.device_copy(false))
    };
    let alias = Facts {
        addresses: vec![located("alias.example", None, &["10.0.0.10:5060"])],
        ..Facts::default()
    };
    for (why, request, want) in [
        (
            "an ordinary request",
            inside("INFO", "sip:gw@10.0.0.21"),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "a REGISTER without our Path: the core would call whatever its own Path names",
            inside("REGISTER", "sip:10.0.0.21").with("Path", "<sip:192.0.2.66;lr>"),
            "403 foreign_token",
        ),
        (
            "ourselves: it would come back by the side that is trusted",
            inside("MESSAGE", "sip:bob@10.0.0.10"),
            "403 foreign_route",
        ),
        (
            "by a name that we do not know for ours",
            inside("MESSAGE", "sip:bob@alias.example"),
            "403 foreign_route",
        ),
        (
            "and by a Route",
            inside("MESSAGE", "sip:bob@10.0.0.21").route("<sip:alias.example;lr>"),
            "403 foreign_route",
        ),
    ] {
        assert_eq!(
            edge.says_with(&request.build(), &phone(), &alias),
            want,
            "{why}"
        );
    }
}

#[test]
fn thousands_of_values_cost_no_more_than_reading_them() {
    let mut edge = Edge::relay().knows(BOB, phone());
    for listener in &mut edge.site.listeners {
        listener.hides = true;
    }
    let many = |one: &str| vec![one; 60_000 / (one.len() + 1)].join(",");
    let routes = |count: usize| {
        let all = vec!["<sip:203.0.113.10;lr>"; count].join(",");
        edge.says(&invite().with("Route", &all).build(), &phone())
    };
    assert_eq!(routes(70), "relay up udp 10.0.0.21:5060");
    assert_eq!(
        routes(2500),
        "400 malformed",
        "each of ours is taken off with a walk through the rest"
    );

    // A party of a call answers 302; the other side's edge folds, and this one puts back.
    let sent = edge.passes(&invite().build(), &phone(), &nothing());
    let moved = response_to(&sent, 302).with("Contact", &many("<sip:a@b>"));
    let passed = pass_on(&moved.build(), &core(), &edge.context()).expect("passes");
    let contacts = passed.response.values(sip::Header::Contact);
    assert_eq!(contacts.count(), 32, "folded, and no more of them");

    let called = request("INVITE", "sip:x@y.invalid").route(&edge.path(&phone()));
    let sent = edge.passes(&called.build(), &core(), &nothing());
    let moved = response_to(&sent, 302).with("Contact", &many("a"));
    assert!(pass_on(&moved.build(), &phone(), &edge.context()).is_ok());
    let refer = request("REFER", "sip:x@y").with("Refer-To", &many("a"));
    edge.says(&refer.build(), &phone());
}
