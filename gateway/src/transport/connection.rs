//! The life of one stream connection: registered, driven by its transport, said farewell, removed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proxy::flow::{ConnectionId, Flow, ListenerId};
use sip::Transport;
use tokio::net::TcpStream;

use super::error::CloseReason;
use super::link::Link;
use super::outbox::{Outbox, OutboxLimit};
use super::shared::{Entry, Phase, Shared, Slot};
use super::{stream, websocket};

/// A connection that others can find. Dropping it removes it, however its task ends.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    /// The peer opened it.
    pub(super) accepted: bool,
    reason: CloseReason,
    /// Given back before others hear that the connection is gone.
    slot: Option<Slot>,
}

impl Session {
    pub(super) fn open(
        shared: Arc<Shared>,
        flow: Flow,
        id: ConnectionId,
        limit: OutboxLimit,
        accepted: bool,
        slot: Slot,
    ) -> Self {
        let entry = Arc::new(Entry {
            flow,
            outbox: Outbox::new(limit),
        });
        shared.connections.by_id.insert(id, entry.clone());
        shared.counters.count_opened(flow.transport);
        tracing::debug!(?flow, "connection opened");
        shared.handler.opened(&flow);
        // Whoever drains closes what is registered by then; this one may have come a moment later.
        if *shared.phase.borrow() != Phase::Running {
            entry.outbox.close(CloseReason::Stopping);
        }
        Self {
            shared,
            entry,
            accepted,
            reason: CloseReason::Stopping,
            slot: Some(slot),
        }
    }

    pub(super) fn flow(&self) -> &Flow {
        &self.entry.flow
    }

    pub(super) fn deliver(&self, message: Bytes) {
        self.shared.deliver(&self.entry.flow, message);
    }

    pub(super) fn keepalive(&self) {
        self.shared.keepalive(&self.entry.flow);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(id) = self.entry.flow.connection {
            self.shared.connections.by_id.remove(&id);
            if !self.accepted {
                // Only connections to the core and to other nodes: few.
                self.shared
                    .connections
                    .opened_by_us
                    .retain(|_, held| *held != id);
            }
        }
        self.entry.outbox.close(self.reason.clone());
        self.slot = None;
        self.shared.counters.count_closed(self.entry.flow.transport);
        self.shared.say_closed(&self.entry.flow, &self.reason);
        self.shared.handler.closed(&self.entry.flow, &self.reason);
    }
}

/// Drives a connection to its end. `first`: what was read behind an HTTP upgrade.
pub(super) async fn serve(mut session: Session, link: Link, first: Bytes) {
    session.reason = if session.flow().transport.is_websocket() {
        websocket::serve(&session, link, first).await
    } else {
        stream::serve(&session, link).await
    };
}

/// A flow and its name for a connection that was just accepted or opened. `None` if the system has no random bytes or the
/// socket is dead already.
pub(super) fn flow_of(
    listener: ListenerId,
    transport: Transport,
    stream: &TcpStream,
) -> Option<(Flow, ConnectionId)> {
    let mut random = [0; 6];
    getrandom::fill(&mut random).ok()?;
    let id = ConnectionId::from_random(random);
    let (local, peer) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    Some((
        Flow {
            listener,
            transport,
            local,
            peer,
            connection: Some(id),
        },
        id,
    ))
}

/// What every stream socket is set to. Errors are ignored: a connection without these works, only less well.
pub(super) fn tune(stream: &TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt};
    // A SIP message is sent whole; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    // A peer that vanished is found after two minutes even where it owes us nothing, ...
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &60);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &20);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &3);
    // ... and after half a minute if it does not acknowledge what we sent (RFC 5482).
    let unacknowledged = Duration::from_secs(30).as_millis() as u32;
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &unacknowledged);
}
