//! The session description as lines, to be edited without touching what nobody means to change.

use crate::error::Error;
use crate::line::Line;
use crate::media::Media;
use crate::section::Section;

/// How much a body may hold before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole body.
    pub bytes: usize,
    /// Lines of the whole body.
    pub lines: usize,
    /// m= lines.
    pub media: usize,
}

impl Default for Limits {
    /// 64 KiB, 2,000 lines, 64 m= lines. A browser's audio and video with STUN candidates is 6 kB in 167 lines.
    fn default() -> Self {
        Self {
            bytes: 64 * 1024,
            lines: 2000,
            media: 64,
        }
    }
}

/// A session description (RFC 8866): the session's own lines, and the media sections in order.
///
/// What is not edited leaves byte for byte as it came, unknown lines, odd line ends and all.
///
/// ```
/// let body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
///              m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\nm=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
/// let mut session = sdp::Session::parse(body)?;
/// assert_eq!(session.to_bytes(), body);
/// assert_eq!(session.media().len(), 2);
///
/// session.media_mut()[1].reject();
/// session.set_session_name("call");
/// assert!(session.to_bytes().ends_with(b"s=call\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
///                                        m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\nm=video 0 RTP/AVP 96\r\n"));
/// # Ok::<(), sdp::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session<'a> {
    head: Section<'a>,
    media: Vec<Media<'a>>,
}

impl<'a> Session<'a> {
    /// Reads a body within the default [`Limits`].
    ///
    /// # Errors
    /// What [`Error`] lists; a line of an unknown type, or of none, is no error and is kept.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::parse_within(bytes, Limits::default())
    }

    /// Reads a body within limits of the caller's.
    ///
    /// # Errors
    /// What [`Error`] lists.
    pub fn parse_within(bytes: &'a [u8], limits: Limits) -> Result<Self, Error> {
        if bytes.len() > limits.bytes {
            return Err(Error::TooLong {
                bytes: bytes.len(),
                limit: limits.bytes,
            });
        }
        let mut session = Self {
            head: Section::default(),
            media: Vec::new(),
        };
        let (mut rest, mut number) = (bytes, 0);
        while let Some((line, behind)) = Line::cut(rest) {
            (rest, number) = (behind, number + 1);
            if number > limits.lines {
                return Err(Error::TooManyLines {
                    limit: limits.lines,
                });
            }
            if number == 1 && line.text().trim_ascii_end() != b"v=0" {
                return Err(Error::NotASession);
            }
            if line.kind() == Some(b'm') {
                if session.media.len() == limits.media {
                    return Err(Error::TooManyMedia {
                        limit: limits.media,
                    });
                }
                session
                    .media
                    .push(Media::begin(line).ok_or(Error::MalformedMedia { line: number })?);
            } else if let Some(media) = session.media.last_mut() {
                media.section_mut().push(line);
            } else {
                session.head.push(line);
            }
        }
        if number == 0 {
            Err(Error::NotASession)
        } else {
            Ok(session)
        }
    }

    /// The lines before the first m= line.
    pub fn head(&self) -> &Section<'a> {
        &self.head
    }

    /// The lines before the first m= line, to edit.
    pub fn head_mut(&mut self) -> &mut Section<'a> {
        &mut self.head
    }

    /// The media sections; their number is the number of m= lines.
    pub fn media(&self) -> &[Media<'a>] {
        &self.media
    }

    /// The media sections, to edit. None can be added or taken away: RFC 3264 §8 wants their number never to shrink, and an
    /// answer to have as many as its offer.
    pub fn media_mut(&mut self) -> &mut [Media<'a>] {
        &mut self.media
    }

    /// An attribute as it holds for a media section: its own, else the session's. Empty for a property without value.
    pub fn attribute_of(&self, index: usize, name: &str) -> Option<&[u8]> {
        let own = self.media.get(index)?.section().attribute(name);
        own.or_else(|| self.head.attribute(name))
    }

    /// The value of the c= line that holds for a media section: its own, else the session's.
    pub fn connection_of(&self, index: usize) -> Option<&[u8]> {
        let own = self.media.get(index)?.section().value(b'c');
        own.or_else(|| self.head.value(b'c'))
    }

    /// The value of the o= line.
    pub fn origin(&self) -> Option<&[u8]> {
        self.head.value(b'o')
    }

    /// Sets the value of the o= line (`- 1 1 IN IP4 192.0.2.1`); says whether there was one to set.
    pub fn set_origin(&mut self, origin: &str) -> bool {
        self.head.set_value(b'o', origin)
    }

    /// The session name, the value of the s= line.
    pub fn session_name(&self) -> Option<&[u8]> {
        self.head.value(b's')
    }

    /// Sets the session name; says whether there was an s= line to set.
    pub fn set_session_name(&mut self, name: &str) -> bool {
        self.head.set_value(b's', name)
    }

    /// Removes lines everywhere for which `unwanted` says so, and says how many went. The lines `v=` and `m=` stay.
    pub fn remove_lines(&mut self, unwanted: impl Fn(&Line<'_>) -> bool) -> usize {
        let in_head = self.head.remove_lines(&unwanted);
        let in_media = self
            .media
            .iter_mut()
            .map(|media| media.section_mut().remove_lines(&unwanted));
        in_head + in_media.sum::<usize>()
    }

    /// How many bytes [`to_bytes`](Self::to_bytes) gives.
    #[allow(
        clippy::len_without_is_empty,
        reason = "a session description has at least its v= line"
    )]
    pub fn len(&self) -> usize {
        self.head.len()
            + self
                .media
                .iter()
                .map(|media| media.section().len())
                .sum::<usize>()
    }

    /// The body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.head.write(&mut bytes);
        for media in &self.media {
            media.section().write(&mut bytes);
        }
        bytes
    }

    /// The same, holding its own copy of the bytes.
    pub fn into_owned(self) -> Session<'static> {
        Session {
            head: self.head.into_owned(),
            media: self.media.into_iter().map(Media::into_owned).collect(),
        }
    }
}
