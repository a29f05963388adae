//! From the configuration to what decisions need to know of it; [`settings`](super::settings) has the rest.

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

use crate::config::{self, Config, Listen, RouteFrom, RouteTo};
use crate::upstream::Source;

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
        for (transport, bind) in section.sockets() {
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
        policies: super::media::policies(config),
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
