//! What RTPEngine would be told, which is not asked here: so the body of what leaves is the one that came.

use proxy::media::intent::{Address, Ice, Protocol, RtcpMux, Sdes};
use proxy::media::{
    Intent, OfferAnswer, Place, Role, Tags, Towards, answer_flags, ng_call_id, offer_flags,
    role_of_sdp,
};
use proxy::response::Onward;
use proxy::token::{Media, Pass};
use proxy::{Flow, Forward};
use sip::{Message, Method};

use super::node::Imagined;
use super::words;
use crate::engine;
use crate::media::Exchange;

/// Of a request that is passed on.
pub(super) fn of_request(node: &Imagined, forward: &Forward) -> Option<String> {
    let request = forward.request.original();
    if node.config.media.rtpengine.is_empty() {
        return None;
    }
    let method = request.method();
    let matters = match method {
        Method::Bye => true,
        Method::Invite | Method::Update | Method::Prack | Method::Ack => request.has_sdp(),
        _ => false,
    };
    if !matters {
        return None;
    }
    if forward.media.is_some_and(|media| !media.is_some()) {
        return Some("RTPEngine is told nothing: the call began without it".to_owned());
    }
    if method == Method::Bye {
        return forward.media.map(|media| {
            format!(
                "RTPEngine is told `delete` of {} when this is answered",
                call(request, media.pass)
            )
        });
    }
    let pass = forward
        .media
        .unwrap_or_else(|| Media::none(forward.pass))
        .pass;
    let role = role_of_sdp(Place::Request(method), None);
    said(node, request, (role, pass), &forward.source, || {
        engine::towards(forward)
    })
}

/// Of a response that is passed on to `back`.
pub(super) fn of_response(
    node: &Imagined,
    onward: &Onward,
    from: &Flow,
    back: &Flow,
) -> Option<String> {
    let response = onward.response.original();
    let passes = matches!(
        response.method(),
        Method::Invite | Method::Update | Method::Prack
    );
    if !passes || !onward.via.media.is_some() || !response.has_sdp() {
        return None;
    }
    let is_reliable = response.header(sip::Header::RSeq).is_some() || response.status() >= 200;
    let place = Place::Response {
        to: response.method(),
        status: response.status(),
        reliable: is_reliable,
    };
    let is_invite = response.method() == Method::Invite;
    let invite = is_invite.then(|| OfferAnswer::of_invite(onward.via.offer));
    let role = role_of_sdp(place, invite);
    said(node, response, (role, onward.via.media.pass), from, || {
        Towards::Known(proxy::media::profile_of_flow(back.transport))
    })
}

fn said(
    node: &Imagined,
    message: &Message,
    (role, pass): (Role, Pass),
    source: &Flow,
    towards: impl Fn() -> Towards,
) -> Option<String> {
    let exchange = |tags| {
        let (from, to) = (
            message.from_tag().unwrap_or_default(),
            message.to_tag().unwrap_or_default(),
        );
        let (from_tag, to_tag) = match tags {
            Tags::FromTo => (from, to),
            Tags::ToFrom => (to, from),
        };
        Exchange {
            call_id: message.call_id(),
            from_tag,
            to_tag,
            via_branch: None,
            sdp: message.body(),
            seen: source.peer.ip(),
            from_core: node.site.side_of(source) == proxy::site::Side::Core,
        }
    };
    let (word, intent, tags) = match role {
        Role::Offer(tags) => (
            "offer",
            offer_flags(towards(), exchange(tags).address()),
            tags,
        ),
        Role::Answer(tags) => ("answer", answer_flags(exchange(tags).address()), tags),
        Role::Ignore => return None,
        Role::Remove => {
            return Some("its SDP is part of no exchange: the body is taken off".to_owned());
        }
    };
    let exchange = exchange(tags);
    let mut tags = format!("from-tag {}", words::text(exchange.from_tag));
    if !exchange.to_tag.is_empty() {
        tags = format!("{tags}, to-tag {}", words::text(exchange.to_tag));
    }
    Some(format!(
        "RTPEngine is told `{word}` of {}, {tags}; {}. Its SDP takes the place of the body, whose own length is counted here",
        call(message, pass),
        flags(&intent)
    ))
}

fn call(message: &Message, pass: Pass) -> String {
    format!(
        "call-id {}",
        words::text(&ng_call_id(message.call_id(), pass))
    )
}

/// An intent in the ng protocol's words.
fn flags(intent: &Intent) -> String {
    let protocol = intent.transport_protocol.map(|protocol| match protocol {
        Protocol::RtpAvp => "transport-protocol RTP/AVP",
        Protocol::RtpSavp => "transport-protocol RTP/SAVP",
        Protocol::DtlsSavp => "transport-protocol UDP/TLS/RTP/SAVP",
        Protocol::DtlsSavpf => "transport-protocol UDP/TLS/RTP/SAVPF",
    });
    let ice = intent.ice.map(|ice| match ice {
        Ice::Force => "ICE force",
        Ice::Remove => "ICE remove",
    });
    let sdes = intent.sdes.map(|sdes| match sdes {
        Sdes::Off => "SDES off",
        Sdes::TwoSuites => "SDES AES_CM_128_HMAC_SHA1_80 and _32 alone, pad",
    });
    let mux = intent.rtcp_mux.map(|mux| match mux {
        RtcpMux::Offer => "rtcp-mux offer",
        RtcpMux::Demux => "rtcp-mux demux",
    });
    let address = match intent.address {
        Address::AsSaid => "trust-address".to_owned(),
        Address::AsSeen(ip) => format!("SIP-source-address, received-from {ip}"),
    };
    let words = [
        protocol,
        ice,
        intent.dtls_off.then_some("DTLS off"),
        sdes,
        intent.osrtp_offer.then_some("OSRTP offer"),
        mux,
        intent.replace_origin.then_some("replace origin"),
        Some(&address),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
