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
        if has_sdp {
            Self::InInvite
        } else {
            Self::Awaited
        }
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
        Place::Request(Method::Ack) => match invite {
            Some(OfferAnswer::Offered) | None => Role::Answer(Tags::ToFrom),
            // Nothing is left to be answered (RFC 3261 §13.2.1).
            Some(OfferAnswer::InInvite | OfferAnswer::Awaited | OfferAnswer::Answered) => {
                Role::Remove
            }
        },
        Place::Request(Method::Prack) => match invite {
            Some(OfferAnswer::Offered) => Role::Answer(Tags::ToFrom),
            _ => Role::Offer(Tags::FromTo),
        },
        Place::Response {
            to: Method::Invite,
            status: 101..=299,
            reliable,
        } => match invite {
            // Reliable or not: in an unreliable 1xx it is a copy of the answer to come (RFC 6337 §2.1), and early media needs it.
            Some(OfferAnswer::InInvite) => Role::Answer(Tags::FromTo),
            Some(OfferAnswer::Awaited)
                if reliable
                    || matches!(
                        place,
                        Place::Response {
                            status: 200..=299,
                            ..
                        }
                    ) =>
            {
                Role::Offer(Tags::ToFrom)
            }
            // Unreliable, or after the offer that counts, or of an INVITE that nobody here knows.
            _ => Role::Remove,
        },
        Place::Response {
            to: Method::Update | Method::Prack,
            status: 200..=299,
            ..
        } => Role::Answer(Tags::FromTo),
        Place::Request(_) | Place::Response { .. } => Role::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OfferAnswer::{Answered, Awaited, InInvite, Offered};

    fn response(to: Method<'static>, status: u16) -> Place<'static> {
        Place::Response {
            to,
            status,
            reliable: false,
        }
    }

    #[test]
    fn sdp_is_offer_or_answer_as_its_place_says() {
        let reliable = Place::Response {
            to: Method::Invite,
            status: 183,
            reliable: true,
        };
        let (invite, update, prack) = (Method::Invite, Method::Update, Method::Prack);
        for (why, place, state, want) in [
            (
                "INVITE",
                Place::Request(invite),
                None,
                Role::Offer(Tags::FromTo),
            ),
            (
                "UPDATE, also while an INVITE is pending",
                Place::Request(update),
                Some(InInvite),
                Role::Offer(Tags::FromTo),
            ),
            (
                "early media",
                response(invite, 183),
                Some(InInvite),
                Role::Answer(Tags::FromTo),
            ),
            (
                "reliable early media",
                reliable,
                Some(InInvite),
                Role::Answer(Tags::FromTo),
            ),
            (
                "the 200 repeats the answer of a 183",
                response(invite, 200),
                Some(InInvite),
                Role::Answer(Tags::FromTo),
            ),
            (
                "late offer in the 200",
                response(invite, 200),
                Some(Awaited),
                Role::Offer(Tags::ToFrom),
            ),
            (
                "late offer in a reliable 183",
                reliable,
                Some(Awaited),
                Role::Offer(Tags::ToFrom),
            ),
            (
                "a preview that nobody may answer",
                response(invite, 183),
                Some(Awaited),
                Role::Remove,
            ),
            (
                "offered already in a 183",
                response(invite, 200),
                Some(Offered),
                Role::Remove,
            ),
            (
                "offered and answered already",
                response(invite, 200),
                Some(Answered),
                Role::Remove,
            ),
            (
                "no transaction and no branch that says",
                response(invite, 200),
                None,
                Role::Remove,
            ),
            (
                "100 has no body that counts",
                response(invite, 100),
                Some(InInvite),
                Role::Ignore,
            ),
            (
                "what the refuser could do (488)",
                response(invite, 488),
                Some(InInvite),
                Role::Ignore,
            ),
            (
                "the answer in ACK",
                Place::Request(Method::Ack),
                Some(Offered),
                Role::Answer(Tags::ToFrom),
            ),
            (
                "ACK past a node that has no transaction",
                Place::Request(Method::Ack),
                None,
                Role::Answer(Tags::ToFrom),
            ),
            (
                "ACK after an offer in the INVITE",
                Place::Request(Method::Ack),
                Some(InInvite),
                Role::Remove,
            ),
            (
                "ACK after PRACK answered",
                Place::Request(Method::Ack),
                Some(Answered),
                Role::Remove,
            ),
            (
                "the answer in PRACK",
                Place::Request(prack),
                Some(Offered),
                Role::Answer(Tags::ToFrom),
            ),
            (
                "a new offer in PRACK",
                Place::Request(prack),
                Some(InInvite),
                Role::Offer(Tags::FromTo),
            ),
            (
                "another PRACK after the answer",
                Place::Request(prack),
                Some(Answered),
                Role::Offer(Tags::FromTo),
            ),
            (
                "200 to PRACK",
                response(prack, 200),
                Some(InInvite),
                Role::Answer(Tags::FromTo),
            ),
            (
                "200 to UPDATE",
                response(update, 200),
                None,
                Role::Answer(Tags::FromTo),
            ),
            ("UPDATE refused", response(update, 488), None, Role::Ignore),
            (
                "OPTIONS",
                response(Method::Options, 200),
                None,
                Role::Ignore,
            ),
            (
                "MESSAGE",
                Place::Request(Method::Message),
                None,
                Role::Ignore,
            ),
            (
                "a method of tomorrow",
                Place::Request(Method::Other(b"X")),
                None,
                Role::Ignore,
            ),
        ] {
            assert_eq!(role_of_sdp(place, state), want, "{why}");
        }
    }

    #[test]
    fn an_invite_without_offer_goes_through_offer_and_answer_once() {
        let reliable = Place::Response {
            to: Method::Invite,
            status: 183,
            reliable: true,
        };
        let mut state = OfferAnswer::of_invite(false);
        let mut said = Vec::new();
        for place in [
            response(Method::Invite, 183),
            reliable,
            Place::Request(Method::Prack),
            response(Method::Prack, 200),
            response(Method::Invite, 200),
            Place::Request(Method::Ack),
        ] {
            let role = role_of_sdp(place, Some(state));
            said.push(role);
            state = state.after(role);
        }
        let (offer, answer) = (Role::Offer(Tags::ToFrom), Role::Answer(Tags::ToFrom));
        assert_eq!(
            said,
            [
                Role::Remove,
                offer,
                answer,
                Role::Answer(Tags::FromTo),
                Role::Remove,
                Role::Remove
            ]
        );
        assert_eq!(state, Answered);
        assert_eq!(
            OfferAnswer::of_invite(true).after(Role::Answer(Tags::FromTo)),
            InInvite
        );
    }
}
