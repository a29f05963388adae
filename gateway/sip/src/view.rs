//! What can be read from a message, whether as it came ([`Message`]) or as it leaves ([`Edited`]).
//!
//! Both have these methods as their own; the trait is for code that takes either.

use crate::values::Values;
use crate::{CSeq, Edited, Header, Message, Method, NameAddr, Start, Via};

/// Reads a message. The methods say the same as those of [`Message`].
pub trait View {
    /// The start line.
    fn start(&self) -> Start<'_>;
    /// The value of each line of that name, without white space at its ends.
    fn lines<'s>(&'s self, header: Header<'s>) -> impl Iterator<Item = &'s [u8]>;
    /// The body.
    fn body(&self) -> &[u8];

    /// The value of the first line of that name.
    fn header<'s>(&'s self, header: Header<'s>) -> Option<&'s [u8]> {
        self.lines(header).next()
    }

    /// The values of all lines of that name, those joined by commas apart if the header is a list.
    fn values<'s>(&'s self, header: Header<'s>) -> impl Iterator<Item = &'s [u8]> {
        let list = header.is_list();
        self.lines(header)
            .flat_map(move |line| Values::new(line, list))
    }
}

macro_rules! view {
    ($type:ty) => {
        impl View for $type {
            fn start(&self) -> Start<'_> {
                self.start()
            }

            fn lines<'s>(&'s self, header: Header<'s>) -> impl Iterator<Item = &'s [u8]> {
                self.lines(header)
            }

            fn body(&self) -> &[u8] {
                self.body()
            }

            fn header<'s>(&'s self, header: Header<'s>) -> Option<&'s [u8]> {
                self.header(header)
            }
        }

        impl $type {
            /// The values of all lines of that name. Those joined by commas come apart (quotes and angle brackets respected) if
            /// the header's rule says so ([`Header::is_list`]); empty ones are passed over.
            pub fn values<'s>(&'s self, header: Header<'s>) -> impl Iterator<Item = &'s [u8]> {
                let list = header.is_list();
                self.lines(header)
                    .flat_map(move |line| Values::new(line, list))
            }

            /// Whether it is a request.
            pub fn is_request(&self) -> bool {
                matches!(self.start(), Start::Request { .. })
            }

            /// The method: of a response, the one that its CSeq names (empty if there is none).
            pub fn method(&self) -> Method<'_> {
                match self.start() {
                    Start::Request { method, .. } => method,
                    Start::Response { .. } => {
                        self.cseq().map_or(Method::Other(b""), |cseq| cseq.method)
                    }
                }
            }

            /// The Request-URI; empty for a response.
            pub fn uri(&self) -> &[u8] {
                match self.start() {
                    Start::Request { uri, .. } => uri,
                    Start::Response { .. } => b"",
                }
            }

            /// The status code; 0 for a request.
            pub fn status(&self) -> u16 {
                match self.start() {
                    Start::Request { .. } => 0,
                    Start::Response { status, .. } => status,
                }
            }

            /// The reason phrase; empty for a request.
            pub fn reason(&self) -> &[u8] {
                match self.start() {
                    Start::Request { .. } => b"",
                    Start::Response { reason, .. } => reason,
                }
            }

            /// Call-ID; empty if there is none.
            pub fn call_id(&self) -> &[u8] {
                self.header(Header::CallId).unwrap_or_default()
            }

            /// CSeq, if it is there and readable.
            pub fn cseq(&self) -> Option<CSeq<'_>> {
                self.header(Header::CSeq).and_then(CSeq::parse)
            }

            /// The first Via value, if readable.
            pub fn top_via(&self) -> Option<Via<'_>> {
                Values::new(self.header(Header::Via)?, true)
                    .next()
                    .and_then(Via::parse)
            }

            /// From, if it is there and readable.
            pub fn from(&self) -> Option<NameAddr<'_>> {
                self.header(Header::From).and_then(NameAddr::parse)
            }

            /// To, if it is there and readable.
            pub fn to(&self) -> Option<NameAddr<'_>> {
                self.header(Header::To).and_then(NameAddr::parse)
            }

            /// The tag in From.
            pub fn from_tag(&self) -> Option<&[u8]> {
                self.header(Header::From).and_then(NameAddr::parse)?.tag()
            }

            /// The tag in To: there is one in every request inside a dialog.
            pub fn to_tag(&self) -> Option<&[u8]> {
                self.header(Header::To).and_then(NameAddr::parse)?.tag()
            }

            /// Max-Forwards, if it is there and a number.
            pub fn max_forwards(&self) -> Option<u32> {
                self.header(Header::MaxForwards)
                    .and_then(crate::lws::number)
            }

            /// Content-Type with its parameters.
            pub fn content_type(&self) -> Option<&[u8]> {
                self.header(Header::ContentType)
            }

            /// Whether the body is SDP and nothing else. False without a body, whatever Content-Type says.
            pub fn has_sdp(&self) -> bool {
                let is_sdp = |value: &[u8]| {
                    let end = value
                        .iter()
                        .position(|byte| *byte == b';')
                        .unwrap_or(value.len());
                    crate::lws::trim(&value[..end]).eq_ignore_ascii_case(b"application/sdp")
                };
                !self.body().is_empty() && self.content_type().is_some_and(is_sdp)
            }
        }
    };
}

view!(Message);
view!(Edited);
