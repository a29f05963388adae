//! Via (RFC 3261 §20.42): where a request came from and the response goes; and what the one who receives it writes there
//! (§18.2.1, RFC 3581 §4).

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::lws::{is_token, is_token_text, number, push_number, take_while, trim, trim_start};
use crate::param::{Params, name_and_value};
use crate::uri::{host_and_port, host_ip, leading_host_and_port};
use crate::word::find;

/// One Via value.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// Such as `UDP` or `WSS`, as written.
    pub transport: &'a [u8],
    /// The host of sent-by; an IPv6 address keeps its brackets.
    pub host: &'a [u8],
    /// The port of sent-by, if one is written.
    pub port: Option<u16>,
    /// The branch.
    pub branch: Option<&'a [u8]>,
    /// `None` without rport, `Some(None)` if the sender asks for it, `Some(Some(port))` when it is filled in.
    pub rport: Option<Option<u16>>,
    /// As written, perhaps with brackets (RFC 5118 §4.5).
    pub received: Option<&'a [u8]>,
    /// All parameters.
    pub params: Params<'a>,
}

impl Via<'_> {
    /// Reads one value; white space and folds may stand at every separator (`SIP / 2.0 / UDP host : 5060 ; branch=…`).
    pub fn parse(value: &[u8]) -> Option<Via<'_>> {
        let (transport, host, port, params) = split(value)?;
        let params = Params::new(params);
        let mut via = Via {
            transport,
            host,
            port,
            branch: None,
            rport: None,
            received: None,
            params,
        };
        for (name, value) in params {
            if name.eq_ignore_ascii_case(b"branch") && via.branch.is_none() {
                via.branch = value.filter(|branch| !branch.is_empty());
            } else if name.eq_ignore_ascii_case(b"rport") && via.rport.is_none() {
                via.rport = Some(
                    value
                        .and_then(number)
                        .and_then(|port| u16::try_from(port).ok()),
                );
            } else if name.eq_ignore_ascii_case(b"received") && via.received.is_none() {
                via.received = value;
            }
        }
        Some(via)
    }

    /// Whether [`Via::parse`] could read the value.
    pub(crate) fn is_readable(value: &[u8]) -> bool {
        split(value).is_some()
    }
}

/// Transport, host, port and the text of the parameters, with their first semicolon.
type Parts<'a> = (&'a [u8], &'a [u8], Option<u16>, &'a [u8]);

fn split(value: &[u8]) -> Option<Parts<'_>> {
    let value = trim(value);
    let rest = match value.strip_prefix(b"SIP/2.0/") {
        Some(rest) => rest,
        None => behind_protocol(value)?,
    };
    let (transport, rest) = take_while(trim_start(rest), is_token);
    if let [b' ', sent_by @ ..] = rest
        && !transport.is_empty()
        && let Some((host, port, params)) = leading_host_and_port(sent_by)
        && matches!(params, [] | [b';', ..])
    {
        return Some((transport, host, port, params));
    }
    let sent_by = trim_start(rest);
    if transport.is_empty() || sent_by.len() == rest.len() {
        return None;
    }
    let (sent_by, params) = sent_by.split_at(find(sent_by, b';').unwrap_or(sent_by.len()));
    let sent_by = trim(sent_by);
    if let Some(parts) = host_and_port(sent_by) {
        return Some((transport, parts.0, parts.1, params));
    }
    // `host : port`
    let colon = memchr::memrchr(b':', sent_by)?;
    let (host, none) = host_and_port(trim(&sent_by[..colon]))?;
    let port = u16::try_from(number(trim(&sent_by[colon + 1..]))?).ok()?;
    none.is_none()
        .then_some((transport, host, Some(port), params))
}

/// What stands behind the second slash.
fn behind_protocol(value: &[u8]) -> Option<&[u8]> {
    let (protocol, rest) = take_while(value, is_token);
    let (version, rest) = take_while(trim_start(slash(rest)?), is_token);
    let rest = slash(rest)?;
    (!protocol.is_empty() && !version.is_empty()).then_some(rest)
}

fn slash(text: &[u8]) -> Option<&[u8]> {
    trim_start(text).strip_prefix(b"/")
}

/// The value as its receiver passes it on: with `received` if sent-by is not the peer's address or `rport` was asked for, and
/// with `rport` filled in then (RFC 3261 §18.2.1, RFC 3581 §4). What the sender put there itself goes: it would send the
/// response to somebody else. `None` if the value is no Via.
pub fn stamp_received(via_value: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
    let value = trim(via_value);
    let (_, host, _, params) = split(value)?;
    // The longest address and port, and what stands before them, take no more.
    let mut out = Vec::with_capacity(value.len() + 64);
    out.extend_from_slice(trim(&value[..value.len() - params.len()]));
    let mut asks_for_rport = false;
    let mut params = Params::new(params);
    while let Some(text) = params.next_text() {
        let (name, value) = name_and_value(text);
        if name.eq_ignore_ascii_case(b"rport") {
            asks_for_rport = true;
        } else if !name.eq_ignore_ascii_case(b"received") {
            out.push(b';');
            match value {
                Some(value) if name.len() + 1 + value.len() < text.len() => {
                    out.extend_from_slice(name);
                    out.push(b'=');
                    out.extend_from_slice(value);
                }
                _ => out.extend_from_slice(text),
            }
        }
    }
    if asks_for_rport {
        out.extend_from_slice(b";rport=");
        push_number(&mut out, peer.port().into());
    }
    let without = out.len();
    out.extend_from_slice(b";received=");
    let start = out.len();
    let address = peer.ip().to_canonical();
    push_address(&mut out, address);
    if !asks_for_rport && is_address(host, address, &out[start..]) {
        out.truncate(without);
    }
    Some(out)
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                push_number(out, octet.into());
            }
        }
        // Writing into a Vec cannot fail.
        IpAddr::V6(address) => {
            let _ = write!(out, "{address}");
        }
    }
}

/// Whether the host is this address, which `text` is too. There is one way to write an IPv4 address, and several for IPv6.
fn is_address(host: &[u8], address: IpAddr, text: &[u8]) -> bool {
    host == text
        || host.first() == Some(&b'[')
            && host_ip(host).map(|host| host.to_canonical()) == Some(address)
}

/// Whether a branch was made by an element that knows RFC 3261 (§8.1.1.7), so that it identifies the transaction alone.
pub fn has_magic_cookie(branch: &[u8]) -> bool {
    branch.len() > 7 && branch[..7].eq_ignore_ascii_case(b"z9hG4bK") && is_token_text(branch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_via_is_read_with_white_space_at_every_separator() {
        let via = Via::parse(b"SIP  / 2.0\r\n / TCP     spindle.example.com : 5062  ;\r\n  branch  =   z9hG4bK9ikj8 ; rport").unwrap();
        assert_eq!(
            (via.transport, via.host, via.port),
            (&b"TCP"[..], &b"spindle.example.com"[..], Some(5062))
        );
        assert_eq!(
            (via.branch, via.rport, via.received),
            (Some(&b"z9hG4bK9ikj8"[..]), Some(None), None)
        );
        let via = Via::parse(
            b"SIP/2.0/UDP [2001:db8::9:1]:6050;branch=x;received=[2001:db8::9:255];rport=5",
        )
        .unwrap();
        assert_eq!((via.host, via.port), (&b"[2001:db8::9:1]"[..], Some(6050)));
        assert_eq!(
            (via.received, via.rport),
            (Some(&b"[2001:db8::9:255]"[..]), Some(Some(5)))
        );
        assert_eq!(via.params.count(), 3);
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for value in [
            "",
            ";",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 UDP host",
            "SIP/2.0/UDPhost",
            "SIP/2.0/UDP ;branch=x",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP h:1:2",
            "SIP/2.0/UDP a b;branch=x",
            "SIP/2.0/UDP h:99999",
        ] {
            assert!(Via::parse(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn the_receiver_says_where_a_request_came_from_and_the_sender_does_not() {
        for (value, peer, want) in [
            (
                "SIP/2.0/UDP 10.0.0.1;branch=b",
                "10.0.0.1:5060",
                "SIP/2.0/UDP 10.0.0.1;branch=b",
            ),
            (
                "SIP/2.0/UDP 10.0.0.1;branch=b",
                "192.0.2.7:999",
                "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.7",
            ),
            (
                "SIP/2.0/UDP 10.0.0.1;rport;branch=b",
                "10.0.0.1:999",
                "SIP/2.0/UDP 10.0.0.1;branch=b;rport=999;received=10.0.0.1",
            ),
            (
                "SIP/2.0/UDP 10.0.0.1;received=203.0.113.9;rport=1;branch=b;x=\"a;b\"",
                "10.0.0.1:999",
                "SIP/2.0/UDP 10.0.0.1;branch=b;x=\"a;b\";rport=999;received=10.0.0.1",
            ),
            (
                "SIP/2.0/UDP 10.0.0.1;received=203.0.113.9;branch=b",
                "10.0.0.1:9",
                "SIP/2.0/UDP 10.0.0.1;branch=b",
            ),
            (
                "SIP/2.0/WSS x.invalid;branch=b",
                "[2001:db8::1]:9",
                "SIP/2.0/WSS x.invalid;branch=b;received=2001:db8::1",
            ),
            (
                "SIP/2.0/UDP [2001:DB8:0::1];branch=b",
                "[2001:db8::1]:9",
                "SIP/2.0/UDP [2001:DB8:0::1];branch=b",
            ),
            (
                "SIP/2.0/UDP 10.0.0.1 ;branch=b",
                "[::ffff:10.0.0.1]:9",
                "SIP/2.0/UDP 10.0.0.1;branch=b",
            ),
            (
                "SIP/2.0/UDP 10.0.0.1",
                "10.0.0.2:9",
                "SIP/2.0/UDP 10.0.0.1;received=10.0.0.2",
            ),
        ] {
            let got = stamp_received(value.as_bytes(), peer.parse().unwrap()).unwrap();
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
        assert!(stamp_received(b"nonsense", "10.0.0.1:1".parse().unwrap()).is_none());
    }

    #[test]
    fn a_magic_cookie_alone_is_no_branch() {
        assert!(
            has_magic_cookie(b"z9hG4bKx")
                && !has_magic_cookie(b"z9hG4bK")
                && !has_magic_cookie(b"390skdjuw")
        );
    }
}
