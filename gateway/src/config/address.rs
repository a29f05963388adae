//! Addresses, hosts with their port, networks; and what people get wrong about them.
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::text;

impl Setting for SocketAddr {
    fn kind() -> String {
        "an address with its port".to_owned()
    }
    fn example() -> String {
        "\"0.0.0.0:5060\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let address = read_host_port(written, item, reader)?;
        match address.host.parse::<IpAddr>() {
            Ok(ip) => Some(Self::new(ip, address.port)),
            Err(_) => {
                let help = format!(
                    "write \"0.0.0.0:{}\" for all addresses of this machine; a name belongs into `advertise`",
                    address.port
                );
                reader.error(
                    item,
                    format!(
                        "`{}` is a name, but a socket is bound to an address",
                        address.host
                    ),
                    help,
                );
                None
            }
        }
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

/// A host, by name or address, and a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// A DNS name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let brackets = self.host.contains(':');
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl Setting for HostPort {
    fn kind() -> String {
        "a host with its port".to_owned()
    }
    fn example() -> String {
        "\"10.0.0.5:2223\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        read_host_port(written, item, reader)
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

/// What is wrong with a written host and port, and what would be right.
pub(crate) struct AddressFault {
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Splits `host`, `host:port`, `[v6]:port`; the host comes without brackets.
pub(crate) fn split_host_port(written: &str) -> Result<(&str, Option<u16>), AddressFault> {
    let fault = |message: String, help: String| Err(AddressFault { message, help });
    let schemes = [
        "sip:", "sips:", "udp:", "tcp:", "tls:", "ws:", "wss:", "http:", "https:",
    ];
    if let Some(rest) = schemes
        .iter()
        .find_map(|scheme| written.strip_prefix(scheme))
    {
        let host = rest
            .trim_start_matches('/')
            .split([';', '/', '?'])
            .next()
            .unwrap_or_default();
        return fault(
            format!("`{written}` is a URI where an address is expected"),
            format!("\"{host}\""),
        );
    }
    let (host, port) = if let Some(rest) = written.strip_prefix('[') {
        let Some((host, rest)) = rest.split_once(']') else {
            return fault(
                format!("`{written}` lacks a closing bracket"),
                "for example \"[2001:db8::1]:5060\"".to_owned(),
            );
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return fault(
                format!("`{host}` is not an IPv6 address"),
                "for example \"[2001:db8::1]:5060\"".to_owned(),
            );
        }
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => {
                return fault(
                    format!("`{rest}` after the bracket is not a port"),
                    format!("\"[{host}]:5060\""),
                );
            }
        }
    } else if written.matches(':').count() > 1 {
        let (head, tail) = written.rsplit_once(':').unwrap_or((written, ""));
        let joined = head.parse::<std::net::Ipv6Addr>().is_ok()
            && tail.len() >= 4
            && tail.parse::<u16>().is_ok();
        let right = if joined {
            format!("\"[{head}]:{tail}\"")
        } else {
            format!("\"[{written}]:5060\"")
        };
        return fault(
            format!("`{written}` is an IPv6 address without brackets"),
            right,
        );
    } else {
        match written.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (written, None),
        }
    };
    let address = host.contains(':') || is_host_name(host);
    if !address {
        return fault(
            format!("`{host}` is neither a host name nor an address"),
            "for example \"10.0.0.5\" or \"sip.example.com\"".to_owned(),
        );
    }
    let dotted =
        host.split('.').count() == 4 && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if dotted && host.parse::<std::net::Ipv4Addr>().is_err() {
        return fault(
            format!("`{host}` is not an IPv4 address"),
            "four numbers from 0 to 255, for example \"10.0.0.5\"".to_owned(),
        );
    }
    match port.map(str::parse::<u16>) {
        None => Ok((host, None)),
        Some(Ok(number)) => Ok((host, Some(number))),
        Some(Err(_)) => fault(
            format!("`{}` is not a port", port.unwrap_or_default()),
            "a number from 1 to 65535".to_owned(),
        ),
    }
}

/// RFC 1123 §2.1: letters, digits, hyphens, dots; a phone's log or a Via shows it, so nothing else.
pub(crate) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        let fits = !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-');
        fits && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.trim_end_matches('.').split('.').all(label)
}

fn read_host_port(written: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<HostPort> {
    match split_host_port(written) {
        Ok((host, Some(port))) => Some(HostPort {
            host: host.to_owned(),
            port,
        }),
        Ok((host, None)) => {
            let port = if item.path.contains("rtpengine") {
                2223
            } else {
                5060
            };
            let right = HostPort {
                host: host.to_owned(),
                port,
            };
            reader.error(
                item,
                format!("`{written}` has no port"),
                format!("for example \"{right}\""),
            );
            None
        }
        Err(fault) => {
            reader.error(item, fault.message, fault.help);
            None
        }
    }
}

impl Setting for IpNet {
    fn kind() -> String {
        "an address or network".to_owned()
    }
    fn example() -> String {
        "\"10.0.0.0/24\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        if let Ok(address) = written.parse::<IpAddr>() {
            return Some(Self::from(address));
        }
        let Ok(net) = written.parse::<Self>() else {
            reader.error(
                item,
                format!("`{written}` is not a network"),
                "for example \"10.0.0.0/24\" or \"2001:db8::/48\"",
            );
            return None;
        };
        if net != net.trunc() {
            let message = format!("`{written}` is an address inside a network");
            let help = format!(
                "\"{}\" is the network, \"{}\" the one address",
                net.trunc(),
                net.addr()
            );
            reader.error(item, message, help);
            return None;
        }
        Some(net)
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}
