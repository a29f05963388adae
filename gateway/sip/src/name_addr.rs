//! The values of From, To, Contact, Route and their like (RFC 3261 §20.10): a display name, a URI, parameters.

use crate::Uri;
use crate::lws::{trim, trim_start};
use crate::param::{Params, closed_quote};
use crate::word::{find, has};

/// A name-addr or addr-spec with its header parameters.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// The display name as written, quotes kept; empty if there is none.
    pub display: &'a [u8],
    /// The URI, without the angle brackets.
    pub uri: &'a [u8],
    /// The header's parameters with their first semicolon; never those of the URI.
    pub params: &'a [u8],
    /// Whether the URI stands in angle brackets. Without them all parameters are the header's (§20).
    pub bracketed: bool,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. `None` for unbalanced quotes or brackets, a display name that had to be quoted, or blanks in the URI:
    /// nobody can say what the sender meant (RFC 4475 §3.1.2.6, §3.1.2.14, §3.1.2.15). The URI itself may be of any scheme.
    pub fn parse(value: &'a [u8]) -> Option<NameAddr<'a>> {
        let value = trim(value);
        let name_length = if value.first() == Some(&b'"') {
            closed_quote(value)?
        } else {
            0
        };
        match find(&value[name_length..], b'<') {
            Some(at) => Self::bracketed(value, name_length, name_length + at),
            None if name_length == 0 => Self::bare(value),
            None => None,
        }
    }

    fn bracketed(value: &'a [u8], quoted: usize, open: usize) -> Option<NameAddr<'a>> {
        let unquoted = trim(&value[quoted..open]);
        // RFC 3261 wants tokens here. Real names have dots, brackets and letters beyond ASCII in them, which harm nobody; these do.
        let harmful =
            |byte: &u8| matches!(byte, b',' | b';' | b'"' | b'>') || *byte < b' ' && *byte != b'\t';
        if quoted > 0 && !unquoted.is_empty()
            || unquoted
                .iter()
                .any(|byte| harmful(byte) && !matches!(byte, b'\r' | b'\n'))
        {
            return None;
        }
        let close = open + find(&value[open..], b'>')?;
        let uri = &value[open + 1..close];
        let params = trim_start(&value[close + 1..]);
        if uri.is_empty() || has_white_space(uri) || !(params.is_empty() || params[0] == b';') {
            return None;
        }
        Some(NameAddr {
            display: trim(&value[..open]),
            uri,
            params,
            bracketed: true,
        })
    }

    fn bare(value: &'a [u8]) -> Option<NameAddr<'a>> {
        let end = find(value, b';').unwrap_or(value.len());
        let uri = trim(&value[..end]);
        if uri.is_empty()
            || has_white_space(uri)
            || has(uri, |byte| (byte == b'"') | (byte == b'>') | (byte == b','))
        {
            return None;
        }
        Some(NameAddr {
            display: b"",
            uri,
            params: &value[end..],
            bracketed: false,
        })
    }

    /// Whether the URI has a colon.
    pub(crate) fn has_scheme(&self) -> bool {
        find(self.uri, b':').is_some()
    }

    /// A header parameter by name, without case: `None` if absent, `Some(None)` if it has no value.
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        Params::new(self.params).get(name)
    }

    /// The tag parameter of From and To.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.param(b"tag").flatten()
    }

    /// The URI taken apart.
    pub fn parsed_uri(&self) -> Option<Uri<'a>> {
        Uri::parse(self.uri)
    }
}

/// A blank, a tab or a part of a line end.
fn has_white_space(text: &[u8]) -> bool {
    // One comparison finds nearly all texts innocent.
    has(text, |byte| byte <= b' ') && text.iter().any(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::NameAddr;

    #[test]
    fn a_value_is_a_name_a_uri_and_parameters() {
        for (value, display, uri, tag) in [
            ("<sip:a@h>;tag=1", "", "sip:a@h", Some("1")),
            ("sip:a@h;tag=1", "", "sip:a@h", Some("1")),
            ("sip:a@h", "", "sip:a@h", None),
            (
                "caller<sip:a@h;x=y> ; TAG = 7",
                "caller",
                "sip:a@h;x=y",
                Some("7"),
            ),
            (
                "\"Bell, \\\"A\\\" <x>\" <sip:a@h>;tag=1",
                "\"Bell, \\\"A\\\" <x>\"",
                "sip:a@h",
                Some("1"),
            ),
            (
                "Dr. J\u{f6}rg (home)\r\n <sip:a@h>",
                "Dr. J\u{f6}rg (home)",
                "sip:a@h",
                None,
            ),
            (
                "\"\" <tel:+49>;x=\"a;tag=2\";tag=3",
                "\"\"",
                "tel:+49",
                Some("3"),
            ),
        ] {
            let got = NameAddr::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(got.display, display.as_bytes(), "{value}");
            assert_eq!(got.uri, uri.as_bytes(), "{value}");
            assert_eq!(got.tag(), tag.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for value in [
            "",
            "<>",
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a@h>;tag=1",
            "\"A\" <sip:a@h",
            "< sip:a@h >",
            "\"a\" b <sip:a@h>",
            "<sip:a@h> tag=1",
            "\"only a name\"",
            "sip:a b@h",
            "\"a\\\"<sip:a@h>",
            "\"",
            "\"\\\"",
        ] {
            assert!(NameAddr::parse(value.as_bytes()).is_none(), "{value}");
        }
    }
}
