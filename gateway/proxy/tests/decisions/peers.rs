//! Issue 4 "Trust", DESIGN §9: who is known by his address at a listener that faces devices, and groups whose members are
//! outside.

use proxy::peer::{Peer, Peers};
use proxy::response::pass_on;
use proxy::site::{Match, Route, To};
use proxy::{Facts, Flow, ListenerId, Room};
use sip::{Header, Transport};

use crate::kit::*;

const PUBLIC: [u8; 5] = [UDP, TCP, TLS, WSS, UDP6];

fn peer(name: &str, networks: &[&str]) -> Peer {
    let listeners: Vec<ListenerId> = PUBLIC.map(ListenerId).to_vec();
    Peer {
        name: name.to_owned(),
        networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
        admitted: listeners.clone(),
        listeners,
        ..Peer::default()
    }
}

/// Peer 0, and one that is believed, may register and has its calls counted, in a part of the first one's network.
fn peers() -> Vec<Peer> {
    vec![
        peer("pbx", &["192.0.2.0/24", "2001:db8:1::/48"]),
        Peer {
            identity: true,
            registers: true,
            limited: true,
            ..peer("carrier", &["192.0.2.64/28"])
        },
    ]
}

fn from_peer(index: usize, status: u16) -> Route {
    let when = Match {
        peer: Some(index),
        ..Match::default()
    };
    Route {
        when,
        to: To::Reject(status),
    }
}

/// The edge of [`Edge::relay`] with these peers; what comes from peer 0 goes to group 0.
fn edge(peers: Vec<Peer>) -> Edge {
    let mut edge = Edge::relay();
    let mut rule = from_peer(0, 0);
    rule.to = To::Group(0);
    edge.site.routes.insert(0, rule);
    edge.site.peers = Peers::new(peers);
    edge
}

/// The same with a group of carriers outside, to which everything goes that begins with +.
fn with_carriers(mut edge: Edge) -> Edge {
    let mut carriers = edge.site.groups[0].clone();
    carriers.members = vec![member(
        "sbc.carrier.example",
        "192.0.2.65:5060",
        Transport::Udp,
    )];
    carriers.listeners = vec![ListenerId(UDP), ListenerId(TCP)];
    carriers.outside = true;
    edge.site.groups.push(carriers);
    let when = Match {
        prefix: Some("+".to_owned()),
        ..Match::default()
    };
    let to = To::Group(edge.site.groups.len() - 1);
    edge.site.routes.insert(0, Route { when, to });
    edge
}

fn pbx() -> Flow {
    flow(UDP, Transport::Udp, "192.0.2.7:5060", None)
}

fn carrier() -> Flow {
    flow(UDP, Transport::Udp, "192.0.2.65:5060", None)
}

#[test]
fn the_most_specific_network_says_who_it_is() {
    let mut peers = peers();
    peers.push(Peer {
        admitted: vec![ListenerId(TCP)],
        ..peer("by TCP only", &["192.0.2.128/25"])
    });
    peers.push(Peer {
        listeners: vec![ListenerId(WSS)],
        admitted: vec![ListenerId(WSS)],
        ..peer("elsewhere", &["192.0.2.7/32"])
    });
    let known = Peers::new(peers);
    for (why, listener, address, want) in [
        ("a network", UDP, "192.0.2.7", Some(0)),
        ("one inside it", UDP, "192.0.2.65", Some(1)),
        ("behind its end", UDP, "192.0.2.80", Some(0)),
        ("IPv6", UDP6, "2001:db8:1:2::3", Some(0)),
        (
            "IPv4 as a socket for both shows it",
            UDP6,
            "::ffff:192.0.2.65",
            Some(1),
        ),
        ("a stranger", UDP, "198.51.100.7", None),
        (
            "a listener where nobody is expected",
            CORE,
            "192.0.2.7",
            None,
        ),
        (
            "the transport that it has to use",
            TCP,
            "192.0.2.200",
            Some(2),
        ),
        (
            "another, where the wider network does not speak for it",
            UDP,
            "192.0.2.200",
            None,
        ),
        (
            "a peer of another listener has no say here",
            UDP,
            "192.0.2.7",
            Some(0),
        ),
        ("and there it has", WSS, "192.0.2.7", Some(3)),
    ] {
        let found = known.of(ListenerId(listener), address.parse().unwrap());
        assert_eq!(found, want, "{why}");
    }
    assert_eq!(
        Peers::default().of(ListenerId(UDP), [192, 0, 2, 7].into()),
        None
    );
}

#[test]
fn a_peer_is_not_challenged_and_is_no_device() {
    let mut edge = edge(peers());
    edge.site.domains.insert("example.test".to_owned());
    let binding = edge.binding("sip:bob@198.51.100.7:40000", &phone(), BOB);
    let bob = || bound(vec![binding.clone()]);
    let in_room = |room| Facts {
        place: Some(room),
        ..bob()
    };
    let refer = || request("REFER", "sip:bob@example.test").build();
    for (why, request, from, facts, want) in [
        (
            "a device is",
            invite().build(),
            phone(),
            nothing(),
            "ask sender",
        ),
        (
            "a peer goes where its rule says",
            invite().build(),
            pbx(),
            nothing(),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "REFER as well",
            refer(),
            pbx(),
            nothing(),
            "relay up udp 10.0.0.21:5060",
        ),
        (
            "no rule: to the users of our domains",
            refer(),
            carrier(),
            nothing(),
            "ask bindings bob@example.test",
        ),
        (
            "REGISTER only where it may",
            request("REGISTER", "sip:example.test").build(),
            pbx(),
            nothing(),
            "403 refused",
        ),
        (
            "and then as a device: the registrar asks who it is",
            request("REGISTER", "sip:example.test").build(),
            carrier(),
            nothing(),
            "register",
        ),
        (
            "RFC 3608: no Route of its own goes round the rules",
            invite().route("<sip:10.0.0.21;lr>").build(),
            pbx(),
            nothing(),
            "403 foreign_route",
        ),
        (
            "SIGNALLING §1: a Path token is the core's to use",
            invite().route(&edge.path(&browser())).build(),
            pbx(),
            nothing(),
            "403 foreign_token",
        ),
        (
            "a call that counts asks for its place when all else is decided",
            invite().build(),
            carrier(),
            bound(vec![]),
            "480 not_registered",
        ),
        (
            "and is kept in a transaction, UDP to UDP as it is",
            invite().build(),
            carrier(),
            bob(),
            "ask place of 1",
        ),
        (
            "granted",
            invite().build(),
            carrier(),
            in_room(Room::Granted),
            "start local flow 198.51.100.7:40000",
        ),
        (
            "as many as it may have",
            invite().build(),
            carrier(),
            in_room(Room::TooMany),
            "503 too_many_calls",
        ),
        (
            "faster than it may",
            invite().build(),
            carrier(),
            in_room(Room::TooFast),
            "503 calls_too_fast",
        ),
        (
            "nowhere to remember it",
            invite().build(),
            carrier(),
            in_room(Room::Full),
            "503 overloaded",
        ),
    ] {
        assert_eq!(edge.says_with(&request, &from, &facts), want, "{why}");
    }
}

#[test]
fn a_limit_is_said_with_the_time_after_which_to_try_again() {
    // RFC 3261 §21.5.4: without Retry-After a 503 is a 500, and many take us for dead.
    for (reason, want) in [
        (proxy::Reason::TooManyCalls, "5"),
        (proxy::Reason::CallsTooFast, "1"),
        (proxy::Reason::Overloaded, "5"),
    ] {
        let request = invite().build();
        let answer = parse(&proxy::reply::answer(&request, carrier().peer, &reason));
        assert_eq!(answer.status(), 503, "{reason:?}");
        assert_eq!(values(&answer, Header::RetryAfter), [want], "{reason:?}");
    }
}

#[test]
fn rules_tell_peers_and_devices_apart() {
    let mut edge = edge(peers());
    let devices = Match {
        side: Some(proxy::site::Side::Device),
        ..Match::default()
    };
    let devices = Route {
        when: devices,
        to: To::Reject(606),
    };
    edge.site.routes = vec![from_peer(1, 604), devices, from_peer(0, 603)];
    for (why, from, want) in [
        ("peer:NAME", carrier(), "604 configured"),
        ("a peer is no device", pbx(), "603 configured"),
        ("devices", phone(), "606 configured"),
        (
            "the core is neither, whatever its address",
            flow(CORE, Transport::Udp, "192.0.2.7:5060", None),
            "403 not_served",
        ),
    ] {
        assert_eq!(edge.says(&invite().build(), &from), want, "{why}");
    }
}

#[test]
fn where_one_listener_has_both_sides_the_core_is_no_peer() {
    let mut edge = edge(peers());
    edge.site.listeners[usize::from(UDP)].core = vec!["192.0.2.64/28".parse().unwrap()];
    edge.site.routes = vec![from_peer(1, 604), from_peer(0, 603)];
    for (why, from, want) in [
        ("a peer", pbx(), "603 configured"),
        (
            "what listen.NAME.core names, though a peer has it too",
            carrier(),
            "403 not_served",
        ),
    ] {
        assert_eq!(edge.says(&invite().build(), &from), want, "{why}");
    }
}

/// What the next hop, or who asked, is told of a caller's identity.
fn identity(message: &sip::Message) -> bool {
    message.header(Header::PAssertedIdentity).is_some()
}

#[test]
fn identity_is_believed_where_the_peer_is_trusted_with_it() {
    let edge = with_carriers(edge(peers()));
    let asserted = || invite().with("P-Asserted-Identity", "<sip:+4930@example.test>");
    for (why, from, want) in [
        ("a device is not", phone(), false),
        ("nor is a peer, unless", pbx(), false),
        ("it is trusted with it (RFC 3325 §5)", carrier(), true),
    ] {
        let mut edge = edge_without_limits(&edge);
        edge.site.routes = vec![Route {
            when: Match::default(),
            to: To::Group(0),
        }];
        let sent = edge.passes(&asserted().build(), &from, &nothing());
        assert_eq!(identity(&sent), want, "{why}");
        // The other way: it answers the core.
        let call = request("INVITE", "sip:+4930@example.test").route(&edge.path(&from));
        let asked = edge.passes(&call.build(), &core(), &nothing());
        let answer = response_to(&asked, 200).with("P-Asserted-Identity", "<sip:+4930@x>");
        let onward = pass_on(&answer.build(), &from, &edge.context()).unwrap();
        let told = onward.response.values(Header::PAssertedIdentity).count() == 1;
        assert_eq!(told, want, "{why}, in an answer");
    }
}

fn edge_without_limits(like: &Edge) -> Edge {
    let mut peers = like.site.peers.all().to_vec();
    peers.iter_mut().for_each(|peer| peer.limited = false);
    let mut edge = Edge::relay();
    edge.site = like.site.clone();
    edge.site.peers = Peers::new(peers);
    edge
}

#[test]
fn who_asks_for_privacy_is_told_to_nobody_but_who_is_trusted_with_identity() {
    let private = || {
        request("INVITE", "sip:+4930@example.test")
            .with("Privacy", "id")
            .with("P-Asserted-Identity", "<sip:+4940@example.test>")
    };
    for (why, trusted) in [("a carrier that is", true), ("one that is not", false)] {
        let mut peers = peers();
        peers[1].identity = trusted;
        let edge = with_carriers(edge(peers));
        let sent = edge.passes(&private().build(), &core(), &nothing());
        assert_eq!(identity(&sent), trusted, "{why}");
        assert_eq!(sent.header(Header::Privacy).is_some(), trusted, "{why}");
    }
}

#[test]
fn a_group_outside_is_spoken_to_from_its_listener_and_no_way_round_the_rules() {
    let mut edge = with_carriers(edge(peers()));
    edge.site.peers = Peers::new(Vec::new());
    let out = || request("INVITE", "sip:+4930@example.test");
    for (why, request, from, want) in [
        (
            "from a device: both are outside",
            out(),
            phone(),
            "relay local udp 192.0.2.65:5060",
        ),
        (
            "from the core: it goes down, and we stay in the way",
            out(),
            core(),
            "relay down udp 192.0.2.65:5060",
        ),
        (
            "a device's Route may not name its members",
            invite().route("<sip:192.0.2.65;lr>"),
            phone(),
            "403 foreign_route",
        ),
        (
            "nor stand behind one that may",
            invite()
                .route("<sip:10.0.0.21;lr>")
                .route("<sip:192.0.2.65;lr>"),
            phone(),
            "403 foreign_route",
        ),
        (
            "nor its request-URI in a call with the core",
            request("INVITE", "sip:+4930@192.0.2.65")
                .tagged("bob")
                .route(&edge.device_copy(false)),
            phone(),
            "403 foreign_route",
        ),
        (
            "the core's may",
            invite().route("<sip:192.0.2.65;lr>"),
            core(),
            "relay down udp 192.0.2.65:5060",
        ),
    ] {
        assert_eq!(edge.says(&request.build(), &from), want, "{why}");
    }
    for from in [phone(), core()] {
        let sent = edge.passes(&out().build(), &from, &nothing());
        let via = values(&sent, Header::Via);
        assert!(via[0].starts_with("SIP/2.0/UDP 203.0.113.10;"), "{via:?}");
        let ours = values(&sent, Header::RecordRoute);
        assert!(ours[0].contains("@203.0.113.10;"), "{ours:?}");
    }
}

#[test]
fn a_call_with_a_carrier_is_found_again_from_both_sides() {
    // SIGNALLING §2: each copy of our Record-Route leads to the other side, the carrier's by the flow that answered.
    for (why, caller) in [("a device", phone()), ("the core", core())] {
        let edge = with_carriers(edge(peers()));
        let call = request("INVITE", "sip:+4930@example.test").build();
        let sent = edge.passes(&call, &caller, &nothing());
        let answer = response_to(&sent, 200);
        let onward = pass_on(&answer.build(), &carrier(), &edge.context()).unwrap();
        let route_of_caller = onward
            .response
            .values(Header::RecordRoute)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .next()
            .unwrap();
        let bye = request("BYE", "sip:+4930@10.99.99.99").tagged("carrier");
        let says = edge.says(&bye.route(&route_of_caller).build(), &caller);
        assert!(says.ends_with("flow 192.0.2.65:5060"), "{why}: {says}");
        let bye = request("BYE", "sip:alice@10.0.0.21").tagged("alice");
        let back = bye.route(&values(&sent, Header::RecordRoute)[0]);
        let says = edge.says(&back.build(), &carrier());
        let want = match caller.listener {
            ListenerId(CORE) => "relay up udp 10.0.0.21:5060",
            _ => "relay local flow 198.51.100.7:40000",
        };
        assert_eq!(says, want, "{why}");
    }
}
