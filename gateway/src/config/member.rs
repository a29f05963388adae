//! A member of a group, and its SIP URI.
use std::net::IpAddr;

use sip::Transport;

use super::address::split_host_port;
use super::check::Checks;
use super::reader::{Item, Reader};
use super::schema::{Setting, section};
use super::value::text;

section! {
    /// A server of a group.
    pub struct Member shorthand uri {
        /// Its SIP URI, with `;transport=` if it takes only that.
        pub uri: MemberUri = MemberUri::default(), required();
        /// Its share of the requests beside the others' of its priority: one with 2 gets twice as much as one with 1. To give it nothing, drain it.
        pub weight: u16 = 1, within(1, 1000);
        /// Who is tried first: the lowest. Others get requests only when nobody with a lower number lives, or none of those answers.
        pub priority: u16 = 1;
        /// It is being drained: it gets nothing new, while its dialogs and what is pending go on. `causeway ctl drain` does it without a restart.
        pub drain: bool = false;
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
        match Self::parse(written) {
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

impl MemberUri {
    /// Reads one; what is wrong with it, and what would be right.
    fn parse(written: &str) -> Result<Self, (String, String)> {
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
        Ok(Self {
            uri: written.to_owned(),
            host: host.to_owned(),
            port,
            transport,
            secure,
        })
    }

    /// `of_group` is the transport of members whose URI does not say it.
    pub(crate) fn check(&self, at: &str, of_group: Option<Transport>, checks: &mut Checks<'_>) {
        let transport = self.transport.or(of_group).unwrap_or(Transport::Udp);
        if self.secure || !matches!(transport, Transport::Udp | Transport::Tcp) {
            let word = if self.secure {
                "sips:"
            } else {
                transport.name()
            };
            let message = format!("`{word}`: servers are spoken to over UDP and TCP only");
            let found = checks.source.error(at, message);
            checks.push(found.help("write `sip:`, with `transport = \"tcp\"` for large messages"));
        }
        if self
            .host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
        {
            let found = checks
                .source
                .error(at, format!("nobody can reach `{}`", self.host));
            checks.push(found.help("the member's own address, for example \"sip:10.33.69.152\""));
        }
    }
}
