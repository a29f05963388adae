//! `[peer.NAME]`: who is known by his address on a side that faces devices, a PBX or a carrier, and how much he may do.
use ipnet::IpNet;
use sip::Transport;

use super::Config;
use super::check::Checks;
use super::listen::Listen;
use super::route::{RouteFrom, known};
use super::schema::section;

section! {
    /// A PBX or carrier that comes in where devices do, and is known by its address: it is asked for no password. Where a datagram came from can be forged, so whoever can send UDP past your routers in its name calls at your cost: say `transport = "tcp"` where the peer can. Limits count on each node for itself.
    pub struct Peer {
        /// Addresses or networks it comes from. Of two peers the one whose network is the more specific has the address.
        pub addresses: Vec<IpNet> = Vec::new(), required();
        /// The `[listen.NAME]` where it is expected; left out, every one that faces devices.
        pub listener: Option<String> = None;
        /// Transports it has to use; left out, any. Over others its addresses are a device's.
        pub transport: Vec<Transport> = Vec::new();
        /// Calls at once that it may begin, those that ring included; 0 is no limit. Beyond, an INVITE is answered 503.
        pub calls: u32 = 0, within(0, 1_000_000);
        /// Calls that it may begin in a second, and at once; 0 is no limit. Beyond, an INVITE is answered 503.
        pub calls_per_second: u32 = 0, within(0, 1_000_000);
        /// Messages that all its addresses may send in a second, and at once; 0 is no limit. `limits.messages_per_second` is not for peers. Too few, and calls that are up cannot be ended.
        pub messages_per_second: u32 = 1000, within(0, 1_000_000);
        /// It is trusted with identity (RFC 3325): what it says of a caller in P-Asserted-Identity, Remote-Party-ID, Diversion and History-Info is believed, and it is told who calls also where the caller asks for privacy.
        pub identity: bool = false;
        /// It may also register, as a device does: the registrar asks it for a password. Else its REGISTER is answered 403.
        pub registers: bool = false;
    }
}

impl Peer {
    /// The sections where it is expected.
    fn sections<'c>(
        &'c self,
        config: &'c Config,
    ) -> impl Iterator<Item = (&'c String, &'c Listen)> {
        let wanted = |name: &String| self.listener.as_ref().is_none_or(|only| only == name);
        let all = config.listen.iter();
        all.filter(move |(name, listen)| wanted(name) && !listen.is_core())
    }

    pub(crate) fn check(&self, name: &str, config: &Config, checks: &mut Checks<'_>) {
        let at = format!("peer.{name}");
        self.check_addresses(name, config, checks);
        self.check_listener(&at, config, checks);
        let routed = config.route.iter().any(|route| match &route.from {
            RouteFrom::Peer(from) => from == name,
            RouteFrom::Listener(from) => self.sections(config).any(|(section, _)| section == from),
            RouteFrom::Devices | RouteFrom::Edges | RouteFrom::Group(_) => false,
        });
        if !routed && config.domain.is_empty() {
            let found = checks.source.warning_at_key(
                &at,
                format!("no route takes what comes from the peer `{name}`"),
            );
            checks.push(found.help(format!("add a [[route]] with `from = \"peer:{name}\"`")));
        }
    }

    fn check_addresses(&self, name: &str, config: &Config, checks: &mut Checks<'_>) {
        let key = format!("peer.{name}.addresses");
        if self.addresses.is_empty() && checks.source.wrote(&key) {
            let found = checks
                .source
                .error(&key, format!("`peer.{name}` has no addresses"));
            checks.push(found.help("for example `addresses = \"198.51.100.0/24\"`"));
        }
        for (index, net) in self.addresses.iter().enumerate() {
            let place = format!("{key}[{index}]");
            if net.prefix_len() == 0 {
                let message = format!("`{net}` would let the whole world call without a password");
                let found = checks.source.error(&place, message);
                checks.push(
                    found.help("name the networks of this peer, for example \"198.51.100.0/24\""),
                );
            }
            if self.addresses[..index].contains(net) {
                let found = checks
                    .source
                    .error(&place, format!("`{net}` is given twice"));
                checks.push(found.help("remove one"));
            }
            let earlier = config.peer.iter().take_while(|(other, _)| *other != name);
            for (other, _) in
                earlier.filter(|(_, peer)| peer.addresses.contains(net) && self.meets(peer, config))
            {
                let found = checks.source.error(
                    &place,
                    format!("`{net}` is the network of `peer.{other}` already"),
                );
                checks.push(
                    found.help(
                        "an address has one peer: remove one, or tell them apart by `listener`",
                    ),
                );
            }
        }
    }

    /// They are expected at one listener.
    fn meets(&self, other: &Peer, config: &Config) -> bool {
        self.sections(config)
            .any(|(name, _)| other.sections(config).any(|(theirs, _)| theirs == name))
    }

    fn check_listener(&self, at: &str, config: &Config, checks: &mut Checks<'_>) {
        let key = format!("{at}.listener");
        if let Some(name) = &self.listener {
            known(&key, "listen", name, &config.listen, checks);
            if config.listen.get(name).is_some_and(Listen::is_core) {
                let message =
                    format!("`listen.{name}` faces the core: whom it trusts, `trust` says");
                let found = checks.source.error(&key, message);
                checks.push(found.help("name a listener without `trust`, or leave `listener` out"));
                return;
            }
            if !config.listen.contains_key(name) {
                return;
            }
        }
        let spoken: Vec<Transport> = self
            .sections(config)
            .flat_map(|(_, listen)| listen.sockets())
            .map(|(transport, _)| transport)
            .collect();
        if spoken.is_empty() && !config.listen.is_empty() {
            let message = format!("no listener faces devices, where `{at}` could come in");
            let found = checks.source.error_at_key(at, message);
            checks.push(found.help("add [listen.public] without `trust`"));
            return;
        }
        for (index, transport) in self.transport.iter().enumerate() {
            if !spoken.contains(transport) && !spoken.is_empty() {
                let word = transport.name();
                let place = format!("{at}.transport[{index}]");
                let message = format!("no socket speaks `{word}` where this peer is expected");
                let found = checks.source.error(&place, message);
                checks.push(found.help(format!(
                    "add `{word} = \"0.0.0.0:{}\"` to the listener, or take it out here",
                    transport.default_port()
                )));
            }
        }
    }
}
