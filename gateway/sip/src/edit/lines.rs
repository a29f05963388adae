//! The lines of the edited view: finding them, and putting others in their place.

use std::ops::Range;

use super::{Added, Edited, Line};
use crate::Header;
use crate::header::Id;
use crate::lws::{is_lws, is_token, is_token_text, push_unfolded};
use crate::message::Wanted;
use crate::values::Values;
use crate::word::has;

/// A part of a new value.
pub(super) enum Piece<'a> {
    /// Of the old value, a range.
    Kept(Range<usize>),
    New(&'a [u8]),
}

/// Where a value is in its line's value, and its neighbours there.
pub(super) struct Place {
    pub(super) range: Range<usize>,
    pub(super) previous_end: Option<usize>,
    pub(super) next_start: Option<usize>,
}

/// Walks over received and added lines in their order.
pub(super) struct Lines<'s> {
    edited: &'s Edited,
    /// The header whose lines are given; all are if there is none.
    wanted: Option<Wanted<'s>>,
    /// What has not been walked over yet.
    received: Range<usize>,
    added: Range<usize>,
}

impl Lines<'_> {
    fn wants_received(&self, line: usize) -> bool {
        let message = &self.edited.message;
        self.wanted
            .is_none_or(|wanted| message.entries()[line].is(wanted, message.bytes()))
            && !self.edited.is_removed(line)
    }

    fn wants_added(&self, line: usize) -> bool {
        self.wanted.is_none_or(|wanted| {
            self.edited.added[line].id == wanted.id
                && (wanted.id != Id::OTHER
                    || self
                        .edited
                        .name(Line::Added(line))
                        .eq_ignore_ascii_case(wanted.name))
        })
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while !self.received.is_empty() && !self.wants_received(self.received.start) {
            self.received.start += 1;
        }
        while !self.added.is_empty() && !self.wants_added(self.added.start) {
            self.added.start += 1;
        }
        // A new line at a place stands before the received one there.
        let added_first = !self.added.is_empty()
            && (self.received.is_empty()
                || self.edited.added[self.added.start].at as usize <= self.received.start);
        if added_first {
            self.added.next().map(Line::Added)
        } else {
            self.received.next().map(Line::Received)
        }
    }
}

/// Looking lines up.
impl Edited {
    pub(super) fn is_untouched(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    pub(super) fn is_removed(&self, line: usize) -> bool {
        self.removed
            .get(line / 64)
            .is_some_and(|bits| bits >> (line % 64) & 1 == 1)
    }

    /// All lines in their order.
    pub(super) fn view(&self) -> Lines<'_> {
        Lines {
            edited: self,
            wanted: None,
            received: 0..self.message.entries().len(),
            added: 0..self.added.len(),
        }
    }

    /// The lines of one header in their order.
    pub(super) fn lines_of<'s>(&'s self, wanted: Wanted<'s>) -> Lines<'s> {
        Lines {
            edited: self,
            wanted: Some(wanted),
            received: self.message.candidates(wanted.id),
            added: 0..self.added.len(),
        }
    }

    pub(super) fn find(&self, wanted: Wanted<'_>) -> Option<Line> {
        self.lines_of(wanted).next()
    }

    pub(super) fn name(&self, line: Line) -> &[u8] {
        match line {
            Line::Received(line) => self.message.entries()[line].name(self.message.bytes()),
            Line::Added(line) => {
                let added = &self.added[line];
                &self.text[added.line as usize..(added.line + added.name_length) as usize]
            }
        }
    }

    pub(super) fn value(&self, line: Line) -> &[u8] {
        match line {
            Line::Received(line) => self.message.entries()[line].value(self.message.bytes()),
            Line::Added(line) => {
                let added = &self.added[line];
                &self.text[added.value_start as usize..added.value_end as usize]
            }
        }
    }

    pub(super) fn header_of(&self, line: Line) -> Header<'_> {
        match line {
            Line::Received(line) => self.message.entries()[line].header(self.message.bytes()),
            Line::Added(index) => self.added[index].id.header(self.name(line)),
        }
    }

    /// Finds the value at `index` over all lines of the header.
    pub(super) fn locate(&self, header: Header<'_>, index: usize) -> Option<(Line, Place)> {
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
}

/// Changing lines.
impl Edited {
    /// The index among the added lines, and the line of the message, before which a new line has to go to stand directly before
    /// this one.
    pub(super) fn before(&self, line: Line) -> (usize, usize) {
        match line {
            Line::Added(line) => (line, self.added[line].at as usize),
            Line::Received(line) => (
                self.added
                    .partition_point(|added| added.at as usize <= line),
                line,
            ),
        }
    }

    pub(super) fn remove_line(&mut self, line: Line) {
        match line {
            Line::Added(line) => {
                let added = self.added.remove(line);
                self.growth -= added.length();
            }
            Line::Received(line) => {
                if self.removed.len() <= line / 64 {
                    self.removed
                        .resize(self.message.entries().len() / 64 + 1, 0);
                }
                self.removed[line / 64] |= 1 << (line % 64);
                self.growth -= self.message.line_length(line);
            }
        }
    }

    /// Removes lines given in their order.
    pub(super) fn remove_lines(&mut self, lines: &[Line]) {
        // From the end, so that the places of those still to go do not move.
        for line in lines.iter().rev() {
            self.remove_line(*line);
        }
    }

    /// Writes a line anew, its name as it is, its value of these pieces.
    pub(super) fn rewrite(&mut self, line: Line, value: &[Piece<'_>]) {
        let (place, at) = self.before(line);
        let start = self.start_text();
        let old = match line {
            Line::Received(line) => {
                let entry = self.message.entries()[line];
                push_name(&mut self.text, entry.id, entry.name(self.message.bytes()));
                entry.value_range()
            }
            Line::Added(line) => {
                let added = &self.added[line];
                let name = added.line as usize..(added.line + added.name_length) as usize;
                self.text.extend_from_within(name);
                added.value_start as usize..added.value_end as usize
            }
        };
        let name_end = self.text.len();
        self.text.extend_from_slice(b": ");
        let value_start = self.text.len();
        for piece in value {
            match piece {
                Piece::New(text) => self.text.extend_from_slice(text),
                Piece::Kept(range) => {
                    let range = old.start + range.start..old.start + range.end;
                    match line {
                        Line::Received(_) => {
                            self.text.extend_from_slice(&self.message.bytes()[range]);
                        }
                        Line::Added(_) => self.text.extend_from_within(range),
                    }
                }
            }
        }
        unfold_from(&mut self.text, value_start);
        let id = match line {
            Line::Received(line) => self.message.entries()[line].id,
            Line::Added(line) => self.added[line].id,
        };
        let id = self.id_of_new(id, start, name_end);
        self.remove_line(line);
        self.add(place, at, id, start, name_end);
    }

    /// Adds a new line.
    pub(super) fn insert(&mut self, place: usize, at: usize, header: Header<'_>, value: &[u8]) {
        let start = self.start_text();
        push_name(&mut self.text, header.id(), header.name());
        let name_end = self.text.len();
        let id = self.id_of_new(header.id(), start, name_end);
        self.text.extend_from_slice(b": ");
        push_unfolded(&mut self.text, value);
        self.add(place, at, id, start, name_end);
    }

    /// What is left of a name that was not in the table may be one that is.
    fn id_of_new(&self, id: Id, start: usize, name_end: usize) -> Id {
        match id {
            Id::OTHER => Id::of(&self.text[start..name_end]),
            known => known,
        }
    }

    /// Where the text of a new line starts.
    fn start_text(&mut self) -> usize {
        if self.text.capacity() == 0 {
            // A Via, a Record-Route and a Route with their tokens: one allocation for what is usual.
            self.text.reserve(512);
        }
        self.text.len()
    }

    /// Ends a new line, whose name and value are the end of the text, and puts it in its place.
    fn add(&mut self, place: usize, at: usize, id: Id, line: usize, name_end: usize) {
        let value_end = self.text.len();
        self.text.extend_from_slice(b"\r\n");
        let added = Added {
            at: at as u32,
            line: line as u32,
            name_length: (name_end - line) as u32,
            value_start: (name_end + 2) as u32,
            value_end: value_end as u32,
            id,
        };
        self.growth += added.length();
        self.added.insert(place, added);
    }
}

/// Names of the table are tokens; in others, what is no token is left out.
fn push_name(text: &mut Vec<u8>, id: Id, name: &[u8]) {
    if id != Id::OTHER || is_token_text(name) {
        text.extend_from_slice(name);
    } else {
        text.extend(name.iter().filter(|byte| is_token(**byte)));
    }
}

/// Does to the end of the text what [`push_unfolded`] would have done.
fn unfold_from(text: &mut Vec<u8>, start: usize) {
    let value = &text[start..];
    let is_clean = !has(value, |byte| (byte == b'\r') | (byte == b'\n'))
        && !value.first().is_some_and(|byte| is_lws(*byte))
        && !value.last().is_some_and(|byte| is_lws(*byte));
    if !is_clean {
        let value = text.split_off(start);
        push_unfolded(text, &value);
    }
}
