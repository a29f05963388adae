//! One line of a session description, with the line end it came with.

use std::borrow::Cow;

/// How a line ended. RFC 8866 §5 says CRLF and asks parsers to take a bare LF too; what came is what leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// Carriage return and line feed.
    CrLf,
    /// A bare line feed.
    Lf,
    /// The body ended without one.
    None,
}

impl LineEnd {
    /// The bytes of it.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::CrLf => b"\r\n",
            Self::Lf => b"\n",
            Self::None => b"",
        }
    }
}

/// A line as it came, or as it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    text: Cow<'a, [u8]>,
    end: LineEnd,
}

impl<'a> Line<'a> {
    pub(crate) fn new(text: impl Into<Cow<'a, [u8]>>, end: LineEnd) -> Self {
        Self {
            text: text.into(),
            end,
        }
    }

    /// Cuts the first line off `bytes`; `None` at the end of the body.
    pub(crate) fn cut(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        if bytes.is_empty() {
            return None;
        }
        let Some(feed) = memchr::memchr(b'\n', bytes) else {
            return Some((Self::new(bytes, LineEnd::None), &[]));
        };
        let (text, rest) = (&bytes[..feed], &bytes[feed + 1..]);
        Some(match text.strip_suffix(b"\r") {
            Some(text) => (Self::new(text, LineEnd::CrLf), rest),
            None => (Self::new(text, LineEnd::Lf), rest),
        })
    }

    /// The line without its end: `a=sendrecv`.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// How it ends.
    pub fn end(&self) -> LineEnd {
        self.end
    }

    /// Its type, the letter before `=`; `None` for a line that has none, which is kept all the same.
    pub fn kind(&self) -> Option<u8> {
        match *self.text {
            [kind, b'=', ..] => Some(kind),
            _ => None,
        }
    }

    /// What stands behind `x=`; the whole text of a line that has no type.
    pub fn value(&self) -> &[u8] {
        if self.kind().is_some() {
            &self.text[2..]
        } else {
            &self.text
        }
    }

    /// Name and value of an attribute line: `a=mid:0` is `("mid", Some("0"))`, `a=rtcp-mux` is `("rtcp-mux", None)`.
    /// Blanks at the end of the line belong to neither. `None` for other lines.
    pub fn attribute(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let text = self.text.strip_prefix(b"a=")?.trim_ascii_end();
        Some(match memchr::memchr(b':', text) {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        })
    }

    /// Whether this is an attribute line of this name. Names compare with case (RFC 8866 §5.13).
    pub fn is_attribute(&self, name: &str) -> bool {
        self.attribute()
            .is_some_and(|(found, _)| found == name.as_bytes())
    }

    pub(crate) fn set_text(&mut self, text: Vec<u8>) {
        self.text = Cow::Owned(text);
    }

    /// Ends the last line of a body. If that breaks off behind a CR, an LF makes it CRLF: so it will be read.
    pub(crate) fn set_end(&mut self, end: LineEnd) {
        self.end = end;
        if end == LineEnd::Lf
            && let Some(text) = self.text.strip_suffix(b"\r")
        {
            self.text = Cow::Owned(text.to_vec());
            self.end = LineEnd::CrLf;
        }
    }

    pub(crate) fn into_owned(self) -> Line<'static> {
        Line {
            text: Cow::Owned(self.text.into_owned()),
            end: self.end,
        }
    }

    /// Bytes with the line end.
    #[allow(
        clippy::len_without_is_empty,
        reason = "an empty line is a line; emptiness says nothing here"
    )]
    pub fn len(&self) -> usize {
        self.text.len() + self.end.as_bytes().len()
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.text);
        to.extend_from_slice(self.end.as_bytes());
    }
}
