//! How a Path names a device's flow (RFC 3327): by a token, or with the flow in the open beside it (SIGNALLING §2).
//!
//! `;received=sip:82.10.18.109:12202` is what registrars with a NAT logic of their own read; behind it they may look a device up
//! again and send with that Path alone. From anywhere but the core the value says nothing, and it leads only to where a device
//! already is: it never chooses where we send.

use std::net::SocketAddr;

use sip::uri::decode;
use sip::{Edited, Header, NameAddr, Transport, Uri};

use crate::decision::Context;
use crate::flow::Flow;
use crate::listener::Listener;
use crate::site::Side;
use crate::token::{PathToken, Token};

/// What our Path says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PathStyle {
    /// A token.
    #[default]
    Token,
    /// A token, and the peer's address in `;received=`.
    Received,
}

/// Puts our Path on top (RFC 3327 §5.2): the device's flow in a token. `ob` says that RFC 5626's outbound is served:
/// if and only if the Contact has reg-id and we are the first hop (§5.1). Supported gets `path`, for registrars that
/// insist on it where phones do not say it; that leaves RFC 3327 §5.2 on purpose.
pub(crate) fn add(request: &mut Edited, flow: &Flow, context: &Context<'_>) {
    let has_reg_id = request.values(Header::Contact).any(|value| {
        NameAddr::parse(value).is_some_and(|contact| contact.param(b"reg-id").is_some())
    });
    let outbound = has_reg_id && request.values(Header::Via).count() == 1;
    let Some(path) = of(flow, outbound, context) else {
        return;
    };
    request.prepend(Header::Path, path.as_bytes());
    if !request
        .values(Header::Supported)
        .any(|tag| tag.eq_ignore_ascii_case(b"path"))
    {
        request.append(Header::Supported, b"path");
    }
}

/// The Path value of a device's flow: always the same text, so that the bindings of a flow that is gone can be found.
pub fn of(flow: &Flow, outbound: bool, context: &Context<'_>) -> Option<String> {
    let listener = context.site.listener(flow.listener)?;
    let token = Token::Path(PathToken {
        listener: flow.listener.0,
        node: context.site.node,
        flow: flow.address(),
    });
    let named = core_side(listener, context);
    let write_token = |text: &mut String| {
        context
            .sealer
            .seal_into(text, &token, None, context.now_unix)
    };
    let outbound = if outbound { ";ob" } else { "" };
    let more = match listener.path {
        PathStyle::Token => outbound.to_owned(),
        PathStyle::Received => received(flow) + outbound,
    };
    Some(context.site.path(named, flow, write_token, &more))
}

/// The listener that the core can reach us at: one that faces it, if there is any (a small site has none).
fn core_side<'a>(device_side: &'a Listener, context: &Context<'a>) -> &'a Listener {
    let core = context
        .site
        .listeners
        .iter()
        .filter(|listener| listener.faces_core());
    core.min_by_key(|listener| listener.transport != Transport::Udp)
        .unwrap_or(device_side)
}

/// The parameter that names the peer of a flow, as OpenSIPS writes it: the transport left out for UDP, and `;` and `=` escaped.
fn received(flow: &Flow) -> String {
    use std::fmt::Write as _;
    let peer = SocketAddr::new(flow.peer.ip().to_canonical(), flow.peer.port());
    let mut text = format!(";received=sip:{peer}");
    if flow.transport != Transport::Udp {
        let name = flow.transport.via_name().to_ascii_lowercase();
        // A String takes everything.
        let _ = write!(text, "%3btransport%3d{name}");
    }
    text
}

/// The peer that a `received` parameter names, and what is spoken to it.
fn peer(value: &[u8]) -> Option<(Transport, SocketAddr)> {
    let value = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value);
    let text = decode(value);
    let uri = Uri::parse(&text).filter(Uri::is_sip)?;
    let transport = match uri.param(b"transport").flatten() {
        Some(name) => Transport::from_param(name)?,
        None => Transport::Udp,
    };
    let port = uri.port.unwrap_or(transport.default_port());
    Some((transport, SocketAddr::new(uri.ip()?, port)))
}

/// The living flow of a device that a Route of ours without a token means by `received`, where listeners write it.
pub(crate) fn flow_of_received(route: &Uri<'_>, context: &Context<'_>) -> Option<PathToken> {
    let (transport, peer) = peer(route.param(b"received").flatten()?)?;
    let flow = match transport {
        Transport::Udp => registered_datagrams(peer, context),
        _ => context.flows.connection_from(transport, peer),
    }?;
    let listener = context.site.listener(flow.listener)?;
    (listener.path == PathStyle::Received).then(|| PathToken {
        listener: flow.listener.0,
        node: context.site.node,
        flow: flow.address(),
    })
}

/// A datagram needs no connection that would prove somebody there: only where a device registered we send one.
fn registered_datagrams(peer: SocketAddr, context: &Context<'_>) -> Option<Flow> {
    let candidates = context.site.listeners.iter().filter(|listener| {
        listener.transport == Transport::Udp
            && listener.side == Side::Device
            && listener.path == PathStyle::Received
    });
    candidates
        .filter_map(|listener| {
            let address = crate::token::FlowAddress::Udp(peer);
            context.flows.flow(listener.id, address)
        })
        .find(|flow| context.flows.device(flow).is_some())
}

/// True where our Routes may come back without a token: some listener writes the open style.
pub(crate) fn reads_received(context: &Context<'_>) -> bool {
    let mut listeners = context.site.listeners.iter();
    listeners.any(|listener| listener.path == PathStyle::Received)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{ConnectionId, ListenerId};

    #[test]
    fn what_is_written_is_read_and_so_is_what_others_write() {
        for (transport, at, text) in [
            (
                Transport::Udp,
                "82.10.18.109:12202",
                ";received=sip:82.10.18.109:12202",
            ),
            (
                Transport::Wss,
                "82.10.18.109:12202",
                ";received=sip:82.10.18.109:12202%3btransport%3dwss",
            ),
            (
                Transport::Tcp,
                "[2001:db8::7]:5060",
                ";received=sip:[2001:db8::7]:5060%3btransport%3dtcp",
            ),
        ] {
            let flow = Flow {
                listener: ListenerId(0),
                transport,
                local: at.parse().unwrap(),
                peer: at.parse().unwrap(),
                connection: transport.is_stream().then(|| ConnectionId::from_bits(1)),
            };
            assert_eq!(received(&flow), text);
            let value = text.strip_prefix(";received=").unwrap();
            assert_eq!(
                peer(value.as_bytes()),
                Some((transport, flow.peer)),
                "{text}"
            );
        }
        for (value, want) in [
            (
                "\"sip:192.0.2.1:5070\"",
                Some((Transport::Udp, "192.0.2.1:5070")),
            ),
            ("sip:192.0.2.1", Some((Transport::Udp, "192.0.2.1:5060"))),
            (
                "sip:192.0.2.1%3Btransport%3DTLS",
                Some((Transport::Tls, "192.0.2.1:5061")),
            ),
            ("sip:phone.example.com:5060", None),
            ("sip:192.0.2.1;transport=sctp", None),
            ("192.0.2.1:5060", None),
            ("%", None),
            ("", None),
        ] {
            let want = want.map(|(transport, at)| (transport, at.parse().unwrap()));
            assert_eq!(peer(value.as_bytes()), want, "{value}");
        }
    }
}
