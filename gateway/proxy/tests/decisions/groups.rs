//! SIGNALLING §6: who of a group is asked, who is asked next, and for what nobody else is.

use std::time::Duration;

use proxy::failover::{around, around_refused, is_no_answer, next, patience};
use proxy::group::{Algorithm, By, FailOver, Group, Standing, WEIGHT};
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

#[test]
fn what_waits_inside_a_dialog_for_a_member_that_died_goes_around_it() {
    let mut edge = Edge::relay();
    let through = |edge: &Edge, route: &str| {
        let draft = inside("UPDATE", &edge.device_copy(false)).with("Route", route);
        forward(edge, draft)
    };
    let (member, other) = (
        through(&edge, "<sip:10.0.0.31;lr>"),
        through(&edge, "<sip:10.0.0.21;lr>"),
    );
    assert!(
        around(&member, &edge.context()).is_none(),
        "SIGNALLING §6: while it lives, nobody else is asked"
    );
    let refused = around_refused(&member, &edge.context()).expect("the other one lives");
    assert_eq!(
        target(&refused),
        32,
        "its connection was refused: the probe's word is not waited for"
    );
    let begins = forward(&edge, request("INVITE", "sip:771@example.test"));
    assert!(
        around_refused(&begins, &edge.context()).is_none(),
        "what begins something has a list of its own"
    );
    edge.dead.insert((1, 0));
    let living = around(&member, &edge.context()).expect("the other one lives");
    assert_eq!((target(&member), target(&living)), (31, 32));
    let routes: Vec<&[u8]> = living.request.values(Header::Route).collect();
    assert_eq!(routes, [b"<sip:10.0.0.32;lr>"]);
    assert_ne!(
        edge.seal(&member).branch,
        edge.seal(&living).branch,
        "a branch names its target"
    );
    assert!(
        around(&other, &edge.context()).is_none(),
        "it passes another one, who lives"
    );
    edge.dead.insert((1, 1));
    assert!(around(&member, &edge.context()).is_none(), "nobody lives");
}

/// An edge whose group of two, to which users that begin with 77 go, has as many members as there are weights.
fn edge_of(algorithm: Algorithm, weights: &[u32]) -> Edge {
    let mut edge = Edge::relay();
    let members = (31..).zip(weights).map(|(last, weight)| {
        let at = format!("10.0.0.{last}:5060");
        let mut member = member(&format!("10.0.0.{last}"), &at, sip::Transport::Udp);
        member.weight = weight * WEIGHT;
        member
    });
    edge.site.groups[1] = Group {
        members: members.collect(),
        algorithm,
        ..edge.site.groups[1].clone()
    };
    edge
}

/// How many of a thousand requests each member gets.
fn shares(edge: &Edge, draft: impl Fn(u32) -> Draft) -> Vec<u32> {
    let mut shares = vec![0; edge.site.groups[1].members.len()];
    for number in 0..1000 {
        shares[usize::from(target(&forward(edge, draft(number))) - 31)] += 1;
    }
    shares
}

fn call(number: u32) -> Draft {
    to_pair("INVITE").set("Call-ID", &format!("call-{number}"))
}

fn of_user(number: u32) -> Draft {
    to_pair("INVITE").set("From", &format!("<sip:user{number}@example.test>;tag=a"))
}

#[test]
fn each_algorithm_shares_requests_out_as_it_says() {
    use Algorithm::{LeastCalls, Rendezvous, RoundRobin};
    type Make<'m> = &'m dyn Fn(u32) -> Draft;
    for (why, algorithm, weights, make, want) in [
        (
            "users, evenly",
            Rendezvous(By::AddressOfRecord),
            &[1, 1][..],
            &of_user as Make<'_>,
            &[500, 500][..],
        ),
        (
            "users, by weight",
            Rendezvous(By::AddressOfRecord),
            &[3, 1],
            &of_user,
            &[750, 250],
        ),
        (
            "calls of one user, by weight",
            Rendezvous(By::CallId),
            &[1, 2, 7],
            &call,
            &[100, 200, 700],
        ),
        (
            "one source is one member's",
            Rendezvous(By::Source),
            &[1, 1, 1],
            &of_user,
            &[1000],
        ),
        (
            "one user is one member's",
            Rendezvous(By::AddressOfRecord),
            &[1, 1, 1],
            &call,
            &[1000],
        ),
        (
            "one after the other",
            RoundRobin,
            &[1, 1, 5, 1],
            &call,
            &[250, 250, 250, 250],
        ),
        (
            "nobody has a call: lots by weight",
            LeastCalls,
            &[1, 1],
            &call,
            &[500, 500],
        ),
    ] {
        let mut got = shares(&edge_of(algorithm, weights), make);
        if want.len() == 1 {
            got.sort_unstable();
            got.drain(..got.len() - 1);
        }
        // Within four standard deviations of what a thousand draws give; round robin is exact.
        let slack = if algorithm == RoundRobin { 0 } else { 64 };
        let near = got
            .iter()
            .zip(want)
            .all(|(got, want)| got.abs_diff(*want) <= slack);
        assert!(
            near && got.len() == want.len(),
            "{why}: {got:?}, not {want:?}"
        );
    }
}

#[test]
fn the_member_with_the_fewest_calls_for_its_weight_gets_the_next() {
    for (why, weights, calls, dead, want) in [
        ("the fewest", &[1, 1, 1][..], &[5, 2, 3][..], &[][..], 32),
        ("for its weight", &[4, 1, 1], &[7, 2, 3], &[], 31),
        ("of those that live", &[1, 1, 1], &[5, 2, 3], &[1], 33),
    ] {
        let mut edge = edge_of(Algorithm::LeastCalls, weights);
        edge.dead.extend(dead.iter().map(|member| (1, *member)));
        let of = |(member, calls): (usize, &u32)| ((1, member), *calls);
        edge.calls.extend(calls.iter().enumerate().map(of));
        assert_eq!(target(&forward(&edge, to_pair("INVITE"))), want, "{why}");
    }
}

#[test]
fn a_lower_priority_is_asked_only_when_nobody_of_the_better_lives() {
    for algorithm in [
        Algorithm::Rendezvous(By::CallId),
        Algorithm::RoundRobin,
        Algorithm::LeastCalls,
    ] {
        for (why, dead, want) in [
            ("all live", &[][..], &[31, 32][..]),
            ("one of the better is dead", &[0], &[32]),
            ("none of the better lives", &[0, 1], &[33]),
        ] {
            let mut edge = edge_of(algorithm, &[1, 1, 1000]);
            edge.site.groups[1].members[2].priority = 1;
            edge.dead.extend(dead.iter().map(|member| (1, *member)));
            let got: std::collections::BTreeSet<u8> = (0..100)
                .map(|number| target(&forward(&edge, call(number))))
                .collect();
            assert!(got.iter().eq(want), "{algorithm:?}, {why}: {got:?}");
        }
        // It is the last resort of a request, too.
        let mut edge = edge_of(algorithm, &[1, 1, 1000]);
        edge.site.groups[1].members[2].priority = 1;
        let first = forward(&edge, call(1));
        let second = next(&first, &edge.context()).unwrap();
        assert_eq!(target(&next(&second, &edge.context()).unwrap()), 33);
    }
}

#[test]
fn what_went_by_a_count_is_remembered_and_not_looked_for() {
    for algorithm in [Algorithm::RoundRobin, Algorithm::LeastCalls] {
        let mut edge = edge_of(algorithm, &[1, 1]);
        edge.dead.extend([(1, 1)]);
        for (why, draft, want) in [
            (
                "a retransmission must find its branch",
                to_pair("MESSAGE"),
                "start up",
            ),
            (
                "§16.10: what it would cancel was sent nobody knows where",
                to_pair("CANCEL"),
                "481",
            ),
            ("nothing answers an ACK", to_pair("ACK"), "relay up"),
            (
                "in a dialog the Call-ID says who",
                to_pair("MESSAGE").tagged("bob"),
                "relay up",
            ),
        ] {
            let says = edge.says(&draft.build(), &phone());
            assert!(says.starts_with(want), "{algorithm:?}, {why}: {says}");
        }
        let turns = edge_of(algorithm, &[1, 1]);
        let ack = || target(&forward(&turns, to_pair("ACK").tagged("bob")));
        assert!((0..10).all(|_| ack() == ack()), "{algorithm:?}");
    }
}

#[test]
fn a_member_that_is_drained_gets_nothing_new_and_keeps_what_it_has() {
    for standing in [Standing::Drained, Standing::Gone] {
        let mut edge = edge_of(Algorithm::Rendezvous(By::CallId), &[1, 1]);
        let first = forward(&edge, call(1));
        let drained = usize::from(target(&first) - 31);
        edge.site.groups[1].members[drained].standing = standing;
        let only = shares(&edge, call);
        assert_eq!(
            (only[drained], only[1 - drained]),
            (0, 1000),
            "{standing:?}"
        );
        // Nor is it asked in place of another.
        let other = forward(&edge, call(1));
        assert!(next(&other, &edge.context()).is_none(), "{standing:?}");
        // A dialog whose Route names it goes on with it.
        let route = format!("<sip:10.0.0.{};lr>", 31 + drained);
        let bye = inside("BYE", &edge.device_copy(false)).with("Route", &route);
        assert_eq!(
            edge.says(&bye.build(), &phone()),
            format!("relay up udp 10.0.0.{}:5060", 31 + drained)
        );
        edge.site.groups[1].members[1 - drained].standing = standing;
        assert_eq!(
            edge.says(&call(1).build(), &phone()),
            "500 nobody_alive",
            "{standing:?}"
        );
    }
}

#[test]
fn the_next_member_is_asked_after_the_answers_that_the_group_names() {
    let answers = |ranges: &[(u16, u16)]| FailOver(ranges.to_vec());
    for (why, fail_over, status, tagged, want) in [
        ("by default 503", FailOver::default(), 503, false, true),
        ("and nothing else", FailOver::default(), 500, false, false),
        ("a status", answers(&[(408, 408)]), 408, false, true),
        (
            "instead of the default",
            answers(&[(408, 408)]),
            503,
            false,
            false,
        ),
        (
            "a class",
            answers(&[(408, 408), (500, 599)]),
            504,
            false,
            true,
        ),
        ("its end", answers(&[(500, 599)]), 600, false, false),
        (
            "a challenge is the caller's",
            answers(&[(400, 499)]),
            401,
            false,
            false,
        ),
        (
            "and so is this one",
            answers(&[(400, 499)]),
            407,
            false,
            false,
        ),
        (
            "§6: never inside a dialog",
            answers(&[(500, 599)]),
            503,
            true,
            false,
        ),
    ] {
        let mut edge = edge_of(Algorithm::default(), &[1, 1]);
        edge.site.groups[1].fail_over = fail_over;
        let draft = to_pair("INVITE");
        let draft = if tagged { draft.tagged("bob") } else { draft };
        let forward = forward(&edge, draft);
        assert_eq!(
            is_no_answer(&forward, status, &edge.context()),
            want,
            "{why}"
        );
    }
    // Nobody is left to be asked.
    let edge = edge_of(Algorithm::default(), &[1]);
    assert!(!is_no_answer(
        &forward(&edge, call(1)),
        503,
        &edge.context()
    ));
}
