//! What only the machine can tell of a configuration: whether addresses are its own, ports free, names known.
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sip::Transport;
use socket2::{Domain, Socket, Type};

use super::Config;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::plain;
use super::reader::nearest;
use super::source::Source;

/// How long all names together may take to resolve: a dead resolver must not make `causeway check` hang.
const NAMES_WAIT: Duration = Duration::from_secs(5);

/// Tries what the node will do at start: binds each address for a moment, resolves each name, looks at its directory
/// and its limits. A node that already runs with this configuration holds its ports, and they are reported.
pub fn probe(config: &Config, source: &Source) -> Diagnostics {
    let mut found = Diagnostics::default();
    for (name, listen) in &config.listen {
        for (transport, address, place) in listen.places(&format!("listen.{name}")) {
            // Another machine may have it now.
            if !config.cluster.moves(address.ip()) {
                found.extend(bind(transport, address, &place, source));
            }
        }
    }
    if let Some(address) = config.admin.listen {
        found.extend(bind(Transport::Tcp, address, "admin.listen", source));
    }
    found.extend(names(config, source));
    found.extend(directory(&config.node.data_dir, source));
    found.extend(records(config, source));
    found.extend(open_files(config.node.open_files, source));
    found.sort();
    found
}

/// The file of records can be made; that it is not there yet is no mistake.
fn records(config: &Config, source: &Source) -> Diagnostics {
    let mut found = Diagnostics::default();
    let Some(path) = &config.calls.records else {
        return found;
    };
    let folder = path.parent().unwrap_or(path);
    // That of the node is made at start.
    let is_there =
        folder.is_dir() || folder.as_os_str().is_empty() || folder == config.node.data_dir;
    let message = if path.is_dir() {
        format!("{} is a directory, not a file", path.display())
    } else if !is_there {
        format!("there is no directory {}", folder.display())
    } else {
        return found;
    };
    let help = "a file in a directory that is there, for example \"/var/log/causeway/calls.jsonl\"";
    found.push(source.error("calls.records", message).help(help));
    found
}

/// As the node does it: IPv6 leaves IPv4 alone, and a stream's port may still have old connections.
fn try_bind(transport: Transport, address: SocketAddr) -> std::io::Result<()> {
    let kind = if transport.is_stream() {
        Type::STREAM
    } else {
        Type::DGRAM
    };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_reuse_address(transport.is_stream())?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Binding beside a listener succeeds with SO_REUSEADDR; only listening tells.
    if transport.is_stream() {
        socket.listen(1)
    } else {
        Ok(())
    }
}

fn bind(transport: Transport, address: SocketAddr, place: &str, source: &Source) -> Diagnostics {
    let mut found = Diagnostics::default();
    let Err(error) = try_bind(transport, address) else {
        return found;
    };
    let layer = if transport.is_stream() { "TCP" } else { "UDP" };
    let (message, help) = match error.kind() {
        ErrorKind::AddrInUse => {
            let free = (address.port()..=u16::MAX)
                .skip(1)
                .take(100)
                .map(|port| SocketAddr::new(address.ip(), port))
                .find(|address| try_bind(transport, *address).is_ok());
            let free = free.map_or("another port".to_owned(), |free| format!("\"{free}\", which is free"));
            let flag = if transport.is_stream() { 't' } else { 'u' };
            let who = format!("`ss -{flag}lpn 'sport = :{}'` says who has it", address.port());
            (format!("{layer} port {} is in use", address.port()), format!("{who}; or take {free}"))
        }
        ErrorKind::AddrNotAvailable => {
            let own = own_addresses(address.ip());
            let written: Vec<String> = own.iter().map(IpAddr::to_string).collect();
            let best = nearest(&address.ip().to_string(), written.iter().map(String::as_str)).map(str::to_owned);
            let near = best.map_or(String::new(), |best| format!("did you mean {best}? "));
            let message = format!("{} is not an address of this machine", address.ip());
            (message, format!("{near}Its addresses: {}", written.join(", ")))
        }
        ErrorKind::PermissionDenied => (
            format!("not allowed to use port {}", address.port()),
            "ports below 1024 need a right: `setcap cap_net_bind_service=+ep causeway`, or AmbientCapabilities in the unit".to_owned(),
        ),
        _ => (format!("cannot bind {address}: {}", plain(&error)), "an address of this machine and a free port".to_owned()),
    };
    found.push(source.error(place, message).help(help));
    found
}

/// This machine's addresses of the same family.
fn own_addresses(like: IpAddr) -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|address| address.is_ipv4() == like.is_ipv4())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Every name that the node would resolve, once, all at the same time.
fn names(config: &Config, source: &Source) -> Diagnostics {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |host: &str, place: String| {
        if host.parse::<IpAddr>().is_err() {
            places.entry(host.to_owned()).or_default().push(place);
        }
    };
    for (index, engine) in config.media.rtpengine.iter().enumerate() {
        add(&engine.address.host, format!("media.rtpengine[{index}]"));
    }
    for (name, listen) in &config.listen {
        if let Some(advertise) = &listen.advertise {
            add(&advertise.host, format!("listen.{name}.advertise"));
        }
    }
    for (name, group) in &config.group {
        for (index, member) in group.members.iter().enumerate() {
            add(&member.uri.host, format!("group.{name}.members[{index}]"));
        }
    }
    for (index, node) in config.cluster.nodes.iter().enumerate() {
        add(
            &node.address.host,
            format!("cluster.nodes[{index}].address"),
        );
    }
    if let Some(dns) = &config.cluster.dns {
        add(&dns.host, "cluster.dns".to_owned());
    }
    let (done, answers) = mpsc::channel();
    for name in places.keys() {
        let (name, done) = (name.clone(), done.clone());
        // Not awaited: the resolver has no way to be stopped, and the process ends after the report.
        std::thread::spawn(move || {
            let known = (name.as_str(), 0)
                .to_socket_addrs()
                .is_ok_and(|mut found| found.next().is_some());
            // Nobody listens any more once the time is over.
            let _ = done.send((name, known));
        });
    }
    drop(done);
    let deadline = Instant::now() + NAMES_WAIT;
    let mut known = BTreeMap::new();
    while let Ok((name, resolves)) =
        answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        known.insert(name, resolves);
    }
    let mut found = Diagnostics::default();
    for (name, places) in &places {
        let message = match known.get(name) {
            Some(true) => continue,
            Some(false) => format!("the name `{name}` does not resolve"),
            None => format!(
                "the name `{name}` was not resolved within {} s",
                NAMES_WAIT.as_secs()
            ),
        };
        for place in places {
            // A warning: DNS may be back when the node starts, and a group's name may have SRV records only.
            let found_here = source.warning(place, message.clone());
            found.push(found_here.help("is it spelt right, and does this machine's resolver know it? An address needs none"));
        }
    }
    found
}

fn directory(path: &Path, source: &Source) -> Diagnostics {
    let mut found = Diagnostics::default();
    let place = "node.data_dir";
    let advice = format!(
        "mkdir -p {0} and give it to the user that runs causeway, or set `node.data_dir`",
        path.display()
    );
    let problem = match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => {
            Some(format!("{} is not a directory", path.display()))
        }
        Ok(_) => nix::unistd::access(path, nix::unistd::AccessFlags::W_OK)
            .err()
            .map(|error| {
                format!(
                    "cannot write into {}: {}",
                    path.display(),
                    error.desc().to_lowercase()
                )
            }),
        Err(error) => Some(format!("cannot use {}: {}", path.display(), plain(&error))),
    };
    if let Some(message) = problem {
        found.push(at_or_nowhere(source, place, Diagnostic::error, message).help(advice));
    }
    found
}

fn open_files(wanted: u32, source: &Source) -> Diagnostics {
    use nix::sys::resource::{Resource, getrlimit};
    let mut found = Diagnostics::default();
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && hard < u64::from(wanted)
    {
        let message = format!("{wanted} open files are wanted, but the system allows {hard}");
        let help = format!("`LimitNOFILE={wanted}` in the unit, or `ulimit -Hn {wanted}` as root");
        found.push(
            at_or_nowhere(source, "node.open_files", Diagnostic::warning, message).help(help),
        );
    }
    found
}

/// A default stands nowhere in the file: then no line is shown.
fn at_or_nowhere(
    source: &Source,
    place: &str,
    make: fn(&std::sync::Arc<super::File>, Option<std::ops::Range<usize>>, String) -> Diagnostic,
    message: String,
) -> Diagnostic {
    make(
        &source.file,
        source.value(place).filter(|_| source.wrote(place)),
        message,
    )
}
