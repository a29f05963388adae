//! Our own registrar's users: who may call, whom, and by which flow (SIGNALLING §4, §5, §9).

use proxy::{Binding, Bindings, Facts, Sender};
use sip::Header;

use crate::kit::*;

#[test]
fn who_calls_has_to_prove_it() {
    let edge = Edge::registrar();
    let sender = |sender| Facts {
        sender: Some(sender),
        ..Facts::default()
    };
    for (why, request, facts, want) in [
        ("asked first of all", invite(), nothing(), "ask sender"),
        (
            "RFC 3261 §22.3: no credentials",
            invite(),
            sender(Sender::Unknown { stale: false }),
            "challenge 407",
        ),
        (
            "RFC 7616 §3.3: an old nonce",
            invite(),
            sender(Sender::Unknown { stale: true }),
            "challenge 407 stale",
        ),
        (
            "wrong ones",
            invite(),
            sender(Sender::Refused),
            "403 refused",
        ),
        (
            "right ones",
            invite(),
            authenticated(),
            "ask bindings bob@example.test",
        ),
        (
            "a call of the group's is no exception",
            request("INVITE", "sip:911@example.test"),
            nothing(),
            "ask sender",
        ),
        (
            "nor one that follows a Service-Route",
            invite().route("<sip:10.0.0.21;lr>"),
            nothing(),
            "ask sender",
        ),
        (
            "RFC 3261 §22.1: a CANCEL is never challenged",
            request("CANCEL", "sip:bob@example.test"),
            nothing(),
            "ask bindings bob@example.test",
        ),
        (
            "nor is an ACK",
            request("ACK", "sip:bob@example.test"),
            nothing(),
            "ask bindings bob@example.test",
        ),
        (
            "OPTIONS to us: a keepalive",
            request("OPTIONS", "sip:example.test"),
            nothing(),
            "200 options",
        ),
        (
            "OPTIONS to a user",
            request("OPTIONS", "sip:bob@example.test"),
            nothing(),
            "ask sender",
        ),
    ] {
        assert_eq!(
            edge.says_with(&request.build(), &phone(), &facts),
            want,
            "{why}"
        );
    }
    assert_eq!(
        edge.says(&invite().build(), &core()),
        "ask bindings bob@example.test",
        "SIGNALLING §9: the core is trusted"
    );
    assert_eq!(
        Edge::relay().says(&invite().build(), &phone()),
        "relay up udp 10.0.0.21:5060",
        "in the edge role the registrar asks"
    );
    let mut open = Edge::registrar();
    open.site.authenticate = false;
    assert_eq!(
        open.says(&invite().build(), &phone()),
        "ask bindings bob@example.test",
        "turned off"
    );
}

#[test]
fn whom_a_request_uri_names() {
    let edge = Edge::registrar();
    for (why, uri, want) in [
        (
            "a user",
            "sip:bob@example.test",
            "ask bindings bob@example.test",
        ),
        (
            "case and port of the host",
            "sip:bob@EXAMPLE.test:5060",
            "ask bindings bob@example.test",
        ),
        (
            "baresip: parameters of the registered URI leak into it",
            "sip:bob@example.test;transport=udp",
            "ask bindings bob@example.test",
        ),
        (
            "escapes",
            "sip:b%6fb@example.test",
            "ask bindings bob@example.test",
        ),
        (
            "an alias of the domain",
            "sip:bob@example.org",
            "ask bindings bob@example.test",
        ),
        (
            "our address is the only domain",
            "sip:bob@203.0.113.10",
            "ask bindings bob@example.test",
        ),
        (
            "sips",
            "sips:bob@example.test",
            "ask bindings bob@example.test",
        ),
        ("no user", "sip:example.test", "404 no_user"),
        (
            "SIGNALLING §5: a Contact that others quote",
            "sip:6an2dokb@tu1e39g7lib1.invalid;transport=ws",
            "ask contact sip:6an2dokb@tu1e39g7lib1.invalid;transport=ws",
        ),
        (
            "with headers: baresip after an attended transfer",
            "sip:x@y.invalid;transport=ws?Replaces=call%3Bto-tag%3D1",
            "ask contact sip:x@y.invalid;transport=ws",
        ),
        (
            "to a group",
            "sip:911@example.test",
            "relay up udp 10.0.0.21:5060",
        ),
    ] {
        assert_eq!(
            edge.says_with(&request("INVITE", uri).build(), &phone(), &authenticated()),
            want,
            "{why}"
        );
    }
}

#[test]
fn what_the_look_up_says_decides() {
    let edge = Edge::registrar();
    let found = |bindings| Facts {
        bindings: Some(bindings),
        ..authenticated()
    };
    let by_name = invite().build();
    let by_contact = request("INVITE", "sip:x@y.invalid").build();
    for (why, request, facts, want) in [
        (
            "RFC 3261 §21.4.5: there is no such user",
            &by_name,
            found(Bindings::NoUser),
            "404 no_user",
        ),
        (
            "nobody's Contact: we relay for nobody else",
            &by_contact,
            found(Bindings::NoUser),
            "403 not_served",
        ),
        (
            "§21.4.18: registered nowhere",
            &by_name,
            found(Bindings::Devices(vec![])),
            "480 not_registered",
        ),
        (
            "its flow is gone",
            &by_name,
            bound(vec![edge.binding("sip:b@c.invalid", &gone(), BOB)]),
            "480 not_registered",
        ),
        (
            "one device",
            &by_name,
            bound(vec![edge.binding("sip:b@192.168.7.7", &phone(), BOB)]),
            "relay local flow 198.51.100.7:40000",
        ),
        (
            "a Contact of somebody",
            &by_contact,
            bound(vec![edge.binding("sip:x@y.invalid", &browser(), BOB)]),
            "start local connection 31",
        ),
        (
            "two devices fork in parallel",
            &by_name,
            bound(vec![
                edge.binding("sip:b@192.168.7.7", &phone(), BOB),
                edge.binding("sip:b@c.invalid", &browser(), ALICE),
            ]),
            "start local flow 198.51.100.7:40000 and local connection 31",
        ),
        (
            "one of two is gone",
            &by_name,
            bound(vec![
                edge.binding("sip:b@c.invalid", &gone(), BOB),
                edge.binding("sip:b@192.168.7.7", &phone(), ALICE),
            ]),
            "relay local flow 198.51.100.7:40000",
        ),
    ] {
        assert_eq!(
            edge.says_with(
                request,
                &flow(UDP, sip::Transport::Udp, "198.51.100.9:6000", None),
                &facts
            ),
            want,
            "{why}"
        );
    }
}

#[test]
fn a_look_up_goes_by_the_newest_flow() {
    let moved = flow(UDP, sip::Transport::Udp, "198.51.100.7:41111", None);
    let edge = Edge::registrar().knows(BOB, moved).knows(ALICE, tab());
    for (why, binding, want) in [
        (
            "UDP: the index wins",
            edge.binding("sip:b@192.168.7.7", &phone(), BOB),
            "flow 198.51.100.7:41111",
        ),
        (
            "SIGNALLING §5: SIP.js came back and did not register again",
            edge.binding("sip:b@c.invalid", &gone(), ALICE),
            "connection 32",
        ),
    ] {
        let says = edge.says_with(&invite().build(), &core(), &bound(vec![binding]));
        assert!(says.ends_with(want), "{why}: {says}");
    }
}

#[test]
fn a_copy_for_a_device_names_its_contact_and_the_path_behind_ours() {
    let edge = Edge::registrar();
    let mut binding = edge.binding("sip:bob@192.168.7.7:2048;line=x", &phone(), BOB);
    binding.path.push(b"<sip:10.5.5.5;lr>".to_vec());
    let sent = edge.passes(&invite().build(), &browser(), &bound(vec![binding]));
    assert_eq!(sent.uri(), b"sip:bob@192.168.7.7:2048;line=x");
    assert_eq!(
        values(&sent, Header::Route),
        ["<sip:10.5.5.5;lr>"],
        "RFC 3327 §5.4"
    );
}

#[test]
fn a_user_behind_another_edge_is_reached_through_it() {
    let edge = Edge::registrar();
    let path = vec![
        b"<sip:tok@10.0.0.77;lr>".to_vec(),
        b"<sip:10.5.5.5;lr>".to_vec(),
    ];
    let binding = Binding {
        contact: b"sip:bob@192.168.7.7".to_vec(),
        path,
        device: BOB,
        ..Binding::default()
    };
    let facts = bound(vec![binding.clone()]);
    assert_eq!(
        edge.says_with(&invite().build(), &phone(), &facts),
        "start up udp 10.0.0.77:5060",
        "towards the core, so its copy is the core's"
    );
    let sent = edge.passes(&invite().build(), &phone(), &facts);
    assert_eq!(
        values(&sent, Header::Route),
        ["<sip:tok@10.0.0.77;lr>", "<sip:10.5.5.5;lr>"]
    );
    let copy = token_of(&values(&sent, Header::RecordRoute)[0]);
    assert!(
        edge.sealer
            .open(
                proxy::token::Purpose::RecordRouteCore,
                copy.as_bytes(),
                Some(CALL.as_bytes()),
                NOW
            )
            .is_ok()
    );

    let name = Binding {
        path: vec![b"<sip:tok@edge2.example.net;lr>".to_vec()],
        ..binding
    };
    assert_eq!(
        edge.says_with(&invite().build(), &phone(), &bound(vec![name])),
        "ask address edge2.example.net"
    );
}

#[test]
fn a_binding_whose_token_does_not_verify_reaches_nobody() {
    let edge = Edge::registrar();
    let foreign = Edge {
        sealer: proxy::token::Sealer::new(proxy::key::Keys::single([9; 32])),
        ..Edge::registrar()
    };
    let old_key = Binding {
        path: foreign.binding("sip:b@c", &phone(), BOB).path,
        ..edge.binding("sip:b@c", &phone(), BOB)
    };
    assert_eq!(
        edge.says_with(&invite().build(), &phone(), &bound(vec![old_key])),
        "480 not_registered",
        "we would send to ourselves"
    );
    let token = token_of(&edge.path(&browser()));
    let in_contact = Binding {
        contact: format!("sip:{token}@192.0.2.1").into_bytes(),
        path: vec![],
        device: BOB,
        ..Binding::default()
    };
    assert_eq!(
        edge.says_with(&invite().build(), &phone(), &bound(vec![in_contact])),
        "relay up udp 192.0.2.1:5060",
        "SIGNALLING §1: a token in a Contact is no Path"
    );
}

#[test]
fn a_device_of_several_flows_is_called_by_one() {
    let edge = Edge::registrar();
    let by = |flow| edge.binding("sip:b@c.invalid", &flow, BOB);
    for (why, flows, want) in [
        (
            "RFC 5626 §7: the newest alone",
            [by(browser()), by(tab()), by(tcp_phone())],
            "start local connection 31",
        ),
        (
            "its connection is gone",
            [by(gone()), by(tab()), by(tcp_phone())],
            "start local connection 32",
        ),
        (
            "and the next one too",
            [by(gone()), by(gone()), by(tcp_phone())],
            "start local connection 11",
        ),
        (
            "all are gone",
            [by(gone()), by(gone()), by(gone())],
            "480 not_registered",
        ),
    ] {
        let [mut device, second, third] = flows;
        device.alternatives = vec![second, third];
        let facts = bound(vec![device]);
        let says = edge.says_with(&invite().build(), &phone(), &facts);
        assert_eq!(says, want, "{why}");
    }
}

#[test]
fn breadth_is_shared_among_the_branches() {
    let edge = Edge::registrar();
    let devices = bound(vec![
        edge.binding("sip:b@192.168.7.7", &phone(), BOB),
        edge.binding("sip:b@c.invalid", &browser(), ALICE),
        edge.binding("sip:b@d.invalid", &tab(), proxy::Device([1, 0, 0, 3])),
    ]);
    let shares = |draft: Draft| -> Vec<String> {
        let forwards = edge.forwards(&draft.build(), &core(), &devices);
        forwards
            .iter()
            .flat_map(|forward| {
                values(
                    &parse(&forward.request.to_bytes()),
                    Header::Other(b"Max-Breadth"),
                )
            })
            .collect()
    };
    assert_eq!(
        shares(invite()),
        ["20", "20", "20"],
        "RFC 5393 §5.3.3: 60 where none is given"
    );
    assert_eq!(
        shares(invite().with("Max-Breadth", "7")),
        ["3", "2", "2"],
        "all shares together are what came"
    );
    let says = |breadth: &str| {
        edge.says_with(
            &invite().with("Max-Breadth", breadth).build(),
            &core(),
            &devices,
        )
    };
    assert_eq!(
        says("2"),
        "440 too_broad",
        "§5.3.3.2: fewer than there are devices"
    );
    assert_eq!(says("0"), "440 too_broad");
    let one = bound(vec![edge.binding("sip:b@192.168.7.7", &phone(), BOB)]);
    let alone = edge.passes(&invite().with("Max-Breadth", "1").build(), &core(), &one);
    assert_eq!(
        values(&alone, Header::Other(b"Max-Breadth")),
        ["1"],
        "one branch takes it as it is"
    );
}
