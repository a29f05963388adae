//! Where members' names lead, followed in the background, and which members are being drained.

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use proxy::group::{Member, Standing};
use proxy::{Hop, Site};

use super::slots::{self, Source};
use super::{Place, Upstream, member_at};
use crate::dns::{Resolver, Target};

/// How long after DNS gave no answer at all it is asked again.
const LOOK_UP_SOON: Duration = Duration::from_secs(2);
/// A server that DNS does not name any more is asked whether it lives for this long: calls that it has may need it.
const GONE_FOR: Duration = Duration::from_secs(3600);

/// A member of the configuration.
pub(super) struct Named {
    pub(super) source: Source,
    drained: AtomicBool,
}

impl From<Source> for Named {
    fn from(source: Source) -> Self {
        Self {
            drained: AtomicBool::new(source.drain),
            source,
        }
    }
}

/// Finds out where all members are, before anything is served; what DNS does not say now is asked again later.
pub(crate) async fn look_up(site: &mut Site, sources: &[Source], resolver: &Resolver) {
    let names: Vec<&Source> = sources.iter().filter(|source| source.is_name()).collect();
    let asked = join_all(names.iter().map(|source| resolver.locate(&source.ask))).await;
    for (source, answer) in names.into_iter().zip(asked) {
        match answer {
            Ok(located) => {
                let targets = usable(site, source, located.targets);
                if let Some(slots) = slots_of(site, source) {
                    slots::settle(slots, source, source.drain, &targets);
                }
            }
            Err(error) => not_found(source, &error),
        }
    }
}

fn not_found(source: &Source, error: &crate::dns::Silent) {
    tracing::warn!(host = ?source.ask.host, %error, "a member of a group cannot be found");
}

/// Those of an answer that this node can reach: an IPv6 address is nothing to a node without IPv6.
fn usable(site: &Site, source: &Source, mut targets: Vec<Target>) -> Vec<Target> {
    let host = &source.ask.host;
    targets.retain(|target| {
        let hop = Hop::Server {
            transport: target.transport,
            address: target.address,
        };
        site.leaving_by(&hop).is_some()
    });
    if targets.is_empty() {
        tracing::warn!(
            ?host,
            "DNS knows no server of a member of a group: the last ones are kept"
        );
    }
    if targets.len() > slots::SLOTS {
        let servers = targets.len();
        tracing::warn!(
            ?host,
            servers,
            used = slots::SLOTS,
            "a member of a group has too many servers"
        );
    }
    targets
}

fn slots_of<'s>(site: &'s mut Site, source: &Source) -> Option<&'s mut [Member]> {
    let group = site.groups.get_mut(source.group)?;
    group
        .members
        .get_mut(source.first..source.first + source.len())
}

impl Upstream {
    pub(super) async fn follow(&self, name: &Named) {
        loop {
            let until = self.look_up_one(name).await;
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// When to ask again.
    async fn look_up_one(&self, name: &Named) -> Instant {
        match self.resolver.locate(&name.source.ask).await {
            Ok(located) => {
                self.settle(name, located.targets);
                located.until
            }
            Err(error) => {
                not_found(&name.source, &error);
                Instant::now() + LOOK_UP_SOON
            }
        }
    }

    /// DNS said where the servers of a name are.
    fn settle(&self, name: &Named, targets: Vec<Target>) {
        let source = &name.source;
        let targets = usable(&self.site.load(), source, targets);
        let drained = name.drained.load(Relaxed);
        let over = self.long_gone(source);
        let mut new = Vec::new();
        self.change_slots(source, |slots| {
            for at in &over {
                slots[*at] = Member::default();
            }
            new = slots::settle(slots, source, drained, &targets);
        });
        for at in new {
            let place = self.place(source, at);
            if let Some(watched) = self.watched(place) {
                watched.renew();
            }
            tracing::info!(member = self.name(place), address = ?self.address(place), "a member of a group was found");
            self.doubt(place);
        }
    }

    /// Changes the servers of a name; what is the same as before is left as it is.
    fn change_slots(&self, source: &Source, mut change: impl FnMut(&mut [Member])) {
        let mut site = Site::clone(&self.site.load());
        let Some(slots) = slots_of(&mut site, source) else {
            return;
        };
        let before = slots.to_vec();
        let mut after = before.clone();
        change(&mut after);
        if before == after {
            return;
        }
        self.site.rcu(|site| {
            let mut changed = Site::clone(site);
            if let Some(slots) = slots_of(&mut changed, source) {
                change(slots);
            }
            changed
        });
    }

    /// The slots of servers that are gone for so long that no call can need them.
    fn long_gone(&self, source: &Source) -> Vec<usize> {
        let site = self.site.load();
        let is_over = |at: &usize| {
            let place = self.place(source, *at);
            let (Some(member), Some(watched)) = (member_at(&site, place), self.watched(place))
            else {
                return false;
            };
            let mut gone = watched.gone.lock().unwrap_or_else(PoisonError::into_inner);
            if member.standing != Standing::Gone {
                *gone = None;
                return false;
            }
            gone.get_or_insert_with(Instant::now).elapsed() > GONE_FOR
        };
        (0..source.len()).filter(is_over).collect()
    }

    fn place(&self, source: &Source, slot: usize) -> Place {
        Place {
            group: source.group,
            member: source.first + slot,
        }
    }

    pub(super) fn address(&self, place: Place) -> Option<SocketAddr> {
        member_at(&self.site.load(), place)?.address
    }

    /// Where names of next hops are asked for.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Gives a member nothing new from now on, or again: by its URI or host as configured with all its servers, or one server
    /// by `host:port` or address. The servers that it concerns; none if nobody is called so.
    pub(crate) fn drain(&self, group: &str, member: &str, drain: bool) -> Vec<String> {
        let mut concerned = Vec::new();
        for name in &self.names {
            let source = &name.source;
            let site = self.site.load();
            if site
                .groups
                .get(source.group)
                .is_none_or(|of| of.name != group)
            {
                continue;
            }
            drop(site);
            let is_whole = source.is_called(member);
            if is_whole {
                name.drained.store(drain, Relaxed);
            }
            let mut found = Vec::new();
            self.change_slots(source, |slots| {
                found.clear();
                let meant = |slot: &&mut Member| {
                    !slot.is_vacant()
                        && slot.standing != Standing::Gone
                        && (is_whole || is_called(slot, member))
                };
                for slot in slots.iter_mut().filter(meant) {
                    slot.standing = slots::standing(drain);
                    found.push(format!("{}:{}", slot.host, slot.port));
                }
            });
            concerned.append(&mut found);
        }
        concerned
    }
}

/// True if a person means this server.
fn is_called(member: &Member, name: &str) -> bool {
    let host = format!("{}:{}", member.host, member.port);
    let address = member.address.map(|address| address.to_string());
    name.eq_ignore_ascii_case(&member.host)
        || name.eq_ignore_ascii_case(&host)
        || address.is_some_and(|address| address == name)
}
