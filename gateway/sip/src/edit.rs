//! A message as it leaves: the message that came and what has been changed in it.
//!
//! Nothing is copied until [`Edited::to_bytes`]. A line that nobody touched is written as the bytes that came; a new or changed
//! one is kept in one growing text. Every reading method sees the edits, so a later rule builds on an earlier one.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::header::Id;
use crate::lws::{is_token, number, push_number, push_unfolded};
use crate::message::Wanted;
use crate::values::Values;
use crate::{Header, Message, Start};

/// A message and the edits to it. Owns its parts, so that it can be kept by a transaction.
#[derive(Clone, Debug)]
pub struct Edited {
    message: Message,
    start: Option<EditedStart>,
    /// A bit for each line of the message: whether it is gone.
    removed: SmallVec<[u64; 4]>,
    /// New lines in their order of appearance: `at` never falls.
    added: Vec<Added>,
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

/// A new line; ranges are of [`Edited::text`].
#[derive(Clone, Debug)]
struct Added {
    /// The line of the message before which it stands; the number of lines for the end.
    at: usize,
    id: Id,
    line: usize,
    name_length: usize,
    value: Range<usize>,
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
            added: Vec::new(),
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
            Some(Line::Added(line)) => (line + 1, self.added[line].at),
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
        let as_received =
            self.is_untouched() && self.start.is_none() && self.body.is_none() && !self.compact;
        if as_received
            && self.message.ends_head_regularly()
            && self.length_line() == LengthLine::Right
        {
            return self.message.bytes().clone();
        }
        let mut out = Vec::with_capacity(self.len());
        self.write(&mut |bytes| out.extend_from_slice(bytes));
        Bytes::from(out)
    }

    /// How many bytes [`Edited::to_bytes`] would give.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        let mut length = 0;
        self.write(&mut |bytes| length += bytes.len());
        length
    }
}

/// Where a value is in its line's value, and its neighbours there.
struct Place {
    range: Range<usize>,
    previous_end: Option<usize>,
    next_start: Option<usize>,
}

/// How the lines of Content-Length stand to the body.
#[derive(PartialEq, Eq)]
enum LengthLine {
    /// There is one, and it is right.
    Right,
    /// The first one is to be replaced, others go.
    Wrong(Line),
    Missing,
}

/// Looking lines up.
impl Edited {
    fn is_untouched(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    fn is_removed(&self, line: usize) -> bool {
        self.removed
            .get(line / 64)
            .is_some_and(|bits| bits >> (line % 64) & 1 == 1)
    }

    /// All lines in their order.
    fn view(&self) -> impl Iterator<Item = Line> {
        let lines = self.message.entries().len();
        let (mut next_added, mut next_received) = (0, 0);
        std::iter::from_fn(move || {
            loop {
                if self
                    .added
                    .get(next_added)
                    .is_some_and(|added| added.at <= next_received)
                {
                    next_added += 1;
                    return Some(Line::Added(next_added - 1));
                }
                if next_received >= lines {
                    return None;
                }
                next_received += 1;
                if !self.is_removed(next_received - 1) {
                    return Some(Line::Received(next_received - 1));
                }
            }
        })
    }

    fn lines_of<'s>(&'s self, wanted: Wanted<'s>) -> impl Iterator<Item = Line> + 's {
        self.view().filter(move |line| match *line {
            Line::Received(line) => self.message.entries()[line].is(wanted, self.message.bytes()),
            Line::Added(line) => {
                self.added[line].id == wanted.id
                    && (wanted.id != Id::OTHER
                        || self
                            .name(Line::Added(line))
                            .eq_ignore_ascii_case(wanted.name))
            }
        })
    }

    fn find(&self, wanted: Wanted<'_>) -> Option<Line> {
        self.lines_of(wanted).next()
    }

    fn name(&self, line: Line) -> &[u8] {
        match line {
            Line::Received(line) => self.message.entries()[line].name(self.message.bytes()),
            Line::Added(line) => {
                let added = &self.added[line];
                &self.text[added.line..added.line + added.name_length]
            }
        }
    }

    fn value(&self, line: Line) -> &[u8] {
        match line {
            Line::Received(line) => self.message.entries()[line].value(self.message.bytes()),
            Line::Added(line) => &self.text[self.added[line].value.clone()],
        }
    }

    fn header_of(&self, line: Line) -> Header<'_> {
        match line {
            Line::Received(line) => self.message.entries()[line].header(self.message.bytes()),
            Line::Added(index) => self.added[index].id.header(self.name(line)),
        }
    }

    /// Finds the value at `index` over all lines of the header.
    fn locate(&self, header: Header<'_>, index: usize) -> Option<(Line, Place)> {
        let list = header.is_list();
        let mut left = index;
        for line in self.lines_of(Wanted::from(header)) {
            let mut values = Values::new(self.value(line), list);
            let mut previous_end = None;
            while let Some(range) = values.next_range() {
                if left == 0 {
                    let next_start = values.next_range().map(|next| next.start);
                    return Some((
                        line,
                        Place {
                            range,
                            previous_end,
                            next_start,
                        },
                    ));
                }
                left -= 1;
                previous_end = Some(range.end);
            }
        }
        None
    }

    fn length_line(&self) -> LengthLine {
        let mut lines = self.lines_of(Wanted::from(Header::ContentLength));
        let Some(first) = lines.next() else {
            return LengthLine::Missing;
        };
        let right =
            number(self.value(first)).is_some_and(|length| length as usize == self.body().len());
        if right && lines.next().is_none() {
            LengthLine::Right
        } else {
            LengthLine::Wrong(first)
        }
    }
}

/// Changing lines.
impl Edited {
    /// The index among the added lines, and the `at`, that put a line directly before this one.
    fn before(&self, line: Line) -> (usize, usize) {
        match line {
            Line::Added(line) => (line, self.added[line].at),
            Line::Received(line) => (self.added.partition_point(|added| added.at <= line), line),
        }
    }

    fn remove_line(&mut self, line: Line) {
        match line {
            Line::Added(line) => {
                self.added.remove(line);
            }
            Line::Received(line) => {
                if self.removed.len() <= line / 64 {
                    self.removed
                        .resize(self.message.entries().len() / 64 + 1, 0);
                }
                self.removed[line / 64] |= 1 << (line % 64);
            }
        }
    }

    /// Removes lines given in their order.
    fn remove_lines(&mut self, lines: &[Line]) {
        // From the end, so that the places of those still to go do not move.
        for line in lines.iter().rev() {
            self.remove_line(*line);
        }
    }

    /// Writes a line anew with another value, its name as it is.
    fn rewrite(&mut self, line: Line, value: &[&[u8]]) {
        let (place, at) = self.before(line);
        let name = SmallVec::<[u8; 32]>::from_slice(self.name(line));
        self.remove_line(line);
        self.insert(place, at, &name, value);
    }

    fn insert(&mut self, place: usize, at: usize, name: &[u8], value: &[&[u8]]) {
        if self.text.capacity() == 0 {
            // A Via, a Record-Route and a Route with their tokens: one allocation for what is usual.
            self.text.reserve(512);
        }
        let line = self.text.len();
        self.text
            .extend(name.iter().filter(|byte| is_token(**byte)));
        let name_length = self.text.len() - line;
        self.text.extend_from_slice(b": ");
        let start = self.text.len();
        match value {
            [whole] => push_unfolded(&mut self.text, whole),
            parts => push_unfolded(&mut self.text, &parts.concat()),
        }
        let value = start..self.text.len();
        self.text.extend_from_slice(b"\r\n");
        let id = Id::of(&self.text[line..line + name_length]);
        self.added.insert(
            place,
            Added {
                at,
                id,
                line,
                name_length,
                value,
            },
        );
    }
}

/// Serialising.
impl Edited {
    fn write(&self, out: &mut impl FnMut(&[u8])) {
        let bytes = self.message.bytes();
        match &self.start {
            None => out(&bytes[..self.message.head_start()]),
            Some(start) => {
                out(&start.line);
                out(b"\r\n");
            }
        }
        self.write_lines(out);
        out(b"\r\n");
        out(self.body());
    }

    fn write_lines(&self, out: &mut impl FnMut(&[u8])) {
        let length_line = self.length_line();
        if length_line == LengthLine::Right && self.is_untouched() && !self.compact {
            return self.write_received(self.message.head_start()..self.message.head_end(), out);
        }
        // Lines that came one behind the other leave in one piece.
        let mut run = 0..0;
        for line in self.view() {
            let replaced =
                length_line != LengthLine::Right && self.header_of(line) == Header::ContentLength;
            if let Line::Received(index) = line
                && !replaced
                && !self.compact
            {
                let range =
                    self.message.entries()[index].line as usize..self.message.line_end(index);
                if run.end != range.start {
                    self.write_received(std::mem::replace(&mut run, range.start..range.start), out);
                }
                run.end = range.end;
                continue;
            }
            self.write_received(std::mem::take(&mut run), out);
            match (&length_line, replaced) {
                (_, false) => self.write_line(line, out),
                (LengthLine::Wrong(first), true) if *first == line => self.write_length(out),
                _ => {}
            }
        }
        self.write_received(run, out);
        if length_line == LengthLine::Missing {
            self.write_length(out);
        }
    }

    /// Whole lines as they came. The last one of a message that was cut short has no line end; a header must not run into it.
    fn write_received(&self, range: Range<usize>, out: &mut impl FnMut(&[u8])) {
        let lines = &self.message.bytes()[range];
        out(lines);
        if lines.last().is_some_and(|last| *last != b'\n') {
            out(b"\r\n");
        }
    }

    fn write_line(&self, line: Line, out: &mut impl FnMut(&[u8])) {
        let name_length = self.name(line).len();
        let compact = match self.header_of(line).compact() {
            Some(compact) if self.compact => compact,
            _ => self.name(line),
        };
        out(compact);
        match line {
            Line::Received(index) => {
                let start = self.message.entries()[index].line as usize + name_length;
                self.write_received(start..self.message.line_end(index), out);
            }
            Line::Added(index) => {
                let added = &self.added[index];
                out(&self.text[added.line + name_length..added.value.end + 2]);
            }
        }
    }

    fn write_length(&self, out: &mut impl FnMut(&[u8])) {
        let mut line = Vec::with_capacity(32);
        line.extend_from_slice(if self.compact {
            b"l: "
        } else {
            b"Content-Length: "
        });
        push_number(&mut line, self.body().len() as u64);
        line.extend_from_slice(b"\r\n");
        out(&line);
    }
}

impl From<Message> for Edited {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}
