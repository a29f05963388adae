//! RFC 3261 §8.1.3.4 and §16.5: which Contacts of a 3xx are followed, and in which order.

use proxy::redirect::Redirects;
use proxy::site::{Group, Standing};
use proxy::{Forward, Hop};
use sip::Edited;

use crate::kit::*;

/// An edge whose group of two follows redirections; users that begin with 77 go there.
fn edge() -> Edge {
    let mut edge = Edge::relay();
    edge.site.groups[1] = Group {
        follows_redirects: true,
        ..edge.site.groups[1].clone()
    };
    edge
}

fn invite_to_pair() -> Draft {
    request("INVITE", "sip:771@example.test")
}

fn moved(status: u16, contacts: &[&str]) -> Edited {
    let draft = response_to(&invite_to_pair().build(), status);
    let with = |draft: Draft, contact: &&str| draft.with("Contact", contact);
    Edited::new(contacts.iter().fold(draft, with).build())
}

/// The request-URI and the address of a copy.
fn way_of(forward: &Forward) -> String {
    let uri = String::from_utf8_lossy(forward.request.uri()).into_owned();
    match &forward.hop {
        Hop::Server { address, .. } => format!("{uri} at {address}"),
        Hop::Flow(_) => uri,
    }
}

fn followed(edge: &Edge, draft: Draft, response: &Edited) -> Vec<String> {
    let forward = edge
        .forwards(&draft.build(), &phone(), &nothing())
        .swap_remove(0);
    let mut redirects = Redirects::default();
    let takes = redirects.take(&forward, response, &edge.context());
    let all: Vec<String> = std::iter::from_fn(|| redirects.take_next())
        .map(|next| way_of(&next))
        .collect();
    assert_eq!(takes, !all.is_empty());
    all
}

#[test]
fn contacts_of_the_core_are_followed_the_best_first() {
    for (why, status, contacts, want) in [
        (
            "a member, by name",
            302,
            &["<sip:bob@reg-a.example.net>"][..],
            &["sip:bob@reg-a.example.net at 10.0.0.31:5060"][..],
        ),
        (
            "§20.10: by q, and 1 where it is left out",
            300,
            &[
                "<sip:a@10.0.0.31>;q=0.2",
                "<sip:b@10.0.0.32>;q=0.7",
                "<sip:c@10.0.0.21>",
            ],
            &[
                "sip:c@10.0.0.21 at 10.0.0.21:5060",
                "sip:b@10.0.0.32 at 10.0.0.32:5060",
                "sip:a@10.0.0.31 at 10.0.0.31:5060",
            ],
        ),
        (
            "an address in the networks of the core",
            302,
            &["<sip:bob@10.0.7.7:5070>"],
            &["sip:bob@10.0.7.7:5070 at 10.0.7.7:5070"],
        ),
        (
            "§16.5: none twice",
            302,
            &[
                "<sip:a@10.0.0.31>",
                "<sip:a@10.0.0.31>;q=0.5",
                "<sip:771@example.test>",
            ],
            &["sip:a@10.0.0.31 at 10.0.0.31:5060"],
        ),
        (
            "five at most",
            300,
            &[
                "<sip:1@10.0.0.31>",
                "<sip:2@10.0.0.31>",
                "<sip:3@10.0.0.31>",
                "<sip:4@10.0.0.31>",
                "<sip:5@10.0.0.31>",
                "<sip:6@10.0.0.31>",
            ],
            &[
                "sip:1@10.0.0.31 at 10.0.0.31:5060",
                "sip:2@10.0.0.31 at 10.0.0.31:5060",
                "sip:3@10.0.0.31 at 10.0.0.31:5060",
                "sip:4@10.0.0.31 at 10.0.0.31:5060",
                "sip:5@10.0.0.31 at 10.0.0.31:5060",
            ],
        ),
        (
            "a redirection chooses where we send: not the world",
            302,
            &["<sip:bob@192.0.2.66>"],
            &[],
        ),
        (
            "nor what DNS makes of a name",
            302,
            &["<sip:bob@elsewhere.example>"],
            &[],
        ),
        ("nor ourselves", 302, &["<sip:bob@10.0.0.10>"], &[]),
        (
            "nor a port where the core speaks no SIP",
            302,
            &["<sip:bob@10.0.7.7:6379;transport=tcp>"],
            &[],
        ),
        (
            "nor what we do not speak to servers",
            302,
            &["<sips:bob@10.0.0.31>"],
            &[],
        ),
        ("nor what is no SIP", 302, &["<tel:+4930>"], &[]),
        ("another answer", 486, &["<sip:bob@10.0.0.31>"], &[]),
    ] {
        let got = followed(&edge(), invite_to_pair(), &moved(status, contacts));
        assert_eq!(got, want, "{why}");
    }
}

#[test]
fn only_a_new_invite_to_a_group_that_follows_is_redirected() {
    let to_a = moved(302, &["<sip:bob@10.0.0.31>"]);
    let pass = Edge::relay();
    assert!(
        followed(&pass, invite_to_pair(), &to_a).is_empty(),
        "the group passes them"
    );
    let mut carriers = edge();
    carriers.site.groups[1].outside = true;
    assert!(
        followed(&carriers, invite_to_pair(), &to_a).is_empty(),
        "members outside do not choose where in the core it goes"
    );
    let again = invite_to_pair().tagged("bob");
    assert!(followed(&edge(), again, &to_a).is_empty(), "a re-INVITE");
    let message = request("MESSAGE", "sip:771@example.test");
    assert!(followed(&edge(), message, &to_a).is_empty(), "no INVITE");
    // It is remembered, or nobody could follow: also where there is nobody else to be asked.
    let mut alone = edge();
    alone.dead.insert((1, 1));
    assert!(
        alone
            .says(&invite_to_pair().build(), &phone())
            .starts_with("start up")
    );
}

#[test]
fn a_member_that_is_dead_or_drained_is_not_followed_to() {
    let to_a = moved(302, &["<sip:bob@10.0.0.21>"]);
    let mut dead = edge();
    dead.dead.insert((0, 0));
    assert!(followed(&dead, invite_to_pair(), &to_a).is_empty());
    let mut drained = edge();
    drained.site.groups[0].members[0].standing = Standing::Drained;
    assert!(followed(&drained, invite_to_pair(), &to_a).is_empty());
}

#[test]
fn a_redirection_of_a_redirection_goes_no_round() {
    let edge = edge();
    let first = edge
        .forwards(&invite_to_pair().build(), &phone(), &nothing())
        .swap_remove(0);
    let mut redirects = Redirects::default();
    assert!(redirects.take(
        &first,
        &moved(302, &["<sip:a@10.0.0.31>", "<sip:z@10.0.0.32>;q=0.1"]),
        &edge.context()
    ));
    let second = redirects.take_next().unwrap();
    assert_ne!(
        edge.seal(&first).branch,
        edge.seal(&second).branch,
        "a branch of its own"
    );
    let back = moved(
        302,
        &[
            "<sip:a@10.0.0.31>",
            "<sip:771@example.test>",
            "<sip:b@10.0.0.32>",
        ],
    );
    assert!(redirects.take(&second, &back, &edge.context()));
    // What it says comes before what is left of the first.
    assert_eq!(
        way_of(&redirects.take_next().unwrap()),
        "sip:b@10.0.0.32 at 10.0.0.32:5060"
    );
    for (status, want) in [
        (486, true),
        (503, true),
        (401, false),
        (407, false),
        (487, false),
        (603, false),
        (200, false),
    ] {
        assert_eq!(redirects.go_on_after(status), want, "{status}");
    }
    assert_eq!(
        way_of(&redirects.take_next().unwrap()),
        "sip:z@10.0.0.32 at 10.0.0.32:5060"
    );
    assert!(!redirects.go_on_after(486));
}

#[test]
fn a_redirection_leads_to_no_node() {
    let mut edge = edge();
    edge.nodes = Others(vec![(8, "10.0.0.11:5060".parse().unwrap(), true)]);
    edge.site.shared.core = Some(proxy::cluster::SharedName {
        host: "10.0.0.100".to_owned(),
        port: None,
    });
    for contact in [
        "<sip:0900@10.0.0.11>",
        "<sip:0900@10.0.0.100>",
        "<sip:0900@10.0.0.10>",
    ] {
        let response = moved(302, &[contact]);
        assert_eq!(
            followed(&edge, invite_to_pair(), &response),
            [""; 0],
            "it would take the call for the core's: {contact}"
        );
    }
}
