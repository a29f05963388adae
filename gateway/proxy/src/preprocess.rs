//! RFC 3261 §16.4: what our own Routes and tokens in a request say, taken off it.

use std::net::SocketAddr;

use sip::param::Params;
use sip::{Edited, Header, Message, Method, NameAddr, Uri};

use crate::cluster;
use crate::decision::{Context, Decision};
use crate::flow::Flow;
use crate::hiding;
use crate::path;
use crate::request::{Step, refuse};
use crate::site::Side;
use crate::status::Reason;
use crate::token::{Pass, PathToken, Purpose, Token};

/// A request without the Routes that named us.
pub(crate) struct Routed {
    /// The request, our Routes taken off.
    pub(crate) request: Edited,
    /// What they said.
    pub(crate) dialog: Dialog,
    /// Another node handed it to us.
    pub(crate) handed_over: bool,
}

/// What the token in a Route of ours made of the request.
pub(crate) enum Dialog {
    /// No token: it goes the configured way.
    Outside,
    /// A Record-Route token: it is inside a dialog that passed us.
    Inside(Token),
    /// A Path token: it came from a registrar for this flow.
    Path(PathToken),
}

/// RFC 3261 §16.4, with the rules of SIGNALLING §4.
pub(crate) fn preprocess(request: &Message, flow: &Flow, context: &Context<'_>) -> Step<Routed> {
    let side = context.site.side_of(flow);
    let mut edited = Edited::new(request.clone());
    if side == Side::Device && context.site.hides() {
        hiding::unfold_contacts(&mut edited, context);
    }
    let target = match side {
        Side::Core if site_routes_by_contact(context) => {
            hiding::unfold_target(&mut edited, context)
        }
        _ => None,
    };
    strict_route(&mut edited, context);
    let mut dialog = Dialog::Outside;
    let mut handed_over = false;
    while let Some(named) = top_route_of_ours(&edited, flow, context) {
        if let Some(user) = named.user {
            if !matches!(dialog, Dialog::Outside) {
                break;
            }
            handed_over = cluster::is_handed_over(user, flow, context);
            dialog = match open(user, request, (side, handed_over), context) {
                Err(_) if side == Side::Core && path::reads_received(context) => {
                    by_received(&named, context)?
                }
                opened => opened?,
            };
        }
        let hidden = match &dialog {
            Dialog::Inside(_) => hiding::routes_in(&named, request.call_id(), context),
            _ => Vec::new(),
        };
        if hidden.is_empty() {
            edited.remove_value(Header::Route, 0);
        } else {
            edited.replace_value(Header::Route, 0, &hidden.join(&b", "[..]));
        }
    }
    if let (Dialog::Outside, Some(target)) = (&dialog, target) {
        dialog = Dialog::Path(target);
    }
    if side == Side::Device && matches!(dialog, Dialog::Outside) {
        leads_to_a_member(&edited, context)?;
    }
    Ok(Routed {
        request: edited,
        dialog,
        handed_over,
    })
}

/// Some group knows devices by URIs of ours.
fn site_routes_by_contact(context: &Context<'_>) -> bool {
    context.site.groups.iter().any(|group| group.contact_token)
}

/// The URI of the top Route if that names us.
fn top_route_of_ours<'r>(
    request: &'r Edited,
    flow: &Flow,
    context: &Context<'_>,
) -> Option<Uri<'r>> {
    let value = request.values(Header::Route).next()?;
    let uri = Uri::parse(NameAddr::parse(value)?.uri)?;
    let is_ours =
        context.site.names_us(&uri) || cluster::names_a_node(&uri, request, flow, context);
    is_ours.then_some(uri)
}

/// A Path in the open style whose token is another edge's, or none: that edge stood here before us, or the registrar made it
/// from what it knows. Of two values for one flow (`r2=on`) only the outer one says which.
fn by_received(route: &Uri<'_>, context: &Context<'_>) -> Step<Dialog> {
    if route.param(b"received").is_none() && route.param(b"r2").is_some() {
        return Ok(Dialog::Outside);
    }
    if route.param(b"received").is_none() {
        return refuse(Reason::ForeignToken);
    }
    match path::flow_of_received(route, context) {
        Some(token) => Ok(Dialog::Path(token)),
        None => refuse(Reason::FlowFailed),
    }
}

/// §16.4 first paragraph: a strict router before us put our Record-Route into the request-URI and the target last.
fn strict_route(request: &mut Edited, context: &Context<'_>) {
    let Some(uri) = Uri::parse(request.uri()) else {
        return;
    };
    let Some(user) = uri.user else { return };
    if !context.site.names_us(&uri) || request.to_tag().is_none() {
        return;
    }
    let is_ours = [Purpose::RecordRouteCore, Purpose::RecordRouteDevice]
        .iter()
        .any(|purpose| {
            context
                .sealer
                .open(*purpose, user, Some(request.call_id()), context.now_unix)
                .is_ok()
        });
    let last = request.values(Header::Route).count().checked_sub(1);
    let (true, Some(last)) = (is_ours, last) else {
        return;
    };
    let target = request
        .values(Header::Route)
        .nth(last)
        .and_then(NameAddr::parse)
        .map(|to| to.uri.to_vec());
    let Some(target) = target else { return };
    let ours = format!("<{}>", String::from_utf8_lossy(request.uri()));
    request.remove_value(Header::Route, last);
    request.set_uri(&target);
    request.prepend(Header::Route, ours.as_bytes());
}

/// SIGNALLING §1: a token is honoured only where it belongs. Otherwise whoever once saw one could call a device past
/// the registrar.
fn open(
    text: &[u8],
    request: &Message,
    (side, handed_over): (Side, bool),
    context: &Context<'_>,
) -> Step<Dialog> {
    let sealer = context.sealer;
    let call_id = Some(request.call_id());
    // A REGISTER is in no dialog: inside one it would reach a registrar without our Path.
    let in_dialog = has_one_tag(request) && request.method() != Method::Register;
    let copy = match side {
        Side::Core => Purpose::RecordRouteCore,
        Side::Device => Purpose::RecordRouteDevice,
    };
    let opened = sealer
        .open(copy, text, call_id, context.now_unix)
        // A device's copy too, where the other side of its call is a device that we hold.
        .or_else(|other| match handed_over {
            true => sealer.open(Purpose::RecordRouteDevice, text, call_id, context.now_unix),
            false => Err(other),
        });
    if let Ok(token) = opened {
        return if in_dialog && !passes_through(&token) {
            Ok(Dialog::Inside(token))
        } else {
            refuse(Reason::ForeignToken)
        };
    }
    // The copy of a registrar that only stays in the way is the same on both of its sides, which are the core's.
    if side == Side::Core
        && in_dialog
        && let Ok(Token::RecordRouteDevice(copy)) =
            sealer.open(Purpose::RecordRouteDevice, text, call_id, context.now_unix)
        && copy.media.pass == Pass::Through
    {
        return Ok(Dialog::Inside(Token::RecordRouteDevice(copy)));
    }
    match sealer.open(Purpose::Path, text, None, context.now_unix) {
        Ok(Token::Path(path)) if side == Side::Core => Ok(Dialog::Path(path)),
        _ => Err(Box::new(Decision::Reply(Reason::ForeignToken))),
    }
}

/// No device has such a copy of its own edge.
fn passes_through(token: &Token) -> bool {
    matches!(token, Token::RecordRouteDevice(copy) if copy.media.pass == Pass::Through)
}

/// A To with one tag that says something. With none, an empty one or two, its receiver might take the request for a new one,
/// which nobody has authenticated.
fn has_one_tag(request: &Message) -> bool {
    let Some(to) = request.to() else { return false };
    let mut tags = Params::new(to.params)
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"tag"))
        .map(|(_, value)| value.unwrap_or_default());
    let says_something = tags
        .next()
        .is_some_and(|tag| !matches!(tag.first(), None | Some(b'"')));
    says_something && tags.next().is_none()
}

/// RFC 3608, SIGNALLING §4: what a device's Route names beyond us must be a member of a group, or it would choose
/// where we send; and what stands behind it an address of the core, or it would choose where the member does.
fn leads_to_a_member(request: &Edited, context: &Context<'_>) -> Step<()> {
    let site = context.site;
    let stays = |(index, value): (usize, &[u8])| {
        let uri = NameAddr::parse(value).and_then(|route| Uri::parse(route.uri));
        uri.is_some_and(|uri| {
            let is_core = |ip| {
                let address = SocketAddr::new(ip, uri.port.unwrap_or(5060));
                site.is_core(address)
                    && !site.is_ours(address)
                    && !cluster::is_only_a_node(address, context)
            };
            let of_core = |(group, member): (usize, &crate::site::Member)| {
                let outside = |at| site.is_outside(&site.groups[group], at);
                !member.address.is_some_and(outside)
            };
            site.member(&uri).is_some_and(of_core) || index > 0 && uri.ip().is_some_and(is_core)
        })
    };
    if request.values(Header::Route).enumerate().all(stays) {
        Ok(())
    } else {
        refuse(Reason::ForeignRoute)
    }
}
