//! Whether the SDP of a message is an offer or an answer (MEDIA.md §3; RFC 3261 §13.2.1, RFC 3262 §5, RFC 3311 §5, RFC 6337 §2).

use sip::Method;

/// How far the offer/answer exchange of an INVITE is. Its transaction holds it while it is pending; PRACK looks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfferAnswer {
    /// The INVITE had an offer.
    InInvite,
    /// The INVITE had none, and none has come from the called side.
    Awaited,
    /// The called side has offered, in a reliable 1xx or in the 2xx; PRACK or ACK has to answer.
    Offered,
    /// The called side has offered and PRACK has answered.
    Answered,
}

impl OfferAnswer {
    /// Where an INVITE begins.
    pub fn of_invite(has_sdp: bool) -> Self {
        if has_sdp { Self::InInvite } else { Self::Awaited }
    }

    /// Where it is after a message with SDP whose role was this.
    pub fn after(self, role: Role) -> Self {
        match (self, role) {
            (Self::Awaited, Role::Offer(Tags::ToFrom)) => Self::Offered,
            (Self::Offered, Role::Answer(Tags::ToFrom)) => Self::Answered,
            (state, _) => state,
        }
    }
}

/// Where SDP was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a request.
    Request(Method<'a>),
    /// In a response.
    Response {
        /// The method of its CSeq.
        to: Method<'a>,
        /// The status.
        status: u16,
        /// It says `Require: 100rel` and has an RSeq.
        reliable: bool,
    },
}

/// What to do with the SDP of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Send it to RTPEngine as an offer.
    Offer(Tags),
    /// Send it as an answer.
    Answer(Tags),
    /// It is no part of an exchange: it passes as it came.
    Ignore,
    /// It is none that anybody may act on, and would name addresses that RTPEngine has not replaced: take the body off.
    Remove,
}

/// Whose tag is the ng from-tag: the offerer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tags {
    /// From tag, then To tag if there is one.
    FromTo,
    /// To tag, then From tag: the called side offered.
    ToFrom,
}

/// The role of a message's SDP. `invite` is the state of the INVITE that the message belongs to: its own for a response to INVITE,
/// that of the pending INVITE of the same dialog for PRACK, `None` where no transaction of ours knows one. For a response to
/// INVITE without transaction, the bit in our Via branch says whether the INVITE had an offer.
pub fn role_of_sdp(place: Place<'_>, invite: Option<OfferAnswer>) -> Role {
    match place {
        Place::Request(Method::Invite | Method::Update) => Role::Offer(Tags::FromTo),
        // To an offer in the INVITE the answer came before; this can be none (RFC 3261 §13.2.1).
        Place::Request(Method::Ack) if invite == Some(OfferAnswer::InInvite) => Role::Remove,
        Place::Request(Method::Ack) => Role::Answer(Tags::ToFrom),
        Place::Request(Method::Prack) if invite == Some(OfferAnswer::Offered) => Role::Answer(Tags::ToFrom),
        Place::Request(Method::Prack) => Role::Offer(Tags::FromTo),
        Place::Response { to: Method::Invite, status: 101..=299, reliable } if invite.is_some() => {
            of_invites_response(invite, reliable)
        }
        Place::Response { to: Method::Invite, status: 101..=299, .. } => Role::Remove,
        Place::Response { to: Method::Update | Method::Prack, status: 200..=299, .. } => Role::Answer(Tags::FromTo),
        Place::Request(_) | Place::Response { .. } => Role::Ignore,
    }
}

fn of_invites_response(invite: Option<OfferAnswer>, reliable_or_final: bool) -> Role {
    match invite {
        // Reliable or not: in an unreliable 1xx it is a copy of the answer to come (RFC 6337 §2.1), and early media needs it.
        Some(OfferAnswer::InInvite) => Role::Answer(Tags::FromTo),
        Some(OfferAnswer::Awaited) if reliable_or_final => Role::Offer(Tags::ToFrom),
        _ => Role::Remove,
    }
}
