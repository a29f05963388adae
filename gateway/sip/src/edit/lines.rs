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

    fn is_removed(&self, line: usize) -> bool {
        self.removed
            .get(line / 64)
            .is_some_and(|bits| bits >> (line % 64) & 1 == 1)
    }

    /// All lines in their order.
    pub(super) fn view(&self) -> impl Iterator<Item = Line> {
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

    pub(super) fn lines_of<'s>(&'s self, wanted: Wanted<'s>) -> impl Iterator<Item = Line> + 's {
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

    pub(super) fn find(&self, wanted: Wanted<'_>) -> Option<Line> {
        self.lines_of(wanted).next()
    }

    pub(super) fn name(&self, line: Line) -> &[u8] {
        match line {
            Line::Received(line) => self.message.entries()[line].name(self.message.bytes()),
            Line::Added(line) => {
                let added = &self.added[line];
                &self.text[added.line..added.line + added.name_length]
            }
        }
    }

    pub(super) fn value(&self, line: Line) -> &[u8] {
        match line {
            Line::Received(line) => self.message.entries()[line].value(self.message.bytes()),
            Line::Added(line) => &self.text[self.added[line].value.clone()],
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
    /// The index among the added lines, and the `at`, that put a line directly before this one.
    pub(super) fn before(&self, line: Line) -> (usize, usize) {
        match line {
            Line::Added(line) => (line, self.added[line].at),
            Line::Received(line) => (self.added.partition_point(|added| added.at <= line), line),
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
