//! `[dns]`: who is asked for the names of members and next hops.
use std::net::SocketAddr;
use std::time::Duration;

use super::check::Checks;
use super::schema::section;

section! {
    /// Who is asked for the names of members and next hops (RFC 3263: NAPTR, SRV, A and AAAA). While nobody answers, the last answers go on being used.
    pub struct Dns {
        /// Address and port of the name servers. Left out: those of the system.
        pub servers: Vec<SocketAddr> = Vec::new();
        /// How long a name server may take. Too short, and a name that has to be asked for far away is not found; too long, and a request for a name that is not known yet waits.
        pub timeout: Duration = Duration::from_secs(2), within(Duration::from_millis(100), Duration::from_secs(30));
        /// How often a question is sent before the last answer is used.
        pub attempts: u16 = 2, within(1, 10);
        /// The least that an answer is used for, whatever its time to live. Short, and a server that moves is found soon; a time to live of 0 would ask all the time.
        pub min_ttl: Duration = Duration::from_secs(5), within(Duration::from_secs(1), Duration::from_secs(86_400));
        /// The most. Long, and a name whose time to live was a mistake leads astray until the node starts again.
        pub max_ttl: Duration = Duration::from_secs(3600), within(Duration::from_secs(1), Duration::from_secs(86_400));
    }
}

impl Dns {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        if self.min_ttl > self.max_ttl {
            let key = if checks.source.wrote("dns.min_ttl") {
                "dns.min_ttl"
            } else {
                "dns.max_ttl"
            };
            let found = checks
                .source
                .error(key, "`dns.min_ttl` is longer than `dns.max_ttl`");
            checks.push(
                found.help("the least first: for example min_ttl = \"5s\", max_ttl = \"1h\""),
            );
        }
        for (index, server) in self.servers.iter().enumerate() {
            let at = format!("dns.servers[{index}]");
            if server.ip().is_unspecified() || server.port() == 0 {
                let found = checks
                    .source
                    .error(&at, format!("nobody can be asked at `{server}`"));
                checks.push(
                    found.help("the name server's own address, for example \"127.0.0.1:53\""),
                );
            } else if self.servers[..index].contains(server) {
                let found = checks
                    .source
                    .error(&at, format!("`{server}` is given twice"));
                checks.push(found.help("remove one"));
            }
        }
    }
}
