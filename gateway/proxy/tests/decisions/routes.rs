//! SIGNALLING §4: which Routes are taken off, which are followed, and which are refused.

use proxy::key::Keys;
use proxy::token::{Pass, Sealer};
use sip::Header;

use crate::kit::*;

const UP: &str = "relay up udp 10.0.0.21:5060";

#[test]
fn a_route_that_names_us_is_taken_off_and_says_nothing_more() {
    let edge = Edge::relay();
    for (why, route) in [
        ("an address", "<sip:203.0.113.10;lr>"),
        ("its port", "<sip:203.0.113.10:5060;lr>"),
        ("its transport", "<sip:203.0.113.10;transport=udp;lr>"),
        ("no lr: ordinary phones", "<sip:203.0.113.10>"),
        (
            "baresip: its outbound proxy, in every request",
            "<sip:203.0.113.10;transport=udp;lr>",
        ),
        (
            "JsSIP: the server it is connected to",
            "<sip:edge.example.net:443;transport=ws;lr>",
        ),
        (
            "JsSIP, without port",
            "<sip:edge.example.net;transport=ws;lr>",
        ),
        (
            "a name, whatever its case",
            "<sips:EDGE.example.NET:5061;lr>",
        ),
        (
            "another listener than the one it came by",
            "<sip:10.0.0.10;lr>",
        ),
        ("IPv6, in another spelling", "<sip:[2001:db8::10]:5060;lr>"),
        ("IPv6, as it is advertised", "<sip:[2001:db8:0::0010];lr>"),
        (
            "parameters of somebody else's edge",
            "<sip:203.0.113.10;lr;ftag=qhsj7ck21v;r2=on>",
        ),
        ("a display name", "\"The edge\" <sip:203.0.113.10;lr>"),
        (
            "Kamailio's two, in one line",
            "<sip:203.0.113.10:443;transport=ws;r2=on;lr>, <sip:203.0.113.10;r2=on;lr>",
        ),
    ] {
        let request = invite().route(route).build();
        assert_eq!(edge.says(&request, &phone()), UP, "{why}");
        let sent = edge.passes(&request, &phone(), &nothing());
        assert_eq!(values(&sent, Header::Route), [""; 0], "{why}");
    }
}

#[test]
fn a_name_of_our_domain_names_us_too() {
    let edge = Edge::registrar();
    for route in [
        "<sip:example.test;lr>",
        "<sip:EXAMPLE.org:5060;lr>",
        "<sip:example.test:443;lr>",
    ] {
        let request = invite().route(route).build();
        assert_eq!(
            edge.says_with(&request, &phone(), &authenticated()),
            "ask bindings bob@example.test",
            "{route}"
        );
    }
    let other_port = invite().route("<sip:example.test:7777;lr>").build();
    assert_eq!(
        edge.says(&other_port, &phone()),
        "403 foreign_route",
        "a port that is not ours is not us"
    );
}

#[test]
fn a_route_of_a_device_leads_to_a_member_or_nowhere() {
    let edge = Edge::relay();
    for (why, routes, want) in [
        (
            "RFC 3608: a Service-Route names a member",
            "<sip:10.0.0.21;lr>",
            UP,
        ),
        (
            "behind our own Route",
            "<sip:203.0.113.10;lr>, <sip:10.0.0.21:5060;lr>",
            UP,
        ),
        (
            "by its name",
            "<sip:reg-b.example.net;lr>",
            "relay up udp 10.0.0.32:5060",
        ),
        (
            "a member of another group: trusted all the same",
            "<sip:10.0.0.32;lr>",
            "relay up udp 10.0.0.32:5060",
        ),
        (
            "a stream has to be opened: that takes a transaction",
            "<sip:10.0.0.41;transport=tcp;lr>",
            "start up tcp 10.0.0.41:5060",
        ),
        (
            "SIGNALLING §4: somebody else",
            "<sip:192.0.2.99;lr>",
            "403 foreign_route",
        ),
        (
            "SIGNALLING §4: somebody else behind our own",
            "<sip:203.0.113.10;lr>, <sip:192.0.2.99;lr>",
            "403 foreign_route",
        ),
        (
            "a member's host and a port that is not its",
            "<sip:10.0.0.21:9;lr>",
            "403 foreign_route",
        ),
        ("what is no SIP URI", "<tel:+4930>", "403 foreign_route"),
        ("what nobody can read", "<<>>", "403 foreign_route"),
    ] {
        assert_eq!(
            edge.says(&invite().route(routes).build(), &phone()),
            want,
            "{why}"
        );
    }
}

#[test]
fn a_route_of_the_core_is_followed() {
    let edge = Edge::relay();
    for (why, route, want) in [
        (
            "a trusted peer says where it goes",
            "<sip:192.0.2.99;lr>",
            "udp 192.0.2.99:5060",
        ),
        (
            "its port and transport",
            "<sip:192.0.2.99:5070;transport=tcp;lr>",
            "tcp 192.0.2.99:5070",
        ),
        (
            "RFC 3261 §19.1.2: sips is TLS",
            "<sips:192.0.2.99;lr>",
            "tls 192.0.2.99:5061",
        ),
        (
            "a scheme in capitals",
            "<SIP:192.0.2.99:5070;transport=TCP;lr>",
            "tcp 192.0.2.99:5070",
        ),
        (
            "without brackets",
            "sip:192.0.2.99:5070",
            "udp 192.0.2.99:5070",
        ),
        (
            "a display name that begins with the scheme's letters",
            "sip proxy <sip:192.0.2.99;lr>",
            "udp 192.0.2.99:5060",
        ),
        (
            "RFC 3263: a name has to be looked up",
            "<sip:proxy.example.com;lr>",
            "ask address proxy.example.com",
        ),
        (
            "§4.1: its transport is given",
            "<sip:Proxy.example.com;transport=tcp;lr>",
            "ask address proxy.example.com tcp",
        ),
        (
            "§4.2: its port is",
            "<sip:proxy.example.com:5070;lr>",
            "ask address proxy.example.com:5070",
        ),
        ("no SIP", "<tel:+4930>", "416 malformed"),
    ] {
        let says = edge.says(&invite().route(route).build(), &core());
        assert!(says.ends_with(want), "{why}: {says}");
    }
}

#[test]
fn an_address_that_was_looked_up_is_that_of_the_name_that_was_asked() {
    let edge = Edge::relay();
    let request = invite().route("<sip:proxy.example.com:5070;lr>").build();
    let known = |host: &str, port, at: &[&str]| proxy::Facts {
        addresses: vec![located(host, port, at)],
        ..nothing()
    };
    for (why, facts, want) in [
        (
            "the first address",
            known(
                "proxy.example.com",
                Some(5070),
                &["192.0.2.5:5070", "192.0.2.6:5070"],
            ),
            "udp 192.0.2.5:5070",
        ),
        (
            "it has none",
            known("proxy.example.com", Some(5070), &[]),
            "502 unresolvable",
        ),
        (
            "another name's",
            known("other.example.com", Some(5070), &["192.0.2.5:5070"]),
            "ask address proxy.example.com:5070",
        ),
        (
            "RFC 3263 §4.2: the same name without a port may be elsewhere",
            known("proxy.example.com", None, &["192.0.2.5:5080"]),
            "ask address proxy.example.com:5070",
        ),
    ] {
        let says = edge.says_with(&request, &core(), &facts);
        assert!(says.ends_with(want), "{why}: {says}");
    }
}

#[test]
fn a_token_is_honoured_only_where_it_belongs() {
    let edge = Edge::relay();
    let foreign = Edge {
        sealer: Sealer::new(Keys::single([9; 32])),
        ..Edge::relay()
    };
    let other_call = edge.core_copy_of("call-2", &phone(), BOB, Pass::Down);
    for (why, request, from, want) in [
        (
            "SIGNALLING §1: a token that our cluster did not sign",
            inside("BYE", &foreign.device_copy(false)),
            phone(),
            "403 foreign_token",
        ),
        (
            "the same by the core",
            inside("BYE", &foreign.core_copy(&phone(), BOB, Pass::Down)),
            core(),
            "403 foreign_token",
        ),
        (
            "a Path that our cluster did not sign",
            invite().route(&foreign.path(&phone())),
            core(),
            "403 foreign_token",
        ),
        (
            "a user part that is no token at all",
            invite().route("<sip:mysbc@203.0.113.10;lr>"),
            phone(),
            "403 foreign_token",
        ),
        (
            "§1: Record-Route in a request without To tag",
            invite().route(&edge.device_copy(false)),
            phone(),
            "403 foreign_token",
        ),
        (
            "the same by the core",
            invite().route(&edge.core_copy(&phone(), BOB, Pass::Down)),
            core(),
            "403 foreign_token",
        ),
        (
            "a CANCEL is no exception",
            request("CANCEL", "sip:bob@192.168.77.5").route(&edge.core_copy(
                &phone(),
                BOB,
                Pass::Down,
            )),
            core(),
            "403 foreign_token",
        ),
        (
            "§1: a token of another call",
            inside("BYE", &other_call),
            core(),
            "403 foreign_token",
        ),
        (
            "§1: a Path from a device would call past the registrar",
            invite().route(&edge.path(&browser())),
            phone(),
            "403 foreign_token",
        ),
        (
            "even with a To tag",
            inside("INVITE", &edge.path(&browser())),
            phone(),
            "403 foreign_token",
        ),
        (
            "§1: the core's copy from a device",
            inside("BYE", &edge.core_copy(&browser(), BOB, Pass::Down)),
            phone(),
            "403 foreign_token",
        ),
        (
            "a device's copy from the core",
            inside("BYE", &edge.device_copy(false)),
            core(),
            "403 foreign_token",
        ),
        (
            "a Path from the core",
            invite().route(&edge.path(&phone())),
            core(),
            "relay down flow 198.51.100.7:40000",
        ),
        (
            "a Record-Route where it belongs",
            inside("BYE", &edge.device_copy(false)).route("<sip:10.0.0.21;lr>"),
            phone(),
            UP,
        ),
    ] {
        assert_eq!(edge.says(&request.build(), &from), want, "{why}");
    }
}

#[test]
fn a_path_leads_to_its_flow_and_to_no_other() {
    let edge = Edge::relay().knows(BOB, tab());
    for (why, flow, want) in [
        ("UDP", phone(), "relay down flow 198.51.100.7:40000"),
        (
            "a connection: other kind, so a transaction",
            browser(),
            "start down connection 31",
        ),
        (
            "RFC 5626 §5.3: gone, and the registrar has the next one",
            gone(),
            "430 flow_failed",
        ),
    ] {
        assert_eq!(
            edge.says(&invite().route(&edge.path(&flow)).build(), &core()),
            want,
            "{why}"
        );
    }
}

#[test]
fn a_token_wins_over_a_request_uri_in_our_domain() {
    // SIGNALLING §4: with both roles in one process, in-dialog requests would be looked up and forked again.
    let edge = Edge::registrar();
    let request = request("BYE", "sip:bob@example.test")
        .tagged("bob")
        .route(&edge.device_copy(false))
        .route("<sip:10.0.0.21;lr>");
    assert_eq!(edge.says(&request.build(), &phone()), UP);
}

#[test]
fn a_strict_router_before_us_is_undone() {
    // RFC 3261 §16.4: it put our Record-Route into the request-URI, and the target at the end.
    let edge = Edge::relay();
    let ours = edge.device_copy(false);
    let uri = ours.trim_matches(['<', '>']);
    let strict = request("BYE", uri)
        .tagged("bob")
        .route("<sip:10.0.0.21;lr>")
        .route("<sip:bob@10.9.9.9:5080>")
        .build();
    assert_eq!(edge.says(&strict, &phone()), UP);
    let sent = edge.passes(&strict, &phone(), &nothing());
    assert_eq!(sent.uri(), b"sip:bob@10.9.9.9:5080");
    assert_eq!(values(&sent, Header::Route), ["<sip:10.0.0.21;lr>"]);
    let last = request("BYE", uri)
        .tagged("bob")
        .route("<sip:bob@10.9.9.9:5080>")
        .build();
    assert_eq!(
        edge.says(&last, &phone()),
        "relay up udp 10.9.9.9:5080",
        "the target was all that was left"
    );
}

#[test]
fn the_next_hop_is_loose_if_it_says_so_or_is_a_member() {
    let edge = Edge::relay();
    let sent = |route: &str| {
        let request = inside("BYE", &edge.device_copy(false))
            .route(route)
            .route("<sip:10.7.7.7;lr>")
            .build();
        let sent = edge.passes(&request, &phone(), &nothing());
        (
            String::from_utf8_lossy(sent.uri()).into_owned(),
            values(&sent, Header::Route),
        )
    };
    let target = "sip:bob@192.168.77.5:5060";
    for (why, route) in [
        ("it says so", "<sip:10.8.8.8;lr>"),
        ("lr=on, as some write it", "<sip:10.8.8.8;lr=on>"),
        (
            "SIGNALLING §4: FreeSWITCH's fs_path and old Paths lack it, and it is a member",
            "<sip:10.0.0.21:5060>",
        ),
    ] {
        let want = (
            target.to_owned(),
            vec![route.to_owned(), "<sip:10.7.7.7;lr>".to_owned()],
        );
        assert_eq!(sent(route), want, "{why}");
    }
    let strict = (
        "sip:10.8.8.8".to_owned(),
        vec!["<sip:10.7.7.7;lr>".to_owned(), format!("<{target}>")],
    );
    assert_eq!(
        sent("<sip:10.8.8.8>"),
        strict,
        "RFC 3261 §16.6 step 6: a strict router after us"
    );
}

#[test]
fn rules_are_for_where_a_request_comes_from() {
    use proxy::site::{Match, Route, Side, To};
    let mut edge = Edge::relay();
    let listener = |id| Match {
        listeners: vec![proxy::ListenerId(id)],
        ..Match::default()
    };
    let group = |group| Match {
        side: Some(Side::Core),
        group: Some(group),
        ..Match::default()
    };
    edge.site.routes = [
        (listener(WSS), 404),
        (group(2), 405),
        (group(0), 406),
        (listener(CORE), 407),
        (
            Match {
                side: Some(Side::Device),
                ..Match::default()
            },
            408,
        ),
    ]
    .map(|(when, status)| Route {
        when,
        to: To::Reject(status),
    })
    .to_vec();
    for (why, from, want) in [
        ("listener:NAME", browser(), "404 configured"),
        (
            "group:NAME, whatever port its stream comes from",
            flow(CORE_TCP, sip::Transport::Tcp, "10.0.0.41:33333", Some(51)),
            "405 configured",
        ),
        ("another group", core(), "406 configured"),
        (
            "a listener of the core",
            flow(CORE, sip::Transport::Udp, "10.0.0.99:5060", None),
            "407 configured",
        ),
        (
            "a member's address at a device's listener is nobody",
            flow(UDP, sip::Transport::Udp, "10.0.0.41:5060", None),
            "408 configured",
        ),
    ] {
        assert_eq!(edge.says(&invite().build(), &from), want, "{why}");
    }
}

#[test]
fn rules_read_method_domain_and_user() {
    use proxy::site::{Match, Route, To};
    let mut edge = Edge::relay();
    let methods = Match {
        methods: vec!["MESSAGE".to_owned()],
        ..Match::default()
    };
    let domains = Match {
        domains: vec!["Example.NET".to_owned()],
        ..Match::default()
    };
    let user = Match {
        user: Some("bob".to_owned()),
        ..Match::default()
    };
    let regex = Match {
        regex: Some(regex()),
        ..Match::default()
    };
    edge.site.routes = [(methods, 404), (domains, 405), (user, 406), (regex, 408)]
        .map(|(when, status)| Route {
            when,
            to: To::Reject(status),
        })
        .to_vec();
    for (why, request, want) in [
        (
            "a method",
            request("MESSAGE", "sip:bob@example.net"),
            "404 configured",
        ),
        (
            "a domain",
            request("INVITE", "sip:bob@example.net"),
            "405 configured",
        ),
        (
            "a user",
            request("INVITE", "sip:bob@example.test"),
            "406 configured",
        ),
        (
            "RFC 3261 §19.1.4: an escaped user",
            request("INVITE", "sip:%62ob@example.test"),
            "406 configured",
        ),
        (
            "a regular expression",
            request("INVITE", "sip:+4930@example.test"),
            "408 configured",
        ),
        (
            "RFC 3966: the number of a tel URI",
            request("INVITE", "tel:+4930;phone-context=x"),
            "408 configured",
        ),
        (
            "none",
            request("INVITE", "sip:carol@example.test"),
            "403 not_served",
        ),
    ] {
        assert_eq!(edge.says(&request.build(), &phone()), want, "{why}");
    }
}

fn regex() -> regex::Regex {
    regex::Regex::new(r"^\+49").unwrap()
}
