//! The open style of Path: a device's address in `;received=` (SIGNALLING §2), and the Routes that registrars make of it.

use std::path::Path;

use proxy::Flow;
use proxy::path::PathStyle;
use proxy::site::Site;
use sip::{Header, Message, Transport};

use crate::captured::{chain_site, folders};
use crate::kit::*;

/// The slide's edge: one address, both sides, the open style.
fn site() -> Site {
    let mut site = chain_site();
    for listener in &mut site.listeners[..usize::from(CORE)] {
        listener.core = vec!["10.33.69.0/24".parse().unwrap()];
        listener.path = PathStyle::Received;
    }
    site.core = vec!["10.33.69.0/24".parse().unwrap()];
    site
}

fn at(listener: u8, transport: Transport, peer: &str, connection: Option<u64>) -> Flow {
    Flow {
        local: site().listeners[usize::from(listener)].bind,
        ..flow(listener, transport, peer, connection)
    }
}

fn server() -> Flow {
    at(UDP, Transport::Udp, "10.33.69.152:5060", None)
}

const DEVICE: &str = "82.10.18.109:12202";

fn device() -> Flow {
    at(UDP, Transport::Udp, DEVICE, None)
}

fn page() -> Flow {
    at(WSS, Transport::Wss, DEVICE, Some(31))
}

/// With the devices of the capture: three by UDP, one of them also by WSS.
fn edge_of(site: Site) -> Edge {
    let mut edge = Edge::of(site)
        .knows(BOB, device())
        .knows(ALICE, at(UDP, Transport::Udp, "82.10.18.110:12203", None))
        .knows(
            proxy::Device([1, 0, 0, 3]),
            at(UDP, Transport::Udp, "82.10.18.110:12204", None),
        );
    edge.flows.connections = vec![page()];
    edge
}

fn edge() -> Edge {
    edge_of(site())
}

#[test]
fn a_path_in_the_open_style_has_a_token_and_the_address() {
    let edge = edge();
    let register = |contact: &str| {
        let draft = request("REGISTER", "sip:sbc.rig.test").set("Contact", contact);
        draft
            .set("Via", "SIP/2.0/UDP 192.168.0.90:2048;branch=z9hG4bKr;rport")
            .build()
    };
    let plain = register("<sip:221222@192.168.0.90:2048>");
    let outbound = register("<sip:221222@192.168.0.90:2048>;reg-id=1;+sip.instance=\"<urn:x>\"");
    for (why, register, flow, want) in [
        (
            "chain/a1",
            &plain,
            device(),
            ";lr;received=sip:82.10.18.109:12202>",
        ),
        (
            "chain/a5, on one value",
            &plain,
            page(),
            ";lr;received=sip:82.10.18.109:12202%3btransport%3dwss>",
        ),
        (
            "RFC 5626 §5.1",
            &outbound,
            device(),
            ";lr;received=sip:82.10.18.109:12202;ob>",
        ),
    ] {
        let sent = edge.passes(register, &flow, &nothing());
        let path = values(&sent, Header::Path).remove(0);
        assert!(path.ends_with(want), "{why}: {path}");
        // It comes back as it is, and the token in it needs no address.
        let back = edge.says(&invite().route(&path).build(), &server());
        let way = if flow == page() {
            "start down connection 31"
        } else {
            "relay down flow 82.10.18.109:12202"
        };
        assert_eq!(back, way, "{why}");
        assert_eq!(
            edge.says(&invite().route(&path).build(), &page()),
            "403 foreign_token",
            "{why}"
        );
    }
}

fn captured(path: &Path) -> Option<Message> {
    let bytes = std::fs::read(path).unwrap();
    Message::parse(bytes.into(), &sip::Limits::default()).ok()
}

/// Whom a captured Route means, in the words of [`way`].
fn wanted(route: &str) -> Option<String> {
    let peer = route.split_once("received=sip:")?.1;
    let peer = peer.strip_suffix('>')?;
    Some(match peer.split_once("%3btransport%3d") {
        Some((_, "wss")) => "down connection 31".to_owned(),
        Some(_) => return None,
        None => format!("down flow {peer}"),
    })
}

#[test]
fn every_captured_route_in_the_open_style_leads_to_its_device() {
    let (edge, mut seen, mut pairs) = (edge(), 0, 0);
    let default = edge_of(chain_site());
    for folder in folders("chain") {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.to_string_lossy().contains("_to_edge")) {
            let Some(request) = captured(&path).filter(Message::is_request) else {
                continue;
            };
            let routes = values(&request, Header::Route);
            let Some(want) = routes.last().and_then(|route| wanted(route)) else {
                continue;
            };
            let says = edge.says(&request, &server());
            assert!(
                says.ends_with(&want),
                "{}: {says}, not {want}",
                path.display()
            );
            let passed = edge.passes(&request, &server(), &nothing());
            assert_eq!(
                values(&passed, Header::Route).len(),
                0,
                "{}",
                path.display()
            );
            seen += 1;
            pairs += usize::from(routes.len() == 2);

            // Nobody else's word counts, and not where nobody asked for the style.
            for (edge, from) in [
                (&edge, page()),
                (&edge, device()),
                (&default, core_of(&default)),
            ] {
                let says = edge.says(&request, &from);
                let refused = says.starts_with("403") || says.starts_with("drop");
                assert!(refused, "{}: {says}", path.display());
            }
        }
    }
    assert!(
        seen >= 60 && pairs >= 3,
        "{seen} requests, {pairs} with two values in one line"
    );
}

fn core_of(edge: &Edge) -> Flow {
    let local = edge.site.listeners[usize::from(CORE)].bind;
    Flow {
        local,
        ..flow(CORE, Transport::Udp, "10.33.69.152:5060", None)
    }
}

#[test]
fn an_address_in_a_route_leads_only_to_a_device_that_is_there() {
    let edge = edge();
    let route = |value: &str| invite().route(value).build();
    for (why, value, want) in [
        (
            "a registered phone",
            "<sip:mysbc@10.33.69.151;lr;received=sip:82.10.18.109:12202>",
            "relay down flow 82.10.18.109:12202",
        ),
        (
            "parameters in another order, and one that the registrar added",
            "<sip:mysbc@10.33.69.151;received=sip:82.10.18.109:12202;x=y;lr>;ftag=1",
            "relay down flow 82.10.18.109:12202",
        ),
        (
            "without lr, as FreeSWITCH's fs_path",
            "<sip:mysbc@10.33.69.151;received=sip:82.10.18.109:12202>",
            "relay down flow 82.10.18.109:12202",
        ),
        (
            "nobody registered from there",
            "<sip:mysbc@10.33.69.151;lr;received=sip:82.10.18.109:12203>",
            "430 flow_failed",
        ),
        (
            "a server of the core is no device",
            "<sip:mysbc@10.33.69.151;lr;received=sip:10.33.69.154:5080>",
            "430 flow_failed",
        ),
        (
            "we are no device",
            "<sip:mysbc@10.33.69.151;lr;received=sip:10.33.69.151:5060>",
            "430 flow_failed",
        ),
        (
            "the same address, but no such connection",
            "<sip:mysbc@10.33.69.151;lr;received=sip:82.10.18.109:12202%3btransport%3dtls>",
            "430 flow_failed",
        ),
        (
            "a name is never looked up",
            "<sip:mysbc@10.33.69.151;lr;received=sip:phone.example.com>",
            "430 flow_failed",
        ),
        (
            "no address, no token",
            "<sip:mysbc@10.33.69.151;lr>",
            "403 foreign_token",
        ),
    ] {
        assert_eq!(edge.says(&route(value), &server()), want, "{why}");
    }
}

#[test]
fn a_path_of_ours_is_known_whatever_a_registrar_makes_of_it() {
    let edge = Edge::relay();
    let path = edge.path(&browser());
    let user = token_of(&path);
    let spiral = edge.path(&phone());
    for (why, routes) in [
        ("as it was given", vec![path.clone()]),
        (
            "with parameters added",
            vec![format!("<sip:{user}@10.0.0.10;lr;ob;x=y>;z=1")],
        ),
        (
            "in another order",
            vec![format!("<sip:{user}@10.0.0.10;r2=on;lr>")],
        ),
        (
            "without lr: FreeSWITCH's fs_path",
            vec![format!("<sip:{user}@10.0.0.10>")],
        ),
        (
            "lr=on, and the port written out",
            vec![format!("<sip:{user}@10.0.0.10:5060;lr=on>")],
        ),
        (
            "behind a Route of ours that says nothing",
            vec!["<sip:10.0.0.10;lr>".to_owned(), path.clone()],
        ),
        (
            "both in one line",
            vec![format!("<sip:10.0.0.10;r2=on;lr>,{path}")],
        ),
        ("without brackets", vec![format!("sip:{user}@10.0.0.10")]),
    ] {
        let draft = routes
            .iter()
            .fold(invite(), |draft, route| draft.route(route));
        let passed = edge.passes(&draft.build(), &core(), &nothing());
        assert_eq!(
            edge.says(&draft.build(), &core()),
            "start down connection 31",
            "{why}"
        );
        assert_eq!(values(&passed, Header::Route).len(), 0, "{why}");
    }
    // The first one says where; the next one is for whoever is there.
    let two = invite().route(&path).route(&spiral).build();
    assert_eq!(edge.says(&two, &core()), "start down connection 31");
}
