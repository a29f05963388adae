//! `[listen.NAME]`: the sockets of one side, what they are called outside, and who may use them.
use std::net::SocketAddr;

use ipnet::IpNet;
use proxy::mtu::Saving;
use sip::Transport;

use super::advertise::Advertise;
use super::certificate::Certificate;
use super::check::Checks;
use super::keepalive::Keepalive;
use super::origin::Origin;
use super::policy::LegMedia;
use super::schema::section;
use super::value::words;

section! {
    /// Sockets of one side. `trust` makes it a core side, whose peers may say who a caller is and where a request goes; without it the side faces devices, and nothing that they say is believed.
    pub struct Listen {
        /// UDP sockets.
        pub udp: Vec<SocketAddr> = Vec::new();
        /// TCP sockets.
        pub tcp: Vec<SocketAddr> = Vec::new();
        /// TLS sockets (`sips:` and `transport=tls`); need a certificate.
        pub tls: Vec<SocketAddr> = Vec::new();
        /// WebSocket without TLS: for browsers on this machine, or behind a proxy that ends TLS. A page from elsewhere gets no microphone without TLS.
        pub ws: Vec<SocketAddr> = Vec::new();
        /// WebSocket over TLS, for browsers; needs a certificate.
        pub wss: Vec<SocketAddr> = Vec::new();
        /// The name or address under which others reach this side, with a port where a NAT changes it; it stands in Via, Record-Route and Path. `"env:VAR"` reads it from an environment variable. Needed where a socket is bound to all addresses (`0.0.0.0`, `[::]`).
        pub advertise: Option<Advertise> = None;
        /// The certificate for `tls` and `wss`.
        pub certificate: Option<Certificate> = None;
        /// Networks whose peers are trusted; others are not answered here at all. Makes this a core side.
        pub trust: Vec<IpNet> = Vec::new();
        /// Networks of the core on a side that faces devices: for an edge with one address for both. Whoever sends from there is trusted as behind `trust`, and everybody else is a device. A phone in these networks counts as the core, so name the servers, not the house; over UDP a source is believed, so the network has to drop what comes from outside under these addresses (RFC 2827). Only for sockets bound to one address.
        pub core: Vec<IpNet> = Vec::new();
        /// Networks of edges that bring their users' requests to this registrar: trusted as `trust` is, and whoever calls through them has to show a password here. A registrar or gateway named here would be asked for one, too. Makes this a core side.
        pub edges: Vec<IpNet> = Vec::new();
        /// What the Path of these devices says to a registrar beyond us. `"token"`: nothing that anybody else could read. `"received"`: their address besides, as `;received=sip:82.10.18.109:12202`, for registrars with a NAT logic of their own; and from the core a Route with a `received` alone leads to a device that registered here and is still there. Such a registrar looks up again who a request inside a call is for, by the user of its request-URI: it mixes up two devices of one user and does not find a browser, and RTPEngine hears of a hang-up only by its timeout. After a restart, or at another node, such a Route finds nobody before he has registered again.
        pub path: PathStyle = PathStyle::Token;
        /// Do not show these devices where the core is: its addresses in Via, Record-Route and Contact become tokens, which are put back when they return. The Call-ID stays, since others quote it; what From, identity headers, Call-Info and bodies say is the core's own choice. A token is a third longer than what it holds: over UDP more INVITEs are too long for one datagram. Where devices share their address with a core side (`core`), only they are hidden from.
        pub hide_topology: bool = false;
        /// Origins whose pages may open a WebSocket, such as `"https://phone.example.com"`. Empty admits every origin: digest still asks every user, but any page may try passwords.
        pub origins: Vec<Origin> = Vec::new();
        /// Bytes of an IP packet on the way to this side's devices. Over UDP a request to a device may have 200 less (RFC 3261 §18.1.1), a response 28 less (IPv6: 48); what is longer is shortened, and what is still longer leaves in fragments, which many NATs drop. Nothing towards a core side is shortened.
        pub mtu: u16 = 1500, within(576, 65_535);
        /// What a request or response that is too long for `mtu` may lose, in this order, until it fits. Empty shortens nothing.
        pub shorten: Vec<Saving> = Saving::ALL.to_vec();
        /// What devices that registered over UDP are sent from time to time, so that their NATs go on letting calls in.
        pub keepalive: Keepalive = Keepalive::default();
        /// What is wanted of the media of legs that come and go by this side.
        pub media: LegMedia = LegMedia::default();
        /// Serve the demo softphone on the WebSocket ports.
        pub page: bool = false;
    }
}

words! {
    /// What the Path of a device says.
    pub enum PathStyle {
        /// A token.
        Token = "token",
        /// A token, and the address in `received`.
        Received = "received",
    }
}

impl From<PathStyle> for proxy::path::PathStyle {
    fn from(style: PathStyle) -> Self {
        match style {
            PathStyle::Token => Self::Token,
            PathStyle::Received => Self::Received,
        }
    }
}

impl Listen {
    /// A core side: its peers are trusted by their address.
    pub fn is_core(&self) -> bool {
        !self.trust.is_empty() || !self.edges.is_empty()
    }

    /// Who may speak to a core side.
    pub fn trusted(&self) -> Vec<IpNet> {
        [&self.trust[..], &self.edges].concat()
    }

    /// The core can speak to it: alone, or beside devices.
    pub fn faces_core(&self) -> bool {
        self.is_core() || !self.core.is_empty()
    }

    /// Every socket with its transport.
    pub fn sockets(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        self.lists()
            .into_iter()
            .flat_map(|(transport, list)| list.iter().map(move |address| (transport, *address)))
    }

    /// Every socket with its transport and the path of its value in the file.
    pub(crate) fn places(&self, at: &str) -> Vec<(Transport, SocketAddr, String)> {
        let mut places = Vec::new();
        for (transport, list) in self.lists() {
            for (index, address) in list.iter().enumerate() {
                places.push((
                    transport,
                    *address,
                    format!("{at}.{}[{index}]", transport.name()),
                ));
            }
        }
        places
    }

    /// The first socket that is bound to every address of the machine, and the path of its value.
    fn wildcard(&self, at: &str) -> Option<(SocketAddr, String)> {
        let places = self.places(at).into_iter();
        places
            .map(|(_, address, place)| (address, place))
            .find(|(address, _)| address.ip().is_unspecified())
    }

    fn lists(&self) -> [(Transport, &[SocketAddr]); 5] {
        [
            (Transport::Udp, &self.udp),
            (Transport::Tcp, &self.tcp),
            (Transport::Tls, &self.tls),
            (Transport::Ws, &self.ws),
            (Transport::Wss, &self.wss),
        ]
    }

    pub(crate) fn check(&self, name: &str, checks: &mut Checks<'_>) {
        let at = format!("listen.{name}");
        let wrote =
            |transport: &Transport| checks.source.wrote(&format!("{at}.{}", transport.name()));
        let misread = Transport::ALL.iter().any(wrote); // then the reader said what is wrong
        if self.sockets().next().is_none() && !misread {
            let found = checks
                .source
                .error_at_key(&at, format!("`{at}` has no socket"));
            checks.push(found.help("give it at least one of udp, tcp, tls, ws, wss, for example `udp = \"0.0.0.0:5060\"`"));
        }
        self.check_tls(&at, checks);
        self.check_advertise(&at, checks);
        self.check_browsers(&at, checks);
        self.check_trust(&at, checks);
        self.check_core(&at, checks);
        self.check_path(&at, checks);
        self.keepalive.check(&at, self, checks);
        self.media.0.check(&format!("{at}.media"), checks);
    }

    fn check_tls(&self, at: &str, checks: &mut Checks<'_>) {
        let secure = if self.tls.is_empty() { "wss" } else { "tls" };
        let needs = !self.tls.is_empty() || !self.wss.is_empty();
        let certificate = format!("{at}.certificate");
        match &self.certificate {
            None if needs && !checks.source.wrote(&certificate) => {
                let message = format!("`{at}.{secure}` needs a certificate");
                let found = checks
                    .source
                    .error_at_key(&format!("{at}.{secure}"), message);
                checks.push(found.help(
                    "add `certificate = { chain = \"fullchain.pem\", key = \"privkey.pem\" }`",
                ));
            }
            Some(pair) => {
                let wrote = |key: &str| checks.source.wrote(&format!("{at}.{key}"));
                // One that was written and could not be read would use it.
                if !needs && !wrote("tls") && !wrote("wss") {
                    let found = checks
                        .source
                        .warning_at_key(&certificate, "no socket uses this certificate");
                    checks.push(found.help("add `tls` or `wss`, or remove the certificate"));
                }
                pair.check(&certificate, self, checks);
            }
            None => {}
        }
    }

    fn check_advertise(&self, at: &str, checks: &mut Checks<'_>) {
        if self.advertise.is_some() || checks.source.wrote(&format!("{at}.advertise")) {
            return;
        }
        if let Some((address, place)) = self.wildcard(at) {
            let message = format!(
                "`{address}` is every address of this machine, so `{at}` must say which one others use"
            );
            let found = checks.source.error(&place, message);
            checks.push(found.help(format!("add `advertise = \"sbc.example.com\"` to [{at}]")));
        }
    }

    fn check_browsers(&self, at: &str, checks: &mut Checks<'_>) {
        let web = ["ws", "wss"]
            .into_iter()
            .any(|key| checks.source.wrote(&format!("{at}.{key}")));
        for (key, set) in [("page", self.page), ("origins", !self.origins.is_empty())] {
            if set && !web {
                let message = format!("`{at}.{key}` has no effect without `ws` or `wss`");
                let found = checks.source.error_at_key(&format!("{at}.{key}"), message);
                checks.push(
                    found.help("browsers connect over WebSocket: add `wss = \"0.0.0.0:443\"`"),
                );
            }
        }
        for (transport, address, place) in self.places(at) {
            if transport == Transport::Ws && !address.ip().is_loopback() && !self.is_core() {
                let message = format!("`{address}` speaks WebSocket without TLS to the network");
                let found = checks.source.warning(&place, message);
                checks.push(found.help("a browser gives a page no microphone without TLS: use `wss`, or bind 127.0.0.1"));
            }
            if address.port() == 0 {
                let found = checks
                    .source
                    .warning(&place, "port 0 is another port after every start");
                checks.push(found.help(format!("phones look for {}", transport.default_port())));
            }
        }
    }

    fn check_trust(&self, at: &str, checks: &mut Checks<'_>) {
        let all = [("trust", &self.trust), ("edges", &self.edges)];
        for (key, index, net) in all.into_iter().flat_map(|(key, nets)| {
            nets.iter()
                .enumerate()
                .map(move |(index, net)| (key, index, net))
        }) {
            if net.prefix_len() == 0 {
                let found = checks.source.warning(
                    &format!("{at}.{key}[{index}]"),
                    format!("`{net}` trusts the whole world"),
                );
                checks.push(found.help("name the networks of your registrars and gateways, for example \"10.33.69.0/24\""));
            }
        }
    }

    fn check_path(&self, at: &str, checks: &mut Checks<'_>) {
        if self.path != PathStyle::Received {
            return;
        }
        let place = format!("{at}.path");
        let mut warn = |message: &str, help: &str| {
            let found = checks.source.warning(&place, message);
            checks.push(found.help(help));
        };
        if self.is_core() {
            let message = "no device registers at a core side, so its `path` is never used";
            return warn(message, "put it where the devices are, or remove it");
        }
        let browsers = !self.ws.is_empty() || !self.wss.is_empty();
        let found = match browsers {
            true => {
                "a registrar that acts on `received` does not find a browser, whose Contact has a random user: ACK and BYE never reach it; and it mixes up two devices of one user"
            }
            false => {
                "a registrar that acts on `received` mixes up two devices of one user: one answers, the other one gets the ACK"
            }
        };
        warn(
            found,
            "\"token\", unless the registrar cannot do without `received`",
        );
    }

    fn check_core(&self, at: &str, checks: &mut Checks<'_>) {
        let key = format!("{at}.core");
        for (index, net) in self.core.iter().enumerate() {
            if net.prefix_len() == 0 {
                let message = format!("`{net}` makes every device one of the core");
                let found = checks.source.error(&format!("{key}[{index}]"), message);
                checks.push(found.help("name the networks of your registrars and gateways, for example \"10.33.69.0/24\""));
            }
        }
        if self.core.is_empty() {
            return;
        }
        if self.is_core() || checks.source.wrote(&format!("{at}.trust")) {
            let has = if self.edges.is_empty() {
                "trust"
            } else {
                "edges"
            };
            let message = format!("`{at}` has `{has}`, so no device speaks to it");
            let found = checks.source.error_at_key(&key, message);
            checks.push(found.help("`trust` alone for a side of its own towards the core; `core` alone where devices use the same address"));
        }
        // A datagram to ourselves comes from the address that it was sent to, which may be one of these networks.
        if let Some((address, place)) = self.wildcard(at) {
            let message = format!(
                "`{address}` is every address of this machine, and with `core` it has to be one"
            );
            let found = checks.source.error(&place, message);
            let one = SocketAddr::new([10, 33, 69, 151].into(), address.port());
            checks.push(found.help(format!("the address by which the core reaches this machine, for example \"{one}\"; `advertise` names the public one")));
        }
    }
}
