//! The commands of the ng protocol, as they are sent.

use std::time::Duration;

use proxy::media::{Tags, Towards, answer_flags, ng_call_id, offer_flags};
use proxy::token::Media;
use rtpengine_client::command::{Answer, Delete, Offer};
use rtpengine_client::words::Flag;

use super::{Exchange, flags};

/// `offer`.
pub(crate) fn offer(media: Media, exchange: &Exchange<'_>, towards: Towards) -> Offer {
    let mut offer = Offer::new(
        ng_call_id(exchange.call_id, media.pass),
        exchange.from_tag,
        exchange.sdp,
    )
    .options(flags::options(&offer_flags(towards, exchange.address())));
    if !exchange.to_tag.is_empty() {
        offer = offer.to_tag(exchange.to_tag);
    }
    if let Some(branch) = &exchange.via_branch {
        offer = offer.via_branch(branch.as_str());
    }
    offer
}

/// `answer`.
pub(crate) fn answer(media: Media, exchange: &Exchange<'_>) -> Answer {
    let mut answer = Answer::new(
        ng_call_id(exchange.call_id, media.pass),
        exchange.from_tag,
        exchange.to_tag,
        exchange.sdp,
    )
    .options(flags::options(&answer_flags(exchange.address())));
    if let Some(branch) = &exchange.via_branch {
        answer = answer.via_branch(branch.as_str());
    }
    answer
}

/// `delete` of a whole dialog. `tags` says which of the BYE's tags is the caller's.
pub(crate) fn delete_dialog(
    media: Media,
    call_id: &[u8],
    from_tag: &[u8],
    to_tag: &[u8],
    tags: Tags,
) -> Delete {
    let (caller, called) = match tags {
        Tags::FromTo => (from_tag, to_tag),
        Tags::ToFrom => (to_tag, from_tag),
    };
    Delete::new(ng_call_id(call_id, media.pass))
        .from_tag(caller)
        .to_tag(called)
        .delay(Duration::ZERO)
        .flag(Flag::ToTag)
}
