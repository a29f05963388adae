//! Offers inside a dialog, which may be refused (RFC 3261 §14.1): the session then goes on as if they had not been made
//! (MEDIA.md §3). RTPEngine takes every offer for the last word and has no rollback, so
//!
//! - what was agreed on before is said to it again after a refusal;
//! - a new transport (ICE restart, new DTLS keys) is kept from it until the answer is there: its own credentials, which it
//!   draws anew for each restart, can not be brought back, and media goes on by the old ones meanwhile.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use proxy::media::{End, Legs, Profile, Tags, Towards, end_of_session};
use proxy::site::Side;
use proxy::token::{Media, Pass};
use proxy::{Flow, Forward, Reason};
use sdp::{Session, restart};
use sip::{Message, Method};

use super::Engine;
use super::session::{Asked, ending_of};
use super::transaction::{State, Transaction};
use crate::media::agreed::{Again, Dialog, Said};
use crate::media::exchange::{address_of_hop, towards};
use crate::media::{Exchange, OfferError, Sessions};

/// Where something is said again.
struct Place {
    call_id: Vec<u8>,
    legs: Legs,
    reached: IpAddr,
    media: Media,
    towards: Towards,
    from_called: bool,
}

impl Place {
    /// The offer or the answer of what is said again.
    fn exchange<'a>(&'a self, again: &'a Again, said: &'a Said) -> Exchange<'a> {
        Exchange {
            call_id: &self.call_id,
            from_tag: &again.offer.tag,
            to_tag: &again.answer.tag,
            via_branch: None,
            sdp: &said.sdp,
            seen: said.seen,
            from_core: said.from_core,
            legs: Legs::default(),
            reached: None,
        }
    }
}

/// A later offer as RTPEngine is shown it.
#[derive(Default)]
pub(super) struct Shown {
    /// If that is not the offer itself.
    pub(super) sdp: Option<Bytes>,
    adds_lines: bool,
}

impl Shown {
    /// `new` beside what the offerer said last. What is no description is shown as it is.
    fn of(last: &[u8], new: &[u8], how: Compare) -> Self {
        let (Ok(last), Ok(new)) = (Session::parse(last), Session::parse(new)) else {
            return Self::default();
        };
        Self {
            sdp: how(&last, &new).map(|shown| shown.to_bytes().into()),
            adds_lines: adds_lines(&last, &new),
        }
    }

    /// What RTPEngine is told of the leg that it goes to. It knows the kind of a leg by its lines: of a new one it would pass on the
    /// offerer's, and a phone would be asked for DTLS (measured).
    pub(super) fn towards(&self, settled: Towards) -> Towards {
        if self.adds_lines {
            settled.anew()
        } else {
            settled
        }
    }
}

impl Engine {
    /// What of a later offer RTPEngine is shown before somebody accepts it, if that is not the offer itself.
    ///
    /// # Errors
    /// The dialog is over: what is offered now would be a session for ever.
    pub(super) async fn to_be_shown(&self, request: &Message, pass: Pass) -> Result<Shown, Reason> {
        let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(request, pass)) else {
            return Ok(Shown::default());
        };
        let last = sessions.agreed().offers(dialog, number(request)).await;
        let last = last.ok_or(Reason::NoTransaction)?;
        Ok(last.map_or_else(Shown::default, |last| {
            Shown::of(&last, request.body(), restart::unrestarted)
        }))
    }

    /// A BYE has ended the dialog of an offer that was just made: the session that it may have begun anew is ended too.
    pub(super) fn over_meanwhile(
        &self,
        dialog: Dialog<'_>,
        media: Media,
        from_called: bool,
    ) -> bool {
        let Some(sessions) = &self.media else {
            return false;
        };
        let is_over = sessions.agreed().has_ended(dialog);
        if is_over {
            let tags = if from_called {
                Tags::ToFrom
            } else {
                Tags::FromTo
            };
            let (from, to) = (dialog.from_tag, dialog.to_tag);
            sessions.delete_dialog(media, dialog.call_id, from, to, tags);
        }
        is_over
    }

    /// The called side makes the offer, in a response: nobody can refuse it any more.
    pub(super) async fn offered_late(&self, response: &Message, pass: Pass) {
        if let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(response, pass)) {
            let dialog = Dialog {
                from_tag: dialog.to_tag,
                to_tag: dialog.from_tag,
                ..dialog
            };
            sessions.agreed().offers(dialog, number(response)).await;
        }
    }

    /// A later offer has its answer, which RTPEngine gets next: now it is told of what was kept from it, or was undone by another
    /// offer in between.
    pub(super) async fn confirm_offer(&self, asked: Asked<'_>, media: Media) {
        let Asked::Known(transaction, index) = asked else {
            return;
        };
        let request = &transaction.request;
        let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(request, media.pass)) else {
            return;
        };
        let Some((last, stands)) = sessions.agreed().stands(dialog, number(request)) else {
            return;
        };
        let shown = Shown::of(&last, request.body(), restart::restarted);
        if stands && shown.sdp.is_none() {
            return;
        }
        // What is being said again comes first, or it would be the last word.
        sessions.agreed().offers(dialog, number(request)).await;
        let (towards, legs, reached) = match transaction.lock().branches.get(index) {
            Some(branch) => self.towards(&branch.forward, branch.media),
            None => return,
        };
        let exchange = Exchange::of(request, Tags::FromTo, &transaction.source, &self.site());
        let exchange = Exchange {
            sdp: shown.sdp.as_deref().unwrap_or(request.body()),
            ..exchange.between(legs, Some(reached))
        };
        if let Err(error) = sessions
            .offer(media, &exchange, shown.towards(towards))
            .await
        {
            self.no_offer(&error);
        }
    }

    /// RTPEngine has taken an answer in a response.
    pub(super) fn answered_by(
        &self,
        exchange: &Exchange<'_>,
        pass: Pass,
        status: u16,
        asked: Asked<'_>,
    ) {
        match asked {
            // Until the final one what was agreed on before is what a refusal goes back to.
            Asked::Known(transaction, _)
                if status < 200 && transaction.request.to_tag().is_some() => {}
            Asked::Known(transaction, _) => {
                let offer = transaction.request.body();
                let confirmed = status >= 200 && transaction.is_invite();
                let offer = Some((offer, &transaction.source));
                self.agreed_on(exchange, pass, offer, confirmed);
            }
            Asked::Forgotten { .. } => self.agreed_on(exchange, pass, None, false),
        }
    }

    /// An INVITE has its 2xx: what was agreed on while it rang stands.
    pub(super) fn confirmed(&self, response: &Message, pass: Pass) {
        if let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(response, pass)) {
            sessions.agreed().confirm(dialog);
        }
    }

    /// An offer has its answer; `offer` and where it came from, if that is known. `confirmed`: with it the dialog is up.
    pub(super) fn agreed_on(
        &self,
        answer: &Exchange<'_>,
        pass: Pass,
        offer: Option<(&[u8], &Flow)>,
        confirmed: bool,
    ) {
        let Some(sessions) = &self.media else { return };
        sessions.stays(pass, answer.call_id);
        let agreed = sessions.agreed();
        let Some((offer, source)) = offer else {
            agreed.forget(Dialog {
                pass,
                call_id: answer.call_id,
                from_tag: answer.from_tag,
                to_tag: answer.to_tag,
            });
            return;
        };
        let said = |tag, sdp, seen, from_core| Said {
            tag: Bytes::copy_from_slice(tag),
            sdp: Bytes::copy_from_slice(sdp),
            seen,
            from_core,
        };
        let from_core = self.site().side_of(source) == Side::Core;
        let offer = said(answer.from_tag, offer, source.peer.ip(), from_core);
        let answered = said(answer.to_tag, answer.sdp, answer.seen, answer.from_core);
        agreed.agree(pass, answer.call_id, offer, answered, confirmed);
    }

    /// A branch ended, with this status or without any: if it was a later offer, what it changed is undone. It goes before the
    /// response, so that the next offer waits.
    pub(super) fn offer_refused(
        &self,
        transaction: &Transaction,
        state: &State,
        index: usize,
        status: Option<u16>,
    ) {
        let request = &transaction.request;
        if request.method() == Method::Bye {
            return;
        }
        let ending = ending_of(request, status, false, false);
        if let Some(branch) = state.branches.get(index)
            && !branch.superseded
            && ending.map(end_of_session) == Some(End::Again)
        {
            self.undo_offer(request, &branch.forward, branch.media);
        }
    }

    /// Says again what was agreed on before an offer, if that is the last one which RTPEngine knows.
    pub(super) fn undo_offer(&self, request: &Message, forward: &Forward, media: Media) {
        let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(request, media.pass)) else {
            return;
        };
        let Some(again) = sessions.agreed().refused(dialog, number(request)) else {
            return;
        };
        sessions.returns(media.pass, dialog.call_id);
        let (towards, legs, reached) = self.towards(forward, media);
        let place = Place {
            call_id: dialog.call_id.to_vec(),
            legs,
            reached,
            media,
            towards,
            from_called: forward.from_called,
        };
        self.spawn_saying(place, again);
    }

    /// A BYE ended a dialog: no offer of it reaches RTPEngine any more, and who is left of its fork has the audio.
    pub(super) fn dialog_is_over(&self, dialog: Dialog<'_>, media: Media) {
        let Some(sessions) = &self.media else { return };
        let Some(again) = sessions.agreed().end(dialog, Instant::now()) else {
            return;
        };
        let profile = Session::parse(&again.answer.sdp)
            .ok()
            .and_then(|session| Profile::of(&session));
        let place = Place {
            call_id: dialog.call_id.to_vec(),
            media,
            legs: Legs::default(),
            reached: again.answer.seen,
            towards: Towards::Known(profile.unwrap_or(Profile::Rtp)),
            from_called: false,
        };
        self.spawn_saying(place, again);
    }

    fn spawn_saying(&self, place: Place, again: Again) {
        let Some(me) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            if let Some(sessions) = &me.media {
                me.say_again(sessions, &place, &again).await;
            }
        });
    }

    async fn say_again(&self, sessions: &Sessions, place: &Place, again: &Again) {
        let (offer, answer) = (&again.offer, &again.answer);
        let said = async {
            let first = place.exchange(again, offer);
            let first = first.between(place.legs.clone(), Some(place.reached));
            let (_, at) = sessions.offer(place.media, &first, place.towards).await?;
            let second = place.exchange(again, answer);
            let second = second.between(place.legs.clone().turned(), None);
            sessions.answer(at, &second).await?;
            Ok::<_, OfferError>(at)
        };
        match said.await {
            Ok(at) => {
                let dialog = Dialog {
                    pass: at.pass,
                    call_id: &place.call_id,
                    from_tag: &offer.tag,
                    to_tag: &answer.tag,
                };
                self.over_meanwhile(dialog, at, place.from_called);
            }
            Err(error) => drop(self.no_offer(&error)),
        }
    }

    /// What is known of the leg that an offer goes to, what is wanted of both, and where it is.
    fn towards(&self, forward: &Forward, media: Media) -> (Towards, Legs, IpAddr) {
        let legs = Legs::of(forward, &self.view().context());
        let towards = towards(forward, media, &legs);
        (towards, legs, address_of_hop(&forward.hop))
    }
}

/// The dialog that a message belongs to, its From tag first; `None` if it has none yet.
pub(super) fn dialog_of(message: &Message, pass: Pass) -> Option<Dialog<'_>> {
    Some(Dialog {
        pass,
        call_id: message.call_id(),
        from_tag: message.from_tag()?,
        to_tag: message.to_tag()?,
    })
}

fn number(message: &Message) -> u32 {
    message.cseq().map_or(0, |cseq| cseq.number)
}

/// Whether `new` has lines that `last` had not, or had refused or dropped (RFC 3264 §8.1).
fn adds_lines(last: &Session<'_>, new: &Session<'_>) -> bool {
    let had = |index: usize| {
        last.media()
            .get(index)
            .is_some_and(|line| !line.is_rejected())
    };
    let mut lines = new.media().iter().enumerate();
    lines.any(|(index, line)| !line.is_rejected() && !had(index))
}

/// What of the second description differs from the first, if that matters.
type Compare = for<'a> fn(&Session<'_>, &Session<'a>) -> Option<Session<'a>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_new_that_was_not_there_or_had_port_0() {
        let sdp = |ports: &[u16]| {
            let line = |port: &u16| format!("m=audio {port} RTP/AVP 0\r\n");
            let lines: String = ports.iter().map(line).collect();
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{lines}")
        };
        for (why, last, new, want) in [
            ("a hold", &[4000][..], &[4000][..], false),
            ("video is added", &[4000], &[4000, 4002], true),
            ("video is dropped", &[4000, 4002], &[4000, 0], false),
            ("and comes back", &[4000, 0], &[4000, 4002], true),
            (
                "a line that is refused from the start",
                &[4000],
                &[4000, 0],
                false,
            ),
        ] {
            let (last, new) = (sdp(last), sdp(new));
            let shown = Shown::of(last.as_bytes(), new.as_bytes(), |_, _| None);
            assert_eq!(shown.adds_lines, want, "{why}");
        }
    }
}
