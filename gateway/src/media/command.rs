//! The commands of the ng protocol, as they are sent.

use std::time::Duration;

use proxy::media::codec::NothingLeft;
use proxy::media::{Key, Tags, Towards, ng_call_id};
use proxy::token::Media;
use rtpengine_client::command::{Answer, Delete, Digit, Offer, Party, PlayDtmf};
use rtpengine_client::words::Flag;

use super::{Exchange, flags};

/// A tag that no side has. A `delete` of a branch that RTPEngine has forgotten by itself meanwhile would take the whole call along, and
/// whoever answered it; with a to-tag that fits nobody it ends the branch or nothing (measured).
const NOBODY: &str = "nobody";

/// `offer`, and the m= lines that its receiver must not take.
///
/// # Errors
/// [`NothingLeft`] if the policies leave no codec.
pub(crate) fn offer(
    media: Media,
    exchange: &Exchange<'_>,
    towards: Towards,
) -> Result<(Offer, Vec<usize>), NothingLeft> {
    let mut intent = exchange.offer_flags(towards)?;
    let rejected = std::mem::take(&mut intent.codecs.rejected);
    let mut options = flags::options(&intent);
    if intent.record {
        options.metadata = Some(String::from_utf8_lossy(exchange.call_id).into_owned());
    }
    let mut offer = Offer::new(
        ng_call_id(exchange.call_id, media.pass),
        exchange.from_tag,
        exchange.sdp,
    )
    .options(options);
    if !exchange.to_tag.is_empty() {
        offer = offer.to_tag(exchange.to_tag);
    }
    if let Some(branch) = &exchange.via_branch {
        offer = offer.via_branch(branch.as_str());
    }
    Ok((offer, rejected))
}

/// `answer`.
pub(crate) fn answer(media: Media, exchange: &Exchange<'_>) -> Answer {
    let mut answer = Answer::new(
        ng_call_id(exchange.call_id, media.pass),
        exchange.from_tag,
        exchange.to_tag,
        exchange.sdp,
    )
    .options(flags::options(&exchange.answer_flags()));
    if let Some(branch) = &exchange.via_branch {
        answer = answer.via_branch(branch.as_str());
    }
    answer
}

/// `play DTMF`: a key as if the side of this tag had pressed it. `None` for what is no key.
pub(crate) fn press(key: Key, call_id: &[u8], tag: &[u8]) -> Option<PlayDtmf> {
    let digit = Digit::try_from(key.key).ok()?;
    let party = Party::Tag(tag.into());
    let mut play = PlayDtmf::new(ng_call_id(call_id, key.media.pass), party, digit);
    play.duration = key
        .duration
        .map(|milliseconds| Duration::from_millis(milliseconds.into()));
    Some(play)
}

/// `delete` of a branch, or of the whole call towards the core, which is asked by one. A later offer within `delay` takes it back.
pub(crate) fn delete_branch(
    media: Media,
    call_id: &[u8],
    from_tag: &[u8],
    via_branch: Option<&str>,
    delay: Duration,
) -> Delete {
    let delete = Delete::new(ng_call_id(call_id, media.pass))
        .from_tag(from_tag)
        .delay(delay);
    match via_branch {
        Some(branch) if delay.is_zero() => delete.via_branch(branch).to_tag(NOBODY),
        Some(branch) => delete.via_branch(branch),
        None => delete,
    }
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
