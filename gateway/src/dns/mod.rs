//! Where a host is: RFC 3263 over DNS, with an answer kept for its time to live, and longer while DNS is down.
//!
//! - [`locate`]: NAPTR, SRV, A and AAAA in their order;
//! - here: the name servers, and what is kept.

mod locate;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use proxy::NextHop;
use sip::Transport;

pub use locate::SHARES;

/// Answers that are kept. Devices name hosts, too, in requests of calls that they are in: what they ask for must not push a
/// group's names out, which are asked for again all the time and so are never the oldest.
const KEPT: usize = 1024;

/// Which name servers are asked, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Who is asked; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one may take.
    pub timeout: Duration,
    /// How often a question is sent.
    pub attempts: usize,
    /// The least and the most that an answer is good for, whatever its time to live.
    pub ttl: (Duration, Duration),
}

/// A server that a name leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The name that has the address: the asked one, or what an SRV record names.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is spoken there.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
    /// Who is tried first: the lowest (RFC 2782).
    pub priority: u16,
    /// Its share of what its priority gets, of [`SHARES`]; never 0.
    pub share: u32,
    /// True if others have the same name and port.
    pub is_one_of_many: bool,
}

/// What is known of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// Where it is, the first to try in front; empty if DNS says that there is nothing.
    pub targets: Vec<Target>,
    /// When to ask again.
    pub until: Instant,
}

/// DNS gave no answer, and nothing is known from before.
#[derive(Debug, thiserror::Error)]
#[error("DNS gives no answer: {0}")]
pub struct Silent(#[from] NetError);

/// Asks DNS.
pub struct Resolver {
    servers: TokioResolver,
    ttl: (Duration, Duration),
    kept: Mutex<HashMap<NextHop, Located>>,
}

impl Resolver {
    /// A resolver; asks nothing yet.
    ///
    /// # Errors
    /// When the resolver of the system cannot be read, and none is configured.
    pub fn new(settings: &Settings) -> Result<Self, NetError> {
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = settings.servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = settings.attempts;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // What is good for how long is decided here, in one place.
        options.cache_size = 0;
        Ok(Self {
            servers: builder.build()?,
            ttl: settings.ttl,
            kept: Mutex::default(),
        })
    }

    /// Where a host is, by RFC 3263. While DNS is down, the last answer is.
    ///
    /// # Errors
    /// [`Silent`] if there is none.
    pub async fn locate(&self, what: &NextHop) -> Result<Located, Silent> {
        let now = Instant::now();
        let kept = self.lock().get(what).cloned();
        if let Some(fresh) = kept.as_ref().filter(|kept| kept.until > now) {
            return Ok(fresh.clone());
        }
        let (found, soon) = match locate::locate(&self.servers, what).await {
            Ok(found) => (found, false),
            Err(error) => {
                let Some(stale) = kept else {
                    return Err(error.into());
                };
                tracing::debug!(host = ?what.host, %error, "DNS is down: the last answer is served");
                // Not every request is to wait for a server that is down.
                let targets = stale.targets;
                (
                    locate::Found {
                        targets,
                        until: now,
                    },
                    true,
                )
            }
        };
        let now = Instant::now();
        let (least, most) = self.ttl;
        let good_for = if soon {
            least
        } else {
            found
                .until
                .saturating_duration_since(now)
                .clamp(least, most)
        };
        let located = Located {
            targets: found.targets,
            until: now + good_for,
        };
        self.keep(what, &located);
        Ok(located)
    }

    fn keep(&self, what: &NextHop, located: &Located) {
        let mut kept = self.lock();
        if kept.len() >= KEPT && !kept.contains_key(what) {
            let oldest = kept.iter().min_by_key(|(_, located)| located.until);
            if let Some(oldest) = oldest.map(|(what, _)| what.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(what.clone(), located.clone());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NextHop, Located>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
