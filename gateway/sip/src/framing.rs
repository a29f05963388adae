//! Messages and keepalives in a stream (RFC 3261 §18.3, RFC 5626 §3.5.1).

use bytes::Bytes;
use memchr::memchr;

use crate::header::Id;
use crate::lws::{number, trim};
use crate::start_line::StartLine;
use crate::{Header, Limits};

/// What a stream or a WebSocket message carried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A message, from its start line to the end of its body, in bytes of its own.
    Message(Bytes),
    /// A double CRLF: answer with CRLF.
    Ping,
    /// A single CRLF.
    Pong,
}

impl Frame {
    /// Reads a datagram or WebSocket message that is nothing but a keepalive; `None` for all else.
    pub fn keepalive(bytes: &[u8]) -> Option<Frame> {
        match bytes {
            b"\r\n\r\n" => Some(Frame::Ping),
            b"\r\n" => Some(Frame::Pong),
            _ => None,
        }
    }
}

/// Why the next message cannot be found. The connection is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FramingError {
    /// The message is, or says it will be, longer than [`Limits::message_bytes`].
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Content-Length is no number, there are several, or there is none where Content-Type says that there is a body.
    #[error("no telling where the message ends: Content-Length")]
    ContentLength,
    /// What stands where a message should start is none.
    #[error("not SIP")]
    NotSip,
}

/// Cuts a stream into messages. It holds bytes of at most one message and what was pushed behind it; an idle one holds none.
#[derive(Debug)]
pub struct Framer {
    limit: usize,
    buffer: Vec<u8>,
    /// Where the next frame starts.
    start: usize,
    /// Where the line starts that is being looked at, from `start`.
    line: usize,
    /// Up to where that line has been searched for its end, from `start`: no byte is searched twice, however slowly they come.
    searched: usize,
    /// Length of head and body, once the head is complete.
    length: Option<usize>,
    /// The last thing given out was a CRLF that stood alone.
    lone_crlf: bool,
    error: Option<FramingError>,
}

impl Framer {
    /// An empty one.
    pub fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.message_bytes.min(u32::MAX as usize),
            buffer: Vec::new(),
            start: 0,
            line: 0,
            searched: 0,
            length: None,
            lone_crlf: false,
            error: None,
        }
    }

    /// Takes what was read. Call [`Framer::next`] until it gives nothing before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or `None` until more is pushed. A message without Content-Length has no body, although §20.14 wants one on
    /// streams: what follows is then no start line, or is one. One with a Content-Type has a body whose end nobody can tell.
    ///
    /// A lone CRLF is given out at once as [`Frame::Pong`], for nobody can say whether a second one will come; if it does come
    /// next, it makes a [`Frame::Ping`]. So each ping is seen, however it was cut, and one that was cut is preceded by a pong.
    ///
    /// # Errors
    /// Says why the stream cannot be read on; it then says so for ever.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at the first None; this goes on after a push"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let frame = self
            .next_frame()
            .inspect_err(|error| self.error = Some(*error))?;
        if self.start == self.buffer.len() {
            // Thousands of connections are idle: an empty buffer holds nothing.
            self.buffer = Vec::new();
            self.start = 0;
        }
        Ok(frame)
    }

    /// Whether no part of a frame waits for the rest of it.
    pub fn is_idle(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Bytes of memory that the buffer holds.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.line == 0
            && let Some(keepalive) = self.line_ends()
        {
            self.searched = 0;
            return Ok(Some(keepalive));
        }
        let Some(length) = self.message_length()? else {
            return Ok(None);
        };
        let pending = &self.buffer[self.start..];
        if pending.len() < length {
            return Ok(None);
        }
        let message = Bytes::copy_from_slice(&pending[..length]);
        self.start += length;
        (self.line, self.searched, self.length) = (0, 0, None);
        self.lone_crlf = false;
        Ok(Some(Frame::Message(message)))
    }

    /// Takes CRLFs off the front of what is pending.
    fn line_ends(&mut self) -> Option<Frame> {
        let pending = &self.buffer[self.start..];
        if !pending.starts_with(b"\r\n") {
            return None;
        }
        if self.lone_crlf || pending.starts_with(b"\r\n\r\n") {
            self.start += if self.lone_crlf { 2 } else { 4 };
            self.lone_crlf = false;
            return Some(Frame::Ping);
        }
        self.start += 2;
        self.lone_crlf = true;
        Some(Frame::Pong)
    }

    /// The length of the pending message with its body, once its head is complete.
    fn message_length(&mut self) -> Result<Option<usize>, FramingError> {
        if self.length.is_some() {
            return Ok(self.length);
        }
        let pending = &self.buffer[self.start..];
        while let Some(found) = memchr(b'\n', &pending[self.searched..]) {
            let end = self.searched + found;
            let line = &pending[self.line..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if self.line == 0 && StartLine::parse(line).is_none() {
                return Err(FramingError::NotSip);
            }
            (self.line, self.searched) = (end + 1, end + 1);
            if line.is_empty() {
                let body = content_length(&pending[..end + 1])?;
                let length = (end + 1).saturating_add(body);
                if length > self.limit {
                    return Err(FramingError::TooLong { limit: self.limit });
                }
                self.length = Some(length);
                return Ok(self.length);
            }
        }
        self.searched = pending.len();
        // A head that is not complete within the limit never will be.
        if self.searched > self.limit {
            return Err(FramingError::TooLong { limit: self.limit });
        }
        Ok(None)
    }
}

/// What Content-Length says, in a complete head; 0 without one and without Content-Type.
fn content_length(head: &[u8]) -> Result<usize, FramingError> {
    let (mut length, mut has_body) = (None, false);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', head) {
        let line = std::mem::replace(&mut start, end + 1);
        if !matches!(head[line], b'l' | b'L' | b'c' | b'C') {
            continue;
        }
        let Some((name, value)) = name_and_value(&head[line..end]) else {
            continue;
        };
        if name != Header::ContentLength.id() {
            has_body |= name == Header::ContentType.id();
            continue;
        }
        let more = folded(&head[start..]);
        let number = if more.is_empty() {
            number(trim(value))
        } else {
            number(trim(&[value, more].concat()))
        };
        let number = number.ok_or(FramingError::ContentLength)?;
        if length.replace(number as usize).is_some() {
            return Err(FramingError::ContentLength);
        }
    }
    match length {
        None if has_body => Err(FramingError::ContentLength),
        length => Ok(length.unwrap_or(0)),
    }
}

/// What stands before and behind the colon.
fn name_and_value(line: &[u8]) -> Option<(Id, &[u8])> {
    let colon = memchr(b':', line)?;
    Some((Id::of(trim(&line[..colon])), &line[colon + 1..]))
}

/// The continuation lines that start the text.
fn folded(text: &[u8]) -> &[u8] {
    let mut end = 0;
    while matches!(text.get(end), Some(b' ' | b'\t')) {
        end += memchr(b'\n', &text[end..]).map_or(text.len() - end, |at| at + 1);
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(limits: Limits, stream: &str) -> Vec<Result<Frame, FramingError>> {
        let mut framer = Framer::new(&limits);
        framer.push(stream.as_bytes());
        let mut frames = Vec::new();
        loop {
            match framer.next() {
                Ok(None) => return frames,
                Ok(Some(frame)) => frames.push(Ok(frame)),
                Err(error) => {
                    assert_eq!(framer.next(), Err(error), "it stays so");
                    frames.push(Err(error));
                    return frames;
                }
            }
        }
    }

    fn message(text: &str) -> Result<Frame, FramingError> {
        Ok(Frame::Message(Bytes::copy_from_slice(text.as_bytes())))
    }

    #[test]
    fn a_stream_is_cut_where_content_length_says() {
        let limits = Limits {
            message_bytes: 100,
            headers: 9,
        };
        let start = "BYE sip:h SIP/2.0\r\n";
        for (stream, want) in [
            (
                format!("{start}l: 2\r\n\r\nab"),
                vec![message(&format!("{start}l: 2\r\n\r\nab"))],
            ),
            (
                format!("{start}content-length :\r\n 2\r\n\r\nab"),
                vec![message(&format!("{start}content-length :\r\n 2\r\n\r\nab"))],
            ),
            (
                format!("{start}\r\n"),
                vec![message(&format!("{start}\r\n"))],
            ),
            (
                format!("{start}c: a/b\r\n\r\nab"),
                vec![Err(FramingError::ContentLength)],
            ),
            (
                format!("{start}\r\nrubbish\r\n"),
                vec![message(&format!("{start}\r\n")), Err(FramingError::NotSip)],
            ),
            (format!("{start}l: 2\r\n\r\na"), vec![]),
            (start.to_owned(), vec![]),
            (
                format!("{start}l: -1\r\n\r\n"),
                vec![Err(FramingError::ContentLength)],
            ),
            (
                format!("{start}l:\r\n\r\n"),
                vec![Err(FramingError::ContentLength)],
            ),
            (
                format!("{start}l: 1\r\n 2\r\n\r\nabcdefghijkl"),
                vec![Err(FramingError::ContentLength)],
            ),
            (
                format!("{start}l: 0\r\nContent-Length: 0\r\n\r\n"),
                vec![Err(FramingError::ContentLength)],
            ),
            (
                format!("{start}X: l: 1\r\n l: 2\r\n\r\n"),
                vec![message(&format!("{start}X: l: 1\r\n l: 2\r\n\r\n"))],
            ),
            (
                format!("{start}l: 79\r\n\r\n"),
                vec![Err(FramingError::TooLong { limit: 100 })],
            ),
            (
                format!("{start}l: 4294967295\r\n\r\n"),
                vec![Err(FramingError::TooLong { limit: 100 })],
            ),
            (
                format!("{start}X: {}", "x".repeat(100)),
                vec![Err(FramingError::TooLong { limit: 100 })],
            ),
            (
                "GET / HTTP/1.1\r\n".to_owned(),
                vec![Err(FramingError::NotSip)],
            ),
            (
                "x".repeat(101),
                vec![Err(FramingError::TooLong { limit: 100 })],
            ),
        ] {
            assert_eq!(framed(limits, &stream), want, "{stream:?}");
        }
    }

    #[test]
    fn keepalives_are_told_apart_from_messages() {
        let bye = "BYE sip:h SIP/2.0\r\n\r\n";
        for (stream, want) in [
            ("\r\n\r\n".to_owned(), vec![Ok(Frame::Ping)]),
            ("\r\n".to_owned(), vec![Ok(Frame::Pong)]),
            // A ping and the first half of one.
            (
                "\r\n\r\n\r\n".to_owned(),
                vec![Ok(Frame::Ping), Ok(Frame::Pong)],
            ),
            (
                format!("\r\n{bye}\r\n\r\n"),
                vec![Ok(Frame::Pong), message(bye), Ok(Frame::Ping)],
            ),
            ("\r".to_owned(), vec![]),
        ] {
            assert_eq!(framed(Limits::default(), &stream), want, "{stream:?}");
        }
        assert_eq!(Frame::keepalive(b"\r\n\r\n"), Some(Frame::Ping));
        assert_eq!(Frame::keepalive(b"\r\n"), Some(Frame::Pong));
        assert_eq!(Frame::keepalive(b""), None);
    }

    #[test]
    fn a_ping_that_comes_in_two_halves_is_a_ping() {
        let mut framer = Framer::new(&Limits::default());
        for (piece, want) in [
            ("\r", None),
            ("\n", Some(Frame::Pong)),
            ("\r", None),
            ("\n", Some(Frame::Ping)),
            ("\r\n", Some(Frame::Pong)),
        ] {
            framer.push(piece.as_bytes());
            assert_eq!(framer.next(), Ok(want), "{piece:?}");
        }
        assert!(framer.is_idle());
    }

    #[test]
    fn what_a_burst_needed_is_given_back() {
        let message = format!("BYE sip:h SIP/2.0\r\nl: 20000\r\n\r\n{}", "x".repeat(20000));
        let mut framer = Framer::new(&Limits::default());
        framer.push(message.as_bytes());
        assert!(framer.capacity() >= message.len() && !framer.is_idle());
        assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
        assert!(framer.is_idle());
        assert_eq!(framer.capacity(), 0);
    }
}
