//! How each type of value is written in the file: durations and sizes with their unit, addresses with their port,
//! one value or a list, words from a closed set.
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::reader::{Inside, Item, Reader, Section, Setting, Shape, nearest};

impl Setting for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }
    fn example() -> String {
        "true".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Boolean(value) = item.value else {
            reader.wrong_type::<Self>(item);
            return None;
        };
        Some(*value)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// Whole numbers: the type's own bounds are the outermost extremes.
macro_rules! number {
    ($($type:ty),+) => { $(
        impl Setting for $type {
            fn kind() -> String {
                "a number".to_owned()
            }
            fn example() -> String {
                "10".to_owned()
            }
            fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                let DeValue::Integer(value) = item.value else {
                    reader.wrong_type::<Self>(item);
                    return None;
                };
                match <$type>::from_str_radix(value.as_str(), value.radix()) {
                    Ok(number) => Some(number),
                    Err(_) => {
                        let help = format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX);
                        reader.error(item, format!("`{}` cannot be {value}", item.path), help);
                        None
                    }
                }
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}
number!(u16, u32, usize);

impl Setting for String {
    fn kind() -> String {
        "a string".to_owned()
    }
    fn example() -> String {
        "\"…\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        Some(text::<Self>(item, reader)?.to_owned())
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

/// The text of a string value; anything else is the wrong type for `T`.
pub(crate) fn text<'a, T: Setting>(item: &Item<'a>, reader: &mut Reader<'_>) -> Option<&'a str> {
    let DeValue::String(value) = item.value else {
        reader.wrong_type::<T>(item);
        return None;
    };
    Some(value)
}

impl Setting for PathBuf {
    fn kind() -> String {
        "a path".to_owned()
    }
    fn example() -> String {
        "\"/etc/causeway/file\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let path = text::<Self>(item, reader)?;
        if path.is_empty() {
            reader.error(
                item,
                format!("`{}` is empty", item.path),
                "name a file, or leave the key out",
            );
            return None;
        }
        Some(reader.resolve(path))
    }
    fn show(&self) -> String {
        format!("{:?}", self.display().to_string())
    }
}

/// Units of a duration, the longest name first so that `ms` is not read as `m`.
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Setting for Duration {
    fn kind() -> String {
        "a duration".to_owned()
    }
    fn example() -> String {
        "\"30s\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let units = "a number and its unit, one of ms, s, m, h, d";
        let written = match item.value {
            DeValue::Integer(value) => {
                let message = format!("`{}` has no unit", item.path);
                reader.error(
                    item,
                    message,
                    format!(
                        "write `{} = \"{value}s\"` if seconds are meant: {units}",
                        item.name()
                    ),
                );
                return None;
            }
            _ => text::<Self>(item, reader)?,
        };
        let (digits, unit) = split_unit(written);
        let factor = DURATIONS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let read = digits
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor));
        if read.is_none() {
            let example = match unit {
                "" if !digits.is_empty() => format!("\"{digits}s\""),
                _ => "\"500ms\", \"30s\", \"5m\", \"1h\"".to_owned(),
            };
            let message = format!("`{written}` is not a duration");
            reader.error(item, message, format!("{units}: for example {example}"));
        }
        read.map(Self::from_millis)
    }
    fn show(&self) -> String {
        let millis = self.as_millis();
        let fits =
            |factor: u64| millis >= u128::from(factor) && millis.is_multiple_of(u128::from(factor));
        let (name, factor) = DURATIONS
            .iter()
            .rev()
            .find(|(_, factor)| fits(*factor))
            .unwrap_or(&DURATIONS[0]);
        format!("\"{}{name}\"", millis / u128::from(*factor))
    }
}

fn split_unit(written: &str) -> (&str, &str) {
    let at = written
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(written.len());
    (&written[..at], written[at..].trim_start())
}

/// A number of bytes: `65536`, `"64KiB"`, `"1MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(
    /// Bytes.
    pub usize,
);

const SIZES: [(&str, usize); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Setting for ByteSize {
    fn kind() -> String {
        "a size in bytes".to_owned()
    }
    fn example() -> String {
        "\"64KiB\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if matches!(item.value, DeValue::Integer(_)) {
            return usize::read(item, reader).map(Self);
        }
        let written = text::<Self>(item, reader)?;
        let (digits, unit) = split_unit(written);
        let factor = SIZES
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let read = digits
            .parse::<usize>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor));
        if read.is_none() {
            let message = format!("`{written}` is not a size");
            reader.error(
                item,
                message,
                "a number of bytes, or with a unit B, KiB, MiB: for example \"64KiB\"",
            );
        }
        read.map(Self)
    }
    fn show(&self) -> String {
        let fits = |factor: usize| self.0 >= factor && self.0.is_multiple_of(factor);
        match SIZES.iter().rev().find(|(_, factor)| fits(*factor)) {
            Some((name, factor)) if *factor > 1 => format!("\"{}{name}\"", self.0 / factor),
            _ => self.0.to_string(),
        }
    }
}

impl<T: Setting> Setting for Option<T> {
    fn kind() -> String {
        T::kind()
    }
    fn example() -> String {
        T::example()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(item, reader).map(Some)
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
    fn inside() -> Option<Inside> {
        T::inside()
    }
}

/// One value, or a list of them: who has one does not write brackets.
impl<T: Setting> Setting for Vec<T> {
    fn kind() -> String {
        format!("{}, or a list", T::kind())
    }
    fn example() -> String {
        match T::inside() {
            Some(_) => format!("[{}]", T::example()),
            None => T::example(),
        }
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let one = |reader: &mut Reader<'_>,
                   index: usize,
                   span: std::ops::Range<usize>,
                   value: &DeValue<'_>| {
            let path = format!("{}[{index}]", item.path);
            reader.note(&path, span.clone(), span.clone());
            T::read(&Item { path, span, value }, reader)
        };
        let DeValue::Array(array) = item.value else {
            return one(reader, 0, item.span.clone(), item.value).map(|value| vec![value]);
        };
        let each = array.iter().enumerate();
        let read: Vec<Option<T>> = each
            .map(|(index, value)| one(reader, index, value.span(), value.get_ref()))
            .collect();
        // A list with a hole would shift the places of what follows: its mistakes are reported, its rest is not checked.
        read.into_iter().collect()
    }
    fn show(&self) -> String {
        let parts: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", parts.join(", "))
    }
    fn inside() -> Option<Inside> {
        T::inside().map(|inside| Inside {
            shape: Shape::List,
            ..inside
        })
    }
}

/// Tables with names: `[listen.public]`.
impl<T: Section + Setting> Setting for BTreeMap<String, T> {
    fn kind() -> String {
        "tables with names".to_owned()
    }
    fn example() -> String {
        format!("{{ NAME = {} }}", T::example())
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Table(table) = item.value else {
            reader.wrong_type::<Self>(item);
            return None;
        };
        let mut read = Self::new();
        for (name, value) in table {
            let path = format!("{}.{}", item.path, name.get_ref());
            reader.note(&path, name.span(), value.span());
            let inner = Item {
                path,
                span: value.span(),
                value: value.get_ref(),
            };
            if !matches!(inner.value, DeValue::Table(_)) {
                let message = format!(
                    "`{}` must be a table with a name, not a value of `{}`",
                    inner.path, item.path
                );
                let help = format!(
                    "write `[{}.NAME]` above it, with a name of your choice",
                    item.path
                );
                let file = std::sync::Arc::clone(&reader.source.file);
                reader
                    .found
                    .push(super::Diagnostic::error(&file, name.span(), message).help(help));
                continue;
            }
            if let Some(section) = T::read(&inner, reader) {
                read.insert(name.get_ref().to_string(), section);
            }
        }
        Some(read)
    }
    fn show(&self) -> String {
        String::new()
    }
    fn inside() -> Option<Inside> {
        Some(Inside::of::<T>(Shape::Named))
    }
}

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

/// Says that a word is none of those known, and which is nearest.
pub(crate) fn unknown_word(
    written: &str,
    known: &[&str],
    item: &Item<'_>,
    reader: &mut Reader<'_>,
) {
    let all = known.join(", ");
    let help = match nearest(written, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? Known: {all}"),
        None => format!("one of {all}"),
    };
    reader.error(item, format!("`{}` cannot be `{written}`", item.path), help);
}

/// Declares an enum whose variants are words of the file.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident { $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal ),+ $(,)? }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $( $(#[doc = $word_doc])+ $variant, )+ }

        impl $name {
            /// The word in the file.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::config::reader::Setting for $name {
            fn kind() -> String {
                [$(concat!("`\"", $word, "\"`")),+].join(", ")
            }
            fn example() -> String {
                [$(concat!("\"", $word, "\"")),+][0].to_owned()
            }
            fn read(
                item: &$crate::config::reader::Item<'_>,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                let written = $crate::config::value::text::<Self>(item, reader)?;
                match written {
                    $( $word => Some(Self::$variant), )+
                    _ => {
                        $crate::config::value::unknown_word(written, &[$($word),+], item, reader);
                        None
                    }
                }
            }
            fn show(&self) -> String {
                format!("\"{}\"", self.word())
            }
        }
    };
}
pub(crate) use words;
