//! RFC 3261 §16.6: the copy that is passed on.

use proxy::token::{Pass, Purpose, Token};
use sip::Header;

use crate::kit::*;

#[test]
fn max_forwards_counts_down_and_is_added_where_it_is_missing() {
    let edge = Edge::relay();
    for (why, draft, want) in [
        ("§16.6 step 3", invite(), "69"),
        ("the last hop", invite().set("Max-Forwards", "1"), "0"),
        ("RFC 2543 knew none", invite().without("Max-Forwards"), "70"),
        (
            "§20.22: its largest",
            invite().set("Max-Forwards", "255"),
            "254",
        ),
    ] {
        assert_eq!(
            values(
                &edge.passes(&draft.build(), &phone(), &nothing()),
                Header::MaxForwards
            ),
            [want],
            "{why}"
        );
    }
}

#[test]
fn the_top_via_says_where_a_request_came_from() {
    let edge = Edge::relay();
    let sent = edge.passes(&invite().build(), &phone(), &nothing());
    let vias = values(&sent, Header::Via);
    assert!(
        vias[0].starts_with("SIP/2.0/UDP 10.0.0.10;branch=z9hG4bK"),
        "{vias:?}"
    );
    assert_eq!(
        vias[1],
        "SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKalice1;rport=40000;received=198.51.100.7",
        "RFC 3581 §4"
    );
    let lies = invite()
        .set(
            "Via",
            "SIP/2.0/UDP 192.168.1.9;branch=z9hG4bK1;received=192.0.2.66;rport=9",
        )
        .build();
    let vias = values(&edge.passes(&lies, &phone(), &nothing()), Header::Via);
    assert!(
        !vias[1].contains("192.0.2.66") && vias[1].contains("rport=40000"),
        "a sender does not say where answers go: {vias:?}"
    );
}

#[test]
fn each_side_is_told_the_listener_and_transport_of_its_own() {
    let edge = Edge::relay();
    for (why, request, from, via, route) in [
        (
            "to UDP",
            invite(),
            phone(),
            "SIP/2.0/UDP 10.0.0.10;",
            "@10.0.0.10;lr>",
        ),
        (
            "to TCP",
            request("INVITE", "sip:88@example.test"),
            phone(),
            "SIP/2.0/TCP 10.0.0.10;",
            "@10.0.0.10;transport=tcp;lr>",
        ),
        (
            "to a browser: the certificate's name",
            request("INVITE", "sip:x@y.invalid").route(&edge.path(&browser())),
            core(),
            "SIP/2.0/WSS edge.example.net;",
            "@edge.example.net;transport=ws;lr>",
        ),
        (
            "to a phone on UDP",
            request("INVITE", "sip:b@192.168.7.7").route(&edge.path(&phone())),
            core(),
            "SIP/2.0/UDP 203.0.113.10;",
            "@203.0.113.10;lr>",
        ),
    ] {
        let sent = edge.passes(&request.build(), &from, &nothing());
        let (top, ours) = (
            &values(&sent, Header::Via)[0],
            &values(&sent, Header::RecordRoute)[0],
        );
        assert!(top.starts_with(via), "{why}: {top}");
        assert!(ours.ends_with(route), "{why}: {ours}");
    }
}

#[test]
fn one_record_route_a_pass_and_only_where_a_dialog_may_begin() {
    let edge = Edge::relay();
    for (method, want) in [
        ("INVITE", 1),
        ("SUBSCRIBE", 1),
        ("REFER", 1),
        ("NOTIFY", 1),
        ("UNHEARDOF", 1),
        ("REGISTER", 0),
        ("OPTIONS", 0),
        ("MESSAGE", 0),
        ("PUBLISH", 0),
        ("ACK", 0),
        ("CANCEL", 0),
        ("BYE", 0),
        ("PRACK", 0),
        ("UPDATE", 0),
        ("INFO", 0),
    ] {
        let sent = edge.passes(
            &request(method, "sip:bob@example.test").build(),
            &phone(),
            &nothing(),
        );
        assert_eq!(
            values(&sent, Header::RecordRoute).len(),
            want,
            "SIGNALLING §2: {method}"
        );
    }
    let re_invite = inside("INVITE", &edge.core_copy(&phone(), BOB, Pass::Up))
        .with("Record-Route", "<sip:10.0.0.21;lr>");
    let routes = values(
        &edge.passes(&re_invite.build(), &core(), &nothing()),
        Header::RecordRoute,
    );
    assert_eq!(
        (routes.len(), routes[1].as_str()),
        (2, "<sip:10.0.0.21;lr>"),
        "ours on top, also in a re-INVITE"
    );
}

#[test]
fn between_two_servers_of_the_core_we_do_not_stay() {
    // Neither has a copy of ours that the other side could follow; they reach each other without us.
    let edge = Edge::relay().with_media();
    let forward = edge
        .forwards(
            &invite().sdp().route("<sip:10.0.0.32;lr>").build(),
            &core(),
            &nothing(),
        )
        .remove(0);
    assert!(!forward.record_route && forward.media.is_some_and(|media| !media.is_some()));
    assert_eq!(
        edge.says(&invite().sdp().route("<sip:10.0.0.32;lr>").build(), &core()),
        "relay through udp 10.0.0.32:5060"
    );
}

#[test]
fn a_record_route_holds_what_its_reader_needs() {
    let edge = Edge::relay().knows(ALICE, phone()).knows(BOB, browser());
    let registrar = Edge::registrar().knows(ALICE, phone());
    let open = |edge: &Edge, purpose, draft: Draft, from, facts: &proxy::Facts| {
        let sent = edge.passes(&draft.build(), &from, facts);
        let token = token_of(&values(&sent, Header::RecordRoute)[0]);
        edge.sealer
            .open(purpose, token.as_bytes(), Some(CALL.as_bytes()), NOW)
            .unwrap()
    };
    let Token::RecordRouteCore(up) = open(
        &edge,
        Purpose::RecordRouteCore,
        invite(),
        phone(),
        &nothing(),
    ) else {
        panic!()
    };
    assert_eq!(
        (up.flow, up.device, up.listener, up.media.pass),
        (phone().address(), ALICE.0, UDP, Pass::Up)
    );
    let to_browser = request("INVITE", "sip:x@y.invalid").route(&edge.path(&browser()));
    let Token::RecordRouteDevice(down) = open(
        &edge,
        Purpose::RecordRouteDevice,
        to_browser,
        core(),
        &nothing(),
    ) else {
        panic!()
    };
    assert_eq!(
        (down.called, down.towards, down.holder, down.media.pass),
        (true, None, Some(BOB.0), Pass::Down)
    );
    let one = bound(vec![registrar.binding("sip:x@y.invalid", &browser(), BOB)]);
    let Token::RecordRouteDevice(local) = open(
        &registrar,
        Purpose::RecordRouteDevice,
        invite(),
        phone(),
        &one,
    ) else {
        panic!()
    };
    let other = local.towards.unwrap();
    assert_eq!(
        (local.called, other.flow, other.device, local.media.pass),
        (true, phone().address(), ALICE.0, Pass::Local)
    );
    assert_eq!(local.holder, Some(BOB.0), "the binding says who");
}

#[test]
fn identity_is_asserted_by_the_core_and_by_nobody_else() {
    let edge = Edge::relay();
    let asserted = [
        ("P-Asserted-Identity", "<sip:boss@example.test>"),
        ("Remote-Party-ID", "<sip:boss@example.test>;screen=yes"),
        ("Diversion", "<sip:boss@example.test>"),
        ("History-Info", "<sip:boss@example.test>;index=1"),
    ];
    let all = |draft: Draft| {
        asserted
            .iter()
            .fold(draft, |draft, (name, value)| draft.with(name, value))
    };
    let left = |message: &sip::Message| {
        asserted
            .iter()
            .filter(|(name, _)| message.header(Header::Other(name.as_bytes())).is_some())
            .count()
    };
    for (why, draft, from, want) in [
        ("RFC 3325 §5: from a device", invite(), phone(), 0),
        (
            "in a REGISTER",
            request("REGISTER", "sip:example.test"),
            phone(),
            0,
        ),
        (
            "from the core",
            request("INVITE", "sip:b@192.168.7.7").route(&edge.path(&phone())),
            core(),
            4,
        ),
    ] {
        assert_eq!(
            left(&edge.passes(&all(draft).build(), &from, &nothing())),
            want,
            "{why}"
        );
    }
    let kept = invite()
        .with("P-Preferred-Identity", "<sip:a@example.test>")
        .with("Privacy", "id");
    let sent = edge.passes(&kept.build(), &phone(), &nothing());
    assert!(
        sent.header(Header::Other(b"P-Preferred-Identity"))
            .is_some()
            && sent.header(Header::Other(b"Privacy")).is_some()
    );
}

#[test]
fn credentials_for_us_end_here() {
    // RFC 3261 §22.3: whoever they were for takes them off; what is for somebody else passes.
    let registrar = Edge::registrar();
    let digest = |realm: &str| {
        format!(
            "Digest username=\"alice\", realm=\"{realm}\", nonce=\"n\", uri=\"sip:bob@example.test\", response=\"0123456789abcdef0123456789abcdef\""
        )
    };
    let both = |draft: Draft| {
        draft
            .with("Proxy-Authorization", &digest("example.test"))
            .with("Proxy-Authorization", &digest("fs.example.com"))
            .with("Authorization", &digest("example.test"))
    };
    let one = bound(vec![registrar.binding("sip:b@192.168.7.7", &phone(), BOB)]);
    let dialog = inside("BYE", &registrar.device_copy(false)).route("<sip:10.0.0.21;lr>");
    for (why, edge, draft, facts, want) in [
        (
            "to a device",
            &registrar,
            invite(),
            one,
            vec!["fs.example.com"],
        ),
        (
            "to a group",
            &registrar,
            request("INVITE", "sip:911@example.test"),
            authenticated(),
            vec!["fs.example.com"],
        ),
        (
            "inside a dialog: linphone repeats them",
            &registrar,
            dialog.clone(),
            nothing(),
            vec!["fs.example.com"],
        ),
        (
            "an ACK has those of its INVITE",
            &registrar,
            inside("ACK", &registrar.device_copy(false)).route("<sip:10.0.0.21;lr>"),
            nothing(),
            vec!["fs.example.com"],
        ),
        (
            "in the edge role none is ours",
            &Edge::relay(),
            invite(),
            nothing(),
            vec!["example.test", "fs.example.com"],
        ),
    ] {
        let sent = edge.passes(&both(draft).build(), &phone(), &facts);
        let realms: Vec<String> = sent
            .lines(Header::ProxyAuthorization)
            .map(|line| {
                String::from_utf8_lossy(sip::digest::Credentials::parse(line).unwrap().realm)
                    .into_owned()
            })
            .collect();
        assert_eq!(realms, want, "{why}");
        assert!(
            sent.header(Header::Authorization).is_some(),
            "{why}: Authorization is between the ends"
        );
    }
}

#[test]
fn a_request_uri_leaves_without_headers() {
    // RFC 3261 §19.1.1 forbids them; baresip sends them after an attended transfer.
    let edge = Edge::relay();
    let draft = request(
        "INVITE",
        "sip:bob@example.test;x=1?Replaces=call%3Bto-tag%3D1",
    );
    assert_eq!(
        edge.passes(&draft.build(), &phone(), &nothing()).uri(),
        b"sip:bob@example.test;x=1"
    );
    let registrar = Edge::registrar();
    let one = bound(vec![registrar.binding(
        "sip:b@192.168.7.7?X=y",
        &phone(),
        BOB,
    )]);
    assert_eq!(
        registrar.passes(&invite().build(), &browser(), &one).uri(),
        b"sip:b@192.168.7.7"
    );
}

#[test]
fn a_reason_and_what_we_do_not_know_pass_unchanged() {
    // chain/l1: a CANCEL whose "Call completed elsewhere" is overwritten shows a missed call.
    let edge = Edge::relay();
    let reason = "SIP ;cause=200 ;text=\"Call completed elsewhere\"";
    let cancel = request("CANCEL", "sip:b@192.168.7.7")
        .route(&edge.path(&phone()))
        .with("Reason", reason)
        .with("X-Odd", "a,b ;c");
    let sent = edge.passes(&cancel.build(), &core(), &nothing());
    assert_eq!(sent.header(Header::Reason).unwrap(), reason.as_bytes());
    assert_eq!(sent.header(Header::Other(b"X-Odd")).unwrap(), b"a,b ;c");
}

#[test]
fn what_no_listener_can_send_is_refused() {
    let mut edge = Edge::relay();
    edge.site
        .listeners
        .retain(|listener| listener.bind.is_ipv4());
    let request = invite().route("<sip:[2001:db8::99];lr>").build();
    assert_eq!(edge.says(&request, &core()), "502 unreachable");
}

#[test]
fn users_stay_with_the_member_that_challenged_them() {
    // SIGNALLING §6: challenge and answer meet without memory.
    let mut edge = Edge::relay();
    let by = |edge: &Edge, user: &str, draft: Draft| {
        edge.says(
            &draft
                .set("From", &format!("<sip:{user}@example.test>;tag=1"))
                .build(),
            &phone(),
        )
    };
    let call = || request("INVITE", "sip:771@example.test");
    let users: Vec<String> = (0..40).map(|number| format!("user{number}")).collect();
    let first: Vec<String> = users.iter().map(|user| by(&edge, user, call())).collect();
    let on_a = first
        .iter()
        .filter(|says| says.contains("10.0.0.31"))
        .count();
    assert!((8..=32).contains(&on_a), "both have users: {on_a} of 40");
    for (user, says) in users.iter().zip(&first) {
        assert_eq!(
            &by(&edge, user, request("MESSAGE", "sip:7799@example.test")),
            says,
            "{user}"
        );
        assert_eq!(
            &by(
                &edge,
                user,
                call().set("Call-ID", "other").set("CSeq", "2 INVITE")
            ),
            says,
            "{user}"
        );
    }
    edge.dead.insert((1, 0));
    for (user, says) in users.iter().zip(&first) {
        let now = by(&edge, user, call());
        assert!(now.contains("10.0.0.32"), "{user}: {now}");
        assert!(
            // With one left there is nobody to fail over to, so nothing is remembered.
            says.contains("10.0.0.31") || says.replacen("start", "relay", 1) == now,
            "{user}: who was there stays"
        );
    }
    edge.dead.insert((1, 1));
    assert_eq!(by(&edge, "alice", call()), "500 nobody_alive");
}
