//! Issue 4, call-outs: who is asked over HTTP chooses among what is configured, once for a request, and no address.

use proxy::Facts;
use proxy::call_out::{CallOut, Choice};
use proxy::site::{Match, Route, Side, To};

use crate::draft::Draft;
use crate::kit::*;

/// Everything of devices is asked about.
fn edge(mut edge: Edge, on_failure: To) -> Edge {
    edge.site.call_outs = vec![CallOut {
        name: "desk".to_owned(),
        on_failure,
    }];
    let when = Match {
        side: Some(Side::Device),
        ..Match::default()
    };
    edge.site.routes = vec![Route {
        when,
        to: To::CallOut(0),
    }];
    edge
}

fn answered(to: To, uri: Option<&str>) -> Facts {
    Facts {
        call_out: Some(Some(Choice {
            to,
            uri: uri.map(|uri| uri.as_bytes().to_vec()),
        })),
        ..authenticated()
    }
}

fn failed() -> Facts {
    Facts {
        call_out: Some(None),
        ..authenticated()
    }
}

#[test]
fn a_request_goes_where_the_call_out_says_or_where_its_failure_is_configured() {
    let relay = |on_failure| edge(Edge::relay(), on_failure);
    let reject = || To::Reject(503);
    let register = || request("REGISTER", "sip:example.test");
    let rows: [(&str, Edge, Draft, Facts, &str); 14] = [
        (
            "it is asked",
            relay(reject()),
            invite(),
            nothing(),
            "ask call-out 0",
        ),
        (
            "for REGISTER, too",
            relay(reject()),
            register(),
            nothing(),
            "ask call-out 0",
        ),
        (
            "a group",
            relay(reject()),
            invite(),
            answered(To::Group(0), None),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "REGISTER to a group",
            relay(reject()),
            register(),
            answered(To::Group(0), None),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "REGISTER cannot be looked up",
            relay(reject()),
            register(),
            answered(To::Lookup, None),
            "403 not_served",
        ),
        (
            "it refuses",
            relay(reject()),
            invite(),
            answered(To::Reject(603), None),
            "603 configured",
        ),
        (
            "another number: the group stays the group",
            relay(reject()),
            invite(),
            answered(To::Group(0), Some("sip:+4930@192.0.2.66")),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "no answer: as configured",
            relay(reject()),
            invite(),
            failed(),
            "503 configured",
        ),
        (
            "no answer: a group",
            relay(To::Group(0)),
            invite(),
            failed(),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "only one is asked",
            relay(reject()),
            invite(),
            answered(To::CallOut(0), None),
            "403 not_served",
        ),
        (
            "RFC 3261 §17: an ACK asks nobody",
            relay(reject()),
            request("ACK", "sip:bob@example.test"),
            nothing(),
            "drop ack",
        ),
        (
            "RFC 3261 §16.10: nor a CANCEL",
            relay(reject()),
            request("CANCEL", "sip:bob@example.test"),
            nothing(),
            "481 no_transaction",
        ),
        (
            "users have to prove who they are first",
            edge(Edge::registrar(), reject()),
            invite(),
            nothing(),
            "ask sender",
        ),
        (
            "its request-URI is looked up",
            edge(Edge::registrar(), reject()),
            invite(),
            answered(To::Lookup, Some("sip:carol@example.test")),
            "ask bindings carol@example.test",
        ),
    ];
    for (why, edge, draft, facts, want) in rows {
        assert_eq!(
            edge.says_with(&draft.build(), &phone(), &facts),
            want,
            "{why}"
        );
    }
}

#[test]
fn the_number_is_rewritten_in_the_copy_and_nowhere_else() {
    let edge = edge(Edge::relay(), To::Reject(503));
    let facts = answered(To::Group(0), Some("sip:+4930@example.test;user=phone"));
    let copy = edge.passes(&invite().build(), &phone(), &facts);
    assert_eq!(copy.uri(), b"sip:+4930@example.test;user=phone");
    assert_eq!(copy.to().unwrap().uri, b"sip:bob@example.test");
}
