//! Our Via branch (SIGNALLING §3): a function of what came, so that a retransmission, the CANCEL and the ACK to a failure
//! get the same one; and the hash in it that finds loops (RFC 5393 §4.2).

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use sip::{Edited, Header, Message};
use siphasher::sip::SipHasher13;

use crate::decision::{Context, Hop};
use crate::token::{FlowAddress, Purpose, Token, ViaToken};

/// RFC 3261 §8.1.1.7: what a branch of this RFC begins with.
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

/// What the branch is a function of (RFC 3261 §16.11): the received top branch, the request-URI and the target, never
/// the method; five bytes. The other three are the hash that finds loops (RFC 5393 §4.2.2). A fast hash will do: the token
/// around it has a MAC over it and the Call-ID.
pub(crate) fn identity(request: &Edited, hop: &Hop) -> [u8; 8] {
    let top = request.values(Header::Via).next().unwrap_or_default();
    let branch = sip::Via::parse(top)
        .and_then(|via| via.branch)
        .unwrap_or(top);
    let mut hasher = SipHasher13::new_with_keys(0x6272_616e, 0x6368_2121);
    for part in [
        branch,
        request.uri(),
        request.from_tag().unwrap_or_default(),
    ] {
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    match hop {
        Hop::Flow(flow) => {
            hasher.write_u8(flow.listener.0);
            match flow.address() {
                FlowAddress::Udp(address) => hash_address(&mut hasher, address),
                FlowAddress::Connection(number) => hasher.write_u64(number),
            }
        }
        Hop::Server { transport, address } => {
            hasher.write(transport.via_name().as_bytes());
            hash_address(&mut hasher, *address);
        }
    }
    let mut identity = hasher.finish().to_be_bytes();
    identity[5..].copy_from_slice(&loop_hash(request.original()));
    identity
}

/// The same on every node, whatever it was built by.
fn hash_address(hasher: &mut SipHasher13, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => hasher.write(&ip.octets()),
        IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
    hasher.write_u16(address.port());
}

/// Of what decides the way of a request: if it comes back with the same values, it goes round in a circle.
fn loop_hash(request: &Message) -> [u8; 3] {
    let mut hasher = SipHasher13::new_with_keys(0x4c4f_4f50, 0x5246_4335);
    hasher.write(request.uri());
    for route in request.values(Header::Route) {
        hasher.write(route);
    }
    // Its number alone: CANCEL and ACK have the INVITE's.
    hasher.write_u32(request.cseq().map_or(0, |cseq| cseq.number));
    hasher.write(request.from_tag().unwrap_or_default());
    let [a, b, c, ..] = hasher.finish().to_be_bytes();
    [a, b, c]
}

/// RFC 5393 §4.2.2: a Via of ours further down carries the hash that this request has now.
pub(crate) fn is_loop(request: &Message, context: &Context<'_>) -> bool {
    let mut now = None;
    // As many as a Max-Forwards of 70 lets there be: each costs a MAC.
    request.values(Header::Via).take(70).any(|value| {
        let Some(branch) = sip::Via::parse(value).and_then(|via| via.branch) else {
            return false;
        };
        match open_via(branch, request.call_id(), context) {
            // An edge and a registrar of one cluster share the key, and the request-URI is the same at both.
            Some(token) => {
                token.node == context.site.node
                    && token.transaction[5..] == *now.get_or_insert_with(|| loop_hash(request))
            }
            None => false,
        }
    })
}

/// Our token in a branch.
pub(crate) fn open_via(branch: &[u8], call_id: &[u8], context: &Context<'_>) -> Option<ViaToken> {
    let text = branch.strip_prefix(MAGIC_COOKIE.as_bytes())?;
    // Nobody else's branches cost a MAC: ours have one of four lengths.
    if !matches!(text.len(), 38 | 43 | 54 | 59) {
        return None;
    }
    match context
        .sealer
        .open(Purpose::Via, text, Some(call_id), context.now_unix)
        .ok()?
    {
        Token::Via(token) => Some(token),
        _ => None,
    }
}
