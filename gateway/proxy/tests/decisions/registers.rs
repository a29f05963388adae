//! REGISTER: where it goes, and the Path that goes with it (RFC 3327, SIGNALLING §2).

use proxy::{Decision, Flow, device};
use sip::{Header, Message};

use crate::kit::*;

fn register(uri: &str) -> Draft {
    request("REGISTER", uri)
        .set("To", "<sip:alice@example.test>")
        .set("From", "<sip:alice@example.test>;tag=alice")
}

fn with_path(edge: &Edge, request: &Draft, flow: &Flow) -> Message {
    match edge.decide(&request.build(), flow, &nothing()) {
        Decision::Register(edited) => parse(&edited.to_bytes()),
        Decision::Relay(forward) => parse(&edge.seal(&forward).request.to_bytes()),
        Decision::Start(forwards) => parse(&edge.seal(&forwards[0]).request.to_bytes()),
        other => panic!("not registered: {}", says(&other)),
    }
}

#[test]
fn a_register_goes_to_whom_it_names() {
    for (why, edge, request, want) in [
        (
            "our own registrar",
            Edge::registrar(),
            register("sip:example.test"),
            "register",
        ),
        (
            "whatever case and port",
            Edge::registrar(),
            register("sip:Example.TEST:5060"),
            "register",
        ),
        (
            "by an alias",
            Edge::registrar(),
            register("sip:example.org"),
            "register",
        ),
        (
            "To names the alias",
            Edge::registrar(),
            register("sip:example.org").set("To", "<sip:alice@example.org>"),
            "register",
        ),
        (
            "by our address, To says whose",
            Edge::registrar(),
            register("sip:203.0.113.10"),
            "register",
        ),
        (
            "by our address, for the alias",
            Edge::registrar(),
            register("sip:203.0.113.10").set("To", "<sip:alice@example.org>"),
            "register",
        ),
        (
            "by our address for a domain that is not ours",
            Edge::registrar(),
            register("sip:203.0.113.10").set("To", "<sip:alice@example.com>"),
            "403 not_served",
        ),
        (
            "a domain that is not ours",
            Edge::registrar(),
            register("sip:example.com"),
            "403 not_served",
        ),
        (
            "in the edge role: the group that a rule names",
            Edge::relay(),
            register("sip:example.test"),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "baresip: its outbound proxy is us",
            Edge::registrar(),
            register("sip:example.test").route("<sip:203.0.113.10;transport=udp;lr>"),
            "register",
        ),
        (
            "a Service-Route to a member is followed",
            Edge::relay(),
            register("sip:example.test").route("<sip:10.0.0.32;lr>"),
            "relay up udp 10.0.0.32:5060",
        ),
        (
            "SIGNALLING §4: and to nobody else",
            Edge::relay(),
            register("sip:example.test").route("<sip:192.0.2.9;lr>"),
            "403 foreign_route",
        ),
    ] {
        assert_eq!(edge.says(&request.build(), &phone()), want, "{why}");
    }
}

#[test]
fn a_register_gets_a_path_that_only_its_own_flow_answers() {
    let edge = Edge::relay();
    for flow in [phone(), browser(), tcp_phone()] {
        let sent = with_path(&edge, &register("sip:example.test"), &flow);
        assert_eq!(
            values(&sent, Header::Path),
            [edge.path(&flow)],
            "RFC 3327 §5.2"
        );
        assert_eq!(
            values(&sent, Header::RecordRoute),
            [""; 0],
            "SIGNALLING §2: no Record-Route in REGISTER"
        );
        let calls = invite().route(&edge.path(&flow)).build();
        let want = if flow.connection.is_some() {
            "start down connection"
        } else {
            "relay down flow"
        };
        assert!(edge.says(&calls, &core()).starts_with(want));
    }
    let below = register("sip:example.test").with("Path", "<sip:192.0.2.7;lr>");
    assert_eq!(
        values(&with_path(&edge, &below, &phone()), Header::Path),
        [edge.path(&phone()), "<sip:192.0.2.7;lr>".to_owned()],
        "§5.2: ours on top"
    );
    let from_core = with_path(&Edge::registrar(), &register("sip:example.test"), &core());
    assert_eq!(
        values(&from_core, Header::Path),
        [""; 0],
        "what comes from the core has its edge's Path"
    );
}

#[test]
fn ob_is_said_if_and_only_if_outbound_is_served() {
    let edge = Edge::relay();
    let contact = "<sip:x@y.invalid;transport=ws>";
    let one_via =
        |params: &str| register("sip:example.test").set("Contact", &format!("{contact}{params}"));
    let two_vias =
        |params: &str| one_via(params).with("Via", "SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKx");
    for (why, request, want) in [
        (
            "RFC 5626 §5.1: reg-id and one Via",
            one_via(";reg-id=1;+sip.instance=\"<urn:uuid:1>\""),
            true,
        ),
        (
            "reg-id of the second Contact",
            one_via(";expires=0").with("Contact", "<sip:z@y.invalid>;reg-id=2"),
            true,
        ),
        ("no reg-id: SIP.js", one_via(";expires=600"), false),
        (
            "two Vias: somebody else is the first hop",
            two_vias(";reg-id=1"),
            false,
        ),
        (
            "reg-id that belongs to the URI",
            register("sip:example.test").set("Contact", "<sip:x@y.invalid;reg-id=1>"),
            false,
        ),
    ] {
        let path = values(&with_path(&edge, &request, &browser()), Header::Path).remove(0);
        assert_eq!(path.ends_with(";ob>"), want, "{why}: {path}");
    }
}

#[test]
fn path_is_said_to_be_supported_where_a_phone_does_not_say_it() {
    // Kamailio's path_mode 2 answers 420 otherwise; baresip and linphone on UDP do not say it.
    let edge = Edge::relay();
    for (supported, want) in [
        (None, vec!["path"]),
        (Some("gruu, replaces"), vec!["gruu", "replaces", "path"]),
        (Some("Path, outbound"), vec!["Path", "outbound"]),
    ] {
        let request = match supported {
            Some(value) => register("sip:example.test").with("Supported", value),
            None => register("sip:example.test"),
        };
        assert_eq!(
            values(&with_path(&edge, &request, &phone()), Header::Supported),
            want
        );
    }
}

#[test]
fn a_device_is_its_address_and_instance_or_contact() {
    let site = registrar_site();
    let of = |draft: Draft| device::of_register(&sip::Edited::new(draft.build()), &site);
    let base = register("sip:example.test");
    let contact = |value: &str| base.clone().set("Contact", value);
    let instance = ";+sip.instance=\"<urn:uuid:1>\"";
    let same = of(contact(&format!("<sip:a@b>{instance}")));
    assert!(same.is_some());
    for (why, draft, equal) in [
        (
            "another Contact of the same instance",
            contact(&format!("<sip:c@d>{instance}")),
            true,
        ),
        (
            "RFC 5626: another reg-id of it",
            contact(&format!("<sip:a@b>;reg-id=2{instance}")),
            true,
        ),
        (
            "the alias of the domain",
            contact(&format!("<sip:a@b>{instance}")).set("To", "<sip:alice@Example.ORG>"),
            true,
        ),
        (
            "an escaped user",
            contact(&format!("<sip:a@b>{instance}")).set("To", "<sip:%61lice@example.test>"),
            true,
        ),
        (
            "SIGNALLING §5: somebody else's address with the same instance",
            contact(&format!("<sip:a@b>{instance}")).set("To", "<sip:mallory@example.test>"),
            false,
        ),
        (
            "another instance",
            contact("<sip:a@b>;+sip.instance=\"<urn:uuid:2>\""),
            false,
        ),
        ("no instance", contact("<sip:a@b>"), false),
        (
            "the new one of two, where the old one is removed",
            contact("<sip:old@b>;expires=0").with("Contact", &format!("<sip:a@b>{instance}")),
            true,
        ),
        (
            "the first of two",
            contact(&format!("<sip:a@b>{instance}, <sip:c@d>")),
            true,
        ),
    ] {
        assert_eq!(of(draft) == same, equal, "{why}");
    }
    assert_eq!(of(contact("*").set("Expires", "0")), None, "all of them");
    assert_eq!(
        of(base.without("Contact")),
        None,
        "a question, no registration"
    );
}

#[test]
fn a_register_with_several_contacts_registers_several_devices() {
    let site = registrar_site();
    let draft = register("sip:example.test")
        .set("Contact", "<sip:a@b>;expires=60, <sip:c@d>;expires=0")
        .with("Contact", "<sip:e@f>");
    let found = device::all_of_register(&sip::Edited::new(draft.build()), &site);
    let aor = b"alice@example.test";
    assert_eq!(
        found,
        [b"sip:a@b", b"sip:c@d", b"sip:e@f"].map(|contact| device::of(&site, aor, None, contact))
    );
}

#[test]
fn an_answer_says_how_long_a_device_is_registered() {
    let site = registrar_site();
    let me = device::of(
        &site,
        b"alice@example.test",
        Some(b"<urn:uuid:1>"),
        b"sip:a@b",
    );
    let ok = |contacts: &str, expires: &str| {
        let draft = response_to(&register("sip:example.test").build(), 200)
            .set("To", "<sip:alice@example.test>;tag=r")
            .set("Contact", contacts);
        let draft = if expires.is_empty() {
            draft
        } else {
            draft.with("Expires", expires)
        };
        device::expires(&sip::Edited::new(draft.build()), me, &site).map(|(seconds, _)| seconds)
    };
    let instance = ";+sip.instance=\"<urn:uuid:1>\"";
    for (why, contacts, expires, want) in [
        (
            "its own Contact",
            format!("<sip:a@b>{instance};expires=60"),
            "",
            Some(60),
        ),
        (
            "among others of the user",
            format!("<sip:x@y>;expires=3600, <sip:a@b>;expires=60{instance}"),
            "",
            Some(60),
        ),
        (
            "RFC 3261 §10.3 step 8: by the header",
            format!("<sip:a@b>{instance}"),
            "90",
            Some(90),
        ),
        (
            "only others are left",
            "<sip:x@y>;expires=3600".to_owned(),
            "",
            None,
        ),
        (
            "the longest of its flows",
            format!(
                "<sip:a@b>;reg-id=1;expires=30{instance}, <sip:c@d>;reg-id=2;expires=70{instance}"
            ),
            "",
            Some(70),
        ),
    ] {
        assert_eq!(ok(&contacts, expires), want, "{why}");
    }
}
