//! SIGNALLING §3: what has a transaction, and what is relayed without.

use proxy::token::Pass;

use crate::kit::*;

#[test]
fn a_transaction_is_kept_for_what_needs_one_and_for_nothing_else() {
    let edge = Edge::relay();
    let media = || Edge::relay().with_media();
    let up = |method: &str, edge: &Edge| {
        inside(method, &edge.device_copy(false)).route("<sip:10.0.0.21;lr>")
    };
    let anchored = |method: &str, edge: &Edge| {
        inside(method, &edge.anchored_copy()).route("<sip:10.0.0.21;lr>")
    };
    let down =
        |method: &str, edge: &Edge, flow| inside(method, &edge.core_copy(&flow, BOB, Pass::Up));
    for (why, edge, request, from, stateful) in [
        ("UDP to UDP", Edge::relay(), invite(), phone(), false),
        (
            "UDP to UDP, REGISTER",
            Edge::relay(),
            request("REGISTER", "sip:example.test"),
            phone(),
            false,
        ),
        (
            "a browser's BYE: it does not retransmit, and UDP loses",
            Edge::relay(),
            up("BYE", &edge),
            browser(),
            true,
        ),
        (
            "stream to UDP, INVITE",
            Edge::relay(),
            invite(),
            browser(),
            true,
        ),
        (
            "stream to UDP, REGISTER",
            Edge::relay(),
            request("REGISTER", "sip:example.test"),
            tcp_phone(),
            true,
        ),
        (
            "the core's UDP REFER would reach the browser twice",
            Edge::relay(),
            down("REFER", &edge, browser()),
            core(),
            true,
        ),
        (
            "the core's UDP BYE to a phone on UDP",
            Edge::relay(),
            down("BYE", &edge, phone()),
            core(),
            false,
        ),
        (
            "stream to stream",
            Edge::relay(),
            down("INFO", &edge, browser()),
            core_tcp(),
            false,
        ),
        (
            "every ACK to a 2xx",
            Edge::relay(),
            down("ACK", &edge, browser()),
            core(),
            false,
        ),
        (
            "an ACK upwards",
            Edge::relay(),
            up("ACK", &edge),
            browser(),
            false,
        ),
        (
            "a stream that must be opened",
            Edge::relay(),
            request("INVITE", "sip:88@example.test"),
            tcp_phone(),
            true,
        ),
        (
            "may fail over: a group of two",
            Edge::relay(),
            request("INVITE", "sip:771@example.test"),
            phone(),
            true,
        ),
        (
            "its ACK goes the same way without",
            Edge::relay(),
            request("ACK", "sip:771@example.test"),
            phone(),
            false,
        ),
        (
            "its CANCEL, whose INVITE nobody knows",
            Edge::relay(),
            request("CANCEL", "sip:771@example.test"),
            phone(),
            false,
        ),
        (
            "a CANCEL between kinds",
            Edge::relay(),
            request("CANCEL", "sip:bob@example.test"),
            browser(),
            false,
        ),
        (
            "INVITE waits for RTPEngine",
            media(),
            invite().sdp(),
            phone(),
            true,
        ),
        (
            "without an offer too: its answer brings one",
            media(),
            invite(),
            phone(),
            true,
        ),
        (
            "REGISTER does not",
            media(),
            request("REGISTER", "sip:example.test"),
            phone(),
            false,
        ),
        (
            "a re-INVITE",
            media(),
            anchored("INVITE", &edge),
            phone(),
            true,
        ),
        (
            "an UPDATE with SDP",
            media(),
            anchored("UPDATE", &edge).sdp(),
            phone(),
            true,
        ),
        (
            "an UPDATE without",
            media(),
            anchored("UPDATE", &edge),
            phone(),
            false,
        ),
        (
            "a PRACK with SDP",
            media(),
            anchored("PRACK", &edge).sdp(),
            phone(),
            true,
        ),
        (
            "an INFO with whatever body",
            media(),
            anchored("INFO", &edge).sdp(),
            phone(),
            false,
        ),
        (
            "its ACK",
            media(),
            anchored("ACK", &edge).sdp(),
            phone(),
            false,
        ),
        (
            "its BYE, whose answer ends the session",
            media(),
            anchored("BYE", &edge),
            phone(),
            true,
        ),
        (
            "a BYE of a call without RTPEngine",
            media(),
            up("BYE", &edge),
            phone(),
            false,
        ),
        (
            "a re-INVITE of such a call",
            media(),
            up("INVITE", &edge).sdp(),
            phone(),
            false,
        ),
        (
            "a MESSAGE",
            media(),
            request("MESSAGE", "sip:bob@example.test"),
            phone(),
            false,
        ),
    ] {
        let says = edge.says(&request.build(), &from);
        let want = if stateful { "start " } else { "relay " };
        assert!(says.starts_with(want), "{why}: {says}");
    }
}

#[test]
fn the_branch_is_a_function_of_what_came() {
    let edge = Edge::relay();
    let branch =
        |edge: &Edge, draft: Draft, from| edge.sealed(&draft.build(), &from, &nothing()).branch;
    let to = |method: &str| request(method, "sip:bob@example.test");
    let invite_branch = branch(&edge, invite().sdp(), phone());
    for (why, draft, from, same) in [
        (
            "RFC 3261 §16.11: a retransmission",
            invite().sdp(),
            phone(),
            true,
        ),
        ("§9.1: its CANCEL", to("CANCEL"), phone(), true),
        (
            "§17.1.1.3: the ACK to its failure",
            to("ACK").tagged("bob"),
            phone(),
            true,
        ),
        (
            "headers that say nothing of the transaction",
            invite().with("X-Y", "z"),
            phone(),
            true,
        ),
        (
            "another received branch",
            invite().set("Via", "SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKalice2"),
            phone(),
            false,
        ),
        (
            "another request-URI",
            request("INVITE", "sip:carol@example.test"),
            phone(),
            false,
        ),
        (
            "another Call-ID",
            invite().set("Call-ID", "call-2"),
            phone(),
            false,
        ),
        (
            "another From tag",
            invite().set("From", "<sip:alice@example.test>;tag=other"),
            phone(),
            false,
        ),
        (
            "another target",
            request("INVITE", "sip:771@example.test"),
            phone(),
            false,
        ),
        (
            "another flow: its response goes elsewhere",
            invite().sdp(),
            flow(UDP, sip::Transport::Udp, "198.51.100.7:40002", None),
            false,
        ),
    ] {
        assert_eq!(branch(&edge, draft, from) == invite_branch, same, "{why}");
    }
}

#[test]
fn a_cancel_takes_the_way_and_the_branch_of_its_invite_everywhere() {
    let relay = Edge::relay();
    let registrar = Edge::registrar();
    let media = Edge::relay().with_media();
    let one = bound(vec![registrar.binding("sip:b@192.168.7.7", &phone(), BOB)]);
    let path = relay.path(&phone());
    let preloaded = |draft: Draft| {
        draft
            .route("<sip:203.0.113.10;lr>")
            .route("<sip:10.0.0.21;lr>")
    };
    let in_dialog = |method: &str| inside(method, &relay.core_copy(&phone(), BOB, Pass::Up));
    let cancel = || request("CANCEL", "sip:bob@example.test");
    for (why, edge, invite, cancel, from, facts) in [
        (
            "to a group",
            &relay,
            invite().sdp(),
            cancel(),
            phone(),
            nothing(),
        ),
        (
            "to a group of two",
            &relay,
            request("INVITE", "sip:771@example.test").sdp(),
            request("CANCEL", "sip:771@example.test"),
            phone(),
            nothing(),
        ),
        (
            "by a Route",
            &relay,
            preloaded(invite().sdp()),
            preloaded(cancel()),
            phone(),
            nothing(),
        ),
        (
            "to a device that was looked up",
            &registrar,
            invite().sdp(),
            cancel(),
            phone(),
            one,
        ),
        (
            "to a Path",
            &relay,
            request("INVITE", "sip:b@192.168.7.7").route(&path).sdp(),
            request("CANCEL", "sip:b@192.168.7.7").route(&path),
            core(),
            nothing(),
        ),
        (
            "of a re-INVITE",
            &relay,
            in_dialog("INVITE").sdp(),
            in_dialog("CANCEL"),
            core(),
            nothing(),
        ),
        (
            "without an offer",
            &media,
            invite(),
            cancel(),
            phone(),
            nothing(),
        ),
    ] {
        let (first, second) = (
            edge.sealed(&invite.build(), &from, &facts),
            edge.sealed(&cancel.build(), &from, &facts),
        );
        assert_eq!(first.branch, second.branch, "{why}");
        assert_eq!(first.request.uri(), second.request.uri(), "{why}");
    }
}
