//! Groups of servers: who of them lives, and where they are.
//!
//! - [`health`]: what signs of life and death come to (pure);
//! - [`probe`]: the OPTIONS that asks for one;
//! - [`names`]: where members' names lead, and which members are being drained;
//! - [`slots`]: which servers a member's name leads to (pure).

mod health;
mod names;
mod probe;
mod slots;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use proxy::group::{Member, Standing};
use proxy::{Alive, Hop, Site};
use sip::Message;
use tokio::sync::{Notify, mpsc};

use crate::calls::Counts;
use crate::dns::Resolver;
use crate::transport::Transports;

pub use health::Rules;
pub(crate) use names::look_up;
pub use slots::Source;

use health::{Change, Health, Sign};
use names::Named;
use probe::Probes;

/// A doubt brings the next probe forward, but no closer than this to the one before: devices can make requests fail.
const APART: Duration = Duration::from_millis(100);
/// Which member of which group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The group's index.
    pub(crate) group: usize,
    /// The member's index in it.
    pub(crate) member: usize,
}

/// The groups of a node.
pub(crate) struct Upstream {
    site: Arc<ArcSwap<Site>>,
    transports: Arc<OnceLock<Transports>>,
    rules: Vec<Rules>,
    names: Vec<Named>,
    resolver: Resolver,
    counts: Arc<Counts>,
    members: Vec<Vec<Watched>>,
    /// Whose turn it is in each group.
    turns: Vec<AtomicU32>,
    probes: Probes,
    started: Instant,
    fell: mpsc::UnboundedSender<Place>,
    /// Taken by [`run`](Self::run).
    falls: tokio::sync::Mutex<mpsc::UnboundedReceiver<Place>>,
}

/// A server that is watched.
#[derive(Default)]
struct Watched {
    health: Mutex<Health>,
    /// What decisions read, without a lock.
    dead: AtomicBool,
    /// Milliseconds since the start.
    busy_until: AtomicU64,
    doubt: Notify,
    /// Since when its name does not lead to it any more.
    gone: Mutex<Option<Instant>>,
    deaths: AtomicU64,
    passed_over: AtomicU64,
}

/// What is shown of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberState {
    /// The group's name.
    pub group: String,
    /// `host:port`, where the host is as configured or what DNS made of it.
    pub member: String,
    /// The address in use, if there is one.
    pub address: Option<SocketAddr>,
    /// `alive`, `dead`, `busy` or `unresolved`.
    pub state: &'static str,
    /// `serves`, `drained` or `gone`: whether it is given anything new.
    pub standing: &'static str,
    /// Calls that ring or are up, as far as this node knows.
    pub calls: u32,
    /// How often it died.
    pub deaths: u64,
    /// Requests that another one was asked to answer in its place.
    pub passed_over: u64,
}

impl Upstream {
    /// Everybody counts as alive until asked; `rules` are those of the site's groups, `sources` what their members are made
    /// from.
    pub(crate) fn new(
        site: Arc<ArcSwap<Site>>,
        transports: Arc<OnceLock<Transports>>,
        (rules, sources): (Vec<Rules>, Vec<Source>),
        resolver: Resolver,
        counts: Arc<Counts>,
    ) -> Self {
        let watched =
            |group: &proxy::site::Group| group.members.iter().map(|_| Watched::default()).collect();
        let members = site.load().groups.iter().map(watched).collect();
        let (fell, falls) = mpsc::unbounded_channel();
        let falls = tokio::sync::Mutex::new(falls);
        Self {
            site,
            transports,
            turns: rules.iter().map(|_| AtomicU32::new(0)).collect(),
            rules,
            names: sources.into_iter().map(Named::from).collect(),
            resolver,
            counts,
            members,
            probes: Probes::default(),
            started: Instant::now(),
            fell,
            falls,
        }
    }

    /// Probes and looks names up, for ever; says who died.
    pub(crate) async fn run(&self, mut died: impl FnMut(Place)) {
        let places = (0..).zip(&self.members).flat_map(|(group, members)| {
            (0..members.len()).map(move |member| Place { group, member })
        });
        let watching = join_all(places.map(|place| self.watch(place)));
        let telling = async {
            let mut falls = self.falls.lock().await;
            while let Some(place) = falls.recv().await {
                died(place);
            }
        };
        let names = self.names.iter().filter(|name| name.source.is_name());
        let following = join_all(names.map(|name| self.follow(name)));
        tokio::join!(watching, following, telling);
    }

    async fn watch(&self, place: Place) {
        let (Some(watched), Some(rules)) = (self.watched(place), self.rules.get(place.group))
        else {
            return;
        };
        loop {
            if self.address(place).is_none() {
                watched.doubt.notified().await;
                continue;
            }
            let began = Instant::now();
            let sign = self.probe(place, rules).await;
            self.note(place, sign);
            let doubtful = watched.lock().is_doubtful();
            if doubtful {
                tokio::time::sleep(APART).await;
                continue;
            }
            let rest = rules.interval.saturating_sub(began.elapsed()).max(APART);
            tokio::time::sleep(APART).await;
            tokio::select! {
                () = tokio::time::sleep(rest - APART) => {}
                () = watched.doubt.notified() => {}
            }
        }
    }

    async fn probe(&self, place: Place, rules: &Rules) -> Sign {
        let site = self.site.load_full();
        let member = site
            .groups
            .get(place.group)
            .and_then(|group| group.members.get(place.member));
        let (Some(member), Some(transports)) = (member, self.transports.get()) else {
            return Sign::NoAnswer;
        };
        let Some(address) = member.address else {
            return Sign::NoAnswer;
        };
        let hop = Hop::Server {
            transport: member.transport,
            address,
        };
        let Some(listener) = site.leaving_by(&hop) else {
            return Sign::NoAnswer;
        };
        let reaching = transports.reach(listener.id, member.transport, address);
        let flow = match tokio::time::timeout(rules.timeout, reaching).await {
            Ok(Ok(flow)) => flow,
            Ok(Err(_)) => return Sign::Refused,
            Err(_) => return Sign::NoAnswer,
        };
        self.probes
            .ask(transports, &flow, (listener, member), rules.timeout)
            .await
    }

    /// Takes the answer to a probe; false if it is one to something else.
    pub(crate) fn take(&self, response: &Message) -> bool {
        !self.members.is_empty() && self.probes.take(response)
    }

    /// A request to a member got no answer in time.
    pub(crate) fn was_silent(&self, place: Place) {
        self.note(place, Sign::Silence);
        self.doubt(place);
    }

    /// A request could not be sent to a member, or its connection broke.
    pub(crate) fn was_refused(&self, place: Place) {
        self.note(place, Sign::Refused);
        self.doubt(place);
    }

    /// The next member was asked in its place.
    pub(crate) fn passed_over(&self, place: Place) {
        if let Some(watched) = self.watched(place) {
            watched.passed_over.fetch_add(1, Relaxed);
        }
    }

    /// Something makes one wonder: the next probe is sent now.
    pub(crate) fn doubt(&self, place: Place) {
        if let Some(watched) = self.watched(place) {
            watched.doubt.notify_one();
        }
    }

    /// Somebody at this address answered 503 and asks to be left alone.
    pub(crate) fn was_busy(&self, address: SocketAddr, retry_after: Duration) {
        let site = self.site.load();
        for (group, members) in site.groups.iter().enumerate() {
            for (member, _) in members
                .members
                .iter()
                .enumerate()
                .filter(|(_, m)| m.address == Some(address))
            {
                self.note(
                    Place { group, member },
                    Sign::Busy {
                        now: self.started.elapsed(),
                        retry_after,
                    },
                );
            }
        }
    }

    fn note(&self, place: Place, sign: Sign) {
        let (Some(watched), Some(rules)) = (self.watched(place), self.rules.get(place.group))
        else {
            return;
        };
        let mut health = watched.lock();
        let change = health.note(sign, rules);
        watched.dead.store(!health.is_alive(), Relaxed);
        let busy = health.busy_until().as_millis();
        watched
            .busy_until
            .store(u64::try_from(busy).unwrap_or(u64::MAX), Relaxed);
        drop(health);
        match change {
            Some(Change::Fell) => {
                watched.deaths.fetch_add(1, Relaxed);
                tracing::warn!(member = self.name(place), "a member of a group is dead");
                // Nobody listens when the node stops.
                let _ = self.fell.send(place);
            }
            Some(Change::Rose) => {
                tracing::info!(member = self.name(place), "a member of a group lives again")
            }
            None => {}
        }
    }

    fn watched(&self, place: Place) -> Option<&Watched> {
        self.members.get(place.group)?.get(place.member)
    }

    fn name(&self, place: Place) -> String {
        let site = self.site.load();
        let text = member_at(&site, place).map(|member| format!("{}:{}", member.host, member.port));
        let group = site.groups.get(place.group);
        format!(
            "{} of {}",
            text.unwrap_or_default(),
            group.map_or("", |group| &group.name)
        )
    }

    /// All members, for metrics and people.
    pub(crate) fn states(&self) -> Vec<MemberState> {
        let site = self.site.load();
        let mut states = Vec::new();
        for (index, group) in site.groups.iter().enumerate() {
            let known = group.members.iter().enumerate();
            for (at, member) in known.filter(|(_, member)| !member.is_vacant()) {
                let Some(watched) = self.watched(Place {
                    group: index,
                    member: at,
                }) else {
                    continue;
                };
                let state = match member.address {
                    None => "unresolved",
                    Some(_) if watched.dead.load(Relaxed) => "dead",
                    Some(_) if !self.is_alive(index, at) => "busy",
                    Some(_) => "alive",
                };
                states.push(MemberState {
                    group: group.name.clone(),
                    member: format!("{}:{}", member.host, member.port),
                    address: member.address,
                    state,
                    standing: match member.standing {
                        Standing::Serves => "serves",
                        Standing::Drained => "drained",
                        Standing::Gone => "gone",
                    },
                    calls: self.counts.of_member(index, at),
                    deaths: watched.deaths.load(Relaxed),
                    passed_over: watched.passed_over.load(Relaxed),
                });
            }
        }
        states
    }
}

impl Watched {
    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else is here now, of whom nothing is known.
    fn renew(&self) {
        *self.lock() = Health::default();
        self.dead.store(false, Relaxed);
        self.busy_until.store(0, Relaxed);
    }
}

fn member_at(site: &Site, place: Place) -> Option<&Member> {
    site.groups.get(place.group)?.members.get(place.member)
}

impl Alive for Upstream {
    fn is_alive(&self, group: usize, member: usize) -> bool {
        let Some(watched) = self.watched(Place { group, member }) else {
            return false;
        };
        let until = watched.busy_until.load(Relaxed);
        !watched.dead.load(Relaxed)
            && (until == 0 || self.started.elapsed() >= Duration::from_millis(until))
    }

    fn calls(&self, group: usize, member: usize) -> u32 {
        self.counts.of_member(group, member)
    }

    fn turn(&self, group: usize) -> u32 {
        self.turns
            .get(group)
            .map_or(0, |turn| turn.fetch_add(1, Relaxed))
    }
}
