//! `[group.NAME]`: servers that can stand in for each other: registrars, FreeSWITCHes, carriers.
use std::net::IpAddr;
use std::time::Duration;

use sip::Transport;

use super::address::split_host_port;
use super::check::Checks;
use super::listen::key_of;
use super::media::Profile;
use super::reader::{Item, Reader};
use super::schema::{Setting, section};
use super::value::{text, words};

section! {
    /// Servers that can stand in for each other.
    pub struct Group {
        /// The servers: SIP URIs, or tables with weight and priority.
        pub members: Vec<Member> = Vec::new(), required();
        /// How requests travel to members whose URI does not say it. Left out: UDP, and TLS for `sips:`. A browser's INVITE is larger than most networks' datagrams, so say `"tcp"` where the members speak it.
        pub transport: Option<Transport> = None;
        /// Which member a request goes to.
        pub algorithm: Choice = Choice::Aor;
        /// How members are asked with OPTIONS whether they live: an interval, or a table.
        pub probe: Probe = Probe::default();
        /// What media the members speak, where they have not said it themselves. Left out: plain RTP.
        pub media: Option<Profile> = None;
    }
}

section! {
    /// One server.
    pub struct Member shorthand uri {
        /// Its SIP URI, with `;transport=` if it takes only one.
        pub uri: MemberUri = MemberUri::default(), required();
        /// Its share beside others of the same priority. 0 gives it no new call: it is being drained.
        pub weight: u16 = 1, within(0, 1000);
        /// Members with a larger number serve only while all with a smaller one are dead.
        pub priority: u16 = 0;
    }
}

section! {
    /// How members are asked whether they live.
    pub struct Probe shorthand interval {
        /// How often each member is asked. Shorter notices a death sooner and costs a message each time.
        pub interval: Duration = Duration::from_secs(10), within(Duration::from_millis(500), Duration::from_secs(600));
        /// How long an answer may take.
        pub timeout: Duration = Duration::from_secs(2), within(Duration::from_millis(100), Duration::from_secs(32));
        /// Answers in a row after which a dead member lives.
        pub rise: u16 = 2, within(1, 100);
        /// Failures in a row after which a member is dead. 1 lets one lost datagram kill it.
        pub fall: u16 = 2, within(1, 100);
    }
}

words! {
    /// Which member a request goes to.
    pub enum Choice {
        /// The same for the same user, without memory: a registrar that challenged gets the answer.
        Aor = "aor",
        /// The same for the same call.
        CallId = "call-id",
        /// The same for the same source address.
        Source = "source",
        /// One after the other.
        RoundRobin = "round-robin",
        /// The one with the fewest calls.
        LeastCalls = "least-calls",
    }
}

/// A member's SIP URI, read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MemberUri {
    /// As it was written.
    pub uri: String,
    /// A DNS name or an address; IPv6 without brackets.
    pub host: String,
    /// The port, if the URI has one; else DNS or the transport says.
    pub port: Option<u16>,
    /// The URI's `transport` parameter.
    pub transport: Option<Transport>,
    /// `sips:`.
    pub secure: bool,
}

impl Setting for MemberUri {
    fn kind() -> String {
        "a SIP URI".to_owned()
    }
    fn example() -> String {
        "\"sip:10.33.69.152\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        match parse(written) {
            Ok(uri) => Some(uri),
            Err((message, help)) => {
                reader.error(item, message, help);
                None
            }
        }
    }
    fn show(&self) -> String {
        format!("{:?}", self.uri)
    }
}

fn parse(written: &str) -> Result<MemberUri, (String, String)> {
    let lower = written.to_ascii_lowercase();
    let Some(at) = ["sip:", "sips:"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme))
        .map(str::len)
    else {
        let bare = written.rsplit("//").next().unwrap_or(written);
        return Err((
            format!("`{written}` is not a SIP URI"),
            format!("\"sip:{bare}\""),
        ));
    };
    // What a person gets wrong about the address is said by the reader of addresses, in words; the rest by SIP's own.
    let hostport = written[at..].split([';', '?']).next().unwrap_or_default();
    let hostport = hostport.rsplit('@').next().unwrap_or_default();
    let scheme = &written[..at];
    let (host, port) = split_host_port(hostport).map_err(|fault| {
        (
            fault.message,
            fault.help.replacen('"', &format!("\"{scheme}"), 1),
        )
    })?;
    let Some(uri) = sip::Uri::parse(written.as_bytes()) else {
        return Err((
            format!("`{written}` is not a SIP URI"),
            format!("\"{scheme}{hostport}\""),
        ));
    };
    let transport = match uri.param(b"transport") {
        Some(Some(name)) => match Transport::from_param(name) {
            Some(transport) => Some(transport),
            None => {
                let message = format!("`{}` is not a transport", String::from_utf8_lossy(name));
                return Err((message, "one of udp, tcp, tls, ws, wss".to_owned()));
            }
        },
        _ => None,
    };
    let secure = at == "sips:".len();
    Ok(MemberUri {
        uri: written.to_owned(),
        host: host.to_owned(),
        port,
        transport,
        secure,
    })
}

impl Group {
    pub(crate) fn check(&self, name: &str, checks: &mut Checks<'_>) {
        let at = format!("group.{name}");
        let members = format!("{at}.members");
        if self.members.is_empty() && checks.source.wrote(&members) {
            let found = checks
                .source
                .error(&members, format!("`{at}` has no members"));
            checks.push(found.help("for example `members = [\"sip:10.33.69.152\"]`"));
        }
        for (index, member) in self.members.iter().enumerate() {
            self.check_member(&format!("{members}[{index}]"), index, member, checks);
        }
        if !self.members.is_empty() && self.members.iter().all(|member| member.weight == 0) {
            let found = checks
                .source
                .error(&members, format!("every member of `{at}` has weight 0"));
            checks.push(found.help("give at least one a weight of 1"));
        }
        if self.probe.timeout > self.probe.interval {
            let place = format!("{at}.probe");
            let found = checks
                .source
                .error(&place, "a probe would wait longer than until the next one");
            checks.push(found.help("`timeout` at most `interval`, for example { interval = \"10s\", timeout = \"2s\" }"));
        }
    }

    fn check_member(&self, at: &str, index: usize, member: &Member, checks: &mut Checks<'_>) {
        let uri = &member.uri;
        if self.members[..index].iter().any(|other| other.uri == *uri) {
            let found = checks
                .source
                .error(at, format!("`{}` is given twice", uri.uri));
            checks.push(
                found.help("remove one; for a larger share use `{ uri = \"…\", weight = 2 }`"),
            );
        }
        let transport = uri.transport.or(self.transport);
        if uri.secure && transport.is_some_and(|transport| !transport.is_secure()) {
            let word = transport.map_or("", key_of);
            let found = checks
                .source
                .error(at, format!("`sips:` means TLS, which {word} is not"));
            checks.push(found.help("write `sip:`, or `transport = \"tls\"`"));
        }
        if uri
            .host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
        {
            let found = checks
                .source
                .error(at, format!("nobody can reach `{}`", uri.host));
            checks.push(found.help("the member's own address, for example \"sip:10.33.69.152\""));
        }
    }
}
