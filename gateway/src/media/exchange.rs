//! Whose SDP a message carries, and for whom: what RTPEngine is asked about it, before anybody asks.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use proxy::media::codec::NothingLeft;
use proxy::media::ends::{self, profile_of, transport_of};
use proxy::media::intent::{Address, Intent, address_of};
use proxy::media::offer::with_policies;
use proxy::media::{Legs, Tags, Towards, answer_flags, ng_via_branch, offer_flags};
use proxy::response::Onward;
use proxy::site::Side;
use proxy::token::Media;
use proxy::{Flow, Forward, Hop, Site};
use sdp::Session;
use sip::{Edited, Message, Method};
use siphasher::sip::SipHasher13;

/// Whose SDP it is: what offer and answer have in common.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// The Call-ID of the dialog.
    pub call_id: &'a [u8],
    /// The offerer's tag.
    pub from_tag: &'a [u8],
    /// The answerer's tag; empty where it is not known.
    pub to_tag: &'a [u8],
    /// Which branch of a fork, where that is not known by the tags.
    pub via_branch: Option<String>,
    /// The SDP.
    pub sdp: &'a [u8],
    /// Where the message came from.
    pub seen: IpAddr,
    /// It came from the core, whose addresses are believed.
    pub from_core: bool,
    /// What is wanted of the legs that it is between.
    pub legs: Legs,
    /// Where it goes, as far as signalling tells.
    pub reached: Option<IpAddr>,
}

impl<'a> Exchange<'a> {
    /// That of a request with an offer, which goes to `target` ([`target_of`]).
    pub(crate) fn of_offer(
        request: &'a Message,
        source: &Flow,
        media: Media,
        target: [u8; 4],
        site: &Site,
    ) -> Self {
        let is_new = request.to_tag().is_none();
        Self {
            via_branch: is_new.then(|| ng_via_branch(media.pass, &target)).flatten(),
            ..Self::of(request, Tags::FromTo, source, site)
        }
    }

    /// That of a response, which comes from `target`.
    pub(crate) fn of_response(
        response: &'a Message,
        tags: Tags,
        flow: &Flow,
        media: Media,
        target: [u8; 4],
        site: &Site,
    ) -> Self {
        Self {
            via_branch: ng_via_branch(media.pass, &target),
            ..Self::of(response, tags, flow, site)
        }
    }

    /// That of a message whose dialog is known by its tags; `tags` says which is the offerer's.
    pub(crate) fn of(message: &'a Message, tags: Tags, source: &Flow, site: &Site) -> Self {
        let (from, to) = (
            message.from_tag().unwrap_or_default(),
            message.to_tag().unwrap_or_default(),
        );
        let (from_tag, to_tag) = match tags {
            Tags::FromTo => (from, to),
            Tags::ToFrom => (to, from),
        };
        Self {
            call_id: message.call_id(),
            from_tag,
            to_tag,
            via_branch: None,
            sdp: message.body(),
            seen: source.peer.ip(),
            from_core: site.side_of(source) == Side::Core,
            legs: Legs::default(),
            reached: None,
        }
    }

    /// The same between legs of which something is wanted.
    #[must_use]
    pub(crate) fn between(self, legs: Legs, reached: Option<IpAddr>) -> Self {
        Self {
            legs,
            reached,
            ..self
        }
    }

    /// The flags of an offer, and the lines of which the policies leave nothing.
    ///
    /// # Errors
    /// [`NothingLeft`] if the policies leave no codec.
    pub(super) fn offer_flags(&self, towards: Towards) -> Result<Intent, NothingLeft> {
        // RTPEngine says what is wrong with one that cannot be read.
        let offer = Session::parse(self.sdp).ok();
        let intent = offer_flags(towards, self.address(offer.as_ref()));
        match offer {
            Some(offer) => with_policies(intent, &self.legs, &offer, self.reached),
            None => Ok(intent),
        }
    }

    /// The flags of an answer.
    pub(super) fn answer_flags(&self) -> Intent {
        Intent {
            inject_keys: self.legs.inject_keys(),
            ..answer_flags(self.address(None))
        }
    }

    /// Where its sender expects media. It is read for that only where its address counts, and not `read` already.
    fn address(&self, read: Option<&Session<'_>>) -> Address {
        if self.from_core {
            return Address::AsSaid;
        }
        let said = match read {
            Some(session) => ends::said_address(session, 0),
            None => Session::parse(self.sdp)
                .ok()
                .and_then(|session| ends::said_address(&session, 0)),
        };
        address_of(said, self.seen)
    }
}

/// True for what has an SDP that RTPEngine must see before it leaves.
pub(crate) fn carries_offer(request: &Edited) -> bool {
    request.has_sdp()
        && matches!(
            request.method(),
            Method::Invite | Method::Update | Method::Prack
        )
}

/// True for a response to a request that went with RTPEngine, if its SDP has to pass there.
pub(crate) fn carries_session(response: &Message, onward: &Onward) -> bool {
    onward.via.media.is_some()
        && response.has_sdp()
        && matches!(
            response.method(),
            Method::Invite | Method::Update | Method::Prack
        )
        && (101..300).contains(&response.status())
}

/// What is known of the leg that an offer goes to.
pub(crate) fn towards(forward: &Forward, media: Media, legs: &Legs) -> Towards {
    let transport = transport_of(&forward.hop);
    if forward.request.to_tag().is_none() {
        return Towards::Known(profile_of(&legs.to, transport));
    }
    Towards::settled(media.ends.towards(forward.from_called).profile, transport)
}

/// Where a hop is.
pub(crate) fn address_of_hop(hop: &Hop) -> IpAddr {
    match hop {
        Hop::Flow(flow) => flow.peer.ip(),
        Hop::Server { address, .. } => address.ip(),
    }
}

/// Names the target of a branch, alike for the request that goes there and the response that comes from there.
pub(crate) fn target_of(hop: &Hop) -> [u8; 4] {
    let mut hasher = SipHasher13::new_with_keys(0x7461_7267, 0x6574_2121);
    match hop {
        Hop::Flow(flow) => (flow.listener, flow.address()).hash(&mut hasher),
        Hop::Server { address, .. } => address.hash(&mut hasher),
    }
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    [a, b, c, d]
}
