//! Accepting connections: one acceptor a listener, which hands each connection to a worker in turn. Plain connections are
//! accepted on a worker; TLS ones on the handshake thread, where a crowd of handshakes holds up nobody.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proxy::flow::{ConnectionId, Flow};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::connection::{self, Session, flow_of, tune};
use super::counters::DropReason;
use super::http;
use super::kernel;
use super::link::{Link, Socket as Movable};
use super::shared::{Listening, Phase, Shared, Slot};

/// Connections that wait for us to accept them. The kernel cuts it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Binds a listener for streams; one whose address `moves` also while another machine has it.
pub(super) fn bind(address: SocketAddr, moves: bool) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // So that a restart need not wait for the old connections to be forgotten; a living listener is still an error.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    kernel::free_to_bind(&socket, moves)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Accepts until the node drains.
pub(super) async fn accept(shared: Arc<Shared>, listening: Arc<Listening>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(?error, listener = ?listening.id, "cannot accept connections");
        }
    };
    let handshakes = Arc::new(Semaphore::new(shared.settings.handshakes));
    let mut phase = shared.phase.clone();
    loop {
        // Before the accept: whoever finds all places taken waits in the kernel, which costs us nothing.
        let Ok(permit) = handshakes.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase != Phase::Running) => return,
        };
        match accepted {
            Ok((stream, peer)) => begin(&shared, &listening, stream, peer, permit),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // No open files left: the connection stays in the kernel's queue, and asking at once again would spin.
                shared.complain(|| tracing::warn!(?error, "cannot accept a connection"));
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A connection that has come, with its name and its place.
struct Arrival {
    shared: Arc<Shared>,
    listening: Arc<Listening>,
    flow: Flow,
    id: ConnectionId,
    slot: Slot,
}

fn begin(
    shared: &Arc<Shared>,
    listening: &Arc<Listening>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let Some(ticket) = shared.handler.admit_connection(listening.id, peer.ip()) else {
        return shared.drop_because(DropReason::NotAdmitted);
    };
    let Some(slot) = shared.slot(ticket) else {
        return;
    };
    tune(&stream);
    let Some((flow, id)) = flow_of(listening.id, listening.transport, &stream) else {
        return;
    };
    let (shared, listening) = (shared.clone(), listening.clone());
    let arrival = Arrival {
        shared,
        listening,
        flow,
        id,
        slot,
    };
    match &arrival.listening.tls {
        Some(config) => {
            let acceptor = TlsAcceptor::from(config.clone());
            tokio::spawn(handshake(arrival, acceptor, stream, permit));
        }
        None => settle(arrival, Link::Plain(Movable::Settled(stream))),
    }
}

async fn handshake(
    arrival: Arrival,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
) {
    let shared = &arrival.shared;
    let accepting = acceptor.accept(Movable::Settled(stream));
    let result = timeout(shared.settings.timeouts.handshake, accepting).await;
    shared.counters.count_handshake(matches!(result, Ok(Ok(_))));
    match result {
        Ok(Ok(stream)) => settle(arrival, Link::Tls(Box::new(stream.into()))),
        Ok(Err(error)) => say_failed(&arrival, &error),
        Err(_) => shared.complain(|| {
            tracing::info!(flow = ?arrival.flow, "TLS handshake took too long");
        }),
    }
}

/// A peer too old for us is worth a line: its owner wonders why it does not register. All else is noise of the network.
fn say_failed(arrival: &Arrival, error: &io::Error) {
    let flow = &arrival.flow;
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::PeerIncompatible(why)) => arrival.shared.complain(|| {
            tracing::info!(
                ?flow,
                ?why,
                "a device speaks no TLS that we speak (1.2 or 1.3, no CBC)"
            );
        }),
        _ => tracing::debug!(?flow, ?error, "TLS handshake failed"),
    }
}

/// Gives a connection to a worker, which keeps it.
fn settle(arrival: Arrival, mut link: Link) {
    if let Err(error) = link.socket_mut().leave() {
        return tracing::debug!(?error, flow = ?arrival.flow, "connection lost");
    }
    let worker = arrival.shared.worker().clone();
    worker.spawn(async move {
        if let Err(error) = link.socket_mut().enter() {
            return tracing::debug!(?error, flow = ?arrival.flow, "connection lost");
        }
        let Arrival {
            shared,
            listening,
            flow,
            id,
            slot,
        } = arrival;
        if listening.transport.is_websocket() {
            // A task of its own, which ends at the upgrade and gives its memory back.
            tokio::spawn(http::serve(shared, listening, link, flow, id, slot));
        } else {
            let session = Session::open(shared, flow, id, listening.outbox, true, slot);
            tokio::spawn(connection::serve(session, link, Bytes::new()));
        }
    });
}
