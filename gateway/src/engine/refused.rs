//! Offers inside a dialog, which may be refused (RFC 3261 §14.1): the session then goes on as if they had not been made
//! (MEDIA.md §3). RTPEngine takes every offer for the last word and has no rollback, so
//!
//! - what was agreed on before is said to it again after a refusal;
//! - a new transport (ICE restart, new DTLS keys) is kept from it until the answer is there: its own credentials, which it
//!   draws anew for each restart, can not be brought back, and media goes on by the old ones meanwhile.

use std::net::IpAddr;

use bytes::Bytes;
use proxy::media::{End, Legs, Tags, Towards, end_of_session};
use proxy::token::{Media, Pass};
use proxy::{Flow, Forward, Reason};
use sdp::{Session, restart};
use sip::{Message, Method};

use super::Engine;
use super::session::{Asked, ending_of};
use super::transaction::{State, Transaction};
use crate::media::agreed::{Dialog, Refused};
use crate::media::exchange::{address_of_hop, towards};
use crate::media::{Exchange, Sessions};

/// An offer as it was made.
struct Made {
    request: Message,
    source: Flow,
    towards: Towards,
    legs: Legs,
    reached: IpAddr,
    media: Media,
    from_called: bool,
}

impl Engine {
    /// What of a later offer RTPEngine is shown before somebody accepts it, if that is not the offer itself.
    ///
    /// # Errors
    /// The dialog is over: what is offered now would be a session for ever.
    pub(super) async fn to_be_shown(
        &self,
        request: &Message,
        pass: Pass,
    ) -> Result<Option<Bytes>, Reason> {
        let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(request, pass)) else {
            return Ok(None);
        };
        let last = sessions.agreed().offers(dialog, number(request)).await;
        let last = last.ok_or(Reason::NoTransaction)?;
        Ok(last.and_then(|last| compare(&last, request.body(), restart::unrestarted)))
    }

    /// A BYE has ended the dialog of an offer that was just made: the session that it may have begun anew is ended too.
    pub(super) fn over_meanwhile(
        &self,
        request: &Message,
        media: Media,
        from_called: bool,
    ) -> bool {
        let (Some(sessions), Some(dialog)) = (&self.media, dialog_of(request, media.pass)) else {
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
        let restarted = compare(&last, request.body(), restart::restarted);
        if stands && restarted.is_none() {
            return;
        }
        let (towards, legs, reached) = match transaction.lock().branches.get(index) {
            Some(branch) => self.towards(&branch.forward, branch.media),
            None => return,
        };
        let exchange = Exchange::of(request, Tags::FromTo, &transaction.source, &self.site());
        let exchange = Exchange {
            sdp: restarted.as_deref().unwrap_or(request.body()),
            ..exchange.between(legs, Some(reached))
        };
        if let Err(error) = sessions.offer(media, &exchange, towards).await {
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
                self.agreed_on(exchange, pass, Some(transaction.request.body()));
            }
            Asked::Forgotten { .. } => self.agreed_on(exchange, pass, None),
        }
    }

    /// An offer has its answer; `offer` where it is known.
    pub(super) fn agreed_on(&self, exchange: &Exchange<'_>, pass: Pass, offer: Option<&[u8]>) {
        let Some(sessions) = &self.media else { return };
        let dialog = Dialog {
            pass,
            call_id: exchange.call_id,
            from_tag: exchange.from_tag,
            to_tag: exchange.to_tag,
        };
        match offer {
            Some(offer) => sessions.agreed().agree(dialog, offer, exchange.sdp),
            None => sessions.agreed().forget(dialog),
        }
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
            let answerer = Some(branch.flow);
            self.undo_offer(request, &branch.forward, branch.media, answerer);
        }
    }

    /// Says again what was agreed on before an offer, if that is the last one which RTPEngine knows. `answerer`: from where the
    /// other side spoke.
    pub(super) fn undo_offer(
        &self,
        request: &Message,
        forward: &Forward,
        media: Media,
        answerer: Option<Flow>,
    ) {
        let (Some(sessions), Some(dialog), Some(me)) = (
            &self.media,
            dialog_of(request, media.pass),
            self.me.upgrade(),
        ) else {
            return;
        };
        let Some(refused) = sessions.agreed().refused(dialog, number(request)) else {
            return;
        };
        let (towards, legs, reached) = self.towards(forward, media);
        let made = Made {
            request: request.clone(),
            source: forward.source,
            towards,
            legs,
            reached,
            media,
            from_called: forward.from_called,
        };
        tokio::spawn(async move {
            if let Some(sessions) = &me.media {
                me.say_again(sessions, &made, &refused, answerer).await;
            }
        });
    }

    async fn say_again(
        &self,
        sessions: &Sessions,
        made: &Made,
        refused: &Refused,
        answerer: Option<Flow>,
    ) {
        let Made {
            request,
            source,
            towards,
            legs,
            reached,
            media,
            from_called,
        } = made;
        let said_by = |flow, sdp| Exchange {
            sdp,
            ..Exchange::of(request, Tags::FromTo, flow, &self.site())
        };
        let offer = said_by(source, &refused.offer).between(legs.clone(), Some(*reached));
        let mut said = sessions.offer(*media, &offer, *towards).await;
        if let (Ok((sdp, at)), Some(flow)) = (&mut said, answerer) {
            let answer = said_by(&flow, &refused.answer).between(legs.clone().turned(), None);
            match sessions.answer(*at, &answer).await {
                Ok(answered) => *sdp = answered,
                Err(error) => said = Err(error.into()),
            }
        }
        match said {
            Ok((_, at)) => drop(self.over_meanwhile(request, at, *from_called)),
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
fn dialog_of(message: &Message, pass: Pass) -> Option<Dialog<'_>> {
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

type Compare = for<'a> fn(&Session<'_>, &Session<'a>) -> Option<Session<'a>>;

/// Compares two descriptions; what is no description is what it was.
fn compare(last: &[u8], new: &[u8], how: Compare) -> Option<Bytes> {
    let (last, new) = (Session::parse(last).ok()?, Session::parse(new).ok()?);
    how(&last, &new).map(|shown| shown.to_bytes().into())
}
