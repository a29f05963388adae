//! Parameters: `;name=value;flag`, behind URIs, name-addrs and Vias (RFC 3261 §25.1, generic-param), white space anywhere.

use crate::lws::trim;
use crate::word::{find, find2};

/// Walks over parameters. Names and values come without white space at their ends; a quoted value keeps its quotes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// Over text such as `;lr;transport=udp`; the first semicolon may be missing.
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// The first parameter of that name, compared without case: `None` if absent, `Some(None)` if it has no value.
    pub fn get(self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        let mut params = self;
        params.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The next parameter that is not empty, as written but without white space at its ends.
    #[inline]
    pub(crate) fn next_text(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = segment(self.rest);
            let text = trim(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !text.is_empty() {
                return Some(text);
            }
        }
        None
    }

    /// What has not been walked over yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_text().map(name_and_value)
    }
}

/// Takes one parameter apart.
#[inline]
pub(crate) fn name_and_value(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match find(text, b'=') {
        Some(at) => (trim(&text[..at]), Some(trim(&text[at + 1..]))),
        None => (text, None),
    }
}

/// How far the semicolon is that ends the first parameter; those in a quoted string do not count.
#[inline]
fn segment(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match find2(&text[at..], b';', b'"') {
            None => return text.len(),
            Some(found) if text[at + found] == b';' => return at + found,
            Some(found) => at += found + quoted_length(&text[at + found..]),
        }
    }
}

/// The length of a quoted string that starts the text, both quotes included; all of the text if it is never closed.
fn quoted_length(text: &[u8]) -> usize {
    closed_quote(text).unwrap_or(text.len())
}

/// The length of a quoted string that starts the text, both quotes included; `None` if it is never closed.
pub(crate) fn closed_quote(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += find2(text.get(at..)?, b'"', b'\\')?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn parameters_are_read_with_blanks_quotes_and_flags() {
        let params = Params::new(b"; a = 1 ;;b;c=\"x;y\\\";z\" ; D=\r\n 4");
        let all: Vec<_> = params.collect();
        assert_eq!(
            all,
            [
                (&b"a"[..], Some(&b"1"[..])),
                (b"b", None),
                (b"c", Some(b"\"x;y\\\";z\"")),
                (b"D", Some(b"4"))
            ]
        );
        assert_eq!(params.get(b"d"), Some(Some(&b"4"[..])));
        assert_eq!(params.get(b"B"), Some(None));
        assert_eq!(params.get(b"e"), None);
        assert_eq!(
            Params::new(b";x=\"open;y").get(b"y"),
            None,
            "a quote that is never closed hides the rest"
        );
    }
}
