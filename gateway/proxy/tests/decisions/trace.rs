//! Why a decision is what it is: which rule matched and what the others miss, what a token said, why there is a transaction.

use proxy::site::Condition;
use proxy::state::Keeping;
use proxy::token::Pass;
use proxy::trace::{Said, Trace, nearest, trace};
use proxy::{Decision, Flow};

use crate::draft::Draft;
use crate::kit::*;

fn traced(edge: &Edge, draft: Draft, from: &Flow) -> Trace {
    let request = draft.build();
    let decision = edge.decide(&request, from, &nothing());
    trace(&request, from, &edge.context(), &decision)
}

#[test]
fn each_rule_says_which_of_its_conditions_a_request_does_not_meet() {
    use Condition::*;
    use proxy::site::{Match, Route, To};
    let match_of = |change: &dyn Fn(&mut Match)| {
        let mut when = Match::default();
        change(&mut when);
        when
    };
    let sip = |uri: &str| request("INVITE", uri);
    let bob = || sip("sip:bob@example.test");
    for (why, when, draft, want) in [
        ("no condition", match_of(&|_| {}), bob(), vec![]),
        (
            "the side",
            match_of(&|when| when.side = Some(proxy::site::Side::Core)),
            bob(),
            vec![Side],
        ),
        (
            "the listener",
            match_of(&|when| when.listeners = vec![proxy::ListenerId(CORE)]),
            bob(),
            vec![Listener],
        ),
        (
            "not a member of the group",
            match_of(&|when| when.group = Some(0)),
            bob(),
            vec![Group],
        ),
        (
            "the method",
            match_of(&|when| when.methods = vec!["MESSAGE".to_owned()]),
            bob(),
            vec![Method],
        ),
        (
            "the domain, in any case of letters",
            match_of(&|when| when.domains = vec!["EXAMPLE.test".to_owned()]),
            bob(),
            vec![],
        ),
        (
            "another domain",
            match_of(&|when| when.domains = vec!["example.org".to_owned()]),
            bob(),
            vec![Domain],
        ),
        (
            "the user",
            match_of(&|when| when.user = Some("alice".to_owned())),
            bob(),
            vec![User],
        ),
        (
            "RFC 3261 §19.1.4: the user's escapes undone",
            match_of(&|when| when.user = Some("bob".to_owned())),
            sip("sip:%62ob@example.test"),
            vec![],
        ),
        (
            "RFC 3966: the number of a tel URI",
            match_of(&|when| when.prefix = Some("+49".to_owned())),
            sip("tel:+4930;phone-context=x"),
            vec![],
        ),
        (
            "the prefix",
            match_of(&|when| when.prefix = Some("bo".to_owned())),
            sip("sip:rob@example.test"),
            vec![Prefix],
        ),
        (
            "the expression",
            match_of(&|when| when.regex = regex::Regex::new("^[0-9]+$").ok()),
            bob(),
            vec![Regex],
        ),
        (
            "several, in their order",
            match_of(&|when| {
                when.methods = vec!["BYE".to_owned()];
                when.prefix = Some("9".to_owned());
            }),
            bob(),
            vec![Method, Prefix],
        ),
    ] {
        let mut edge = Edge::relay();
        edge.site.routes = vec![Route {
            when,
            to: To::Reject(404),
        }];
        let verdicts = traced(&edge, draft.clone(), &phone()).verdicts;
        assert_eq!(verdicts[0].misses, want, "{why}");
        let refused = edge.says(&draft.build(), &phone()).starts_with("404");
        assert_eq!(refused, want.is_empty(), "{why}: as it is decided");
    }
}

#[test]
fn the_rule_that_counts_is_the_first_match_or_the_nearest_miss() {
    let edge = Edge::relay();
    for (uri, rule) in [
        ("sip:00123@example.test", 0),
        ("sip:771@example.test", 1),
        ("sip:bob@example.test", 3),
    ] {
        let verdicts = traced(&edge, request("INVITE", uri), &phone()).verdicts;
        let found = nearest(&verdicts).unwrap();
        assert!(found.is_match() && found.rule == rule, "{uri}: {found:?}");
    }
    // The core's request: all rules are for devices, and the last one asks for nothing else.
    let verdicts = traced(&edge, invite(), &core()).verdicts;
    let found = nearest(&verdicts).unwrap();
    assert_eq!((found.rule, &found.misses[..]), (3, &[Condition::Side][..]));
}

#[test]
fn no_rule_is_asked_about_what_is_decided_without() {
    let edge = Edge::relay();
    let registrar = Edge::registrar();
    let path = edge.path(&phone());
    for (why, edge, draft, from) in [
        (
            "RFC 3261 §16.3",
            &edge,
            invite().set("Max-Forwards", "0"),
            phone(),
        ),
        (
            "inside a dialog",
            &edge,
            inside("BYE", &edge.device_copy(false)).route("<sip:10.0.0.21;lr>"),
            phone(),
        ),
        ("by Path", &edge, invite().route(&path), core()),
        (
            "by Route",
            &edge,
            invite().route("<sip:10.0.0.21;lr>"),
            core(),
        ),
        (
            "our registrar",
            &registrar,
            request("REGISTER", "sip:example.test"),
            phone(),
        ),
        (
            "OPTIONS to us",
            &edge,
            request("OPTIONS", "sip:203.0.113.10"),
            phone(),
        ),
    ] {
        assert_eq!(traced(edge, draft, &from).verdicts, [], "{why}");
    }
}

#[test]
fn what_a_token_said_is_told() {
    let edge = Edge::relay();
    let said = |draft: Draft, from: &Flow| traced(&edge, draft, from);
    let outside = said(invite().route("<sip:203.0.113.10;lr>"), &phone());
    assert_eq!(outside.said, Said::Nothing);
    assert_eq!(outside.taken, [b"<sip:203.0.113.10;lr>"]);
    assert!(outside.left.is_empty());
    let by_path = said(invite().route(&edge.path(&phone())), &core()).said;
    let Said::Path(path) = by_path else {
        panic!("{by_path:?}")
    };
    assert_eq!(path.flow, phone().address());
    let down = said(
        inside("BYE", &edge.core_copy(&phone(), BOB, Pass::Up)),
        &core(),
    )
    .said;
    let Said::Dialog { device, media, .. } = down else {
        panic!("{down:?}")
    };
    assert_eq!(device.unwrap().1, phone().address());
    assert_eq!(media.pass, Pass::Up);
    let up = said(
        inside("BYE", &edge.device_copy(false)).route("<sip:10.0.0.21;lr>"),
        &phone(),
    );
    assert!(
        matches!(up.said, Said::Dialog { device: None, .. }),
        "{up:?}"
    );
    assert_eq!((up.taken.len(), up.left.len()), (1, 1));
    // SIGNALLING §1: a Path token from a device.
    let foreign = said(invite().route(&edge.path(&phone())), &phone());
    assert_eq!(foreign.said, Said::Refused);
}

#[test]
fn a_transaction_is_kept_for_a_reason_that_is_told() {
    let private = || invite().with("Privacy", "id;user");
    let down = |edge: &Edge, draft: Draft, to: &Flow| draft.route(&edge.path(to));
    let relay = Edge::relay();
    for (why, edge, draft, from, want) in [
        (
            "UDP to UDP",
            Edge::relay(),
            invite(),
            phone(),
            Keeping::SameKind,
        ),
        (
            "ACK",
            Edge::relay(),
            request("ACK", "sip:bob@example.test"),
            phone(),
            Keeping::Ack,
        ),
        (
            "CANCEL",
            Edge::relay(),
            request("CANCEL", "sip:bob@example.test"),
            phone(),
            Keeping::Cancel,
        ),
        (
            "a group of two",
            Edge::relay(),
            request("INVITE", "sip:771@example.test"),
            phone(),
            Keeping::FailOver,
        ),
        (
            "a browser",
            Edge::relay(),
            invite(),
            browser(),
            Keeping::OtherKind,
        ),
        (
            "a server behind TCP",
            Edge::relay(),
            request("INVITE", "sip:88@example.test"),
            tcp_phone(),
            Keeping::Opens,
        ),
        (
            "RTPEngine",
            Edge::relay().with_media(),
            invite(),
            phone(),
            Keeping::Media,
        ),
        (
            "privacy",
            Edge::relay(),
            down(&relay, private(), &phone()),
            core(),
            Keeping::Anonymous,
        ),
    ] {
        let request = draft.build();
        let decision = edge.decide(&request, &from, &nothing());
        let (forwards, is_stateless) = match decision {
            Decision::Relay(forward) => (vec![*forward], true),
            Decision::Start(forwards) => (forwards, false),
            other => panic!("{why}: {other:?}"),
        };
        let keeping = proxy::state::keeping(&forwards, &edge.context());
        assert_eq!(keeping, Some(want), "{why}");
        assert_eq!(want.is_stateless(), is_stateless, "{why}");
    }
}
