//! Makes the copy that is passed on: RFC 3261 §16.6, with the tokens of SIGNALLING §1 and §2.

use sip::digest::Credentials;
use sip::{Edited, Header, Method, NameAddr, Uri};

use crate::branch::{self, MAGIC_COOKIE};
use crate::decision::{Context, Forward, Hop};
use crate::device;
use crate::flow::Flow;
use crate::hiding;
use crate::listener::{Listener, write_number};
use crate::mtu::{self, Shortened};
use crate::privacy;
use crate::reply;
use crate::request::{Step, refuse};
use crate::site::{Side, Site};
use crate::status::Reason;
use crate::token::{Media, Pass, RecordRouteCore, RecordRouteDevice, Token, Towards, ViaToken};

/// A request ready for the wire.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// With our Via on top.
    pub request: Edited,
    /// Our branch: the key of the client transaction.
    pub branch: String,
    /// What it lost to fit a datagram (SIGNALLING §8).
    pub shortened: Option<Box<Shortened>>,
}

/// §16.6 steps 1 to 7, for all but what names the media node.
pub(crate) fn prepare(
    mut request: Edited,
    hop: Hop,
    pass: Pass,
    source: &Flow,
    context: &Context<'_>,
) -> Step<Forward> {
    if context.site.leaving_by(&hop).is_none() {
        return refuse(Reason::Unreachable);
    }
    // RFC 3261 §19.1.1: no headers in a request-URI. baresip sends them after an attended transfer.
    if memchr::memchr(b'?', request.uri()).is_some() {
        let uri = sip::uri::without_headers(request.uri()).to_vec();
        request.set_uri(&uri);
    }
    let identity = branch::identity(&request, &hop);
    // Step 3. A request without Max-Forwards gets RFC 3261's own 70.
    let left = request
        .max_forwards()
        .map_or(70, |hops| hops.saturating_sub(1).min(255));
    let mut digits = String::with_capacity(3);
    write_number(&mut digits, left);
    request.set(Header::MaxForwards, digits.as_bytes());
    reply::stamp(&mut request, source.peer);
    let anonymous = !context.site.confides_in(&hop) && privacy::conceal_if_asked(&mut request);
    loose_or_strict(&mut request, context);
    let record_route = records_route(&request);
    Ok(Forward {
        request,
        hop,
        pass,
        record_route,
        media: None,
        anchored: true,
        from_called: false,
        towards: None,
        moved: None,
        member: None,
        bound: None,
        source: *source,
        anonymous,
        identity,
    })
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

/// What else only the core may say: RFC 5502 §4, RFC 6050 §4, RFC 7315 §6; and FreeSWITCH takes `X-AUTH-IP` from a proxy for the
/// caller's address, whose access list may let him call without a password.
const ASSERTED: [&[u8]; 6] = [
    b"P-Served-User",
    b"P-Asserted-Service",
    b"P-Charging-Vector",
    b"P-Charging-Function-Addresses",
    b"X-AUTH-IP",
    b"X-AUTH-PORT",
];

/// Identity is asserted by who is trusted (RFC 3325 §5): from a device these headers say nothing.
pub(crate) fn distrust(request: &mut Edited) {
    request.remove_lines_where(|header, _| match header {
        Header::PAssertedIdentity
        | Header::RemotePartyId
        | Header::Diversion
        | Header::HistoryInfo => true,
        Header::Other(name) => ASSERTED.iter().any(|one| one.eq_ignore_ascii_case(name)),
        _ => false,
    });
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
    let leaving = context.site.leaving_by(&forward.hop)?;
    let hides = hides_core(forward, leaving, context);
    let mut routes = String::new();
    if hides {
        hiding::fold_contacts(&mut request, leaving, None, context);
        routes = hiding::fold_record_route(&mut request, context);
    }
    if let Hop::Server { address, .. } = &forward.hop
        && forward.pass == Pass::Up
        && context.site.takes_contact_tokens(*address)
    {
        let at = hiding::place_of(&forward.source, context);
        hiding::fold_contacts(&mut request, leaving, Some(at), context);
    }
    if forward.record_route {
        let side = match forward.pass {
            Pass::Up | Pass::Through => Side::Core,
            Pass::Down | Pass::Local => Side::Device,
        };
        let token = record_route(forward, media, context);
        let write_token = |text: &mut String| {
            context
                .sealer
                .seal_into(text, &token, call_id, context.now_unix)
        };
        request.prepend(
            Header::RecordRoute,
            context
                .site
                .record_route(leaving, side, write_token, &routes)
                .as_bytes(),
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
    leaving.name().write_sent_by(&mut via);
    via.push_str(";branch=");
    let branch = via.len();
    via.push_str(MAGIC_COOKIE);
    context
        .sealer
        .seal_into(&mut via, &token, call_id, context.now_unix);
    let branch = via[branch..].to_owned();
    if hides {
        via.push_str(&hiding::fold_vias(&mut request, context));
    }
    request.prepend(Header::Via, via.as_bytes());
    let shortened = match &forward.hop {
        Hop::Flow(flow) => mtu::shorten(&mut request, flow, context.site).map(Box::new),
        Hop::Server { .. } => None,
    };
    Some(Sealed {
        request,
        branch,
        shortened,
    })
}

/// True for what goes from the core to a device, or to somebody else outside, by a listener that hides the topology.
fn hides_core(forward: &Forward, leaving: &Listener, context: &Context<'_>) -> bool {
    let to = match &forward.hop {
        Hop::Flow(flow) => flow.peer,
        Hop::Server { address, .. } => *address,
    };
    leaving.hides
        && leaving.side_of(to) == Side::Device
        && context.site.side_of(&forward.source) == Side::Core
}

/// The copy of the side that the request goes to.
fn record_route(forward: &Forward, media: Media, context: &Context<'_>) -> Token {
    let source = towards(&forward.source, context);
    let called = !forward.from_called;
    let holder = holder(forward);
    match forward.pass {
        Pass::Up => Token::RecordRouteCore(core_copy(source, media, false)),
        Pass::Down => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called,
            anonymous: forward.anonymous,
            holder,
            towards: None,
        }),
        Pass::Local => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called,
            anonymous: forward.anonymous,
            holder,
            towards: Some(source),
        }),
        // The same for both sides: the next Route says where it goes.
        Pass::Through => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called: false,
            anonymous: false,
            holder: None,
            towards: None,
        }),
    }
}

/// The device that gets the copy. What leaves for a server may be read by many.
fn holder(forward: &Forward) -> Option<[u8; 4]> {
    let to_device = matches!(forward.hop, Hop::Flow(_));
    let device = forward.towards.filter(|_| to_device)?;
    device.is_known().then_some(device.0)
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
pub(crate) fn core_copy(device: Towards, media: Media, anonymous: bool) -> RecordRouteCore {
    RecordRouteCore {
        listener: device.listener,
        node: device.node,
        flow: device.flow,
        device: device.device,
        media,
        anonymous,
    }
}
