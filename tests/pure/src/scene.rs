//! A site that never changes: keys, time and flows are fixed, so that the same bytes in always are the same bytes out.

use std::net::{IpAddr, SocketAddr};

use proxy::cluster::Nodes;
use proxy::decision::{Alive, Device, Flows, Hop};
use proxy::flow::ConnectionId;
use proxy::key::Keys;
use proxy::path::PathStyle;
use proxy::site::{Group, Listener, Match, Member, Route, Side, To};
use proxy::token::{FlowAddress, Sealer};
use proxy::{Context, Flow, ListenerId, Site};
use sip::Transport;

/// Seconds since 1970 of everything that happens here.
pub const NOW: u64 = 1_785_542_400;

/// A site with three peers.
#[derive(Debug)]
pub struct Scene {
    site: Site,
    sealer: Sealer,
    /// A desk phone over UDP, registered.
    pub phone: Flow,
    /// A browser over WSS.
    pub browser: Flow,
    /// The registrar over UDP.
    pub core: Flow,
    /// There is another node, number 2.
    has_others: bool,
}

impl Scene {
    /// An edge in front of one registrar, without RTPEngine: what is UDP on both sides passes without a transaction.
    pub fn edge() -> Self {
        let listeners = [
            (Side::Device, Transport::Udp, "203.0.113.10:5060"),
            (Side::Device, Transport::Wss, "203.0.113.10:443"),
            (Side::Core, Transport::Udp, "198.51.100.10:5060"),
        ];
        let listeners: Vec<Listener> = (0..)
            .zip(listeners)
            .map(|(id, (side, transport, bind))| listener(id, side, transport, bind))
            .collect();
        let at = ([198, 51, 100, 20], 5060).into();
        let registrar = Member::new("198.51.100.20", 5060, Transport::Udp, Some(at));
        let group = Group {
            name: "registrars".into(),
            members: vec![registrar],
            ..Group::default()
        };
        let route = Route {
            when: Match::default(),
            to: To::Group(0),
        };
        let site = Site {
            node: 1,
            listeners,
            groups: vec![group],
            routes: vec![route],
            ..Site::default()
        };
        let flow = |id: u8, transport, peer: &str, connection| Flow {
            listener: ListenerId(id),
            transport,
            local: site.listeners[usize::from(id)].bind,
            peer: address(peer),
            connection,
        };
        Scene {
            phone: flow(0, Transport::Udp, "192.0.2.7:40000", None),
            browser: flow(
                1,
                Transport::Wss,
                "192.0.2.8:50000",
                Some(ConnectionId::from_bits(0x1234_5678_9abc)),
            ),
            core: flow(2, Transport::Udp, "198.51.100.20:5060", None),
            has_others: false,
            site,
            sealer: Sealer::new(Keys::single([7; 32])),
        }
    }

    /// The same with a registrar of our own, which authenticates, and with RTPEngine.
    pub fn with_registrar() -> Self {
        let mut scene = Scene::edge();
        scene.site.domains = ["example.test".to_owned(), "h".to_owned()].into();
        scene.site.routes.clear();
        scene.site.media = true;
        scene.site.authenticate = true;
        scene
    }

    /// The first edge as one of a cluster, with all that writes tokens into messages or reads what others wrote: hidden core,
    /// Path in the open style, a group that routes by Contact, redirections that are followed.
    pub fn with_all_tokens() -> Self {
        let mut scene = Scene::edge();
        for listener in &mut scene.site.listeners {
            listener.hides = listener.side == Side::Device;
            listener.path = PathStyle::Received;
        }
        scene.site.core = vec!["198.51.100.0/24".parse().expect("a network")];
        scene.site.groups[0].contact_token = true;
        scene.site.groups[0].follows_redirects = true;
        scene.has_others = true;
        scene
    }

    /// What the proxy is given of it.
    pub fn context(&self) -> Context<'_> {
        Context {
            now_unix: NOW,
            site: &self.site,
            sealer: &self.sealer,
            flows: self,
            alive: self,
            nodes: self,
        }
    }
}

impl Flows for Scene {
    fn flow(&self, listener: ListenerId, address: FlowAddress) -> Option<Flow> {
        [self.phone, self.browser]
            .into_iter()
            .find(|flow| flow.listener == listener && flow.address() == address)
    }

    fn newest(&self, device: Device) -> Option<Flow> {
        (device == Device(*b"bob1")).then_some(self.browser)
    }

    fn connection_from(&self, transport: Transport, peer: SocketAddr) -> Option<Flow> {
        let is_it = |flow: &Flow| flow.transport == transport && flow.peer == peer;
        is_it(&self.browser).then_some(self.browser)
    }

    fn device(&self, flow: &Flow) -> Option<Device> {
        (*flow == self.phone).then_some(Device(*b"ann1"))
    }
}

impl Nodes for Scene {
    fn others(&self) -> bool {
        self.has_others
    }

    fn living(&self, node: u16) -> Option<Hop> {
        (self.has_others && node == 2).then_some(Hop::Server {
            transport: Transport::Udp,
            address: ([198, 51, 100, 11], 5060).into(),
        })
    }

    fn is_node(&self, ip: IpAddr) -> bool {
        self.has_others && ip == IpAddr::from([198, 51, 100, 11])
    }
}

impl Alive for Scene {
    fn is_alive(&self, _group: usize, _member: usize) -> bool {
        true
    }
}

fn listener(id: u8, side: Side, transport: Transport, bind: &str) -> Listener {
    Listener::new(ListenerId(id), side, transport, address(bind))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("written in this file")
}
