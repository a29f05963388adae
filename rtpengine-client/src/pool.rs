//! Several nodes: who is up, who takes a call, who was restarted.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::client::{Client, ClientConfig};
use crate::command::{Ping, Request, Statistics};
use crate::error::Error;
use crate::generation::{Generation, Sighting, Started};
use crate::health::{Health, State};
use crate::reason::Reason;
use crate::rendezvous;

/// A node's number, to be carried in messages: the same for all clients of the same nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// A node of a pool.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its number, unique in the pool.
    pub id: NodeId,
    /// What the choice is made by. Clients that are to choose alike must use the same names; a node that keeps its name
    /// keeps its calls, whatever its address becomes.
    pub name: String,
    /// Its share of the calls, relative to the others. With 0 it gets none.
    pub weight: u32,
    /// Its address and how it is talked to.
    pub client: ClientConfig,
}

impl NodeConfig {
    /// A node named after its address, with weight 1.
    pub fn new(id: NodeId, address: SocketAddr) -> Self {
        NodeConfig {
            id,
            name: address.to_string(),
            weight: 1,
            client: ClientConfig::new(address),
        }
    }
}

/// How a pool behaves.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The nodes.
    pub nodes: Vec<NodeConfig>,
    /// The time between two probes of a node. The default is 1 s.
    pub probe_interval: Duration,
    /// When a probe counts as lost; retransmissions are inside. The default is 1 s.
    pub probe_timeout: Duration,
    /// How many probes in a row must be answered to bring a node up. The default is 2.
    pub rise: u32,
    /// How many must be lost to take it down. The default is 3.
    pub fall: u32,
    /// Every how many probes the uptime is asked for (`statistics`, an answer of 8 kB) rather than only a `ping`. It is
    /// asked for, too, after each lost probe and after each request that failed as after a restart. The default is 10.
    pub uptime_every: u32,
}

impl PoolConfig {
    /// The defaults, with nodes numbered in this order.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let nodes = (0..)
            .zip(addresses)
            .map(|(id, address)| NodeConfig::new(NodeId(id), address))
            .collect();
        PoolConfig {
            nodes,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            uptime_every: 10,
        }
    }
}

impl PoolConfig {
    /// The node that a [`Pool`] of this configuration chooses for a call while all of them live.
    pub fn choose(&self, call_id: &[u8]) -> Option<&NodeConfig> {
        let score = |node: &NodeConfig| rendezvous::score(&node.name, node.weight, call_id);
        let nodes = self.nodes.iter().filter(|node| node.weight > 0);
        nodes.max_by(|a, b| score(a).total_cmp(&score(b)))
    }
}

/// What the probes found out.
#[derive(Debug)]
struct Seen {
    health: Health,
    started: Option<Started>,
}

/// One node: its client and what is known of it.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    name: String,
    weight: u32,
    client: Client,
    seen: Mutex<Seen>,
    drained: AtomicBool,
    /// The last request had no answer.
    silent: AtomicBool,
    restarts: AtomicU64,
    suspicion: Notify,
}

impl Node {
    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its client. Requests made here do not tell the pool how they went; [`Node::request`] does.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it is up.
    pub fn state(&self) -> State {
        self.seen().health.state()
    }

    /// Whether new calls may go to it: not down, not drained, and of some weight.
    pub fn takes_calls(&self) -> bool {
        self.weight > 0 && !self.is_drained() && self.state() != State::Down
    }

    /// Its generation; `None` while it has not said how long it has run.
    pub fn generation(&self) -> Option<Generation> {
        self.seen().started.map(|started| started.generation())
    }

    /// Whether it is, as far as can be known, the process that was called `generation`, by this client or another one
    /// whose clock differs by up to half a second. One stranger in eight passes; a node whose start is not known passes.
    pub fn is_generation(&self, generation: Generation) -> bool {
        self.seen()
            .started
            .is_none_or(|started| started.may_be(generation))
    }

    /// How often a restart was seen.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    /// With `true`, no new calls go to it; those it has stay.
    pub fn set_drained(&self, drained: bool) {
        self.drained.store(drained, Relaxed);
    }

    /// Whether no new calls go to it.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Relaxed)
    }

    /// Whether the last request had no answer. The probes have yet to say what that means; until then new calls go to another
    /// node, where there is one, or each of them would wait for this one.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Relaxed)
    }

    /// [`Client::request_within`]; when it fails as with a dead or restarted node, the node is probed at once.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Answer, Error> {
        let result = self.client.request_within(request, timeout).await;
        match result {
            Ok(_) | Err(Error::Rejected { .. }) => self.silent.store(false, Relaxed),
            Err(Error::Timeout { .. } | Error::Refused) => self.silent.store(true, Relaxed),
            Err(_) => {}
        }
        if let Err(
            Error::Timeout { .. }
            | Error::Refused
            | Error::Rejected {
                reason: Reason::UnknownCall,
                ..
            },
        ) = result
        {
            self.suspicion.notify_one();
        }
        result
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // What is inside is whole between two statements.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One probe. The uptime is a large answer: if it is lost, a ping decides about the health. True: something changed.
    async fn probe(&self, uptime: bool, timeout: Duration) -> Probed {
        let asked = SystemTime::now();
        let mut sighting = None;
        let mut answered = false;
        if uptime && let Ok(statistics) = self.client.probe(&Statistics, timeout).await {
            answered = true;
            let uptime = statistics.total.uptime();
            sighting = Some(Sighting {
                asked,
                answered: SystemTime::now(),
                now: Instant::now(),
                uptime,
            });
        }
        if !answered {
            answered = self.client.probe(&Ping, timeout).await.is_ok();
        }
        if answered {
            self.silent.store(false, Relaxed);
        }

        let mut seen = self.seen();
        let turned = seen.health.probed(answered);
        let restarted = match (&mut seen.started, sighting) {
            (Some(started), Some(sighting)) => started.see(sighting),
            (none, Some(sighting)) => {
                *none = Some(Started::first(sighting));
                false
            }
            (_, None) => false,
        };
        if restarted {
            self.restarts.fetch_add(1, Relaxed);
        }
        Probed {
            answered,
            turned: turned.then(|| seen.health.state()),
            restarted,
        }
    }
}

/// What a probe found.
struct Probed {
    answered: bool,
    turned: Option<State>,
    restarted: bool,
}

/// Several nodes, probed in the background for as long as the pool lives.
#[derive(Debug)]
pub struct Pool {
    nodes: Vec<Arc<Node>>,
    probers: Vec<JoinHandle<()>>,
    probes: watch::Sender<u64>,
}

impl Pool {
    /// Opens the sockets and starts to probe, on the current runtime. Nodes count as up until the first probe.
    ///
    /// # Errors
    /// When a socket cannot be had, or two nodes have the same number.
    pub async fn start(config: PoolConfig) -> io::Result<Pool> {
        let (probes, _) = watch::channel(0);
        let mut pool = Pool {
            nodes: Vec::new(),
            probers: Vec::new(),
            probes,
        };
        let mut numbers = BTreeSet::new();
        for node in &config.nodes {
            if !numbers.insert(node.id) {
                let why = format!("two nodes have the number {}", node.id.0);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            let node = Arc::new(Node {
                id: node.id,
                name: node.name.clone(),
                weight: node.weight,
                client: Client::connect(node.client.clone()).await?,
                seen: Mutex::new(Seen {
                    health: Health::new(config.rise, config.fall),
                    started: None,
                }),
                drained: AtomicBool::new(false),
                silent: AtomicBool::new(false),
                restarts: AtomicU64::new(0),
                suspicion: Notify::new(),
            });
            pool.probers.push(tokio::spawn(keep_probing(
                node.clone(),
                config.clone(),
                pool.probes.clone(),
            )));
            pool.nodes.push(node);
        }
        Ok(pool)
    }

    /// All nodes, in the order of the configuration.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node with this number.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The node for a call: the rendezvous choice among those that take calls.
    pub fn choose(&self, call_id: &[u8]) -> Option<NodeId> {
        self.choose_except(call_id, &[])
    }

    /// The next choice, when those in `tried` have failed. One that is [silent](Node::is_silent) is the last resort.
    pub fn choose_except(&self, call_id: &[u8], tried: &[NodeId]) -> Option<NodeId> {
        let takers = || {
            let nodes = self.nodes.iter();
            nodes.filter(|node| !tried.contains(&node.id) && node.takes_calls())
        };
        let best = |a: &&Arc<Node>, b: &&Arc<Node>| {
            node_score(a, call_id).total_cmp(&node_score(b, call_id))
        };
        let heard = takers().filter(|node| !node.is_silent()).max_by(best);
        heard.or_else(|| takers().max_by(best)).map(|node| node.id)
    }

    /// The node of a call that is there already: `id`, if it is not down and is still that `generation`. Otherwise the
    /// call is lost there, and [`Pool::choose`] says who takes it now.
    pub fn alive(&self, id: NodeId, generation: Option<Generation>) -> Option<&Arc<Node>> {
        self.node(id).filter(|node| {
            node.state() != State::Down
                && generation.is_none_or(|generation| node.is_generation(generation))
        })
    }

    /// Makes a request of the call's node; when that fails as another node would not, of the next choice, until all
    /// have been asked. Each has `timeout`. Says who answered.
    ///
    /// # Errors
    /// The last node's error, or [`Error::NoNode`] if none takes calls.
    pub async fn request<R: Request>(
        &self,
        call_id: &[u8],
        request: &R,
        timeout: Duration,
    ) -> Result<(NodeId, R::Answer), Error> {
        let mut tried = Vec::new();
        let mut last = Error::NoNode;
        while let Some(id) = self.choose_except(call_id, &tried) {
            let Some(node) = self.node(id) else { break };
            match node.request(request, timeout).await {
                Ok(answer) => return Ok((id, answer)),
                Err(why) if why.try_another_node() => {
                    tracing::debug!(node = node.name(), %why, "the next node is asked");
                    last = why;
                }
                Err(why) => return Err(why),
            }
            tried.push(id);
        }
        Err(last)
    }

    /// Counts probes of all nodes. A receiver wakes after each, to look at what it waits for.
    pub fn probes(&self) -> watch::Receiver<u64> {
        self.probes.subscribe()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for prober in &self.probers {
            prober.abort();
        }
    }
}

fn node_score(node: &Node, call_id: &[u8]) -> f64 {
    rendezvous::score(&node.name, node.weight, call_id)
}

/// Probes one node for as long as the pool lives.
async fn keep_probing(node: Arc<Node>, config: PoolConfig, probes: watch::Sender<u64>) {
    let uptime_every = config.uptime_every.max(1);
    // Suspicions come with traffic; the node gets at most this many more probes by them.
    let shortest = config.probe_interval / 5;
    let mut until_uptime = 0;
    loop {
        let probed = node.probe(until_uptime == 0, config.probe_timeout).await;
        until_uptime = match probed.answered {
            true if until_uptime == 0 => uptime_every - 1,
            true => until_uptime - 1,
            // It may be another process by the time it answers.
            false => 0,
        };
        report(&node, &probed);
        probes.send_modify(|count| *count = count.wrapping_add(1));

        tokio::time::sleep(shortest).await;
        if tokio::time::timeout(config.probe_interval - shortest, node.suspicion.notified())
            .await
            .is_ok()
        {
            until_uptime = 0;
        }
    }
}

/// What an operator may act on.
fn report(node: &Node, probed: &Probed) {
    match probed.turned {
        Some(State::Down) => {
            tracing::warn!(
                node = node.name(),
                "RTPEngine does not answer; until it does, no new call goes to it"
            );
        }
        Some(_) => tracing::info!(node = node.name(), "RTPEngine answers"),
        None => {}
    }
    if probed.restarted {
        tracing::warn!(
            node = node.name(),
            "RTPEngine was restarted; its calls are lost"
        );
    }
}
