//! Messages of our own: responses to what came (RFC 3261 §8.2.6), requests, and the ACK and CANCEL that go with an INVITE.

use bytes::Bytes;

use crate::lws::{is_token, push_number, push_unfolded};
use crate::{Header, Message, Method, NameAddr, Start, View};

/// A message being written: header lines in the order they were added, Content-Length last.
#[derive(Clone, Debug)]
struct Writer {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        Self {
            head: Vec::with_capacity(capacity),
            body: Vec::new(),
        }
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.head
            .extend(name.iter().filter(|byte| is_token(**byte)));
        self.head.extend_from_slice(b": ");
        push_unfolded(&mut self.head, value);
        self.head.extend_from_slice(b"\r\n");
    }

    fn header(&mut self, header: Header<'_>, value: &[u8]) {
        // Content-Length is ours to write.
        if header != Header::ContentLength {
            self.line(header.name(), value);
        }
    }

    fn copy(&mut self, from: &impl View, header: Header<'_>) {
        for value in from.lines(header) {
            self.header(header, value);
        }
    }

    fn request_line(&mut self, method: Method<'_>, uri: &[u8]) {
        self.head.extend_from_slice(method.as_bytes());
        self.head.push(b' ');
        self.head
            .extend(uri.iter().filter(|byte| **byte > b' ' && **byte != 0x7f));
        self.head.extend_from_slice(b" SIP/2.0\r\n");
    }

    fn cseq(&mut self, of: &impl View, method: Method<'_>) {
        let number = of
            .header(Header::CSeq)
            .and_then(crate::CSeq::parse)
            .map_or(0, |cseq| cseq.number);
        let mut value = Vec::with_capacity(24);
        push_number(&mut value, number.into());
        value.push(b' ');
        value.extend_from_slice(method.as_bytes());
        self.header(Header::CSeq, &value);
    }

    fn finish(mut self) -> Bytes {
        self.head.extend_from_slice(b"Content-Length: ");
        push_number(&mut self.head, self.body.len() as u64);
        self.head.extend_from_slice(b"\r\n\r\n");
        self.head.extend_from_slice(&self.body);
        Bytes::from(self.head)
    }
}

/// A response being written; made by [`response`].
#[derive(Clone, Debug)]
pub struct Response {
    writer: Writer,
}

/// Starts the response to a request: all Vias, From, To, Call-ID and CSeq are copied, Record-Route where it may make a dialog
/// (101 to 299, §12.1.1), Timestamp in a 100 (§8.2.6.1). `to_tag` is added to a To that has no tag. An empty reason gives the
/// usual phrase.
///
/// Takes the request as it came or, with `received` and `rport` stamped into its Via, as edited.
pub fn response(request: &impl View, status: u16, reason: &str, to_tag: Option<&[u8]>) -> Response {
    let mut writer = Writer::new(768);
    writer.head.extend_from_slice(b"SIP/2.0 ");
    push_number(&mut writer.head, status.clamp(100, 699).into());
    writer.head.push(b' ');
    push_unfolded(
        &mut writer.head,
        if reason.is_empty() {
            reason_phrase(status)
        } else {
            reason
        }
        .as_bytes(),
    );
    writer.head.extend_from_slice(b"\r\n");
    writer.copy(request, Header::Via);
    if (101..300).contains(&status) {
        writer.copy(request, Header::RecordRoute);
    }
    writer.copy(request, Header::From);
    match (request.header(Header::To), to_tag) {
        (Some(to), Some(tag)) if NameAddr::parse(to).is_none_or(|to| to.tag().is_none()) => {
            let tagged = [crate::lws::trim(to), b";tag=", tag].concat();
            writer.header(Header::To, &tagged);
        }
        _ => writer.copy(request, Header::To),
    }
    writer.copy(request, Header::CallId);
    writer.copy(request, Header::CSeq);
    if status == 100 {
        writer.copy(request, Header::Timestamp);
    }
    Response { writer }
}

impl Response {
    /// Adds a header line. Content-Length is written without being asked.
    pub fn header(mut self, header: Header<'_>, value: &[u8]) -> Self {
        self.writer.header(header, value);
        self
    }

    /// Gives it a body.
    pub fn body(mut self, content_type: &[u8], body: &[u8]) -> Self {
        self.writer.header(Header::ContentType, content_type);
        self.writer.body = body.to_vec();
        self
    }

    /// The response on the wire.
    pub fn to_bytes(self) -> Bytes {
        self.writer.finish()
    }
}

/// A request being written.
#[derive(Clone, Debug)]
pub struct Request {
    writer: Writer,
}

impl Request {
    /// Starts with the Request-Line; every header but Content-Length is the caller's.
    pub fn new(method: Method<'_>, uri: &[u8]) -> Self {
        let mut writer = Writer::new(768);
        writer.request_line(method, uri);
        Self { writer }
    }

    /// Adds a header line.
    pub fn header(mut self, header: Header<'_>, value: &[u8]) -> Self {
        self.writer.header(header, value);
        self
    }

    /// Gives it a body.
    pub fn body(mut self, content_type: &[u8], body: &[u8]) -> Self {
        self.writer.header(Header::ContentType, content_type);
        self.writer.body = body.to_vec();
        self
    }

    /// The request on the wire.
    pub fn to_bytes(self) -> Bytes {
        self.writer.finish()
    }
}

/// The ACK to a final response that is not 2xx (§17.1.1.3), for the INVITE as we sent it: its Request-URI, top Via and Route,
/// To of the response.
pub fn ack_for(invite: &impl View, response: &Message) -> Bytes {
    let mut writer = hop_request(invite, Method::Ack);
    writer.copy(response, Header::To);
    writer.finish()
}

/// The CANCEL for an INVITE as we sent it (§9.1). `reason` is the value of the Reason header that the CANCEL we got had, if any:
/// `Call completed elsewhere` keeps a phone from showing a missed call (RFC 3326).
pub fn cancel_for(invite: &impl View, reason: Option<&[u8]>) -> Bytes {
    let mut writer = hop_request(invite, Method::Cancel);
    writer.copy(invite, Header::To);
    if let Some(reason) = reason {
        writer.header(Header::Reason, reason);
    }
    writer.finish()
}

/// What ACK and CANCEL of one hop have of their INVITE.
fn hop_request(invite: &impl View, method: Method<'_>) -> Writer {
    let mut writer = Writer::new(768);
    let uri = match invite.start() {
        Start::Request { uri, .. } => uri,
        Start::Response { .. } => b"",
    };
    writer.request_line(method, uri);
    if let Some(via) = invite.values(Header::Via).next() {
        writer.header(Header::Via, via);
    }
    writer.copy(invite, Header::Route);
    writer.header(Header::MaxForwards, b"70");
    writer.copy(invite, Header::From);
    writer.copy(invite, Header::CallId);
    writer.cseq(invite, method);
    writer
}

/// The usual reason phrase of a status code; that of its class if it has none.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity-Info",
        437 => "Unsupported Certificate",
        438 => "Invalid Identity Header",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        470 => "Consent Needed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        other => match other / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edited, Limits};

    const INVITE: &str = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP one;branch=z9hG4bK1,\r\n SIP/2.0/UDP two\r\nv: SIP/2.0/TCP three\r\n\
        Record-Route: <sip:p;lr>\r\nRoute: <sip:r;lr>\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\
        Timestamp: 54\r\nContact: <sip:a@x>\r\nl: 0\r\n\r\n";

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }

    fn text(bytes: Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_response_has_what_its_request_had() {
        let got = text(
            response(&message(INVITE), 183, "", Some(b"t"))
                .header(Header::Contact, b"<sip:b@y>")
                .body(b"application/sdp", b"v=0")
                .to_bytes(),
        );
        assert_eq!(
            got,
            "SIP/2.0 183 Session Progress\r\nVia: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/UDP two\r\nVia: SIP/2.0/TCP three\r\n\
             Record-Route: <sip:p;lr>\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=t\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\
             Contact: <sip:b@y>\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0"
        );
    }

    #[test]
    fn a_response_has_record_route_timestamp_and_tag_only_where_they_belong() {
        for (status, record_route, timestamp) in [
            (100, false, true),
            (180, true, false),
            (200, true, false),
            (486, false, false),
        ] {
            let got = response(&message(INVITE), status, "", None).to_bytes();
            let got = Message::parse(got, &Limits::default()).unwrap();
            assert_eq!(
                got.header(Header::RecordRoute).is_some(),
                record_route,
                "{status}"
            );
            assert_eq!(
                got.header(Header::Timestamp).is_some(),
                timestamp,
                "{status}"
            );
            assert_eq!(got.to_tag(), None);
        }
        let inside = message(&INVITE.replace("To: <sip:b@h>", "To: <sip:b@h>;tag=kept"));
        let got = Message::parse(
            response(&inside, 200, "Fine", Some(b"new")).to_bytes(),
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(
            (got.to_tag(), got.reason()),
            (Some(&b"kept"[..]), &b"Fine"[..])
        );
    }

    #[test]
    fn a_response_to_a_stamped_request_carries_the_stamp() {
        let mut edited = Edited::new(message(INVITE));
        edited.replace_value(
            Header::Via,
            0,
            b"SIP/2.0/UDP one;branch=z9hG4bK1;received=192.0.2.1",
        );
        let got = text(
            response(&edited, 400, "", None)
                .header(Header::ContentLength, b"99")
                .to_bytes(),
        );
        assert!(got.contains(
            "Via: SIP/2.0/UDP one;branch=z9hG4bK1;received=192.0.2.1, SIP/2.0/UDP two\r\n"
        ));
        assert_eq!(got.matches("Content-Length").count(), 1);
    }

    #[test]
    fn even_a_request_without_anything_is_answered() {
        let got = text(
            response(
                &message("X sip:h SIP/2.0\r\n\r\n"),
                400,
                "Bad\r\nRequest",
                Some(b"t"),
            )
            .to_bytes(),
        );
        assert_eq!(got, "SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn ack_and_cancel_are_of_the_same_hop_as_their_invite() {
        let invite = message(INVITE);
        let busy = message(&text(response(&invite, 486, "", Some(b"t")).to_bytes()));
        let common = "Via: SIP/2.0/UDP one;branch=z9hG4bK1\r\nRoute: <sip:r;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:a@h>;tag=1\r\nCall-ID: c\r\n";
        assert_eq!(
            text(ack_for(&invite, &busy)),
            format!(
                "ACK sip:b@h SIP/2.0\r\n{common}CSeq: 7 ACK\r\nTo: <sip:b@h>;tag=t\r\nContent-Length: 0\r\n\r\n"
            )
        );
        let reason = "SIP ;cause=200 ;text=\"Call completed elsewhere\"";
        assert_eq!(
            text(cancel_for(&invite, Some(reason.as_bytes()))),
            format!(
                "CANCEL sip:b@h SIP/2.0\r\n{common}CSeq: 7 CANCEL\r\nTo: <sip:b@h>\r\nReason: {reason}\r\nContent-Length: 0\r\n\r\n"
            )
        );
        assert!(!text(cancel_for(&invite, None)).contains("Reason"));
    }

    #[test]
    fn a_request_of_our_own_is_well_formed() {
        let bytes = Request::new(Method::Options, b"sip:\r\n h")
            .header(Header::Via, b"SIP/2.0/UDP h;branch=z9hG4bK1")
            .header(Header::From, b"<sip:a@h>;tag=1")
            .header(Header::To, b"<sip:h>")
            .header(Header::CallId, b"c")
            .header(Header::CSeq, b"1 OPTIONS")
            .body(b"text/plain", b"hello")
            .to_bytes();
        let message = Message::parse(bytes, &Limits::default()).unwrap();
        assert_eq!(message.check(), Ok(()));
        assert_eq!(
            (message.uri(), message.body()),
            (&b"sip:h"[..], &b"hello"[..])
        );
    }

    #[test]
    fn every_class_has_a_phrase() {
        for (status, want) in [
            (430, "Flow Failed"),
            (199, "Early Dialog Terminated"),
            (499, "Request Failure"),
            (699, "Global Failure"),
        ] {
            assert_eq!(reason_phrase(status), want);
        }
    }
}
