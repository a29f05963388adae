//! The other nodes of the cluster: who of them lives, and which has a device.
//!
//! One question serves both ([`proxy::exchange`]): an OPTIONS over the listener that faces the core, signed with the cluster's
//! key. Its answer says who the other one is, so that two nodes with one number are found out.
//!
//! - [`peer`]: what the answers of one address come to (pure);
//! - [`question`]: the OPTIONS and what is asked at the moment.

mod peer;
mod question;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use proxy::cluster::Nodes;
use proxy::exchange::{Answer, Question, Speaker};
use proxy::key::Keys;
use proxy::{Device, Flow, Holder, Hop, NextHop, Site};
use sip::{Message, Transport};

use crate::dns::Resolver;
use crate::transport::Transports;

use peer::{Peer, Verdict};
use question::Questions;

/// How often names are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);
/// The same while one has no address.
const LOOK_UP_SOON: Duration = Duration::from_secs(2);
/// How often the others are asked whether a device has come back to one of them.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Nodes at most: a name with more addresses than that is a mistake.
const NODES: usize = 64;

/// A node, or several under one name, as the configuration names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its number, if it is told; else the answer says it.
    pub node: Option<u16>,
    /// A name or an address.
    pub host: String,
    /// The port of its listener towards the core.
    pub port: u16,
    /// UDP or TCP.
    pub transport: Transport,
}

impl Named {
    /// Where it is now; empty while DNS has no answer.
    async fn addresses(&self, resolver: &Resolver) -> Vec<SocketAddr> {
        if let Ok(ip) = self.host.parse() {
            return vec![SocketAddr::new(ip, self.port)];
        }
        let what = NextHop {
            host: self.host.to_ascii_lowercase(),
            port: Some(self.port),
            transport: Some(self.transport),
        };
        let located = resolver.locate(&what).await;
        let targets = located.map(|found| found.targets).unwrap_or_default();
        targets.iter().map(|target| target.address).collect()
    }
}

/// How nodes watch each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How often each is asked whether it lives.
    pub interval: Duration,
    /// How long it may take to answer, repetitions included.
    pub timeout: Duration,
    /// Questions without an answer, in a row, after which it counts as dead.
    pub fall: u32,
}

/// What is shown of another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeState {
    /// Its number, if it is known.
    pub node: Option<u16>,
    /// Where it is.
    pub address: SocketAddr,
    /// `alive`, `dead`, or `refused` for one whose number is another's.
    pub state: &'static str,
}

/// The cluster as this node sees it.
pub(crate) struct Cluster {
    me: Speaker,
    names: Vec<Named>,
    rules: Rules,
    keys: Keys,
    site: Arc<ArcSwap<Site>>,
    transports: Arc<OnceLock<Transports>>,
    peers: ArcSwap<Vec<Arc<Peer>>>,
    questions: Questions,
}

impl Cluster {
    /// Nobody counts as alive before it has answered. `run` is drawn at random at each start.
    pub(crate) fn new(
        (names, rules): (Vec<Named>, Rules),
        run: u64,
        keys: Keys,
        site: Arc<ArcSwap<Site>>,
        transports: Arc<OnceLock<Transports>>,
    ) -> Self {
        let me = Speaker {
            node: site.load().node,
            run,
        };
        let cluster = Self {
            me,
            names,
            rules,
            keys,
            site,
            transports,
            peers: ArcSwap::default(),
            questions: Questions::default(),
        };
        // What needs no looking up is known from the first moment.
        let addresses = cluster.names.iter().filter_map(|named| {
            let ip = named.host.parse().ok()?;
            Some((named, vec![SocketAddr::new(ip, named.port)]))
        });
        let peers = cluster.with(addresses);
        cluster.peers.store(Arc::new(peers));
        cluster
    }

    /// Asks the others whether they live, and looks names up, for ever.
    pub(crate) async fn run(&self, resolver: &Resolver) {
        if self.names.is_empty() {
            return;
        }
        tokio::join!(self.watch(), self.follow_names(resolver));
    }

    async fn watch(&self) {
        loop {
            let began = Instant::now();
            let peers = self.peers.load_full();
            join_all(peers.iter().map(|peer| async {
                let answer = self.ask(peer, Device::default()).await;
                self.note(peer, answer);
            }))
            .await;
            tokio::time::sleep(self.rules.interval.saturating_sub(began.elapsed())).await;
        }
    }

    fn note(&self, peer: &Peer, answer: Option<Answer>) {
        let known = self.peers.load();
        let others = known.iter().filter(|other| other.address != peer.address);
        let verdict = match answer {
            None => Verdict::Silent,
            Some(answer) => peer.judge(self.me, answer.from, others.map(|other| &**other)),
        };
        peer.note(verdict, self.me.node, self.rules.fall);
    }

    async fn ask(&self, peer: &Peer, device: Device) -> Option<Answer> {
        let hop = peer.hop();
        let site = self.site.load_full();
        let (listener, transports) = (site.leaving_by(&hop)?, self.transports.get()?);
        let asking = async {
            let reaching = transports.reach(listener.id, peer.transport, peer.address);
            let flow = reaching.await.ok()?;
            let question = Question {
                from: self.me,
                device,
            };
            self.questions
                .ask(transports, &flow, listener, (question, &self.keys))
                .await
        };
        tokio::time::timeout(self.rules.timeout, asking)
            .await
            .ok()?
    }

    /// Which other node has this device at a living flow; asked of all that live at once.
    pub(crate) async fn holder(&self, device: Device) -> Holder {
        let peers = self.peers.load_full();
        let mut asked: FuturesUnordered<_> = peers
            .iter()
            .filter(|peer| peer.is_alive())
            .map(|peer| self.ask(peer, device))
            .collect();
        while let Some(answer) = asked.next().await {
            if let Some(answer) = answer.filter(|answer| answer.has_device) {
                return Holder::Node(answer.from.node);
            }
        }
        Holder::Nobody
    }

    /// The node at which a device appears that none had; waits until one says so.
    pub(crate) async fn appears(&self, device: Device) -> Holder {
        if self.names.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            if let found @ Holder::Node(_) = self.holder(device).await {
                return found;
            }
        }
    }

    /// The answer to another node's question; `None` for what is no such question.
    pub(crate) fn answer(
        &self,
        flow: &Flow,
        request: &Message,
        has_device: impl Fn(Device) -> bool,
    ) -> Option<Bytes> {
        if !self.is_node(flow.peer.ip()) || !self.faces_the_core(flow) {
            return None;
        }
        let question = question::read(request, &self.keys)?;
        let answer = Answer {
            from: self.me,
            has_device: question.device != Device::default() && has_device(question.device),
        };
        Some(question::answer(request, flow, &answer, &self.keys))
    }

    /// Takes the answer to a question of ours; false if it is one to something else.
    pub(crate) fn take(&self, flow: &Flow, response: &Message) -> bool {
        !self.names.is_empty()
            && self.faces_the_core(flow)
            && self.questions.take(response, &self.keys)
    }

    fn faces_the_core(&self, flow: &Flow) -> bool {
        self.site.load().side_of(flow) == proxy::site::Side::Core
    }

    async fn follow_names(&self, resolver: &Resolver) {
        if self
            .names
            .iter()
            .all(|named| named.host.parse::<IpAddr>().is_ok())
        {
            return;
        }
        loop {
            let found = join_all(
                self.names
                    .iter()
                    .map(|named| async move { (named, named.addresses(resolver).await) }),
            )
            .await;
            let all_found = found.iter().all(|(_, addresses)| !addresses.is_empty());
            // While DNS is silent, who was known stays known.
            if all_found {
                self.peers.store(Arc::new(self.with(found)));
            }
            tokio::time::sleep(if all_found {
                LOOK_UP_EVERY
            } else {
                LOOK_UP_SOON
            })
            .await;
        }
    }

    /// The peers at these addresses: those that are known already, as they are.
    fn with<'n>(
        &self,
        found: impl IntoIterator<Item = (&'n Named, Vec<SocketAddr>)>,
    ) -> Vec<Arc<Peer>> {
        let before = self.peers.load();
        let mut peers: Vec<Arc<Peer>> = Vec::new();
        for (named, addresses) in found {
            // Several under one name are several nodes; one with a number is one.
            let most = if named.node.is_some() { 1 } else { NODES };
            for address in addresses.into_iter().take(most) {
                let same =
                    |peer: &&Arc<Peer>| peer.address == address && peer.configured == named.node;
                if peers.iter().any(|peer| peer.address == address) || peers.len() >= NODES {
                    continue;
                }
                peers.push(
                    before.iter().find(same).cloned().unwrap_or_else(|| {
                        Arc::new(Peer::new(named.node, address, named.transport))
                    }),
                );
            }
        }
        peers
    }

    /// All others, for metrics and people.
    pub(crate) fn states(&self) -> Vec<NodeState> {
        self.peers
            .load()
            .iter()
            .filter_map(|peer| peer.state())
            .collect()
    }
}

impl Nodes for Cluster {
    fn others(&self) -> bool {
        self.peers.load().iter().any(|peer| peer.is_alive())
    }

    fn living(&self, node: u16) -> Option<Hop> {
        let peers = self.peers.load();
        let peer = peers
            .iter()
            .find(|peer| peer.is_alive() && peer.node() == Some(node))?;
        Some(peer.hop())
    }

    fn is_node(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.peers.load().iter().any(|peer| peer.address.ip() == ip)
    }
}
