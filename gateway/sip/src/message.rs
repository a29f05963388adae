//! A message as it came: its bytes and an index of its headers, made in one pass.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::header::Id;
use crate::lws::number;
use crate::scan::Scan;
use crate::start_line::StartLine;
use crate::{Header, Method, Start};

/// What a message may at most have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the whole message, body included. At most 4 GiB - 1 counts.
    pub message_bytes: usize,
    /// Header lines.
    pub headers: usize,
}

impl Default for Limits {
    /// 64 KiB, what a datagram can hold at most, and 256 header lines.
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            headers: 256,
        }
    }
}

/// Why bytes are no message. What these name cannot be answered either.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line ends: a keepalive.
    #[error("nothing but line ends")]
    Empty,
    /// Longer than [`Limits::message_bytes`].
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More header lines than [`Limits::headers`].
    #[error("more than {limit} header lines")]
    TooManyHeaders {
        /// The limit, in lines.
        limit: usize,
    },
    /// The first line is neither a Request-Line nor a Status-Line.
    #[error("the first line is no start line of SIP")]
    StartLine,
}

/// A received message. Cloning it counts two references.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Bytes,
    entries: Arc<[Entry]>,
    /// A bit for each header of the table that is there: most questions are about headers that are not.
    present: u64,
    /// The same for each that is there more than once.
    repeated: u64,
    /// For the first rows of the table, the index of the first line of that header: they are asked for in every message.
    first: First,
    start: StartLine,
    /// Where the first header line starts.
    head_start: u32,
    /// Where the empty line starts.
    head_end: u32,
    body_start: u32,
    defects: Defects,
}

/// The index of the first line of each of the headers that head the table; [`UNKNOWN`] if there is none, or beyond what fits.
pub(crate) type First = [u8; 16];
pub(crate) const UNKNOWN: u8 = u8::MAX;

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Where the line starts; it ends where the next one starts.
    pub(crate) line: u32,
    pub(crate) value_start: u32,
    pub(crate) value_end: u32,
    pub(crate) name_length: u16,
    pub(crate) id: Id,
}

/// What the pass over the bytes saw and [`Message::check`] judges.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Defects {
    /// There is no empty line behind the headers.
    pub(crate) unterminated: bool,
    /// Up to and with the empty line, a CR or LF stands alone.
    pub(crate) bare_line_end: bool,
    /// A line is no header: no colon, no name, no token for a name, or white space where the first header should be.
    pub(crate) malformed_line: bool,
    /// Content-Length says more than there is.
    pub(crate) body_missing: bool,
}

impl Entry {
    pub(crate) fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.line as usize..self.line as usize + usize::from(self.name_length)]
    }

    #[inline]
    pub(crate) fn value_range(&self) -> Range<usize> {
        self.value_start as usize..self.value_end as usize
    }

    #[inline]
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.value_range()]
    }

    pub(crate) fn header<'a>(&self, bytes: &'a [u8]) -> Header<'a> {
        self.id.header(self.name(bytes))
    }

    /// Whether the line is of that header.
    pub(crate) fn is(&self, wanted: Wanted<'_>, bytes: &[u8]) -> bool {
        self.id == wanted.id
            && (wanted.id != Id::OTHER || self.name(bytes).eq_ignore_ascii_case(wanted.name))
    }
}

/// A header that is looked for: its row is found once, not once a line.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) id: Id,
    pub(crate) name: &'a [u8],
}

impl<'a> From<Header<'a>> for Wanted<'a> {
    #[inline]
    fn from(header: Header<'a>) -> Self {
        let id = header.id();
        // A name is needed only where the row does not say it.
        let name = if id == Id::OTHER { header.name() } else { b"" };
        Self { id, name }
    }
}

impl Message {
    /// Indexes one datagram, WebSocket message or framed message. Line ends before the start line are passed over (RFC 3261
    /// §7.5), and what a datagram has behind the body is cut off (§18.3).
    ///
    /// Nearly everything that starts as SIP is taken, so that it can be answered: ask [`Message::check`] before working on it.
    ///
    /// # Errors
    /// Says which limit is passed, or that it does not start as SIP.
    pub fn parse(mut bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
        let limit = limits.message_bytes.min(u32::MAX as usize);
        if bytes.len() > limit {
            return Err(ParseError::TooLong { limit });
        }
        let blank = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        if blank > 0 {
            bytes = bytes.slice(blank..);
        }
        if bytes.is_empty() {
            return Err(ParseError::Empty);
        }
        let mut scan = Scan::new();
        let head_start = scan.next_line(&bytes).map_or(0, |line| line.end);
        let start = StartLine::parse(&bytes[..head_start]).ok_or(ParseError::StartLine)?;
        let first_line = scan.at;
        let head_end = scan.headers(&bytes, limits.headers)?;
        let body_start = scan.at;
        let rest = bytes.len() - body_start;
        let length = scan
            .content_length
            .and_then(|value| number(&bytes[value]))
            .map_or(rest, |n| n as usize);
        scan.defects.body_missing = length > rest;
        bytes.truncate(body_start + length.min(rest));
        Ok(Message {
            entries: Arc::from(&scan.entries[..]),
            bytes,
            present: scan.present,
            repeated: scan.repeated,
            first: scan.first,
            start,
            head_start: first_line as u32,
            head_end: head_end as u32,
            body_start: body_start as u32,
            defects: scan.defects,
        })
    }

    /// The bytes as they came, from the start line to the end of the body.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The start line.
    pub fn start(&self) -> Start<'_> {
        let text = self.start.text(&self.bytes);
        match self.start.status {
            0 => Start::Request {
                method: Method::from(self.start.method(&self.bytes)),
                uri: text,
            },
            status => Start::Response {
                status,
                reason: text,
            },
        }
    }

    /// The protocol version as written, such as `SIP/2.0`.
    pub fn version(&self) -> &[u8] {
        self.start.version(&self.bytes)
    }

    /// The value of the first line of that name, without white space at its ends; folds inside it stay as they are.
    // Nearly always asked for a header that is known when compiling, of which then little is left to do.
    #[inline(always)]
    pub fn header<'s>(&'s self, header: Header<'_>) -> Option<&'s [u8]> {
        let id = header.id();
        let entry = match self.first.get(id.row()) {
            Some(first) => self.entries.get(usize::from(*first)),
            None => None,
        };
        match entry {
            Some(entry) if entry.id == id => Some(entry.value(&self.bytes)),
            // Not there, or not among those whose place is kept.
            _ => self.header_further_on(Wanted::from(header)),
        }
    }

    fn header_further_on(&self, wanted: Wanted<'_>) -> Option<&[u8]> {
        self.entries_of(wanted)
            .next()
            .map(|entry| entry.value(&self.bytes))
    }

    /// The value of each line of that name, without white space at its ends.
    pub fn lines<'s>(&'s self, header: Header<'s>) -> impl Iterator<Item = &'s [u8]> {
        self.entries_of(Wanted::from(header))
            .map(|entry| entry.value(&self.bytes))
    }

    #[inline]
    fn entries_of<'s>(&'s self, wanted: Wanted<'s>) -> impl Iterator<Item = &'s Entry> {
        self.entries[self.candidates(wanted.id)]
            .iter()
            .filter(move |entry| entry.is(wanted, &self.bytes))
    }

    /// Which lines may be of this header; nearly always just those that are.
    #[inline]
    pub(crate) fn candidates(&self, id: Id) -> Range<usize> {
        if id == Id::OTHER {
            return 0..self.entries.len();
        }
        if !self.has(id) {
            return 0..0;
        }
        let first = match self.first.get(id.row()) {
            Some(&first) if first != UNKNOWN => usize::from(first),
            _ => return 0..self.entries.len(),
        };
        let end = if self.repeats(id.bit()) {
            self.entries.len()
        } else {
            first + 1
        };
        first..end
    }

    /// All header lines in their order: name and value.
    pub fn all_lines(&self) -> impl Iterator<Item = (Header<'_>, &[u8])> {
        self.entries
            .iter()
            .map(|entry| (entry.header(&self.bytes), entry.value(&self.bytes)))
    }

    /// The body, as long as Content-Length says (RFC 3261 §18.3); without one, all that is there.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start as usize..]
    }

    #[inline]
    pub(crate) fn has(&self, id: Id) -> bool {
        self.present & id.bit() != 0
    }

    /// Whether one of these, given as a bit each, is there more than once.
    pub(crate) fn repeats(&self, headers: u64) -> bool {
        self.repeated & headers != 0
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where a line starts; behind the last one, where the empty line does.
    pub(crate) fn line_start(&self, entry: usize) -> usize {
        self.entries
            .get(entry)
            .map_or(self.head_end, |entry| entry.line) as usize
    }

    /// Bytes of a line, its end included.
    pub(crate) fn line_length(&self, entry: usize) -> isize {
        (self.line_start(entry + 1) - self.line_start(entry)) as isize
    }

    pub(crate) fn head_start(&self) -> usize {
        self.head_start as usize
    }

    pub(crate) fn head_end(&self) -> usize {
        self.head_end as usize
    }

    pub(crate) fn start_line(&self) -> &StartLine {
        &self.start
    }

    pub(crate) fn defects(&self) -> Defects {
        self.defects
    }

    /// Whether the empty line is CRLF, so that the bytes are what serialising would write.
    pub(crate) fn ends_head_regularly(&self) -> bool {
        !self.defects.unterminated
            && &self.bytes[self.head_end as usize..self.body_start as usize] == b"\r\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Message, ParseError> {
        Message::parse(
            Bytes::copy_from_slice(text.as_bytes()),
            &Limits {
                message_bytes: 200,
                headers: 3,
            },
        )
    }

    #[test]
    fn headers_are_found_by_any_name_case_and_fold() {
        let message =
            parse("BYE sip:h SIP/2.0\r\nv : a ,\r\n\tb\r\nX-Y:\r\n  1 \r\nVIA:c\r\n\r\n").unwrap();
        assert_eq!(message.header(Header::Via), Some(&b"a ,\r\n\tb"[..]));
        assert_eq!(
            message.lines(Header::Other(b"via")).collect::<Vec<_>>(),
            [&b"a ,\r\n\tb"[..], b"c"]
        );
        assert_eq!(
            message.values(Header::Via).collect::<Vec<_>>(),
            [b"a", b"b", b"c"]
        );
        assert_eq!(message.header(Header::Other(b"x-y")), Some(&b"1"[..]));
        assert_eq!(message.header(Header::Contact), None);
        assert_eq!((message.call_id(), message.cseq()), (&b""[..], None));
        let names: Vec<_> = message.all_lines().map(|(header, _)| header).collect();
        assert_eq!(names, [Header::Via, Header::Other(b"X-Y"), Header::Via]);
    }

    #[test]
    fn limits_are_kept_and_named() {
        let bye = "BYE sip:h SIP/2.0\r\n";
        assert_eq!(
            parse(&"x".repeat(201)).unwrap_err(),
            ParseError::TooLong { limit: 200 }
        );
        assert!(parse(&format!("{bye}a: 1\r\nb: 2\r\nc: 3\r\n\r\n")).is_ok());
        assert_eq!(
            parse(&format!("{bye}a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n")).unwrap_err(),
            ParseError::TooManyHeaders { limit: 3 }
        );
        assert_eq!(parse("\r\n\r\n").unwrap_err(), ParseError::Empty);
        assert_eq!(parse("").unwrap_err(), ParseError::Empty);
        assert_eq!(
            parse("GET / HTTP/1.1\r\n\r\n").unwrap_err(),
            ParseError::StartLine
        );
    }

    #[test]
    fn the_body_is_what_content_length_says_and_a_datagram_holds() {
        for (head, rest, body) in [
            ("l: 2\r\n", "abcd", "ab"),
            ("", "abcd", "abcd"),
            ("l: 9\r\n", "abcd", "abcd"),
            ("l: x\r\n", "abcd", "abcd"),
            ("l: 2\r\nContent-Length: 3\r\n", "abcd", "ab"),
        ] {
            let message = parse(&format!("\r\n\r\nBYE sip:h SIP/2.0\r\n{head}\r\n{rest}")).unwrap();
            assert_eq!(message.body(), body.as_bytes(), "{head}");
            assert!(
                message.bytes().ends_with(body.as_bytes()) && message.bytes().starts_with(b"BYE")
            );
        }
    }

    #[test]
    fn sdp_is_a_body_of_that_type() {
        for (head, body, want) in [
            ("c: Application/SDP ; charset=utf-8\r\n", "v=0", true),
            ("Content-Type: application/sdp\r\n", "", false),
            (
                "Content-Type: multipart/mixed;x=application/sdp\r\n",
                "v=0",
                false,
            ),
            ("", "v=0", false),
        ] {
            assert_eq!(
                parse(&format!("BYE sip:h SIP/2.0\r\n{head}\r\n{body}"))
                    .unwrap()
                    .has_sdp(),
                want,
                "{head}"
            );
        }
    }
}
