//! Makes the copy that is passed on: RFC 3261 §16.6, with the tokens of SIGNALLING §1 and §2.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use sip::digest::Credentials;
use sip::{Edited, Header, Message, Method, NameAddr, Transport, Uri, via};
use siphasher::sip::SipHasher13;

use crate::decision::{Context, Decision, Facts, Forward, Hop, Question};
use crate::device;
use crate::flow::Flow;
use crate::request::{Step, refuse};
use crate::site::{Listener, Member, Side, Site, write_number};
use crate::status::Reason;
use crate::token::{
    FlowAddress, Media, Pass, PathToken, Purpose, RecordRouteCore, RecordRouteDevice, Token,
    Towards, ViaToken,
};

/// RFC 3261 §8.1.1.7: what a branch of this RFC begins with.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// A request ready for the wire.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// With our Via on top.
    pub request: Edited,
    /// Our branch: the key of the client transaction.
    pub branch: String,
}

/// §16.6 steps 1 to 7, for all but what names the media node.
pub(crate) fn prepare(
    mut request: Edited,
    hop: Hop,
    pass: Pass,
    source: &Flow,
    context: &Context<'_>,
) -> Step<Forward> {
    if leaving_by(&hop, context).is_none() {
        return refuse(Reason::Unreachable);
    }
    // RFC 3261 §19.1.1: no headers in a request-URI. baresip sends them after an attended transfer.
    if memchr::memchr(b'?', request.uri()).is_some() {
        let uri = sip::uri::without_headers(request.uri()).to_vec();
        request.set_uri(&uri);
    }
    let identity = identity(&request, &hop);
    // Step 3. A request without Max-Forwards gets RFC 3261's own 70.
    let left = request
        .max_forwards()
        .map_or(70, |hops| hops.saturating_sub(1).min(255));
    let mut digits = String::with_capacity(3);
    write_number(&mut digits, left);
    request.set(Header::MaxForwards, digits.as_bytes());
    stamp_source(&mut request, source);
    loose_or_strict(&mut request, context);
    let record_route = records_route(&request);
    Ok(Forward {
        request,
        hop,
        pass,
        record_route,
        media: None,
        from_called: false,
        towards: None,
        source: *source,
        identity,
    })
}

/// RFC 3581 §4: where the request came from, in its top Via.
fn stamp_source(request: &mut Edited, source: &Flow) {
    let stamped = request
        .values(Header::Via)
        .next()
        .and_then(|via| via::stamp_received(via, source.peer));
    if let Some(stamped) = stamped {
        request.replace_value(Header::Via, 0, &stamped);
    }
}

/// §16.6 step 6. A Route without `lr` that names a member is loose all the same (FreeSWITCH's `fs_path`, old Paths).
fn loose_or_strict(request: &mut Edited, context: &Context<'_>) {
    let Some(next) = request
        .values(Header::Route)
        .next()
        .and_then(NameAddr::parse)
    else {
        return;
    };
    let Some(uri) = Uri::parse(next.uri) else {
        return;
    };
    if uri.param(b"lr").is_some()
        || context.site.names_us(&uri)
        || context.site.member(&uri).is_some()
    {
        return;
    }
    let strict = next.uri.to_vec();
    let target = [b"<", request.uri(), b">"].concat();
    request.append(Header::Route, &target);
    request.remove_value(Header::Route, 0);
    request.set_uri(&strict);
}

/// SIGNALLING §2: one Record-Route in what makes or may make a dialog, and every NOTIFY and unknown method.
fn records_route(request: &Edited) -> bool {
    !matches!(
        request.method(),
        Method::Register
            | Method::Options
            | Method::Message
            | Method::Publish
            | Method::Ack
            | Method::Cancel
            | Method::Bye
            | Method::Prack
            | Method::Update
            | Method::Info
    )
}

/// What the branch is a function of (RFC 3261 §16.11): the received top branch, the request-URI and the target, never
/// the method; five bytes. The other three are the hash that finds loops (RFC 5393 §4.2.2). A fast hash will do: the token
/// around it has a MAC over it and the Call-ID.
fn identity(request: &Edited, hop: &Hop) -> [u8; 8] {
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
            Some(token) => token.transaction[5..] == *now.get_or_insert_with(|| loop_hash(request)),
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

/// Puts our Path on top (RFC 3327 §5.2): the device's flow in a token. `ob` says that RFC 5626's outbound is served:
/// if and only if the Contact has reg-id and we are the first hop (§5.1). Supported gets `path`, for registrars that
/// insist on it where phones do not say it; that leaves RFC 3327 §5.2 on purpose.
pub(crate) fn add_path(request: &mut Edited, flow: &Flow, context: &Context<'_>) {
    let has_reg_id = request.values(Header::Contact).any(|value| {
        NameAddr::parse(value).is_some_and(|contact| contact.param(b"reg-id").is_some())
    });
    let outbound = has_reg_id && request.values(Header::Via).count() == 1;
    let Some(path) = path_of(flow, outbound, context) else {
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
pub fn path_of(flow: &Flow, outbound: bool, context: &Context<'_>) -> Option<String> {
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
    Some(named.route(write_token, if outbound { ";ob" } else { "" }))
}

/// The listener that the core can reach us at: one that faces it, if there is any (a small site has none).
fn core_side<'a>(device_side: &'a Listener, context: &Context<'a>) -> &'a Listener {
    let core = context
        .site
        .listeners
        .iter()
        .filter(|listener| listener.side == Side::Core);
    core.min_by_key(|listener| listener.transport != Transport::Udp)
        .unwrap_or(device_side)
}

/// Identity is asserted by who is trusted (RFC 3325 §5): from a device these headers say nothing.
pub(crate) fn distrust(request: &mut Edited) {
    for header in [
        Header::PAssertedIdentity,
        Header::RemotePartyId,
        Header::Diversion,
        Header::HistoryInfo,
    ] {
        request.remove(header);
    }
}

/// RFC 3261 §22.3: credentials end where they were asked for. Whoever gets them next could only wonder, or keep them.
pub(crate) fn consume_credentials(request: &mut Edited, site: &Site) {
    let is_ours = |value: &[u8]| {
        Credentials::parse(value)
            .is_some_and(|credentials| site.domain_of(credentials.realm).is_some())
    };
    if !site.domains.is_empty() && request.lines(Header::ProxyAuthorization).any(is_ours) {
        request.remove_lines_where(|header, value| {
            header == Header::ProxyAuthorization && is_ours(value)
        });
    }
}

/// Adds Record-Route and Via, which name the media node: RFC 3261 §16.6 steps 4 and 8. The same forward and media
/// always give the same bytes.
pub fn seal(forward: &Forward, media: Media, context: &Context<'_>) -> Option<Sealed> {
    seal_copy(forward.request.clone(), forward, media, context)
}

/// [`seal`] for a forward that nobody needs any more.
pub fn seal_last(mut forward: Forward, media: Media, context: &Context<'_>) -> Option<Sealed> {
    let spare = Edited::new(forward.request.original().clone());
    let request = std::mem::replace(&mut forward.request, spare);
    seal_copy(request, &forward, media, context)
}

fn seal_copy(
    mut request: Edited,
    forward: &Forward,
    media: Media,
    context: &Context<'_>,
) -> Option<Sealed> {
    // No edit ever changes the Call-ID (SIGNALLING §9), so the original's is the request's.
    let call_id = Some(forward.request.original().call_id());
    let leaving = leaving_by(&forward.hop, context)?;
    if forward.record_route {
        let token = record_route(forward, media, context);
        let write_token = |text: &mut String| {
            context
                .sealer
                .seal_into(text, &token, call_id, context.now_unix)
        };
        request.prepend(
            Header::RecordRoute,
            leaving.route(write_token, "").as_bytes(),
        );
    }
    let token = Token::Via(ViaToken {
        node: context.site.node,
        media,
        // Said only of a call that is anchored: without, nobody needs it, and a CANCEL has to get the INVITE's branch.
        offer: media.is_some() && request.original().has_sdp(),
        transaction: forward.identity,
        listener: forward.source.listener.0,
        source: forward.source.address(),
        device: device::of_register(&request, context.site).map(|device| device.0),
    });
    let transport = match &forward.hop {
        Hop::Flow(flow) => flow.transport,
        Hop::Server { transport, .. } => *transport,
    };
    let mut via = String::with_capacity(160);
    via.push_str("SIP/2.0/");
    via.push_str(transport.via_name());
    via.push(' ');
    leaving.write_sent_by(&mut via);
    via.push_str(";branch=");
    let branch = via.len();
    via.push_str(MAGIC_COOKIE);
    context
        .sealer
        .seal_into(&mut via, &token, call_id, context.now_unix);
    request.prepend(Header::Via, via.as_bytes());
    Some(Sealed {
        request,
        branch: via.split_off(branch),
    })
}

/// The listener in whose name a request leaves.
pub fn leaving_by<'a>(hop: &Hop, context: &Context<'a>) -> Option<&'a Listener> {
    let site = context.site;
    match hop {
        Hop::Flow(flow) => site.listener(flow.listener),
        Hop::Server { transport, address } => site
            .listener_towards(Side::Core, *transport, *address)
            .or_else(|| {
                site.listeners
                    .iter()
                    .find(|l| l.side == Side::Core && l.bind.is_ipv4() == address.is_ipv4())
            })
            .or_else(|| site.listener_towards(Side::Device, *transport, *address))
            .or_else(|| {
                site.listeners
                    .iter()
                    .find(|l| l.bind.is_ipv4() == address.is_ipv4())
            }),
    }
}

/// The copy of the side that the request goes to.
fn record_route(forward: &Forward, media: Media, context: &Context<'_>) -> Token {
    let source = towards(&forward.source, context);
    let called = !forward.from_called;
    match forward.pass {
        Pass::Up => Token::RecordRouteCore(core_copy(source, media)),
        Pass::Down => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called,
            towards: None,
        }),
        Pass::Local => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called,
            towards: Some(source),
        }),
    }
}

/// What a token says of a device's flow.
pub(crate) fn towards(flow: &Flow, context: &Context<'_>) -> Towards {
    Towards {
        listener: flow.listener.0,
        node: context.site.node,
        flow: flow.address(),
        device: context.flows.device(flow).unwrap_or_default().0,
    }
}

/// The copy that the core sees.
pub(crate) fn core_copy(device: Towards, media: Media) -> RecordRouteCore {
    RecordRouteCore {
        listener: device.listener,
        node: device.node,
        flow: device.flow,
        device: device.device,
        media,
    }
}
