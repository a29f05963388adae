//! Offers and answers on their way through RTPEngine (MEDIA.md §3, §4): which message's SDP is what, and when a session
//! ends. Signalling that needs none of it never comes here.

use std::sync::Arc;

use bytes::Bytes;
use proxy::media::{
    End, Ending, Key, Legs, OfferAnswer, Place, Profile, Role, Tags, Towards, end_of_session, ends,
    ng_via_branch, role_of_sdp,
};
use proxy::response::Onward;
use proxy::token::Media;
use proxy::{Context, Flow, Forward, Hop, Reason};
use sip::{Edited, Header, Message, Method};

use super::refused::dialog_of;
use super::transaction::{ServerInput, State, Transaction};
use super::{Engine, Outcome};
use crate::media::agreed::Dialog;
use crate::media::exchange::{self, address_of_hop, carries_offer, target_of, towards};
use crate::media::{Exchange, OfferError};

/// What is known of the request that a response answers.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Its transaction, and which branch of it.
    Known(&'a Arc<Transaction>, usize),
    /// Only what our Via says.
    Forgotten {
        /// It had an offer.
        had_offer: bool,
    },
}

impl Asked<'_> {
    fn had_offer(&self) -> bool {
        match self {
            Self::Known(transaction, _) => transaction.request.has_sdp(),
            Self::Forgotten { had_offer } => *had_offer,
        }
    }
}

impl Engine {
    /// True if sending these means to ask RTPEngine first.
    pub(super) fn offers(&self, forwards: &[Forward]) -> bool {
        self.media.is_some()
            && forwards
                .iter()
                .any(|forward| carries_offer(&forward.request))
    }

    /// The media that a token of this request's pass names: that of the dialog, or the choice for a new call.
    pub(super) fn media_of(&self, forward: &Forward) -> Media {
        if let Some(media) = forward.media {
            return media;
        }
        let none = Media::none(forward.pass);
        match (&self.media, forward.request.method()) {
            (Some(sessions), Method::Invite) if forward.anchored => sessions
                .choose(forward.request.call_id(), forward.pass)
                .map_or(none, |media| Media {
                    ends: ends::of_request(forward, &self.view().context()),
                    ..media
                }),
            _ => none,
        }
    }

    /// Puts RTPEngine's SDP into a request that has an offer (or, in a PRACK, an answer).
    pub(super) async fn offer(&self, forward: &mut Forward) -> Result<Media, Reason> {
        let media = self.media_of(forward);
        let (Some(sessions), true) = (&self.media, carries_offer(&forward.request)) else {
            return Ok(media);
        };
        if !media.is_some() {
            // The dialog began without RTPEngine, or none is alive.
            return if forward.media.is_some() || !forward.anchored {
                Ok(media)
            } else {
                Err(Reason::NoMedia)
            };
        }
        let request = forward.request.original().clone();
        let pending = self.pending_invite(&request);
        let legs = Legs::of(forward, &self.view().context());
        let (sdp, at) = match role_of_sdp(Place::Request(request.method()), pending) {
            Role::Offer(_) => {
                let target = self.target_of_hop(&forward.hop);
                let towards = towards(forward, media, &legs);
                let mut exchange =
                    Exchange::of_offer(&request, &forward.source, media, target, &self.site())
                        .between(legs, Some(address_of_hop(&forward.hop)));
                let shown = self.to_be_shown(&request, media.pass).await?;
                if let Some(shown) = &shown.sdp {
                    exchange.sdp = shown;
                }
                let offered = sessions
                    .offer(media, &exchange, shown.towards(towards))
                    .await
                    .map_err(|error| self.no_offer(&error))?;
                let over = dialog_of(&request, media.pass).is_some_and(|dialog| {
                    self.over_meanwhile(dialog, offered.1, forward.from_called)
                });
                if over {
                    return Err(Reason::NoTransaction);
                }
                offered
            }
            Role::Answer(tags) => (
                self.answer_exchange(&request, media, tags, (&forward.source, legs))
                    .await?,
                media,
            ),
            Role::Ignore => return Ok(media),
            Role::Remove => (Bytes::new(), media),
        };
        forward.request.set_body(sdp);
        Ok(at)
    }

    async fn answer_exchange(
        &self,
        request: &Message,
        media: Media,
        tags: Tags,
        (source, legs): (&Flow, Legs),
    ) -> Result<Bytes, Reason> {
        let Some(sessions) = &self.media else {
            return Err(Reason::NoMedia);
        };
        let exchange = Exchange::of(request, tags, source, &self.site()).between(legs, None);
        let sdp = sessions
            .answer(media, &exchange)
            .await
            .map_err(|error| self.no_media(&error))?;
        let offered = self.invite_of(request).and_then(|transaction| {
            let state = transaction.lock();
            Some((state.offered.clone()?, state.branches.last()?.flow))
        });
        let offer = offered.as_ref().map(|(sdp, flow)| (&sdp[..], flow));
        let confirmed = request.method() == Method::Ack;
        self.agreed_on(&exchange, media.pass, offer, confirmed);
        Ok(sdp)
    }

    /// The answer in an ACK (a late offer). False if it cannot be passed on: without its answer the call has no media.
    pub(super) async fn answer_in_ack(&self, forward: &mut Forward, media: Media) -> bool {
        let request = forward.request.original().clone();
        let pending = self.pending_invite(&request);
        let legs = Legs::of(forward, &self.view().context());
        match role_of_sdp(Place::Request(Method::Ack), pending) {
            Role::Answer(tags) => match self
                .answer_exchange(&request, media, tags, (&forward.source, legs))
                .await
            {
                Ok(sdp) => {
                    forward.request.set_body(sdp);
                    true
                }
                Err(_) => false,
            },
            Role::Remove => {
                remove_body(&mut forward.request);
                true
            }
            Role::Offer(_) | Role::Ignore => true,
        }
    }

    /// How far the offer/answer exchange of the INVITE is that a PRACK, or the ACK to its 2xx, belongs to.
    fn pending_invite(&self, request: &Message) -> Option<OfferAnswer> {
        let transaction = self.invite_of(request)?;
        let mut state = OfferAnswer::of_invite(transaction.request.has_sdp());
        if state == OfferAnswer::Awaited && transaction.lock().offered.is_some() {
            state = OfferAnswer::Offered;
        }
        Some(state)
    }

    /// The transaction of the INVITE that a PRACK or ACK belongs to.
    fn invite_of(&self, request: &Message) -> Option<Arc<Transaction>> {
        if !matches!(request.method(), Method::Prack | Method::Ack) {
            return None;
        }
        let number = match request.method() {
            // RFC 3262 §7.2: RAck has the RSeq and then the CSeq number of the INVITE.
            Method::Prack => {
                let rack = std::str::from_utf8(request.header(Header::RAck)?).ok()?;
                rack.split_ascii_whitespace().nth(1)?.parse().ok()?
            }
            _ => request.cseq()?.number,
        };
        self.table.invite(request.call_id(), number)
    }

    /// True if a response's SDP has to pass RTPEngine.
    pub(super) fn carries_session(&self, response: &Message, onward: &Onward) -> bool {
        self.media.is_some() && exchange::carries_session(response, onward)
    }

    /// Puts RTPEngine's SDP into a response, or takes one off that nobody may act on.
    pub(super) async fn session_in_response(
        &self,
        onward: &mut Onward,
        (flow, offered_to): (&Flow, &Flow),
        asked: Asked<'_>,
    ) {
        let Some(sessions) = &self.media else { return };
        let response = onward.response.original().clone();
        let reliable = response.header(Header::RSeq).is_some();
        let status = response.status();
        let place = Place::Response {
            to: response.method(),
            status,
            reliable: reliable || status >= 200,
        };
        let invite = (response.method() == Method::Invite)
            .then(|| OfferAnswer::of_invite(asked.had_offer()));
        let media = onward.via.media;
        let role = role_of_sdp(place, invite);
        let tags = match role {
            Role::Offer(tags) | Role::Answer(tags) => tags,
            Role::Ignore => return,
            Role::Remove => return remove_body(&mut onward.response),
        };
        let target = target_of(&Hop::Flow(*offered_to));
        let source = self.index_flow(onward);
        let asker = Asker::of(asked, &self.view().context());
        let exchange = Exchange::of_response(&response, tags, flow, media, target, &self.site())
            .between(
                asker.legs.clone().turned(),
                source.map(|flow| flow.peer.ip()),
            );
        let sdp = match role {
            Role::Offer(_) => {
                let transport = source.map_or(sip::Transport::Udp, |source| source.transport);
                let towards = asker.towards(&exchange.legs, transport);
                self.offered_late(&response, media.pass).await;
                sessions
                    .offer(media, &exchange, towards)
                    .await
                    .map(|(sdp, _)| sdp)
            }
            _ => {
                self.confirm_offer(asked, media).await;
                let answered = sessions.answer(media, &exchange).await;
                if answered.is_ok() {
                    self.answered_by(&exchange, media.pass, status, asked);
                }
                answered.map_err(OfferError::from)
            }
        };
        match sdp {
            Ok(sdp) => onward.response.set_body(sdp),
            Err(error) => {
                // The call is answered: refusing is too late. Its private addresses stay here all the same.
                self.no_offer(&error);
                self.record_lost_answer(onward);
                remove_body(&mut onward.response);
            }
        }
    }

    pub(super) fn no_offer(&self, error: &OfferError) -> Reason {
        match error {
            OfferError::NothingLeft(_) => Reason::NoCodec,
            OfferError::Engine(error) => self.no_media(error),
        }
    }

    pub(super) fn no_media(&self, error: &rtpengine_client::Error) -> Reason {
        if let Some(since) = self.no_media.due(super::now()) {
            tracing::warn!(
                ?error,
                since_last_line = since,
                "RTPEngine did not take an offer or answer"
            );
        }
        reason_of(error)
    }

    fn index_flow(&self, onward: &Onward) -> Option<Flow> {
        self.index.back(onward.listener, onward.source)
    }

    /// A key that came by INFO: RTPEngine plays it, and its sender is told whether it did. In a transaction, so that an INFO that is
    /// sent again is no second key.
    pub(super) fn press(&self, flow: &Flow, request: Message, key: Key) -> Outcome {
        let Some(transaction) = self.begin(flow, &request) else {
            return self.reply(flow, &request, None, &Reason::Overloaded);
        };
        let (Some(me), flow) = (self.me.upgrade(), *flow) else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            let Some(sessions) = &me.media else { return };
            let tag = request.from_tag().unwrap_or_default();
            match sessions.press(key, request.call_id(), tag).await {
                Ok(()) => {
                    let stamped = proxy::reply::stamped(&request, flow.peer);
                    let bytes = sip::build::response(&stamped, 200, "OK", None).to_bytes();
                    me.server_input(&transaction, ServerInput::Respond { status: 200, bytes });
                }
                Err(error) => {
                    let reason = me.no_media(&error);
                    me.reply(&flow, &request, Some(transaction), &reason);
                }
            }
        })
    }

    /// A branch that was offered and never sent.
    pub(super) fn session_failed(&self, forward: &Forward, media: Media) {
        let request = forward.request.original();
        self.undo_offer(request, forward, media);
        let ending = ending_of(request, None, forward.from_called, false);
        self.end(&forward.request, &forward.hop, media, ending);
    }

    /// The final response of a branch passed, or none came and none will.
    pub(super) fn session_ended_by(
        &self,
        transaction: &Transaction,
        state: &State,
        index: usize,
        status: Option<u16>,
    ) {
        let Some(branch) = state.branches.get(index) else {
            return;
        };
        // The session is that of the member which has its place now: towards the core there is one for all.
        if branch.superseded && !status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        // A 2xx went back: nobody sends this INVITE again.
        let lost = !state.answers.is_empty();
        let ending = ending_of(
            &transaction.request,
            status,
            branch.forward.from_called,
            lost,
        );
        let over = state.fork.as_ref().is_some_and(|fork| fork.is_answered());
        match transaction.request.method() {
            Method::Bye if over => self.end(
                &branch.forward.request,
                &branch.forward.hop,
                branch.media,
                ending,
            ),
            Method::Invite => self.end(
                &branch.forward.request,
                &Hop::Flow(branch.offered_to),
                branch.media,
                ending,
            ),
            _ => {}
        }
    }

    /// A 2xx to an INVITE went back: what is kept of the branches that had failed before is for a retry that will not come.
    pub(super) fn session_has_a_winner(
        &self,
        transaction: &Transaction,
        state: &State,
        index: usize,
        answer: &Message,
    ) {
        if transaction.is_invite() {
            if let Some(media) = state.branches.get(index).map(|branch| branch.media) {
                self.confirmed(answer, media.pass);
            }
            self.earlier_ones_end(state, index);
            let failed = state
                .failures
                .iter()
                .map(|(index, reason)| (*index, reason.status()));
            let refused = state
                .branches
                .iter()
                .enumerate()
                .filter_map(|(index, branch)| Some((index, branch.ended.as_ref()?.status())));
            failed.chain(refused).for_each(|(index, status)| {
                self.session_ended_by(transaction, state, index, Some(status))
            });
        }
    }

    /// The caller was sent elsewhere with his INVITE, and has his answer there.
    fn earlier_ones_end(&self, state: &State, index: usize) {
        let (Some(sessions), Some(branch)) = (&self.media, state.branches.get(index)) else {
            return;
        };
        let request = &branch.forward.request;
        if branch.media.is_some() && request.to_tag().is_none() {
            let target = self.target_of_hop(&Hop::Flow(branch.offered_to));
            let via_branch = ng_via_branch(branch.media.pass, &target);
            let from = request.from_tag().unwrap_or_default();
            let call_id = request.call_id();
            sessions.delete_earlier(branch.media, call_id, from, via_branch.as_deref());
        }
    }

    /// Tells RTPEngine what the end of a request means for its session, if anything.
    fn end(&self, request: &Edited, hop: &Hop, media: Media, ending: Option<Ending>) {
        let (Some(sessions), Some(ending), true) = (&self.media, ending, media.is_some()) else {
            return;
        };
        let (from, to) = (
            request.from_tag().unwrap_or_default(),
            request.to_tag().unwrap_or_default(),
        );
        match end_of_session(ending) {
            End::Nothing | End::Again => {}
            End::Branch { at_once } => {
                let branch = ng_via_branch(media.pass, &self.target_of_hop(hop));
                sessions.delete_branch(media, request.call_id(), from, branch, at_once);
            }
            End::Dialog { tags } => {
                let dialog = Dialog {
                    pass: media.pass,
                    call_id: request.call_id(),
                    from_tag: from,
                    to_tag: to,
                };
                self.dialog_is_over(dialog, media);
                sessions.delete_dialog(media, request.call_id(), from, to, tags)
            }
        }
    }

    /// The same for a server outside as for the flow by which it answers.
    fn target_of_hop(&self, hop: &Hop) -> [u8; 4] {
        match self.flow_to(hop) {
            Some(flow) => target_of(&Hop::Flow(flow)),
            None => target_of(hop),
        }
    }

    /// A BYE whose device never came back: the call is over all the same.
    pub(super) fn session_over_if_bye(&self, request: &Message, media: Media, from_called: bool) {
        if request.method() == Method::Bye {
            let hop = Hop::Server {
                transport: sip::Transport::Udp,
                address: ([0, 0, 0, 0], 0).into(),
            };
            self.record_gone(request, media, from_called);
            let ending = ending_of(request, None, from_called, false);
            self.end(&Edited::new(request.clone()), &hop, media, ending);
        }
    }
}

/// The legs of a request, for the offer or answer in its response.
#[derive(Default)]
struct Asker {
    legs: Legs,
    /// What its token says of the profile of who asked, in a dialog that was up.
    settled: Option<Option<Profile>>,
}

impl Asker {
    /// Nothing is known of it where the transaction died with its node.
    fn of(asked: Asked<'_>, context: &Context<'_>) -> Self {
        let Asked::Known(transaction, index) = asked else {
            return Self::default();
        };
        let state = transaction.lock();
        let Some(branch) = state.branches.get(index) else {
            return Self::default();
        };
        let forward = &branch.forward;
        let end = branch.media.ends.towards(!forward.from_called);
        Self {
            legs: Legs::of(forward, context),
            settled: forward.media.map(|_| end.profile),
        }
    }

    /// What is known of who asked, when he gets an offer.
    fn towards(&self, legs: &Legs, transport: sip::Transport) -> Towards {
        match self.settled {
            Some(profile) => Towards::settled(profile, transport),
            None => Towards::Known(ends::profile_of(&legs.to, transport)),
        }
    }
}

/// How the sender of an offer is told that RTPEngine did not take it.
fn reason_of(error: &rtpengine_client::Error) -> Reason {
    match error {
        // RFC 3261 §21.4.26: the SDP is at fault, and the caller can offer another one.
        rtpengine_client::Error::Rejected { .. } => Reason::NotAcceptable,
        // As many of our questions wait as may: it is we who are busy.
        rtpengine_client::Error::Busy { .. } => Reason::Overloaded,
        _ => Reason::NoMedia,
    }
}

/// What has come to its end, for requests that begin, change or end a session.
pub(crate) fn ending_of(
    request: &Message,
    status: Option<u16>,
    from_called: bool,
    lost: bool,
) -> Option<Ending> {
    Some(match request.method() {
        Method::Invite => Ending::Invite {
            in_dialog: request.to_tag().is_some(),
            status,
            lost,
        },
        Method::Bye => Ending::Bye {
            status,
            from_called,
        },
        Method::Update | Method::Prack => Ending::Update { status },
        _ => return None,
    })
}

fn remove_body(message: &mut Edited) {
    message.set_body(Bytes::new());
    message.remove(Header::ContentType);
    message.remove(Header::ContentDisposition);
}

#[cfg(test)]
mod tests {
    use rtpengine_client::Error;

    use super::*;

    #[test]
    fn a_full_queue_towards_rtpengine_is_said_with_503_and_no_other_trouble_is() {
        for (error, want) in [
            (Error::Busy { limit: 1 }, Reason::Overloaded),
            (Error::Refused, Reason::NoMedia),
        ] {
            assert_eq!(reason_of(&error), want, "{error}");
        }
    }
}
