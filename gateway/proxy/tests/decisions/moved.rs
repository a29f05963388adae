//! A device that speaks inside a dialog by another flow than the one that is noted: who is believed to be where, and who is not
//! (SIGNALLING §5).

use proxy::key::Keys;
use proxy::token::{Pass, Purpose, Sealer, Token};
use proxy::{Device, Flow};
use sip::{Header, Message, Transport};

use crate::kit::*;

/// Bob's copy: the core called him when he was known at `flow`, by a call of this Call-ID.
fn copy_of_bob(edge: Edge, flow: &Flow, call: &str) -> String {
    let edge = edge.knows(BOB, *flow);
    let invite = request("INVITE", "sip:x@y.invalid")
        .route(&edge.path(flow))
        .set("Call-ID", call)
        .build();
    let sent = edge.passes(&invite, &core(), &nothing());
    values(&sent, Header::RecordRoute).remove(0)
}

/// Who is noted at the flow by which this came, or what became of the request instead.
fn noted(edge: &Edge, request: &Message, by: &Flow) -> Result<Option<Device>, String> {
    let said = edge.says(request, by);
    if !said.starts_with("relay") && !said.starts_with("start") {
        return Err(said);
    }
    Ok(edge.forwards(request, by, &nothing())[0].moved)
}

fn udp(peer: &str) -> Flow {
    flow(UDP, Transport::Udp, peer, None)
}

fn to_core(method: &str, copy: &str) -> Draft {
    inside(method, copy).route("<sip:10.0.0.21;lr>")
}

#[test]
fn a_device_is_noted_at_the_new_flow_that_it_speaks_by() {
    let own = || copy_of_bob(Edge::relay(), &browser(), CALL);
    let of_phone = || copy_of_bob(Edge::relay(), &phone(), CALL);
    let at = |flow| Edge::relay().knows(BOB, flow);
    let (away, moved, stays) = (Edge::relay(), Ok(Some(BOB)), Ok(None));
    for (why, edge, copy, from, want) in [
        ("SIP.js reconnected", &away, own(), tab(), &moved),
        ("by TCP just as well", &away, own(), tcp_phone(), &moved),
        (
            "its connection lives: it may have two",
            &at(browser()),
            own(),
            tab(),
            &stays,
        ),
        ("it is where it was", &at(tab()), own(), tab(), &stays),
        (
            "nobody knows whose copy it is",
            &away,
            Edge::relay().device_copy(true),
            tab(),
            &stays,
        ),
        (
            "the NAT opened another port",
            &at(phone()),
            of_phone(),
            udp("198.51.100.7:40077"),
            &moved,
        ),
        ("the same port", &at(phone()), of_phone(), phone(), &stays),
        (
            "it answered no ping at the old one",
            &Edge::relay().missed(BOB, phone()),
            of_phone(),
            udp("198.51.100.7:40077"),
            &moved,
        ),
        (
            "nor at the one that it speaks by now",
            &Edge::relay().missed(BOB, phone()),
            of_phone(),
            phone(),
            &moved,
        ),
        (
            "a datagram's source is easily made up: the call would be sent to a victim",
            &at(phone()),
            of_phone(),
            udp("192.0.2.66:40000"),
            &stays,
        ),
        (
            "and so would it where nobody knows where the phone was",
            &away,
            of_phone(),
            udp("198.51.100.7:40077"),
            &stays,
        ),
        (
            "by datagram from where a connection is",
            &at(tcp_phone()),
            of_phone(),
            phone(),
            &stays,
        ),
        (
            "RFC 3261 §18.1.1: a phone sends its long requests by TCP",
            &at(phone()),
            of_phone(),
            tcp_phone(),
            &stays,
        ),
    ] {
        for method in ["INFO", "INVITE", "BYE", "ACK", "UPDATE"] {
            let request = to_core(method, &copy).build();
            assert_eq!(&noted(edge, &request, &from), want, "{why}: {method}");
        }
    }
}

#[test]
fn nobody_is_noted_who_has_no_copy_of_this_call() {
    let edge = Edge::relay();
    let mut foreign = Edge::relay();
    foreign.sealer = Sealer::new(Keys::single([8; 32]));
    let own = copy_of_bob(Edge::relay(), &browser(), CALL);
    for (why, request, from, want) in [
        (
            "another cluster's copy",
            to_core("INFO", &copy_of_bob(foreign, &browser(), CALL)),
            tab(),
            "403 foreign_token",
        ),
        (
            "the copy of another call",
            to_core("INFO", &copy_of_bob(Edge::relay(), &browser(), "call-2")),
            tab(),
            "403 foreign_token",
        ),
        (
            "the core's copy, which names him too",
            to_core("INFO", &edge.core_copy(&browser(), BOB, Pass::Down)),
            tab(),
            "403 foreign_token",
        ),
        (
            "outside a dialog",
            request("MESSAGE", "sip:bob@example.test").route(&own),
            tab(),
            "403 foreign_token",
        ),
        (
            "the core with his copy",
            to_core("INFO", &own),
            core(),
            "403 foreign_token",
        ),
    ] {
        let got = noted(&edge, &request.build(), &from);
        assert_eq!(got, Err(want.to_owned()), "{why}");
    }
    let by_core = inside("INFO", &edge.core_copy(&browser(), BOB, Pass::Down)).build();
    assert_eq!(noted(&edge, &by_core, &core()), Ok(None), "towards him");
}

#[test]
fn each_branch_of_a_fork_has_the_copy_of_its_own_device() {
    let edge = Edge::registrar();
    let both = bound(vec![
        edge.binding("sip:x@y.invalid", &browser(), BOB),
        edge.binding("sip:z@y.invalid", &tab(), ALICE),
    ]);
    let forwards = edge.forwards(&invite().build(), &phone(), &both);
    let holders: Vec<_> = forwards
        .iter()
        .map(|forward| {
            let sent = parse(&edge.seal(forward).request.to_bytes());
            let text = token_of(&values(&sent, Header::RecordRoute)[0]);
            let call = Some(CALL.as_bytes());
            let opened = edge
                .sealer
                .open(Purpose::RecordRouteDevice, text.as_bytes(), call, NOW);
            let Ok(Token::RecordRouteDevice(copy)) = opened else {
                panic!("{opened:?}")
            };
            copy.holder
        })
        .collect();
    assert_eq!(holders, [Some(BOB.0), Some(ALICE.0)]);
}
