//! A registrar behind edges: whose requests come through them, who has to prove what, and in which way it stays
//! (SIGNALLING §2, §4, §7).

use proxy::edge::address_of_user;
use proxy::site::{Match, Route, Side, To};
use proxy::token::Pass;
use proxy::{Device, Flow};
use sip::{Header, Transport};

use crate::kit::*;

/// A registrar that two edges bring users to. Users that begin with 9 are in group 0, whoever calls them.
fn behind_edges() -> Edge {
    let mut edge = Edge::registrar();
    edge.site.listeners[usize::from(CORE)].edges = vec!["10.0.0.150/31".parse().unwrap()];
    let when = Match {
        side: Some(Side::Core),
        edges: true,
        prefix: Some("9".to_owned()),
        ..Match::default()
    };
    edge.site.routes.push(Route {
        when,
        to: To::Group(0),
    });
    edge
}

fn edge_one() -> Flow {
    flow(CORE, Transport::Udp, "10.0.0.150:5060", None)
}

/// As the edge passes it on: its own Via on top of the stamped one.
fn through_edge(draft: &Draft) -> Draft {
    draft.clone().set("Via", "SIP/2.0/UDP 10.0.0.150;branch=z9hG4bKedge, SIP/2.0/UDP 192.168.1.9:5060;rport=40000;received=198.51.100.7;branch=z9hG4bKa")
}

/// Where a user behind an edge is registered.
fn bound_at(edge: &str) -> proxy::Facts {
    bound(vec![proxy::Binding {
        contact: b"sip:bob@192.168.77.5:5060".to_vec(),
        path: vec![format!("<sip:TOKEN@{edge};lr;ob>").into_bytes()],
        device: Device([3; 4]),
        ..proxy::Binding::default()
    }])
}

#[test]
fn what_an_edge_brings_is_of_users_and_what_the_core_brings_is_not() {
    let edge = behind_edges();
    let to_core = request("INVITE", "sip:911@example.test");
    for (why, request, flow, facts, want) in [
        (
            "a user calls a user",
            invite(),
            edge_one(),
            nothing(),
            "ask sender",
        ),
        (
            "or the core",
            to_core.clone(),
            edge_one(),
            nothing(),
            "ask sender",
        ),
        (
            "he has proven it",
            to_core.clone(),
            edge_one(),
            authenticated(),
            "through udp 10.0.0.21:5060",
        ),
        (
            "the core calls a user",
            invite(),
            core(),
            nothing(),
            "ask bindings bob@example.test",
        ),
        (
            "by the stored Path",
            invite(),
            core(),
            bound_at("10.0.0.151"),
            "through udp 10.0.0.151:5060",
        ),
        (
            "a user's does, too",
            invite(),
            edge_one(),
            bound_at("10.0.0.151:5070"),
            "through udp 10.0.0.151:5070",
        ),
        (
            "the rule for edges is not the core's",
            to_core,
            core(),
            nothing(),
            "ask bindings 911@example.test",
        ),
        (
            "a CANCEL is never challenged",
            invite().method("CANCEL").set("CSeq", "1 CANCEL"),
            edge_one(),
            nothing(),
            "ask bindings bob@example.test",
        ),
        (
            "a Route out of the networks of the core",
            invite().route("<sip:192.0.2.66;lr>"),
            edge_one(),
            authenticated(),
            "403 foreign_route",
        ),
        (
            "the core may",
            invite().route("<sip:192.0.2.66;lr>"),
            core(),
            nothing(),
            "through udp 192.0.2.66:5060",
        ),
    ] {
        let says = edge.says_with(&through_edge(&request).build(), &flow, &facts);
        assert_eq!(
            says.trim_start_matches("relay ")
                .trim_start_matches("start "),
            want,
            "{why}"
        );
    }
}

#[test]
fn credentials_that_were_asked_for_here_end_here() {
    let edge = behind_edges();
    let ours = "Digest username=\"alice\", realm=\"example.test\", nonce=\"n\", uri=\"sip:x\", response=\"r\"";
    let request = request("INVITE", "sip:911@example.test").with("Proxy-Authorization", ours);
    let passed = edge.passes(
        &through_edge(&request).build(),
        &edge_one(),
        &authenticated(),
    );
    assert_eq!(values(&passed, Header::ProxyAuthorization), [""; 0]);
}

#[test]
fn a_register_of_an_edge_needs_its_path() {
    let edge = behind_edges();
    let register = || request("REGISTER", "sip:example.test").set("To", "<sip:alice@example.test>");
    for (why, request, flow, want) in [
        (
            "as it should be",
            register().with("Path", "<sip:TOKEN@10.0.0.150;lr>"),
            edge_one(),
            "register",
        ),
        (
            "by its name",
            register().with("Path", "<sip:TOKEN@edge.example.net;lr>"),
            edge_one(),
            "register",
        ),
        (
            "two values, the edge's first",
            register().with("Path", "<sip:T@10.0.0.151;lr>, <sip:192.0.2.66;lr>"),
            edge_one(),
            "register",
        ),
        (
            "none: its Contact would choose where we send",
            register(),
            edge_one(),
            "400 malformed",
        ),
        (
            "a device's own",
            register().with("Path", "<sip:192.0.2.66;lr>"),
            edge_one(),
            "400 malformed",
        ),
        ("a trusted PBX needs none", register(), core(), "register"),
    ] {
        assert_eq!(
            edge.says(&through_edge(&request).build(), &flow),
            want,
            "{why}"
        );
    }
}

#[test]
fn a_nonce_belongs_to_the_address_that_the_edge_saw() {
    let edge = behind_edges();
    let request = through_edge(&invite());
    let with_via = |via: &str| {
        invite().set(
            "Via",
            &format!("SIP/2.0/UDP 10.0.0.150;branch=z9hG4bKe, {via}"),
        )
    };
    for (why, request, flow, want) in [
        (
            "of the second Via",
            request.clone(),
            edge_one(),
            "198.51.100.7",
        ),
        (
            "also through the next edge",
            request.clone(),
            flow(CORE, Transport::Udp, "10.0.0.151:5060", None),
            "198.51.100.7",
        ),
        (
            "RFC 3261 §18.2.1: not stamped, so it is the sent-by",
            with_via("SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKa"),
            edge_one(),
            "198.51.100.9",
        ),
        (
            "IPv6",
            with_via("SIP/2.0/WSS x.invalid;received=2001:db8::7;branch=z9hG4bKa"),
            edge_one(),
            "2001:db8::7",
        ),
        (
            "nothing that can be read",
            with_via("SIP/2.0/UDP phone.local;branch=z9hG4bKa"),
            edge_one(),
            "10.0.0.150",
        ),
        (
            "nobody believes a device",
            request.clone(),
            phone(),
            "198.51.100.7",
        ),
        ("nor another server", request, core(), "10.0.0.21"),
    ] {
        let address = address_of_user(&request.build(), &flow, &edge.site);
        assert_eq!(address.to_string(), want, "{why}");
    }
}

#[test]
fn a_registrar_stays_in_the_way_of_calls_from_and_to_edges() {
    let edge = behind_edges();
    let to_core = request("INVITE", "sip:911@example.test");
    for (why, request, flow, facts, stays) in [
        ("from an edge", to_core, edge_one(), authenticated(), 1),
        ("to an edge", invite(), core(), bound_at("10.0.0.151"), 1),
        (
            "from edge to edge",
            invite(),
            edge_one(),
            bound_at("10.0.0.151"),
            1,
        ),
        (
            "a message makes no dialog",
            request("MESSAGE", "sip:bob@example.test"),
            core(),
            bound_at("10.0.0.151"),
            0,
        ),
        (
            "two servers reach each other",
            invite(),
            core(),
            bound_at("10.0.0.77"),
            0,
        ),
    ] {
        let passed = edge.passes(&through_edge(&request).build(), &flow, &facts);
        assert_eq!(values(&passed, Header::RecordRoute).len(), stays, "{why}");
    }
}

#[test]
fn its_record_route_is_the_same_for_both_sides_and_leads_on() {
    let edge = behind_edges();
    let passed = edge.passes(
        &through_edge(&invite()).build(),
        &edge_one(),
        &bound_at("10.0.0.151"),
    );
    let ours = values(&passed, Header::RecordRoute);
    let two = flow(CORE, Transport::Udp, "10.0.0.151:5060", None);
    let answer = response_to(&passed, 200).build();
    let back = proxy::response::pass_on(&answer, &two, &edge.context()).unwrap();
    let kept: Vec<_> = back
        .response
        .values(Header::RecordRoute)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert_eq!((back.via.media.pass, kept), (Pass::Through, ours.clone()));

    let bye = || inside("BYE", &ours[0]);
    let (onward, elsewhere) = ("<sip:TOKEN@10.0.0.151;lr>", "<sip:192.0.2.66;lr>");
    for (why, request, flow, want) in [
        (
            "from the caller's edge",
            bye().route(onward),
            edge_one(),
            "relay through udp 10.0.0.151:5060",
        ),
        (
            "from the callee's",
            bye().route("<sip:TOKEN@10.0.0.150;lr>"),
            two,
            "relay through udp 10.0.0.150:5060",
        ),
        (
            "nobody is challenged inside a call",
            inside("INVITE", &ours[0]).route(onward),
            edge_one(),
            "relay through udp 10.0.0.151:5060",
        ),
        (
            "a device does not choose where we send",
            bye().route(elsewhere),
            edge_one(),
            "403 foreign_route",
        ),
        (
            "a To tag of one's own is no proof",
            invite().tagged("made-up"),
            edge_one(),
            "ask sender",
        ),
        (
            "nor is another call's token",
            bye().route(onward).set("Call-ID", "other"),
            edge_one(),
            "403 foreign_token",
        ),
        (
            "out of dialog",
            invite().route(&ours[0]).route(onward),
            edge_one(),
            "403 foreign_token",
        ),
        (
            "from a device of ours",
            bye().route(onward),
            phone(),
            "403 foreign_token",
        ),
    ] {
        assert_eq!(
            edge.says(&through_edge(&request).build(), &flow),
            want,
            "{why}"
        );
    }
}

#[test]
fn an_edge_and_a_registrar_with_one_key_are_no_loop() {
    let registrar = behind_edges();
    let mut edge = Edge::relay();
    edge.site.node = 8;
    let passed = edge.passes(&invite().build(), &phone(), &nothing());
    assert_eq!(registrar.says(&passed, &edge_one()), "ask sender");
    // A node finds its own ones still.
    edge.site.node = 7;
    let passed = edge.passes(&invite().build(), &phone(), &nothing());
    assert_eq!(registrar.says(&passed, &edge_one()), "482 loop");
}
