//! What an offer asks of RTPEngine beside its kind: codecs, addresses, keys, recording, as the policies of its two legs want it.

use std::net::IpAddr;
use std::sync::Arc;

use sdp::Session;

use super::codec::{self, NothingLeft};
use super::ends::{Legs, said_address, takes_events};
use super::intent::{Intent, Ip};
use super::policy::Family;

/// The flags of an offer with what the policies of its legs add to those of its kind. `reached` is the address to which its
/// signalling goes, where that is known.
///
/// # Errors
/// [`NothingLeft`] if the ends are left without a codec that both may use.
pub fn with_policies(
    mut intent: Intent,
    legs: &Legs,
    offer: &Session<'_>,
    reached: Option<IpAddr>,
) -> Result<Intent, NothingLeft> {
    intent.codecs = codec::choose(offer, &legs.from, &legs.to)?;
    if takes_events(&legs.to) && !speaks_events(offer) {
        // Of an end that sends keys by INFO alone: the other one gets events all the same.
        intent.codecs.transcode.push("telephone-event".to_owned());
    }
    intent.inject_keys = legs.inject_keys();
    intent.record = [&legs.from, &legs.to]
        .into_iter()
        .any(|leg| leg.record.as_deref() == Some(&true));
    intent.direction = direction(legs);
    intent.family = family(legs, offer, reached);
    intent.ptime = legs.to.ptime.as_deref().copied();
    Ok(intent)
}

/// RTPEngine wants both or none; `check` has seen to it that there are both.
fn direction(legs: &Legs) -> Option<(Arc<str>, Arc<str>)> {
    let name = |leg: &super::policy::Leg| leg.interface.as_ref().map(|said| said.value.clone());
    name(&legs.from).zip(name(&legs.to))
}

/// The family that the receiver is shown: the configured one; where that is `auto`, the one of its signalling, if it is another than the
/// offer's. An RTPEngine without an address of that family goes on with the one that it has (measured).
fn family(legs: &Legs, offer: &Session<'_>, reached: Option<IpAddr>) -> Option<Ip> {
    match legs.to.address_family.as_deref() {
        Some(Family::Inet) => Some(Ip::V4),
        Some(Family::Inet6) => Some(Ip::V6),
        Some(Family::Auto) | None => {
            let reached = reached?.to_canonical();
            let said = said_address(offer, 0)?;
            (said.is_ipv4() != reached.is_ipv4()).then_some(if reached.is_ipv4() {
                Ip::V4
            } else {
                Ip::V6
            })
        }
    }
}

fn speaks_events(offer: &Session<'_>) -> bool {
    offer.media().iter().any(|line| {
        let mut maps = line.section().attributes("rtpmap");
        maps.any(|map| {
            let name = map.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            name.to_ascii_lowercase().starts_with(b"telephone-event/")
        })
    })
}
