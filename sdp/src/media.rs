//! A media section: an m= line and the lines up to the next (RFC 8866 §5.14).

use crate::line::Line;
use crate::section::Section;

/// An m= line with the lines that belong to it. Lines are reached through [`section`](Self::section).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media<'a> {
    head: Head,
    section: Section<'a>,
}

/// Where the words of the m= line are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    kind_end: usize,
    port: u16,
    port_end: usize,
    protocol_end: usize,
}

impl Head {
    /// `m=audio 49170/2 RTP/AVP 0 8`: four words or more, one blank between them.
    fn read(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(b"m=")?;
        let kind_end = 2 + memchr::memchr(b' ', rest)?;
        let port_end = kind_end + 1 + memchr::memchr(b' ', text.get(kind_end + 1..)?)?;
        let protocol_end = port_end + 1 + memchr::memchr(b' ', text.get(port_end + 1..)?)?;
        let mut words = text[kind_end + 1..port_end].splitn(2, |byte| *byte == b'/');
        let port = number(words.next()?)?;
        if let Some(count) = words.next() {
            number::<u16>(count)?;
        }
        let all_said = kind_end > 2
            && protocol_end > port_end + 1
            && !text[protocol_end..].trim_ascii().is_empty();
        all_said.then_some(Self {
            kind_end,
            port,
            port_end,
            protocol_end,
        })
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl<'a> Media<'a> {
    /// Begins a section with its m= line; `None` if that is none.
    pub(crate) fn begin(line: Line<'a>) -> Option<Self> {
        let head = Head::read(line.text())?;
        let mut section = Section::default();
        section.push(line);
        Some(Self { head, section })
    }

    fn text(&self) -> &[u8] {
        self.section
            .lines()
            .first()
            .map(Line::text)
            .unwrap_or_default()
    }

    /// `audio`, `video`, `image`, `application`, …
    pub fn kind(&self) -> &[u8] {
        self.text().get(2..self.head.kind_end).unwrap_or_default()
    }

    /// The port. 0 means rejected (RFC 3264 §6), or bundled with another section where `a=bundle-only` says so (RFC 9143).
    pub fn port(&self) -> u16 {
        self.head.port
    }

    /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF`, `udptl`, …
    pub fn protocol(&self) -> &[u8] {
        self.text()
            .get(self.head.port_end + 1..self.head.protocol_end)
            .unwrap_or_default()
    }

    /// The formats: for RTP the payload types in order of preference.
    pub fn formats(&self) -> impl Iterator<Item = &[u8]> {
        let formats = self
            .text()
            .get(self.head.protocol_end..)
            .unwrap_or_default();
        formats
            .split(u8::is_ascii_whitespace)
            .filter(|format| !format.is_empty())
    }

    /// Whether the protocol carries RTP.
    pub fn is_rtp(&self) -> bool {
        memchr::memmem::find(self.protocol(), b"RTP/").is_some()
    }

    /// Whether the section is rejected: port 0 and not `a=bundle-only`.
    pub fn is_rejected(&self) -> bool {
        self.port() == 0 && !self.section.has_attribute("bundle-only")
    }

    /// Rejects the section: port 0, and all its other lines go (RFC 3264 §6, §8.2: the m= line keeps its place). Words of the
    /// m= line but the port stay as they are.
    pub fn reject(&mut self) {
        if self.set_port(0) {
            self.section.lines_mut().truncate(1);
        }
    }

    /// Sets the port, a number of ports behind it goes; the other words of the m= line stay as they are.
    pub(crate) fn set_port(&mut self, port: u16) -> bool {
        let text = self.text();
        let mut line = text[..self.head.kind_end].to_vec();
        line.extend_from_slice(format!(" {port}").as_bytes());
        line.extend_from_slice(&text[self.head.port_end..]);
        let Some(head) = Head::read(&line) else {
            return false;
        };
        self.head = head;
        if let Some(first) = self.section.lines_mut().first_mut() {
            first.set_text(line);
        }
        true
    }

    /// The lines, the m= line first.
    pub fn section(&self) -> &Section<'a> {
        &self.section
    }

    /// The lines, to edit. The m= line itself cannot be removed.
    pub fn section_mut(&mut self) -> &mut Section<'a> {
        &mut self.section
    }

    pub(crate) fn into_owned(self) -> Media<'static> {
        Media {
            head: self.head,
            section: self.section.into_owned(),
        }
    }
}
