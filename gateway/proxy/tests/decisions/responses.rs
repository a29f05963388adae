//! RFC 3261 §16.7: what becomes of a response.

use proxy::Flow;
use proxy::response::{Onward, pass_on};
use proxy::token::{Pass, Purpose, Token};
use sip::{Header, Message};

use crate::kit::*;

fn back(edge: &Edge, response: &Message, by: &Flow) -> Result<Onward, proxy::Reason> {
    pass_on(response, by, &edge.context())
}

fn passed(edge: &Edge, response: &Message, by: &Flow) -> Message {
    parse(
        &back(edge, response, by)
            .expect("passes")
            .response
            .to_bytes(),
    )
}

fn opened(edge: &Edge, purpose: Purpose, value: &str) -> Token {
    edge.sealer
        .open(
            purpose,
            token_of(value).as_bytes(),
            Some(CALL.as_bytes()),
            NOW,
        )
        .expect("a token of that purpose")
}

fn to_browser(edge: &Edge) -> Draft {
    request("INVITE", "sip:x@y.invalid").route(&edge.path(&browser()))
}

#[test]
fn our_record_route_becomes_the_copy_of_the_other_side() {
    let edge = Edge::relay().knows(BOB, browser()).knows(ALICE, phone());
    let sent = edge.passes(&to_browser(&edge).build(), &core(), &nothing());
    for status in [101, 180, 183, 200, 202, 299] {
        let response = passed(&edge, &response_to(&sent, status).build(), &browser());
        let value = &values(&response, Header::RecordRoute)[0];
        let Token::RecordRouteCore(copy) = opened(&edge, Purpose::RecordRouteCore, value) else {
            panic!()
        };
        assert_eq!(
            (copy.flow, copy.device, copy.media.pass),
            (browser().address(), BOB.0, Pass::Down),
            "RFC 5658 §6.2: {status}"
        );
        assert!(
            value.ends_with("@10.0.0.10;lr>"),
            "the core's own listener: {value}"
        );
        assert_eq!(
            edge.says(&inside("BYE", value).build(), &core()),
            "start down connection 31",
            "{status}"
        );
    }
    let sent = edge.passes(&invite().build(), &phone(), &nothing());
    let response = passed(&edge, &response_to(&sent, 200).build(), &core());
    let value = &values(&response, Header::RecordRoute)[0];
    let Token::RecordRouteDevice(copy) = opened(&edge, Purpose::RecordRouteDevice, value) else {
        panic!()
    };
    assert_eq!(
        (copy.called, copy.towards, copy.holder, copy.media.pass),
        (false, None, Some(ALICE.0), Pass::Up)
    );
    assert!(
        value.ends_with("@203.0.113.10;lr>"),
        "the device's own listener: {value}"
    );
    assert_eq!(
        token_of(value).len(),
        20,
        "SIGNALLING §1: it must fit the MTU"
    );
}

#[test]
fn between_two_devices_each_copy_holds_the_other() {
    let edge = Edge::registrar()
        .knows(BOB, browser())
        .knows(ALICE, phone());
    let one = bound(vec![edge.binding("sip:x@y.invalid", &browser(), BOB)]);
    let sent = edge.passes(&invite().build(), &phone(), &one);
    let for_bob = values(&sent, Header::RecordRoute).remove(0);
    let response = passed(&edge, &response_to(&sent, 200).build(), &browser());
    let for_alice = values(&response, Header::RecordRoute).remove(0);
    for (why, value, called, holder, other) in [
        ("bob's", for_bob, true, BOB, phone()),
        ("alice's", for_alice, false, ALICE, browser()),
    ] {
        let Token::RecordRouteDevice(copy) = opened(&edge, Purpose::RecordRouteDevice, &value)
        else {
            panic!()
        };
        assert_eq!(
            (copy.called, copy.holder, copy.towards.unwrap().flow),
            (called, Some(holder.0), other.address()),
            "{why}"
        );
    }
}

#[test]
fn only_101_to_299_are_rewritten_and_nothing_else_takes_a_copy_along() {
    let edge = Edge::registrar()
        .knows(BOB, browser())
        .knows(ALICE, phone());
    let one = bound(vec![edge.binding("sip:x@y.invalid", &browser(), BOB)]);
    let local = edge.passes(&invite().build(), &phone(), &one);
    let down = edge.passes(&to_browser(&edge).build(), &core(), &nothing());
    for (sent, to) in [(local, "the caller"), (down, "the core")] {
        assert_eq!(values(&sent, Header::RecordRoute).len(), 1);
        for status in [100, 302, 401, 407, 480, 486, 503, 603] {
            let response = passed(&edge, &response_to(&sent, status).build(), &browser());
            assert!(
                values(&response, Header::RecordRoute).is_empty(),
                "RFC 3261 §12.1: no route set; {to} would know the copy that names bob: {status}"
            );
        }
    }
}

#[test]
fn a_device_that_only_its_binding_names_is_named_to_the_other_side() {
    // The registrar has just been started again: bindings are kept, the index is empty.
    let edge = Edge::registrar();
    let one = bound(vec![edge.binding("sip:x@y.invalid", &browser(), BOB)]);
    let sent = edge.passes(&invite().build(), &phone(), &one);
    let response = passed(&edge, &response_to(&sent, 200).build(), &browser());
    let value = values(&response, Header::RecordRoute).remove(0);
    let Token::RecordRouteDevice(alice) = opened(&edge, Purpose::RecordRouteDevice, &value) else {
        panic!()
    };
    assert_eq!((alice.holder, alice.towards.unwrap().device), (None, BOB.0));
}

#[test]
fn a_retransmission_gets_the_same_bytes() {
    let edge = Edge::registrar().knows(BOB, browser());
    let one = bound(vec![edge.binding("sip:x@y.invalid", &browser(), BOB)]);
    let sent = edge.passes(&invite().build(), &phone(), &one);
    let ok = response_to(&sent, 200).sdp().build();
    let first = back(&edge, &ok, &browser()).unwrap().response.to_bytes();
    assert_eq!(
        back(&edge, &ok, &browser()).unwrap().response.to_bytes(),
        first,
        "RFC 3261 §16.11"
    );
    assert_eq!(
        edge.sealed(&invite().build(), &phone(), &one)
            .request
            .to_bytes(),
        sent.bytes(),
        "and so does a request"
    );
}

#[test]
fn ours_is_found_among_the_values_of_others() {
    let edge = Edge::relay().knows(BOB, browser());
    let sent = edge.passes(&to_browser(&edge).build(), &core(), &nothing());
    let ours = values(&sent, Header::RecordRoute).remove(0);
    for (why, lines, place) in [
        ("alone", vec![ours.clone()], 0),
        (
            "two values in one line",
            vec![format!("<sip:10.0.0.1;lr>, {ours}")],
            1,
        ),
        (
            "Kamailio's two, r2=on, around it",
            vec![
                "<sip:10.0.0.1;transport=tcp;r2=on;lr;ftag=x>".to_owned(),
                format!("{ours},<sip:10.0.0.1;r2=on;lr;ftag=x>"),
            ],
            1,
        ),
        (
            "OpenSIPS: percent-encoded received",
            vec![format!(
                "<sip:10.0.0.1;lr;received=sip:82.10.18.109:12202%3btransport%3dwss> ,{ours}"
            )],
            1,
        ),
        (
            "a user of somebody else's",
            vec![format!(
                "<sip:mysbc@10.0.0.1;lr>, <sip:AAxv17XX-dSzriSL_tuKgjtg@10.0.0.1>, {ours}"
            )],
            2,
        ),
        (
            "a Route without lr",
            vec!["<sip:10.0.0.1>".to_owned(), ours.clone()],
            1,
        ),
        (
            "a display name and a header parameter",
            vec![format!("\"a, b\" <sip:10.0.0.1;lr>;x=y, {ours}")],
            1,
        ),
    ] {
        let draft = lines.iter().fold(
            response_to(&sent, 200).without("Record-Route"),
            |draft, line| draft.with("Record-Route", line),
        );
        let before = values(&draft.build(), Header::RecordRoute);
        let after = values(
            &passed(&edge, &draft.build(), &browser()),
            Header::RecordRoute,
        );
        assert_eq!(after.len(), before.len(), "{why}");
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before != after, index == place, "{why}: {after}");
        }
        opened(&edge, Purpose::RecordRouteCore, &after[place]);
    }
    let none = response_to(&sent, 200).without("Record-Route").build();
    assert_eq!(
        values(&passed(&edge, &none, &browser()), Header::RecordRoute),
        [""; 0],
        "a device that copies none back"
    );
}

#[test]
fn in_a_spiral_each_pass_rewrites_its_own() {
    // Device, edge, registrar, the same edge, device: one Call-ID, two passes.
    let edge = Edge::relay().knows(ALICE, phone()).knows(BOB, browser());
    let up = edge.passes(&invite().build(), &phone(), &nothing());
    let text = String::from_utf8(up.bytes().to_vec()).unwrap();
    let by_registrar = text
        .replacen("INVITE sip:bob@example.test", "INVITE sip:x@y.invalid", 1)
        .replacen(
            "Record-Route:",
            &format!(
                "Route: {}\r\nRecord-Route: <sip:10.0.0.21;lr>\r\nRecord-Route:",
                edge.path(&browser())
            ),
            1,
        )
        .replacen(
            "Via:",
            "Via: SIP/2.0/UDP 10.0.0.21;branch=z9hG4bKreg\r\nVia:",
            1,
        );
    let down = edge.passes(&parse(by_registrar.as_bytes()), &core(), &nothing());
    assert_eq!(values(&down, Header::RecordRoute).len(), 3);

    let first = passed(&edge, &response_to(&down, 200).build(), &browser());
    let routes = values(&first, Header::RecordRoute);
    let Token::RecordRouteCore(bob) = opened(&edge, Purpose::RecordRouteCore, &routes[0]) else {
        panic!()
    };
    assert_eq!(bob.flow, browser().address());
    assert_eq!(
        routes[1..],
        values(&down, Header::RecordRoute)[1..],
        "the other pass' value waits for its own turn"
    );

    let to_us_again = String::from_utf8(first.bytes().to_vec()).unwrap();
    let vias: Vec<&str> = to_us_again
        .lines()
        .filter(|line| line.starts_with("Via:"))
        .collect();
    let to_us_again = to_us_again.replacen(&format!("{}\r\n", vias[0]), "", 1);
    let second = passed(&edge, &parse(to_us_again.as_bytes()), &core());
    let routes = values(&second, Header::RecordRoute);
    assert_eq!(
        routes[0],
        values(&first, Header::RecordRoute)[0],
        "bob's copy for the core stays"
    );
    let Token::RecordRouteDevice(alice) = opened(&edge, Purpose::RecordRouteDevice, &routes[2])
    else {
        panic!()
    };
    assert_eq!((alice.called, alice.towards), (false, None));
    assert_eq!(values(&second, Header::Via).len(), 1);
}

#[test]
fn a_response_goes_back_to_where_the_request_came_from() {
    let edge = Edge::relay();
    let sent = edge.passes(
        &invite()
            .set("Via", "SIP/2.0/UDP 192.0.2.66:9;branch=z9hG4bK1")
            .build(),
        &phone(),
        &nothing(),
    );
    let onward = back(&edge, &response_to(&sent, 200).build(), &core()).unwrap();
    assert_eq!(
        (onward.listener, onward.source),
        (phone().listener, phone().address()),
        "whatever its Via says"
    );
    assert_eq!(
        values(&parse(&onward.response.to_bytes()), Header::Via).len(),
        1,
        "RFC 3261 §16.7 step 3"
    );
}

#[test]
fn a_response_that_nobody_asked_for_is_dropped() {
    // RFC 6026 §7.3: attackers forge them.
    let edge = Edge::relay();
    let sent = edge.passes(&invite().build(), &phone(), &nothing());
    let text = String::from_utf8(response_to(&sent, 200).build().bytes().to_vec()).unwrap();
    let branch = String::from_utf8(sent.top_via().unwrap().branch.unwrap().to_vec()).unwrap();
    let top = text
        .lines()
        .find(|line| line.starts_with("Via:"))
        .unwrap()
        .to_owned();
    for (why, from, to) in [
        (
            "another Call-ID",
            "Call-ID: call-1".to_owned(),
            "Call-ID: call-2".to_owned(),
        ),
        (
            "a branch of nobody",
            branch.clone(),
            "z9hG4bKdevice".to_owned(),
        ),
        (
            "a branch with a changed character",
            branch.clone(),
            branch.replacen("z9hG4bKD", "z9hG4bKE", 1),
        ),
        ("no branch", format!(";branch={branch}"), String::new()),
        (
            "only our own Via",
            text.lines()
                .filter(|line| line.starts_with("Via:"))
                .nth(1)
                .unwrap()
                .to_owned()
                + "\r\n",
            String::new(),
        ),
        (
            "ours is not on top",
            top.clone(),
            format!("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n{top}"),
        ),
    ] {
        let changed = text.replacen(&from, &to, 1);
        assert_ne!(changed, text, "{why}");
        let says = back(&edge, &parse(changed.as_bytes()), &core()).map(|_| ());
        assert_eq!(says, Err(proxy::Reason::StrayResponse), "{why}");
    }
    assert!(back(&edge, &parse(text.as_bytes()), &core()).is_ok());
}

#[test]
fn devices_are_not_told_what_would_make_them_shun_us() {
    let edge = Edge::registrar();
    let one = bound(vec![edge.binding("sip:x@y.invalid", &browser(), BOB)]);
    let up = edge.passes(
        &request("INVITE", "sip:911@example.test").build(),
        &phone(),
        &authenticated(),
    );
    let local = edge.passes(&invite().build(), &phone(), &one);
    let down = edge.passes(&to_browser(&edge).build(), &core(), &nothing());
    for (why, sent, by, status, want) in [
        (
            "RFC 3261 §16.7 step 6: a member's 503",
            &up,
            core(),
            503,
            500,
        ),
        ("another device's", &local, browser(), 503, 500),
        ("the core sees it as it is", &down, browser(), 503, 503),
        (
            "RFC 5626 §5.3: 430 never leaves us towards a caller",
            &up,
            core(),
            430,
            480,
        ),
        ("nor between devices", &local, browser(), 430, 480),
        ("the registrar has to see it", &down, browser(), 430, 430),
        ("others stay", &up, core(), 486, 486),
        ("500 itself", &up, core(), 500, 500),
    ] {
        let response = passed(
            &edge,
            &response_to(sent, status).with("Retry-After", "120").build(),
            &by,
        );
        assert_eq!(response.status(), want, "{why}");
        let shuns = response.header(Header::RetryAfter).is_some();
        assert_eq!(
            shuns,
            status != 503 || want == 503,
            "{why}: Retry-After of a 503 is ours alone"
        );
    }
}

#[test]
fn a_device_asserts_nothing_in_its_answers() {
    let edge = Edge::relay();
    let asserts = |sent: &Message| {
        response_to(sent, 200)
            .with("P-Asserted-Identity", "<sip:boss@example.test>")
            .with("Remote-Party-ID", "<sip:boss@example.test>")
            .build()
    };
    let down = edge.passes(&to_browser(&edge).build(), &core(), &nothing());
    let up = edge.passes(&invite().build(), &phone(), &nothing());
    let left = |response: Message| {
        (
            values(&response, Header::PAssertedIdentity).len(),
            values(&response, Header::RemotePartyId).len(),
        )
    };
    assert_eq!(
        left(passed(&edge, &asserts(&down), &browser())),
        (0, 0),
        "RFC 3325 §5"
    );
    assert_eq!(
        left(passed(&edge, &asserts(&up), &core())),
        (1, 1),
        "the core's stays"
    );
}

#[test]
fn a_call_works_by_the_copies_alone() {
    // The whole of it: what each side learnt from the INVITE and its 200 carries ACK, re-INVITE and BYE, whichever side
    // sends them, although every request-URI is a private address.
    let relay = Edge::relay().knows(ALICE, phone()).knows(BOB, browser());
    let local = Edge::registrar()
        .knows(ALICE, phone())
        .knows(BOB, browser());
    let one = bound(vec![local.binding("sip:x@y.invalid", &browser(), BOB)]);
    let (phone_at, browser_at, core_at) = (
        "flow 198.51.100.7:40000",
        "connection 31",
        "udp 10.0.0.21:5060",
    );
    let next = "<sip:10.0.0.21;lr>";
    let calls = [
        (
            "device to core",
            &relay,
            invite(),
            nothing(),
            phone(),
            core(),
            phone_at,
            core_at,
        ),
        (
            "core to device",
            &relay,
            to_browser(&relay),
            nothing(),
            core(),
            browser(),
            core_at,
            browser_at,
        ),
        (
            "device to device",
            &local,
            invite(),
            one,
            phone(),
            browser(),
            phone_at,
            browser_at,
        ),
    ];
    for (why, edge, invite, facts, caller, called, caller_at, called_at) in calls {
        let sent = edge.passes(&invite.build(), &caller, &facts);
        let answer = passed(edge, &response_to(&sent, 200).build(), &called);
        let (of_called, of_caller) = (
            values(&sent, Header::RecordRoute).remove(0),
            values(&answer, Header::RecordRoute).remove(0),
        );
        for method in ["ACK", "INVITE", "UPDATE", "BYE", "NOTIFY", "INFO"] {
            for (by, copy, at) in [
                (&caller, &of_caller, called_at),
                (&called, &of_called, caller_at),
            ] {
                let beyond = if at == core_at {
                    inside(method, copy).route(next)
                } else {
                    inside(method, copy)
                };
                let says = edge.says(&beyond.build(), by);
                assert!(
                    says.ends_with(at),
                    "{why}: {method} from {}: {says}",
                    by.peer
                );
            }
        }
    }
}
