//! Under which name others reach a socket.
use std::net::IpAddr;

use super::address::split_host_port;
use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::text;

/// Under which name a side is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// A DNS name or an address; IPv6 without brackets.
    pub host: String,
    /// The port outside, if it is not the one that is bound.
    pub port: Option<u16>,
}

impl Setting for Advertise {
    fn kind() -> String {
        "a host, `host:port` or `env:VAR`".to_owned()
    }
    fn example() -> String {
        "\"sbc.example.com\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let from_env = match written.strip_prefix("env:") {
            Some(variable) => {
                let value = (reader.around.env)(variable).filter(|value| !value.is_empty());
                if value.is_none() {
                    let help =
                        format!("start with {variable}=sbc.example.com, or write the name itself");
                    reader.error(
                        item,
                        format!("the environment has no variable `{variable}`"),
                        help,
                    );
                    return None;
                }
                value
            }
            None => None,
        };
        let host_port = from_env.as_deref().unwrap_or(written);
        let plain_v6 = host_port.parse::<std::net::Ipv6Addr>().is_ok();
        let split = if plain_v6 {
            Ok((host_port, None))
        } else {
            split_host_port(host_port)
        };
        let (host, port) = match split {
            Ok(parts) => parts,
            Err(fault) => {
                reader.error(item, fault.message, fault.help);
                return None;
            }
        };
        if host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
        {
            let help = "the name or address that devices use, for example \"sbc.example.com\"";
            reader.error(item, format!("nobody can reach `{host}`"), help);
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
    fn show(&self) -> String {
        match self.port {
            Some(port) => format!("\"{}:{port}\"", self.host),
            None => format!("\"{}\"", self.host),
        }
    }
}
