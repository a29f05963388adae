//! What the table of calls ([`crate::calls`]) is told of what passes: here every place of the engine where a call begins, is
//! answered, refreshed or over comes together. Where nobody needs the table, each is one look at a flag.

use std::time::Duration;

use proxy::response::Onward;
use proxy::site::Side;
use proxy::token::{Media, Pass};
use proxy::{Flow, Flows as _, Forward, Reason, Room};
use sip::{Edited, Message, Method};

use super::Engine;
use super::transaction::{Branch, State, Transaction};
use crate::calls::{Answered, CallState, Dialog, PeerState, Place};

const PASSES: [Pass; 4] = [Pass::Up, Pass::Down, Pass::Local, Pass::Through];

/// Calls that RTPEngine is asked about in a row.
const ASKED: usize = 256;

impl Engine {
    /// A peer begins a call: may it? (`Question::Place`)
    pub(super) fn ask_for_place(&self, peer: usize) -> (Room, Option<Place>) {
        match self.calls.ask(peer, self.started.elapsed()) {
            Ok(place) => (Room::Granted, Some(place)),
            Err(why) => (why, None),
        }
    }

    /// What an INVITE counts for whose copies are these; `granted` is the place that it has already.
    pub(super) fn place_for(
        &self,
        flow: &Flow,
        forwards: &[Forward],
        granted: Option<Place>,
    ) -> Option<Place> {
        let first = forwards.first()?;
        let begins = first.request.method() == Method::Invite && first.media.is_none();
        if !begins || granted.is_none() && !self.calls.is_on() {
            return granted;
        }
        let place = || {
            self.calls
                .counts()
                .place(self.site().peer_index(flow), None)
        };
        let mut place = granted.unwrap_or_else(place);
        place.moves_to(self.member_of(flow, Some(first)));
        Some(place)
    }

    /// The member that a call goes to, or comes from.
    fn member_of(&self, flow: &Flow, forward: Option<&Forward>) -> Option<(usize, usize)> {
        if let Some(chosen) = forward.and_then(|forward| forward.member.as_ref()) {
            return Some((chosen.group, chosen.member));
        }
        let site = self.site();
        if site.side_of(flow) != Side::Core {
            return None;
        }
        site.place_at(flow.peer.ip())
    }

    /// A response goes back to who sent the request; `index` is the branch that it came by.
    pub(super) fn call_is_told(
        &self,
        transaction: &Transaction,
        state: &mut State,
        index: usize,
        response: &Edited,
    ) {
        self.record_told(transaction, state, index, response);
        let (method, status) = (transaction.request.method(), response.status());
        if status >= 300 && method == Method::Invite {
            state.place = None;
        }
        let Some(branch) = state.branches.get(index).filter(|_| self.calls.is_on()) else {
            return;
        };
        let Some(dialog) = Dialog::of(response, branch.media) else {
            return;
        };
        let now = self.started.elapsed();
        match (method, status) {
            (Method::Invite, 200..=299) => {
                let member = self.member_of(&transaction.source, Some(&branch.forward));
                let place = state.place.take().map(|mut place| {
                    place.moves_to(member);
                    place
                });
                // Another answer of a fork, or a call that was up before this node. Whom it was called by, only he can say.
                let peer = self.site().peer_index(&transaction.source);
                let peer = peer.filter(|_| !branch.forward.from_called);
                let make = || Some(self.calls.counts().place(peer, member));
                self.calls.answered(&dialog, response, place, make, now);
                self.call_is_watched(transaction, branch, (&dialog, response), now);
            }
            (Method::Update, 200..=299) => {
                self.calls.refreshed(&dialog, response, now);
                self.call_is_watched(transaction, branch, (&dialog, response), now);
            }
            (Method::Bye, 200..) if !is_challenge(status) => self.calls.ended(&dialog, now),
            (_, 200..) if self.calls.watch().ends() => {
                let number = transaction.request.cseq().map_or(0, |cseq| cseq.number);
                self.calls.spoke(&dialog, number);
            }
            _ => {}
        }
    }

    /// What a call that is watched has to know of its sides.
    fn call_is_watched(
        &self,
        transaction: &Transaction,
        branch: &Branch,
        (dialog, response): (&Dialog<'_>, &Edited),
        now: Duration,
    ) {
        if !self.calls.watch().is_on() {
            return;
        }
        let source = transaction.source;
        let answered = Answered {
            invite: &transaction.request,
            source: (source, self.index.device(&source)),
            sent: &branch.request,
            flow: (
                branch.flow,
                branch
                    .forward
                    .towards
                    .or_else(|| self.index.device(&branch.flow)),
            ),
            response,
        };
        self.calls.watched(dialog, &answered, &self.site(), now);
    }

    /// Nobody answered a request that is in a transaction, so we do.
    pub(super) fn call_is_refused(
        &self,
        transaction: &Transaction,
        state: &mut State,
        reason: &Reason,
    ) {
        self.record_refused(
            &transaction.source,
            &transaction.request,
            Some(state),
            reason,
        );
        state.place = None;
        self.call_is_over_if_bye(&transaction.request);
    }

    /// A BYE will get no answer but ours: who sent it has hung up (RFC 3261 §15.1.1).
    pub(super) fn call_is_over_if_bye(&self, request: &Message) {
        let tags = (request.from_tag(), request.to_tag());
        let (true, Method::Bye, (Some(from), Some(to))) =
            (self.calls.is_on(), request.method(), tags)
        else {
            return;
        };
        for pass in PASSES {
            let dialog = Dialog {
                media: Media::none(pass),
                call_id: request.call_id(),
                tags: (from, to),
            };
            self.calls.ended(&dialog, self.started.elapsed());
        }
    }

    /// A request is passed on that nobody remembers.
    pub(super) fn call_is_passed(&self, forward: &Forward) {
        let is_bye = forward.request.method() == Method::Bye;
        if !self.calls.is_on() || !is_bye && !self.calls.watch().ends() {
            return;
        }
        let media = forward.media.unwrap_or(Media::none(forward.pass));
        let Some(dialog) = Dialog::of(&forward.request, media) else {
            return;
        };
        if is_bye {
            self.calls.ending(&dialog, self.started.elapsed());
        } else {
            let number = forward
                .request
                .original()
                .cseq()
                .map_or(0, |cseq| cseq.number);
            self.calls.spoke(&dialog, number);
        }
    }

    /// A response goes back to a request that nobody remembers.
    pub(super) fn call_is_answered(&self, onward: &Onward) {
        self.record_answered(onward);
        let response = &onward.response;
        if !self.calls.is_on() || response.status() < 200 {
            return;
        }
        let Some(dialog) = Dialog::of(response, onward.via.media) else {
            return;
        };
        let now = self.started.elapsed();
        match (response.method(), response.status()) {
            (Method::Invite, 200..=299) => {
                // A call that a limited peer begins has a transaction, so this is none.
                let make = || {
                    let flow = self.index.back(onward.listener, onward.source)?;
                    let member = self.member_of(&flow, None);
                    Some(self.calls.counts().place(None, member))
                };
                self.calls.answered(&dialog, response, None, make, now);
            }
            (Method::Update, 200..=299) => self.calls.refreshed(&dialog, response, now),
            (Method::Bye, status) if !is_challenge(status) => self.calls.ended(&dialog, now),
            _ => {}
        }
    }

    /// Asks RTPEngine about calls of which nothing was heard for long, and forgets what it does not know: their media has ended,
    /// and whoever should have said so is gone.
    pub(super) async fn doubt_calls(&self) {
        let Some(sessions) = self.media.as_ref().filter(|_| self.calls.is_on()) else {
            return;
        };
        for call in self.calls.doubtful(ASKED, self.started.elapsed()) {
            // Where it cannot be asked, nothing is known of the call.
            if sessions.has(call.media, &call.call_id).await == Some(false) {
                self.calls.is_gone(&call, self.started.elapsed());
            }
        }
    }

    /// How many calls are up.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Some of the calls that are up, `limit` at most.
    pub fn list_calls(&self, limit: usize) -> Vec<CallState> {
        self.calls.list(limit, self.started.elapsed())
    }

    /// The names of a group and its member.
    pub fn member_name(&self, (group, member): (usize, usize)) -> Option<(String, String)> {
        let site = self.site();
        let group = site.groups.get(group)?;
        let member = group.members.get(member)?;
        let name = format!("{}:{}", member.host, member.port);
        Some((group.name.clone(), name))
    }

    /// How much each peer has to do.
    pub fn peers(&self) -> Vec<PeerState> {
        self.calls.counts().peers()
    }
}

/// The same BYE comes again, with credentials.
fn is_challenge(status: u16) -> bool {
    matches!(status, 401 | 407)
}
