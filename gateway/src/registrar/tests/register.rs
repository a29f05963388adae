//! What REGISTERs do: RFC 3261 §10.3, RFC 3327, RFC 5626.

use super::*;

use proptest::prelude::*;

const A: &str = "Contact: <sip:a@192.0.2.9>";
const OUTBOUND: &str = "Supported: path, outbound";

fn flow(contact: &str, reg_id: u32) -> String {
    format!("Contact: <{contact}>;+sip.instance=\"<urn:uuid:1>\";reg-id={reg_id}")
}

#[tokio::test]
async fn a_register_is_answered_as_the_rfcs_say() {
    let two = "Contact: <sip:a@h>;+sip.instance=\"<u>\";reg-id=1, <sip:b@h>;+sip.instance=\"<u>\";reg-id=2";
    let via = "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx";
    for (why, headers, want) in [
        ("RFC 3261 §10.3: a mere question", vec![], 200),
        ("a Contact", vec![A], 200),
        (
            "several",
            vec![A, "Contact: <sip:b@h>, <tel:+49>;q=0.1"],
            200,
        ),
        (
            "§10.3 step 6: * with others",
            vec![A, "Contact: *", "Expires: 0"],
            400,
        ),
        ("§10.3 step 6: * without Expires", vec!["Contact: *"], 400),
        (
            "§10.3 step 6: * with another Expires",
            vec!["Contact: *", "Expires: 10"],
            400,
        ),
        ("§10.3 step 6: *", vec!["Contact: *", "Expires: 0"], 200),
        ("no URI", vec!["Contact: <nonsense>"], 400),
        (
            "§10.2.8: too brief, in the header",
            vec![A, "Expires: 59"],
            423,
        ),
        (
            "§10.2.8: too brief, in the parameter",
            vec!["Contact: <sip:a@h>;expires=1", "Expires: 600"],
            423,
        ),
        ("just long enough", vec![A, "Expires: 60"], 200),
        (
            "§20.19: not to be read, so the default",
            vec![A, "Expires: soon"],
            200,
        ),
        (
            "§8.2.2.3: an unknown extension",
            vec![A, "Require: path, gizmo"],
            420,
        ),
        ("an extension that we do", vec![A, "Require: outbound"], 200),
        ("RFC 5626 §6: two flows in one", vec![two, OUTBOUND], 400),
        (
            "RFC 5626 §6: the first hop lacks it",
            vec![&flow("sip:a@h", 1), OUTBOUND, via],
            439,
        ),
        (
            "a Path without ob does too",
            vec![&flow("sip:a@h", 1), OUTBOUND, via, "Path: <sip:e;lr>"],
            439,
        ),
        (
            "the last Path counts",
            vec![
                &flow("sip:a@h", 1),
                OUTBOUND,
                via,
                "Path: <sip:f;lr;ob>, <sip:e;lr>",
            ],
            439,
        ),
        (
            "a Path with ob",
            vec![
                &flow("sip:a@h", 1),
                OUTBOUND,
                via,
                "Path: <sip:f;lr>, <sip:e;lr;ob>",
            ],
            200,
        ),
        (
            "not asked for, so ignored",
            vec![&flow("sip:a@h", 1), via],
            200,
        ),
    ] {
        let answer = register(&registrar(), NOW, 1, &headers).await;
        assert_eq!(answer.status(), want, "{why}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let registrar = registrar();
    let brief = register(&registrar, NOW, 1, &[A, "Expires: 59"]).await;
    assert_eq!(header(&brief, Header::MinExpires).as_deref(), Some("60"));
    let extension = register(
        &registrar,
        NOW,
        2,
        &[A, "Require: gizmo, path", "Require: gadget"],
    )
    .await;
    assert_eq!(
        header(&extension, Header::Unsupported).as_deref(),
        Some("gizmo, gadget")
    );
    assert!(registrar.is_empty());
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_404() {
    let text = register_text(1, &[A]).replace("alice@example.test", "alice@elsewhere.test");
    assert_eq!(send(&registrar(), NOW, &message(&text)).await.status(), 404);
}

#[tokio::test]
async fn the_interval_is_the_parameter_else_the_header_else_the_default() {
    for (headers, want) in [
        (vec![A], "600"),
        (vec![A, "Expires: 300"], "300"),
        (
            vec!["Contact: <sip:a@192.0.2.9>;expires=120", "Expires: 300"],
            "120",
        ),
        (vec![A, "Expires: 4000000000"], "3600"),
        (vec![A, "Expires: 99999999999999"], "3600"),
        (
            vec!["Contact: <sip:a@192.0.2.9>;expires=x", "Expires: 300"],
            "600",
        ),
    ] {
        let registrar = registrar();
        let answer = register(&registrar, NOW, 1, &headers).await;
        assert_eq!(
            contacts(&answer),
            [format!("<sip:a@192.0.2.9>;expires={want}")],
            "{headers:?}"
        );
        let left = contacts(&register(&registrar, NOW + seconds(1), 2, &[]).await);
        let want: u32 = want.parse().unwrap();
        assert_eq!(left, [format!("<sip:a@192.0.2.9>;expires={}", want - 1)]);
    }
}

#[tokio::test]
async fn the_answer_has_what_outbound_path_and_date_ask_for() {
    let path = "Path: <sip:tok@edge.test;lr;ob>";
    let contact = flow("sip:a@192.0.2.9", 1);
    let answer = register(&registrar(), NOW, 1, &[&contact, OUTBOUND, path]).await;
    assert_eq!(
        contacts(&answer),
        ["<sip:a@192.0.2.9>;expires=600;+sip.instance=\"<urn:uuid:1>\";reg-id=1"]
    );
    for (name, want) in [
        (Header::Path, Some("<sip:tok@edge.test;lr;ob>")),
        (Header::Require, Some("outbound")),
        (Header::FlowTimer, Some("120")),
        (Header::Supported, Some("path, outbound")),
        (Header::Date, Some("Sat, 01 Aug 2026 00:00:00 GMT")),
    ] {
        assert_eq!(header(&answer, name).as_deref(), want, "{name:?}");
    }
    let plain = register(&registrar(), NOW, 1, &[A, path]).await;
    for name in [Header::Path, Header::Require, Header::FlowTimer] {
        assert_eq!(header(&plain, name), None, "{name:?} that nobody asked for");
    }
}

#[tokio::test]
async fn a_refresh_replaces_and_another_contact_is_added() {
    let registrar = registrar();
    for (cseq, contact, want) in [
        (1, "sip:a@192.0.2.9", 1),
        (2, "sip:%61@192.0.2.9", 1),
        (3, "sip:a@192.0.2.9:5060", 2),
        (4, "sip:A@192.0.2.9", 3),
    ] {
        let answer = register(&registrar, NOW, cseq, &[&format!("Contact: <{contact}>")]).await;
        assert_eq!(contacts(&answer).len(), want, "{contact}");
    }
    let removed = register(
        &registrar,
        NOW,
        5,
        &["Contact: <sip:a@192.0.2.9>;expires=0"],
    )
    .await;
    assert_eq!(contacts(&removed).len(), 2);
    let all = register(&registrar, NOW, 6, &["Contact: *", "Expires: 0"]).await;
    assert_eq!(
        (all.status(), contacts(&all).len(), registrar.len()),
        (200, 0, 0)
    );
}

#[tokio::test]
async fn a_flow_is_replaced_by_instance_and_reg_id_whatever_its_contact() {
    let registrar = registrar();
    for (cseq, contact, reg_id, want) in [
        (1, "sip:a@one.invalid", 1, 1),
        (2, "sip:b@two.invalid", 1, 1),
        // Two flows of a device have one Contact.
        (3, "sip:b@two.invalid", 2, 2),
        (4, "sip:b@two.invalid", 2, 2),
    ] {
        let path = format!("Path: <sip:{cseq}@edge.test;lr;ob>");
        let answer = register(
            &registrar,
            NOW,
            cseq,
            &[&flow(contact, reg_id), OUTBOUND, &path],
        )
        .await;
        assert_eq!(contacts(&answer).len(), want, "CSeq {cseq}");
    }
    let paths: Vec<String> = registrar
        .bindings(b"alice@example.test")
        .iter()
        .map(|binding| text(&binding.path[0]))
        .collect();
    assert_eq!(
        paths,
        ["<sip:2@edge.test;lr;ob>", "<sip:4@edge.test;lr;ob>"]
    );
}

#[tokio::test]
async fn a_device_that_turns_to_flows_or_back_leaves_no_twin() {
    let registrar = registrar();
    for (cseq, contact, want) in [
        (1, flow("sip:old@h", 1), 1),
        (2, "Contact: <sip:a@h>".to_owned(), 2),
        // The flow takes the Contact that was bound without one.
        (3, flow("sip:a@h", 1), 1),
        (4, flow("sip:a@h", 2), 2),
        // One Contact without flows takes the place of both.
        (5, "Contact: <sip:a@h>".to_owned(), 1),
    ] {
        let answer = register(&registrar, NOW, cseq, &[&contact, OUTBOUND]).await;
        assert_eq!(contacts(&answer).len(), want, "CSeq {cseq}");
    }
}

#[tokio::test]
async fn a_register_that_was_overtaken_changes_nothing() {
    let registrar = registrar();
    let short = "Contact: <sip:a@192.0.2.9>;expires=60";
    assert_eq!(register(&registrar, NOW, 5, &[A]).await.status(), 200);
    let later = NOW + seconds(1);
    for (why, cseq, headers, want) in [
        ("the same number for something else", 5, vec![short], 500),
        ("the same once more: its answer was lost", 5, vec![A], 200),
        ("a lower number", 4, vec![short], 500),
        (
            "all or nothing",
            4,
            vec!["Contact: <sip:new@h>", short],
            500,
        ),
        (
            "a lower number that removes",
            4,
            vec!["Contact: *", "Expires: 0"],
            500,
        ),
        ("a question", 4, vec![], 200),
        (
            "another Contact has no order",
            4,
            vec!["Contact: <sip:b@h>;expires=0"],
            200,
        ),
        ("a higher number", 6, vec![short], 200),
    ] {
        let answer = register(&registrar, later, cseq, &headers).await;
        assert_eq!((answer.status(), registrar.len()), (want, 1), "{why}");
    }
    let other_call = register_text(1, &[A]).replace("call-1", "call-2");
    assert_eq!(
        send(&registrar, later, &message(&other_call))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn bindings_beyond_the_limit_are_refused_and_expired_ones_do_not_count() {
    let rules = Rules {
        max_bindings: 2,
        ..Rules::default()
    };
    let registrar = registrar_with(rules);
    for (after, cseq, contact, want) in [
        (0, 1, "sip:a@h", 200),
        (300, 2, "sip:b@h", 200),
        (300, 3, "sip:c@h", 403),
        (300, 4, "sip:b@h", 200),
        (601, 5, "sip:c@h", 200),
    ] {
        let answer = register(
            &registrar,
            NOW + seconds(after),
            cseq,
            &[&format!("Contact: <{contact}>")],
        )
        .await;
        assert_eq!(answer.status(), want, "{contact}");
    }
    assert_eq!(registrar.len(), 2);
}

#[tokio::test]
async fn the_caller_learns_for_how_long_the_device_is_bound() {
    let registrar = registrar();
    for (cseq, headers, want) in [
        (1, vec![A, "Expires: 300"], Some(seconds(300))),
        (2, vec![], None),
        (3, vec![A, "Expires: 10"], None),
        (4, vec![A, "Expires: 0"], Some(seconds(0))),
    ] {
        let request = message(&register_text(cseq, &headers));
        assert_eq!(
            registrar.register(&request, b"tag", NOW).await.expires,
            want,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn what_has_expired_is_swept() {
    let registrar = registrar();
    register(&registrar, NOW, 1, &[A, "Expires: 60"]).await;
    register(&registrar, NOW, 2, &["Contact: <sip:b@h>", "Expires: 120"]).await;
    assert_eq!(registrar.sweep(NOW + seconds(59)).len(), 0);
    let gone = registrar.sweep(NOW + seconds(60));
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (text(&gone[0].0), text(&gone[0].1.contact)),
        ("alice@example.test".into(), "sip:a@192.0.2.9".into())
    );
    assert_eq!(registrar.sweep(NOW + seconds(120)).len(), 1);
    assert!(registrar.is_empty());
}

/// A Contact line out of a few users, instances and numbers, so that they meet.
fn any_contact() -> impl Strategy<Value = String> {
    let flow = prop_oneof![
        Just(String::new()),
        (1..3u32, 0..3u32).prop_map(|(instance, reg_id)| format!(
            ";+sip.instance=\"<urn:uuid:{instance}>\";reg-id={reg_id}"
        )),
    ];
    let expires = prop_oneof![
        Just(""),
        Just(";expires=0"),
        Just(";expires=60"),
        Just(";expires=7200")
    ];
    (0..4u32, flow, expires)
        .prop_map(|(user, flow, expires)| format!("Contact: <sip:u{user}@h>{flow}{expires}"))
}

proptest! {
    #[test]
    fn bindings_are_bounded_and_none_is_there_twice(
        steps in prop::collection::vec((0..90u64, 0..20u32, prop::collection::vec(any_contact(), 0..3)), 1..20)
    ) {
        let rules = Rules { max_bindings: 3, ..Rules::default() };
        let mut held: Vec<Binding> = Vec::new();
        let mut now = 0;
        for (after, cseq, mut headers) in steps {
            now += after * 1000;
            headers.push(OUTBOUND.to_owned());
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let request = message(&register_text(cseq, &headers));
            let Ok(granted) = super::super::register::decide(&request, &held, &rules, now) else { continue };
            held = granted.bindings;
            prop_assert!(held.len() <= 3);
            for (at, one) in held.iter().enumerate() {
                prop_assert!(one.expires > now && one.expires <= now + 3_600_000);
                for other in &held[at + 1..] {
                    let (flow, other_flow) = ((&one.instance, one.reg_id), (&other.instance, other.reg_id));
                    let same = match (one.reg_id, other.reg_id) {
                        (Some(_), Some(_)) => flow == other_flow,
                        _ => one.contact == other.contact,
                    };
                    prop_assert!(!same, "{one:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    fn no_register_panics(lines in prop::collection::vec("(Contact|Expires|Path|CSeq|Require|To): [ -~]{0,40}", 0..6)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let request = message(&register_text(1, &lines));
        let _ = super::super::register::decide(&request, &[], &Rules::default(), 0);
        let _ = registrar().authenticate(&request, Kind::Www, PEER, NOW);
    }
}

#[test]
fn only_a_store_that_is_behind_is_said_with_503_and_when_to_come_back() {
    use crate::registrar::register::Refusal;
    for (error, status, wait) in [
        (StoreError::Behind, 503, Some("5")),
        (StoreError::Full, 500, None),
        (StoreError::Closed, 500, None),
    ] {
        let refusal = Refusal::from(error.clone());
        let header = refusal.header();
        let said = header.as_ref().map(|(name, value)| {
            assert_eq!(*name, Header::RetryAfter, "{error}");
            std::str::from_utf8(value).unwrap()
        });
        assert_eq!((refusal.status(), said), (status, wait), "{error}");
    }
}
