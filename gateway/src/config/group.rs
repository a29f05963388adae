//! `[group.NAME]`: servers that can stand in for each other: registrars, FreeSWITCHes, carriers.
use std::net::IpAddr;
use std::time::Duration;

use sip::Transport;

use super::address::split_host_port;
use super::check::Checks;
use super::listen::key_of;
use super::reader::{Item, Reader};
use super::schema::{Setting, section};
use super::value::text;

section! {
    /// Servers that can stand in for each other.
    pub struct Group {
        /// Their SIP URIs, with `;transport=` where one takes only that. The same user's requests go to the same living one, so that a registrar that challenged gets the answer.
        pub members: Vec<MemberUri> = Vec::new(), required();
        /// How requests travel to members whose URI does not say it: `"udp"` or `"tcp"`. Left out: UDP. A browser's INVITE is larger than most networks' datagrams, so say `"tcp"` where the members speak it.
        pub transport: Option<Transport> = None;
        /// How it is found out who of them lives.
        pub probe: Probe = Probe::default();
    }
}

section! {
    /// Each member is sent OPTIONS; any final response but 503 is a sign of life.
    pub struct Probe {
        /// How often each member is asked. Long, and it is the requests of users that find out that one is dead, a second and a half each; what fails on the way to a member brings the next question forward.
        pub interval: Duration = Duration::from_secs(2), within(Duration::from_millis(100), Duration::from_secs(600));
        /// How long it may take to answer. Too short, and a busy member counts as dead; too long, and a dead one as alive.
        pub timeout: Duration = Duration::from_secs(1), within(Duration::from_millis(50), Duration::from_secs(30));
        /// Answers in a row after which a dead member gets requests again.
        pub rise: u16 = 2, within(1, 100);
        /// Questions without an answer, in a row, after which a member gets no requests. A refused connection counts as one.
        pub fall: u16 = 2, within(1, 100);
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
    }

    fn check_member(&self, at: &str, index: usize, uri: &MemberUri, checks: &mut Checks<'_>) {
        if self.members[..index].contains(uri) {
            let found = checks
                .source
                .error(at, format!("`{}` is given twice", uri.uri));
            checks.push(found.help("remove one"));
        }
        let transport = uri.transport.or(self.transport).unwrap_or(Transport::Udp);
        if uri.secure || !matches!(transport, Transport::Udp | Transport::Tcp) {
            let word = if uri.secure {
                "sips:"
            } else {
                key_of(transport)
            };
            let message = format!("`{word}`: servers are spoken to over UDP and TCP only");
            let found = checks.source.error(at, message);
            checks.push(found.help("write `sip:`, with `transport = \"tcp\"` for large messages"));
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
