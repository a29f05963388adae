//! RFC 3261 §16.5 for the users of our own registrar: which devices, by which flows (SIGNALLING §5).

use sip::{Edited, Header, Method, NameAddr, Uri};

use crate::breadth;
use crate::decision::{
    Binding, Bindings, Bound, Context, Decision, Device, Facts, Forward, Hop, Question,
};
use crate::flow::{Flow, ListenerId};
use crate::next_hop;
use crate::preprocess::Routed;
use crate::request::{Step, current_flow, outside_dialog, refuse};
use crate::state::decide_state;
use crate::status::Reason;
use crate::token::{PathToken, Purpose, Token};

/// Our registrar's location service says where the called user is.
pub(crate) fn lookup(
    routed: Routed,
    uri: &Uri<'_>,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Decision> {
    let site = context.site;
    // RFC 3261 §22.1: a CANCEL shows no credentials, so it learns nothing of who is a user and who is registered.
    let refuse = |reason| match routed.request.method() {
        Method::Cancel => refuse(Reason::NoTransaction),
        _ => refuse(reason),
    };
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
        // RFC 5626 §7: one flow of each device, its newest that lives; the others for when that one fails.
        let mut living = Vec::new();
        for binding in std::iter::once(device).chain(&device.alternatives) {
            living.extend(to_binding(&routed.request, binding, flow, context, facts)?);
        }
        forwards.extend(one_after_the_other(living));
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
            next_hop::hop_of_route(top, context, facts)?,
            &binding.path[..],
        ),
        None => (
            next_hop::hop_of_uri(&binding.contact, context, facts)?,
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
    let binding = Binding {
        alternatives: Vec::new(),
        ..binding.clone()
    };
    forward.bound = Some(Box::new(Bound {
        binding,
        others: Vec::new(),
    }));
    Ok(Some(forward))
}

/// The first, which holds the others.
fn one_after_the_other(mut living: Vec<Forward>) -> Option<Forward> {
    let others = living.split_off(living.len().min(1));
    let mut first = living.pop()?;
    if let Some(bound) = &mut first.bound {
        bound.others = others;
    }
    Some(first)
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
