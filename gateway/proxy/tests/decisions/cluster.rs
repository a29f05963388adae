//! Several edges: what each names in Path and Record-Route, and a request for a connection that another living one holds
//! (SIGNALLING §1, §2, §3, §5).

use proxy::cluster::{SharedName, came_by, hand_back, node_of};
use proxy::path;
use proxy::response::pass_on;
use proxy::token::{Pass, Sealer};
use proxy::{Device, Facts, Flow, Holder, Reason};
use sip::{Header, Message, Transport};

use crate::kit::*;

/// Node 7 at 10.0.0.10 holds the connections, node 8 at 10.0.0.11 none; the core knows them as 10.0.0.100, devices by one
/// public address.
struct Two {
    holder: Edge,
    other: Edge,
}

fn shared(host: &str) -> SharedName {
    SharedName {
        host: host.to_owned(),
        port: None,
    }
}

fn edge(node: u16, own: &str, other: (u16, &str)) -> Edge {
    let mut site = relay_site();
    site.node = node;
    site.shared.core = Some(shared("10.0.0.100"));
    site.shared.public = vec![shared("203.0.113.10")];
    for listener in site
        .listeners
        .iter_mut()
        .filter(|l| l.side == proxy::site::Side::Core)
    {
        listener.bind = own.parse().unwrap();
        listener.host = listener.bind.ip().to_string();
    }
    let mut edge = Edge::of(site);
    edge.nodes = Others(vec![(other.0, other.1.parse().unwrap(), true)]);
    edge
}

impl Two {
    fn new() -> Self {
        let (one, two) = ("10.0.0.10:5060", "10.0.0.11:5060");
        let mut other = edge(8, two, (7, one));
        other.flows.connections.clear();
        Self {
            holder: edge(7, one, (8, two)),
            other,
        }
    }

    /// The holder was killed, and the other has found out.
    fn after_a_death(mut self) -> Self {
        for node in &mut self.other.nodes.0 {
            node.2 = false;
        }
        self
    }
}

/// A request that one node hands to the other, as that one gets it.
fn handed(from: &Edge, request: &Message, by: &Flow) -> Message {
    from.passes(request, by, &nothing())
}

fn other_node() -> Flow {
    flow(CORE, Transport::Udp, "10.0.0.11:5060", None)
}

const TO_HOLDER: &str = "through udp 10.0.0.10:5060";

#[test]
fn path_names_the_node_for_a_connection_and_the_cluster_for_datagrams() {
    let names = |edge: &Edge, flow: &Flow| {
        let path = path::of(flow, false, &edge.context()).expect("a listener of ours");
        path.split_once('@').expect("a token").1.to_owned()
    };
    let mut apart = edge(7, "10.0.0.10:5060", (8, "10.0.0.11:5060"));
    apart.site.shared.public.clear();
    let mut without = edge(7, "10.0.0.10:5060", (8, "10.0.0.11:5060"));
    without.site.shared.core = None;
    let mut ported = edge(7, "10.0.0.10:5060", (8, "10.0.0.11:5060"));
    ported.site.shared.core = Some(SharedName {
        port: Some(5080),
        ..shared("core.example.net")
    });
    let two = Two::new();
    for (why, edge, flow, want) in [
        (
            "SIGNALLING §2: only its holder can use a connection",
            &two.holder,
            browser(),
            "10.0.0.10;lr>",
        ),
        (
            "whatever it speaks",
            &two.holder,
            tcp_phone(),
            "10.0.0.10;lr>",
        ),
        (
            "any node with the public address serves a UDP flow",
            &two.holder,
            phone(),
            "10.0.0.100;lr>",
        ),
        (
            "and the other says the same",
            &two.other,
            phone(),
            "10.0.0.100;lr>",
        ),
        (
            "the public address is the node's own",
            &apart,
            phone(),
            "10.0.0.10;lr>",
        ),
        (
            "no address is shared towards the core",
            &without,
            phone(),
            "10.0.0.10;lr>",
        ),
        (
            "a shared name with a port of its own",
            &ported,
            phone(),
            "core.example.net:5080;lr>",
        ),
    ] {
        assert_eq!(names(edge, &flow), want, "{why}");
    }
}

#[test]
fn record_route_names_the_shared_address_towards_the_core_and_via_the_node() {
    let two = Two::new();
    for (why, request, by, route, via) in [
        (
            "to the core",
            invite(),
            phone(),
            "@10.0.0.100;lr>",
            "10.0.0.10;",
        ),
        (
            "over its transport",
            invite().set("X", "y").method("INVITE").with("P", "q"),
            phone(),
            "@10.0.0.100;lr>",
            "10.0.0.10;",
        ),
        (
            "to a device: the public name",
            request("INVITE", "sip:x@y.invalid").route(&two.holder.path(&browser())),
            core(),
            "@edge.example.net;transport=ws;lr>",
            "edge.example.net;",
        ),
    ] {
        let sent = two.holder.passes(&request.build(), &by, &nothing());
        let record_route = &values(&sent, Header::RecordRoute)[0];
        assert!(record_route.contains(route), "{why}: {record_route}");
        let top = &values(&sent, Header::Via)[0];
        assert!(top.contains(&format!(" {via}")), "{why}: {top}");
    }
    let mut to_trunk = invite().build();
    assert_eq!(to_trunk.uri(), b"sip:bob@example.test");
    to_trunk = request("INVITE", "sip:88@example.test").build();
    let sent = two.holder.passes(&to_trunk, &phone(), &nothing());
    let record_route = &values(&sent, Header::RecordRoute)[0];
    assert!(
        record_route.ends_with("@10.0.0.100;transport=tcp;lr>"),
        "each copy names the transport of its side: {record_route}"
    );
    // RFC 3261 §16.7 step 8: and in the answer the core's copy is the shared one too.
    let request = request("INVITE", "sip:x@y.invalid").route(&two.holder.path(&browser()));
    let sent = two.holder.passes(&request.build(), &core(), &nothing());
    let answer = response_to(&sent, 200).build();
    let back = pass_on(&answer, &browser(), &two.holder.context()).expect("passes");
    let back = parse(&back.response.to_bytes());
    let record_route = &values(&back, Header::RecordRoute)[0];
    assert!(record_route.ends_with("@10.0.0.100;lr>"), "{record_route}");
}

#[test]
fn a_request_for_a_connection_of_another_living_node_is_handed_to_it_once() {
    let two = Two::new();
    let by_path = |flow: &Flow| request("INVITE", "sip:x@y.invalid").route(&two.holder.path(flow));
    let in_dialog = |method: &str, flow: &Flow, device| {
        inside(method, &two.holder.core_copy(flow, device, Pass::Up))
    };
    let between_devices =
        |method: &str| inside(method, &two.holder.local_copy(UDP, true, &browser(), BOB));
    for (why, request, by, want) in [
        (
            "SIGNALLING §5: by a Path token",
            by_path(&browser()),
            core(),
            format!("relay {TO_HOLDER}"),
        ),
        (
            "over TCP it comes, so it is kept",
            by_path(&browser()),
            core_tcp(),
            format!("start {TO_HOLDER}"),
        ),
        (
            "inside a dialog",
            in_dialog("BYE", &browser(), BOB),
            core(),
            format!("relay {TO_HOLDER}"),
        ),
        (
            "an ACK",
            in_dialog("ACK", &browser(), BOB),
            core(),
            format!("relay {TO_HOLDER}"),
        ),
        (
            "a CANCEL goes where its INVITE went",
            in_dialog("CANCEL", &browser(), BOB),
            core(),
            format!("relay {TO_HOLDER}"),
        ),
        (
            "of a device that it does not know",
            in_dialog("BYE", &browser(), Device::default()),
            core(),
            format!("relay {TO_HOLDER}"),
        ),
        (
            "of the other device of a call",
            between_devices("BYE"),
            phone(),
            "relay up udp 10.0.0.10:5060".to_owned(),
        ),
        (
            "datagrams by the shared address are served here",
            by_path(&phone()),
            core(),
            "relay down flow 198.51.100.7:40000".to_owned(),
        ),
        (
            "also inside a dialog",
            in_dialog("BYE", &phone(), BOB),
            core(),
            "relay down flow 198.51.100.7:40000".to_owned(),
        ),
    ] {
        assert_eq!(two.other.says(&request.build(), &by), want, "{why}");
    }

    let mut apart = Two::new();
    apart.other.site.shared.public.clear();
    assert_eq!(
        apart.other.says(&by_path(&phone()).build(), &core()),
        format!("relay {TO_HOLDER}"),
        "datagrams to a public address of the node's own"
    );

    let known = Two::new().other.knows(BOB, browser());
    assert_eq!(
        known.says(&in_dialog("BYE", &browser(), BOB).build(), &core()),
        "start down connection 31",
        "SIGNALLING §5: the index wins where it is newer"
    );
}

#[test]
fn the_first_node_only_relays_and_the_owner_does_the_rest() {
    let two = Two::new();
    let request = request("INVITE", "sip:x@y.invalid")
        .route(&two.holder.path(&browser()))
        .route("<sip:10.0.0.99;lr>")
        .sdp()
        .build();
    let mut media = two.other;
    media.site.media = true;
    let first = media.forwards(&request, &core(), &nothing());
    assert!(!first[0].record_route && first[0].media.is_some_and(|media| !media.is_some()));
    let passed = parse(&media.seal(&first[0]).request.to_bytes());
    assert_eq!(
        values(&passed, Header::RecordRoute),
        [""; 0],
        "no Record-Route"
    );
    assert_eq!(values(&passed, Header::Via).len(), 2, "a Via");
    let routes = values(&passed, Header::Route);
    assert!(routes[0].ends_with("@10.0.0.10:5060;lr>"), "{routes:?}");
    assert!(Sealer::is_handed_over(token_of(&routes[0]).as_bytes()));
    assert_eq!(routes[1], "<sip:10.0.0.99;lr>", "what was behind it stays");

    let owner = Two::new().holder.with_media();
    let second = owner.forwards(&passed, &other_node(), &nothing());
    assert_eq!(way(&second[0]), "down connection 31");
    assert!(
        second[0].record_route && second[0].media.is_none(),
        "the owner records and anchors"
    );

    let again = media.sealed(&request, &core(), &nothing());
    assert_eq!(
        again.branch,
        media.seal(&first[0]).branch,
        "RFC 3261 §16.11: a retransmission is the same"
    );
}

#[test]
fn a_device_s_copy_is_honoured_on_the_inner_side_only_when_a_node_handed_it_over() {
    let two = Two::new();
    let bye = inside("BYE", &two.holder.local_copy(UDP, true, &browser(), BOB)).build();
    assert_eq!(
        two.holder.says(&bye, &core()),
        "403 foreign_token",
        "from the core"
    );
    let passed = handed(&two.other, &bye, &phone());
    assert_eq!(
        two.holder.says(&passed, &other_node()),
        "start local connection 31",
        "from the other node"
    );
    assert_eq!(
        two.holder.says(&passed, &core()),
        "403 foreign_token",
        "the same from somebody else"
    );
    let invite = inside("INVITE", &two.holder.local_copy(UDP, true, &browser(), BOB)).build();
    let passed = handed(&two.other, &invite, &phone());
    assert!(
        !two.holder.forwards(&passed, &other_node(), &nothing())[0].record_route,
        "the dialog has its route set"
    );
}

#[test]
fn who_speaks_in_a_dialog_is_noted_by_the_node_that_it_speaks_to() {
    let two = Two::new();
    let copy = two
        .holder
        .copy_of(ALICE, WSS, Some((&browser(), BOB)), true);
    let info = inside("INFO", &copy).build();
    assert_eq!(
        two.other.forwards(&info, &tab(), &nothing())[0].moved,
        Some(ALICE)
    );
    let passed = handed(&two.other, &info, &tab());
    let forwards = two.holder.forwards(&passed, &other_node(), &nothing());
    assert_eq!(forwards[0].moved, None, "SIGNALLING §5: handed over");
}

#[test]
fn a_flow_that_nobody_holds_is_answered_at_once_or_looked_for() {
    let two = Two::new();
    let path = |edge: &Edge| {
        request("INVITE", "sip:x@y.invalid")
            .route(&edge.path(&gone()))
            .build()
    };
    let dialog =
        |edge: &Edge, method: &str| inside(method, &edge.core_copy(&gone(), BOB, Pass::Up)).build();
    let dead = Two::new().after_a_death();
    let says = |edge: &Edge, request: &Message| edge.says(request, &core());
    assert_eq!(
        says(&dead.other, &path(&two.holder)),
        "430 flow_failed",
        "SIGNALLING §5: its node is dead"
    );
    assert_eq!(
        says(&dead.other, &dialog(&two.holder, "BYE")),
        "await",
        "a page may come back"
    );
    assert_eq!(
        says(&dead.other, &dialog(&two.holder, "ACK")),
        "drop ack",
        "an ACK cannot wait"
    );
    assert_eq!(
        says(&two.holder, &path(&two.holder)),
        "430 flow_failed",
        "our own, and gone"
    );
    for method in ["BYE", "INVITE", "ACK"] {
        assert_eq!(
            says(&two.holder, &dialog(&two.holder, method)),
            "ask holder of [01, 00, 00, 02]",
            "SIGNALLING §5: a miss asks the other nodes: {method}"
        );
    }
    assert_eq!(
        says(&two.holder, &dialog(&two.holder, "CANCEL")),
        "481 no_transaction"
    );

    let knows = |holder| Facts {
        holder: Some(holder),
        ..nothing()
    };
    let bye = dialog(&two.holder, "BYE");
    for (why, facts, want) in [
        (
            "one has it",
            knows(Holder::Node(8)),
            "relay through udp 10.0.0.11:5060",
        ),
        ("none has", knows(Holder::Nobody), "await"),
        (
            "one that has died meanwhile",
            knows(Holder::Node(9)),
            "await",
        ),
    ] {
        assert_eq!(two.holder.says_with(&bye, &core(), &facts), want, "{why}");
    }
    let anonymous = inside(
        "BYE",
        &two.holder.core_copy(&gone(), Device::default(), Pass::Up),
    )
    .build();
    assert_eq!(
        says(&two.holder, &anonymous),
        "480 device_gone",
        "nothing to look for"
    );

    // Handed over and not there: no node hands it back by the token.
    let passed = handed(&two.other, &path(&two.holder), &core());
    assert_eq!(
        two.holder.says(&passed, &other_node()),
        "430 flow_failed",
        "the bit is set"
    );
    let mut stale = Two::new().holder;
    stale.site.node = 9;
    stale
        .nodes
        .0
        .push((7, "10.0.0.12:5060".parse().unwrap(), true));
    assert_eq!(
        stale.says(&passed, &other_node()),
        "430 flow_failed",
        "also by who does not own it"
    );
}

#[test]
fn what_was_handed_over_is_ours_whatever_the_route_s_host_is() {
    let two = Two::new();
    let request = request("INVITE", "sip:x@y.invalid")
        .route(&two.holder.path(&browser()))
        .build();
    let mut renamed = Two::new().holder;
    for listener in &mut renamed.site.listeners {
        listener.bind.set_ip([0, 0, 0, 0].into());
        listener.host = "edge-a.example.net".to_owned();
    }
    let passed = handed(&two.other, &request, &core());
    assert_eq!(
        renamed.says(&passed, &other_node()),
        "start down connection 31"
    );
}

#[test]
fn shared_names_are_ours() {
    let two = Two::new();
    let bye = |host: &str| {
        let copy = two.holder.core_copy(&phone(), BOB, Pass::Up);
        inside("BYE", &copy.replace("10.0.0.10", host)).build()
    };
    for (host, want) in [
        ("10.0.0.100", "relay down flow 198.51.100.7:40000"),
        ("10.0.0.100:5060", "relay down flow 198.51.100.7:40000"),
        ("10.0.0.101", "relay through udp 10.0.0.101:5060"),
        ("10.0.0.100:7", "relay through udp 10.0.0.100:7"),
    ] {
        assert_eq!(
            two.other.says(&bye(host), &core()),
            want,
            "RFC 3261 §16.4: {host}"
        );
    }
}

#[test]
fn a_device_sends_nothing_to_the_inner_side_of_another_node() {
    let two = Two::new();
    let bye = |routes: [&str; 2]| {
        let [first, second] = routes;
        inside("BYE", first).route(second).build()
    };
    let ours = two.holder.device_copy(false);
    let theirs = two
        .other
        .core_copy(&phone(), BOB, Pass::Up)
        .replace("10.0.0.10", "10.0.0.11");
    for (why, routes, want) in [
        (
            "by a bare Route",
            [&*ours, "<sip:10.0.0.11;lr>"],
            "403 foreign_route",
        ),
        (
            "on any port",
            [&*ours, "<sip:10.0.0.11:5070;lr>"],
            "403 foreign_route",
        ),
        (
            "by a token of another call",
            [&*ours, &*theirs.replacen("sip:", "sip:A", 1)],
            "403 foreign_route",
        ),
        (
            "a call through both of us",
            [&*ours, &*theirs],
            "relay up udp 10.0.0.11:5060",
        ),
    ] {
        assert_eq!(two.holder.says(&bye(routes), &phone()), want, "{why}");
    }
    let initial = invite()
        .route("<sip:10.0.0.21;lr>")
        .route("<sip:10.0.0.11;lr>")
        .build();
    assert_eq!(
        two.holder.says(&initial, &phone()),
        "403 foreign_route",
        "nor through a member"
    );
}

#[test]
fn a_response_is_handed_to_the_living_node_that_made_its_branch() {
    let two = Two::new();
    let request = request("INVITE", "sip:bob@192.168.1.9")
        .route(&two.holder.path(&phone()))
        .build();
    let sent = two.holder.passes(&request, &core(), &nothing());
    let answer = response_to(&sent, 200).build();
    let onward = pass_on(&answer, &phone(), &two.other.context()).expect("it verifies everywhere");
    assert_eq!(
        node_of(&onward.via, &two.other.context()).map(|hop| format!("{hop:?}")),
        two.other
            .nodes
            .0
            .first()
            .map(|(_, at, _)| format!("Server {{ transport: Udp, address: {at} }}")),
        "SIGNALLING §3: it has the transaction"
    );
    assert_eq!(node_of(&onward.via, &two.holder.context()), None, "our own");
    let dead = Two::new().after_a_death();
    assert_eq!(
        node_of(&onward.via, &dead.other.context()),
        None,
        "do what the branch says"
    );

    let passed = parse(&hand_back(&answer, &phone(), &two.other.context()).to_bytes());
    let holder = two.holder.knows(BOB, phone());
    let context = holder.context();
    assert_eq!(
        came_by(&passed, &other_node(), &context),
        Ok(Some(phone())),
        "as if it had come by the device's flow"
    );
    assert_eq!(
        came_by(&passed, &core(), &context),
        Ok(None),
        "from nobody but a node"
    );
    assert_eq!(
        came_by(&answer, &other_node(), &context),
        Ok(None),
        "unless it says so"
    );
    let back = pass_on(&passed, &phone(), &context).expect("passes");
    let direct = pass_on(&answer, &phone(), &context).expect("passes");
    assert_eq!(
        back.response.to_bytes(),
        direct.response.to_bytes(),
        "the core sees no difference"
    );
}

#[test]
fn a_device_that_answers_for_the_other_node_is_not_believed_as_a_node_is() {
    let two = Two::new();
    let invite = request("INVITE", "sip:bob@192.168.1.9").route(&two.holder.path(&browser()));
    let sent = two.other.passes(&invite.build(), &core(), &nothing());
    // The browser of the holder takes the holder's Via off, so that the other node's is on top.
    let says = response_to(&sent, 200).with("P-Asserted-Identity", "<sip:ceo@example.test>");
    let handed = parse(&hand_back(&says.build(), &browser(), &two.holder.context()).to_bytes());
    let by = flow(CORE, Transport::Udp, "10.0.0.10:5060", None);
    assert_eq!(
        came_by(&handed, &by, &two.other.context()),
        Err(Reason::StrayResponse),
        "a connection answers what its own node sent"
    );
}

#[test]
fn a_device_reaches_the_inner_side_of_no_node_by_whatever_address() {
    let mut two = Two::new();
    let wildcard = |site: &mut proxy::Site| {
        for id in [CORE, CORE_TCP] {
            site.listeners[usize::from(id)]
                .bind
                .set_ip([0, 0, 0, 0].into());
        }
        site.own = vec![[10, 0, 0, 10].into(), [10, 9, 9, 9].into()];
        site.core.push("127.0.0.0/8".parse().unwrap());
        let kamailio = member("10.0.0.100", "10.0.0.100:5080", Transport::Udp);
        site.groups[0].members.push(kamailio);
    };
    wildcard(&mut two.holder.site);
    let ours = two.holder.device_copy(false);
    for (why, uri, want) in [
        (
            "the address that moves",
            "sip:900@10.0.0.100",
            "403 foreign_route",
        ),
        (
            "on another port of theirs",
            "sip:900@10.0.0.100:5070",
            "403 foreign_route",
        ),
        (
            "our own, although we are bound to all",
            "sip:900@10.0.0.10;transport=tcp",
            "403 foreign_route",
        ),
        (
            "which nobody is told",
            "sip:900@10.9.9.9",
            "403 foreign_route",
        ),
        ("nobody's", "sip:900@127.0.0.1", "403 foreign_route"),
        (
            "a member that moves along",
            "sip:900@10.0.0.100:5080",
            "relay up udp 10.0.0.100:5080",
        ),
        (
            "another program here",
            "sip:900@10.9.9.9:5099",
            "relay up udp 10.9.9.9:5099",
        ),
    ] {
        let message = request("MESSAGE", uri).tagged("bob").route(&ours).build();
        assert_eq!(two.holder.says(&message, &phone()), want, "{why}");
    }
    for hidden in ["<sip:10.0.0.100;lr>", "<sip:10.9.9.9;lr>"] {
        let behind = invite().route("<sip:10.0.0.21;lr>").route(hidden).build();
        assert_eq!(
            two.holder.says(&behind, &phone()),
            "403 foreign_route",
            "nor behind a member: {hidden}"
        );
    }
}
