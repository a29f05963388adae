//! `[listen.NAME] keepalive`: how the devices of a side are kept reachable through their NATs.
use std::time::Duration;

use super::check::Checks;
use super::listen::Listen;
use super::schema::section;
use super::value::words;

section! {
    /// What devices that registered over UDP are sent, so that their NATs go on letting calls in. Connections have pings of their own.
    pub struct Keepalive {
        /// `"crlf"`: an empty line, which keeps the mapping open. `"options"`: a request; a device that does not answer it counts as gone, also one that never answers any. `"off"`: nothing; a phone behind a NAT cannot be called half a minute after it has last said something.
        pub udp: Ping = Ping::Crlf;
        /// How often each device. NATs close a UDP mapping after 30 s or more (RFC 5626 §4.4.2 asks for 24 to 29 s); shorter only costs, and the batteries of mobiles, too.
        pub interval: Duration = Duration::from_secs(25), within(Duration::from_secs(1), Duration::from_secs(600));
        /// OPTIONS in a row without an answer after which a device is gone: its binding here is removed, and another registrar is told 430. Too few, and a bad network unregisters phones.
        pub fall: u16 = 3, within(1, 100);
        /// Pings a second at most. With more devices the interval grows.
        pub rate: u32 = 20_000, within(10, 1_000_000);
    }
}

words! {
    /// What a device is sent.
    pub enum Ping {
        /// An empty line.
        Crlf = "crlf",
        /// A request.
        Options = "options",
        /// Nothing.
        Off = "off",
    }
}

impl Keepalive {
    pub(crate) fn check(&self, at: &str, listen: &Listen, checks: &mut Checks<'_>) {
        let key = format!("{at}.keepalive");
        if !checks.source.wrote(&key) {
            return;
        }
        if listen.is_core() {
            let found = checks.source.error_at_key(
                &key,
                format!("no device speaks to `{at}`, so nobody is pinged"),
            );
            return checks.push(found.help("servers are probed: `probe` of their group; `keepalive` is for the side that faces devices"));
        }
        if listen.udp.is_empty() && !checks.source.wrote(&format!("{at}.udp")) {
            let found = checks
                .source
                .error_at_key(&key, format!("`{key}` has no effect without `udp`"));
            return checks
                .push(found.help("connections have pings of their own: `limits.ping_interval`"));
        }
        let interval = format!("{key}.interval");
        if self.udp != Ping::Off && self.interval > Duration::from_secs(30) {
            let found = checks.source.warning(
                &interval,
                "many NATs have forgotten a phone after 30 s without a datagram",
            );
            checks.push(found.help("\"25s\" is the default (RFC 5626 §4.4.2)"));
        }
        let fall = format!("{key}.fall");
        if self.udp != Ping::Options && checks.source.wrote(&fall) {
            let found = checks.source.error_at_key(
                &fall,
                format!("`{fall}` has no effect: only an OPTIONS is answered"),
            );
            checks.push(found.help("add `udp = \"options\"`, or remove it"));
        }
    }
}
