//! An edge with one address for both sides (issue "Trust": it follows the listener and its access list, never a header).

use proxy::Flow;
use proxy::response::pass_on;
use proxy::site::{Match, Route, Side, To};
use proxy::token::{Pass, Purpose, Token};
use sip::{Header, Transport};

use crate::kit::*;

/// The case study's edge: 203.0.113.10 on UDP, TCP and WSS, the core behind the same address in 10.0.0.0/8.
fn edge() -> Edge {
    let mut site = relay_site();
    site.listeners.truncate(usize::from(CORE));
    for listener in &mut site.listeners {
        listener.core = vec!["10.0.0.0/8".parse().unwrap()];
    }
    Edge::of(site)
}

fn server() -> Flow {
    flow(UDP, Transport::Udp, "10.0.0.21:5060", None)
}

fn server_tcp() -> Flow {
    flow(TCP, Transport::Tcp, "10.0.0.41:40123", Some(51))
}

/// The Path that our edge would give a REGISTER of this flow.
fn path(edge: &Edge, flow: &Flow) -> String {
    let register = request("REGISTER", "sip:example.test");
    values(
        &edge.passes(&register.build(), flow, &nothing()),
        Header::Path,
    )
    .remove(0)
}

#[test]
fn the_source_says_which_side_speaks() {
    let edge = edge();
    for (why, from, want) in [
        ("a phone", phone(), Side::Device),
        ("a browser", browser(), Side::Device),
        ("a server", server(), Side::Core),
        (
            "a server's connection, from any port",
            server_tcp(),
            Side::Core,
        ),
        (
            "the same as a socket for both families sees it",
            flow(UDP, Transport::Udp, "[::ffff:10.0.0.21]:5060", None),
            Side::Core,
        ),
        (
            "ourselves: a device may have caused it",
            flow(UDP, Transport::Udp, "203.0.113.10:5060", None),
            Side::Device,
        ),
        (
            "a listener that is not there",
            Flow {
                listener: proxy::ListenerId(99),
                ..server()
            },
            Side::Device,
        ),
    ] {
        assert_eq!(edge.site.side_of(&from), want, "{why}");
    }
    let mut inside = relay_site();
    inside.listeners[usize::from(UDP)].core = vec!["203.0.113.0/24".parse().unwrap()];
    let us = flow(UDP, Transport::Udp, "203.0.113.10:5060", None);
    assert_eq!(
        inside.side_of(&us),
        Side::Device,
        "also where the networks have our own address"
    );
}

#[test]
fn what_a_device_may_not_say_a_server_at_the_same_address_may() {
    let edge = edge();
    let register = request("REGISTER", "sip:example.test").build();
    let asserted = invite().with("P-Asserted-Identity", "<sip:boss@example.test>");
    let from = |flow: &Flow| {
        edge.passes(
            &asserted.clone().route("<sip:10.0.0.21;lr>").build(),
            flow,
            &nothing(),
        )
    };
    assert_eq!(values(&from(&phone()), Header::PAssertedIdentity).len(), 0);
    assert_eq!(values(&from(&server()), Header::PAssertedIdentity).len(), 1);

    let by_path = invite().route(&path(&edge, &browser())).build();
    for (why, request, by, want) in [
        (
            "RFC 3327 §5.3: by a Path token to the device",
            &by_path,
            server(),
            "start down connection 31",
        ),
        (
            "over a stream as well",
            &by_path,
            server_tcp(),
            "relay down connection 31",
        ),
        (
            "SIGNALLING §1: but not for a device",
            &by_path,
            phone(),
            "403 foreign_token",
        ),
        (
            "a REGISTER of a device goes to the group",
            &register,
            phone(),
            "relay up udp 10.0.0.21:5060",
        ),
    ] {
        assert_eq!(edge.says(request, &by), want, "{why}");
    }
}

#[test]
fn a_dialog_has_a_token_for_each_side_at_one_address() {
    let edge = edge().knows(BOB, phone());
    let opened = |purpose, value: &str| {
        let token = token_of(value);
        edge.sealer
            .open(purpose, token.as_bytes(), Some(CALL.as_bytes()), NOW)
    };
    // Called: the device's copy is in the request, the core's in the answer.
    let sent = edge.passes(
        &invite().route(&path(&edge, &phone())).build(),
        &server(),
        &nothing(),
    );
    let of_device = values(&sent, Header::RecordRoute).remove(0);
    let answer = pass_on(&response_to(&sent, 200).build(), &phone(), &edge.context()).unwrap();
    let of_core = values(&parse(&answer.response.to_bytes()), Header::RecordRoute).remove(0);
    assert!(opened(Purpose::RecordRouteDevice, &of_device).is_ok());
    let Ok(Token::RecordRouteCore(copy)) = opened(Purpose::RecordRouteCore, &of_core) else {
        panic!("{of_core}")
    };
    assert_eq!(
        (copy.flow, copy.device, copy.media.pass),
        (phone().address(), BOB.0, Pass::Down)
    );
    // Calling: the other way round.
    let sent = edge.passes(&invite().build(), &phone(), &nothing());
    let of_core_2 = values(&sent, Header::RecordRoute).remove(0);
    let answer = pass_on(&response_to(&sent, 200).build(), &server(), &edge.context()).unwrap();
    let of_device_2 = values(&parse(&answer.response.to_bytes()), Header::RecordRoute).remove(0);

    let up = "relay up udp 10.0.0.21:5060";
    let down = "relay down flow 198.51.100.7:40000";
    for (why, value, by, want) in [
        ("called, BYE of the core", &of_core, server(), down),
        ("called, BYE of the device", &of_device, phone(), up),
        ("calling, BYE of the core", &of_core_2, server(), down),
        ("calling, BYE of the device", &of_device_2, phone(), up),
        (
            "the core's copy in a device's hands",
            &of_core,
            phone(),
            "403 foreign_token",
        ),
        (
            "the device's in the core's",
            &of_device,
            server(),
            "403 foreign_token",
        ),
    ] {
        let mut bye = inside("BYE", value);
        if want == up {
            bye = bye.route("<sip:10.0.0.21;lr>");
        }
        assert_eq!(edge.says(&bye.build(), &by), want, "{why}");
    }
    for value in [of_device, of_core, of_device_2, of_core_2] {
        assert!(value.ends_with("@203.0.113.10;lr>"), "one address: {value}");
    }
}

#[test]
fn a_connection_of_the_core_is_told_from_a_devices_by_its_peer() {
    let mut edge = edge().knows(BOB, phone());
    edge.flows.connections.push(server_tcp());
    let to_phone = invite().route(&path(&edge, &phone())).build();
    let sent = edge.passes(&to_phone, &server_tcp(), &nothing());
    let answer = |edge: &Edge| {
        let onward = pass_on(&response_to(&sent, 503).build(), &phone(), &edge.context()).unwrap();
        onward.response.status()
    };
    assert_eq!(answer(&edge), 503, "RFC 3261 §16.7 step 6 is for devices");
    edge.flows.connections.clear();
    assert_eq!(answer(&edge), 500, "who is gone is no better than a device");
}

#[test]
fn requests_to_the_core_leave_by_the_address_that_it_knows() {
    let edge = edge();
    for (why, path, want) in [
        (
            "the UDP socket, whatever the device speaks",
            path(&edge, &browser()),
            "@203.0.113.10;lr>",
        ),
        ("also for UDP", path(&edge, &phone()), "@203.0.113.10;lr>"),
    ] {
        assert!(path.ends_with(want), "{why}: {path}");
    }
    let sent = edge.passes(
        &request("INVITE", "sip:881@example.test").build(),
        &browser(),
        &nothing(),
    );
    let via = &values(&sent, Header::Via)[0];
    assert!(
        via.starts_with("SIP/2.0/TCP 203.0.113.10;branch="),
        "the group's transport: {via}"
    );
}

#[test]
fn routes_tell_devices_from_servers_of_one_listener() {
    let mut edge = edge();
    edge.site.routes = vec![
        Route {
            when: Match {
                group: Some(0),
                side: Some(Side::Core),
                ..Match::default()
            },
            to: To::Group(1),
        },
        Route {
            when: Match {
                side: Some(Side::Device),
                ..Match::default()
            },
            to: To::Group(0),
        },
    ];
    for (from, want) in [
        (server(), "start through udp 10.0.0.3"),
        (phone(), "relay up udp 10.0.0.21:5060"),
    ] {
        let says = edge.says(&invite().build(), &from);
        assert!(says.starts_with(want), "{says}");
    }
}

#[test]
fn datagrams_are_shortened_for_devices_and_not_for_the_core() {
    let edge = edge();
    for (flow, want) in [(phone(), Some(1300)), (server(), None)] {
        assert_eq!(
            proxy::mtu::budget(true, &flow, &edge.site),
            want,
            "{flow:?}"
        );
    }
}
