//! Parameters: `;name=value;flag`, behind URIs, name-addrs and Vias (RFC 3261 §25.1, generic-param), white space anywhere.

use crate::lws::trim;

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

    /// What has not been walked over yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = segment(self.rest);
            let text = trim(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if text.is_empty() {
                continue;
            }
            return Some(match memchr::memchr(b'=', text) {
                Some(at) => (trim(&text[..at]), Some(trim(&text[at + 1..]))),
                None => (text, None),
            });
        }
        None
    }
}

/// How far the semicolon is that ends the first parameter; those in a quoted string do not count.
fn segment(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match memchr::memchr2(b';', b'"', &text[at..]) {
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
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
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
