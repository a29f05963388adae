//! What RTPEngine would be told of a message, without asking it.

use std::collections::BTreeMap;

use proxy::media::{
    End, Key, Legs, OfferAnswer, Place, Role, Towards, end_of_session, ends, profile_of_flow,
    role_of_sdp,
};
use proxy::response::Onward;
use proxy::token::Media;
use proxy::{Flow, Forward, Hop};
use rtpengine_client::bencode::Dictionary;
use rtpengine_client::{NodeConfig, Request, Value};
use sip::{Header, Message, Method};

use super::node::Imagined;
use super::report::{Report, Told};
use super::words;
use crate::engine::ending_of;
use crate::media::exchange::{address_of_hop, carries_offer, carries_session, target_of, towards};
use crate::media::{Exchange, command};

/// The media of a request that is passed on: that of its dialog, or for a new call the RTPEngine that would be chosen.
pub(super) fn of(node: &Imagined, forward: &Forward) -> Media {
    if let Some(media) = forward.media {
        return media;
    }
    let chosen = (forward.request.method() == Method::Invite && forward.anchored)
        .then(|| node.pool.choose(forward.request.call_id()))
        .flatten();
    match chosen {
        Some(engine) => Media {
            node: engine.id.0 as u8,
            generation: 0,
            pass: forward.pass,
            ends: ends::of_request(forward, &node.context()),
        },
        None => Media::none(forward.pass),
    }
}

/// What the configuration wants of both legs of a session, and which section said it.
pub(super) fn policies(report: &mut Report, node: &Imagined, forward: &Forward) {
    if !node.site.media || !carries_offer(&forward.request) {
        return;
    }
    let legs = Legs::of(forward, &node.context());
    for (whose, leg) in [("sends", &legs.from), ("gets", &legs.to)] {
        for (key, value, origin) in leg.said() {
            let text = format!("of who {whose} it: {key} = {value}, as {origin} says");
            report.step("policy", text);
        }
    }
}

/// The key that RTPEngine plays in place of an INFO.
pub(super) fn press(node: &Imagined, request: &Message, key: Key) -> Option<Told> {
    let tag = request.from_tag().unwrap_or_default();
    let play = command::press(key, request.call_id(), tag)?;
    Some(said(node, key.media, "before it is answered", &play))
}

/// What is said for a message.
#[derive(Default)]
pub(super) struct Said {
    /// To RTPEngine, in this order.
    pub(super) told: Vec<Told>,
    /// To whoever wonders why there is nothing.
    pub(super) remark: Option<&'static str>,
}

const TAKEN_OFF: Said = Said {
    told: Vec::new(),
    remark: Some("its SDP is part of no exchange: the body is taken off"),
};

const NOTHING_LEFT: Said = Said {
    told: Vec::new(),
    remark: Some("the policies leave no codec that both ends may use: it is answered 488"),
};

/// What is said for a request, before it leaves and at its end.
pub(super) fn for_request(node: &Imagined, forward: &Forward, media: Media) -> Said {
    let request = forward.request.original();
    let is_ack = request.method() == Method::Ack && forward.request.has_sdp();
    let matters = is_ack || carries_offer(&forward.request) || request.method() == Method::Bye;
    if !node.site.media || !matters {
        return Said::default();
    }
    if !media.is_some() {
        let remark = match (forward.media, forward.anchored) {
            (Some(_), _) => Some("RTPEngine is told nothing: the call began without it"),
            (None, false) => {
                Some("RTPEngine is told nothing: `anchor` leaves the call to its ends")
            }
            (None, true) => None,
        };
        return Said {
            remark,
            ..Said::default()
        };
    }
    let mut told = Vec::new();
    let legs = Legs::of(forward, &node.context());
    if is_ack || carries_offer(&forward.request) {
        let before = "before it leaves";
        match role_of_sdp(Place::Request(request.method()), None) {
            Role::Offer(_) => {
                let target = target(node, &forward.hop);
                let towards = towards(forward, media, &legs);
                let exchange =
                    Exchange::of_offer(request, &forward.source, media, target, &node.site)
                        .between(legs, Some(address_of_hop(&forward.hop)));
                match command::offer(media, &exchange, towards) {
                    Ok((offer, _)) => told.push(said(node, media, before, &offer)),
                    Err(_) => return NOTHING_LEFT,
                }
            }
            Role::Answer(tags) => {
                let exchange =
                    Exchange::of(request, tags, &forward.source, &node.site).between(legs, None);
                told.push(said(
                    node,
                    media,
                    before,
                    &command::answer(media, &exchange),
                ));
            }
            Role::Ignore => {}
            Role::Remove => return TAKEN_OFF,
        }
    }
    if request.method() == Method::Bye
        && let Some(ending) = ending_of(request, Some(200), forward.from_called, false)
        && let End::Dialog { tags } = end_of_session(ending)
    {
        let (from, to) = (
            request.from_tag().unwrap_or_default(),
            request.to_tag().unwrap_or_default(),
        );
        let delete = command::delete_dialog(media, request.call_id(), from, to, tags);
        told.push(said(node, media, "when its final answer has come", &delete));
    }
    Said { told, remark: None }
}

/// What is said for a response, before it goes back by `back`.
pub(super) fn for_response(
    node: &Imagined,
    response: &Message,
    onward: &Onward,
    (flow, back): (&Flow, &Flow),
) -> Said {
    if !node.site.media || !carries_session(response, onward) {
        return Said::default();
    }
    let reliable = response.header(Header::RSeq).is_some() || response.status() >= 200;
    let place = Place::Response {
        to: response.method(),
        status: response.status(),
        reliable,
    };
    let invite =
        (response.method() == Method::Invite).then(|| OfferAnswer::of_invite(onward.via.offer));
    let media = onward.via.media;
    let exchange = |tags| {
        let target = target_of(&Hop::Flow(*flow));
        Exchange::of_response(response, tags, flow, media, target, &node.site)
    };
    let before = "before it goes back";
    let told = match role_of_sdp(place, invite) {
        Role::Offer(tags) => {
            let towards = Towards::Known(profile_of_flow(back.transport));
            match command::offer(media, &exchange(tags), towards) {
                Ok((offer, _)) => said(node, media, before, &offer),
                Err(_) => return NOTHING_LEFT,
            }
        }
        Role::Answer(tags) => said(
            node,
            media,
            before,
            &command::answer(media, &exchange(tags)),
        ),
        Role::Ignore => return Said::default(),
        Role::Remove => return TAKEN_OFF,
    };
    Said {
        told: vec![told],
        remark: None,
    }
}

/// Of a datagram the flow is known beforehand, of a stream its peer.
fn target(node: &Imagined, hop: &Hop) -> [u8; 4] {
    let Hop::Server { transport, address } = hop else {
        return target_of(hop);
    };
    match node.site.leaving_by(hop) {
        Some(listener) if !transport.is_stream() => target_of(&Hop::Flow(Flow {
            listener: listener.id,
            transport: *transport,
            local: listener.bind,
            peer: *address,
            connection: None,
        })),
        _ => target_of(hop),
    }
}

fn said(node: &Imagined, media: Media, when: &'static str, request: &impl Request) -> Told {
    let mut dictionary = Dictionary::new();
    request.write(&mut dictionary);
    let mut keys = BTreeMap::new();
    if let Value::Dict(all) = dictionary.into_value() {
        for (key, value) in all {
            let value = match (&key[..], value) {
                (b"sdp", Value::Bytes(sdp)) => format!("({} bytes)", sdp.len()).into(),
                (_, value) => plain(value),
            };
            keys.insert(words::text(&key), value);
        }
    }
    let is_it = |engine: &&NodeConfig| engine.id.0 == u16::from(media.node);
    let name = node.pool.nodes.iter().find(is_it);
    let name = name.map(|engine| engine.name.clone());
    Told {
        rtpengine: name.unwrap_or_else(|| format!("number {}", media.node)),
        when,
        command: request.command().to_owned(),
        keys,
    }
}

fn plain(value: Value) -> serde_json::Value {
    match value {
        Value::Bytes(bytes) => words::text(&bytes).into(),
        Value::Int(number) => number.into(),
        Value::List(all) => all.into_iter().map(plain).collect(),
        Value::Dict(all) => all
            .into_iter()
            .map(|(key, value)| (words::text(&key), plain(value)))
            .collect(),
    }
}
