//! The one pass over the bytes of a message that finds its lines and which headers they are.

use std::ops::Range;

use smallvec::SmallVec;

use crate::header::Id;
use crate::lws::{is_lws, is_token_text};
use crate::message::{Defects, Entry, First, UNKNOWN};
use crate::word::{find, find_line_end};
use crate::{Header, ParseError};

/// The pass over the bytes.
pub(crate) struct Scan {
    pub(crate) at: usize,
    pub(crate) entries: SmallVec<[Entry; 32]>,
    pub(crate) present: u64,
    pub(crate) repeated: u64,
    pub(crate) first: First,
    /// The value of the first Content-Length.
    pub(crate) content_length: Option<Range<usize>>,
    pub(crate) defects: Defects,
}

impl Scan {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            at: 0,
            entries: SmallVec::new(),
            present: 0,
            repeated: 0,
            first: [UNKNOWN; 16],
            content_length: None,
            defects: Defects::default(),
        }
    }

    /// Goes over one line and gives its range without the line end. LF alone ends a line too: if it did not, the next element
    /// might see a header where we saw a value.
    #[inline(always)]
    pub(crate) fn next_line(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let start = self.at;
        if start >= bytes.len() {
            return None;
        }
        let mut from = start;
        while let Some(length) = find_line_end(&bytes[from..]) {
            let end = from + length;
            if bytes[end] == b'\r' {
                if bytes.get(end + 1) == Some(&b'\n') {
                    self.at = end + 2;
                    return Some(start..end);
                }
                self.defects.bare_line_end = true;
                from = end + 1;
            } else {
                self.defects.bare_line_end = true;
                self.at = end + 1;
                return Some(start..end);
            }
        }
        self.at = bytes.len();
        Some(start..self.at)
    }

    /// Indexes the header lines up to the empty line and gives its offset; `at` is then where the body starts.
    #[inline]
    pub(crate) fn headers(&mut self, bytes: &[u8], limit: usize) -> Result<usize, ParseError> {
        loop {
            let start = self.at;
            let Some(line) = self.next_line(bytes) else {
                self.defects.unterminated = true;
                return Ok(bytes.len());
            };
            if line.is_empty() {
                return Ok(start);
            }
            if matches!(bytes[start], b' ' | b'\t') && self.unfold(bytes, line.clone()) {
                continue;
            }
            if self.entries.len() >= limit {
                return Err(ParseError::TooManyHeaders { limit });
            }
            self.entry(bytes, line);
        }
    }

    /// Adds a continuation line to the header before it, if there is one.
    fn unfold(&mut self, bytes: &[u8], line: Range<usize>) -> bool {
        let repeated = self.repeated;
        let Some(entry) = self.entries.last_mut() else {
            return false;
        };
        let value = trimmed(bytes, entry.value_start as usize..line.end);
        if entry.id == Header::ContentLength.id() && repeated & entry.id.bit() == 0 {
            self.content_length = Some(value.clone());
        }
        (entry.value_start, entry.value_end) = (value.start as u32, value.end as u32);
        true
    }

    /// Indexes one line, given without its line end.
    #[inline(always)]
    fn entry(&mut self, bytes: &[u8], line: Range<usize>) {
        let text = &bytes[line.clone()];
        let (name_length, value) = match (find(text, b':'), text) {
            // As nearly all write it: `Name: value`.
            (Some(colon), [.., last])
                if *last > b' '
                    && let [before, b':', b' ', first, ..] = text[colon.max(1) - 1..]
                    && before > b' '
                    && first > b' ' =>
            {
                (colon, line.start + colon + 2..line.end)
            }
            (colon, _) => odd_line(bytes, line.clone(), colon),
        };
        // A name that is longer is none.
        let short_length = u16::try_from(name_length).unwrap_or(0);
        let id = Id::of_start(&bytes[line.start..], name_length);
        let entry = Entry {
            line: line.start as u32,
            value_start: value.start as u32,
            value_end: value.end as u32,
            name_length: short_length,
            id,
        };
        let bit = id.bit();
        if bit == 0 {
            self.defects.malformed_line |= !is_token_text(entry.name(bytes));
        } else if self.present & bit != 0 {
            self.repeated |= bit;
        } else {
            self.present |= bit;
            if let Some(first) = self.first.get_mut(id.row()) {
                // 255 is UNKNOWN, and what is beyond it is looked for.
                *first = u8::try_from(self.entries.len()).unwrap_or(UNKNOWN);
            }
            if id == Header::ContentLength.id() {
                self.content_length = Some(value);
            }
        }
        self.entries.push(entry);
    }
}

/// The length of the name and the range of the value, white space anywhere.
fn odd_line(bytes: &[u8], line: Range<usize>, colon: Option<usize>) -> (usize, Range<usize>) {
    let Some(colon) = colon.map(|colon| line.start + colon) else {
        return (0, trimmed(bytes, line));
    };
    let mut name_end = colon;
    while name_end > line.start && matches!(bytes[name_end - 1], b' ' | b'\t') {
        name_end -= 1;
    }
    (name_end - line.start, trimmed(bytes, colon + 1..line.end))
}

#[inline]
fn trimmed(bytes: &[u8], mut range: Range<usize>) -> Range<usize> {
    while range.start < range.end && is_lws(bytes[range.start]) {
        range.start += 1;
    }
    while range.start < range.end && is_lws(bytes[range.end - 1]) {
        range.end -= 1;
    }
    range
}
