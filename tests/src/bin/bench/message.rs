//! The messages of the load: templates with an eight-digit number in their branch, tag and Call-ID, and the little that must be
//! read from an answer. Sizes are those of real devices.

use std::net::{SocketAddr, SocketAddrV4};

use md5::{Digest as _, Md5};

use crate::chain::{DOMAIN, PASSWORD};

/// Where the number of a transaction stands in a template.
const NUMBER: &str = "########";
/// A browser's REGISTER has about this many bytes.
const REGISTER_BYTES: usize = 791;
/// An INVITE of a desk phone with its session description has about this many.
const INVITE_BYTES: usize = 1100;

/// A session description of plain RTP.
pub(crate) const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n";

/// A message in which only a number changes.
pub(crate) struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    fn new(text: &str) -> Self {
        Template {
            bytes: text.as_bytes().to_vec(),
            places: text.match_indices(NUMBER).map(|(at, _)| at).collect(),
        }
    }

    /// The message of transaction `number`.
    pub(crate) fn fill(&mut self, number: u32) -> &[u8] {
        let digits = format!("{number:08x}");
        for place in &self.places {
            self.bytes[*place..*place + NUMBER.len()].copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

/// REGISTER as a browser or a phone sends it; `transport` as Via names it, `user` is the connection's own.
pub(crate) fn register(transport: &str, user: &str) -> Template {
    let head = format!(
        "REGISTER sip:bench.test SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{NUMBER}{user};rport\r\n\
         Max-Forwards: 69\r\nTo: <sip:{user}@bench.test>\r\nFrom: <sip:{user}@bench.test>;tag=f{NUMBER}\r\n\
         Call-ID: {NUMBER}{user}\r\nCSeq: 1 REGISTER\r\n\
         Authorization: Digest algorithm=MD5, username=\"{user}\", realm=\"bench.test\", \
         nonce=\"ab3f9c1e77d04a55b0a1d2c3\", uri=\"sip:bench.test\", response=\"0123456789abcdef0123456789abcdef\", \
         qop=auth, cnonce=\"q8s7d6f5g4h3\", nc=00000001\r\n\
         Contact: <sip:{user}@127.0.0.1:9;transport={}>;+sip.ice;reg-id=1;\
         +sip.instance=\"<urn:uuid:1f3c6a7e-0000-4000-8000-aabbccddeeff>\";expires=600\r\nExpires: 600\r\n\
         Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY\r\nSupported: path,gruu,outbound\r\n",
        transport.to_ascii_lowercase().replace("wss", "ws"),
    );
    Template::new(&padded(head, REGISTER_BYTES, ""))
}

/// An INVITE with a session description of plain RTP.
pub(crate) fn invite(transport: &str, user: &str) -> Template {
    let head = format!(
        "INVITE sip:called@bench.test SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{NUMBER}{user};rport\r\n\
         Max-Forwards: 69\r\nTo: <sip:called@bench.test>\r\nFrom: <sip:{user}@bench.test>;tag=f{NUMBER}\r\n\
         Call-ID: {NUMBER}{user}\r\nCSeq: 1 INVITE\r\nContact: <sip:{user}@127.0.0.1:9;transport={}>\r\n\
         Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY\r\nSupported: timer,ice,replaces,outbound\r\n\
         Content-Type: application/sdp\r\n",
        transport.to_ascii_lowercase().replace("wss", "ws"),
    );
    Template::new(&padded(head, INVITE_BYTES, SESSION))
}

/// A desk phone's REGISTER has about this many bytes.
const PHONE_REGISTER_BYTES: usize = 700;
/// An INVITE that takes a Via, a Route and a Record-Route more and still fits a datagram.
const PHONE_INVITE_BYTES: usize = 850;

/// What proves a device.
pub(crate) struct Credentials<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) count: u32,
}

impl Credentials<'_> {
    /// The header's line (RFC 2617 §3.2.2).
    fn line(&self, user: &str) -> String {
        let (nonce, uri) = (self.nonce, format!("sip:{DOMAIN}"));
        let count = format!("{:08x}", self.count);
        let secret = hash(&format!("{user}:{DOMAIN}:{PASSWORD}"));
        let request = hash(&format!("REGISTER:{uri}"));
        let response = hash(&format!("{secret}:{nonce}:{count}:q8s7d6f5:auth:{request}"));
        format!(
            "Authorization: Digest algorithm=MD5, username=\"{user}\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", qop=auth, cnonce=\"q8s7d6f5\", nc={count}\r\n"
        )
    }
}

fn hash(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The REGISTER that a desk phone sends the `number`th time; it stands in Call-ID as `device`.
pub(crate) fn register_of(
    user: &str,
    device: u32,
    own: SocketAddrV4,
    number: u32,
    credentials: Option<Credentials<'_>>,
) -> String {
    let credentials = credentials.map_or(String::new(), |credentials| credentials.line(user));
    let head = format!(
        "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{device:08x}{number};rport\r\nMax-Forwards: 70\r\n\
         To: <sip:{user}@{DOMAIN}>\r\nFrom: <sip:{user}@{DOMAIN}>;tag={number}\r\nCall-ID: {device:08x}@phone\r\n\
         CSeq: {number} REGISTER\r\nContact: <sip:{user}@{own}>\r\nExpires: 3600\r\nSupported: path\r\n{credentials}"
    );
    padded(head, PHONE_REGISTER_BYTES, "")
}

/// An INVITE of the core for a registered device, with its session description.
pub(crate) fn invite_to(user: &str, number: u32, own: SocketAddr) -> String {
    let head = format!(
        "INVITE sip:{user}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number:08x};rport\r\nMax-Forwards: 69\r\n\
         To: <sip:{user}@{DOMAIN}>\r\nFrom: <sip:core@{DOMAIN}>;tag=f{number:08x}\r\nCall-ID: {number:08x}@core\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:core@{own}>\r\nAllow: INVITE,ACK,CANCEL,BYE,UPDATE,INFO\r\nContent-Type: application/sdp\r\n"
    );
    padded(head, PHONE_INVITE_BYTES, SESSION)
}

/// A request of `bytes` with a body, for what a burst leaves behind.
pub(crate) fn large(transport: &str, user: &str, bytes: usize) -> Template {
    let head = format!(
        "OPTIONS sip:called@bench.test SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{NUMBER}{user};rport\r\n\
         Max-Forwards: 69\r\nTo: <sip:called@bench.test>\r\nFrom: <sip:{user}@bench.test>;tag=f{NUMBER}\r\n\
         Call-ID: {NUMBER}{user}\r\nCSeq: 1 OPTIONS\r\nContent-Type: text/plain\r\n"
    );
    let body = "x".repeat(bytes - head.len() - 30);
    Template::new(&padded(head, 0, &body))
}

/// Brings a message to a size by its User-Agent.
fn padded(mut head: String, bytes: usize, body: &str) -> String {
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    let missing =
        bytes.saturating_sub(head.len() + length.len() + body.len() + "User-Agent: \r\n".len());
    head.push_str(&format!(
        "User-Agent: {}\r\n{length}{body}",
        "bench/1.0 ".repeat(missing / 10 + 1)[..missing].trim_end()
    ));
    head
}

/// What matters of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) number: u32,
    pub(crate) to_bye: bool,
}

/// Reads an answer; `None` for a request.
pub(crate) fn answer(message: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(message).ok()?;
    let status = text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    let number = u32::from_str_radix(header(text, "Call-ID").next()?.get(..8)?, 16).ok()?;
    Some(Answer {
        status,
        number,
        to_bye: header(text, "CSeq").next()?.ends_with("BYE"),
    })
}

/// The values of a header, one a line.
pub(crate) fn header<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text
        .split("\r\n")
        .skip(1)
        .take_while(|line| !line.is_empty());
    lines.filter_map(move |line| {
        let (before, after) = line.split_once(':')?;
        before
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| after.trim())
    })
}

/// ACK and BYE after a 200 to an INVITE: to its Contact, along its Record-Route backwards (RFC 3261 §12.1.2).
pub(crate) fn ack_and_bye(answer: &[u8], transport: &str, user: &str) -> Option<[String; 2]> {
    let text = std::str::from_utf8(answer).ok()?;
    let contact = header(text, "Contact")
        .next()?
        .trim_start_matches('<')
        .split('>')
        .next()?;
    let mut routes: Vec<&str> = header(text, "Record-Route")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    routes.reverse();
    let route: String = routes
        .iter()
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    let (from, to, id) = (
        header(text, "From").next()?,
        header(text, "To").next()?,
        header(text, "Call-ID").next()?,
    );
    Some([(1, "ACK"), (2, "BYE")].map(|(number, method)| {
        format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{method}{id};rport\r\n\
             Max-Forwards: 69\r\n{route}To: {to}\r\nFrom: {from}\r\nCall-ID: {id}\r\nCSeq: {number} {method}\r\n\
             User-Agent: {user}\r\nContent-Length: 0\r\n\r\n"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_sizes_of_real_ones_and_carry_their_number() {
        let mut register = register("UDP", "u1");
        let text = String::from_utf8(register.fill(0xABC).to_vec()).unwrap();
        assert!((780..=800).contains(&text.len()), "{}", text.len());
        assert_eq!(text.matches("00000abc").count(), 3);
        let mut invite = invite("WSS", "u1");
        let size = invite.fill(1).len();
        assert!((1090..=1110).contains(&size), "{size}");
        assert!(large("WSS", "u1", 60_000).fill(1).len().abs_diff(60_000) < 60);
    }

    #[test]
    fn a_device_proves_itself_as_rfc_2617_computes() {
        // §3.5's example has another method and realm; the hash of nothing is RFC 1321's.
        assert_eq!(hash(""), "d41d8cd98f00b204e9800998ecf8427e");
        let own = "127.1.0.1:5060".parse().unwrap();
        let first = register_of("u1", 0xABC, own, 1, None);
        assert!(!first.contains("Authorization"));
        let again = Credentials {
            nonce: "n",
            count: 26,
        };
        let again = register_of("u1", 0xABC, own, 2, Some(again));
        assert!(again.contains("nc=0000001a\r\n"), "{again}");
        assert!(first.len().abs_diff(PHONE_REGISTER_BYTES) < 3);
        assert!(
            again.len().abs_diff(PHONE_REGISTER_BYTES) < 3,
            "{}",
            again.len()
        );
        let invite = invite_to("u1", 1, SocketAddr::from(own));
        assert!(
            invite.len().abs_diff(PHONE_INVITE_BYTES) < 3,
            "{}",
            invite.len()
        );
    }

    #[test]
    fn an_answer_gives_the_requests_that_follow_it() {
        let answered = b"SIP/2.0 200 OK\r\nVia: x\r\nRecord-Route: <sip:a;lr>\r\nRecord-Route: <sip:b;lr>, <sip:c;lr>\r\nFrom: f\r\nTo: t\r\n\
                         Call-ID: 0000000fu\r\nCSeq: 1 INVITE\r\nContact: <sip:x@y:1>\r\n\r\n";
        assert_eq!(
            answer(answered),
            Some(Answer {
                status: 200,
                number: 15,
                to_bye: false
            })
        );
        let [ack, bye] = ack_and_bye(answered, "UDP", "u").unwrap();
        assert!(ack.starts_with("ACK sip:x@y:1 SIP/2.0\r\n"));
        assert!(
            bye.contains("Route: <sip:c;lr>\r\nRoute: <sip:b;lr>\r\nRoute: <sip:a;lr>\r\nTo: t"),
            "{bye}"
        );
    }
}
