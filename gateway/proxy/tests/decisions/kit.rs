//! What the tables are written with: two sites, the flows of a few devices, messages, and decisions as one line of text.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use proxy::cluster::Nodes;
use proxy::forward::{Sealed, seal};
use proxy::key::Keys;
use proxy::site::{Group, Listener, Match, Member, Route, Side, Site, To};
use proxy::token::{
    FlowAddress, Media, Pass, PathToken, RecordRouteCore, RecordRouteDevice, Sealer, Token, Towards,
};
use proxy::{
    Alive, Binding, Bindings, ConnectionId, Context, Decision, Device, Facts, Flow, Flows, Forward,
    Hop, ListenerId, NextHop, Question, Sender, decide,
};
use sip::{Message, Transport};

pub(crate) use crate::draft::*;

/// 1 August 2026.
pub(crate) const NOW: u64 = 1_785_542_400;
/// The Call-ID of every message that says no other.
pub(crate) const CALL: &str = "call-1";

/// Listeners by number.
pub(crate) const UDP: u8 = 0;
pub(crate) const TCP: u8 = 1;
pub(crate) const TLS: u8 = 2;
pub(crate) const WSS: u8 = 3;
pub(crate) const CORE: u8 = 4;
pub(crate) const CORE_TCP: u8 = 5;
pub(crate) const UDP6: u8 = 6;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn listener(id: u8, side: Side, transport: Transport, bind: &str, host: &str) -> Listener {
    Listener {
        host: host.to_owned(),
        ..Listener::new(ListenerId(id), side, transport, address(bind))
    }
}

pub(crate) fn listeners() -> Vec<Listener> {
    vec![
        listener(
            UDP,
            Side::Device,
            Transport::Udp,
            "203.0.113.10:5060",
            "203.0.113.10",
        ),
        listener(
            TCP,
            Side::Device,
            Transport::Tcp,
            "203.0.113.10:5060",
            "203.0.113.10",
        ),
        listener(
            TLS,
            Side::Device,
            Transport::Tls,
            "203.0.113.10:5061",
            "edge.example.net",
        ),
        listener(
            WSS,
            Side::Device,
            Transport::Wss,
            "203.0.113.10:443",
            "edge.example.net",
        ),
        listener(
            CORE,
            Side::Core,
            Transport::Udp,
            "10.0.0.10:5060",
            "10.0.0.10",
        ),
        listener(
            CORE_TCP,
            Side::Core,
            Transport::Tcp,
            "10.0.0.10:5060",
            "10.0.0.10",
        ),
        listener(
            UDP6,
            Side::Device,
            Transport::Udp,
            "[2001:db8::10]:5060",
            "2001:DB8:0::10",
        ),
    ]
}

pub(crate) fn member(host: &str, at: &str, transport: Transport) -> Member {
    let at = address(at);
    Member::new(host, at.port(), transport, Some(at))
}

fn from_devices(prefix: Option<&str>, to: To) -> Route {
    let when = Match {
        side: Some(Side::Device),
        prefix: prefix.map(str::to_owned),
        ..Match::default()
    };
    Route { when, to }
}

/// A site in the edge role: everything of devices goes to group 0; users that begin with 77 to a group of two, with 88
/// to one behind TCP, with 00 nowhere.
pub(crate) fn relay_site() -> Site {
    let group = |name: &str, members| Group {
        name: name.to_owned(),
        members,
        ..Group::default()
    };
    Site {
        node: 7,
        listeners: listeners(),
        core: vec!["10.0.0.0/8".parse().expect("a network")],
        groups: vec![
            group(
                "core",
                vec![member("10.0.0.21", "10.0.0.21:5060", Transport::Udp)],
            ),
            group(
                "pair",
                vec![
                    member("reg-a.example.net", "10.0.0.31:5060", Transport::Udp),
                    member("reg-b.example.net", "10.0.0.32:5060", Transport::Udp),
                ],
            ),
            group(
                "trunk",
                vec![member("10.0.0.41", "10.0.0.41:5060", Transport::Tcp)],
            ),
        ],
        routes: vec![
            from_devices(Some("00"), To::Reject(603)),
            from_devices(Some("77"), To::Group(1)),
            from_devices(Some("88"), To::Group(2)),
            from_devices(None, To::Group(0)),
        ],
        authenticate: true,
        ..Site::default()
    }
}

/// A site in both roles: it is the registrar of `example.test`, alias `example.org`; users that begin with 9 are in
/// group 0.
pub(crate) fn registrar_site() -> Site {
    Site {
        domains: HashSet::from(["example.test".to_owned()]),
        aliases: HashMap::from([("example.org".to_owned(), "example.test".to_owned())]),
        routes: vec![from_devices(Some("9"), To::Group(0))],
        ..relay_site()
    }
}

/// A node: a site, keys, and what lives around it.
pub(crate) struct Edge {
    pub(crate) site: Site,
    pub(crate) sealer: Sealer,
    pub(crate) flows: Around,
    pub(crate) dead: HashSet<(usize, usize)>,
    pub(crate) calls: HashMap<(usize, usize), u32>,
    pub(crate) turns: AtomicU32,
    pub(crate) nodes: Others,
}

/// The other nodes: number, address, and whether it lives.
#[derive(Default)]
pub(crate) struct Others(pub(crate) Vec<(u16, SocketAddr, bool)>);

impl Nodes for Others {
    fn others(&self) -> bool {
        self.0.iter().any(|(_, _, lives)| *lives)
    }

    fn living(&self, node: u16) -> Option<Hop> {
        let lives = |(id, _, lives): &&(u16, SocketAddr, bool)| *lives && *id == node;
        let (_, address, _) = *self.0.iter().find(lives)?;
        Some(Hop::Server {
            transport: Transport::Udp,
            address,
        })
    }

    fn is_node(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|(_, address, _)| address.ip() == ip)
    }
}

/// The flows that live.
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) connections: Vec<Flow>,
    pub(crate) newest: HashMap<Device, Flow>,
    pub(crate) away: HashMap<Device, Flow>,
    pub(crate) behind: HashMap<Flow, Device>,
    pub(crate) udp: Vec<(ListenerId, SocketAddr)>,
}

impl Flows for Around {
    fn flow(&self, listener: ListenerId, at: FlowAddress) -> Option<Flow> {
        match at {
            FlowAddress::Udp(peer) => {
                let (_, local) = *self.udp.iter().find(|(id, _)| *id == listener)?;
                Some(Flow {
                    listener,
                    transport: Transport::Udp,
                    local,
                    peer,
                    connection: None,
                })
            }
            FlowAddress::Connection(_) => self
                .connections
                .iter()
                .find(|flow| flow.address() == at)
                .copied(),
        }
    }

    fn newest(&self, device: Device) -> Option<Flow> {
        self.newest.get(&device).copied()
    }

    fn last(&self, device: Device) -> Option<Flow> {
        let all = [&self.newest, &self.away].into_iter();
        all.filter_map(|map| map.get(&device)).next().copied()
    }

    fn connection_from(&self, transport: Transport, peer: SocketAddr) -> Option<Flow> {
        self.connections
            .iter()
            .find(|flow| (flow.transport, flow.peer) == (transport, peer))
            .copied()
    }

    fn device(&self, flow: &Flow) -> Option<Device> {
        self.behind.get(flow).copied()
    }
}

impl Alive for Edge {
    fn is_alive(&self, group: usize, member: usize) -> bool {
        !self.dead.contains(&(group, member))
    }

    fn calls(&self, group: usize, member: usize) -> u32 {
        self.calls.get(&(group, member)).copied().unwrap_or(0)
    }

    fn turn(&self, _group: usize) -> u32 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }
}

impl Edge {
    pub(crate) fn of(site: Site) -> Self {
        let udp = site
            .listeners
            .iter()
            .filter(|listener| listener.transport == Transport::Udp);
        let flows = Around {
            connections: vec![browser(), tab(), tcp_phone()],
            udp: udp.map(|listener| (listener.id, listener.bind)).collect(),
            ..Around::default()
        };
        Edge {
            site,
            sealer: Sealer::new(Keys::single([7; 32])),
            flows,
            dead: HashSet::new(),
            calls: HashMap::new(),
            turns: AtomicU32::new(0),
            nodes: Others::default(),
        }
    }

    pub(crate) fn relay() -> Self {
        Self::of(relay_site())
    }

    pub(crate) fn registrar() -> Self {
        Self::of(registrar_site())
    }

    pub(crate) fn with_media(mut self) -> Self {
        self.site.media = true;
        self
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            now_unix: NOW,
            site: &self.site,
            sealer: &self.sealer,
            flows: &self.flows,
            alive: self,
            nodes: &self.nodes,
        }
    }

    pub(crate) fn decide(&self, request: &Message, flow: &Flow, facts: &Facts) -> Decision {
        decide(request, flow, &self.context(), facts)
    }

    /// The decision in a line; questions are left open.
    pub(crate) fn says(&self, request: &Message, flow: &Flow) -> String {
        says(&self.decide(request, flow, &Facts::default()))
    }

    /// The decision in a line with these answers.
    pub(crate) fn says_with(&self, request: &Message, flow: &Flow, facts: &Facts) -> String {
        says(&self.decide(request, flow, facts))
    }

    /// What is passed on, whether in a transaction or not.
    pub(crate) fn forwards(&self, request: &Message, flow: &Flow, facts: &Facts) -> Vec<Forward> {
        match self.decide(request, flow, facts) {
            Decision::Relay(forward) => vec![*forward],
            Decision::Start(forwards) => forwards,
            other => panic!("nothing is passed on: {}", says(&other)),
        }
    }

    /// The first copy that is passed on, with Via and Record-Route.
    pub(crate) fn sealed(&self, request: &Message, flow: &Flow, facts: &Facts) -> Sealed {
        self.seal(&self.forwards(request, flow, facts)[0])
    }

    pub(crate) fn seal(&self, forward: &Forward) -> Sealed {
        let media = forward.media.unwrap_or_else(|| Media::none(forward.pass));
        seal(forward, media, &self.context()).expect("there is a listener towards it")
    }

    /// The same, as the next hop reads it.
    pub(crate) fn passes(&self, request: &Message, flow: &Flow, facts: &Facts) -> Message {
        parse(&self.sealed(request, flow, facts).request.to_bytes())
    }

    pub(crate) fn path(&self, flow: &Flow) -> String {
        let token = PathToken {
            listener: flow.listener.0,
            node: self.site.node,
            flow: flow.address(),
        };
        let text = self.sealer.seal(&Token::Path(token), None, NOW);
        self.site.listeners[usize::from(CORE)].route(|route| route.push_str(&text), "")
    }

    /// The copy that the core has of the Record-Route of a call of the device behind `flow`.
    pub(crate) fn core_copy(&self, flow: &Flow, device: Device, pass: Pass) -> String {
        self.core_copy_of(CALL, flow, device, pass)
    }

    pub(crate) fn core_copy_of(
        &self,
        call: &str,
        flow: &Flow,
        device: Device,
        pass: Pass,
    ) -> String {
        let token = RecordRouteCore {
            listener: flow.listener.0,
            node: self.site.node,
            flow: flow.address(),
            device: device.0,
            media: Media::none(pass),
            anonymous: false,
        };
        let text = self
            .sealer
            .seal(&Token::RecordRouteCore(token), Some(call.as_bytes()), NOW);
        self.site.listeners[usize::from(CORE)].route(|route| route.push_str(&text), "")
    }

    /// The copy that a device has of the Record-Route of a call with the core.
    pub(crate) fn device_copy(&self, called: bool) -> String {
        self.device_copy_on(UDP, called, None)
    }

    /// The copy that a device behind `listener` has of the Record-Route of a call with another device.
    pub(crate) fn local_copy(
        &self,
        listener: u8,
        called: bool,
        other: &Flow,
        device: Device,
    ) -> String {
        self.device_copy_on(listener, called, Some((other, device)))
    }

    /// The copy that a device has of the Record-Route of a call with the core whose media an RTPEngine has.
    pub(crate) fn anchored_copy(&self) -> String {
        let media = Media {
            node: 1,
            generation: 0,
            pass: Pass::Up,
            ends: proxy::media::Ends::NONE,
        };
        let token = RecordRouteDevice {
            media,
            called: false,
            anonymous: false,
            holder: None,
            towards: None,
        };
        let text = self
            .sealer
            .seal(&Token::RecordRouteDevice(token), Some(CALL.as_bytes()), NOW);
        self.site.listeners[usize::from(UDP)].route(|route| route.push_str(&text), "")
    }

    fn device_copy_on(&self, listener: u8, called: bool, other: Option<(&Flow, Device)>) -> String {
        self.copy_of(Device::default(), listener, other, called)
    }

    /// The copy that a device has which is known by name, or not.
    pub(crate) fn copy_of(
        &self,
        holder: Device,
        listener: u8,
        other: Option<(&Flow, Device)>,
        called: bool,
    ) -> String {
        let pass = match (other, called) {
            (Some(_), _) => Pass::Local,
            (None, false) => Pass::Up,
            (None, true) => Pass::Down,
        };
        let towards = other.map(|(flow, device)| Towards {
            listener: flow.listener.0,
            node: self.site.node,
            flow: flow.address(),
            device: device.0,
        });
        let token = RecordRouteDevice {
            media: Media::none(pass),
            called,
            anonymous: false,
            holder: (holder != Device::default()).then_some(holder.0),
            towards,
        };
        let text = self
            .sealer
            .seal(&Token::RecordRouteDevice(token), Some(CALL.as_bytes()), NOW);
        self.site.listeners[usize::from(listener)].route(|route| route.push_str(&text), "")
    }

    /// A device that registered by `flow`.
    pub(crate) fn knows(mut self, device: Device, flow: Flow) -> Self {
        self.flows.newest.insert(device, flow);
        self.flows.behind.insert(flow, device);
        self
    }

    /// A device that was here last, and is silent.
    pub(crate) fn missed(mut self, device: Device, flow: Flow) -> Self {
        self.flows.away.insert(device, flow);
        self
    }

    pub(crate) fn binding(&self, contact: &str, flow: &Flow, device: Device) -> Binding {
        Binding {
            contact: contact.as_bytes().to_vec(),
            path: vec![self.path(flow).into_bytes()],
            device,
            ..Binding::default()
        }
    }
}

pub(crate) fn flow(
    listener: u8,
    transport: Transport,
    peer: &str,
    connection: Option<u64>,
) -> Flow {
    let local = listeners()[usize::from(listener)].bind;
    let connection = connection.map(ConnectionId::from_bits);
    Flow {
        listener: ListenerId(listener),
        transport,
        local,
        peer: address(peer),
        connection,
    }
}

/// A phone on UDP behind NAT.
pub(crate) fn phone() -> Flow {
    flow(UDP, Transport::Udp, "198.51.100.7:40000", None)
}

pub(crate) fn tcp_phone() -> Flow {
    flow(TCP, Transport::Tcp, "198.51.100.7:40001", Some(11))
}

pub(crate) fn browser() -> Flow {
    flow(WSS, Transport::Wss, "198.51.100.8:50000", Some(31))
}

/// Another page of the same user.
pub(crate) fn tab() -> Flow {
    flow(WSS, Transport::Wss, "198.51.100.8:50001", Some(32))
}

pub(crate) fn core() -> Flow {
    flow(CORE, Transport::Udp, "10.0.0.21:5060", None)
}

pub(crate) fn core_tcp() -> Flow {
    flow(CORE_TCP, Transport::Tcp, "10.0.0.41:5060", Some(51))
}

/// The same connection number for something that is gone.
pub(crate) fn gone() -> Flow {
    flow(WSS, Transport::Wss, "198.51.100.8:50009", Some(99))
}

pub(crate) const BOB: Device = Device([1, 0, 0, 2]);
pub(crate) const ALICE: Device = Device([1, 0, 0, 1]);

pub(crate) fn nothing() -> Facts {
    Facts::default()
}

pub(crate) fn authenticated() -> Facts {
    Facts {
        sender: Some(Sender::Authenticated),
        ..Facts::default()
    }
}

pub(crate) fn bound(devices: Vec<Binding>) -> Facts {
    Facts {
        bindings: Some(Bindings::Devices(devices)),
        ..authenticated()
    }
}

/// Where a host is.
pub(crate) fn located(
    host: &str,
    port: Option<u16>,
    at: &[&str],
) -> (NextHop, Vec<(Transport, SocketAddr)>) {
    let asked = NextHop {
        host: host.to_owned(),
        port,
        transport: None,
    };
    (
        asked,
        at.iter().map(|at| (Transport::Udp, address(at))).collect(),
    )
}

/// A decision in a line.
pub(crate) fn says(decision: &Decision) -> String {
    match decision {
        Decision::Drop(reason) => format!("drop {}", reason.label()),
        Decision::Reply(reason) => format!("{} {}", reason.status(), reason.label()),
        Decision::Challenge { as_proxy, stale } => {
            format!(
                "challenge {}{}",
                if *as_proxy { 407 } else { 401 },
                if *stale { " stale" } else { "" }
            )
        }
        Decision::Register(_) => "register".to_owned(),
        Decision::Relay(forward) => format!("relay {}", way(forward)),
        Decision::Start(forwards) => format!(
            "start {}",
            forwards.iter().map(way).collect::<Vec<_>>().join(" and ")
        ),
        Decision::Await { .. } => "await".to_owned(),
        Decision::Press(key) => format!("press {}", key.key),
        Decision::Ask(question) => match question {
            Question::Sender => "ask sender".to_owned(),
            Question::Bindings(aor) => format!("ask bindings {}", String::from_utf8_lossy(aor)),
            Question::Contact(uri) => format!("ask contact {}", String::from_utf8_lossy(uri)),
            Question::Place { peer } => format!("ask place of {peer}"),
            Question::Address(asked) => {
                let port = asked.port.map(|port| format!(":{port}"));
                let transport = asked.transport.map(|one| format!(" {}", one.uri_param()));
                format!(
                    "ask address {}{}{}",
                    asked.host,
                    port.unwrap_or_default(),
                    transport.unwrap_or_default()
                )
            }
            Question::CallOut(index) => format!("ask call-out {index}"),
            Question::Holder(device) => format!("ask holder of {:02x?}", device.0),
        },
    }
}

pub(crate) fn way(forward: &Forward) -> String {
    let pass = match forward.pass {
        Pass::Up => "up",
        Pass::Down => "down",
        Pass::Local => "local",
        Pass::Through => "through",
    };
    let hop = match &forward.hop {
        Hop::Flow(flow) => match flow.connection {
            Some(connection) => format!("connection {}", connection.bits()),
            None => format!("flow {}", flow.peer),
        },
        Hop::Server { transport, address } => format!("{} {address}", transport.uri_param()),
    };
    format!("{pass} {hop}")
}
