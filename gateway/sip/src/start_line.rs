//! Request-Line and Status-Line (RFC 3261 §7.1, §7.2), read leniently: what is odd but clear is kept and flagged.

use std::ops::Range;

use crate::Method;
use crate::lws::{is_token_text, number, trim};
use crate::word::find;

/// The start line of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start<'a> {
    /// A request.
    Request {
        /// Its method.
        method: Method<'a>,
        /// Its Request-URI, as written.
        uri: &'a [u8],
    },
    /// A response.
    Response {
        /// Three digits.
        status: u16,
        /// The reason phrase, perhaps empty, perhaps not UTF-8.
        reason: &'a [u8],
    },
}

/// Where the parts of a start line are in the message. A line longer than 4 GiB does not exist here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartLine {
    /// 0 for a request.
    pub(crate) status: u16,
    /// Single blanks between the parts and none elsewhere, as §7.1 wants.
    pub(crate) regular: bool,
    method_end: u32,
    /// Request-URI or reason phrase.
    text: (u32, u32),
    version: (u32, u32),
}

impl StartLine {
    /// Reads the first line of a message, without its line end. `None` if neither end of it says SIP.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        Self::response(line).or_else(|| Self::request(line))
    }

    fn response(line: &[u8]) -> Option<Self> {
        if !line
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
        {
            return None;
        }
        let blank = memchr::memchr(b' ', line)?;
        let rest = &line[blank + 1..];
        let digits = rest.get(..3)?;
        let status = u16::try_from(number(digits)?).ok()?;
        // `SIP/2.0 100` without the blank that §7.2 has behind the code is clear enough; a fourth digit is not.
        let reason = match rest.get(3) {
            None | Some(b' ') => (blank + 5).min(line.len()),
            Some(_) => return None,
        };
        (status >= 100).then_some(Self {
            status,
            regular: true,
            method_end: 0,
            text: range(reason, line.len()),
            version: range(0, blank),
        })
    }

    fn request(line: &[u8]) -> Option<Self> {
        let blank = find(line, b' ')?;
        let (end, version) = if line.ends_with(b" SIP/2.0") {
            (line.len(), line.len() - 7)
        } else {
            let end = trim(line).len();
            (end, memchr::memrchr(b' ', &line[..end])? + 1)
        };
        if !is_token_text(&line[..blank])
            || !line[version..end].get(..4)?.eq_ignore_ascii_case(b"SIP/")
            || version <= blank + 1
        {
            return None;
        }
        let raw = &line[blank + 1..version];
        let uri = trim(raw);
        let start = blank + 1 + (raw.len() - crate::lws::trim_start(raw).len());
        Some(Self {
            status: 0,
            regular: end == line.len() && raw.len() == uri.len() + 1 && start == blank + 1,
            method_end: blank as u32,
            text: range(start, start + uri.len()),
            version: range(version, end),
        })
    }

    pub(crate) fn method<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        &message[..self.method_end as usize]
    }

    /// Request-URI or reason phrase.
    pub(crate) fn text<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        &message[self.text_range()]
    }

    pub(crate) fn text_range(&self) -> Range<usize> {
        self.text.0 as usize..self.text.1 as usize
    }

    pub(crate) fn version<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        &message[self.version.0 as usize..self.version.1 as usize]
    }
}

/// Offsets in a message, which [`crate::Limits`] keeps under 4 GiB.
fn range(start: usize, end: usize) -> (u32, u32) {
    (start as u32, end as u32)
}

#[cfg(test)]
mod tests {
    use super::StartLine;

    #[test]
    fn start_lines_are_read_and_odd_ones_flagged() {
        for (line, method, status, text, version, regular) in [
            (
                "INVITE sip:a@h SIP/2.0",
                "INVITE",
                0,
                "sip:a@h",
                "SIP/2.0",
                true,
            ),
            (
                "INVITE  sip:a@h  SIP/2.0",
                "INVITE",
                0,
                "sip:a@h",
                "SIP/2.0",
                false,
            ),
            (
                "OPTIONS sip:a@h SIP/2.0  ",
                "OPTIONS",
                0,
                "sip:a@h",
                "SIP/2.0",
                false,
            ),
            (
                "INVITE sip:a@h; lr SIP/2.0",
                "INVITE",
                0,
                "sip:a@h; lr",
                "SIP/2.0",
                true,
            ),
            (
                "OPTIONS sip:a@h SIP/7.0",
                "OPTIONS",
                0,
                "sip:a@h",
                "SIP/7.0",
                true,
            ),
            ("SIP/2.0 200 OK then", "", 200, "OK then", "SIP/2.0", true),
            ("SIP/2.0 100 ", "", 100, "", "SIP/2.0", true),
            ("SIP/2.0 100", "", 100, "", "SIP/2.0", true),
        ] {
            let start = StartLine::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(start.method(line.as_bytes()), method.as_bytes(), "{line}");
            assert_eq!(start.status, status, "{line}");
            assert_eq!(start.text(line.as_bytes()), text.as_bytes(), "{line}");
            assert_eq!(start.version(line.as_bytes()), version.as_bytes(), "{line}");
            assert_eq!(start.regular, regular, "{line}");
        }
    }

    #[test]
    fn what_is_not_sip_is_refused() {
        for line in [
            "",
            " ",
            "GET / HTTP/1.1",
            "INVITE sip:a@h",
            "SIP/2.0 4294967301 x",
            "SIP/2.0 20",
            "SIP/2.0 099 x",
            "SIP/2.0 2000 x",
            "IN\"VITE sip:a@h SIP/2.0",
            "SIP/2.0",
            " INVITE sip:a@h SIP/2.0",
            "INVITE SIP/2.0",
        ] {
            assert!(StartLine::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
