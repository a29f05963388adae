//! Where a request goes that no flow carries: RFC 3261 §16.6 step 7.

use std::net::SocketAddr;

use sip::{Edited, Header, NameAddr, Transport, Uri};

use crate::decision::{Context, Decision, Facts, Hop, NextHop, Question};
use crate::request::{Step, refuse};
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
        return match member.address {
            Some(address) => Ok(Hop::Server {
                transport: transport_of(&uri, member.transport),
                address,
            }),
            None => refuse(Reason::Unresolvable),
        };
    }
    if let Some(ip) = uri.ip() {
        let transport = transport_of(&uri, Transport::Udp);
        let port = uri.port.unwrap_or(transport.default_port());
        return Ok(Hop::Server {
            transport,
            address: SocketAddr::new(ip, port),
        });
    }
    let asked = NextHop {
        host: String::from_utf8_lossy(uri.host).to_ascii_lowercase(),
        port: uri.port,
        transport: given_transport(&uri),
    };
    match facts.addresses.iter().find(|(known, _)| *known == asked) {
        None => Err(Box::new(Decision::Ask(Question::Address(asked)))),
        Some((_, found)) => match found.first() {
            Some((transport, address)) => Ok(Hop::Server {
                transport: *transport,
                address: *address,
            }),
            None => refuse(Reason::Unresolvable),
        },
    }
}

fn transport_of(uri: &Uri<'_>, default: Transport) -> Transport {
    given_transport(uri).unwrap_or(default)
}

/// The transport that a URI leaves no choice of.
fn given_transport(uri: &Uri<'_>) -> Option<Transport> {
    if uri.scheme.eq_ignore_ascii_case(b"sips") {
        return Some(Transport::Tls);
    }
    uri.param(b"transport")
        .flatten()
        .and_then(Transport::from_param)
}
