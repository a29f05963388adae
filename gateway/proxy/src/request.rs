//! Says what to do with a request: RFC 3261 §16.3 to §16.5, a function a section. Users of our own registrar are found in
//! `lookup`, servers in `next_hop`; §16.6 is in [`crate::forward`], and what has a transaction in `state`.

use sip::{Edited, Header, Message, Method, NameAddr, Uri};

use crate::branch;
use crate::call_out;
use crate::cluster;
use crate::decision::{Context, Decision, Device, Facts, Forward, Hop, Question, Room, Sender};
use crate::edge;
use crate::failover;
use crate::flow::Flow;
use crate::forward;
use crate::group::Group;
use crate::lookup::lookup;
use crate::media::keys::key_for;
use crate::moved;
use crate::next_hop;
use crate::path;
use crate::preprocess::{Dialog, Routed, preprocess};
use crate::privacy;
use crate::reply;
use crate::site::{Side, To};
use crate::state::decide_state;
use crate::status::Reason;
use crate::token::{Media, Pass, PathToken, Token, Towards};

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
    if !context.site.believes(flow) {
        forward::distrust(&mut routed.request);
    }
    if is_of_users(flow, context) {
        forward::consume_credentials(&mut routed.request, context.site);
    }
    match &routed.dialog {
        Dialog::Inside(_) => inside(routed, flow, context, facts),
        Dialog::Path(path) => {
            let path = *path;
            to_flow(routed, &path, flow, context)
        }
        Dialog::Outside => {
            let decision = initial(routed, request, flow, context, facts)?;
            admit(decision, request, flow, context, facts)
        }
    }
}

/// A call of a peer whose calls are counted needs its place, once all else is decided.
fn admit(
    decision: Decision,
    request: &Message,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    if request.method() != Method::Invite || !matches!(decision, Decision::Start(_)) {
        return Ok(decision);
    }
    match (context.site.limits(flow), facts.place) {
        (None, _) | (_, Some(Room::Granted)) => Ok(decision),
        (Some(peer), None) => Err(Box::new(Decision::Ask(Question::Place { peer }))),
        (_, Some(Room::TooMany)) => refuse(Reason::TooManyCalls),
        (_, Some(Room::TooFast)) => refuse(Reason::CallsTooFast),
        (_, Some(Room::Full)) => refuse(Reason::Overloaded),
    }
}

/// Routes of a request: as many as a Max-Forwards of 70 lets there be hops. A message has room for thousands, and each of ours is
/// taken off with a walk through the rest.
const ROUTES: usize = 70;

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
    if branch::is_loop(request, context) {
        return refuse(Reason::Loop);
    }
    if request.values(Header::Route).nth(ROUTES).is_some() {
        return refuse(Reason::Fault {
            status: 400,
            phrase: "Too Many Routes",
        });
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
fn inside(mut routed: Routed, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Step<Decision> {
    let Dialog::Inside(token) = &routed.dialog else {
        return refuse(Reason::ForeignToken);
    };
    let (media, from_called, anonymous, device) = match token {
        Token::RecordRouteCore(copy) => (
            copy.media,
            copy.media.pass == Pass::Up,
            copy.anonymous,
            Some(Towards {
                listener: copy.listener,
                node: copy.node,
                flow: copy.flow,
                device: copy.device,
            }),
        ),
        Token::RecordRouteDevice(copy) => (copy.media, copy.called, copy.anonymous, copy.towards),
        _ => return refuse(Reason::ForeignToken),
    };
    let pass = match (token, media.pass) {
        // In a pass between two devices there is no core.
        (_, Pass::Local) => Pass::Local,
        (_, Pass::Through) => Pass::Through,
        (Token::RecordRouteDevice(_), _) => Pass::Up,
        (_, _) => Pass::Down,
    };
    let (hop, towards) = match device {
        Some(held) => match cluster::device_here(&held, context) {
            Some(flow) => (Hop::Flow(flow), Some(Device(held.device))),
            None => match cluster::holder(held.node, routed.handed_over, facts, context) {
                Some(hop) => {
                    return cluster::hand_over(routed.request, token, hop, flow, context);
                }
                None => {
                    return gone(
                        &routed,
                        Device(held.device),
                        (media, from_called),
                        context,
                        facts,
                    );
                }
            },
        },
        None => (core_hop(&mut routed.request, flow, context, facts)?, None),
    };
    // The other device's own node is in the way of this request only, and of no dialog.
    let between_nodes = routed.handed_over && pass == Pass::Local;
    let moved = moved::moved(token, flow, context);
    let mut forward = forward::prepare(routed.request, hop, pass, flow, context)?;
    forward.record_route &= !between_nodes;
    forward.media = Some(media);
    forward.from_called = from_called;
    if anonymous && !from_called {
        privacy::conceal(&mut forward.request);
        forward.anonymous = true;
    }
    if let Some(key) = key_for(&forward, context) {
        return Ok(Decision::Press(key));
    }
    forward.towards = towards;
    forward.moved = moved;
    Ok(decide_state(vec![forward], context))
}

/// SIGNALLING §5: the device is not here. Another node may have it; else it may be on its way back.
fn gone(
    routed: &Routed,
    device: Device,
    (media, from_called): (Media, bool),
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    let method = routed.request.method();
    // What it would cancel is not pending here, or it would not have come so far.
    if method == Method::Cancel {
        return refuse(Reason::NoTransaction);
    }
    if !device.is_known() {
        return refuse(Reason::DeviceGone);
    }
    if facts.holder.is_none() && context.nodes.others() {
        return Ok(Decision::Ask(Question::Holder(device)));
    }
    // An ACK cannot be held back: its sender would not repeat it, and nobody may answer it.
    if method == Method::Ack {
        return refuse(Reason::DeviceGone);
    }
    Ok(Decision::Await {
        device,
        media,
        from_called,
    })
}

/// The next hop towards the core. Nothing from outside chooses where we send: a device's Route and request-URI, also behind a
/// token of ours, lead into the networks of the core or nowhere.
fn core_hop(request: &mut Edited, flow: &Flow, context: &Context<'_>, facts: &Facts) -> Step<Hop> {
    failover::avoid_the_dead(request, flow, context);
    let hop = next_hop::next_hop(request, context, facts)?;
    match hop {
        Hop::Server { transport, address }
            if is_of_users(flow, context)
                && (!context.site.takes_from_devices(transport, address)
                    || cluster::is_forbidden_node(request, address, context)) =>
        {
            refuse(Reason::ForeignRoute)
        }
        hop => Ok(hop),
    }
}

/// From a device, or from users behind an edge.
fn is_of_users(flow: &Flow, context: &Context<'_>) -> bool {
    context.site.side_of(flow) == Side::Device || context.site.is_edge(flow)
}

/// SIGNALLING §5: the flow of the token, unless it is gone or (UDP) the index knows a newer one.
pub(crate) fn current_flow(
    in_token: Option<Flow>,
    device: Device,
    context: &Context<'_>,
) -> Option<Flow> {
    match in_token {
        Some(flow) if flow.connection.is_some() => Some(flow),
        other => context.flows.newest(device).or(other),
    }
}

/// A request that came by a Path token: to that flow and no other; the registrar has the next one to try (RFC 5626
/// §5.3).
///
/// A flow that another living node holds is there: the request is handed to it, once.
fn to_flow(routed: Routed, path: &PathToken, flow: &Flow, context: &Context<'_>) -> Step<Decision> {
    let here = cluster::flow_here((path.listener, path.node, path.flow), context);
    let Some(target) = here else {
        let facts = Facts::default();
        let token = Token::Path(*path);
        return match cluster::holder(path.node, routed.handed_over, &facts, context) {
            Some(hop) => cluster::hand_over(routed.request, &token, hop, flow, context),
            None => refuse(Reason::FlowFailed),
        };
    };
    let towards = context.flows.device(&target);
    let mut forward =
        forward::prepare(routed.request, Hop::Flow(target), Pass::Down, flow, context)?;
    forward.towards = towards;
    Ok(decide_state(vec![forward], context))
}

/// RFC 3261 §16.5 for a request that no dialog of ours carries.
fn initial(
    mut routed: Routed,
    request: &Message,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    if is_for_us(request, context) {
        return refuse(Reason::Options);
    }
    let Some(uri) = Uri::parse(sip::uri::without_headers(request.uri())) else {
        return refuse(Reason::Fault {
            status: 400,
            phrase: "Bad Request-URI",
        });
    };
    if request.method() == Method::Register {
        return register(routed, &uri, flow, context, facts);
    }
    let peer = context.site.peer(flow);
    // A peer is known by its address.
    if peer.is_none() && is_of_users(flow, context) {
        authenticate(request, context, facts)?;
    }
    if routed.request.values(Header::Route).next().is_some() {
        // It goes where the configuration says: nobody else asks it who it is.
        if peer.is_some() {
            return refuse(Reason::ForeignRoute);
        }
        return by_route(routed, flow, context, facts);
    }
    match call_out::route(&mut routed, &uri, flow, context, facts)? {
        Some(To::Reject(status)) => refuse(Reason::Configured(status)),
        Some(To::Group(group)) => to_group(routed, group, flow, context),
        Some(To::CallOut(_)) => refuse(Reason::NotServed),
        Some(To::Lookup) | None => {
            if routed.request.uri() == request.uri() {
                return lookup(routed, &uri, flow, context, facts);
            }
            let text = routed.request.uri().to_vec();
            match Uri::parse(&text) {
                Some(uri) => lookup(routed, &uri, flow, context, facts),
                None => refuse(Reason::NotServed),
            }
        }
    }
}

/// What still has a Route: the Service-Route (RFC 3608) of a device, which names a member, or whatever a trusted peer says.
fn by_route(
    mut routed: Routed,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    let hop = core_hop(&mut routed.request, flow, context, facts)?;
    let forward = outside_dialog(routed.request, hop, flow, context)?;
    Ok(decide_state(vec![forward], context))
}

/// The copy of a request that no dialog of ours carries.
pub(crate) fn outside_dialog(
    request: Edited,
    hop: Hop,
    flow: &Flow,
    context: &Context<'_>,
) -> Step<Forward> {
    let outside = context.site.leads_outside(&hop);
    let (pass, between_servers) = match (context.site.side_of(flow), outside) {
        (Side::Device, true) => (Pass::Local, false),
        (Side::Device, false) => (Pass::Up, false),
        (Side::Core, true) => (Pass::Down, false),
        (Side::Core, false) => (Pass::Through, true),
    };
    let mut forward = forward::prepare(request, hop, pass, flow, context)?;
    if between_servers {
        // Two servers of the core reach each other without us: no device, no NAT, nothing to anchor or to stay in for. But
        // the core need not know the edges, nor one edge itself: a call of two of its users would come back to it.
        forward.record_route &= involves_an_edge(&forward, context);
        forward.media = Some(Media::none(pass));
    }
    Ok(forward)
}

fn involves_an_edge(forward: &Forward, context: &Context<'_>) -> bool {
    let towards = match &forward.hop {
        Hop::Server { address, .. } => context.site.is_edge_at(address.ip()),
        Hop::Flow(_) => false,
    };
    towards || context.site.is_edge(&forward.source)
}

/// REGISTER: our registrar's, or the group's that a route names. Our Path goes on top (RFC 3327 §5.2).
fn register(
    mut routed: Routed,
    uri: &Uri<'_>,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    if context.site.peer(flow).is_some_and(|peer| !peer.registers) {
        return refuse(Reason::Refused);
    }
    if context.site.side_of(flow) == Side::Device {
        path::add(&mut routed.request, flow, context);
    } else if context.site.is_edge(flow) && !edge::has_path(&routed.request, context.site) {
        // Its Contact would choose where we send.
        return refuse(Reason::Fault {
            status: 400,
            phrase: "No Path Of The Edge",
        });
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
    match call_out::route(&mut routed, uri, flow, context, facts)? {
        Some(To::Group(group)) => to_group(routed, group, flow, context),
        Some(To::Reject(status)) => refuse(Reason::Configured(status)),
        Some(To::Lookup | To::CallOut(_)) | None => refuse(Reason::NotServed),
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

/// To the member that the group's algorithm chooses among the living: with rendezvous hashing of the From's
/// address-of-record, challenge and answer meet without memory (SIGNALLING §6).
fn to_group(routed: Routed, group: usize, flow: &Flow, context: &Context<'_>) -> Step<Decision> {
    // What it would cancel was sent where a count said, and nobody remembers whither.
    let counts = |group: &Group| group.algorithm.counts();
    if routed.request.method() == Method::Cancel
        && context.site.groups.get(group).is_some_and(counts)
    {
        return refuse(Reason::NoTransaction);
    }
    let Some((hop, member)) = failover::choose(&routed.request, group, flow, context) else {
        return refuse(Reason::NobodyAlive);
    };
    let mut forward = outside_dialog(routed.request, hop, flow, context)?;
    forward.member = Some(member);
    Ok(decide_state(vec![forward], context))
}
