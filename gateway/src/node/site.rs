//! From the configuration to what decisions need to know of it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use proxy::NextHop;
use proxy::call_out::CallOut;
use proxy::cluster::{Shared, SharedName};
use proxy::flow::ListenerId;
use proxy::group::{Algorithm, By, FailOver, Group};
use proxy::mtu::Mtu;
use proxy::peer::{Peer, Peers};
use proxy::site::{Listener, Match, Route, Side, Site, To};
use sip::Transport;

use super::StartError;
use crate::call_out;
use crate::cluster;
use crate::config::{self, Config, Credential, Listen, RouteFrom, RouteTo};
use crate::dns::{self, Resolver};
use crate::upstream::{self, Source};
use crate::{keepalive, registrar};

/// A site, and who may speak to each of its listeners.
pub(crate) struct Described {
    pub(crate) site: Site,
    pub(crate) trust: Vec<Vec<ipnet::IpNet>>,
    pub(crate) core: Vec<Vec<ipnet::IpNet>>,
    pub(crate) sources: Vec<Source>,
}

/// Describes the node. Names of members lead nowhere yet.
pub(crate) fn of(config: &Config, media: bool) -> Described {
    let (mut trust, mut core) = (Vec::new(), Vec::new());
    let mut listeners = Vec::new();
    let mut sections: HashMap<&str, Vec<ListenerId>> = HashMap::new();
    for (name, section) in &config.listen {
        let side = if section.is_core() {
            Side::Core
        } else {
            Side::Device
        };
        for (transport, bind) in sockets(section) {
            let id = ListenerId(u8::try_from(listeners.len()).unwrap_or(u8::MAX));
            let (host, port) = advertised(section, bind);
            sections.entry(name).or_default().push(id);
            let mtu = Mtu {
                bytes: section.mtu,
                savings: section.shorten.clone(),
            };
            listeners.push(Listener {
                id,
                side,
                core: section.core.clone(),
                transport,
                bind,
                host,
                port,
                mtu,
                edges: section.edges.clone(),
                path: section.path.into(),
                hides: section.hide_topology,
            });
            trust.push(section.trusted());
            core.push(section.core.clone());
        }
    }
    let mut sources = Vec::new();
    let mut groups = Vec::new();
    for (index, (name, group)) in config.group.iter().enumerate() {
        groups.push(self::group(
            name,
            group,
            index,
            (&sections, &listeners),
            &mut sources,
        ));
    }
    let peers = self::peers(config, &sections, &listeners);
    let lower = |name: &String| name.to_ascii_lowercase();
    let site = Site {
        node: config.node.id,
        device_key: (0, 0),
        own: own(&listeners),
        listeners,
        aliases: config
            .domain
            .iter()
            .flat_map(|(name, domain)| {
                domain
                    .aliases
                    .iter()
                    .map(move |alias| (lower(alias), lower(name)))
            })
            .collect(),
        domains: config.domain.keys().map(lower).collect::<HashSet<_>>(),
        routes: config
            .route
            .iter()
            .map(|route| self::route(route, &sections, &groups, config))
            .collect(),
        call_outs: call_outs(config, &groups),
        peers,
        groups,
        shared: shared(&config.cluster),
        core: [trust.concat(), core.concat()].concat(),
        media,
        authenticate: true,
    };
    Described {
        site,
        trust,
        core,
        sources,
    }
}

/// The addresses of this machine, if a listener is bound to all of them. One that comes later (of a cluster, moved here) is
/// named by the configuration.
fn own(listeners: &[Listener]) -> Vec<IpAddr> {
    if !listeners.iter().any(|one| one.bind.ip().is_unspecified()) {
        return Vec::new();
    }
    let interfaces = nix::ifaddrs::getifaddrs()
        .inspect_err(|error| tracing::warn!(%error, "the addresses of this machine are not known"));
    let addresses = interfaces
        .into_iter()
        .flatten()
        .filter_map(|one| one.address);
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    addresses.filter_map(ip).collect()
}

/// The sockets of a section, in the order that numbers them.
pub(crate) fn sockets(section: &Listen) -> impl Iterator<Item = (Transport, SocketAddr)> + '_ {
    let of = |transport, addresses: &'_ [SocketAddr]| {
        addresses
            .iter()
            .map(move |at| (transport, *at))
            .collect::<Vec<_>>()
    };
    of(Transport::Udp, &section.udp)
        .into_iter()
        .chain(of(Transport::Tcp, &section.tcp))
        .chain(of(Transport::Tls, &section.tls))
        .chain(of(Transport::Ws, &section.ws))
        .chain(of(Transport::Wss, &section.wss))
}

fn advertised(section: &Listen, bind: SocketAddr) -> (String, u16) {
    match &section.advertise {
        Some(advertise) => (
            advertise.host.clone(),
            advertise.port.unwrap_or(bind.port()),
        ),
        None => (bind.ip().to_string(), bind.port()),
    }
}

/// A group, and what its members are made from.
fn group(
    name: &str,
    group: &config::Group,
    index: usize,
    (sections, listeners): (&HashMap<&str, Vec<ListenerId>>, &[Listener]),
    sources: &mut Vec<Source>,
) -> Group {
    let by = |name: &String| sections.get(name.as_str()).cloned().unwrap_or_default();
    let leaves_by = group.listener.as_ref().map(by).unwrap_or_default();
    let mut members = Vec::new();
    for member in &group.members {
        let uri = &member.uri;
        let source = Source {
            group: index,
            first: members.len(),
            uri: uri.uri.clone(),
            ask: NextHop {
                host: uri.host.to_ascii_lowercase(),
                port: uri.port,
                transport: uri.transport.or(group.transport),
            },
            priority: member.priority,
            weight: member.weight,
            drain: member.drain,
        };
        members.extend(source.unresolved());
        sources.push(source);
    }
    Group {
        contact_token: group.contact == config::ContactStyle::Token,
        name: name.to_owned(),
        members,
        algorithm: algorithm_of(group.algorithm),
        fail_over: FailOver(group.fail_over.iter().map(|of| (of.0, of.1)).collect()),
        outside: listeners
            .iter()
            .any(|listener| leaves_by.contains(&listener.id) && listener.side == Side::Device),
        listeners: leaves_by,
        follows_redirects: group.redirects == config::Redirects::Follow,
    }
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

fn algorithm_of(algorithm: config::Balance) -> Algorithm {
    match algorithm {
        config::Balance::Rendezvous => Algorithm::Rendezvous(By::AddressOfRecord),
        config::Balance::RendezvousCallId | config::Balance::Weighted => {
            Algorithm::Rendezvous(By::CallId)
        }
        config::Balance::RendezvousSource => Algorithm::Rendezvous(By::Source),
        config::Balance::RoundRobin => Algorithm::RoundRobin,
        config::Balance::LeastCalls => Algorithm::LeastCalls,
    }
}

/// The peers, in the order of their names.
fn peers(
    config: &Config,
    sections: &HashMap<&str, Vec<ListenerId>>,
    listeners: &[Listener],
) -> Peers {
    let peer = |(name, peer): (&String, &config::Peer)| {
        let wanted = peer
            .listener
            .as_ref()
            .map(|name| sections.get(name.as_str()));
        let is_one = |listener: &&Listener| {
            let named =
                |ids: Option<&Vec<ListenerId>>| ids.is_some_and(|ids| ids.contains(&listener.id));
            listener.side == Side::Device && wanted.is_none_or(named)
        };
        let speaks = |listener: &&Listener| {
            peer.transport.is_empty() || peer.transport.contains(&listener.transport)
        };
        let here = || listeners.iter().filter(is_one);
        Peer {
            name: name.clone(),
            networks: peer.addresses.clone(),
            listeners: here().map(|listener| listener.id).collect(),
            admitted: here().filter(speaks).map(|listener| listener.id).collect(),
            identity: peer.identity,
            registers: peer.registers,
            limited: peer.calls > 0 || peer.calls_per_second > 0,
        }
    };
    Peers::new(config.peer.iter().map(peer).collect())
}

/// `check` has seen to it that listeners, peers and groups are there.
fn route(
    route: &config::Route,
    sections: &HashMap<&str, Vec<ListenerId>>,
    groups: &[Group],
    config: &Config,
) -> Route {
    let group_of = |name: &String| groups.iter().position(|group| group.name == *name);
    let mut when = Match::default();
    match &route.from {
        RouteFrom::Devices => when.side = Some(Side::Device),
        RouteFrom::Edges => {
            when.side = Some(Side::Core);
            when.edges = true;
        }
        RouteFrom::Peer(name) => when.peer = config.peer.keys().position(|peer| peer == name),
        RouteFrom::Listener(name) => {
            when.listeners = sections.get(name.as_str()).cloned().unwrap_or_default();
        }
        RouteFrom::Group(name) => {
            when.side = Some(Side::Core);
            when.group = group_of(name);
        }
    }
    let to = target(&route.to, groups, config);
    let when = Match {
        methods: route.method.clone(),
        domains: route.domain.iter().cloned().collect(),
        user: route.user.clone(),
        prefix: route.prefix.clone(),
        regex: route.regex.as_ref().map(|pattern| pattern.0.clone()),
        ..when
    };
    Route { when, to }
}

/// `check` has seen to it that it is there.
fn target(to: &RouteTo, groups: &[Group], config: &Config) -> To {
    match to {
        RouteTo::Lookup => To::Lookup,
        RouteTo::Reject(status) => To::Reject(*status),
        RouteTo::Group(name) => groups
            .iter()
            .position(|group| group.name == *name)
            .map_or(To::Lookup, To::Group),
        RouteTo::CallOut(name) => config
            .call_out
            .keys()
            .position(|known| known == name)
            .map_or(To::Lookup, To::CallOut),
    }
}

/// Who is asked where requests go, in the order of their names.
fn call_outs(config: &Config, groups: &[Group]) -> Vec<CallOut> {
    let call_out = |(name, section): (&String, &config::CallOut)| CallOut {
        name: name.clone(),
        on_failure: target(&section.on_failure, groups, config),
    };
    config.call_out.iter().map(call_out).collect()
}

/// How each of them is asked.
pub(super) fn asked(config: &Config) -> Vec<call_out::Settings> {
    let settings = |(name, section): (&String, &config::CallOut)| call_out::Settings {
        name: name.clone(),
        url: section.url.0.clone(),
        timeout: section.timeout,
        cache: section.cache,
        at_once: section.at_once.into(),
    };
    config.call_out.iter().map(settings).collect()
}

fn shared(cluster: &config::Cluster) -> Shared {
    let name = |advertise: &config::Advertise| SharedName {
        host: advertise.host.clone(),
        port: advertise.port,
    };
    Shared {
        core: cluster.shared_core.as_ref().map(name),
        public: cluster.shared_public.iter().map(name).collect(),
    }
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
        .flat_map(|section| sockets(section).map(move |(transport, _)| rules(section, transport)))
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
