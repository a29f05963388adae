//! SIP and SIPS URIs (RFC 3261 §19.1), taken apart without a copy. Other schemes are told apart, not understood.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use crate::lws::{is_host, number, take_while};
use crate::param::Params;
use crate::word::{find, find2, has};

/// A URI. For schemes other than `sip` and `sips` only `scheme` and `opaque` are filled.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    /// What stands before the first colon, as written.
    pub scheme: &'a [u8],
    /// The user, without password, still escaped.
    pub user: Option<&'a [u8]>,
    /// The password, still escaped.
    pub password: Option<&'a [u8]>,
    /// A name, an IPv4 address, or an IPv6 address in its brackets.
    pub host: &'a [u8],
    /// The port, if one is written.
    pub port: Option<u16>,
    /// The URI's parameters with their first semicolon, as in `;lr;transport=tcp`.
    pub params: &'a [u8],
    /// What stands behind the question mark.
    pub headers: &'a [u8],
    /// All behind the scheme's colon.
    pub opaque: &'a [u8],
}

impl Uri<'_> {
    /// Reads a URI; `None` if it has no scheme, has blanks or brackets in it, or is `sip:` or `sips:` with an unreadable host or
    /// port.
    pub fn parse(text: &[u8]) -> Option<Uri<'_>> {
        let colon = find(text, b':')?;
        let (scheme, opaque) = (&text[..colon], &text[colon + 1..]);
        let is_sip = is_sip(scheme);
        if !(is_sip || is_scheme(scheme)) || opaque.is_empty() || has(opaque, stands_in_no_uri) {
            return None;
        }
        let mut uri = Uri {
            scheme,
            user: None,
            password: None,
            host: b"",
            port: None,
            params: b"",
            headers: b"",
            opaque,
        };
        if !is_sip {
            return Some(uri);
        }
        // The user may hold `?`, `;` and `/` unescaped, but no `@` (RFC 4475 §3.1.1.2, §3.1.1.9): the first one ends it.
        let mut rest = opaque;
        if let Some(at) = find(opaque, b'@') {
            let userinfo = &opaque[..at];
            rest = &opaque[at + 1..];
            match find(userinfo, b':') {
                Some(colon) => {
                    uri.user = Some(&userinfo[..colon]);
                    uri.password = Some(&userinfo[colon + 1..]);
                }
                None => uri.user = Some(userinfo),
            }
            if uri.user.is_some_and(<[u8]>::is_empty) {
                return None;
            }
        }
        let rest = match leading_host_and_port(rest) {
            Some((host, port, rest)) if matches!(rest, [] | [b';' | b'?', ..]) => {
                (uri.host, uri.port) = (host, port);
                rest
            }
            _ => {
                let end = find2(rest, b';', b'?').unwrap_or(rest.len());
                (uri.host, uri.port) = host_and_port(&rest[..end])?;
                &rest[end..]
            }
        };
        let (params, headers) = rest.split_at(find(rest, b'?').unwrap_or(rest.len()));
        uri.params = params;
        uri.headers = headers.get(1..).unwrap_or_default();
        Some(uri)
    }

    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip(&self) -> bool {
        is_sip(self.scheme)
    }

    /// Whether the scheme is `sips`.
    pub fn is_sips(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"sips")
    }

    /// A parameter by name, without case: `None` if absent, `Some(None)` if it has no value (as `lr`).
    pub fn param(&self, name: &[u8]) -> Option<Option<&[u8]>> {
        Params::new(self.params).get(name)
    }

    /// The user with its escapes undone; empty if there is none.
    pub fn user_decoded(&self) -> Cow<'_, [u8]> {
        decode(self.user.unwrap_or_default())
    }

    /// The host as an address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        host_ip(self.host)
    }

    /// Whether two URIs are equivalent (RFC 3261 §19.1.4). URIs of other schemes are if they are the same bytes.
    pub fn same_as(&self, other: &Uri<'_>) -> bool {
        if !self.scheme.eq_ignore_ascii_case(other.scheme) {
            return false;
        }
        if !self.is_sip() {
            return self.opaque == other.opaque;
        }
        let same_part = |a: Option<&[u8]>, b: Option<&[u8]>| match (a, b) {
            (Some(a), Some(b)) => Escaped(a).eq(Escaped(b)),
            (None, None) => true,
            _ => false,
        };
        same_part(self.user, other.user)
            && same_part(self.password, other.password)
            && same_host(self.host, other.host)
            && self.port == other.port
            && params_agree(self.params, other.params)
            && params_agree(other.params, self.params)
            && headers_agree(self.headers, other.headers)
            && headers_agree(other.headers, self.headers)
    }
}

/// Whether each parameter of `a` has its equal in `b`. Most may be missing there; these five may not.
fn params_agree(a: &[u8], b: &[u8]) -> bool {
    const DECISIVE: [&[u8]; 5] = [b"transport", b"user", b"ttl", b"method", b"maddr"];
    Params::new(a).all(|(name, value)| {
        // One name twice is forbidden, and yet such a URI has to equal itself: a device that registers it anew is the same.
        let mut named = Params::new(b)
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .peekable();
        if named.peek().is_none() {
            return !DECISIVE
                .iter()
                .any(|decisive| decisive.eq_ignore_ascii_case(name));
        }
        named.any(|(_, other)| {
            same_without_case(value.unwrap_or_default(), other.unwrap_or_default())
        })
    })
}

/// Whether each header of `a` stands in `b` too; order does not count.
fn headers_agree(a: &[u8], b: &[u8]) -> bool {
    a.split(|byte| *byte == b'&').all(|header| {
        b.split(|byte| *byte == b'&')
            .any(|other| same_without_case(header, other))
    })
}

fn same_without_case(a: &[u8], b: &[u8]) -> bool {
    let lower = |(byte, literal): (u8, bool)| (byte.to_ascii_lowercase(), literal);
    Escaped(a).map(lower).eq(Escaped(b).map(lower))
}

fn same_host(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b) || host_ip(a).is_some_and(|ip| host_ip(b) == Some(ip))
}

/// Walks over text with its escapes undone. `true` beside a byte: an escaped reserved character, which is not the same as the
/// plain one (§19.1.4: `%40` is no `@`, but `%41` is `A`).
struct Escaped<'a>(&'a [u8]);

impl Iterator for Escaped<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        let (byte, length) = unescape(self.0)?;
        self.0 = &self.0[length..];
        Some((byte, length == 3 && b";/?:@&=+$,".contains(&byte)))
    }
}

/// The first character of escaped text and how many bytes it takes there. A `%` that starts no escape is itself.
fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    let hex = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    match text {
        [] => None,
        [b'%', high, low, ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, 3)),
            _ => Some((b'%', 1)),
        },
        [byte, ..] => Some((*byte, 1)),
    }
}

/// Undoes escapes (`%40` becomes `@`); borrows if there are none.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Escaped(text).map(|(byte, _)| byte).collect())
}

/// The URI without `?` and what follows: a Request-URI may have no headers (§19.1.1). Other schemes stay as they are.
pub fn without_headers(text: &[u8]) -> &[u8] {
    match Uri::parse(text) {
        Some(uri) if uri.is_sip() && (!uri.headers.is_empty() || text.ends_with(b"?")) => {
            &text[..text.len() - uri.headers.len() - 1]
        }
        _ => text,
    }
}

/// Whether each `%` is followed by two hexadecimal digits.
pub fn escapes_are_whole(text: &[u8]) -> bool {
    let whole = |at: usize| unescape(&text[at..]).is_some_and(|(_, length)| length == 3);
    !has(text, |byte| byte == b'%') || memchr::memchr_iter(b'%', text).all(whole)
}

/// The host, not of IPv6, and perhaps port that start the text, and what follows them, which may be anything. `None` where it
/// takes a closer look.
#[inline]
pub(crate) fn leading_host_and_port(text: &[u8]) -> Option<(&[u8], Option<u16>, &[u8])> {
    let (host, rest) = take_while(text, is_host);
    if host.is_empty() {
        return None;
    }
    let [b':', rest @ ..] = rest else {
        return Some((host, None, rest));
    };
    let (digits, rest) = take_while(rest, |byte| byte.is_ascii_digit());
    Some((host, Some(u16::try_from(number(digits)?).ok()?), rest))
}

/// Takes `host:port` apart: the host is checked for its characters, an IPv6 address (in brackets) for its form.
pub(crate) fn host_and_port(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (host, rest) = if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text)? + 1;
        host_ip(&text[..end])?;
        text.split_at(end)
    } else {
        take_while(text, is_host)
    };
    if host.is_empty() {
        return None;
    }
    match rest {
        [] => Some((host, None)),
        [b':', digits @ ..] => Some((host, Some(u16::try_from(number(digits)?).ok()?))),
        _ => None,
    }
}

/// A host as an address: IPv4, or IPv6 with or without brackets.
pub fn host_ip(host: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(host).ok()?;
    match text.strip_prefix('[') {
        Some(rest) => ipv6(rest.strip_suffix(']')?).map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// RFC 3261's grammar has a third colon before an embedded IPv4 address, and some write it (RFC 5118 §4.10).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let embeds_ipv4 = text.contains(":::") && text.contains('.');
    if embeds_ipv4 {
        text.replacen(":::", "::", 1).parse().ok()
    } else {
        text.parse().ok()
    }
}

fn is_sip(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips")
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[inline]
fn stands_in_no_uri(byte: u8) -> bool {
    (byte <= b' ') | (byte == b'<') | (byte == b'>') | (byte == b'"') | (byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (
        &'a str,
        Option<&'a str>,
        &'a str,
        Option<u16>,
        &'a str,
        &'a str,
    );

    #[test]
    fn a_uri_is_taken_apart() {
        let rows: &[(&str, Parts)] = &[
            (
                "sip:alice@example.com",
                ("sip", Some("alice"), "example.com", None, "", ""),
            ),
            (
                "SIPS:a:pw@h.example:5061;lr?Subject=x",
                (
                    "SIPS",
                    Some("a"),
                    "h.example",
                    Some(5061),
                    ";lr",
                    "Subject=x",
                ),
            ),
            (
                "sip:[2001:db8::9:1]:6050;transport=tcp",
                (
                    "sip",
                    None,
                    "[2001:db8::9:1]",
                    Some(6050),
                    ";transport=tcp",
                    "",
                ),
            ),
            (
                "sip:[2001:db8::10:5070]",
                ("sip", None, "[2001:db8::10:5070]", None, "", ""),
            ),
            (
                "sip:user;par=u%40example.net@example.com",
                (
                    "sip",
                    Some("user;par=u%40example.net"),
                    "example.com",
                    None,
                    "",
                    "",
                ),
            ),
            (
                "sip:what?,/is;;this@example.com",
                ("sip", Some("what?,/is;;this"), "example.com", None, "", ""),
            ),
            (
                "tel:+358-555-1234567;postd=pp22",
                ("tel", None, "", None, "", ""),
            ),
        ];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for (given, (scheme, user, host, port, params, headers)) in rows {
            let uri = Uri::parse(given.as_bytes()).unwrap_or_else(|| panic!("{given}"));
            assert_eq!(text(uri.scheme), *scheme, "{given}");
            assert_eq!(uri.user.map(text).as_deref(), *user, "{given}");
            assert_eq!(text(uri.host), *host, "{given}");
            assert_eq!(uri.port, *port, "{given}");
            assert_eq!(text(uri.params), *params, "{given}");
            assert_eq!(text(uri.headers), *headers, "{given}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "sip",
            ":",
            "sip:",
            "sip:@h",
            "sip:a@",
            "sip:a@h:",
            "sip:a@h:x",
            "sip:a@h:65536",
            "sip:2001:db8::10",
            "sip:[::1",
            "sip:[::g]",
            "sip:a@b@c",
            "sip:a b@h",
            "<sip:a@h>",
            "1sip:a@h",
            "sip:h\0",
            "sip:a@h h",
        ] {
            assert!(Uri::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn equivalence_is_that_of_rfc_3261_19_1_4() {
        for (a, b, want) in [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtLanTa.CoM;Transport=tcp",
                true,
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com;newparam=5",
                true,
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com;security=on",
                true,
            ),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
                true,
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
                true,
            ),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1;x=2", true),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1;x=3", false),
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
                false,
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
            (
                "sip:bob@biloxi.com",
                "sip:bob@biloxi.com;transport=udp",
                false,
            ),
            (
                "sip:bob@biloxi.com",
                "sip:bob@biloxi.com:6000;transport=tcp",
                false,
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com?Subject=next%20meeting",
                false,
            ),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;security=off",
                false,
            ),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
            ("sip:a@h", "sips:a@h", false),
            ("sip:a%40b@h", "sip:a%40b@h", true),
            ("sip:a%3ab@h", "sip:a:b@h", false),
            ("sip:[2001:db8:0::1]", "sip:[2001:db8::1]", true),
            (
                "sip:[2001:db8:::192.0.2.1]",
                "sip:[2001:db8::192.0.2.1]",
                true,
            ),
            ("sip:a@h", "sip:h", false),
            ("tel:1", "tel:1", true),
            ("tel:1", "tel:2", false),
        ] {
            let (one, other) = (
                Uri::parse(a.as_bytes()).unwrap(),
                Uri::parse(b.as_bytes()).unwrap(),
            );
            assert_eq!(one.same_as(&other), want, "{a} and {b}");
            assert_eq!(other.same_as(&one), want, "{b} and {a}");
        }
    }

    #[test]
    fn headers_are_cut_off_a_uri_and_nothing_else() {
        for (text, want) in [
            ("sip:a@h;x=y?Replaces=1%3Bto-tag%3D2", "sip:a@h;x=y"),
            ("sip:what?@h", "sip:what?@h"),
            ("sip:h", "sip:h"),
            ("sip:h?", "sip:h"),
            ("http://h/?x", "http://h/?x"),
        ] {
            assert_eq!(without_headers(text.as_bytes()), want.as_bytes());
        }
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_found() {
        assert_eq!(
            &*decode(b"sips%3Auser%40example.com"),
            b"sips:user@example.com"
        );
        assert_eq!(&*decode(b"null-%00-%4"), b"null-\0-%4");
        assert!(matches!(decode(b"plain"), Cow::Borrowed(_)));
        assert!(
            escapes_are_whole(b"%40a%4a")
                && !escapes_are_whole(b"a%")
                && !escapes_are_whole(b"%g0")
        );
        assert_eq!(
            Uri::parse(b"sip:a@[::1]").and_then(|uri| uri.ip()),
            Some(IpAddr::V6(Ipv6Addr::LOCALHOST))
        );
        assert_eq!(Uri::parse(b"sip:a@h").and_then(|uri| uri.ip()), None);
    }
}
