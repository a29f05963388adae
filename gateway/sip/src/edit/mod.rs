//! A message as it leaves: the message that came and what has been changed in it.
//!
//! Nothing is copied until [`Edited::to_bytes`]. A line that nobody touched is written as the bytes that came; a new or changed
//! one is kept in one growing text. Every reading method sees the edits, so a later rule builds on an earlier one.

mod lines;
mod serialise;

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use self::lines::Piece;
use self::serialise::LengthLine;
use crate::header::Id;
use crate::lws::{push_number, push_unfolded};
use crate::message::Wanted;
use crate::{Header, Message, Start};

/// A message and the edits to it. Owns its parts, so that it can be kept by a transaction.
#[derive(Clone, Debug)]
pub struct Edited {
    message: Message,
    start: Option<EditedStart>,
    /// A bit for each line of the message: whether it is gone.
    removed: SmallVec<[u64; 4]>,
    /// New lines in their order of appearance: `at` never falls.
    added: SmallVec<[Added; 4]>,
    /// The text of the new lines, and of such as were new and are gone.
    text: Vec<u8>,
    /// By how many bytes the lines have become longer in all.
    growth: isize,
    body: Option<Bytes>,
    compact: bool,
}

/// A new start line, without line end, and where its URI or reason is in it.
#[derive(Clone, Debug)]
struct EditedStart {
    line: Vec<u8>,
    status: u16,
    text: Range<usize>,
}

/// A new line; what is not `at` is offsets in [`Edited::text`], which is far from 4 GiB.
#[derive(Clone, Debug)]
struct Added {
    /// The line of the message before which it stands; the number of lines for the end.
    at: u32,
    line: u32,
    name_length: u32,
    value_start: u32,
    value_end: u32,
    id: Id,
}

impl Added {
    /// Bytes, line end included.
    fn length(&self) -> isize {
        (self.value_end - self.line) as isize + 2
    }
}

/// A line of the edited view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Received(usize),
    Added(usize),
}

impl Edited {
    /// The message without edits.
    pub fn new(message: Message) -> Self {
        Self {
            message,
            start: None,
            removed: SmallVec::new(),
            added: SmallVec::new(),
            text: Vec::new(),
            growth: 0,
            body: None,
            compact: false,
        }
    }

    /// The message as it came.
    pub fn original(&self) -> &Message {
        &self.message
    }

    /// The start line.
    pub fn start(&self) -> Start<'_> {
        match (&self.start, self.message.start()) {
            (None, start) => start,
            (Some(new), Start::Request { method, .. }) => Start::Request {
                method,
                uri: &new.line[new.text.clone()],
            },
            (Some(new), Start::Response { .. }) => Start::Response {
                status: new.status,
                reason: &new.line[new.text.clone()],
            },
        }
    }

    /// The value of the first line of that name, without white space at its ends.
    pub fn header<'s>(&'s self, header: Header<'_>) -> Option<&'s [u8]> {
        if self.is_untouched() {
            return self.message.header(header);
        }
        self.find(Wanted::from(header)).map(|line| self.value(line))
    }

    /// The value of each line of that name, without white space at its ends.
    pub fn lines<'s>(&'s self, header: Header<'s>) -> impl Iterator<Item = &'s [u8]> {
        self.lines_of(Wanted::from(header))
            .map(|line| self.value(line))
    }

    /// All header lines in their order: name and value.
    pub fn all_lines(&self) -> impl Iterator<Item = (Header<'_>, &[u8])> {
        self.view()
            .map(|line| (self.header_of(line), self.value(line)))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_else(|| self.message.body())
    }

    /// Gives a request another Request-URI. Blanks and controls, which no URI may hold, are left out. Does nothing to a response.
    pub fn set_uri(&mut self, uri: &[u8]) {
        let Start::Request { method, .. } = self.message.start() else {
            return;
        };
        let mut line = Vec::with_capacity(uri.len() + 32);
        line.extend_from_slice(method.as_bytes());
        line.push(b' ');
        let start = line.len();
        line.extend(uri.iter().filter(|byte| **byte > b' ' && **byte != 0x7f));
        let text = start..line.len();
        line.extend_from_slice(b" SIP/2.0");
        self.start = Some(EditedStart {
            line,
            status: 0,
            text,
        });
    }

    /// Gives a response another status, held between 100 and 699, and reason phrase. Does nothing to a request.
    pub fn set_status(&mut self, status: u16, reason: &[u8]) {
        if self.message.is_request() {
            return;
        }
        let status = status.clamp(100, 699);
        let mut line = b"SIP/2.0 ".to_vec();
        push_number(&mut line, status.into());
        line.push(b' ');
        let start = line.len();
        push_unfolded(&mut line, reason);
        let text = start..line.len();
        self.start = Some(EditedStart { line, status, text });
    }

    /// Replaces all lines of that name by one, at the place of the first; adds it as [`Edited::append`] does if there is none.
    pub fn set(&mut self, header: Header<'_>, value: &[u8]) {
        let wanted = Wanted::from(header);
        let Some(first) = self.find(wanted) else {
            return self.append(header, value);
        };
        let others: SmallVec<[Line; 8]> = self.lines_of(wanted).skip(1).collect();
        self.remove_lines(&others);
        self.rewrite(first, &[Piece::New(value)]);
    }

    /// Removes all lines of that name.
    pub fn remove(&mut self, header: Header<'_>) {
        let doomed: SmallVec<[Line; 16]> = self.lines_of(Wanted::from(header)).collect();
        self.remove_lines(&doomed);
    }

    /// Removes the value at `index`, counted from 0 over all lines as [`Edited::values`] does, and its line if nothing is left
    /// in it. Does nothing if there are not that many.
    pub fn remove_value(&mut self, header: Header<'_>, index: usize) {
        let Some((line, place)) = self.locate(header, index) else {
            return;
        };
        let length = self.value(line).len();
        match (place.previous_end, place.next_start) {
            (None, None) => self.remove_line(line),
            (_, Some(next)) => {
                let kept = [Piece::Kept(0..place.range.start), Piece::Kept(next..length)];
                self.rewrite(line, &kept);
            }
            (Some(previous), None) => self.rewrite(line, &[Piece::Kept(0..previous)]),
        }
    }

    /// Puts another value in the place of the one at `index`. Does nothing if there are not that many.
    pub fn replace_value(&mut self, header: Header<'_>, index: usize, value: &[u8]) {
        let Some((line, place)) = self.locate(header, index) else {
            return;
        };
        let length = self.value(line).len();
        self.rewrite(
            line,
            &[
                Piece::Kept(0..place.range.start),
                Piece::New(value),
                Piece::Kept(place.range.end..length),
            ],
        );
    }

    /// Adds a line before the first of that name, or directly behind the start line if there is none.
    pub fn prepend(&mut self, header: Header<'_>, value: &[u8]) {
        let (place, at) = match self.find(Wanted::from(header)) {
            None => (0, 0),
            Some(line) => self.before(line),
        };
        self.insert(place, at, header, value);
    }

    /// Adds a line behind the last of that name; if there is none, before Content-Length or else at the end.
    pub fn append(&mut self, header: Header<'_>, value: &[u8]) {
        let (place, at) = match self.lines_of(Wanted::from(header)).last() {
            Some(Line::Added(line)) => (line + 1, self.added[line].at as usize),
            Some(Line::Received(line)) => (self.before(Line::Received(line)).0, line + 1),
            None => match self.find(Wanted::from(Header::ContentLength)) {
                Some(line) => self.before(line),
                None => (self.added.len(), self.message.entries().len()),
            },
        };
        self.insert(place, at, header, value);
    }

    /// Removes each line of which the test, given name and value, says so.
    pub fn remove_lines_where(&mut self, test: impl Fn(Header<'_>, &[u8]) -> bool) {
        let doomed: SmallVec<[Line; 16]> = self
            .view()
            .filter(|line| test(self.header_of(*line), self.value(*line)))
            .collect();
        self.remove_lines(&doomed);
    }

    /// Gives it another body; Content-Length follows by itself, Content-Type does not.
    pub fn set_body(&mut self, body: Bytes) {
        self.body = Some(body);
    }

    /// Writes header names in their compact form where there is one (RFC 3261 §7.3.3).
    pub fn compact_names(&mut self) {
        self.compact = true;
    }

    /// The message as it leaves. Content-Length is corrected, or added if there is none; what was not edited is what came.
    pub fn to_bytes(&self) -> Bytes {
        let length_line = self.length_line();
        if self.is_as_received() && length_line == LengthLine::Right {
            return self.message.bytes().clone();
        }
        let mut out = Vec::with_capacity(self.usual_length());
        self.write(&length_line, &mut |bytes| out.extend_from_slice(bytes));
        Bytes::from(out)
    }

    /// How many bytes [`Edited::to_bytes`] would give.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        let mut length = 0;
        self.write(&self.length_line(), &mut |bytes| length += bytes.len());
        length
    }
}

impl From<Message> for Edited {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const INVITE: &str = "INVITE sip:b@h SIP/2.0\r\nv:  SIP/2.0/UDP one , SIP/2.0/UDP two\r\nX-Odd :a\r\n b\r\nRoute: <sip:r1;lr>,<sip:r2;lr>\r\n\
        Call-ID: c\r\nContent-Length: 3\r\n\r\nabc";

    fn edited(text: &str) -> Edited {
        Edited::new(
            Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap(),
        )
    }

    type Change = fn(&mut Edited);
    type Replacements = &'static [(&'static str, &'static str)];

    #[test]
    fn an_edit_touches_its_line_and_no_other() {
        let rows: &[(&str, Change, Replacements)] = &[
            ("nothing", |_| {}, &[]),
            (
                "a new Via",
                |m| m.prepend(Header::Via, b"x"),
                &[("v:  SIP", "Via: x\r\nv:  SIP")],
            ),
            (
                "a new Record-Route",
                |m| m.prepend(Header::RecordRoute, b"x"),
                &[("v:  SIP", "Record-Route: x\r\nv:  SIP")],
            ),
            (
                "two new Vias",
                |m| {
                    m.prepend(Header::Via, b"x");
                    m.prepend(Header::Via, b"y");
                },
                &[("v:  SIP", "Via: y\r\nVia: x\r\nv:  SIP")],
            ),
            (
                "a stamped Via",
                |m| m.replace_value(Header::Via, 0, b"x"),
                &[("v:  SIP/2.0/UDP one ,", "v: x ,")],
            ),
            (
                "our Via goes",
                |m| m.remove_value(Header::Via, 0),
                &[("v:  SIP/2.0/UDP one , SIP", "v: SIP")],
            ),
            (
                "the last of two goes",
                |m| m.remove_value(Header::Route, 1),
                &[("<sip:r1;lr>,<sip:r2;lr>", "<sip:r1;lr>")],
            ),
            (
                "both go",
                |m| {
                    m.remove_value(Header::Route, 0);
                    m.remove_value(Header::Route, 0);
                    m.remove_value(Header::Route, 0);
                },
                &[("Route: <sip:r1;lr>,<sip:r2;lr>\r\n", "")],
            ),
            (
                "set what is there",
                |m| m.set(Header::CallId, b"d"),
                &[("Call-ID: c", "Call-ID: d")],
            ),
            (
                "set what is not",
                |m| m.set(Header::MaxForwards, b"69"),
                &[("Content-Length", "Max-Forwards: 69\r\nContent-Length")],
            ),
            (
                "append to what is there",
                |m| m.append(Header::Route, b"x"),
                &[("Call-ID", "Route: x\r\nCall-ID")],
            ),
            (
                "the URI",
                |m| m.set_uri(b"sip:c@h"),
                &[("sip:b@h", "sip:c@h")],
            ),
            (
                "the body",
                |m| m.set_body(Bytes::from_static(b"0123456789")),
                &[("Length: 3", "Length: 10"), ("abc", "0123456789")],
            ),
            (
                "no body",
                |m| m.set_body(Bytes::new()),
                &[("Length: 3", "Length: 0"), ("abc", "")],
            ),
            ("a request has no status", |m| m.set_status(200, b"OK"), &[]),
            (
                "short names",
                |m| m.compact_names(),
                &[("Call-ID", "i"), ("Content-Length", "l")],
            ),
            (
                "by rule",
                |m| {
                    m.remove_lines_where(|header, value| {
                        header == Header::Other(b"x-odd") && value == b"a\r\n b"
                    })
                },
                &[("X-Odd :a\r\n b\r\n", "")],
            ),
            (
                "Content-Length cannot be taken away",
                |m| m.remove(Header::ContentLength),
                &[],
            ),
            (
                "nor falsified",
                |m| m.set(Header::ContentLength, b"99"),
                &[],
            ),
        ];
        for (why, change, replacements) in rows {
            let mut message = edited(INVITE);
            change(&mut message);
            let want = replacements
                .iter()
                .fold(INVITE.to_owned(), |text, (from, to)| {
                    text.replacen(from, to, 1)
                });
            let got = message.to_bytes();
            assert_eq!(String::from_utf8_lossy(&got), want, "{why}");
            assert_eq!(message.len(), want.len(), "{why}");
        }
    }

    #[test]
    fn a_later_rule_reads_what_an_earlier_one_wrote() {
        let mut message = edited(INVITE);
        message.prepend(Header::Via, b"SIP/2.0/TCP edge;branch=z9hG4bKe");
        assert_eq!(
            message.top_via().and_then(|via| via.branch),
            Some(&b"z9hG4bKe"[..])
        );
        message.remove_value(Header::Via, 1);
        assert_eq!(message.values(Header::Via).count(), 2);
        message.set_uri(b"sip:\r\nc @h");
        assert_eq!(message.uri(), b"sip:c@h");
        message.set(Header::Other(b"x-odd"), b"1");
        message.append(Header::Other(b"X-ODD"), b"2");
        assert_eq!(
            message.lines(Header::Other(b"X-Odd")).collect::<Vec<_>>(),
            [b"1", b"2"]
        );
        message.set(Header::Other(b"X-Odd"), b"3");
        assert_eq!(
            message.lines(Header::Other(b"X-Odd")).collect::<Vec<_>>(),
            [b"3"]
        );
        assert_eq!(message.original().uri(), b"sip:b@h");
        assert_eq!(message.original().bytes(), INVITE.as_bytes());
    }

    #[test]
    fn a_response_may_get_another_status() {
        let mut message = edited("SIP/2.0 503 Service Unavailable\r\nVia: x\r\nl: 0\r\n\r\n");
        message.set_status(500, b"Server\r\nInternal Error");
        message.set_uri(b"sip:h");
        assert_eq!(
            (message.status(), message.reason()),
            (500, &b"Server Internal Error"[..])
        );
        assert_eq!(
            &message.to_bytes()[..],
            b"SIP/2.0 500 Server Internal Error\r\nVia: x\r\nl: 0\r\n\r\n"
        );
    }

    #[test]
    fn an_edited_message_can_be_kept_and_sent_elsewhere() {
        fn is_kept<T: Send + Sync + Clone + 'static>(_: &T) {}
        is_kept(&edited(INVITE));
    }

    #[test]
    fn what_was_cut_short_is_at_least_ended() {
        let mut message = edited("BYE sip:h SIP/2.0\r\nVia: x");
        message.append(Header::Route, b"y");
        assert_eq!(
            &message.to_bytes()[..],
            b"BYE sip:h SIP/2.0\r\nVia: x\r\nRoute: y\r\nContent-Length: 0\r\n\r\n"
        );
        let only_start = edited("BYE sip:h SIP/2.0");
        assert_eq!(
            &only_start.to_bytes()[..],
            b"BYE sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\n"
        );
    }
}
