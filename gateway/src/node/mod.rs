//! A running node: everything that a configuration names, wired together. The one place besides `main.rs` that knows
//! every module.

pub(crate) mod keys;
mod media;
mod page;
pub(crate) mod settings;
pub(crate) mod site;
#[cfg(test)]
mod tests;
mod turn;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proxy::flow::ListenerId;
use proxy::token::Sealer;
use rtpengine_client::{ClientConfig, NodeConfig, NodeId, Pool, PoolConfig};
use tokio::task::JoinHandle;

use crate::call_out::CallOuts;
use crate::calls::Quota;
use crate::config::{self, Config};
use crate::engine::{Engine, Parts};
use crate::guard::{self, Guard};
use crate::ladder::{self, Ring};
use crate::media::Sessions;
use crate::record::Records;
use crate::registrar::{self, Registrar};
use crate::transport::{self, OpenFiles, Timeouts, Transports, tls};
use crate::upstream;

pub use keys::KeyError;
pub use page::Page;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be bound.
    #[error(transparent)]
    Transport(#[from] transport::StartError),
    /// A certificate could not be used.
    #[error("[listen.{name}]: {source}")]
    Certificate {
        /// The section.
        name: String,
        /// Why.
        source: tls::TlsError,
    },
    /// The cluster's keys could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The bindings could not be loaded.
    #[error("the store of bindings, {path}: {source}")]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: registrar::StoreError,
    },
    /// The directory for what survives a restart could not be made.
    #[error("node.data_dir, {path}: {source}")]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A name in the configuration has no address.
    #[error("{what} {host} has no address: {reason}")]
    Resolve {
        /// What it is for.
        what: &'static str,
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The system's resolver cannot be read.
    #[error("the system's resolver: {0}; [dns] servers can name others")]
    Dns(String),
    /// The sockets towards RTPEngine could not be opened.
    #[error("sockets towards RTPEngine: {0}")]
    Media(std::io::Error),
    /// The secret of the TURN servers could not be read.
    #[error("turn.secret_file: {0}")]
    TurnSecret(std::io::Error),
    /// The file of records could not be opened.
    #[error("calls.records, {path}: {source}")]
    Records {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What Homer asks of its agents could not be read.
    #[error("trace.hep.password_file: {0}")]
    HepPassword(std::io::Error),
    /// The client of call-outs could not be made.
    #[error("call-outs: {0}")]
    CallOut(crate::call_out::StartError),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The admin API's address could not be bound.
    #[error("admin.listen {address}: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A node at work.
pub struct Node {
    engine: Arc<Engine>,
    transports: Transports,
    listeners: Vec<(String, sip::Transport, SocketAddr)>,
    tasks: Vec<JoinHandle<()>>,
    open_files: OpenFiles,
}

impl Node {
    /// Starts everything; what cannot be bound or loaded is an error before anything is served. Runs on the current
    /// runtime what is not a worker's.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: &Config, page: Option<Page>) -> Result<Self, StartError> {
        let data = &config.node.data_dir;
        std::fs::create_dir_all(data).map_err(|source| StartError::DataDirectory {
            path: data.clone(),
            source,
        })?;
        let keys = keys::load(config.node.key_file.as_deref(), data)?;
        let ring = match config.trace.memory.0 {
            0 => None,
            memory => Some(Arc::new(Ring::new(memory))),
        };
        let records = Arc::new(records(config)?);
        let media = sessions(config, ring.clone(), &records).await?;
        let mut site = site::of(config, media.is_some());
        let resolver = settings::resolver(config)?;
        upstream::look_up(&mut site.site, &site.sources, &resolver).await;
        site.site.device_key = keys.hash_key("causeway device");
        let registrar = match config.domain.is_empty() {
            true => None,
            false => Some(Arc::new(open_registrar(config, &keys, &store(config))?)),
        };
        let listeners = listeners(config, page)?;
        let guard = guard::Settings {
            messages_per_second: config.limits.messages_per_second,
            burst: config.limits.burst,
            connections_per_source: config.limits.connections_per_source,
            trust: site.trust,
            core: site.core,
            peers: site.site.peers.clone(),
            peers_per_second: config
                .peer
                .values()
                .map(|peer| peer.messages_per_second)
                .collect(),
        };
        let parts = Parts {
            site: site.site,
            keepalive: settings::keepalive(config),
            groups: (settings::probes(config), site.sources),
            resolver,
            call_outs: call_outs(config)?,
            nodes: settings::nodes(config),
            run: random_u64()?,
            sealer: Sealer::new(keys),
            registrar: registrar.clone(),
            media,
            limits: limits(config),
            timers: timers(config),
            device_wait: config.timers.device_wait,
            ring,
            guard: Guard::new(guard, (random_u64()?, random_u64()?)),
            calls: calls(config),
            records,
            waiting_per_call: usize::from(config.limits.waiting_per_call),
            table_keys: (random_u64()?, random_u64()?),
        };
        let engine = Engine::new(parts);
        let names: Vec<String> = listeners.iter().map(|(name, _)| name.clone()).collect();
        let settings = transport_settings(config);
        let only: Vec<transport::Listener> = listeners
            .into_iter()
            .map(|(_, listener)| listener)
            .collect();
        let kinds: Vec<sip::Transport> = only.iter().map(|listener| listener.transport).collect();
        let transports = Transports::start(only, settings, engine.clone())?;
        engine.attach(transports.clone());
        let open_files = transports.stats().open_files;
        if open_files.now < u64::from(config.node.open_files) {
            let wanted = config.node.open_files;
            tracing::warn!(
                wanted,
                limit = open_files.now,
                "too few open files: phones will be refused when they are used up"
            );
        }
        let bound = (0..).map(ListenerId).map_while(|id| transports.bound(id));
        let listeners = names
            .into_iter()
            .zip(kinds)
            .zip(bound)
            .map(|((name, kind), at)| (name, kind, at))
            .collect();
        let mut tasks = vec![tokio::spawn(engine.clone().run())];
        if let Some(registrar) = registrar {
            tasks.push(tokio::spawn(sweep(registrar)));
        }
        if let (Some(hep), Some(ring)) = (&config.trace.hep, engine.ring().cloned()) {
            let settings = settings::hep(hep, config.trace.secrets).await?;
            tasks.push(tokio::spawn(async move {
                if let Err(error) = ladder::hep::run(ring, settings).await {
                    tracing::error!(?error, "Homer is told nothing");
                }
            }));
        }
        if let Some(address) = config.admin.listen {
            let admin = crate::admin::serve(
                address,
                engine.clone(),
                transports.clone(),
                settings::shown(config),
            )
            .map_err(|source| StartError::Admin { address, source })?;
            tasks.push(tokio::spawn(admin));
        }
        Ok(Self {
            engine,
            open_files,
            transports,
            listeners,
            tasks,
        })
    }

    /// The listeners: section, transport, and the address with its port resolved.
    pub fn listeners(&self) -> &[(String, sip::Transport, SocketAddr)] {
        &self.listeners
    }

    /// The limit of open files that was had.
    pub fn open_files(&self) -> OpenFiles {
        self.open_files
    }

    /// The engine, for what shows its figures.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Says farewell to every connection and ends.
    pub async fn stop(self) {
        self.transports.shutdown().await;
        for task in self.tasks {
            task.abort();
        }
    }
}

async fn sweep(registrar: Arc<Registrar>) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        registrar.sweep(crate::engine::now());
    }
}

fn call_outs(config: &Config) -> Result<CallOuts, StartError> {
    let names = settings::sections(config);
    CallOuts::new(settings::call_outs(config), names.collect()).map_err(StartError::CallOut)
}

fn random_u64() -> Result<u64, StartError> {
    getrandom::u64().map_err(StartError::Random)
}

/// Where bindings are kept.
pub(crate) fn store(config: &Config) -> PathBuf {
    let own = || config.node.data_dir.join("registrar.sqlite");
    config.registrar.store.clone().unwrap_or_else(own)
}

/// The registrar of a configuration, with the bindings of this file.
pub(crate) fn open_registrar(
    config: &Config,
    keys: &proxy::key::Keys,
    store: &Path,
) -> Result<Registrar, StartError> {
    let settings = registrar::Settings {
        rules: registrar::Rules {
            min_expires: seconds(config.registrar.min_expires),
            max_expires: seconds(config.registrar.max_expires),
            default_expires: seconds(config.registrar.default_expires),
            max_bindings: usize::from(config.registrar.bindings),
            flow_timer: seconds(config.registrar.flow_timer),
        },
        nonce_lifetime: config.registrar.nonce_lifetime,
        ..registrar::Settings::default()
    };
    Registrar::open(
        settings,
        keys.clone(),
        settings::users(config),
        store,
        random_u64()?,
        crate::engine::now(),
    )
    .map_err(|source| StartError::Store {
        path: store.to_owned(),
        source,
    })
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

async fn sessions(
    config: &Config,
    ring: Option<Arc<Ring>>,
    records: &Arc<Records>,
) -> Result<Option<Arc<Sessions>>, StartError> {
    if config.media.rtpengine.is_empty() {
        return Ok(None);
    }
    let mut pool = PoolConfig::new([]);
    pool.probe_interval = config.media.ping_interval;
    for (index, engine) in config.media.rtpengine.iter().enumerate() {
        let address =
            settings::resolve("RTPEngine", &engine.address.host, engine.address.port).await?;
        let mut node = rtpengine(config, index, engine, address);
        node.client.watch = ring.clone().map(|ring| ring as _);
        pool.nodes.push(node);
    }
    let pool = Pool::start(pool).await.map_err(StartError::Media)?;
    Ok(Some(Arc::new(Sessions::new(
        Arc::new(pool),
        config.media.timeout,
        config.media.delete_delay,
        // The other half is for offers and answers, for which somebody waits.
        usize::from(config.media.in_flight).div_ceil(2),
        records.listener(),
    ))))
}

/// One of the RTPEngines, the `index`th, which is found at `address`.
pub(crate) fn rtpengine(
    config: &Config,
    index: usize,
    engine: &config::RtpEngine,
    address: SocketAddr,
) -> NodeConfig {
    let client = ClientConfig {
        in_flight: usize::from(config.media.in_flight),
        first_wait: config.media.retransmit,
        ..ClientConfig::new(address)
    };
    NodeConfig {
        id: NodeId(u16::try_from(index).unwrap_or(u16::MAX)),
        name: format!("{}:{}", engine.address.host, engine.address.port),
        weight: u32::from(engine.weight),
        client,
    }
}

/// Who has to be counted, in the order of the site's peers.
fn calls(config: &Config) -> crate::calls::Settings {
    let quota = |(name, peer): (&String, &config::Peer)| Quota {
        name: name.clone(),
        calls: peer.calls,
        calls_per_second: peer.calls_per_second,
    };
    let quotas: Vec<Quota> = config.peer.iter().map(quota).collect();
    let least_calls = |group: &config::Group| group.algorithm == config::Balance::LeastCalls;
    let watch = crate::calls::Watch {
        silent_after: config.media.silent_after,
        ends_silent: config.media.silent == config::Silent::End,
        device_gone: config.timers.device_gone,
    };
    crate::calls::Settings {
        on: config.admin.listen.is_some()
            || watch.is_on()
            || quotas.iter().any(|quota| quota.calls > 0)
            || config.group.values().any(least_calls),
        age: config.limits.call_age,
        quotas,
        watch,
    }
}

/// The records of calls that are over.
fn records(config: &Config) -> Result<Records, StartError> {
    let engine =
        |engine: &config::RtpEngine| format!("{}:{}", engine.address.host, engine.address.port);
    let settings = crate::record::Settings {
        kept: config.calls.kept as usize,
        file: config.calls.records.clone(),
        age: config.limits.call_age,
        listeners: settings::sections(config).collect(),
        engines: config.media.rtpengine.iter().map(engine).collect(),
    };
    let path = config.calls.records.clone().unwrap_or_default();
    Records::new(settings, (random_u64()?, random_u64()?))
        .map_err(|source| StartError::Records { path, source })
}

pub(crate) fn limits(config: &Config) -> sip::Limits {
    sip::Limits {
        message_bytes: config.limits.message_size.0,
        headers: config.limits.headers,
    }
}

fn timers(config: &Config) -> sip::transaction::Timers {
    sip::transaction::Timers {
        t1: config.timers.t1,
        t2: config.timers.t2,
        t4: config.timers.t4,
        timer_c: config.timers.timer_c,
        ..sip::transaction::Timers::default()
    }
}

fn transport_settings(config: &Config) -> transport::Settings {
    transport::Settings {
        workers: match config.node.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => usize::from(workers),
        },
        limits: limits(config),
        connections: config.limits.connections as usize,
        handshakes: config.limits.handshakes as usize,
        open_files: u64::from(config.node.open_files),
        receive_buffer: config.limits.receive_buffer.0,
        timeouts: Timeouts {
            handshake: config.limits.handshake_timeout,
            http: config.limits.handshake_timeout,
            connect: config.limits.connect_timeout,
            message: config.limits.message_timeout,
            first: config.limits.first_timeout,
            idle: config.limits.idle_timeout,
            ping: config.limits.ping_interval,
            pong: config.limits.ping_timeout,
            ..Timeouts::default()
        },
        ..transport::Settings::default()
    }
}

/// The transports' listeners, in the order of the site's: a listener's place is its number.
fn listeners(
    config: &Config,
    page: Option<Page>,
) -> Result<Vec<(String, transport::Listener)>, StartError> {
    let page = page
        .unwrap_or_default()
        .of(config)
        .map_err(StartError::TurnSecret)?;
    let mut all = Vec::new();
    for (name, section) in &config.listen {
        let tls = match &section.certificate {
            Some(certificate) => Some(server_config(name, certificate)?),
            None => None,
        };
        let http: Arc<dyn transport::Http> = if section.page {
            Arc::new(page.clone())
        } else {
            Arc::new(Page::health())
        };
        for (transport, bind) in section.sockets() {
            let id = ListenerId(u8::try_from(all.len()).unwrap_or(u8::MAX));
            let mut listener = transport::Listener::new(id, transport, bind);
            listener.moves = config.cluster.moves(bind.ip());
            listener.outbox.bytes = config.limits.outbox.0;
            listener.outbox.messages = config.limits.outbox_messages as usize;
            listener.origins = section
                .origins
                .iter()
                .map(|origin| origin.0.clone())
                .collect();
            if transport.is_secure() {
                listener.tls = tls.clone();
            }
            if transport.is_websocket() {
                listener.http = Some(http.clone());
            }
            all.push((name.clone(), listener));
        }
    }
    Ok(all)
}

fn server_config(
    name: &str,
    certificate: &config::Certificate,
) -> Result<Arc<rustls::ServerConfig>, StartError> {
    tls::Certificate::load(&certificate.chain, &certificate.key)
        .and_then(|loaded| tls::server_config(vec![loaded]))
        .map_err(|source| StartError::Certificate {
            name: name.to_owned(),
            source,
        })
}
