//! Writing the edited view: what nobody touched in the pieces in which it came, the rest line by line.

use std::ops::Range;

use super::{Edited, Line};
use crate::Header;
use crate::lws::{number, push_number};
use crate::message::Wanted;

/// How the lines of Content-Length stand to the body.
#[derive(PartialEq, Eq)]
pub(super) enum LengthLine {
    /// There is one, and it is right.
    Right,
    /// The first one is to be replaced, others go.
    Wrong(Line),
    Missing,
}

/// Serialising.
impl Edited {
    pub(super) fn length_line(&self) -> LengthLine {
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

    /// Whether serialising gives the bytes that came, if Content-Length is right.
    pub(super) fn is_as_received(&self) -> bool {
        self.is_untouched()
            && self.start.is_none()
            && self.body.is_none()
            && !self.compact
            && self.message.ends_head_regularly()
    }

    /// How long it gets if Content-Length is right, names are as they came, and all lines end. That is worth knowing: [`bytes::Bytes`]
    /// are made of a full vector without another allocation.
    pub(super) fn usual_length(&self) -> usize {
        let start = match &self.start {
            None => self.message.head_start(),
            Some(start) => start.line.len() + 2,
        };
        let received = self.message.head_end() - self.message.head_start();
        start + received.saturating_add_signed(self.growth) + 2 + self.body().len()
    }

    pub(super) fn write(&self, length_line: &LengthLine, out: &mut impl FnMut(&[u8])) {
        match &self.start {
            None => self.write_received(0..self.message.head_start(), out),
            Some(start) => {
                out(&start.line);
                out(b"\r\n");
            }
        }
        if *length_line == LengthLine::Right && !self.compact {
            self.write_edits(out);
        } else {
            self.write_each(length_line, out);
        }
        out(b"\r\n");
        out(self.body());
    }

    /// The lines in as few pieces as the edits allow.
    fn write_edits(&self, out: &mut impl FnMut(&[u8])) {
        let mut next = 0;
        for added in &self.added {
            self.write_kept(next..added.at as usize, out);
            next = added.at as usize;
            out(&self.text[added.line as usize..added.value_end as usize + 2]);
        }
        self.write_kept(next..self.message.entries().len(), out);
    }

    /// Those of these received lines that are not removed.
    fn write_kept(&self, lines: Range<usize>, out: &mut impl FnMut(&[u8])) {
        let mut run = lines.start;
        while let Some(line) = self.next_removed(run).filter(|line| *line < lines.end) {
            self.write_received(
                self.message.line_start(run)..self.message.line_start(line),
                out,
            );
            run = line + 1;
        }
        self.write_received(
            self.message.line_start(run)..self.message.line_start(lines.end),
            out,
        );
    }

    /// The first removed line from this one on.
    fn next_removed(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = self.removed.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.removed.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// Line by line, names compact if they are to be, Content-Length put right.
    fn write_each(&self, length_line: &LengthLine, out: &mut impl FnMut(&[u8])) {
        for line in self.view() {
            match length_line {
                LengthLine::Wrong(first) if self.header_of(line) == Header::ContentLength => {
                    if *first == line {
                        self.write_length(out);
                    }
                }
                _ => self.write_line(line, out),
            }
        }
        if *length_line == LengthLine::Missing {
            self.write_length(out);
        }
    }

    /// Whole lines as they came. The last one of a message that was cut short has no line end; a header must not run into it.
    fn write_received(&self, range: Range<usize>, out: &mut impl FnMut(&[u8])) {
        let lines = &self.message.bytes()[range];
        if !lines.is_empty() {
            out(lines);
        }
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
                let start = self.message.line_start(index) + name_length;
                self.write_received(start..self.message.line_start(index + 1), out);
            }
            Line::Added(index) => {
                let added = &self.added[index];
                out(&self.text[added.line as usize + name_length..added.value_end as usize + 2]);
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
