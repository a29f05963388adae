//! What the records of calls ([`crate::record`]) are told of what passes. Each place is a look-up, and none waits; what became of a
//! call is judged behind its last message.

use std::sync::Arc;
use std::time::Duration;

use proxy::response::Onward;
use proxy::token::{Media, Pass};
use proxy::verdict::{By, Party};
use proxy::{Flow, Forward, Hop, Reason};
use sip::{Edited, Message, Method};

use super::Engine;
use super::transaction::{State, Transaction};
use crate::calls::Due;
use crate::record::{End, Key, Opening, Record, Told};

const PASSES: [Pass; 4] = [Pass::Up, Pass::Down, Pass::Local, Pass::Through];

impl Engine {
    /// A request is passed on, to each of these.
    pub(super) fn record_request(&self, flow: &Flow, request: &Message, forwards: &[Forward]) {
        let method = request.method();
        if !matches!(method, Method::Invite | Method::Ack | Method::Bye) {
            return;
        }
        let Some(first) = forwards.first() else {
            return;
        };
        let now = self.records.now();
        match method {
            Method::Invite if request.to_tag().is_none() => {
                let opening = self.opening(flow, request, Some(first));
                let key = self.key_of_opening(&opening);
                self.records.begins(key, &opening, now);
            }
            Method::Ack => {
                let key = self.key_in_dialog(request, first);
                self.records.note(key, |live| live.acknowledged(now));
            }
            Method::Bye => {
                let key = self.key_in_dialog(request, first);
                let by = party(first.from_called);
                self.records
                    .note(key, |live| live.hangs_up(by, request, now));
            }
            _ => {}
        }
    }

    fn opening<'a>(
        &self,
        flow: &'a Flow,
        request: &'a Message,
        forward: Option<&Forward>,
    ) -> Opening<'a> {
        let member = forward.and_then(|forward| forward.member.as_ref());
        let to_device = |forward: &Forward| match &forward.hop {
            Hop::Flow(_) => matches!(forward.pass, Pass::Down | Pass::Local),
            // The device is behind another edge.
            Hop::Server { .. } => forward.bound.is_some(),
        };
        Opening {
            request,
            source: flow,
            member: member.map(|chosen| (chosen.group, chosen.member)),
            to_core: forward.is_some_and(|forward| !to_device(forward)),
            pass: forward.map_or(Pass::Through, |forward| forward.pass),
        }
    }

    fn key_of_opening(&self, opening: &Opening<'_>) -> Key {
        let request = opening.request;
        let tag = request.from_tag().unwrap_or_default();
        self.records.key(request.call_id(), opening.pass, tag)
    }

    /// The key of the call that a request belongs to; its pass is that of the INVITE that made the dialog.
    fn key_in_dialog(&self, request: &Message, forward: &Forward) -> Key {
        let pass = forward.media.map_or(forward.pass, |media| media.pass);
        self.key_by_side(request, pass, forward.from_called)
    }

    fn key_by_side(&self, message: &Message, pass: Pass, from_called: bool) -> Key {
        let tag = match from_called {
            true => message.to_tag(),
            false => message.from_tag(),
        };
        self.records
            .key(message.call_id(), pass, tag.unwrap_or_default())
    }

    /// The key of the call that a transaction belongs to, by one of its branches.
    fn key_of(&self, transaction: &Transaction, state: &State, index: usize) -> Option<Key> {
        let forward = &state.branches.get(index)?.forward;
        Some(self.key_in_dialog(&transaction.request, forward))
    }

    /// Somebody beyond says something for the first time.
    pub(super) fn record_heard(&self, transaction: &Transaction, state: &State, index: usize) {
        if transaction.is_invite()
            && transaction.request.to_tag().is_none()
            && let Some(key) = self.key_of(transaction, state, index)
        {
            let now = self.records.now();
            self.records.note(key, |live| live.heard(now));
        }
    }

    /// A response goes back to who sent the request; `index` is the branch that it came by.
    pub(super) fn record_told(
        &self,
        transaction: &Transaction,
        state: &State,
        index: usize,
        response: &Edited,
    ) {
        let request = &transaction.request;
        let method = request.method();
        if !matches!(method, Method::Invite | Method::Update | Method::Bye) {
            return;
        }
        let (Some(branch), Some(key)) = (
            state.branches.get(index),
            self.key_of(transaction, state, index),
        ) else {
            return;
        };
        let (status, now) = (response.status(), self.records.now());
        let is_new = method == Method::Invite && request.to_tag().is_none();
        match status {
            101..=299 if is_new => {
                self.records
                    .note(key, |live| live.told(response, branch.media, now));
            }
            // RFC 3261 §16.7 step 6 makes 500 of a 503 on the way.
            300.. if is_new => {
                let said = response.original().status();
                self.records.refused(key, said, By::Beyond, now);
            }
            200.. if method == Method::Bye && !matches!(status, 401 | 407) => {
                let by = party(branch.forward.from_called);
                self.record_bye(key, by, Some(status), branch.media);
            }
            // A change of the session; who answers is not who asked.
            200.. if method != Method::Bye => {
                let by = party(branch.forward.from_called).other();
                self.records
                    .note(key, |live| live.changed(by, response, now));
            }
            _ => {}
        }
    }

    /// We answer a request ourselves that is in a transaction, or would be.
    pub(super) fn record_refused(
        &self,
        flow: &Flow,
        request: &Message,
        state: Option<&State>,
        reason: &Reason,
    ) {
        let first = state.and_then(|state| state.branches.first());
        let forward = first.map(|branch| &branch.forward);
        let now = self.records.now();
        match request.method() {
            Method::Invite if request.to_tag().is_none() => {
                let opening = self.opening(flow, request, forward);
                let refusal = (reason.status(), By::Us(reason.clone()));
                match forward {
                    Some(_) => {
                        let key = self.key_of_opening(&opening);
                        self.records.refused(key, refusal.0, refusal.1, now);
                    }
                    None => self.record_unsent(&opening, refusal, now),
                }
            }
            Method::Bye => match first {
                Some(branch) => {
                    let key = self.key_in_dialog(request, &branch.forward);
                    let by = party(branch.forward.from_called);
                    self.record_bye(key, by, Some(reason.status()), branch.media);
                }
                None => self.record_lost_bye(request, reason.status()),
            },
            _ => {}
        }
    }

    /// Refused before any copy of it was made, or before one was sent: then it is followed already.
    fn record_unsent(&self, opening: &Opening<'_>, (status, by): (u16, By), now: Duration) {
        let request = opening.request;
        let tag = request.from_tag().unwrap_or_default();
        let keys = PASSES.map(|pass| self.records.key(request.call_id(), pass, tag));
        let known = keys.into_iter().find(|key| self.records.is_followed(*key));
        match known {
            Some(key) => self.records.refused(key, status, by, now),
            None => {
                let key = self.key_of_opening(opening);
                self.records
                    .refused_at_once(key, opening, (status, by), now);
            }
        }
    }

    /// A BYE that nobody could be told of, and of whose sender's side nothing is known here.
    fn record_lost_bye(&self, request: &Message, status: u16) {
        for (pass, from_called) in PASSES
            .into_iter()
            .flat_map(|pass| [(pass, false), (pass, true)])
        {
            let key = self.key_by_side(request, pass, from_called);
            self.record_bye(key, party(from_called), Some(status), Media::none(pass));
        }
    }

    /// A BYE is over. With media, RTPEngine says what it saw; without, this is all.
    fn record_bye(&self, key: Key, by: Party, confirmed: Option<u16>, media: Media) {
        let now = self.records.now();
        let is_over = self.records.ends(key, by, confirmed, now);
        let asks = self.media.is_some() && media.is_some();
        if is_over && !asks {
            self.records.finish(key, End::HungUp(Told::NotAsked), now);
        }
    }

    /// A BYE whose device never came back is over; RTPEngine is told so next.
    pub(super) fn record_gone(&self, request: &Message, media: Media, from_called: bool) {
        if request.method() == Method::Bye {
            let key = self.key_by_side(request, media.pass, from_called);
            let by = party(from_called);
            self.records
                .note(key, |live| live.hangs_up(by, request, self.records.now()));
            self.record_bye(key, by, Some(Reason::DeviceGone.status()), media);
        }
    }

    /// The caller gave up, or is gone.
    pub(super) fn record_cancelled(
        &self,
        transaction: &Transaction,
        state: &State,
        reason: Option<&[u8]>,
    ) {
        if transaction.request.to_tag().is_none()
            && let Some(key) = self.key_of(transaction, state, 0)
        {
            let now = self.records.now();
            self.records.note(key, |live| live.cancelled(reason, now));
        }
    }

    /// RTPEngine did not take the answer of a response.
    pub(super) fn record_lost_answer(&self, onward: &Onward) {
        let response = &onward.response;
        if response.method() == Method::Invite {
            let tag = response.from_tag().unwrap_or_default();
            let key = self
                .records
                .key(response.call_id(), onward.via.media.pass, tag);
            self.records.note(key, |live| live.lost_its_answer());
        }
    }

    /// A response goes back to a request that nobody remembers: a BYE of a call whose INVITE somebody had to.
    pub(super) fn record_answered(&self, onward: &Onward) {
        let response = &onward.response;
        let is_final = response.status() >= 200 && !matches!(response.status(), 401 | 407);
        if response.method() != Method::Bye || !is_final {
            return;
        }
        for tag in [response.from_tag(), response.to_tag()]
            .into_iter()
            .flatten()
        {
            let key = self
                .records
                .key(response.call_id(), onward.via.media.pass, tag);
            let status = Some(response.status());
            self.record_bye(key, Party::Caller, status, onward.via.media);
        }
    }

    /// A call that is watched is ended by us: one of its sides is silent, or a device is gone.
    pub(super) fn record_ended_by_us(&self, call: &Due, silent: [bool; 2]) {
        let silent = match silent {
            [true, _] => Some(Party::Caller),
            [_, true] => Some(Party::Called),
            _ => None,
        };
        let key = self
            .records
            .key(&call.call_id, call.media.pass, &call.tags[0]);
        self.records.note(key, |live| live.ended_by_us(silent));
    }

    /// The newest records of calls that are over, the newest first.
    pub fn ended_calls(&self, limit: usize) -> Vec<Arc<Record>> {
        self.records.newest(limit)
    }

    /// The records of a Call-ID, as far as they are kept: one for each way that the call took past this node.
    pub fn record_of(&self, call_id: &str) -> Vec<Arc<Record>> {
        self.records.of(call_id)
    }

    /// The records of calls, and what is counted of them.
    pub fn records(&self) -> &crate::record::Records {
        &self.records
    }
}

fn party(is_called: bool) -> Party {
    if is_called {
        Party::Called
    } else {
        Party::Caller
    }
}
