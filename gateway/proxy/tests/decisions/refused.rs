//! RFC 3261 §16.3: what is refused before anybody looks where it goes.

use crate::kit::*;

#[test]
fn a_request_is_refused_with_the_status_its_rfc_names() {
    let edge = Edge::relay();
    for (why, request, want) in [
        (
            "RFC 3261 §16.3 step 3: Max-Forwards is used up",
            invite().set("Max-Forwards", "0"),
            "483 too_many_hops",
        ),
        (
            "§16.3 step 3: no user agent's OPTIONS is ours",
            request("OPTIONS", "sip:bob@203.0.113.10").set("Max-Forwards", "0"),
            "483 too_many_hops",
        ),
        (
            "§11: OPTIONS may end here when its hops are used up",
            request("OPTIONS", "sip:203.0.113.10").set("Max-Forwards", "0"),
            "200 options",
        ),
        (
            "§16.3 step 5: Proxy-Require names what we lack",
            invite().with("Proxy-Require", "sec-agree"),
            "420 bad_extension",
        ),
        (
            "§16.3 step 5: in a second line too",
            invite()
                .with("Proxy-Require", "")
                .with("Proxy-Require", "a, b"),
            "420 bad_extension",
        ),
        (
            "§16.3 step 5: an empty Proxy-Require asks for nothing",
            invite().with("Proxy-Require", ""),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "§20.32: Require is the callee's business",
            invite().with("Require", "100rel"),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "§16.3 step 2: a scheme that nobody routes",
            request("INVITE", "http://example.test/"),
            "416 malformed",
        ),
        (
            "§16.3 step 1: no From",
            invite().without("From"),
            "400 malformed",
        ),
        (
            "§16.3 step 1: Max-Forwards that is no number",
            invite().set("Max-Forwards", "many"),
            "400 malformed",
        ),
        (
            "§16.6 step 6: a Route that would make no request-URI",
            invite().route("<sip:10.0.0.21;%r>"),
            "400 malformed",
        ),
        (
            "§8.1.1.5: CSeq of another method",
            invite().set("CSeq", "1 BYE"),
            "400 malformed",
        ),
        (
            "a route of the configuration",
            request("INVITE", "sip:0049@example.net"),
            "603 configured",
        ),
    ] {
        assert_eq!(edge.says(&request.build(), &phone()), want, "{why}");
    }
    let old = String::from_utf8(invite().build().bytes().to_vec())
        .unwrap()
        .replacen("SIP/2.0\r", "SIP/3.0\r", 1);
    assert_eq!(
        edge.says(&parse(old.as_bytes()), &phone()),
        "505 malformed",
        "RFC 3261 §21.5.6: another version"
    );
}

#[test]
fn a_420_names_what_we_lack() {
    let edge = Edge::relay();
    let request = invite().with("Proxy-Require", "sec-agree, x").build();
    let proxy::Decision::Reply(reason) = edge.decide(&request, &phone(), &nothing()) else {
        panic!("no reply")
    };
    let answer = parse(&proxy::reply::answer(&request, phone().peer, &reason));
    assert_eq!(
        (answer.status(), values(&answer, sip::Header::Unsupported)),
        (420, vec!["sec-agree".to_owned(), "x".to_owned()])
    );
}

#[test]
fn nothing_ever_answers_an_ack() {
    let edge = Edge::registrar();
    for (why, request) in [
        (
            "hops used up",
            request("ACK", "sip:bob@example.test").set("Max-Forwards", "0"),
        ),
        (
            "no From",
            request("ACK", "sip:bob@example.test").without("From"),
        ),
        (
            "a foreign token",
            inside("ACK", "<sip:AAxv17XX-dSzriSL_tuKgjtg@203.0.113.10;lr>"),
        ),
        (
            "a Route to somebody else",
            request("ACK", "sip:bob@example.test").route("<sip:192.0.2.99;lr>"),
        ),
        ("a domain of nobody", request("ACK", "sip:bob@example.com")),
    ] {
        let facts = proxy::Facts {
            bindings: Some(proxy::Bindings::NoUser),
            ..nothing()
        };
        assert_eq!(
            edge.says_with(&request.build(), &phone(), &facts),
            "drop ack",
            "{why}"
        );
    }
}

#[test]
fn cancel_and_ack_are_exempt_from_proxy_require() {
    // RFC 3261 §8.2.2.3: neither can be negotiated about.
    let edge = Edge::relay();
    for method in ["CANCEL", "ACK"] {
        let request = request(method, "sip:bob@example.test")
            .with("Proxy-Require", "x")
            .build();
        assert_eq!(
            edge.says(&request, &phone()),
            "relay up udp 10.0.0.21:5060",
            "{method}"
        );
    }
}

#[test]
fn the_ack_to_an_answer_of_our_own_ends_here() {
    // RFC 3261 §8.2.7: by its tag, although nobody remembers the answer.
    let edge = Edge::relay();
    let refused = invite().with("Proxy-Require", "x").build();
    let tag = proxy::reply::own_tag(&refused);
    let to = format!("<sip:bob@example.test>;tag={tag}");
    let ack = request("ACK", "sip:bob@example.test").set("To", &to);
    assert_eq!(edge.says(&ack.build(), &phone()), "drop ack");
    let of_another = ack.set("CSeq", "2 ACK");
    assert_eq!(
        edge.says(&of_another.build(), &phone()),
        "relay up udp 10.0.0.21:5060",
        "another transaction's"
    );
    let answer = parse(&proxy::reply::answer(
        &refused,
        phone().peer,
        &proxy::Reason::BadExtension(b"x".to_vec()),
    ));
    assert_eq!(answer.to_tag().unwrap(), tag.as_bytes());
}

/// Sends a request through the edge, and what it sends on through it again, as a core does that points back at us.
fn round_trip(edge: &Edge, request: &sip::Message, change: impl Fn(String) -> String) -> String {
    let sent = edge.passes(request, &phone(), &authenticated());
    let back = change(String::from_utf8(sent.bytes().to_vec()).unwrap());
    edge.says_with(&parse(back.as_bytes()), &core(), &authenticated())
}

#[test]
fn a_loop_is_refused_and_a_spiral_is_not() {
    let mut edge = Edge::relay();
    edge.site.routes.push(proxy::site::Route {
        when: proxy::site::Match::default(),
        to: proxy::site::To::Group(0),
    });
    let invite = invite().build();
    assert_eq!(
        round_trip(&edge, &invite, |same| same),
        "482 loop",
        "RFC 5393 §4.2: the same request, back again"
    );
    for (why, from, to) in [
        (
            "§4.2: another request-URI is a spiral",
            "INVITE sip:bob@",
            "INVITE sip:carol@",
        ),
        (
            "SIGNALLING §4: another Route is a spiral",
            "Max-Forwards",
            "Route: <sip:10.0.0.10;lr>\r\nMax-Forwards",
        ),
    ] {
        let says = round_trip(&edge, &invite, |text| text.replacen(from, to, 1));
        assert_ne!(says, "482 loop", "{why}");
    }
    let foreign = round_trip(&edge, &invite, |text| text.replacen("call-1", "call-2", 1));
    assert_ne!(
        foreign, "482 loop",
        "a Via that says nothing of this call is not ours"
    );
}
