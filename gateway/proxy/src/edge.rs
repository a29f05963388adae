//! A registrar behind edges (SIGNALLING §2): what an edge has written into a request says where its user is.

use std::net::IpAddr;

use sip::{Edited, Header, Message, NameAddr, Uri, Via};

use crate::flow::Flow;
use crate::site::Site;

/// The address that the user of a request has: the peer's, or behind an edge the one that the edge saw. An edge stamps the
/// Via that it received (RFC 3261 §18.2.1), which is the second one here; it is believed because the edge is trusted.
///
/// A nonce belongs to it, so that it is good also through the next edge when one dies.
pub fn address_of_user(request: &Message, flow: &Flow, site: &Site) -> IpAddr {
    let seen_by_edge = || {
        let via = Via::parse(request.values(Header::Via).nth(1)?)?;
        let host = via.received.unwrap_or(via.host);
        let bare = host
            .strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"));
        let text = std::str::from_utf8(bare.unwrap_or(host)).ok()?;
        text.parse::<IpAddr>()
            .ok()
            .map(|address| address.to_canonical())
    };
    let behind_edge = site.is_edge(flow).then(seen_by_edge).flatten();
    behind_edge.unwrap_or_else(|| flow.peer.ip())
}

/// True if the top Path of a REGISTER is an edge's. A device may have written one, but the edge's own is on top of it.
pub(crate) fn has_path(request: &Edited, site: &Site) -> bool {
    let top = request
        .values(Header::Path)
        .next()
        .and_then(NameAddr::parse);
    let uri = top.as_ref().and_then(|path| Uri::parse(path.uri));
    // A name is what the edge advertises.
    uri.is_some_and(|uri| uri.ip().is_none_or(|address| site.is_edge_at(address)))
}
