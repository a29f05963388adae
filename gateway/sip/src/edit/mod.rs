//! A message as it leaves: the message that came and what has been changed in it.
//!
//! Nothing is copied until [`Edited::to_bytes`]. A line that nobody touched is written as the bytes that came; a new or changed
//! one is kept in one growing text. Every reading method sees the edits, so a later rule builds on an earlier one.

mod lines;
mod serialise;

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

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
    /// The text of the new lines.
    text: Vec<u8>,
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
        let others: SmallVec<[Line; 16]> = self.lines_of(wanted).skip(1).collect();
        self.remove_lines(&others);
        self.rewrite(first, &[value]);
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
        let value = self.value(line);
        let before = value[..place.range.start].to_vec();
        let after = value[place.range.end..].to_vec();
        match (place.previous_end, place.next_start) {
            (None, None) => self.remove_line(line),
            (_, Some(next)) => {
                let kept = after[next - place.range.end..].to_vec();
                self.rewrite(line, &[&before, &kept]);
            }
            (Some(previous), None) => self.rewrite(line, &[&before[..previous]]),
        }
    }

    /// Puts another value in the place of the one at `index`. Does nothing if there are not that many.
    pub fn replace_value(&mut self, header: Header<'_>, index: usize, value: &[u8]) {
        let Some((line, place)) = self.locate(header, index) else {
            return;
        };
        let whole = self.value(line).to_vec();
        self.rewrite(
            line,
            &[
                &whole[..place.range.start],
                value,
                &whole[place.range.end..],
            ],
        );
    }

    /// Adds a line before the first of that name, or directly behind the start line if there is none.
    pub fn prepend(&mut self, header: Header<'_>, value: &[u8]) {
        let (place, at) = match self.find(Wanted::from(header)) {
            None => (0, 0),
            Some(line) => self.before(line),
        };
        self.insert(place, at, header.name(), &[value]);
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
        self.insert(place, at, header.name(), &[value]);
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
        // Enough in any case: counting first costs more than the bytes that stay unused.
        let start = self.start.as_ref().map_or(0, |start| start.line.len());
        let head = self.message.head_end() + self.text.len();
        let mut out = Vec::with_capacity(start + head + self.body().len() + 64);
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
