//! What contradicts what: checks over sections that each read well. Each section has its own in its file; here is what
//! no single section can see.
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use sip::Transport;

use super::Config;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::domain::holds_secret;
use super::secret::open_to_others;
use super::source::{Source, Surroundings};

/// What checks are given, and where they put what they find.
pub(crate) struct Checks<'s> {
    pub(crate) source: &'s Source,
    pub(crate) now: SystemTime,
    pub(crate) found: Diagnostics,
}

impl<'s> Checks<'s> {
    pub(crate) fn new(source: &'s Source, now: SystemTime) -> Self {
        Self {
            source,
            now,
            found: Diagnostics::default(),
        }
    }

    pub(crate) fn push(&mut self, found: Diagnostic) {
        self.found.push(found);
    }
}

/// All checks; also reads what the file only points to.
pub(crate) fn check(
    config: &mut Config,
    source: &Source,
    around: &Surroundings<'_>,
) -> Diagnostics {
    let mut checks = Checks::new(source, around.now);
    config.node.check(&mut checks);
    config.cluster.check(config, &mut checks);
    for (name, listen) in &config.listen {
        listen.check(name, &mut checks);
    }
    for (name, domain) in &mut config.domain {
        domain.check(name, around, &mut checks);
    }
    let config = &*config;
    for (name, group) in &config.group {
        group.check(name, config, &mut checks);
        group.check_listener(name, config, &mut checks);
    }
    for (name, peer) in &config.peer {
        peer.check(name, config, &mut checks);
    }
    for (name, call_out) in &config.call_out {
        call_out.check(name, config, &mut checks);
    }
    for (index, route) in config.route.iter().enumerate() {
        route.check(index, config, &mut checks);
    }
    config.dns.check(&mut checks);
    config.registrar.check(&mut checks);
    config.media.check(&mut checks);
    config.turn.check(config, &mut checks);
    config.trace.check(&mut checks);
    config.limits.check(
        config.node.open_files,
        config.registrar.max_expires,
        &mut checks,
    );
    config.timers.check(&mut checks);
    config.admin.check(&mut checks);
    something_to_do(config, &mut checks);
    addresses(config, &mut checks);
    aliases(config, &mut checks);
    unused_groups(config, &mut checks);
    groups_need_a_core_side(config, &mut checks);
    members_are_heard(config, &mut checks);
    devices_come_in(config, &mut checks);
    super::role::check(config, &mut checks);
    super::policy::check(config, &mut checks);
    browsers_need_media(config, &mut checks);
    readers_of_this_file(config, &mut checks);
    checks.found
}

fn something_to_do(config: &Config, checks: &mut Checks<'_>) {
    let source = checks.source;
    let nowhere = |message: &str| Diagnostic::error(&source.file, 0..0, message);
    if config.listen.is_empty() && !source.wrote("listen") {
        checks.push(nowhere("there is no listener: nobody can reach this node").help(
            "add [listen.public] with `udp = \"0.0.0.0:5060\"` and `advertise = \"sbc.example.com\"`",
        ));
    }
    if config.domain.is_empty()
        && config.route.is_empty()
        && !source.wrote("domain")
        && !source.wrote("route")
    {
        let found =
            nowhere("there is neither a domain nor a route: every request would be refused");
        checks
            .push(found.help("add [domain.\"example.com\"] with users, or a [[route]] to a group"));
    }
}

/// Two sockets cannot have one address. UDP and the streams count apart.
fn addresses(config: &Config, checks: &mut Checks<'_>) {
    let mut taken: Vec<(bool, SocketAddr, String)> = Vec::new();
    let mut all: Vec<(Transport, SocketAddr, String)> = Vec::new();
    for (name, listen) in &config.listen {
        all.extend(listen.places(&format!("listen.{name}")));
    }
    if let Some(address) = config.admin.listen {
        all.push((Transport::Tcp, address, "admin.listen".to_owned()));
    }
    // In the order of the file, so that the later one is the one too many.
    all.sort_by_key(|(_, _, place)| checks.source.value(place).map_or(0, |span| span.start));
    for (transport, address, place) in all {
        let stream = transport.is_stream();
        let same = |other: &&(bool, SocketAddr, String)| {
            other.0 == stream && collide(stream, other.1, address)
        };
        if let Some((_, _, first)) = taken.iter().find(same) {
            let message = format!("`{address}` is already taken by `{first}`");
            let found = checks.source.error(&place, message);
            let next = SocketAddr::new(address.ip(), address.port().saturating_add(1));
            let help = match both_sides(config, first, &place) {
                Some(devices) => format!(
                    "devices and the core at one address: `core = [NETWORKS]` in [listen.{devices}], in place of the section with `trust`"
                ),
                None => format!("another port, for example \"{next}\", or remove one of the two"),
            };
            checks.push(found.help(help));
        }
        taken.push((stream, address, place));
    }
}

/// The devices' side, if one of two places is of such a side and the other one of a core side.
fn both_sides<'p>(config: &Config, first: &'p str, second: &'p str) -> Option<&'p str> {
    let side = |place: &'p str| {
        let name = place.strip_prefix("listen.")?.rsplit_once('.')?.0;
        Some((name, config.listen.get(name)?.is_core()))
    };
    match (side(first)?, side(second)?) {
        ((devices, false), (_, true)) | ((_, true), (devices, false)) => Some(devices),
        _ => None,
    }
}

/// Two listeners for streams cannot share a port where one has all addresses. With UDP the more precise one wins: a
/// public side on `0.0.0.0` and a core side on one address are one port.
fn collide(stream: bool, one: SocketAddr, other: SocketAddr) -> bool {
    let wildcard = one.ip().is_unspecified() || other.ip().is_unspecified();
    let family = one.is_ipv4() == other.is_ipv4();
    let overlap = one == other || (stream && wildcard && family && one.port() == other.port());
    overlap && one.port() != 0
}

fn aliases<'c>(config: &'c Config, checks: &mut Checks<'_>) {
    let mut known: Vec<(&'c str, &'c str)> = Vec::new();
    let mut take = |name: &'c str, owner: &'c str, place: String| {
        let taken = known
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        if let Some((_, owner)) = taken {
            let message = format!("`{name}` already means the users of `{owner}`");
            let found = checks.source.error_at_key(&place, message);
            checks.push(found.help("a name belongs to one domain; remove one of the two"));
        }
        known.push((name, owner));
    };
    for name in config.domain.keys() {
        take(name, name, format!("domain.{name}"));
    }
    for (name, domain) in &config.domain {
        for (index, alias) in domain.aliases.iter().enumerate() {
            take(alias, name, format!("domain.{name}.aliases[{index}]"));
        }
    }
}

fn unused_groups(config: &Config, checks: &mut Checks<'_>) {
    use super::route::{RouteFrom, RouteTo};
    // A rule that could not be read has its own message.
    let means = |index: usize, name: &str| {
        let span = checks.source.value(&format!("route[{index}].to"));
        span.and_then(|span| checks.source.file.text.get(span))
            .is_some_and(|written| written.contains(name))
    };
    for name in config.group.keys() {
        let used = config.route.iter().enumerate().any(|(index, route)| {
            matches!(&route.to, RouteTo::Group(to) if to == name)
                || matches!(&route.from, RouteFrom::Group(from) if from == name)
                || route.to == RouteTo::Lookup && means(index, name)
        });
        // An answer may choose any of them.
        if !used && config.call_out.is_empty() {
            let found = checks.source.warning_at_key(
                &format!("group.{name}"),
                format!("no route uses the group `{name}`"),
            );
            checks.push(found.help(format!("add a [[route]] with `to = \"group:{name}\"`")));
        }
    }
}

/// Trust follows the listener: without one that faces the core, a group's answers and requests would count as a device's.
fn groups_need_a_core_side(config: &Config, checks: &mut Checks<'_>) {
    use super::route::{RouteFrom, RouteTo};
    let trusts = |(name, listen): (&String, &super::Listen)| {
        let wrote = |key: &str| checks.source.wrote(&format!("listen.{name}.{key}"));
        listen.faces_core() || wrote("trust") || wrote("core") || wrote("edges")
    };
    if config.listen.iter().any(trusts) {
        return;
    }
    let first =
        config
            .route
            .iter()
            .enumerate()
            .find_map(|(index, route)| match (&route.to, &route.from) {
                // Its members are outside.
                (RouteTo::Group(name), _)
                    if config
                        .group
                        .get(name)
                        .is_some_and(|group| group.listener.is_some()) =>
                {
                    None
                }
                (RouteTo::Group(name), _) => Some((format!("route[{index}].to"), name)),
                (_, RouteFrom::Group(name)) => Some((format!("route[{index}].from"), name)),
                _ => None,
            });
    // A group that is not there has its own message.
    let Some((place, name)) = first.filter(|(_, name)| config.group.contains_key(*name)) else {
        return;
    };
    // An address of theirs makes the example one that can be copied.
    let members = config
        .group
        .get(name)
        .map(|group| &group.members[..])
        .unwrap_or_default();
    let member = members
        .first()
        .and_then(|member| member.uri.host.parse::<std::net::IpAddr>().ok());
    let network = match member {
        Some(address @ std::net::IpAddr::V4(_)) => format!("{address}/32"),
        Some(address @ std::net::IpAddr::V6(_)) => format!("{address}/128"),
        None => "10.33.69.0/24".to_owned(),
    };
    let found = checks
        .source
        .error(&place, format!("no listener faces the group `{name}`"));
    checks.push(found.help(format!(
        "add [listen.core] with `udp = \"ADDRESS:5060\"`, an address of this machine that they reach, and `trust = [\"{network}\"]`; or `core = [\"{network}\"]` to the side of the devices, if both use its address"
    )));
}

/// What comes to a core side from an address that it does not trust is dropped: a member's answers, too.
fn members_are_heard(config: &Config, checks: &mut Checks<'_>) {
    let trusts = |address: IpAddr| {
        let nets = |listen: &super::Listen| [listen.trusted(), listen.core.clone()].concat();
        let mut all = config.listen.values().flat_map(nets);
        all.any(|net| net.contains(&address))
    };
    let sockets = || {
        let of = |(name, listen): (&String, &super::Listen)| {
            listen
                .sockets()
                .map(|(_, at)| (name.clone(), at))
                .collect::<Vec<_>>()
        };
        config.listen.iter().flat_map(of)
    };
    // Without a side of the core, or with one that could not be read, there is another message.
    let faces_core = |listen: &super::Listen| listen.faces_core();
    let some_side = config.listen.values().any(faces_core);
    for (name, group) in &config.group {
        for (index, member) in group.members.iter().enumerate() {
            let at = format!("group.{name}.members[{index}]");
            let Ok(address) = member.uri.host.parse::<IpAddr>() else {
                continue;
            };
            let whole = SocketAddr::new(address, member.uri.port.unwrap_or(5060));
            if let Some((own, _)) = sockets().find(|(_, bound)| *bound == whole) {
                let message = format!("`{whole}` is this node itself, [listen.{own}]");
                let found = checks.source.error(&at, message);
                checks.push(found.help(
                    "the address of the other server; users of this node are `to = \"lookup\"`",
                ));
            } else if some_side
                && group.listener.is_none()
                && !address.is_unspecified()
                && !trusts(address)
            {
                let message =
                    format!("no listener trusts `{address}`: its answers would be dropped");
                let found = checks.source.error(&at, message);
                checks.push(found.help(format!(
                    "add \"{address}/{}\" to `trust` of the core side (to `core` where one address serves both); `listener` where it is outside",
                    if address.is_ipv4() { 32 } else { 128 }
                )));
            }
        }
    }
}

/// A listener with `trust` is no place for devices.
fn devices_come_in(config: &Config, checks: &mut Checks<'_>) {
    let listens = !config.listen.is_empty() && config.listen.values().all(super::Listen::is_core);
    let rule = config
        .route
        .iter()
        .position(|route| route.from == super::route::RouteFrom::Devices);
    if let Some(index) = rule.filter(|_| listens) {
        let at = format!("route[{index}].from");
        if checks.source.value(&at).is_none() {
            return;
        }
        let found = checks.source.warning(
            &at,
            "no listener faces devices: with `trust` or `edges` it is for servers alone",
        );
        checks.push(found.help("add [listen.public] without `trust`; or say `core` in place of `trust` where devices and servers share one address"));
    }
}

fn browsers_need_media(config: &Config, checks: &mut Checks<'_>) {
    if !config.media.rtpengine.is_empty() || checks.source.wrote("media.rtpengine") {
        return;
    }
    let browsers = config.listen.iter().find_map(|(name, listen)| {
        let key = if listen.wss.is_empty() { "ws" } else { "wss" };
        (!listen.ws.is_empty() || !listen.wss.is_empty()).then(|| format!("listen.{name}.{key}"))
    });
    if let Some(place) = browsers {
        let found = checks
            .source
            .warning_at_key(&place, "browsers come in here, but no RTPEngine is given");
        checks.push(found.help("a browser and a phone hear nothing of each other: add [media] with `rtpengine = \"127.0.0.1:2223\"`"));
    }
}

fn readers_of_this_file(config: &Config, checks: &mut Checks<'_>) {
    let secret = config
        .domain
        .iter()
        .any(|(name, domain)| holds_secret(domain, name, checks));
    let path = &checks.source.file.path;
    let Some(mode) = std::fs::metadata(path)
        .ok()
        .filter(|_| secret)
        .and_then(|data| open_to_others(&data))
    else {
        return;
    };
    let message = format!("this file holds passwords, but others can read it (mode {mode})");
    let found = Diagnostic::warning(&checks.source.file, None, message);
    checks.push(found.help(format!(
        "chmod 600 {}, or password_file and password_env",
        path.display()
    )));
}
