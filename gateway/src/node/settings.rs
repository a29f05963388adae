//! From the configuration to what the parts of a node are set to, beside its [site](super::site).

use std::net::{IpAddr, SocketAddr};

use sip::Transport;

use super::StartError;
use crate::call_out;
use crate::cluster;
use crate::config::{self, Config, Credential, Listen};
use crate::dns::{self, Resolver};
use crate::upstream;
use crate::{keepalive, registrar};

/// The section of each listener, in the order that numbers them.
pub(crate) fn sections(config: &Config) -> impl Iterator<Item = String> + '_ {
    let sections = config.listen.iter();
    sections.flat_map(|(name, section)| section.sockets().map(move |_| name.clone()))
}

/// How what passed is shown.
pub(super) fn shown(config: &Config) -> crate::admin::Shown {
    crate::admin::Shown {
        listeners: sections(config).collect(),
        secrets: config.trace.secrets == config::Secrets::Show,
    }
}

/// How Homer is told of what passes.
pub(super) async fn hep(
    hep: &config::Hep,
    secrets: config::Secrets,
) -> Result<crate::ladder::hep::Settings, StartError> {
    let password = hep.password().map_err(StartError::HepPassword)?;
    Ok(crate::ladder::hep::Settings {
        to: resolve("Homer", &hep.to.0.host, hep.to.0.port).await?,
        id: hep.id,
        password: password.expose().clone().into_bytes(),
        ng: hep.ng,
        secrets: secrets == config::Secrets::Show,
    })
}

/// Who is asked for names.
pub(crate) fn resolver(config: &Config) -> Result<Resolver, StartError> {
    let dns = &config.dns;
    let settings = dns::Settings {
        servers: dns.servers.clone(),
        timeout: dns.timeout,
        attempts: dns.attempts.into(),
        ttl: (dns.min_ttl, dns.max_ttl),
    };
    Resolver::new(&settings).map_err(|error| StartError::Dns(error.to_string()))
}

/// How each call-out is asked, in the order of their names.
pub(super) fn call_outs(config: &Config) -> Vec<call_out::Settings> {
    let settings = |(name, section): (&String, &config::CallOut)| call_out::Settings {
        name: name.clone(),
        url: section.url.0.clone(),
        timeout: section.timeout,
        cache: section.cache,
        at_once: section.at_once.into(),
    };
    config.call_out.iter().map(settings).collect()
}

/// The other nodes, and how they are watched.
pub(crate) fn nodes(config: &Config) -> (Vec<cluster::Named>, cluster::Rules) {
    let others = config
        .cluster
        .nodes
        .iter()
        .filter(|node| node.id != config.node.id);
    let told = others.map(|node| {
        let transport = node.address.transport.unwrap_or(Transport::Udp);
        cluster::Named {
            node: Some(node.id),
            host: node.address.host.clone(),
            port: node.address.port.unwrap_or(transport.default_port()),
            transport,
        }
    });
    let by_name = config.cluster.dns.iter().map(|name| cluster::Named {
        node: None,
        host: name.host.clone(),
        port: name.port,
        transport: Transport::Udp,
    });
    let probe = &config.cluster.probe;
    let rules = cluster::Rules {
        interval: probe.interval,
        timeout: probe.timeout,
        fall: probe.fall.into(),
    };
    (told.chain(by_name).collect(), rules)
}

/// How devices are pinged, in the order that numbers the listeners.
pub(super) fn keepalive(config: &Config) -> Vec<Option<keepalive::Rules>> {
    let rules = |section: &Listen, transport: Transport| {
        let wanted = &section.keepalive;
        let ping = match wanted.udp {
            config::Ping::Crlf => keepalive::Ping::Crlf,
            config::Ping::Options => keepalive::Ping::Options,
            config::Ping::Off => return None,
        };
        let has_devices = transport == Transport::Udp && !section.is_core();
        has_devices.then_some(keepalive::Rules {
            ping,
            interval: wanted.interval,
            fall: wanted.fall,
            rate: wanted.rate,
        })
    };
    let sections = config.listen.values();
    sections
        .flat_map(|section| {
            section
                .sockets()
                .map(move |(transport, _)| rules(section, transport))
        })
        .collect()
}

/// How the groups are probed, in the order of the site's.
pub(super) fn probes(config: &Config) -> Vec<upstream::Rules> {
    let rules = |group: &config::Group| upstream::Rules {
        interval: group.probe.interval,
        timeout: group.probe.timeout,
        rise: group.probe.rise.into(),
        fall: group.probe.fall.into(),
    };
    config.group.values().map(rules).collect()
}

/// The first address of a name, or the address itself.
pub(super) async fn resolve(
    what: &'static str,
    host: &str,
    port: u16,
) -> Result<SocketAddr, StartError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let no_address = |reason: String| StartError::Resolve {
        what,
        host: host.to_owned(),
        reason,
    };
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| no_address(error.to_string()))?;
    found
        .next()
        .ok_or_else(|| no_address("the answer is empty".to_owned()))
}

/// The users of all domains.
pub(super) fn users(config: &Config) -> registrar::Users {
    let mut users = registrar::Users::default();
    for (name, domain) in &config.domain {
        let aliases: Vec<&str> = domain.aliases.iter().map(String::as_str).collect();
        let algorithms: Vec<_> = domain
            .auth
            .algorithms
            .iter()
            .map(|algorithm| self::algorithm(*algorithm))
            .collect();
        users.add_domain(name, &aliases, &algorithms);
        for user in &domain.users {
            // `check` has seen to it that each user has one credential.
            let Some(credential) = user.credential() else {
                continue;
            };
            let credential = match &credential {
                Credential::Password(password) => {
                    registrar::Credential::Password(password.expose())
                }
                Credential::Ha1(kind, ha1) => {
                    registrar::Credential::Ha1(self::algorithm(*kind), ha1.expose())
                }
            };
            users.add_user(name, &user.name, credential);
        }
    }
    users
}

fn algorithm(algorithm: config::Algorithm) -> sip::digest::Algorithm {
    match algorithm {
        config::Algorithm::Md5 => sip::digest::Algorithm::Md5,
        config::Algorithm::Sha256 => sip::digest::Algorithm::Sha256,
    }
}
