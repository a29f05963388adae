//! RFC 5626 §7 in the registrar role: one flow of a device after the other, and only when the one before is gone.

use proxy::failover::{is_no_answer, next};
use proxy::{Binding, Device, Facts, Forward, Hop};
use sip::Header;

use crate::kit::*;

/// A binding that an edge brought.
fn at(edge: &str, device: u8) -> Binding {
    Binding {
        contact: format!("sip:bob@{edge}.invalid").into_bytes(),
        path: vec![format!("<sip:TOKEN@{edge};lr;ob>").into_bytes()],
        device: Device([device; 4]),
        aor: b"bob@example.test".to_vec(),
        updated: 7,
        ..Binding::default()
    }
}

/// A device with flows through three edges.
fn three_flows() -> Binding {
    Binding {
        alternatives: vec![at("10.0.0.152", 1), at("10.0.0.153", 1)],
        ..at("10.0.0.151", 1)
    }
}

fn forwards(edge: &Edge, facts: &Facts) -> Vec<Forward> {
    edge.forwards(&invite().build(), &core(), facts)
}

#[test]
fn flows_are_tried_one_after_the_other_each_with_its_own_contact_and_path() {
    let edge = Edge::registrar();
    let all = forwards(&edge, &bound(vec![three_flows()]));
    assert_eq!(all.len(), 1, "one flow of a device at a time");
    let mut forward = all.into_iter().next();
    let mut identities = Vec::new();
    for (wanted, left) in [("10.0.0.151", 2), ("10.0.0.152", 1), ("10.0.0.153", 0)] {
        let now = forward.expect(wanted);
        let hop = Hop::Server {
            transport: sip::Transport::Udp,
            address: format!("{wanted}:5060").parse().unwrap(),
        };
        let bound = now.bound.as_ref().expect("of our registrar");
        assert_eq!((&now.hop, bound.others.len()), (&hop, left));
        assert_eq!(bound.binding, at(wanted, 1), "what a 430 removes");
        let sealed = parse(&edge.seal(&now).request.to_bytes());
        assert_eq!(sealed.uri(), format!("sip:bob@{wanted}.invalid").as_bytes());
        assert_eq!(
            values(&sealed, Header::Route),
            [format!("<sip:TOKEN@{wanted};lr;ob>")]
        );
        assert_eq!(sealed.max_forwards(), Some(69), "counted once");
        identities.push(now.identity);
        forward = next(&now, &edge.context());
    }
    assert!(forward.is_none(), "480 then");
    identities.dedup();
    assert_eq!(identities.len(), 3, "a branch of its own each");
}

#[test]
fn only_430_and_408_lead_to_the_next_flow() {
    let edge = Edge::registrar();
    let several = forwards(&edge, &bound(vec![three_flows()])).remove(0);
    let single = forwards(&edge, &bound(vec![at("10.0.0.151", 1)])).remove(0);
    for (status, want) in [
        (430, true),
        (408, true),
        (480, false),
        (486, false),
        (404, false),
        (503, false),
        (603, false),
        (200, false),
    ] {
        let context = edge.context();
        assert_eq!(
            is_no_answer(&several, status, &context),
            want,
            "RFC 5626 §7: {status}"
        );
        assert!(
            !is_no_answer(&single, status, &context),
            "{status}: there is no other"
        );
    }
}

#[test]
fn a_flow_that_is_known_to_be_gone_is_not_tried() {
    let edge = Edge::registrar();
    let own = |flow: &proxy::Flow| edge.binding("sip:bob@c.invalid", flow, BOB);
    let with = |alternatives| Binding {
        alternatives,
        ..own(&gone())
    };
    for (why, device, want) in [
        (
            "the next one lives",
            with(vec![own(&browser())]),
            "start down connection 31",
        ),
        (
            "an edge knows of the next",
            with(vec![at("10.0.0.152", 1)]),
            "start through udp 10.0.0.152:5060",
        ),
        ("none lives", with(vec![own(&gone())]), "480 not_registered"),
    ] {
        assert_eq!(
            edge.says_with(&invite().build(), &core(), &bound(vec![device])),
            want,
            "{why}"
        );
    }
}

#[test]
fn what_an_edge_may_refuse_has_a_transaction() {
    let edge = Edge::registrar();
    let message = |draft: Draft| draft.build();
    let own = |alternatives| Binding {
        alternatives,
        ..edge.binding("sip:bob@c.invalid", &phone(), BOB)
    };
    for (why, request, device, want) in [
        (
            "an edge may say 430",
            message(request("MESSAGE", "sip:bob@example.test")),
            at("10.0.0.151", 1),
            "start through udp 10.0.0.151:5060",
        ),
        (
            "there is another flow",
            message(request("MESSAGE", "sip:bob@example.test")),
            own(vec![at("10.0.0.151", 1)]),
            "start down flow 198.51.100.7:40000",
        ),
        (
            "one flow of our own",
            message(request("MESSAGE", "sip:bob@example.test")),
            own(vec![]),
            "relay down flow 198.51.100.7:40000",
        ),
        (
            "nobody answers an ACK",
            message(request("ACK", "sip:bob@example.test")),
            at("10.0.0.151", 1),
            "relay through udp 10.0.0.151:5060",
        ),
    ] {
        assert_eq!(
            edge.says_with(&request, &core(), &bound(vec![device])),
            want,
            "{why}"
        );
    }
}

#[test]
fn a_flow_has_the_breadth_of_the_one_that_it_takes_the_place_of() {
    let edge = Edge::registrar();
    let all = forwards(&edge, &bound(vec![three_flows(), at("10.0.0.154", 2)]));
    let breadth = |forward: &Forward| {
        let value = forward.request.header(Header::Other(b"Max-Breadth"));
        value.map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let second = next(&all[0], &edge.context()).unwrap();
    assert_eq!(
        (breadth(&all[0]), breadth(&second)),
        (Some("30".into()), Some("30".into()))
    );
}
