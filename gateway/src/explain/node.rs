//! The node as its configuration would make it, without its sockets.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use proxy::cluster::Nodes;
use proxy::flow::ListenerId;
use proxy::key::Keys;
use proxy::site::{Listener, Side};
use proxy::token::{FlowAddress, Sealer};
use proxy::{Alive, Context, Device, Flow, Flows, Hop, Site};
use rtpengine_client::PoolConfig;
use sip::{Edited, Transport};
use tempfile::TempDir;

use super::input;
use super::options::{self, Options};
use crate::config::{self, Config, Source, Surroundings};
use crate::dns::Resolver;
use crate::guard::{self, Guard};
use crate::node::{self, keys, settings, site};
use crate::registrar::Registrar;
use crate::upstream;

/// A node that is not there.
pub(super) struct Imagined {
    pub(super) config: Config,
    source: Source,
    pub(super) site: Site,
    pub(super) sealer: Sealer,
    pub(super) registrar: Option<Registrar>,
    /// Who is asked for names, if anybody is to be.
    pub(super) resolver: Option<Resolver>,
    pub(super) limits: sip::Limits,
    /// The RTPEngines, to choose among: nobody speaks to them.
    pub(super) pool: PoolConfig,
    guard: Guard,
    /// The section of each listener.
    sections: Vec<String>,
    around: Around,
    dead: HashSet<(usize, usize)>,
    /// The other nodes of the cluster.
    others: Vec<(u16, Transport, SocketAddr)>,
    /// What is taken for granted.
    pub(super) assumed: Vec<String>,
    /// Where the copy of the bindings is.
    _store: Option<TempDir>,
}

/// Where devices are, as far as it was said.
struct Around {
    listeners: Vec<(Transport, std::net::SocketAddr)>,
    registered: Vec<(Flow, Vec<Device>)>,
}

impl Imagined {
    /// Reads the configuration and what it names.
    pub(super) async fn of(options: &Options) -> anyhow::Result<Self> {
        let (config, source) = load(&options.file)?;
        let mut assumed = Vec::new();
        let data = &config.node.data_dir;
        let keys = match keys::existing(config.node.key_file.as_deref(), data)? {
            Some(keys) => keys,
            None => {
                assumed.push(
                    "no key file is there yet: tokens are made with a made-up key, and those in the message cannot be opened"
                        .to_owned(),
                );
                made_up()?
            }
        };
        let mut described = site::of(&config, !config.media.rtpengine.is_empty());
        let resolver = match options.resolve {
            true => Some(settings::resolver(&config)?),
            false => None,
        };
        if let Some(resolver) = &resolver {
            upstream::look_up(&mut described.site, &described.sources, resolver).await;
        }
        let guard = guard::Settings {
            trust: described.trust,
            core: described.core,
            ..guard::Settings::default()
        };
        let mut site = described.site;
        site.device_key = keys.hash_key("causeway device");
        let sections = settings::sections(&config).collect();
        let listeners = &site.listeners;
        let around = Around {
            listeners: listeners.iter().map(|at| (at.transport, at.bind)).collect(),
            registered: Vec::new(),
        };
        let (registrar, store) = registrar(&config, &keys, &mut assumed)?;
        let mut node = Self {
            limits: node::limits(&config),
            pool: pool(&config),
            dead: dead(&site, &options.dead)?,
            others: others(&config),
            sealer: Sealer::new(keys),
            guard: Guard::new(guard, (0, 0)),
            config,
            source,
            site,
            registrar,
            resolver,
            sections,
            around,
            assumed,
            _store: store,
        };
        node.learn(options)?;
        node.say_listener(options)?;
        node.say_names(options);
        Ok(node)
    }

    /// The devices that registered, and by which flows.
    fn learn(&mut self, options: &Options) -> anyhow::Result<()> {
        for given in &options.registered {
            let name = given.file.display();
            let register = input::message_of(&given.file, &self.limits)?;
            let devices = proxy::device::all_of_register(&Edited::new(register), &self.site);
            if devices.is_empty() {
                bail!("{name}: no REGISTER with a Contact");
            }
            let flow = match given.by {
                None => self.flow(options)?,
                Some(by) => {
                    let (transport, peer) = (by.transport, by.address);
                    let found = self.site.listener_towards(Side::Device, transport, peer);
                    let listener = found.with_context(|| {
                        format!("{name}: no listener that faces devices speaks to {peer} so")
                    })?;
                    flow_to(listener, by)
                }
            };
            self.around.registered.push((flow, devices));
        }
        Ok(())
    }

    /// Where it was not said by which listener the message came.
    fn say_listener(&mut self, options: &Options) -> anyhow::Result<()> {
        let is_said = options.listener.is_some() || options.to.is_some();
        let spoken = |listener: &&Listener| listener.transport == options.from.transport;
        if is_said || self.site.listeners.iter().filter(spoken).count() < 2 {
            return Ok(());
        }
        let listener = self.listener(options)?;
        let (name, bind) = (self.section(listener.id), listener.bind);
        self.assumed.push(format!(
            "it came to [listen.{name}] {bind}, by who its sender is (--listener NAME or --to ADDRESS:PORT says otherwise)"
        ));
        Ok(())
    }

    /// Members whose names nobody looked up.
    fn say_names(&mut self, options: &Options) {
        let members = self.site.groups.iter().flat_map(|group| &group.members);
        let mut names: Vec<&str> = members
            .filter(|member| !member.is_vacant() && member.address.is_none())
            .map(|member| &member.host[..])
            .collect();
        names.dedup();
        if !names.is_empty() {
            let why = match options.resolve {
                true => "DNS has no address for",
                false => "names are looked up only with --resolve, so this node does not reach",
            };
            let text = format!("{why} {}", names.join(", "));
            self.assumed.push(text);
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            now_unix: crate::engine::now().as_secs(),
            site: &self.site,
            sealer: &self.sealer,
            flows: &self.around,
            alive: self,
            nodes: self,
        }
    }

    /// How the message came.
    pub(super) fn flow(&self, options: &Options) -> anyhow::Result<Flow> {
        Ok(flow_to(self.listener(options)?, options.from))
    }

    fn listener(&self, options: &Options) -> anyhow::Result<&Listener> {
        let from = options.from;
        let name = from.transport.name();
        let speaks: Vec<&Listener> = self
            .site
            .listeners
            .iter()
            .filter(|listener| {
                listener.transport == from.transport
                    && listener.bind.is_ipv4() == from.address.is_ipv4()
            })
            .collect();
        let meant: Vec<&Listener> = speaks
            .iter()
            .copied()
            .filter(|listener| {
                let is_named = |name: &String| self.section(listener.id) == name;
                options.listener.as_ref().is_none_or(is_named)
                    && options.to.is_none_or(|to| to == listener.bind)
            })
            .collect();
        let all = |listeners: &[&Listener]| {
            let each =
                |listener: &&Listener| format!("{} {}", self.section(listener.id), listener.bind);
            listeners.iter().map(each).collect::<Vec<_>>().join(", ")
        };
        // A source that a listener trusts comes to that one, any other to where devices come in.
        let is = |trusted: Option<bool>| {
            let of = |listener: &&&Listener| {
                self.guard.is_trusted(listener.id, from.address.ip()) == trusted
            };
            meant.iter().filter(of).copied().collect::<Vec<_>>()
        };
        let likely = [is(Some(true)), is(None)];
        let likely = likely.iter().find(|some| !some.is_empty());
        match (&meant[..], &speaks[..]) {
            ([one], _) => Ok(one),
            ([], []) => bail!("no listener speaks {name} to {}", from.address.ip()),
            _ if let Some([one, rest @ ..]) = likely.map(Vec::as_slice)
                && rest
                    .iter()
                    .all(|other| self.section(other.id) == self.section(one.id)) =>
            {
                Ok(one)
            }
            ([], _) => bail!("no such listener for {name}; there are: {}", all(&speaks)),
            _ => bail!(
                "several listeners speak {name}: say which with --listener NAME or --to ADDRESS; there are: {}",
                all(&meant)
            ),
        }
    }

    /// The NAME of `[listen.NAME]`.
    pub(super) fn section(&self, id: ListenerId) -> &str {
        self.sections
            .get(usize::from(id.0))
            .map_or("?", String::as_str)
    }

    /// Whether a core listener's list names the peer; `None` for a device.
    pub(super) fn is_trusted(&self, flow: &Flow) -> Option<bool> {
        self.guard.is_trusted(flow.listener, flow.peer.ip())
    }

    /// The line of a rule in the configuration.
    pub(super) fn line_of_rule(&self, rule: usize) -> Option<usize> {
        let span = self.source.key(&format!("route[{rule}].from"))?;
        Some(self.source.file.position(span.start).0)
    }

    /// What the operator wrote there, on one line.
    pub(super) fn written(&self, key: &str) -> String {
        let span = self.source.value(key).filter(|_| self.source.wrote(key));
        let text = span.and_then(|span| self.source.file.text.get(span));
        let words: Vec<&str> = text.unwrap_or_default().split_whitespace().collect();
        words.join(" ")
    }

    /// `host:port` of a member as configured, and the name of its group.
    pub(super) fn member(&self, group: usize, member: usize) -> String {
        let name = |group: &proxy::site::Group| {
            let member = group.members.get(member)?;
            Some(format!("{}:{}", member.host, member.port))
        };
        self.site
            .groups
            .get(group)
            .and_then(name)
            .unwrap_or_default()
    }
}

impl Alive for Imagined {
    fn is_alive(&self, group: usize, member: usize) -> bool {
        !self.dead.contains(&(group, member))
    }
}

/// Every other node that the configuration names by its address lives.
impl Nodes for Imagined {
    fn others(&self) -> bool {
        !self.others.is_empty()
    }

    fn living(&self, node: u16) -> Option<Hop> {
        let (_, transport, address) = *self.others.iter().find(|(id, ..)| *id == node)?;
        Some(Hop::Server { transport, address })
    }

    fn is_node(&self, ip: IpAddr) -> bool {
        self.others.iter().any(|(.., address)| address.ip() == ip)
    }
}

fn others(config: &Config) -> Vec<(u16, Transport, SocketAddr)> {
    let (named, _) = settings::nodes(config);
    let told = named.into_iter().filter_map(|named| {
        let address = SocketAddr::new(named.host.parse().ok()?, named.port);
        Some((named.node?, named.transport, address))
    });
    told.collect()
}

impl Flows for Around {
    fn flow(&self, listener: ListenerId, address: FlowAddress) -> Option<Flow> {
        let (transport, local) = *self.listeners.get(usize::from(listener.0))?;
        let (peer, connection) = match address {
            FlowAddress::Udp(peer) => (peer, None),
            // Its address is known to the node that holds it, which is not asked.
            FlowAddress::Connection(bits) => {
                let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
                (nowhere, Some(proxy::ConnectionId::from_bits(bits)))
            }
        };
        Some(Flow {
            listener,
            transport,
            local,
            peer,
            connection,
        })
    }

    fn newest(&self, device: Device) -> Option<Flow> {
        let mut newest = self.registered.iter().rev();
        newest
            .find(|(_, devices)| devices.contains(&device))
            .map(|(flow, _)| *flow)
    }

    fn connection_from(&self, transport: Transport, peer: std::net::SocketAddr) -> Option<Flow> {
        let mut flows = self.registered.iter().map(|(flow, _)| *flow);
        flows.find(|flow| {
            flow.connection.is_some() && (flow.transport, flow.peer) == (transport, peer)
        })
    }

    fn device(&self, flow: &Flow) -> Option<Device> {
        let mut newest = self.registered.iter().rev();
        let (_, devices) = newest.find(|(known, _)| {
            known.listener == flow.listener && known.address() == flow.address()
        })?;
        // Of several the last one that was learnt stands behind the flow, unless it registered by another one since.
        let device = *devices.last()?;
        let is_here = |newest: Flow| newest.address() == flow.address();
        self.newest(device).is_some_and(is_here).then_some(device)
    }
}

/// The flow of a peer by a listener.
fn flow_to(listener: &Listener, from: options::Source) -> Flow {
    Flow {
        listener: listener.id,
        transport: from.transport,
        local: listener.bind,
        peer: from.address,
        connection: from.transport.is_stream().then(input::connection),
    }
}

fn load(file: &Path) -> anyhow::Result<(Config, Source)> {
    let start = std::fs::read(file).unwrap_or_default();
    let first = start.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    if first.is_some_and(|line| line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0")) {
        bail!(
            "{} is a SIP message: the configuration comes first, then the message",
            file.display()
        );
    }
    let env = |name: &str| std::env::var(name).ok();
    let around = Surroundings {
        env: &env,
        now: SystemTime::now(),
    };
    match config::load(file, &around) {
        Ok(loaded) => Ok((loaded.config, loaded.source)),
        Err(found) => {
            eprintln!("{}", found.render(std::io::stderr().is_terminal()));
            bail!("{} cannot be run as it is", file.display())
        }
    }
}

fn pool(config: &Config) -> PoolConfig {
    let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let mut pool = PoolConfig::new([]);
    let engines = config.media.rtpengine.iter().enumerate();
    pool.nodes = engines
        .map(|(index, engine)| node::rtpengine(config, index, engine, nowhere))
        .collect();
    pool
}

fn made_up() -> anyhow::Result<Keys> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the system gives no random bytes")?;
    Ok(Keys::single(secret))
}

/// The registrar with a copy of the node's bindings: the node has the file for itself while it runs.
fn registrar(
    config: &Config,
    keys: &Keys,
    assumed: &mut Vec<String>,
) -> anyhow::Result<(Option<Registrar>, Option<TempDir>)> {
    if config.domain.is_empty() {
        return Ok((None, None));
    }
    let path = node::store(config);
    if path.is_file() {
        match copied(&path, config, keys) {
            Ok((registrar, folder)) => return Ok((Some(registrar), Some(folder))),
            Err(error) => assumed.push(format!(
                "the bindings in {} could not be read ({error:#}): nobody is registered but --binding",
                path.display()
            )),
        }
    } else {
        assumed.push(format!(
            "there is no store of bindings yet ({}): nobody is registered but --binding",
            path.display()
        ));
    }
    let empty = node::open_registrar(config, keys, Path::new(":memory:"))?;
    Ok((Some(empty), None))
}

fn copied(path: &Path, config: &Config, keys: &Keys) -> anyhow::Result<(Registrar, TempDir)> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("copy.sqlite");
    std::fs::copy(path, &copy)?;
    // What was written last is in the log beside it.
    let beside = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        std::path::PathBuf::from(name)
    };
    if beside(path).is_file() {
        std::fs::copy(beside(path), beside(&copy))?;
    }
    Ok((node::open_registrar(config, keys, &copy)?, folder))
}

/// The members that are dead, as indexes.
fn dead(site: &Site, names: &[String]) -> anyhow::Result<HashSet<(usize, usize)>> {
    names.iter().map(|name| place(site, name)).collect()
}

fn place(site: &Site, name: &str) -> anyhow::Result<(usize, usize)> {
    let (group, member) = name.split_once('/').with_context(|| {
        format!("--dead {name}: GROUP/MEMBER, for example registrars/1 or registrars/10.33.69.152")
    })?;
    let groups: Vec<&str> = site.groups.iter().map(|group| &group.name[..]).collect();
    let Some(at) = groups.iter().position(|known| *known == group) else {
        bail!(
            "--dead {name}: there is no [group.{group}]; known: {}",
            groups.join(", ")
        );
    };
    let members = &site.groups[at].members;
    let is_it = |known: &proxy::site::Member| {
        known.host == member || format!("{}:{}", known.host, known.port) == member
    };
    let there: Vec<usize> = (0..members.len())
        .filter(|index| !members[*index].is_vacant())
        .collect();
    let number = member.parse::<usize>().ok();
    let by_number = number.and_then(|number| there.get(number.checked_sub(1)?).copied());
    match by_number.or_else(|| members.iter().position(is_it)) {
        Some(member) => Ok((at, member)),
        None => bail!(
            "--dead {name}: [group.{group}] has {} members, and none is called {member}",
            there.len()
        ),
    }
}
