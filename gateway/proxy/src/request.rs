//! Says what to do with a request: RFC 3261 §16.3 to §16.5, a function a section. §16.6 is in [`crate::forward`].

use sip::{Edited, Header, Message, Method, NameAddr, Uri};

use crate::breadth;
use crate::decision::{
    Binding, Bindings, Context, Decision, Device, Facts, Forward, Hop, Question, Sender,
};
use crate::flow::{Flow, ListenerId};
use crate::forward;
use crate::preprocess::{Dialog, Routed, preprocess};
use crate::reply;
use crate::site::{Side, To};
use crate::status::Reason;
use crate::token::{Media, Pass, PathToken, Purpose, Token};

/// What RFC 3261 §16.3 calls a refusal: the decision is made.
pub(crate) type Step<T> = Result<T, Box<Decision>>;

pub(crate) fn refuse<T>(reason: Reason) -> Step<T> {
    Err(Box::new(Decision::Reply(reason)))
}

/// Says what to do with a request. Reads its arguments, touches nothing.
///
/// CANCEL and the ACK to a failure belong to transactions that the caller knows; only those that it does not know
/// come here, and take the way of their INVITE (RFC 3261 §16.10).
pub fn decide(request: &Message, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Decision {
    let decision = steps(request, flow, context, facts).unwrap_or_else(|decision| *decision);
    match decision {
        // RFC 3261 §17: nothing ever answers an ACK.
        Decision::Reply(_) | Decision::Challenge { .. } | Decision::Await { .. }
            if request.method() == Method::Ack =>
        {
            Decision::Drop(Reason::Ack)
        }
        other => other,
    }
}

fn steps(request: &Message, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Step<Decision> {
    validate(request, context)?;
    if reply::acknowledges_us(request) {
        return Ok(Decision::Drop(Reason::Ack));
    }
    let mut routed = preprocess(request, flow, context)?;
    validate_route(&routed.request)?;
    if context.site.side(flow.listener) == Side::Device {
        forward::distrust(&mut routed.request);
        forward::consume_credentials(&mut routed.request, context.site);
    }
    match &routed.dialog {
        Dialog::Inside(_) => inside(routed, flow, context, facts),
        Dialog::Path(path) => {
            let path = *path;
            to_flow(routed, &path, flow, context)
        }
        Dialog::Outside => initial(routed, request, flow, context, facts),
    }
}

/// RFC 3261 §16.3.
fn validate(request: &Message, context: &Context<'_>) -> Step<()> {
    if let Err(fault) = request.check() {
        return refuse(Reason::Fault {
            status: fault.status,
            phrase: fault.reason,
        });
    }
    if request.max_forwards() == Some(0) && !is_for_us(request, context) {
        return refuse(Reason::TooManyHops);
    }
    if forward::is_loop(request, context) {
        return refuse(Reason::Loop);
    }
    // §16.3 step 5. CANCEL and ACK are exempt: they cannot be negotiated about (§8.2.2.3).
    if !matches!(request.method(), Method::Ack | Method::Cancel) {
        let lacking: Vec<&[u8]> = request
            .values(Header::ProxyRequire)
            .filter(|tag| !tag.is_empty())
            .collect();
        if !lacking.is_empty() {
            return refuse(Reason::BadExtension(lacking.join(&b", "[..])));
        }
    }
    Ok(())
}

/// RFC 3261 §16.3 step 1, for what a strict router has left as request-URI (§16.4) and what one is yet to get as such (§16.6
/// step 6): with a broken escape it would be a fault of ours.
fn validate_route(request: &Edited) -> Step<()> {
    let route = request
        .values(Header::Route)
        .next()
        .and_then(NameAddr::parse);
    let whole = sip::uri::escapes_are_whole(request.uri())
        && route.is_none_or(|route| sip::uri::escapes_are_whole(route.uri));
    if whole {
        Ok(())
    } else {
        refuse(Reason::Fault {
            status: 400,
            phrase: "Bad Route",
        })
    }
}

/// An OPTIONS whose request-URI has no user and names us (RFC 3261 §11).
fn is_for_us(request: &Message, context: &Context<'_>) -> bool {
    request.method() == Method::Options
        && Uri::parse(request.uri())
            .is_some_and(|uri| uri.user.is_none() && context.site.names_us(&uri))
}

/// RFC 3261 §16.5 for a request inside a dialog: the token says where, whatever the request-URI's host is.
fn inside(routed: Routed, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Step<Decision> {
    let Dialog::Inside(token) = &routed.dialog else {
        return refuse(Reason::ForeignToken);
    };
    let (media, from_called, device) = match token {
        Token::RecordRouteCore(copy) => (
            copy.media,
            copy.media.pass == Pass::Up,
            Some((copy.listener, copy.flow, Device(copy.device))),
        ),
        Token::RecordRouteDevice(copy) => (
            copy.media,
            copy.called,
            copy.towards
                .map(|to| (to.listener, to.flow, Device(to.device))),
        ),
        _ => return refuse(Reason::ForeignToken),
    };
    let pass = match (token, media.pass) {
        // In a pass between two devices there is no core.
        (_, Pass::Local) => Pass::Local,
        (Token::RecordRouteDevice(_), _) => Pass::Up,
        (_, _) => Pass::Down,
    };
    let method = routed.request.method();
    let (hop, towards) = match device {
        Some((listener, address, device)) => {
            let current = context.flows.flow(ListenerId(listener), address);
            match current_flow(current, device, context) {
                Some(flow) => (Hop::Flow(flow), Some(device)),
                // What it would cancel is not pending here, or it would not have come so far.
                None if method == Method::Cancel => return refuse(Reason::NoTransaction),
                // An ACK cannot be held back: its sender would not repeat it, and nobody may answer it.
                None if method == Method::Ack || device == Device::default() => {
                    return refuse(Reason::DeviceGone);
                }
                None => {
                    return Ok(Decision::Await {
                        device,
                        media,
                        from_called,
                    });
                }
            }
        }
        None => (core_hop(&routed.request, flow, context, facts)?, None),
    };
    let mut forward = forward::prepare(routed.request, hop, pass, flow, context)?;
    forward.media = Some(media);
    forward.from_called = from_called;
    forward.towards = towards;
    Ok(decide_state(vec![forward], context))
}

/// The next hop towards the core. Nothing from outside chooses where we send: a device's Route and request-URI, also behind a
/// token of ours, lead into the networks of the core or nowhere.
fn core_hop(request: &Edited, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Step<Hop> {
    let hop = forward::next_hop(request, context, facts)?;
    match hop {
        Hop::Server { address, .. }
            if context.site.side(flow.listener) == Side::Device
                && !context.site.is_core(address) =>
        {
            refuse(Reason::ForeignRoute)
        }
        hop => Ok(hop),
    }
}

/// SIGNALLING §5: the flow of the token, unless it is gone or (UDP) the index knows a newer one.
fn current_flow(in_token: Option<Flow>, device: Device, context: &Context<'_>) -> Option<Flow> {
    match in_token {
        Some(flow) if flow.connection.is_some() => Some(flow),
        other => context.flows.newest(device).or(other),
    }
}

/// A request that came by a Path token: to that flow and no other; the registrar has the next one to try (RFC 5626
/// §5.3).
fn to_flow(routed: Routed, path: &PathToken, flow: &Flow, context: &Context<'_>) -> Step<Decision> {
    let Some(target) = context.flows.flow(ListenerId(path.listener), path.flow) else {
        return refuse(Reason::FlowFailed);
    };
    let towards = context.flows.device(&target);
    let mut forward =
        forward::prepare(routed.request, Hop::Flow(target), Pass::Down, flow, context)?;
    forward.towards = towards;
    Ok(decide_state(vec![forward], context))
}

/// RFC 3261 §16.5 for a request that no dialog of ours carries.
fn initial(
    routed: Routed,
    request: &Message,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    if is_for_us(request, context) {
        return refuse(Reason::Options);
    }
    let side = context.site.side(flow.listener);
    let Some(uri) = Uri::parse(sip::uri::without_headers(request.uri())) else {
        return refuse(Reason::Fault {
            status: 400,
            phrase: "Bad Request-URI",
        });
    };
    if request.method() == Method::Register {
        return register(routed, &uri, flow, context, facts);
    }
    if side == Side::Device {
        authenticate(request, context, facts)?;
    }
    if routed.request.values(Header::Route).next().is_some() {
        return by_route(routed, flow, context, facts);
    }
    match context.site.route(flow, request.method().as_bytes(), &uri) {
        Some(To::Reject(status)) => refuse(Reason::Configured(*status)),
        Some(To::Group(group)) => to_group(routed, *group, flow, context),
        Some(To::Lookup) | None => lookup(routed, &uri, flow, context, facts),
    }
}

/// What still has a Route: the Service-Route (RFC 3608) of a device, which names a member, or whatever a trusted peer says.
fn by_route(routed: Routed, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Step<Decision> {
    let hop = core_hop(&routed.request, flow, context, facts)?;
    let forward = outside_dialog(routed.request, hop, flow, context)?;
    Ok(decide_state(vec![forward], context))
}

/// The copy of a request that no dialog of ours carries.
fn outside_dialog(request: Edited, hop: Hop, flow: &Flow, context: &Context<'_>) -> Step<Forward> {
    let (pass, between_servers) = match (context.site.side(flow.listener), &hop) {
        (Side::Device, Hop::Flow(_)) => (Pass::Local, false),
        (Side::Device, Hop::Server { .. }) => (Pass::Up, false),
        (Side::Core, Hop::Flow(_)) => (Pass::Down, false),
        (Side::Core, Hop::Server { .. }) => (Pass::Down, true),
    };
    let mut forward = forward::prepare(request, hop, pass, flow, context)?;
    if between_servers {
        // Two servers of the core reach each other without us: no device, no NAT, nothing to anchor or to stay in for.
        forward.record_route = false;
        forward.media = Some(Media::none(pass));
    }
    Ok(forward)
}

/// REGISTER: our registrar's, or the group's that a route names. Our Path goes on top (RFC 3327 §5.2).
fn register(
    mut routed: Routed,
    uri: &Uri<'_>,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    if context.site.side(flow.listener) == Side::Device {
        forward::add_path(&mut routed.request, flow, context);
    }
    if routed.request.values(Header::Route).next().is_some() {
        return by_route(routed, flow, context, facts);
    }
    let serves = context.site.serves(uri)
        || !context.site.domains.is_empty()
            && context.site.names_us(uri)
            && routed
                .request
                .to()
                .and_then(|to| Uri::parse(to.uri).map(|uri| context.site.serves(&uri)))
                == Some(true);
    if serves {
        return Ok(Decision::Register(Box::new(routed.request)));
    }
    match context.site.route(flow, b"REGISTER", uri) {
        Some(To::Group(group)) => to_group(routed, *group, flow, context),
        Some(To::Reject(status)) => refuse(Reason::Configured(*status)),
        Some(To::Lookup) | None => refuse(Reason::NotServed),
    }
}

/// Who claims to be a user of ours has to prove it, before the location service is asked. What can carry no
/// credentials of its own (ACK, CANCEL: RFC 3261 §22.1) is not asked for any.
fn authenticate(request: &Message, context: &Context<'_>, facts: &Facts) -> Step<()> {
    let site = context.site;
    if !site.authenticate
        || site.domains.is_empty()
        || matches!(request.method(), Method::Ack | Method::Cancel)
    {
        return Ok(());
    }
    match facts.sender {
        None => Err(Box::new(Decision::Ask(Question::Sender))),
        Some(Sender::Authenticated) => Ok(()),
        Some(Sender::Unknown { stale }) => Err(Box::new(Decision::Challenge {
            as_proxy: true,
            stale,
        })),
        Some(Sender::Refused) => refuse(Reason::Refused),
    }
}

/// Our registrar's location service says where the called user is.
fn lookup(
    routed: Routed,
    uri: &Uri<'_>,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    let site = context.site;
    let by_name = site.serves(uri) || !site.domains.is_empty() && site.names_us(uri);
    let question = match (by_name, uri.user) {
        (true, Some(_)) => Question::Bindings(site.address_of_record(uri)),
        (true, None) => return refuse(Reason::NoUser),
        // SIGNALLING §5: a Contact is quoted by others.
        (false, _) if !site.domains.is_empty() => {
            Question::Contact(sip::uri::without_headers(routed.request.uri()).to_vec())
        }
        (false, _) => return refuse(Reason::NotServed),
    };
    let devices = match &facts.bindings {
        None => return Err(Box::new(Decision::Ask(question))),
        Some(Bindings::NoUser) if by_name => return refuse(Reason::NoUser),
        Some(Bindings::NoUser) => return refuse(Reason::NotServed),
        Some(Bindings::Devices(devices)) if devices.is_empty() => {
            return refuse(Reason::NotRegistered);
        }
        Some(Bindings::Devices(devices)) => devices,
    };
    let mut forwards = Vec::with_capacity(devices.len());
    for device in devices {
        if let Some(forward) = to_binding(&routed.request, device, flow, context, facts)? {
            forwards.push(forward);
        }
    }
    if forwards.is_empty() {
        return refuse(Reason::NotRegistered);
    }
    breadth::share(&mut forwards)?;
    Ok(decide_state(forwards, context))
}

/// A copy for one device, or `None` when its flow is gone.
fn to_binding(
    request: &Edited,
    binding: &Binding,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Option<Forward>> {
    let (hop, routes) = match binding.path.split_first() {
        Some((top, rest)) if names_us(top, context) => match own_flow(top, binding.device, context)
        {
            Some(flow) => (Hop::Flow(flow), rest),
            None => return Ok(None),
        },
        Some((top, _)) => (
            forward::hop_of_route(top, context, facts)?,
            &binding.path[..],
        ),
        None => (
            forward::hop_of_uri(&binding.contact, context, facts)?,
            &[][..],
        ),
    };
    let mut copy = request.clone();
    copy.set_uri(&binding.contact);
    for route in routes.iter().rev() {
        copy.prepend(Header::Route, route);
    }
    let mut forward = outside_dialog(copy, hop, flow, context)?;
    forward.towards = Some(binding.device);
    Ok(Some(forward))
}

fn names_us(route: &[u8], context: &Context<'_>) -> bool {
    NameAddr::parse(route)
        .and_then(|route| Uri::parse(route.uri))
        .is_some_and(|uri| context.site.names_us(&uri))
}

/// The flow of a device that is registered by our own token in a Path.
fn own_flow(path: &[u8], device: Device, context: &Context<'_>) -> Option<Flow> {
    let path = own_path(path, context)?;
    current_flow(
        context.flows.flow(ListenerId(path.listener), path.flow),
        device,
        context,
    )
}

/// Our own token in a stored Path.
fn own_path(value: &[u8], context: &Context<'_>) -> Option<PathToken> {
    let address = NameAddr::parse(value)?;
    let uri = Uri::parse(address.uri)?;
    let token = context
        .sealer
        .open(Purpose::Path, uri.user?, None, context.now_unix)
        .ok()?;
    match token {
        Token::Path(path) => Some(path),
        _ => None,
    }
}

/// To the member that rendezvous hashing of the From's address-of-record chooses among the living: challenge and
/// answer meet without memory (SIGNALLING §6).
fn to_group(routed: Routed, group: usize, flow: &Flow, context: &Context<'_>) -> Step<Decision> {
    let Some(hop) = forward::member_for(&routed.request, group, context) else {
        return refuse(Reason::NobodyAlive);
    };
    let forward = outside_dialog(routed.request, hop, flow, context)?;
    let may_fail_over = context.site.groups[group].members.len() > 1;
    Ok(with_state(vec![forward], may_fail_over, context))
}

fn decide_state(forwards: Vec<Forward>, context: &Context<'_>) -> Decision {
    with_state(forwards, false, context)
}

/// SIGNALLING §3: what has a transaction, and what is relayed without.
fn with_state(mut forwards: Vec<Forward>, may_fail_over: bool, context: &Context<'_>) -> Decision {
    let Some(first) = forwards.first() else {
        return Decision::Reply(Reason::NotRegistered);
    };
    let stateless = match first.request.method() {
        // RFC 3261 §16.10: a CANCEL that matches nothing is relayed statelessly, to the one that it may concern.
        Method::Ack | Method::Cancel => true,
        _ => forwards.len() == 1 && !may_fail_over && same_kind(first) && !waits(first, context),
    };
    if stateless {
        Decision::Relay(Box::new(forwards.swap_remove(0)))
    } else {
        Decision::Start(forwards)
    }
}

/// UDP to UDP or stream to stream: who sends repeats it, or nobody needs to.
fn same_kind(forward: &Forward) -> bool {
    let beyond = match &forward.hop {
        Hop::Flow(flow) => flow.transport,
        Hop::Server { transport, .. } => *transport,
    };
    beyond.is_stream() == forward.source.transport.is_stream()
}

/// A stream to a server may have to be opened first; what changes a session has to be seen by RTPEngine.
fn waits(forward: &Forward, context: &Context<'_>) -> bool {
    if matches!(forward.hop, Hop::Server { transport, .. } if transport.is_stream()) {
        return true;
    }
    // Of a new call nothing is said yet: it will be anchored.
    let is_anchored = context.site.media && forward.media.is_none_or(|media| media.is_some());
    is_anchored
        && match forward.request.method() {
            Method::Invite => true,
            Method::Bye => forward.media.is_some(),
            Method::Update | Method::Prack => forward.request.has_sdp(),
            _ => false,
        }
}
