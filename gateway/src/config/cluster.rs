//! `[cluster]`: the other edges in front of the same core, and the addresses that move among them.
use std::net::IpAddr;
use std::time::Duration;

use sip::Transport;

use super::address::HostPort;
use super::advertise::Advertise;
use super::check::Checks;
use super::listen::Listen;
use super::member::MemberUri;
use super::schema::section;
use super::{Config, Diagnostic};

section! {
    /// Several edges in front of one core: who the others are, and the addresses that they share. Left out, the node is alone. All nodes need the same `node.key_file`, the same listeners in the same order, and numbers of their own in `node.id`.
    pub struct Cluster {
        /// The nodes, each with its number and its own address towards the core. The entry of this node may stand there too, so that the section is the same on all.
        pub nodes: Vec<ClusterNode> = Vec::new();
        /// A name with the addresses of all nodes towards the core, besides or in place of `nodes`; each is asked for its number. Looked up every 30 s.
        pub dns: Option<HostPort> = None;
        /// The address towards the core that moves from node to node (a virtual address): Record-Route names it, and the Path of a phone on UDP, so that calls go on and UDP phones ring when a node dies. A core side must receive on it: bind `0.0.0.0` and let `advertise` name the node's own address, or bind both, the node's own first; who binds it need not have it yet. Left out, each node names its own, and what passed a node that died is lost until its phones register again.
        pub shared_core: Option<Advertise> = None;
        /// The names or addresses towards devices that move from node to node. A phone's datagrams that came to one of these are served by whichever node has it; those to a node's own address only by that node.
        pub shared_public: Vec<Advertise> = Vec::new();
        /// How the nodes watch each other.
        pub probe: NodeProbe = NodeProbe::default();
    }
}

section! {
    /// A node of the cluster.
    pub struct ClusterNode {
        /// Its `node.id`.
        pub id: u16 = 0, required(), within(1, 65535);
        /// Its own address towards the core, as a SIP URI.
        pub address: MemberUri = MemberUri::default(), required();
    }
}

section! {
    /// Nodes ask each other whether they live. A request for a connection of a node that is dead is answered at once; until it is found dead such requests are lost on the way to it.
    pub struct NodeProbe {
        /// How often each node is asked.
        pub interval: Duration = Duration::from_secs(1), within(Duration::from_millis(100), Duration::from_secs(60));
        /// How long it may take to answer, repetitions included; also how long a request waits for the nodes to say which of them has a device.
        pub timeout: Duration = Duration::from_millis(500), within(Duration::from_millis(50), Duration::from_secs(10));
        /// Questions without an answer, in a row, after which it counts as dead.
        pub fall: u16 = 2, within(1, 100);
    }
}

impl Cluster {
    /// True when there is anybody else.
    pub fn has_others(&self, own: u16) -> bool {
        self.dns.is_some() || self.nodes.iter().any(|node| node.id != own)
    }

    /// True for an address that moves from node to node: this one may not have it yet.
    pub fn moves(&self, address: IpAddr) -> bool {
        let mut shared = self.shared_core.iter().chain(&self.shared_public);
        shared.any(|shared| shared.host.parse() == Ok(address))
    }

    pub(crate) fn check(&self, config: &Config, checks: &mut Checks<'_>) {
        self.check_nodes(config, checks);
        self.check_shared_core(config, checks);
        self.check_shared_public(config, checks);
        if !self.has_others(config.node.id) {
            return;
        }
        let place = self.place(config.node.id);
        if config.node.key_file.is_none() && !checks.source.wrote("node.key_file") {
            let message =
                "the nodes of a cluster need the same keys, but `node.key_file` is not set";
            let found = checks.source.error(&place, message);
            checks.push(found.help("add `key_file = \"/etc/causeway/cluster.key\"` to [node], the same file on every node"));
        }
        if !config.listen.values().any(Listen::faces_core) {
            let found = checks.source.error(
                &place,
                "no listener faces the core, over which nodes speak to each other",
            );
            checks.push(found.help("add [listen.core] with an address of this machine that the other nodes reach, and their addresses in `trust`"));
        }
        if self.shared_core.is_none() && !checks.source.wrote("cluster.shared_core") {
            let message = "the nodes share no address towards the core: when one dies, calls through it end and its UDP phones are silent until they register again";
            let found = checks.source.warning(&place, message);
            checks.push(found.help("let an address move from node to node (keepalived) and name it: `shared_core = \"10.33.69.148\"`"));
        }
    }

    fn place(&self, own: u16) -> String {
        match self.nodes.iter().position(|node| node.id != own) {
            Some(index) => format!("cluster.nodes[{index}]"),
            None => "cluster.dns".to_owned(),
        }
    }

    fn check_nodes(&self, config: &Config, checks: &mut Checks<'_>) {
        for (index, node) in self.nodes.iter().enumerate() {
            let at = format!("cluster.nodes[{index}]");
            let before = &self.nodes[..index];
            if before.iter().any(|other| other.id == node.id) {
                let message = format!("two nodes have the number {}", node.id);
                let found = checks.source.error(&format!("{at}.id"), message);
                checks.push(found.help("each node has a `node.id` of its own"));
            }
            let same = |other: &&ClusterNode| {
                other.address.host == node.address.host && other.address.port == node.address.port
            };
            if let Some(other) = before.iter().find(same) {
                let message = format!("node {} has the address of node {}", node.id, other.id);
                let found = checks.source.error(&format!("{at}.address"), message);
                checks.push(found.help("each node's own address towards the core"));
            }
            self.check_address(&format!("{at}.address"), node, config, checks);
        }
    }

    fn check_address(
        &self,
        at: &str,
        node: &ClusterNode,
        config: &Config,
        checks: &mut Checks<'_>,
    ) {
        let transport = node.address.transport.unwrap_or(Transport::Udp);
        if node.address.secure || !matches!(transport, Transport::Udp | Transport::Tcp) {
            let word = if node.address.secure {
                "sips:"
            } else {
                transport.name()
            };
            let found = checks.source.error(
                at,
                format!("`{word}`: nodes speak to each other over UDP and TCP only"),
            );
            checks.push(
                found.help(
                    "write `sip:`, with `;transport=tcp` where datagrams of 6 kB do not pass",
                ),
            );
        }
        let Ok(address) = node.address.host.parse::<IpAddr>() else {
            return;
        };
        let is_shared = |shared: &Advertise| shared.host.parse() == Ok(address);
        if self.shared_core.iter().any(is_shared) {
            let found = checks.source.error(
                at,
                format!("`{address}` is the address that the nodes share"),
            );
            checks.push(found.help("each node's own address, which no other ever has"));
        }
        let trusts = |listen: &&Listen| {
            listen
                .trust
                .iter()
                .chain(&listen.core)
                .any(|net| net.contains(&address))
        };
        if node.id != config.node.id
            && config.listen.values().any(Listen::faces_core)
            && !config.listen.values().any(|listen| trusts(&listen))
        {
            let found = checks.source.error(
                at,
                format!(
                    "no listener trusts node {} at {address}: it would not be heard",
                    node.id
                ),
            );
            checks.push(found.help(format!(
                "add \"{address}/{}\" to `trust` of the core side",
                if address.is_ipv4() { 32 } else { 128 }
            )));
        }
    }

    /// Via names the node, Record-Route the shared address, and both must come here.
    fn check_shared_core(&self, config: &Config, checks: &mut Checks<'_>) {
        let Some(shared) = &self.shared_core else {
            return;
        };
        let core = || {
            config
                .listen
                .iter()
                .filter(|(_, listen)| listen.faces_core())
        };
        for (name, listen) in core() {
            let advertised = listen.advertise.as_ref().map(|advertise| &advertise.host);
            if advertised.is_some_and(|host| host.eq_ignore_ascii_case(&shared.host)) {
                let place = format!("listen.{name}.advertise");
                let found: Diagnostic = checks.source.error(&place, format!("`{}` is the address that the nodes share: answers to this node would come to another", shared.host));
                checks.push(found.help("this node's own address, which no other ever has"));
            }
        }
        let Ok(address) = shared.host.parse::<IpAddr>() else {
            return;
        };
        let receives = |listen: &Listen| {
            listen.sockets().any(|(_, bind)| {
                bind.ip() == address
                    || bind.ip().is_unspecified() && bind.is_ipv4() == address.is_ipv4()
            })
        };
        if core().next().is_some() && !core().any(|(_, listen)| receives(listen)) {
            let found = checks.source.error(
                "cluster.shared_core",
                format!("no core side receives on {address}"),
            );
            checks.push(found.help("bind the core side to \"0.0.0.0:5060\", with `advertise` for this node's own address"));
        }
        for (name, listen) in core() {
            let places = listen.places(&format!("listen.{name}"));
            // Requests leave by the first socket of a transport, and Via names it.
            let first = places
                .iter()
                .enumerate()
                .find(|(index, (transport, bind, _))| {
                    let before = places[..*index]
                        .iter()
                        .any(|(other, ..)| other == transport);
                    !before && bind.ip() == address && listen.advertise.is_none()
                });
            if let Some((_, (_, bind, place))) = first {
                let message = format!(
                    "`{bind}` is the address that the nodes share, and stands first: answers to this node would come to another"
                );
                let found = checks.source.error(place, message);
                checks.push(found.help("this node's own address first, the shared one behind it"));
            }
        }
    }

    fn check_shared_public(&self, config: &Config, checks: &mut Checks<'_>) {
        for (index, shared) in self.shared_public.iter().enumerate() {
            let means = |listen: &Listen| {
                let advertised = listen
                    .advertise
                    .as_ref()
                    .is_some_and(|advertise| advertise.host.eq_ignore_ascii_case(&shared.host));
                advertised
                    || listen
                        .sockets()
                        .any(|(_, bind)| shared.host.parse() == Ok(bind.ip()))
            };
            if !config
                .listen
                .values()
                .any(|listen| !listen.is_core() && means(listen))
            {
                let found = checks.source.error(
                    &format!("cluster.shared_public[{index}]"),
                    format!("no side that faces devices is called `{}`", shared.host),
                );
                checks
                    .push(found.help(
                        "the `advertise` of such a side, or the address that it is bound to",
                    ));
            }
        }
    }
}
