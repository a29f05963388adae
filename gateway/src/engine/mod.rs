//! Carries decisions out: takes what the transports receive, asks [`proxy::decide`], answers its questions, sends.
//!
//! What needs no waiting is done on the thread that received it. What must wait becomes a task that holds its call's later
//! messages behind it ([`waiting`]).
//!
//! - [`request`] and [`response`]: the way of each; [`question`]: what a decision has to know;
//! - [`transaction`], [`table`], [`drive`]: what is kept of a request while it is pending, and what its machines ask for;
//! - [`failover`]: the next member of a group, where one is silent;
//! - [`call`]: what is told to the table of calls; [`watch`]: calls that are looked at, and ended if nobody else does;
//! - [`session`]: offers and answers on their way through RTPEngine; [`refused`]: what a refused offer changed there;
//! - [`record`]: what is told to the records of calls that are over;
//! - [`index`]: where devices are now; [`keepalive`]: whether they are still there.

mod call;
mod drive;
mod failover;
mod index;
mod keepalive;
mod question;
mod record;
mod refused;
mod register;
mod request;
mod response;
mod session;
mod table;
mod timers;
mod transaction;
mod waiting;
mod watch;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard as Loaded};
use bytes::Bytes;
use proxy::flow::ListenerId;
use proxy::site::Side;
use proxy::token::Sealer;
use proxy::{Context, Flow, Hop, Reason, Site};
use sip::transaction::Timers;
use sip::{Limits, Message};
use tokio::sync::Semaphore;

use crate::call_out::{CallOutState, CallOuts};
use crate::calls::{Calls, WatchState};
use crate::cluster::{self, Cluster, NodeState};
use crate::dns::Resolver;
use crate::guard::{Complaint, Guard};
use crate::keepalive::Keepalive;
use crate::ladder::{Kind, Ring};
use crate::media::{self, Sessions};
use crate::record::Records;
use crate::registrar::Registrar;
use crate::telemetry::Counters;
use crate::transport::{CloseReason, Handler, SendError, Ticket, Transports};
use crate::upstream::{MemberState, Rules, Source, Upstream};

pub(crate) use index::DeviceIndex;
pub(crate) use question::{binding, bindings, sender};
pub(crate) use session::ending_of;

use table::Table;
use timers::TimerQueue;
use waiting::{Queued, Waiting};

/// Look-ups of names at once: each may wait as long as a name server is silent.
const LOOKUPS: usize = 64;

/// What an engine is made of.
pub struct Parts {
    /// What this node is.
    pub site: Site,
    /// How each group of the site is probed, and what the members of all are made from.
    pub groups: (Vec<Rules>, Vec<Source>),
    /// Where names are asked for.
    pub resolver: Resolver,
    /// Who is asked where requests go.
    pub call_outs: CallOuts,
    /// The other nodes of the cluster, and how they are watched.
    pub nodes: (Vec<cluster::Named>, cluster::Rules),
    /// Drawn at start: tells this run of the node from another one that has its number.
    pub run: u64,
    /// Signs tokens.
    pub sealer: Sealer,
    /// The registrar, in a node that has this role.
    pub registrar: Option<Arc<Registrar>>,
    /// The RTPEngines, if there are any.
    pub media: Option<Arc<Sessions>>,
    /// Limits of a message.
    pub limits: Limits,
    /// The times of RFC 3261 §17.
    pub timers: Timers,
    /// How devices are pinged, in the order of the listeners.
    pub keepalive: Vec<Option<crate::keepalive::Rules>>,
    /// How long an in-dialog request waits for a device that is not there (SIGNALLING §5).
    pub device_wait: Duration,
    /// Who is admitted.
    pub guard: Guard,
    /// Where what passes is kept, if anywhere.
    pub ring: Option<Arc<Ring>>,
    /// Who has to be counted.
    pub calls: crate::calls::Settings,
    /// What is kept of calls that are over.
    pub records: Arc<Records>,
    /// Messages of one call that may wait for their turn.
    pub waiting_per_call: usize,
    /// Random keys of the transaction table.
    pub table_keys: (u64, u64),
}

/// The heart of a node.
pub struct Engine {
    me: Weak<Engine>,
    site: Arc<ArcSwap<Site>>,
    upstream: Arc<Upstream>,
    cluster: Cluster,
    call_outs: CallOuts,
    sealer: Sealer,
    registrar: Option<Arc<Registrar>>,
    media: Option<Arc<Sessions>>,
    limits: Limits,
    times: Timers,
    device_wait: Duration,
    guard: Guard,
    ring: Option<Arc<Ring>>,
    started: Instant,
    transports: Arc<OnceLock<Transports>>,
    index: DeviceIndex,
    keepalive: Keepalive,
    table: Table,
    waiting: Waiting,
    calls: Calls,
    records: Arc<Records>,
    timers: TimerQueue,
    serial: AtomicU32,
    /// Names that are looked up at once. Devices name them, in requests of calls that they are in.
    lookups: Semaphore,
    /// RTPEngine refused, which any SDP can bring about.
    no_media: Complaint,
    /// What happened, by kind.
    pub counters: Counters,
}

/// What is left to do for a message.
pub(crate) enum Outcome {
    /// Nothing.
    Done,
    /// This, which has to wait.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl Outcome {
    pub(crate) fn wait(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Wait(Box::pin(future))
    }
}

impl Engine {
    /// An engine without transports yet; see [`attach`](Self::attach).
    pub fn new(parts: Parts) -> Arc<Self> {
        let transports = Arc::new(OnceLock::new());
        let index = DeviceIndex::new(transports.clone(), &parts.site.listeners);
        let site = Arc::new(ArcSwap::from_pointee(parts.site));
        let calls = Calls::new(parts.calls, parts.table_keys);
        let upstream = Arc::new(Upstream::new(
            site.clone(),
            transports.clone(),
            parts.groups,
            parts.resolver,
            calls.counts().clone(),
        ));
        let cluster = Cluster::new(
            parts.nodes,
            parts.run,
            parts.sealer.keys().clone(),
            site.clone(),
            transports.clone(),
        );
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            index,
            keepalive: Keepalive::new(parts.keepalive),
            transports,
            site,
            upstream,
            cluster,
            sealer: parts.sealer,
            registrar: parts.registrar,
            call_outs: parts.call_outs,
            media: parts.media,
            limits: parts.limits,
            times: parts.timers,
            device_wait: parts.device_wait,
            guard: parts.guard,
            ring: parts.ring,
            started: Instant::now(),
            table: Table::new(parts.table_keys),
            waiting: Waiting::new(parts.waiting_per_call),
            calls,
            records: parts.records,
            timers: TimerQueue::default(),
            serial: AtomicU32::new(0),
            lookups: Semaphore::new(LOOKUPS),
            no_media: Complaint::default(),
            counters: Counters::default(),
        })
    }

    /// Gives the engine the transports that were started with it as their handler; what arrives before is dropped.
    pub fn attach(&self, transports: Transports) {
        let _ = self.transports.set(transports);
    }

    /// Fires timers, sweeps tables and watches the groups, for ever.
    pub async fn run(self: Arc<Self>) {
        let sweeping = async {
            let mut every = tokio::time::interval(Duration::from_secs(30));
            loop {
                every.tick().await;
                self.calls.sweep(self.started.elapsed());
                self.doubt_calls().await;
                for flow in self.index.sweep(Instant::now()) {
                    self.forget_bindings(&flow);
                }
            }
        };
        let giving_up = async {
            let mut every = tokio::time::interval(Duration::from_secs(2));
            loop {
                every.tick().await;
                self.records.sweep(self.records.now());
            }
        };
        let watching = self.upstream.run(|place| self.member_died(place));
        tokio::join!(
            self.timers.run(|armed| self.fire(armed)),
            sweeping,
            giving_up,
            self.records.run(|place| self.member_name(place)),
            watching,
            self.cluster.run(self.upstream.resolver()),
            self.keep_alive(),
            self.watch_calls()
        );
    }

    /// Forgets what was registered by a connection that is gone and whose device did not come back: its Path is always the
    /// same text, so it is made again and looked for.
    fn forget_bindings(&self, flow: &Flow) {
        let Some(registrar) = &self.registrar else {
            return;
        };
        let view = self.view();
        let context = view.context();
        for path in [false, true]
            .iter()
            .filter_map(|ob| proxy::path::of(flow, *ob, &context))
        {
            registrar.remove_flow(path.as_bytes());
        }
    }

    /// How many transactions are pending.
    pub fn transactions(&self) -> usize {
        self.table.len()
    }

    /// Drains a member of a group, or lets it serve again; by its URI or host as configured, or by `host:port` or address one
    /// of the servers behind that. Whom it concerned; nobody if there is none of that name.
    pub fn drain(&self, group: &str, member: &str, drain: bool) -> Vec<String> {
        self.upstream.drain(group, member, drain)
    }

    /// The RTPEngines, and how they are.
    pub fn media_nodes(&self) -> Vec<media::NodeState> {
        self.media
            .as_ref()
            .map_or_else(Vec::new, |sessions| sessions.states())
    }

    /// Drains an RTPEngine, by its host and port as configured or its address, or lets it serve again. False if there is none.
    pub fn drain_media(&self, node: &str, drain: bool) -> bool {
        let sessions = self.media.as_ref();
        sessions.is_some_and(|sessions| sessions.drain(node, drain))
    }

    /// What is counted of calls that are watched.
    pub fn watch_state(&self) -> WatchState {
        self.calls.watch_state()
    }

    /// What is counted of each call-out.
    pub fn call_outs(&self) -> Vec<CallOutState> {
        self.call_outs.states()
    }

    /// The members of all groups, and whether they live.
    pub fn members(&self) -> Vec<MemberState> {
        self.upstream.states()
    }

    /// The other nodes of the cluster, and whether they live.
    pub fn nodes(&self) -> Vec<NodeState> {
        self.cluster.states()
    }

    /// How many devices' flows are known.
    pub fn devices(&self) -> usize {
        self.index.len()
    }

    /// Tells a timer from an earlier one of the same name.
    fn next_serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// How many bindings the registrar holds.
    pub fn bindings(&self) -> usize {
        self.registrar
            .as_ref()
            .map_or(0, |registrar| registrar.len())
    }

    /// What this node is at the moment: members' addresses change.
    fn site(&self) -> Loaded<Arc<Site>> {
        self.site.load()
    }

    fn view(&self) -> View<'_> {
        View {
            engine: self,
            site: self.site(),
        }
    }

    /// Takes one message, whose turn it is.
    fn process(&self, flow: &Flow, message: Message) -> Outcome {
        if message.is_request() {
            self.request(flow, message)
        } else {
            self.response(flow, &message)
        }
    }

    /// Carries a message's waiting part out, and then what queued behind it.
    fn spawn(&self, key: waiting::Key, first: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let Some(me) = self.me.upgrade() else { return };
        let holds = self.waiting.begin(key);
        tokio::spawn(async move {
            first.await;
            while let Some((flow, message)) = holds.then(|| me.waiting.next(key)).flatten() {
                if let Outcome::Wait(next) = me.process(&flow, message) {
                    next.await;
                }
            }
        });
    }

    /// Sends to a device or a server. A stream that is not open yet is opened by a task.
    fn send_to(&self, hop: &Hop, bytes: Bytes) -> Result<(), SendError> {
        let Some(transports) = self.transports.get() else {
            return Err(SendError::Gone);
        };
        match self.flow_to(hop) {
            Some(flow) => transports.send(&flow, bytes),
            None => {
                let (Some(me), hop) = (self.me.upgrade(), hop.clone()) else {
                    return Err(SendError::Gone);
                };
                tokio::spawn(async move {
                    if let Some(flow) = me.open(&hop).await {
                        let _ = me.send(&flow, bytes);
                    }
                });
                Ok(())
            }
        }
    }

    fn send(&self, flow: &Flow, bytes: Bytes) -> Result<(), SendError> {
        match self.transports.get() {
            Some(transports) if !bytes.is_empty() => transports.send(flow, bytes),
            Some(_) => Ok(()),
            None => Err(SendError::Gone),
        }
    }

    /// The flow to a hop, if it needs no opening.
    fn flow_to(&self, hop: &Hop) -> Option<Flow> {
        let transports = self.transports.get()?;
        match hop {
            Hop::Flow(flow) => Some(*flow),
            Hop::Server { transport, address } if transport.is_stream() => {
                transports.connected(*transport, *address)
            }
            Hop::Server { address, .. } => {
                let listener = self.site().leaving_by(hop)?.id;
                transports.local_flow(listener, *address)
            }
        }
    }

    /// The flow to a hop, opened if need be.
    async fn open(&self, hop: &Hop) -> Option<Flow> {
        if let Some(flow) = self.flow_to(hop) {
            return Some(flow);
        }
        let Hop::Server { transport, address } = hop else {
            return None;
        };
        let listener = self.site().leaving_by(hop)?.id;
        let transports = self.transports.get()?;
        transports.reach(listener, *transport, *address).await.ok()
    }

    /// What passed lately, if it is kept.
    pub fn ring(&self) -> Option<&Arc<Ring>> {
        self.ring.as_ref()
    }

    /// Who is at the other end of a flow.
    pub fn side_of(&self, flow: &Flow) -> Side {
        self.site().side_of(flow)
    }

    /// Whom the guard refused, and why.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Answers without a transaction.
    fn answer(&self, flow: &Flow, request: &Message, reason: &Reason) {
        self.counters.count(reason);
        let _ = self.send(flow, proxy::reply::answer(request, flow.peer, reason));
    }
}

impl Handler for Engine {
    fn message(&self, flow: &Flow, bytes: Bytes) {
        // A datagram was admitted before it came here, a connection when it was opened: what it brings counts, too.
        let admitted = flow.connection.is_none() || self.admit(flow.listener, flow.peer.ip());
        if !admitted {
            return;
        }
        if let Some(ring) = &self.ring {
            ring.message(Kind::In, flow, &bytes);
        }
        let message = match Message::parse(bytes, &self.limits) {
            Ok(message) => message,
            Err(error) => {
                self.counters.unreadable();
                tracing::debug!(?error, ?flow, "not a SIP message");
                return;
            }
        };
        // What belongs to a transaction that exists needs no turn: a CANCEL or a retransmission may not wait for what it
        // is about.
        let at_once = message.is_request()
            && matches!(message.method(), sip::Method::Cancel | sip::Method::Invite)
            && self.table.of(&message).is_some();
        let message = if at_once {
            message
        } else {
            match self
                .waiting
                .queue(|message| self.table.call_key(message, flow), flow, message)
            {
                Queued::Free(message) => message,
                Queued::Behind => return,
                Queued::Full(message) => {
                    if message.is_request() && message.method() != sip::Method::Ack {
                        self.answer(flow, &message, &Reason::Overloaded);
                    }
                    return;
                }
            }
        };
        // A clone is a counter; the key is made for the few that wait.
        let waiting = message.clone();
        if let Outcome::Wait(rest) = self.process(flow, message) {
            self.spawn(self.table.call_key(&waiting, flow), rest);
        }
    }

    fn admit(&self, listener: ListenerId, peer: IpAddr) -> bool {
        self.guard
            .message(listener, peer, self.started.elapsed())
            .is_ok()
    }

    fn admit_connection(&self, listener: ListenerId, peer: IpAddr) -> Option<Ticket> {
        let place = self
            .guard
            .connection(listener, peer, self.started.elapsed())
            .ok()?;
        Some(Ticket(place.map(|place| Box::new(place) as _)))
    }

    fn sending(&self, flow: &Flow, message: &[u8]) {
        if let Some(ring) = &self.ring {
            ring.message(Kind::Out, flow, message);
        }
    }

    fn unsent(&self, flow: &Flow, message: &[u8], _why: SendError) {
        if let Some(ring) = &self.ring {
            ring.message(Kind::Unsent, flow, message);
        }
    }

    fn closed(&self, flow: &Flow, _why: &CloseReason) {
        self.index.closed(flow);
        self.flow_failed(flow);
    }
}

/// What one decision sees: it does not change under its eyes.
struct View<'e> {
    engine: &'e Engine,
    site: Loaded<Arc<Site>>,
}

impl View<'_> {
    fn context(&self) -> Context<'_> {
        Context {
            now_unix: now().as_secs(),
            site: &self.site,
            sealer: &self.engine.sealer,
            flows: &self.engine.index,
            alive: &*self.engine.upstream,
            nodes: &self.engine.cluster,
        }
    }
}

/// Time since 1970.
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
