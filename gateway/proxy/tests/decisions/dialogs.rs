//! Inside a dialog: the token says where, whatever the request-URI's host is (SIGNALLING §2, §5).

use proxy::token::Pass;
use proxy::{Decision, Device};
use sip::Header;

use crate::kit::*;

const UP: &str = "relay up udp 10.0.0.21:5060";

#[test]
fn the_token_carries_a_request_to_the_other_side() {
    let edge = Edge::relay();
    let from_device = |method: &str, called| {
        inside(method, &edge.device_copy(called)).route("<sip:10.0.0.21;lr>")
    };
    let from_core = |method: &str, flow| inside(method, &edge.core_copy(&flow, BOB, Pass::Up));
    for (why, request, from, want) in [
        (
            "device to core, by the next Route",
            from_device("BYE", false),
            phone(),
            UP,
        ),
        (
            "the same from the called side",
            from_device("BYE", true),
            phone(),
            UP,
        ),
        (
            "and from a browser: UDP beyond, so a transaction",
            from_device("BYE", false),
            browser(),
            "start up udp 10.0.0.21:5060",
        ),
        (
            "chain/g1, g2: the request-URI is a private address",
            from_core("BYE", phone()),
            core(),
            "relay down flow 198.51.100.7:40000",
        ),
        (
            "to a browser: its random .invalid is never looked up",
            from_core("BYE", browser()),
            core(),
            "start down connection 31",
        ),
        (
            "an UPDATE",
            from_core("UPDATE", phone()),
            core(),
            "relay down flow 198.51.100.7:40000",
        ),
        (
            "an ACK to 2xx, whatever lies beyond",
            from_core("ACK", browser()),
            core(),
            "relay down connection 31",
        ),
        (
            "an ACK of a browser",
            from_device("ACK", false),
            browser(),
            UP,
        ),
    ] {
        assert_eq!(edge.says(&request.build(), &from), want, "{why}");
    }
}

#[test]
fn without_a_next_route_the_request_uri_is_the_next_hop() {
    let edge = Edge::relay();
    let request = |uri: &str| {
        request("BYE", uri)
            .tagged("bob")
            .route(&edge.device_copy(false))
            .build()
    };
    for (uri, want) in [
        (
            "sip:mod_sofia@10.0.0.54:5080",
            "relay up udp 10.0.0.54:5080",
        ),
        (
            "sip:mod_sofia@10.0.0.54:5080;transport=tcp",
            "start up tcp 10.0.0.54:5080",
        ),
        ("sip:gw@fs.example.com", "ask address fs.example.com"),
        ("tel:+4930", "416 malformed"),
        ("sip:anybody@203.0.113.66", "403 foreign_route"),
    ] {
        assert_eq!(edge.says(&request(uri), &phone()), want, "{uri}");
    }
}

#[test]
fn a_device_leads_its_requests_into_the_core_or_nowhere() {
    let edge = Edge::relay();
    let request = |route: &str| inside("BYE", &edge.device_copy(false)).route(route).build();
    for (route, want) in [
        ("<sip:10.0.0.21;lr>", UP),
        ("<sip:10.0.0.99:5070;lr>", "relay up udp 10.0.0.99:5070"),
        ("<sip:203.0.113.66;lr>", "403 foreign_route"),
        ("<sip:127.0.0.1:22;transport=tcp;lr>", "403 foreign_route"),
    ] {
        assert_eq!(edge.says(&request(route), &phone()), want, "{route}");
    }
}

#[test]
fn two_devices_reach_each_other_by_the_tokens_of_one_pass() {
    let edge = Edge::registrar();
    for (why, route, from, want) in [
        (
            "the caller to the called",
            edge.local_copy(WSS, false, &phone(), BOB),
            browser(),
            "start local flow 198.51.100.7:40000",
        ),
        (
            "the called to the caller",
            edge.local_copy(UDP, true, &browser(), ALICE),
            phone(),
            "start local connection 31",
        ),
        (
            "two on UDP",
            edge.local_copy(UDP, true, &phone(), ALICE),
            phone(),
            "relay local flow 198.51.100.7:40000",
        ),
        (
            "two browsers",
            edge.local_copy(WSS, true, &tab(), ALICE),
            browser(),
            "relay local connection 32",
        ),
    ] {
        assert_eq!(
            edge.says(&inside("BYE", &route).build(), &from),
            want,
            "{why}"
        );
    }
}

#[test]
fn a_device_that_moved_is_found_by_the_index() {
    let moved = flow(UDP, sip::Transport::Udp, "198.51.100.7:41111", None);
    let edge = Edge::relay().knows(BOB, moved).knows(ALICE, tab());
    for (why, flow, device, want) in [
        (
            "SIGNALLING §5: for UDP the index wins",
            phone(),
            BOB,
            "relay down flow 198.51.100.7:41111",
        ),
        (
            "a connection that lives is taken as it is",
            browser(),
            ALICE,
            "start down connection 31",
        ),
        (
            "one that is gone: the index wins",
            gone(),
            ALICE,
            "start down connection 32",
        ),
        (
            "a device that the index does not know: the token's",
            phone(),
            Device([9, 9, 9, 9]),
            "relay down flow 198.51.100.7:40000",
        ),
    ] {
        let request = inside("BYE", &edge.core_copy(&flow, device, Pass::Up)).build();
        assert_eq!(edge.says(&request, &core()), want, "{why}");
    }
    let local = inside("BYE", &edge.local_copy(UDP, false, &gone(), ALICE)).build();
    assert_eq!(
        edge.says(&local, &phone()),
        "start local connection 32",
        "between two devices too"
    );
}

#[test]
fn a_device_that_is_gone_is_waited_for() {
    let edge = Edge::relay();
    for (why, method, device, want) in [
        (
            "SIGNALLING §5: a page that reconnects still learns of the BYE",
            "BYE",
            BOB,
            "await",
        ),
        ("a re-INVITE", "INVITE", BOB, "await"),
        ("an ACK cannot be held back", "ACK", BOB, "drop ack"),
        (
            "a CANCEL finds nothing to end",
            "CANCEL",
            BOB,
            "481 no_transaction",
        ),
        (
            "nobody knows which device to wait for",
            "BYE",
            Device::default(),
            "480 device_gone",
        ),
    ] {
        let request = inside(method, &edge.core_copy(&gone(), device, Pass::Up)).build();
        assert_eq!(edge.says(&request, &core()), want, "{why}");
    }
}

#[test]
fn who_was_called_is_known_whoever_hangs_up() {
    let edge = Edge::relay();
    let registrar = Edge::registrar();
    let forward = |edge: &Edge, route: &str, from| {
        let request = inside("BYE", route).route("<sip:10.0.0.21;lr>").build();
        edge.forwards(&request, &from, &nothing()).remove(0)
    };
    for (why, forward, from_called, pass) in [
        (
            "a device called the core; the device hangs up",
            forward(&edge, &edge.device_copy(false), phone()),
            false,
            Pass::Up,
        ),
        (
            "a device was called; it hangs up",
            forward(&edge, &edge.device_copy(true), phone()),
            true,
            Pass::Down,
        ),
        (
            "a device called the core; the core hangs up",
            forward(&edge, &edge.core_copy(&phone(), BOB, Pass::Up), core()),
            true,
            Pass::Up,
        ),
        (
            "the core called a device; the core hangs up",
            forward(&edge, &edge.core_copy(&phone(), BOB, Pass::Down), core()),
            false,
            Pass::Down,
        ),
        (
            "between devices, the caller",
            forward(
                &registrar,
                &registrar.local_copy(UDP, false, &browser(), BOB),
                phone(),
            ),
            false,
            Pass::Local,
        ),
        (
            "between devices, the called",
            forward(
                &registrar,
                &registrar.local_copy(UDP, true, &browser(), BOB),
                phone(),
            ),
            true,
            Pass::Local,
        ),
    ] {
        assert_eq!(forward.from_called, from_called, "{why}");
        assert_eq!(
            forward.media.unwrap().pass,
            pass,
            "{why}: the pass that made the dialog"
        );
    }
}

#[test]
fn what_waits_says_whose_call_it_is() {
    let edge = Edge::relay();
    let request = inside("BYE", &edge.core_copy(&gone(), BOB, Pass::Up)).build();
    let Decision::Await {
        device,
        media,
        from_called,
    } = edge.decide(&request, &core(), &nothing())
    else {
        panic!("does not wait")
    };
    assert_eq!((device, media.pass, from_called), (BOB, Pass::Up, true));
}

#[test]
fn what_a_device_asserts_is_taken_off_inside_a_dialog_too() {
    // FreeSWITCH believes the P-Asserted-Identity of an UPDATE.
    let edge = Edge::relay();
    let update = |route: &str| {
        inside("UPDATE", route).with("P-Asserted-Identity", "<sip:boss@example.test>")
    };
    let sent = edge.passes(
        &update(&edge.device_copy(false))
            .route("<sip:10.0.0.21;lr>")
            .build(),
        &phone(),
        &nothing(),
    );
    assert_eq!(values(&sent, Header::PAssertedIdentity), [""; 0]);
    let sent = edge.passes(
        &update(&edge.core_copy(&phone(), BOB, Pass::Up)).build(),
        &core(),
        &nothing(),
    );
    assert_eq!(
        values(&sent, Header::PAssertedIdentity),
        ["<sip:boss@example.test>"],
        "the core's stays"
    );
}
