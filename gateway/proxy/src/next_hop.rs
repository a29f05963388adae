//! Where a request goes that no flow carries: RFC 3261 §16.6 step 7, and the member of a group (SIGNALLING §6).

use std::hash::Hasher;
use std::net::SocketAddr;

use sip::{Edited, Header, NameAddr, Transport, Uri};
use siphasher::sip::SipHasher13;

use crate::decision::{Context, Decision, Facts, Hop, Question};
use crate::request::{Step, refuse};
use crate::site::Member;
use crate::status::Reason;

/// Where the next hop of a request without a flow is: its top Route, or its request-URI (RFC 3261 §16.6 step 7).
pub(crate) fn next_hop(request: &Edited, context: &Context<'_>, facts: &Facts) -> Step<Hop> {
    match request.values(Header::Route).next() {
        Some(route) => hop_of_route(route, context, facts),
        None => hop_of_uri(request.uri(), context, facts),
    }
}

/// The server that a Route or Path value names.
pub(crate) fn hop_of_route(value: &[u8], context: &Context<'_>, facts: &Facts) -> Step<Hop> {
    match NameAddr::parse(value) {
        Some(route) => hop_of_uri(route.uri, context, facts),
        None => refuse(Reason::Fault {
            status: 400,
            phrase: "Bad Route",
        }),
    }
}

/// The server that a URI names.
pub(crate) fn hop_of_uri(text: &[u8], context: &Context<'_>, facts: &Facts) -> Step<Hop> {
    let Some(uri) = Uri::parse(text).filter(Uri::is_sip) else {
        return refuse(Reason::Fault {
            status: 416,
            phrase: "Unsupported URI Scheme",
        });
    };
    if let Some((_, member)) = context.site.member(&uri) {
        let named = member
            .addresses
            .iter()
            .find(|address| uri.ip() == Some(address.ip()));
        return match named.or(member.addresses.first()) {
            Some(address) => Ok(Hop::Server {
                transport: transport_of(&uri, member.transport),
                address: *address,
            }),
            None => refuse(Reason::Unresolvable),
        };
    }
    let transport = transport_of(&uri, Transport::Udp);
    let port = uri.port.unwrap_or(transport.default_port());
    if let Some(ip) = uri.ip() {
        return Ok(Hop::Server {
            transport,
            address: SocketAddr::new(ip, port),
        });
    }
    let host = String::from_utf8_lossy(uri.host).to_ascii_lowercase();
    match facts.addresses.iter().find(|(asked, _)| *asked == host) {
        None => Err(Box::new(Decision::Ask(Question::Address { host, port }))),
        Some((_, addresses)) => match addresses.first() {
            Some(address) => Ok(Hop::Server {
                transport,
                address: SocketAddr::new(address.ip(), port),
            }),
            None => refuse(Reason::Unresolvable),
        },
    }
}

fn transport_of(uri: &Uri<'_>, default: Transport) -> Transport {
    if uri.scheme.eq_ignore_ascii_case(b"sips") {
        return Transport::Tls;
    }
    uri.param(b"transport")
        .flatten()
        .and_then(Transport::from_param)
        .unwrap_or(default)
}

/// The living member of a group that rendezvous hashing of the caller's address-of-record chooses.
pub(crate) fn member_for(request: &Edited, group: usize, context: &Context<'_>) -> Option<Hop> {
    let group_of = context.site.groups.get(group)?;
    let from = request.from()?;
    let uri = Uri::parse(from.uri)?;
    let living = group_of
        .members
        .iter()
        .enumerate()
        .filter(|(index, member)| {
            context.alive.is_alive(group, *index) && !member.addresses.is_empty()
        });
    let (_, member) = living.max_by_key(|(_, member)| score(&uri, member))?;
    Some(Hop::Server {
        transport: member.transport,
        address: *member.addresses.first()?,
    })
}

/// Highest random weight: a member that goes takes only its own users along.
fn score(user: &Uri<'_>, member: &Member) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x4341_5553, 0x4557_4159);
    hasher.write(&user.user_decoded());
    hasher.write(b"@");
    hasher.write(&user.host.to_ascii_lowercase());
    hasher.write(member.host.as_bytes());
    hasher.write_u16(member.port);
    hasher.finish()
}
