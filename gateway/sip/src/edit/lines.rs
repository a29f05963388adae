//! The lines of the edited view: finding them, and putting others in their place.

use std::ops::Range;

use smallvec::SmallVec;

use super::{Added, Edited, Line};
use crate::Header;
use crate::header::Id;
use crate::lws::{is_token, push_unfolded};
use crate::message::Wanted;
use crate::values::Values;

/// Where a value is in its line's value, and its neighbours there.
pub(super) struct Place {
    pub(super) range: Range<usize>,
    pub(super) previous_end: Option<usize>,
    pub(super) next_start: Option<usize>,
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
    pub(super) fn view(&self) -> impl Iterator<Item = Line> {
        self.matching(|_| true, |_| true)
    }

    /// The lines of one header in their order.
    pub(super) fn lines_of<'s>(&'s self, wanted: Wanted<'s>) -> impl Iterator<Item = Line> + 's {
        let (entries, bytes) = (self.message.entries(), self.message.bytes());
        let is_added = move |line: usize| {
            self.added[line].id == wanted.id
                && (wanted.id != Id::OTHER
                    || self
                        .name(Line::Added(line))
                        .eq_ignore_ascii_case(wanted.name))
        };
        let possible = wanted.id == Id::OTHER || self.message.has(wanted.id);
        self.matching(
            move |line| possible && entries[line].is(wanted, bytes),
            is_added,
        )
    }

    /// Walks over received and added lines in their order and gives those that match.
    fn matching(
        &self,
        is_received: impl Fn(usize) -> bool,
        is_added: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = Line> {
        let lines = self.message.entries().len();
        let (mut next_added, mut next_received) = (0, 0);
        std::iter::from_fn(move || {
            loop {
                let until = self
                    .added
                    .get(next_added)
                    .map_or(lines, |added| added.at as usize);
                while next_received < until {
                    let line = next_received;
                    next_received += 1;
                    if is_received(line) && !self.is_removed(line) {
                        return Some(Line::Received(line));
                    }
                }
                if next_added >= self.added.len() {
                    return None;
                }
                next_added += 1;
                if is_added(next_added - 1) {
                    return Some(Line::Added(next_added - 1));
                }
            }
        })
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
    pub(super) fn remove_lines(&mut self, lines: &[Line]) {
        // From the end, so that the places of those still to go do not move.
        for line in lines.iter().rev() {
            self.remove_line(*line);
        }
    }

    /// Writes a line anew with another value, its name as it is.
    pub(super) fn rewrite(&mut self, line: Line, value: &[&[u8]]) {
        let (place, at) = self.before(line);
        let name = SmallVec::<[u8; 32]>::from_slice(self.name(line));
        self.remove_line(line);
        self.insert(place, at, &name, value);
    }

    pub(super) fn insert(&mut self, place: usize, at: usize, name: &[u8], value: &[&[u8]]) {
        if self.text.capacity() == 0 {
            // A Via, a Record-Route and a Route with their tokens: one allocation for what is usual.
            self.text.reserve(512);
        }
        let line = self.text.len();
        self.text
            .extend(name.iter().filter(|byte| is_token(**byte)));
        let name_end = self.text.len();
        let id = Id::of(&self.text[line..]);
        self.text.extend_from_slice(b": ");
        let value_start = self.text.len();
        match value {
            [whole] => push_unfolded(&mut self.text, whole),
            parts => push_unfolded(&mut self.text, &parts.concat()),
        }
        let value_end = self.text.len();
        self.text.extend_from_slice(b"\r\n");
        let added = Added {
            at: at as u32,
            line: line as u32,
            name_length: (name_end - line) as u32,
            value_start: value_start as u32,
            value_end: value_end as u32,
            id,
        };
        self.added.insert(place, added);
    }
}
