//! Starting and using the transports: what the engine calls.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use proxy::flow::{ConnectionId, Flow, ListenerId};
use sip::Transport;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::connect::{Attempts, connect, pool_key};
use super::counters::{Counters, DropReason};
use super::error::{CloseReason, ConnectError, SendError, StartError};
use super::kernel::{self, OpenFiles};
use super::shared::{Listening, Phase, Shared};
use super::udp::{self, Sender};
use super::{Handler, Listener, Settings, accept};

/// The transports of a node. Cloning is cheap; all clones are the same transports. [`Transports::shutdown`] ends their
/// threads; dropping does not.
#[derive(Clone)]
pub struct Transports {
    shared: Arc<Shared>,
    attempts: Arc<Attempts>,
    threads: Arc<Threads>,
    open_files: OpenFiles,
    /// The UDP sockets, as the kernel's table names them.
    inodes: Arc<[u64]>,
}

struct Threads {
    phase: watch::Sender<Phase>,
    ended: std::sync::Mutex<Vec<oneshot::Receiver<()>>>,
}

/// Figures of a moment that are asked for, not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Datagrams that the kernel dropped because they were not read in time.
    pub kernel_dropped: u64,
    /// The limit of open files.
    pub open_files: OpenFiles,
    /// Connections that may still be accepted or opened.
    pub free_connections: usize,
}

/// A socket with nobody to read it yet, and its listener's place.
enum Unread {
    Datagrams(usize, std::net::UdpSocket),
    Connections(usize, std::net::TcpListener),
}

impl Transports {
    /// Binds all listeners, then starts the workers. Whatever cannot be bound is an error before anything is served.
    pub fn start(
        listeners: Vec<Listener>,
        mut settings: Settings,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, StartError> {
        let open_files = kernel::raise_open_files_to(settings.open_files);
        if settings.connections == 0 {
            // What is left is for the store, logs, sockets of RTPEngine and a file here and there.
            settings.connections = usize::try_from(open_files.now.saturating_sub(256)).unwrap_or(1);
        }
        let workers = settings.workers.max(1);
        let (bound, unread) = bind_all(listeners, workers, &settings)?;
        let inodes = unread.iter().filter_map(|unread| match unread {
            Unread::Datagrams(_, socket) => kernel::inode(socket),
            Unread::Connections(..) => None,
        });
        let inodes = inodes.collect();
        let runtimes = (0..workers)
            .map(|_| runtime())
            .collect::<Result<Vec<_>, _>>()?;
        let handshakes = runtime()?;
        let (phase, phases) = watch::channel(Phase::Running);
        let handles = runtimes
            .iter()
            .map(|runtime| runtime.handle().clone())
            .collect();
        let handshake = handshakes.handle().clone();
        let shared = Shared::new(handler, settings, bound, handles, handshake, phases.clone());
        let shared = Arc::new(shared);
        let mut ended = Vec::new();
        for (n, runtime) in runtimes.into_iter().enumerate() {
            ended.push(run(format!("worker-{n}"), runtime, phases.clone())?);
        }
        ended.push(run("tls".into(), handshakes, phases)?);
        serve(&shared, unread);
        let threads = Arc::new(Threads {
            phase,
            ended: ended.into(),
        });
        Ok(Self {
            shared,
            attempts: Arc::default(),
            threads,
            open_files,
            inodes,
        })
    }

    /// Sends one message, from any thread; never waits. A datagram has left when this returns; on a connection the message
    /// has a place in the outbox, and [`SendError::Full`] means that the connection is being reset.
    pub fn send(&self, flow: &Flow, message: Bytes) -> Result<(), SendError> {
        if message.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        // Before it leaves: what answers it may be received by another thread at once.
        shared.handler.sending(flow, &message);
        let sent = match flow.connection {
            Some(id) => match shared.connections.get(id) {
                Some(entry) => entry.outbox.push(message.clone()),
                None => Err(SendError::Gone),
            },
            None => match shared
                .listener(flow.listener)
                .and_then(|one| one.sender(flow.peer))
            {
                Some(sender) => sender.send(flow, &message),
                None => Err(SendError::Gone),
            },
        };
        match sent {
            Ok(()) => shared.counters.count_sent(flow.transport),
            Err(SendError::Gone) => shared.drop_because(DropReason::Gone),
            Err(SendError::Full) if flow.connection.is_some() => {
                shared.drop_because(DropReason::OutboxFull);
            }
            Err(SendError::Full) => shared.drop_because(DropReason::SendBufferFull),
            Err(SendError::Io(_)) => shared.drop_because(DropReason::SendFailed),
        }
        if let Err(why) = sent {
            shared.handler.unsent(flow, &message, why);
        }
        sent
    }

    /// The flow of a living connection.
    pub fn connection(&self, id: ConnectionId) -> Option<Flow> {
        self.shared.connections.get(id).map(|entry| entry.flow)
    }

    /// A living connection that we opened to this peer for whatever listener or name. What a peer opened is not offered:
    /// who owns the far port is not known (RFC 5923 §3).
    pub fn connected(&self, transport: Transport, peer: SocketAddr) -> Option<Flow> {
        let ours = &self.shared.connections.opened_by_us;
        let id = ours.iter().find_map(|entry| {
            let key = entry.key();
            (key.transport == transport && key.peer == peer).then_some(*entry.value())
        })?;
        self.connection(id)
    }

    /// Finds or opens a TCP or TLS connection on behalf of a listener; whoever wants the same one shares it, and an
    /// attempt under way. `server_name` is what the peer's certificate must be for; without it, its address.
    pub fn connect(
        &self,
        from: ListenerId,
        transport: Transport,
        peer: SocketAddr,
        server_name: Option<&str>,
    ) -> impl Future<Output = Result<Flow, ConnectError>> + Send + 'static + use<> {
        let key = pool_key(from, transport, peer, server_name);
        connect(self.shared.clone(), self.attempts.clone(), key)
    }

    /// The flow of datagrams from a UDP listener to a peer; `None` for an unknown listener, one of streams, or one of the
    /// other address family. From a wildcard listener it leaves by the address that the kernel chooses.
    pub fn local_flow(&self, listener: ListenerId, peer: SocketAddr) -> Option<Flow> {
        let listening = self.shared.listener(listener)?;
        let local = listening.bound;
        let fits = listening.transport == Transport::Udp && local.is_ipv4() == peer.is_ipv4();
        let transport = Transport::Udp;
        fits.then_some(Flow {
            listener,
            transport,
            local,
            peer,
            connection: None,
        })
    }

    /// The flow to a server by way of a listener: a [connection](Self::connect), or [datagrams](Self::local_flow).
    ///
    /// # Errors
    /// When there is none, and none can be opened.
    pub async fn reach(
        &self,
        from: ListenerId,
        transport: Transport,
        peer: SocketAddr,
    ) -> Result<Flow, ConnectError> {
        if transport.is_stream() {
            self.connect(from, transport, peer, None).await
        } else {
            self.local_flow(from, peer).ok_or(ConnectError::Unsupported)
        }
    }

    /// Ends a connection after what waits in its outbox is sent.
    pub fn close(&self, flow: &Flow) {
        let entry = flow
            .connection
            .and_then(|id| self.shared.connections.get(id));
        if let Some(entry) = entry {
            entry.outbox.close(CloseReason::Asked);
        }
    }

    /// Where a listener is bound, a port 0 resolved.
    pub fn bound(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.shared
            .listener(listener)
            .map(|listening| listening.bound)
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Figures of this moment. Reads a table of the kernel: for a scrape, not for every message.
    pub fn stats(&self) -> Stats {
        Stats {
            kernel_dropped: kernel::dropped(&self.inodes),
            open_files: self.open_files,
            free_connections: self.shared.slots.available_permits(),
        }
    }

    /// Accepts nothing more, says farewell to every connection, waits until they are gone (a little longer than the
    /// farewell's timeout at most), and ends the threads.
    pub async fn shutdown(&self) {
        self.threads.phase.send_replace(Phase::Draining);
        for entry in &self.shared.connections.by_id {
            entry.outbox.close(CloseReason::Stopping);
        }
        let end = Instant::now() + self.shared.settings.timeouts.farewell * 2;
        while !self.shared.connections.by_id.is_empty() && Instant::now() < end {
            sleep(Duration::from_millis(5)).await;
        }
        self.threads.phase.send_replace(Phase::Stopped);
        let ended = {
            let ended = &self.threads.ended;
            std::mem::take(
                &mut *ended
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            )
        };
        for thread in ended {
            // An error is a thread that is gone: just as well.
            let _ = thread.await;
        }
    }
}

/// Binds all listeners, those on all addresses first: what has the same port on one address joins them (the kernel gives
/// it that address's datagrams), and a port that another process has on any address is an error already.
fn bind_all(
    listeners: Vec<Listener>,
    workers: usize,
    settings: &Settings,
) -> Result<(Vec<Arc<Listening>>, Vec<Unread>), StartError> {
    let mut numbered: Vec<(usize, Listener)> = listeners.into_iter().enumerate().collect();
    numbered.sort_by_key(|(_, listener)| !listener.bind.ip().is_unspecified());
    let mut unread = Vec::new();
    let mut bound: Vec<(usize, Listening)> = Vec::new();
    for (place, listener) in numbered {
        if bound.iter().any(|(_, other)| other.id == listener.id) {
            return Err(StartError::SameNumber(listener.id.0));
        }
        let wildcard = |(_, other): &(usize, Listening)| {
            let address = other.bound;
            let same_port = address.port() == listener.bind.port();
            !other.transport.is_stream()
                && address.ip().is_unspecified()
                && address.is_ipv4() == listener.bind.is_ipv4()
                && same_port
        };
        let beside_ours = !listener.bind.ip().is_unspecified() && bound.iter().any(wildcard);
        let listening = bind(
            listener,
            place,
            (workers, beside_ours),
            settings,
            &mut unread,
        )?;
        bound.push((place, listening));
    }
    bound.sort_by_key(|(place, _)| *place);
    let bound = bound
        .into_iter()
        .map(|(_, listening)| Arc::new(listening))
        .collect();
    Ok((bound, unread))
}

/// Binds one listener; its sockets are put into `unread`.
fn bind(
    listener: Listener,
    place: usize,
    (workers, beside_our_wildcard): (usize, bool),
    settings: &Settings,
    unread: &mut Vec<Unread>,
) -> Result<Listening, StartError> {
    let Listener {
        id,
        transport,
        bind: address,
        moves,
        outbox,
        tls,
        http,
        origins,
    } = listener;
    let failed = |source| StartError::Bind {
        transport,
        address,
        source,
    };
    let tls = match (transport.is_secure(), tls) {
        (false, _) => None,
        (true, None) => return Err(StartError::NoCertificate { transport, address }),
        (true, Some(config)) if transport.is_websocket() => {
            let mut config = (*config).clone();
            // Browsers offer h2 as well, which has no upgrade.
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Some(Arc::new(config))
        }
        (true, Some(config)) => Some(config),
    };
    let mut senders = Vec::new();
    let bound = if transport.is_stream() {
        let (listener, bound) = accept::bind(address, moves).map_err(failed)?;
        unread.push(Unread::Connections(place, listener));
        bound
    } else {
        let got = udp::bind(
            (address, moves),
            workers,
            settings.receive_buffer,
            beside_our_wildcard,
        )
        .map_err(failed)?;
        say_buffer(address, settings.receive_buffer, got.receive_buffer);
        for socket in got.sockets {
            senders.push(Sender::new(&socket, got.address).map_err(failed)?);
            unread.push(Unread::Datagrams(place, socket));
        }
        got.address
    };
    tracing::info!(transport = transport.via_name(), ?bound, "listening");
    Ok(Listening {
        id,
        transport,
        bound,
        outbox,
        tls,
        http,
        origins,
        senders,
    })
}

fn say_buffer(address: SocketAddr, wanted: usize, got: usize) {
    if got < wanted {
        tracing::warn!(
            ?address,
            wanted,
            got,
            "the kernel gives a smaller receive buffer, bursts may be lost: raise net.core.rmem_max"
        );
    }
}

/// Sets the readers to work: datagrams one socket a worker, plain connections on workers in turn, TLS on its own thread.
fn serve(shared: &Arc<Shared>, unread: Vec<Unread>) {
    let mut worker = shared.workers.iter().cycle();
    for unread in unread {
        match unread {
            Unread::Datagrams(place, socket) => {
                let listening = shared.listeners[place].clone();
                // As many sockets in a row as workers, so each worker gets one of each listener.
                let Some(worker) = worker.next() else { return };
                worker.spawn(udp::receive(shared.clone(), listening, socket));
            }
            Unread::Connections(place, listener) => {
                let listening = shared.listeners[place].clone();
                let runtime = match listening.tls {
                    Some(_) => &shared.handshakes,
                    None => shared.worker(),
                };
                runtime.spawn(accept::accept(shared.clone(), listening, listener));
            }
        }
    }
}

fn runtime() -> Result<Runtime, StartError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Worker)
}

/// Runs a runtime on a thread of its own until the phase is [`Phase::Stopped`]; its tasks end with it.
fn run(
    name: String,
    runtime: Runtime,
    mut phase: watch::Receiver<Phase>,
) -> Result<oneshot::Receiver<()>, StartError> {
    let (end, ended) = oneshot::channel();
    let body = move || {
        // An error: nobody is left who could stop us, so this is the end too.
        let _ = runtime.block_on(phase.wait_for(|phase| *phase == Phase::Stopped));
        drop(runtime);
        let _ = end.send(());
    };
    thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(StartError::Worker)?;
    Ok(ended)
}
