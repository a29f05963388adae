//! Values joined by commas in one line (RFC 3261 §7.3.1), taken apart with regard to quoted strings and angle brackets.

use std::ops::Range;

use crate::lws::is_lws;
use crate::word::has;

/// The values of one line, each without white space at its ends. Empty ones, as `Supported:` may have, are passed over.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    line: &'a [u8],
    at: usize,
    list: bool,
}

impl<'a> Values<'a> {
    /// Takes a line's value apart at its commas if `list`, else gives it whole, empty or not.
    pub fn new(line: &'a [u8], list: bool) -> Self {
        Self { line, at: 0, list }
    }

    /// The next value, as a range of the line.
    pub(crate) fn next_range(&mut self) -> Option<Range<usize>> {
        if !self.list {
            let whole = (self.at == 0).then_some(0..self.line.len());
            self.at = usize::MAX;
            return whole;
        }
        while self.at < self.line.len() {
            let start = self.at;
            let end = start + value_length(&self.line[start..]);
            self.at = end + 1;
            let range = trimmed(self.line, start..end);
            if !range.is_empty() {
                return Some(range);
            }
        }
        None
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_range().map(|range| &self.line[range])
    }
}

/// How far the comma is that ends the first value.
fn value_length(text: &[u8]) -> usize {
    // Most lines have one value, and then there is nothing to walk through.
    if !has(text, |byte| byte == b',') {
        return text.len();
    }
    let (mut quoted, mut bracketed) = (false, false);
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if quoted => at += 1,
            b'"' if !bracketed => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            b',' if !quoted && !bracketed => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

fn trimmed(line: &[u8], mut range: Range<usize>) -> Range<usize> {
    while range.start < range.end && is_lws(line[range.start]) {
        range.start += 1;
    }
    while range.start < range.end && is_lws(line[range.end - 1]) {
        range.end -= 1;
    }
    range
}

#[cfg(test)]
mod tests {
    use super::Values;

    #[test]
    fn a_line_is_taken_apart_at_the_commas_that_separate() {
        for (line, want) in [
            (&b"a, b ,c"[..], &[&b"a"[..], b"b", b"c"][..]),
            (
                b"\"Bell, A\" <sip:a>, <sip:b,c>",
                &[b"\"Bell, A\" <sip:a>", b"<sip:b,c>"],
            ),
            (b"\"a\\\", b\" <sip:x>,y", &[b"\"a\\\", b\" <sip:x>", b"y"]),
            (b"a,,b,", &[b"a", b"b"]),
            (b"a\r\n ,\r\n b", &[b"a", b"b"]),
            (b"<sip:\"a>,b", &[b"<sip:\"a>", b"b"]),
            (b"", &[]),
            (b"\"never closed, x", &[b"\"never closed, x"]),
        ] {
            assert_eq!(Values::new(line, true).collect::<Vec<_>>(), want);
        }
        assert_eq!(
            Values::new(b"Sat, 13 Nov", false).collect::<Vec<_>>(),
            [b"Sat, 13 Nov"]
        );
        assert_eq!(Values::new(b"", false).count(), 1);
    }
}
