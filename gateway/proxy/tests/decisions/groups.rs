//! SIGNALLING §6: who of a group is asked, who is asked next, and for what nobody else is.

use std::time::Duration;

use proxy::failover::{next, patience};
use proxy::{Forward, Hop};
use sip::Header;

use crate::kit::*;

/// To the group of two; users that begin with 77 go there.
fn to_pair(method: &str) -> Draft {
    request(method, "sip:771@example.test")
}

fn forward(edge: &Edge, draft: Draft) -> Forward {
    edge.forwards(&draft.build(), &phone(), &nothing())
        .swap_remove(0)
}

/// The last byte of the address that it goes to.
fn target(forward: &Forward) -> u8 {
    match &forward.hop {
        Hop::Server { address, .. } if address.is_ipv4() => match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        },
        _ => 0,
    }
}

#[test]
fn a_request_waits_for_a_member_as_long_as_its_method_says() {
    let second = Duration::from_secs(1);
    for (why, draft, dead, want) in [
        ("INVITE", to_pair("INVITE"), &[][..], Some(second)),
        ("others", to_pair("MESSAGE"), &[], Some(second * 3 / 2)),
        ("OPTIONS", to_pair("OPTIONS"), &[], Some(second * 3 / 2)),
        (
            "REGISTER",
            request("REGISTER", "sip:771@example.test"),
            &[],
            Some(second * 3 / 2),
        ),
        ("nobody else lives", to_pair("INVITE"), &[1], None),
        ("a group of one", invite(), &[], None),
        (
            "in a dialog nobody else knows",
            to_pair("INVITE").tagged("bob"),
            &[],
            None,
        ),
    ] {
        let mut edge = Edge::relay();
        edge.dead.extend(dead.iter().map(|member| (1, *member)));
        assert_eq!(patience(&forward(&edge, draft)), want, "{why}");
    }
}

#[test]
fn the_next_member_is_asked_once_and_only_if_it_lives() {
    let mut edge = Edge::relay();
    let first = forward(&edge, to_pair("INVITE").sdp());
    let second = next(&first, &edge.context()).expect("there is another");
    assert_eq!(target(&first) + target(&second), 31 + 32);
    assert!(next(&second, &edge.context()).is_none());
    assert!(patience(&second).is_none());

    let (one, other) = (edge.seal(&first), edge.seal(&second));
    assert_ne!(one.branch, other.branch, "a branch names its target");
    let again = next(&first, &edge.context()).expect("there is another");
    assert_eq!(
        edge.seal(&again).request.to_bytes(),
        other.request.to_bytes()
    );
    let vias = |sealed: &proxy::forward::Sealed| sealed.request.values(Header::Via).count();
    assert_eq!(vias(&one), vias(&other));

    let member = second.member.expect("a member").member;
    edge.dead.insert((1, member));
    assert!(next(&first, &edge.context()).is_none(), "it died meanwhile");
}

#[test]
fn what_several_may_answer_is_remembered() {
    let edge = Edge::relay();
    for (method, want) in [("MESSAGE", "start"), ("OPTIONS", "start"), ("ACK", "relay")] {
        let says = edge.says(&to_pair(method).build(), &phone());
        assert!(says.starts_with(want), "{method}: {says}");
    }
    let mut edge = Edge::relay();
    edge.dead.insert((1, 0));
    let says = edge.says(&to_pair("MESSAGE").build(), &phone());
    assert_eq!(says, "relay up udp 10.0.0.32:5060", "one lives");
}

#[test]
fn a_route_that_names_a_dead_member_names_a_living_one() {
    let dead_a = |edge: &mut Edge| edge.dead.extend([(1, 0)]);
    let both = |edge: &mut Edge| edge.dead.extend([(1, 0), (1, 1)]);
    let nobody = |_: &mut Edge| {};
    type Kill<'k> = &'k dyn Fn(&mut Edge);
    for (why, kill, routes, want) in [
        (
            "it lives",
            &nobody as Kill<'_>,
            &["<sip:10.0.0.31;lr>"][..],
            &["<sip:10.0.0.31;lr>"][..],
        ),
        (
            "by address",
            &dead_a,
            &["<sip:10.0.0.31;lr>"],
            &["<sip:10.0.0.32;lr>"],
        ),
        (
            "by name",
            &dead_a,
            &["<sip:reg-a.example.net;lr>"],
            &["<sip:reg-b.example.net;lr>"],
        ),
        (
            "parameters and user stay",
            &dead_a,
            &["\"x\" <sip:u@10.0.0.31:5060;lr=on;ftag=a>;y=z"],
            &["\"x\" <sip:u@10.0.0.32:5060;lr=on;ftag=a>;y=z"],
        ),
        (
            "Kamailio's two",
            &dead_a,
            &["<sip:10.0.0.31;r2=on;lr>", "<sip:10.0.0.31:5060;r2=on;lr>"],
            &["<sip:10.0.0.32;r2=on;lr>", "<sip:10.0.0.32:5060;r2=on;lr>"],
        ),
        (
            "what comes behind is not ours to change",
            &dead_a,
            &["<sip:10.0.0.31;lr>", "<sip:10.0.0.21;lr>"],
            &["<sip:10.0.0.32;lr>", "<sip:10.0.0.21;lr>"],
        ),
        (
            "another port is somebody else",
            &dead_a,
            &["<sip:10.0.0.31:5070;lr>"],
            &["<sip:10.0.0.31:5070;lr>"],
        ),
        (
            "with nobody alive it stays",
            &both,
            &["<sip:10.0.0.31;lr>"],
            &["<sip:10.0.0.31;lr>"],
        ),
    ] {
        let mut edge = Edge::relay();
        kill(&mut edge);
        let mut draft = inside("BYE", &edge.device_copy(false));
        for route in routes {
            draft = draft.with("Route", route);
        }
        let message = edge.passes(&draft.build(), &phone(), &nothing());
        let got: Vec<String> = message
            .values(Header::Route)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        assert_eq!(got, want, "{why}");
    }
}
