//! SIGNALLING §9: what a device gets to know of a caller who asked for privacy, and what the core gets back.

use proxy::{privacy::reveal, response::pass_on};
use sip::{Edited, Header, Message};

use crate::kit::*;

const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=alice";

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// What a phone sees of the caller: From, and what else names somebody.
fn seen(message: &Message) -> (String, String) {
    let others = [
        Header::Privacy,
        Header::RemotePartyId,
        Header::PAssertedIdentity,
    ]
    .into_iter()
    .flat_map(|header| values(message, header))
    .collect::<Vec<_>>()
    .join(" | ");
    (text(message.header(Header::From)), others)
}

#[test]
fn a_device_learns_of_the_caller_what_it_may() {
    let edge = Edge::relay().knows(BOB, phone());
    let alice = "\"Alice\" <sip:alice@example.test>;tag=alice";
    let (id, mark) = (
        "\"Alice\" <sip:alice@example.test>",
        "\"Alice\" <sip:alice@example.test>;party=calling;privacy",
    );
    for (why, lines, from, others) in [
        ("nobody asked", &[][..], alice, String::new()),
        (
            "RFC 3325 §9.3",
            &[("Privacy", "id"), ("P-Asserted-Identity", id)],
            NOBODY,
            String::new(),
        ),
        (
            "RFC 3323 §4.2",
            &[("Privacy", "user;critical")],
            NOBODY,
            String::new(),
        ),
        (
            "RFC 3323 §4.2",
            &[("Privacy", "Header ; session")],
            NOBODY,
            String::new(),
        ),
        (
            "RFC 3323 §4.2: none",
            &[("Privacy", "none"), ("P-Asserted-Identity", id)],
            alice,
            format!("none | {id}"),
        ),
        (
            "the mark",
            &[("Remote-Party-ID", &*format!("{mark}=full"))],
            NOBODY,
            String::new(),
        ),
        (
            "the mark, off",
            &[("Remote-Party-ID", &*format!("{mark}=off"))],
            alice,
            format!("{mark}=off"),
        ),
        (
            "the mark, of the name",
            &[("Remote-Party-ID", &*format!("{mark}=name"))],
            "\"Anonymous\" <sip:alice@example.test>;tag=alice",
            String::new(),
        ),
        (
            "the mark, of the number",
            &[("Remote-Party-ID", &*format!("{mark}=\"uri-network\""))],
            "\"Alice\" <sip:anonymous@anonymous.invalid>;tag=alice",
            String::new(),
        ),
        (
            "the mark hides what else is asserted",
            &[
                ("Remote-Party-ID", &*format!("{mark}=full")),
                ("P-Asserted-Identity", id),
            ],
            NOBODY,
            String::new(),
        ),
    ] {
        let mut draft = invite().set("From", alice).route(&edge.path(&phone()));
        for (name, value) in lines {
            draft = draft.with(name, value);
        }
        let passed = edge.passes(&draft.build(), &core(), &nothing());
        assert_eq!(seen(&passed), (from.to_owned(), others), "{why}: {lines:?}");
        let kept = edge.says(&draft.build(), &core());
        assert_eq!(kept.starts_with("start"), from != alice, "{why}: {kept}");
    }
}

#[test]
fn freeswitch_s_private_caller_stays_private() {
    let edge = Edge::relay().knows(BOB, phone());
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/captured/chain"
    );
    for (folder, shows) in [
        ("k1_privacy_rpid", false),
        ("k2_privacy_pai", false),
        ("k3_identity_pai_no_privacy", true),
        ("k4_privacy_rpid_stripped", false),
    ] {
        let file = format!("{root}/{folder}/002_reg1_to_edge_INVITE.sip");
        let mut came = Edited::new(parse(&std::fs::read(file).expect(folder)));
        came.set(Header::Route, edge.path(&phone()).as_bytes());
        let passed = edge.passes(&parse(&came.to_bytes()), &core(), &nothing());
        let all = String::from_utf8_lossy(passed.bytes()).into_owned();
        for trace in ["Jane Doe", "221223"] {
            assert_eq!(all.contains(trace), shows, "{folder}: {all}");
        }
        assert!(passed.bytes().len() <= 1300, "{folder}");
    }
}

#[test]
fn the_core_keeps_its_own_mark_and_gets_its_own_from_back() {
    let edge = Edge::relay().knows(BOB, phone());
    let asked = invite()
        .with("Privacy", "id")
        .with("P-Asserted-Identity", "<sip:alice@example.test>");
    let up = edge.passes(&asked.build(), &phone(), &nothing());
    assert_eq!(text(up.header(Header::Privacy)), "id", "device to core");
    assert_eq!(
        text(up.header(Header::From)),
        "<sip:alice@example.test>;tag=alice"
    );
    let between = asked.clone().route("<sip:10.0.0.31:5060;lr>").build();
    let between = edge.passes(&between, &core(), &nothing());
    assert_eq!(
        seen(&between),
        (
            "<sip:alice@example.test>;tag=alice".to_owned(),
            "id | <sip:alice@example.test>".to_owned()
        ),
        "core to core"
    );

    let request = asked.route(&edge.path(&phone())).build();
    let passed = edge.passes(&request, &core(), &nothing());
    let answer = response_to(&passed, 200).build();
    assert_eq!(text(answer.header(Header::From)), NOBODY);
    let mut onward = pass_on(&answer, &phone(), &edge.context())
        .expect("ours")
        .response;
    reveal(&mut onward, &request);
    assert_eq!(
        onward.header(Header::From),
        request.header(Header::From),
        "RFC 3261 §8.2.6.2"
    );
}

/// ACK and BYE have no mark; the copy of the Record-Route that the caller holds says it.
#[test]
fn a_private_caller_stays_private_in_the_dialog() {
    for (who, caller, asks) in [
        ("the core", core(), true),
        ("a page", browser(), true),
        ("the core, shown", core(), false),
    ] {
        let edge = if caller == core() {
            Edge::relay()
        } else {
            Edge::registrar()
        }
        .knows(BOB, phone())
        .knows(ALICE, browser());
        let mut draft = invite();
        if asks {
            draft = draft.with("Privacy", "id");
        }
        let facts = if caller == core() {
            draft = draft.route(&edge.path(&phone()));
            nothing()
        } else {
            bound(vec![edge.binding(
                "sip:bob@192.168.77.5:5060",
                &phone(),
                BOB,
            )])
        };
        let passed = edge.passes(&draft.build(), &caller, &facts);
        let answer = response_to(&passed, 200).build();
        let onward = pass_on(&answer, &phone(), &edge.context())
            .expect("ours")
            .response;
        let copies = |message: &Message| values(message, Header::RecordRoute).remove(0);
        let (of_caller, of_called) = (copies(&parse(&onward.to_bytes())), copies(&answer));
        for method in ["ACK", "BYE", "INVITE"] {
            let sent = edge.passes(&inside(method, &of_caller).build(), &caller, &facts);
            let from = text(sent.header(Header::From));
            assert_eq!(from == NOBODY, asks, "{who}, {method}: {from}");
            let mut back = inside(method, &of_called);
            if caller == core() {
                back = back.route("<sip:10.0.0.21:5060;lr>");
            }
            let back = edge.passes(&back.build(), &phone(), &facts);
            let from = text(back.header(Header::From));
            assert_eq!(
                from, "<sip:alice@example.test>;tag=alice",
                "{who}, {method} of the called"
            );
        }
        let bye = edge.says(&inside("BYE", &of_caller).build(), &core());
        if caller == core() {
            assert_eq!(
                bye.starts_with("start"),
                asks,
                "its answer has to get From back: {bye}"
            );
        }
    }
}

#[test]
fn who_answers_may_ask_for_privacy_too() {
    let edge = Edge::relay();
    let passed = edge.passes(&invite().build(), &phone(), &nothing());
    for (privacy, named) in [
        ("id", ""),
        ("none", "none | \"Bob\" <sip:bob@example.test>"),
    ] {
        let answer = response_to(&passed, 200)
            .with("Privacy", privacy)
            .with("P-Asserted-Identity", "\"Bob\" <sip:bob@example.test>")
            .build();
        let onward = pass_on(&answer, &core(), &edge.context())
            .expect("ours")
            .response;
        assert_eq!(seen(&parse(&onward.to_bytes())).1, named);
    }
}
