//! Every message that was captured on its way to an edge, played again through ours ([`crate::replay`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proxy::site::{Group, Match, Route, Side, Site, To};
use proxy::{Decision, response::pass_on};
use sip::{Message, Transport};

use crate::kit::*;
use crate::replay::{EXCEPTIONS, Replay, is_edge};

/// Its edge hid the topology: there is no Via or Route of it that could be ours.
const HIDDEN: &str = "b4_invite_topology_hiding";

pub(crate) fn folders(of: &str) -> Vec<PathBuf> {
    let root = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/captured"
    ))
    .join(of);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

fn play_all(site: &Site, folders: &[PathBuf]) -> BTreeMap<String, usize> {
    let (mut all, mut messages) = (BTreeMap::new(), 0);
    for folder in folders.iter().filter(|folder| !folder.ends_with(HIDDEN)) {
        let replay = Replay::new(site.clone(), folder);
        messages += replay.files.iter().filter(|file| is_edge(&file.to)).count();
        for (what, count) in replay.play() {
            *all.entry(what).or_default() += count;
        }
    }
    println!("{messages} messages: {all:#?}");
    assert_eq!(
        all.values().sum::<usize>(),
        messages,
        "each was decided, and fell under a rule"
    );
    all
}

/// The edge of the chain: two registrars behind it, and nobody's registrar itself.
pub(crate) fn chain_site() -> Site {
    let mut site = relay_site();
    let devices = [
        (Transport::Udp, 5060),
        (Transport::Tcp, 5060),
        (Transport::Tls, 5061),
        (Transport::Wss, 8443),
    ];
    for (listener, (transport, port)) in site.listeners.iter_mut().zip(devices) {
        listener.transport = transport;
        listener.bind = ([10, 33, 69, 151], port).into();
        listener.host = "10.33.69.151".to_owned();
        listener.port = port;
    }
    site.listeners[usize::from(CORE)].bind = ([10, 33, 69, 161], 5060).into();
    "10.33.69.161".clone_into(&mut site.listeners[usize::from(CORE)].host);
    site.groups = vec![
        Group {
            name: "registrars".to_owned(),
            members: ["10.33.69.152", "10.33.69.153"]
                .map(|host| member(host, &format!("{host}:5060"), Transport::Udp))
                .to_vec(),
            ..Group::default()
        },
        Group {
            name: "fs".to_owned(),
            members: vec![member("10.33.69.154", "10.33.69.154:5080", Transport::Udp)],
            ..Group::default()
        },
    ];
    site.routes = vec![Route {
        when: Match {
            side: Some(Side::Device),
            ..Match::default()
        },
        to: To::Group(0),
    }];
    site
}

/// The edge of the browsers: edge and registrar in one, a group of SIPp's behind it.
fn browser_site() -> Site {
    let mut site = registrar_site();
    // SIPp, the core of that capture, stands beside the edge.
    site.core = vec!["203.0.113.0/24".parse().expect("a network")];
    "203.0.113.10".clone_into(&mut site.listeners[usize::from(WSS)].host);
    site.groups = vec![Group {
        name: "sipp".to_owned(),
        members: vec![member("203.0.113.10", "203.0.113.10:5090", Transport::Udp)],
        ..Group::default()
    }];
    let sipp = Match {
        prefix: Some("sipp".to_owned()),
        ..Match::default()
    };
    site.routes = vec![Route {
        when: sipp,
        to: To::Group(0),
    }];
    site
}

#[test]
fn the_captured_chain_is_decided_as_it_should_be() {
    let all = play_all(&chain_site(), &folders("chain"));
    assert_eq!(
        all["otherwise than the capture, with a reason"],
        EXCEPTIONS.len()
    );
    for (rule, at_least) in [
        ("REGISTER to a registrar", 25),
        ("answers with our Record-Route", 75),
        ("inside a dialog, relay down", 50),
        ("the branch of its INVITE", 15),
    ] {
        assert!(all[rule] >= at_least, "{rule}: {all:#?}");
    }
}

#[test]
fn the_captured_browsers_and_phones_are_decided_as_they_should_be() {
    let folders: Vec<PathBuf> = ["jssip", "sipjs", "baresip", "linphone"]
        .iter()
        .flat_map(|of| folders(&format!("browser/{of}")))
        .collect();
    let all = play_all(&browser_site(), &folders);
    for (rule, at_least) in [
        ("to our registrar", 90),
        ("challenged", 60),
        ("ACK to our own answer", 60),
        ("inside a dialog, start local", 80),
        ("outside, start local", 50),
    ] {
        assert!(all[rule] >= at_least, "{rule}: {all:#?}");
    }
}

/// Whatever it is and whoever sends it: a decision, and no panic. The torture messages of RFC 4475 and RFC 5118 too.
#[test]
fn nothing_that_was_ever_captured_makes_us_panic() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data"));
    let (mut folders, mut seen) = (vec![root.to_owned()], 0);
    let edges = [
        Edge::of(chain_site()),
        Edge::of(browser_site()).with_media(),
    ];
    let facts = [
        nothing(),
        bound(vec![edges[1].binding("sip:x@y.invalid", &browser(), BOB)]),
    ];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(message) = Message::parse(
                std::fs::read(&path).unwrap().into(),
                &sip::Limits::default(),
            ) else {
                continue;
            };
            seen += 1;
            for (edge, from) in edges
                .iter()
                .flat_map(|edge| [browser(), core()].map(|from| (edge, from)))
            {
                if !message.is_request() {
                    assert!(
                        pass_on(&message, &from, &edge.context()).is_err(),
                        "{}: no answer to us",
                        path.display()
                    );
                    continue;
                }
                for facts in &facts {
                    match edge.decide(&message, &from, facts) {
                        Decision::Relay(forward) => drop(edge.seal(&forward)),
                        Decision::Start(forwards) => {
                            forwards.iter().for_each(|forward| drop(edge.seal(forward)))
                        }
                        Decision::Reply(reason) => {
                            drop(proxy::reply::answer(&message, from.peer, &reason))
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(seen > 2900, "{seen}");
}
