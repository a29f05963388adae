//! Connections that we open, towards the core and other nodes: pooled, and callers who want the same one share one attempt.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proxy::flow::{Flow, ListenerId};
use rustls::pki_types::ServerName;
use sip::Transport;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Ticket;
use super::connection::{self, Session, flow_of, tune};
use super::error::ConnectError;
use super::link::{Link, Socket};
use super::shared::{Listening, Phase, PoolKey, Shared, Slot};

type Outcome = Option<Result<Flow, ConnectError>>;

/// The attempts under way.
#[derive(Default)]
pub(super) struct Attempts {
    under_way: Mutex<HashMap<PoolKey, watch::Receiver<Outcome>>>,
}

/// The key under which a connection is shared. TCP knows no names, so all names share one.
pub(super) fn pool_key(
    listener: ListenerId,
    transport: Transport,
    peer: SocketAddr,
    name: Option<&str>,
) -> Result<PoolKey, ConnectError> {
    let name = match (transport, name) {
        (Transport::Tls, Some(name)) => {
            let name = ServerName::try_from(name.to_owned());
            Some(name.map_err(|error| ConnectError::Tls(error.to_string()))?)
        }
        (Transport::Tls, None) => Some(ServerName::IpAddress(peer.ip().into())),
        (Transport::Tcp, _) => None,
        _ => return Err(ConnectError::Unsupported),
    };
    Ok(PoolKey {
        listener,
        transport,
        peer,
        name,
    })
}

/// Finds or opens a connection. Dropping the future does not end an attempt: others may wait for it.
pub(super) async fn connect(
    shared: Arc<Shared>,
    attempts: Arc<Attempts>,
    key: Result<PoolKey, ConnectError>,
) -> Result<Flow, ConnectError> {
    let key = key?;
    let mut outcome = {
        let mut under_way = attempts
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(flow) = living(&shared, &key) {
            return Ok(flow);
        }
        match under_way.get(&key) {
            Some(outcome) => outcome.clone(),
            None => {
                let outcome = begin(shared, attempts.clone(), key.clone())?;
                under_way.insert(key, outcome.clone());
                outcome
            }
        }
    };
    // The sender goes without a word only when the runtime ends.
    let result = outcome
        .wait_for(Option::is_some)
        .await
        .map_err(|_| ConnectError::Stopping)?;
    result.clone().unwrap_or(Err(ConnectError::Stopping))
}

fn living(shared: &Shared, key: &PoolKey) -> Option<Flow> {
    let id = *shared.connections.opened_by_us.get(key)?;
    shared.connections.get(id).map(|entry| entry.flow)
}

fn begin(
    shared: Arc<Shared>,
    attempts: Arc<Attempts>,
    key: PoolKey,
) -> Result<watch::Receiver<Outcome>, ConnectError> {
    if *shared.phase.borrow() != Phase::Running {
        return Err(ConnectError::Stopping);
    }
    let listening = shared
        .listener(key.listener)
        .cloned()
        .ok_or(ConnectError::Unsupported)?;
    let slot = shared.slot(Ticket(None)).ok_or(ConnectError::TooMany)?;
    let (tell, outcome) = watch::channel(None);
    // TLS is spoken on the handshake thread; both move to a worker afterwards.
    let runtime = match key.transport {
        Transport::Tls => shared.handshakes.clone(),
        _ => shared.worker().clone(),
    };
    runtime.spawn(async move {
        let opening = open(shared.clone(), &listening, &key, slot);
        let result = timeout(shared.settings.timeouts.connect, opening).await;
        let result = result.unwrap_or(Err(ConnectError::Timeout));
        if let Err(error) = &result {
            shared.counters.count_connect_failure();
            tracing::debug!(?error, ?key, "cannot connect");
        }
        let mut under_way = attempts
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&key);
        drop(under_way);
        // Nobody may wait any more; the connection stays for the next.
        let _ = tell.send(Some(result));
    });
    Ok(outcome)
}

async fn open(
    shared: Arc<Shared>,
    listening: &Listening,
    key: &PoolKey,
    slot: Slot,
) -> Result<Flow, ConnectError> {
    let stream = dial(listening.bound, key.peer).await?;
    tune(&stream);
    let (flow, id) = flow_of(key.listener, key.transport, &stream)
        .ok_or(ConnectError::Io(std::io::ErrorKind::NotConnected))?;
    let mut link = match &key.name {
        Some(name) => secure(&shared, name.clone(), stream).await?,
        None => Link::Plain(Socket::Settled(stream)),
    };
    link.socket_mut()
        .leave()
        .map_err(|error| ConnectError::Io(error.kind()))?;
    let worker = shared.worker().clone();
    let pool = shared.clone();
    let session = Session::open(shared, flow, id, listening.outbox, false, slot);
    pool.connections.opened_by_us.insert(key.clone(), id);
    worker.spawn(async move {
        match link.socket_mut().enter() {
            Ok(()) => drop(tokio::spawn(connection::serve(session, link, Bytes::new()))),
            Err(error) => tracing::debug!(?error, flow = ?session.flow(), "connection lost"),
        }
    });
    Ok(flow)
}

/// Leaves from the listener's own address, which the other side's access list knows.
async fn dial(bound: SocketAddr, peer: SocketAddr) -> Result<TcpStream, ConnectError> {
    let dialled = async {
        let socket = if peer.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        if bound.is_ipv4() == peer.is_ipv4() && !bound.ip().is_unspecified() {
            socket.bind(SocketAddr::new(bound.ip(), 0))?;
        }
        socket.connect(peer).await
    };
    dialled
        .await
        .map_err(|error| ConnectError::Io(error.kind()))
}

async fn secure(
    shared: &Shared,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<Link, ConnectError> {
    let config = shared
        .settings
        .client_tls
        .clone()
        .ok_or(ConnectError::Unsupported)?;
    let connecting = TlsConnector::from(config).connect(name, Socket::Settled(stream));
    let stream = connecting
        .await
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(Link::Tls(Box::new(stream.into())))
}
