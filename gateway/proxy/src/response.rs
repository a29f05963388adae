//! Says what to do with a response: RFC 3261 §16.7, for transactions that are kept and for those that never were.

use sip::{Edited, Header, Message, Method, NameAddr, Uri};

use crate::branch::open_via;
use crate::decision::{Context, Device};
use crate::flow::{Flow, ListenerId};
use crate::forward::{core_copy, towards};
use crate::hiding;
use crate::media::Ends;
use crate::privacy;
use crate::side::{Side, side_of_source};
use crate::status::Reason;
use crate::token::{FlowAddress, Media, Pass, Purpose, RecordRouteDevice, Token, ViaToken};

/// A response as it goes on: our Via taken off, our Record-Route in the copy of the other side.
#[derive(Clone, Debug)]
pub struct Onward {
    /// The response, edited.
    pub response: Edited,
    /// What our branch says.
    pub via: ViaToken,
    /// The listener by which the request came.
    pub listener: ListenerId,
    /// Where it came from.
    pub source: FlowAddress,
}

/// §16.7 steps 1 to 3 and 8. A branch that does not verify is dropped: RFC 6026 §7.3 forbids relaying strays because
/// attackers forge them, and the MAC meets that.
pub fn pass_on(response: &Message, flow: &Flow, context: &Context<'_>) -> Result<Onward, Reason> {
    let branch = response
        .top_via()
        .and_then(|via| via.branch.map(<[u8]>::to_vec));
    let via = branch.and_then(|branch| open_via(&branch, response.call_id(), context));
    let Some(via) = via else {
        return Err(Reason::StrayResponse);
    };
    // Who trusts us would read it otherwise than we did: sofia ends a line at CR alone.
    if response.check().is_err() || response.status() > 699 {
        return Err(Reason::StrayResponse);
    }
    let mut edited = Edited::new(response.clone());
    edited.remove_value(Header::Via, 0);
    crate::cluster::forget_came_by(&mut edited, context);
    let side = context.site.side_of(flow);
    if side == Side::Device
        && let Some(ours) = response.top_via()
    {
        hiding::unfold_vias(&mut edited, &ours, context);
    }
    if edited.values(Header::Via).next().is_none() {
        return Err(Reason::StrayResponse);
    }
    if !context.site.believes(flow) {
        crate::forward::distrust(&mut edited);
    }
    if side == Side::Device && context.site.hides() {
        hiding::unfold_contacts(&mut edited, context);
    }
    let direction = direction(&via, flow, context);
    if !confides_in(&via, direction, context) {
        privacy::conceal_answerer(&mut edited);
    }
    let swapped = swap_record_route(&mut edited, &via, flow, context, direction).is_some();
    if side == Side::Device && !makes_dialogs(edited.status()) {
        // It makes no route set (RFC 3261 §12.1), and many phones send it back all the same: the copy that names this device is
        // for nobody else, least of all for who called it.
        edited.remove(Header::RecordRoute);
    }
    hide(&mut edited, &via, context, direction, swapped);
    if direction == Pass::Down && side == Side::Device {
        lead_back(&mut edited, &via, flow, context);
    }
    soften(&mut edited, direction);
    Ok(Onward {
        response: edited,
        listener: ListenerId(via.listener),
        source: via.source,
        via,
    })
}

/// True if who asked may be told who answers, although he asks for privacy.
fn confides_in(via: &ViaToken, direction: Pass, context: &Context<'_>) -> bool {
    let is_believed = || {
        let source = context.flows.flow(ListenerId(via.listener), via.source);
        source.is_some_and(|flow| context.site.believes(&flow))
    };
    direction == Pass::Down || !context.site.peers.all().is_empty() && is_believed()
}

/// A group that routes by Contact gets one that leads to this device.
fn lead_back(response: &mut Edited, via: &ViaToken, flow: &Flow, context: &Context<'_>) {
    if !context.site.groups.iter().any(|group| group.contact_token) {
        return;
    }
    let id = ListenerId(via.listener);
    let asked = context.flows.flow(id, via.source);
    let (Some(asked), Some(listener)) = (asked, context.site.listener(id)) else {
        return;
    };
    if context.site.takes_contact_tokens(asked.peer) {
        let at = hiding::place_of(flow, context);
        hiding::fold_contacts(response, listener, Some(at), context);
    }
}

/// Towards a device whose listener hides the topology.
fn hide(
    response: &mut Edited,
    via: &ViaToken,
    context: &Context<'_>,
    direction: Pass,
    swapped: bool,
) {
    let listener = context.site.listener(ListenerId(via.listener));
    let Some(listener) = listener.filter(|listener| listener.hides && direction == Pass::Up) else {
        return;
    };
    hiding::remove_addresses(response);
    hiding::fold_contacts(response, listener, None, context);
    if !swapped {
        // It makes no route set: no value is ours.
        response.remove(Header::RecordRoute);
    }
}

/// §16.7 step 6: a member's 503 would make a device shun the edge; 430 is said between registrars and edges only
/// (RFC 5626 §5.3, §11.5).
fn soften(response: &mut Edited, direction: Pass) {
    if matches!(direction, Pass::Down | Pass::Through) {
        return;
    }
    match response.status() {
        503 => {
            response.set_status(500, b"Server Internal Error: gateway unavailable");
            response.remove(Header::RetryAfter);
        }
        430 => response.set_status(480, b"Temporarily Unavailable"),
        _ => {}
    }
}

/// Which way the request went: from the listener in our Via to the one that the answer comes by.
fn direction(via: &ViaToken, flow: &Flow, context: &Context<'_>) -> Pass {
    if via.media.pass == Pass::Through {
        return Pass::Through;
    }
    match (side_of_source(via, context), context.site.side_of(flow)) {
        (Side::Device, Side::Device) => Pass::Local,
        (Side::Device, Side::Core) => Pass::Up,
        (Side::Core, _) => Pass::Down,
    }
}

/// RFC 3261 §12.1.
fn makes_dialogs(status: u16) -> bool {
    (101..=299).contains(&status)
}

/// RFC 3261 §16.7 step 8, RFC 5658 §6.2: in every 101 to 299, our own value is rewritten into the copy of the side
/// that the response goes to, always to the same bytes.
fn swap_record_route(
    response: &mut Edited,
    via: &ViaToken,
    flow: &Flow,
    context: &Context<'_>,
    direction: Pass,
) -> Option<()> {
    // Between two servers both copies are the same.
    let is_one = direction == Pass::Through || response.method() == Method::Register;
    if is_one || !makes_dialogs(response.status()) {
        return None;
    }
    let call_id = response.call_id().to_vec();
    let Ours {
        mut index,
        called,
        anonymous,
        holder,
        other,
        ends,
    } = ours(response, via, context, direction)?;
    let mut answering = towards(flow, context);
    if let (false, Some(device)) = (Device(answering.device).is_known(), holder) {
        answering.device = device;
    }
    let media = Media { ends, ..via.media };
    let token = match direction {
        Pass::Up => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called: media.pass == Pass::Down,
            anonymous,
            holder: other,
            towards: None,
        }),
        Pass::Down => Token::RecordRouteCore(core_copy(answering, media, anonymous)),
        Pass::Local => Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called: !called,
            anonymous,
            holder: other,
            towards: Some(answering),
        }),
        Pass::Through => return None,
    };
    // The copy names the listener of its own side: the one by which the request came.
    let listener = context.site.listener(ListenerId(via.listener))?;
    let (mut more, mut behind) = (String::new(), Vec::new());
    match direction {
        Pass::Up if listener.hides => {
            more = hiding::fold_record_route_before(response, index, context);
            index = 0;
        }
        Pass::Down => behind = hidden_behind(response, index, context),
        _ => {}
    }
    let write_token = |text: &mut String| {
        context
            .sealer
            .seal_into(text, &token, Some(&call_id), context.now_unix)
    };
    let side = match direction {
        Pass::Down | Pass::Through => Side::Core,
        Pass::Up | Pass::Local => Side::Device,
    };
    let mut values = context
        .site
        .record_route(listener, side, write_token, &more)
        .into_bytes();
    for value in behind {
        values.extend_from_slice(b", ");
        values.extend_from_slice(&value);
    }
    response.replace_value(Header::RecordRoute, index, &values);
    Some(())
}

/// The core's values that the device's copy of ours holds.
fn hidden_behind(response: &Edited, index: usize, context: &Context<'_>) -> Vec<Vec<u8>> {
    let value = response.values(Header::RecordRoute).nth(index);
    let uri = value
        .and_then(NameAddr::parse)
        .and_then(|route| Uri::parse(route.uri));
    uri.map_or_else(Vec::new, |uri| {
        hiding::routes_in(&uri, response.call_id(), context)
    })
}

/// The Record-Route value that this pass put there.
struct Ours {
    index: usize,
    /// Its holder was called.
    called: bool,
    /// The caller asked for privacy.
    anonymous: bool,
    /// The device that answers.
    holder: Option<[u8; 4]>,
    /// The device that asked, which gets the other copy.
    other: Option<[u8; 4]>,
    /// What it says of the ends of the dialog.
    ends: Ends,
}

/// The Record-Route value that this pass put there: its token
/// verifies and says the media of our Via, and the device that the request came from. In a spiral there are several of
/// ours.
fn ours(response: &Edited, via: &ViaToken, context: &Context<'_>, direction: Pass) -> Option<Ours> {
    let purpose = match direction {
        Pass::Up => Purpose::RecordRouteCore,
        Pass::Down | Pass::Local | Pass::Through => Purpose::RecordRouteDevice,
    };
    response
        .values(Header::RecordRoute)
        .enumerate()
        .find_map(|(index, value)| {
            let uri = NameAddr::parse(value).and_then(|route| Uri::parse(route.uri))?;
            let call_id = Some(response.call_id());
            let source = (via.listener, via.source);
            let (media, called, anonymous, holder, asked) = match context
                .sealer
                .open(purpose, uri.user?, call_id, context.now_unix)
                .ok()?
            {
                Token::RecordRouteCore(copy) => {
                    let asked = Some((copy.listener, copy.flow, copy.device));
                    (copy.media, false, copy.anonymous, None, asked)
                }
                Token::RecordRouteDevice(copy) => (
                    copy.media,
                    copy.called,
                    copy.anonymous,
                    copy.holder,
                    copy.towards.map(|to| (to.listener, to.flow, to.device)),
                ),
                _ => return None,
            };
            let came_from = asked.map(|(listener, flow, _)| (listener, flow));
            let other = asked.map(|(_, _, device)| device);
            let ends = media.ends;
            let bare = Media {
                ends: via.media.ends,
                ..media
            };
            (bare == via.media && came_from.is_none_or(|flow| flow == source)).then_some(Ours {
                index,
                called,
                anonymous,
                holder,
                other: other.filter(|device| Device(*device).is_known()),
                ends,
            })
        })
}
