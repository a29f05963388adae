//! What RFC 3261 demands of a message before anybody works on it (§8.2, §16.3, §18.3, §20), and the status that refuses it.
//!
//! What is odd but has one meaning passes. What two elements could read in two ways does not: the next one would see another
//! message than the one we judged.

use crate::lws::number;
use crate::uri::{Uri, escapes_are_whole};
use crate::values::Values;
use crate::word::has;
use crate::{CSeq, Header, Message, NameAddr, Via};

/// Why a message is refused. A response with a fault is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{status} {reason}: {detail}")]
pub struct Fault {
    /// The status code to answer.
    pub status: u16,
    /// Its reason phrase.
    pub reason: &'static str,
    /// What is wrong, for the log and a Warning.
    pub detail: &'static str,
}

impl Fault {
    fn bad_request(detail: &'static str) -> Self {
        Self {
            status: 400,
            reason: "Bad Request",
            detail,
        }
    }
}

/// A bit for each header of which there is one at most (§7.3.1: only lists may repeat), as far as anything here acts on them.
const ONCE: u64 = once();

const fn once() -> u64 {
    let headers = [
        Header::From,
        Header::To,
        Header::CallId,
        Header::CSeq,
        Header::MaxForwards,
        Header::ContentLength,
        Header::ContentType,
        Header::Expires,
        Header::Event,
        Header::ReferTo,
        Header::Replaces,
    ];
    let mut bits = 0;
    let mut at = 0;
    while at < headers.len() {
        bits |= headers[at].known_bit();
        at += 1;
    }
    bits
}

impl Message {
    /// Whether the message may be worked on.
    ///
    /// # Errors
    /// The first fault found, with the status that RFC 3261 names. `Max-Forwards: 0`, `Proxy-Require` and credentials are not
    /// looked at: they are no faults of form.
    pub fn check(&self) -> Result<(), Fault> {
        self.check_form()?;
        self.check_start()?;
        self.check_headers()?;
        self.check_content_length()
    }

    /// Lines and line ends.
    fn check_form(&self) -> Result<(), Fault> {
        let defects = self.defects();
        if defects.unterminated {
            return Err(Fault::bad_request("no empty line behind the headers"));
        }
        if defects.bare_line_end {
            return Err(Fault::bad_request("a line end that is not CRLF"));
        }
        if defects.malformed_line {
            return Err(Fault::bad_request("a line that is no header"));
        }
        Ok(())
    }

    /// Version and Request-URI (§8.2.2.1, §16.3 steps 1 and 2).
    fn check_start(&self) -> Result<(), Fault> {
        if !self.version().eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Fault {
                status: 505,
                reason: "Version Not Supported",
                detail: "not SIP/2.0",
            });
        }
        if !self.start_line().regular {
            return Err(Fault::bad_request("surplus blanks in the start line"));
        }
        if self.is_request() {
            check_request_uri(self.uri())
        } else {
            Ok(())
        }
    }

    /// The headers of §8.1.1, once each, and readable.
    fn check_headers(&self) -> Result<(), Fault> {
        let mut lines = self.lines(Header::Via);
        // The first line has to have a value: it says where the response goes.
        let top = lines.next().ok_or(Fault::bad_request("no Via"))?;
        let readable = |line: &[u8]| {
            // Most lines have one value.
            if !has(line, |byte| byte == b',') {
                return line.is_empty() || Via::is_readable(line);
            }
            Values::new(line, true).all(Via::is_readable)
        };
        if is_empty_list(top) || !readable(top) || !lines.all(readable) {
            return Err(Fault::bad_request("an unreadable Via"));
        }
        if self.repeats(ONCE) {
            return Err(Fault::bad_request("a header twice that may stand once"));
        }
        if self.call_id().is_empty() {
            return Err(Fault::bad_request("no Call-ID"));
        }
        if !self.from().is_some_and(|from| from.has_scheme()) {
            return Err(Fault::bad_request("no readable From"));
        }
        if !self.to().is_some_and(|to| to.has_scheme()) {
            return Err(Fault::bad_request("no readable To"));
        }
        self.check_contact()?;
        self.check_cseq()?;
        // §20.22 ends the range at 255.
        match self.header(Header::MaxForwards).map(number) {
            None | Some(Some(0..=255)) => Ok(()),
            Some(_) => Err(Fault::bad_request("an unreadable Max-Forwards")),
        }
    }

    fn check_cseq(&self) -> Result<(), Fault> {
        let cseq = self
            .header(Header::CSeq)
            .and_then(CSeq::parse)
            .ok_or(Fault::bad_request("no readable CSeq"))?;
        if self.is_request() && cseq.method != self.method() {
            return Err(Fault::bad_request("CSeq names another method"));
        }
        Ok(())
    }

    /// §20: a URI with a question mark has to stand in angle brackets; without them nobody can tell whose the headers are.
    fn check_contact(&self) -> Result<(), Fault> {
        let ambiguous = |value: &[u8]| {
            NameAddr::parse(value)
                .is_some_and(|contact| !contact.bracketed && contact.uri.contains(&b'?'))
        };
        // Most lines have no question mark, and then there is nothing to take apart.
        let mut doubtful = self
            .lines(Header::Contact)
            .filter(|line| has(line, |byte| byte == b'?'));
        match doubtful.any(|line| Values::new(line, true).any(ambiguous)) {
            true => Err(Fault::bad_request(
                "a Contact with URI headers and no angle brackets",
            )),
            false => Ok(()),
        }
    }

    /// §18.3, §20.14.
    fn check_content_length(&self) -> Result<(), Fault> {
        if self
            .header(Header::ContentLength)
            .is_some_and(|value| number(value).is_none())
        {
            return Err(Fault::bad_request("an unreadable Content-Length"));
        }
        if self.defects().body_missing {
            return Err(Fault::bad_request("Content-Length says more than there is"));
        }
        Ok(())
    }
}

/// `sip` and `sips` have to be readable; `tel` (RFC 3966) and `urn` (RFC 5031, emergency calls) are somebody's to route; any
/// other scheme is 416 (§16.3 step 2). Headers in a Request-URI are forbidden (§19.1.1), and baresip sends them after a REFER with
/// Replaces: they pass here, and whoever forwards the request leaves them out ([`crate::uri::without_headers`]).
fn check_request_uri(text: &[u8]) -> Result<(), Fault> {
    let Some(uri) = Uri::parse(text) else {
        return Err(Fault::bad_request("an unreadable Request-URI"));
    };
    if !uri.is_sip()
        && ![&b"tel"[..], b"urn"]
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(uri.scheme))
    {
        return Err(Fault {
            status: 416,
            reason: "Unsupported URI Scheme",
            detail: "a Request-URI that is no SIP URI",
        });
    }
    if !escapes_are_whole(text) {
        return Err(Fault::bad_request("a broken escape in the Request-URI"));
    }
    Ok(())
}

/// Whether there is no value in the line.
fn is_empty_list(line: &[u8]) -> bool {
    // Only a comma at the start leaves that open.
    match line.first() {
        None => true,
        Some(b',') => Values::new(line, true).next().is_none(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Limits, Message};

    const GOOD: &str = "BYE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n\
        Call-ID: c\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\nContact: <sip:a@h?x>\r\nContent-Length: 0\r\n\r\n";

    fn status(text: &str) -> u16 {
        let message = Message::parse(text.as_bytes().to_vec().into(), &Limits::default()).unwrap();
        message.check().map_or_else(|fault| fault.status, |()| 0)
    }

    #[test]
    fn a_fault_has_the_status_that_its_rfc_names() {
        assert_eq!(status(GOOD), 0);
        for (why, from, to, want) in [
            (
                "§7.1: another version",
                "SIP/2.0\r\nVia",
                "SIP/3.0\r\nVia",
                505,
            ),
            (
                "§16.3: a scheme that nobody routes",
                "BYE sip:b@h",
                "BYE http://h/",
                416,
            ),
            (
                "RFC 5031: an emergency call",
                "BYE sip:b@h",
                "BYE urn:service:sos",
                0,
            ),
            (
                "RFC 3966: a telephone number",
                "BYE sip:b@h",
                "BYE tel:+49",
                0,
            ),
            ("a Request-URI that is none", "BYE sip:b@h", "BYE b@h", 400),
            ("a broken escape", "BYE sip:b@h", "BYE sip:%b@h", 400),
            (
                "a blank in the Request-URI",
                "BYE sip:b@h",
                "BYE sip:b@h; lr",
                400,
            ),
            ("no Via", "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n", "", 400),
            ("an empty Via", "SIP/2.0/UDP h;branch=z9hG4bK1", "", 400),
            ("an unreadable second Via", "z9hG4bK1", "z9hG4bK1, x", 400),
            ("no From", "From: <sip:a@h>;tag=1\r\n", "", 400),
            ("From twice", "Call-ID", "f: <sip:x@h>\r\nCall-ID", 400),
            ("no To", "To: <sip:b@h>;tag=2\r\n", "", 400),
            ("a To without scheme", "To: <sip:b@h>", "To: <b>", 400),
            ("no Call-ID", "Call-ID: c\r\n", "", 400),
            ("an empty Call-ID", "Call-ID: c", "Call-ID: ", 400),
            ("no CSeq", "CSeq: 1 BYE\r\n", "", 400),
            ("CSeq of another method", "1 BYE", "1 INVITE", 400),
            (
                "Max-Forwards over its range",
                "Max-Forwards: 70",
                "Max-Forwards: 256",
                400,
            ),
            (
                "Max-Forwards used up is the proxy's to refuse",
                "Max-Forwards: 70",
                "Max-Forwards: 0",
                0,
            ),
            (
                "RFC 2543 knew no Max-Forwards",
                "Max-Forwards: 70\r\n",
                "",
                0,
            ),
            (
                "Content-Length is no number",
                "Length: 0",
                "Length: 0x",
                400,
            ),
            (
                "Content-Length twice",
                "Content-Length: 0",
                "Content-Length: 0\r\nl: 0",
                400,
            ),
            (
                "Content-Length says more than there is",
                "Length: 0",
                "Length: 1",
                400,
            ),
            (
                "Contact with headers and no brackets",
                "<sip:a@h?x>",
                "sip:a@h?x",
                400,
            ),
            ("CR alone", "Call-ID: c", "Call-ID: c\rX: y", 400),
            ("LF alone", "Call-ID: c", "Call-ID: c\nX: y", 400),
            (
                "a line without colon",
                "Call-ID: c",
                "Call-ID: c\r\nnonsense",
                400,
            ),
            (
                "a name that is no token",
                "Call-ID: c",
                "Call-ID: c\r\nX Y: z",
                400,
            ),
            (
                "a fold of nothing",
                "SIP/2.0\r\nVia",
                "SIP/2.0\r\n x\r\nVia",
                400,
            ),
            (
                "a name that may have a blank behind it",
                "Call-ID: c",
                "Call-ID : c",
                0,
            ),
            (
                "no empty line",
                "Content-Length: 0\r\n\r\n",
                "Content-Length: 0\r\n",
                400,
            ),
            (
                "bytes that are no UTF-8 or text at all",
                "Call-ID: c",
                "Call-ID: c\r\nX: \0\u{ff}",
                0,
            ),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{why}");
            assert_eq!(status(&text), want, "{why}");
        }
    }

    #[test]
    fn a_response_may_be_of_any_method_and_needs_the_same_headers() {
        let response = GOOD
            .replacen("BYE sip:b@h SIP/2.0", "SIP/2.0 200 OK", 1)
            .replacen("1 BYE", "1 INVITE", 1);
        assert_eq!(status(&response), 0);
        assert_eq!(status(&response.replacen("Call-ID: c\r\n", "", 1)), 400);
    }
}
