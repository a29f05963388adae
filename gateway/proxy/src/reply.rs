//! Answers of our own (RFC 3261 §8.2.6): the same request always gets the same bytes, so that none has to be kept.

use std::hash::Hasher;
use std::net::SocketAddr;

use bytes::Bytes;
use sip::{Edited, Header, Message, Method, via};
use siphasher::sip::SipHasher13;

use crate::status::Reason;

/// What we understand ourselves (RFC 3261 §11.2); what passes us is not limited to it.
const ALLOW: &[u8] = b"INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, REFER, SUBSCRIBE, NOTIFY, INFO, MESSAGE, PUBLISH";
/// What we support as a proxy and registrar.
const SUPPORTED: &[u8] = b"path, outbound, gruu";

/// The request with `received` and `rport` in its top Via (RFC 3581 §4).
pub fn stamped(request: &Message, peer: SocketAddr) -> Edited {
    let mut edited = Edited::new(request.clone());
    stamp(&mut edited, peer);
    edited
}

/// RFC 3581 §4: where a request came from, in its top Via.
pub fn stamp(request: &mut Edited, peer: SocketAddr) {
    let stamped = request
        .values(Header::Via)
        .next()
        .and_then(|via| via::stamp_received(via, peer));
    if let Some(stamped) = stamped {
        request.replace_value(Header::Via, 0, &stamped);
    }
}

/// The answer that a reason gives; empty for a reason that is never answered.
pub fn answer(request: &Message, peer: SocketAddr, reason: &Reason) -> Bytes {
    let status = reason.status();
    if status == 0 {
        return Bytes::new();
    }
    let stamped = stamped(request, peer);
    let mut response = sip::build::response(
        &stamped,
        status,
        reason.phrase(),
        Some(own_tag(request).as_bytes()),
    );
    match reason {
        Reason::BadExtension(tags) => response = response.header(Header::Unsupported, tags),
        Reason::Options => {
            response = response
                .header(Header::Allow, ALLOW)
                .header(Header::Accept, b"application/sdp")
                .header(Header::Supported, SUPPORTED);
        }
        // RFC 3261 §21.5.4: without it a phone may blacklist us.
        Reason::Overloaded | Reason::TooManyCalls => {
            response = response.header(Header::RetryAfter, b"5");
        }
        Reason::CallsTooFast => response = response.header(Header::RetryAfter, b"1"),
        _ => {}
    }
    response.to_bytes()
}

/// 100 (RFC 3261 §17.2.1), without a To tag.
pub fn trying(request: &Message, peer: SocketAddr) -> Bytes {
    sip::build::response(&stamped(request, peer), 100, "Trying", None).to_bytes()
}

/// The To tag of our own answers: a function of the request, so that the ACK to an answer that nobody remembers is known
/// by its tag, and ends here (RFC 3261 §16.11, §8.2.7).
pub fn own_tag(request: &Message) -> String {
    let mut hasher = SipHasher13::new_with_keys(0x746f_2d74, 0x6167_2121);
    hasher.write(request.call_id());
    hasher.write(request.from_tag().unwrap_or_default());
    hasher.write(
        request
            .top_via()
            .and_then(|via| via.branch)
            .unwrap_or_default(),
    );
    hasher.write_u32(request.cseq().map_or(0, |cseq| cseq.number));
    format!("cw{:016x}", hasher.finish())
}

/// True for the ACK to an answer of our own.
pub fn acknowledges_us(request: &Message) -> bool {
    request.method() == Method::Ack
        && request
            .to_tag()
            .is_some_and(|tag| tag == own_tag(request).as_bytes())
}
