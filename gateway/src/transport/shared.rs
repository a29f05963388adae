//! What all parts of the transport share: settings, listeners, living connections, counters, workers.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use dashmap::DashMap;
use proxy::flow::{ConnectionId, Flow, ListenerId};
use rustls::pki_types::ServerName;
use sip::Transport;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::counters::{Counters, DropReason};
use super::error::CloseReason;
use super::outbox::{Outbox, OutboxLimit};
use super::udp::Sender;
use super::{Handler, Http, Settings, Ticket};

/// How far the node is on its way to the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Running,
    /// Nothing new is accepted, and every connection says farewell.
    Draining,
    /// The workers end.
    Stopped,
}

/// A listener that is bound.
pub(super) struct Listening {
    pub(super) id: ListenerId,
    pub(super) transport: Transport,
    pub(super) bound: SocketAddr,
    pub(super) outbox: OutboxLimit,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) http: Option<Arc<dyn Http>>,
    pub(super) origins: Vec<String>,
    /// One a worker; empty for streams.
    pub(super) senders: Vec<Sender>,
}

/// A living connection, as others see it.
pub(super) struct Entry {
    pub(super) flow: Flow,
    pub(super) outbox: Outbox,
}

/// The place of a connection, given back when it is dropped.
pub(super) struct Slot {
    _place: OwnedSemaphorePermit,
    _ticket: Ticket,
}

/// Which connections of ours a caller may share: opened for the same listener, to the same peer, of the same name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct PoolKey {
    pub(super) listener: ListenerId,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) name: Option<ServerName<'static>>,
}

/// The living connections. 64 shards: a growing map holds up only those who share a shard.
pub(super) struct Connections {
    pub(super) by_id: DashMap<ConnectionId, Arc<Entry>>,
    pub(super) opened_by_us: DashMap<PoolKey, ConnectionId>,
}

impl Connections {
    fn new() -> Self {
        Self {
            by_id: DashMap::with_shard_amount(64),
            opened_by_us: DashMap::with_shard_amount(64),
        }
    }

    /// The guard of the map is not held while the entry is used: a woken task may remove itself.
    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Entry>> {
        self.by_id.get(&id).map(|entry| entry.clone())
    }
}

pub(super) struct Shared {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    pub(super) connections: Connections,
    pub(super) listeners: Vec<Arc<Listening>>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) workers: Vec<Handle>,
    pub(super) handshakes: Handle,
    pub(super) phase: watch::Receiver<Phase>,
    next_worker: AtomicUsize,
    complaints: Complaints,
}

impl Shared {
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        settings: Settings,
        listeners: Vec<Arc<Listening>>,
        workers: Vec<Handle>,
        handshakes: Handle,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(
            settings.connections.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            handler,
            settings,
            counters: Counters::default(),
            connections: Connections::new(),
            listeners,
            slots,
            workers,
            handshakes,
            phase,
            next_worker: AtomicUsize::new(0),
            complaints: Complaints::default(),
        }
    }

    pub(super) fn listener(&self, id: ListenerId) -> Option<&Arc<Listening>> {
        self.listeners.iter().find(|listener| listener.id == id)
    }

    /// The worker for the next connection: in turn, so that a reconnecting crowd is spread evenly.
    pub(super) fn worker(&self) -> &Handle {
        let turn = self.next_worker.fetch_add(1, Ordering::Relaxed);
        &self.workers[turn % self.workers.len()]
    }

    /// A place for one more connection.
    pub(super) fn slot(&self, ticket: Ticket) -> Option<Slot> {
        let Ok(place) = self.slots.clone().try_acquire_owned() else {
            self.drop_because(DropReason::TooManyConnections);
            self.complain(|| {
                tracing::warn!(most = self.settings.connections, "too many connections")
            });
            return None;
        };
        Some(Slot {
            _place: place,
            _ticket: ticket,
        })
    }

    /// Gives a message to the handler, on this thread.
    pub(super) fn deliver(&self, flow: &Flow, message: Bytes) {
        self.counters.count_received(flow.transport);
        // One message must never silence a port: a panic over it is ours, and ends here.
        if catch_unwind(AssertUnwindSafe(|| self.handler.message(flow, message))).is_err() {
            self.drop_because(DropReason::HandlerPanicked);
            tracing::error!(?flow, "the handler panicked over a message");
        }
    }

    /// A keepalive came.
    pub(super) fn keepalive(&self, flow: &Flow) {
        self.counters.count_keepalive();
        self.handler.keepalive(flow);
    }

    pub(super) fn drop_because(&self, reason: DropReason) {
        self.counters.count_dropped(reason);
    }

    /// Says in the log why a connection ended; a hostile crowd cannot flood the log.
    pub(super) fn say_closed(&self, flow: &Flow, reason: &CloseReason) {
        if reason.is_peers_fault() {
            self.complain(|| tracing::info!(?flow, ?reason, "connection closed"));
        } else {
            tracing::debug!(?flow, ?reason, "connection closed");
        }
    }

    /// Logs a few times a second at most.
    pub(super) fn complain(&self, log: impl FnOnce()) {
        self.complaints.pass(Instant::now(), log);
    }
}

/// Lets ten log lines a second pass, and says how many did not.
#[derive(Debug)]
struct Complaints {
    start: Instant,
    /// Second since the start in the upper half, lines in it in the lower.
    state: AtomicU64,
}

impl Default for Complaints {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            state: AtomicU64::new(0),
        }
    }
}

impl Complaints {
    const A_SECOND: u64 = 10;

    fn pass(&self, now: Instant, log: impl FnOnce()) {
        let second = (now - self.start).as_secs();
        let step = |state: u64| match state >> 32 == second {
            true => state + 1,
            false => second << 32 | 1,
        };
        let before = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                Some(step(state))
            })
            .unwrap_or_else(|state| state);
        let lines = before & 0xffff_ffff;
        if before >> 32 != second && lines > Self::A_SECOND {
            tracing::info!(
                count = lines - Self::A_SECOND,
                "log lines about peers left out"
            );
        }
        if step(before) & 0xffff_ffff <= Self::A_SECOND {
            log();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_complaints_is_ten_lines_a_second() {
        let complaints = Complaints::default();
        let mut lines = 0;
        for second in [0, 0, 1, 7] {
            for _ in 0..50 {
                complaints.pass(complaints.start + Duration::from_secs(second), || {
                    lines += 1
                });
            }
        }
        assert_eq!(lines, 30);
    }
}
