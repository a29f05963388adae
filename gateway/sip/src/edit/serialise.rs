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

    pub(super) fn write(&self, out: &mut impl FnMut(&[u8])) {
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
