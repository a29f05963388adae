//! Failover inside the transaction (SIGNALLING §6): carries out what [`proxy::failover`] decides, and tells the upstream what
//! was seen of its members.

use std::sync::Arc;

use proxy::token::Media;
use proxy::{Alive, Flow, Forward, Hop, Reason};
use sip::Edited;

use super::Engine;
use super::drive::BRANCHES;
use super::transaction::{ClientInput, State, Transaction};
use crate::upstream::Place;

/// Why somebody else is asked.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Nothing came back in time.
    Silent,
    /// It could not be sent, or the connection broke before anything came back.
    Failed(Reason),
    /// It answered what its group does not take for an answer.
    Answered(Box<Edited>),
    /// It answered 3xx, and somebody whom that names is asked.
    Redirected(Box<Edited>),
}

impl Engine {
    /// The time that a member has is over.
    pub(super) fn patience_ended(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
    ) {
        let Some(branch) = state
            .branches
            .get(index)
            .filter(|branch| !branch.heard && !branch.client.is_terminated())
        else {
            return;
        };
        if let Some(place) = self.place_of(&branch.forward) {
            self.upstream.was_silent(place);
        }
        self.fail_over(transaction, state, index, Trouble::Silent);
    }

    /// The transaction of a branch ended without any answer.
    pub(super) fn timed_out(&self, state: &State, index: usize) {
        let silent = state
            .branches
            .get(index)
            .filter(|branch| !branch.heard && !branch.superseded);
        if let Some(place) = silent.and_then(|branch| self.place_of(&branch.forward)) {
            self.upstream.was_silent(place);
        }
    }

    /// A request had to be sent again: somebody looks whether the member still lives.
    pub(super) fn doubt(&self, state: &State, index: usize) {
        let doubtful = state
            .branches
            .get(index)
            .filter(|branch| !branch.heard && !branch.superseded);
        if let Some(place) = doubtful.and_then(|branch| self.place_of(&branch.forward)) {
            self.upstream.doubt(place);
        }
    }

    /// A branch ended without an answer: the device may have another flow.
    pub(super) fn branch_was_silent(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
    ) {
        let silent = state
            .branches
            .get(index)
            .is_some_and(|branch| branch.forward.bound.is_some() && !branch.heard);
        let trouble = Trouble::Failed(Reason::Timeout);
        if !silent || !self.fail_over(transaction, state, index, trouble) {
            self.branch_failed(transaction, state, index, &Reason::Timeout);
        }
    }

    /// RFC 5626 §5.3: the edge says that the flow is gone, so the binding is, unless the device came back meanwhile.
    pub(super) fn binding_failed(&self, state: &State, index: usize) {
        let branch = state.branches.get(index);
        let bound = branch.and_then(|branch| branch.forward.bound.as_ref());
        if let (Some(registrar), Some(bound)) = (&self.registrar, bound) {
            let binding = &bound.binding;
            let path = binding.path.first().map_or(&[][..], |path| path);
            registrar.flow_failed(&binding.aor, &binding.contact, path, binding.updated);
        }
    }

    /// A branch could not be sent, or the connection that would bring its answer is gone.
    pub(super) fn branch_unreachable(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        reason: Reason,
    ) {
        let branch = &state.branches[index];
        let (heard, is_stream) = (branch.heard, branch.flow.transport.is_stream());
        match self.place_of(&branch.forward) {
            // Of a datagram it is our own system that says so.
            Some(place) if is_stream && self.upstream.is_alive(place.group, place.member) => {
                self.upstream.was_refused(place)
            }
            _ => {}
        }
        if heard || !self.fail_over(transaction, state, index, Trouble::Failed(reason.clone())) {
            self.branch_failed(transaction, state, index, &reason);
        }
    }

    /// Asks the next member in the same server transaction; false if nobody is left, or it is too late for it.
    pub(super) fn fail_over(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        trouble: Trouble,
    ) -> bool {
        if !may_fail_over(state, index) {
            return false;
        }
        let view = self.view();
        let forward = &state.branches[index].forward;
        let around = || match trouble {
            Trouble::Failed(_) => proxy::failover::around_refused(forward, &view.context()),
            _ => None,
        };
        let next = proxy::failover::next(forward, &view.context()).or_else(around);
        let next = next.or_else(|| state.redirects.take_next());
        next.is_some_and(|next| self.ask_instead(transaction, state, index, next, trouble))
    }

    /// Tries who a 3xx names, or named before, in place of a branch that ended with this response; false if there is nobody.
    pub(super) fn redirected(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        response: &Edited,
    ) -> bool {
        if response.status() < 300 || !may_fail_over(state, index) {
            return false;
        }
        let view = self.view();
        let forward = &state.branches[index].forward;
        let is_followed = state.redirects.take(forward, response, &view.context());
        if !is_followed && !state.redirects.go_on_after(response.status()) {
            return false;
        }
        let Some(next) = state.redirects.take_next() else {
            return false;
        };
        let response = Box::new(response.clone());
        let trouble = match is_followed {
            true => Trouble::Redirected(response),
            false => Trouble::Answered(response),
        };
        self.ask_instead(transaction, state, index, next, trouble)
    }

    /// Asks somebody in the place of a branch; false if there is no way.
    fn ask_instead(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        next: Forward,
        trouble: Trouble,
    ) -> bool {
        // Another flow is another branch of the session, perhaps of another kind.
        let is_offered = next.bound.is_some() && self.offers(std::slice::from_ref(&next));
        let media = state.branches[index].media;
        if let Some(flow) = self.flow_to(&next.hop).filter(|_| !is_offered) {
            return self.take_over(transaction, state, index, (next, media, flow), &trouble);
        }
        let (Some(me), transaction) = (self.me.upgrade(), transaction.clone()) else {
            return false;
        };
        tokio::spawn(async move {
            let found = match me.open_any(next).await {
                Some((mut next, flow)) if is_offered => {
                    let offered = me.offer(&mut next).await;
                    offered.ok().map(|media| (next, media, flow))
                }
                Some((next, flow)) => Some((next, media, flow)),
                None => None,
            };
            let mut state = transaction.lock();
            // Meanwhile it may have been cancelled, or the silent one has spoken.
            let is_wanted = may_fail_over(&state, index)
                && (!matches!(trouble, Trouble::Silent) || !state.branches[index].heard);
            let taken = match found {
                Some(found) if is_wanted => {
                    me.take_over(&transaction, &mut state, index, found, &trouble)
                }
                _ => false,
            };
            if !taken {
                me.give_up(&transaction, &mut state, index, trouble);
            }
            me.forget_if_over(&transaction, &state);
        });
        true
    }

    /// The flow to the member, or to the next one that can be reached.
    pub(super) async fn open_any(&self, mut forward: Forward) -> Option<(Forward, Flow)> {
        let mut went_around = false;
        loop {
            if let Some(flow) = self.open(&forward.hop).await {
                return Some((forward, flow));
            }
            if let Some(place) = self.place_of(&forward) {
                self.upstream.was_refused(place);
            }
            let view = self.view();
            let next = proxy::failover::next(&forward, &view.context());
            forward = match next {
                Some(next) => next,
                // Once: two that refuse would send it to each other for ever.
                None if !went_around => {
                    went_around = true;
                    proxy::failover::around_refused(&forward, &view.context())?
                }
                None => return None,
            };
        }
    }

    fn take_over(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        (next, media, flow): (Forward, Media, Flow),
        trouble: &Trouble,
    ) -> bool {
        if next.bound.is_some() {
            self.session_ended_by(transaction, state, index, None);
        }
        let Some(actions) = self.add_branch(transaction, state, next, media, flow) else {
            return false;
        };
        let newest = state.branches.len() - 1;
        let chosen = state.branches[newest].forward.member.as_ref();
        let member = chosen.map(|chosen| (chosen.group, chosen.member));
        if let Some(place) = &mut state.place {
            place.moves_to(member);
        }
        // It is not offered again.
        state.branches[newest].offered_to = state.branches[index].offered_to;
        let branch = &mut state.branches[index];
        branch.superseded = true;
        let is_redirected = matches!(trouble, Trouble::Redirected(_));
        if let Some(place) = self.place_of(&branch.forward).filter(|_| !is_redirected) {
            self.upstream.passed_over(place);
        }
        let Some(fork) = &mut state.fork else {
            return false;
        };
        match trouble {
            Trouble::Silent => {
                fork.replace(index);
                // Sent again, it could arrive twice: once by each member.
                branch.armed.stop_repeating();
            }
            // §16.7 step 4: what is followed is no answer any more.
            Trouble::Redirected(_) => drop(fork.replace(index)),
            Trouble::Failed(reason) => {
                fork.add();
                fork.response(index, reason.status());
                state.failures.push((index, reason.clone()));
            }
            Trouble::Answered(response) => {
                fork.add();
                fork.response(index, response.status());
                branch.ended = Some(Edited::clone(response));
            }
        }
        if matches!(trouble, Trouble::Silent) {
            // Kept until its first 1xx (RFC 3261 §9.1).
            self.client_input(transaction, state, index, ClientInput::Cancel, None);
        }
        self.run_client(transaction, state, newest, actions, None);
        true
    }

    /// Nobody else could be reached: what happened to the branch stands.
    fn give_up(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        trouble: Trouble,
    ) {
        if may_fail_over(state, index)
            && let Some(next) = state.redirects.take_next()
            && self.ask_instead(transaction, state, index, next, trouble.clone())
        {
            return;
        }
        match trouble {
            Trouble::Silent => {}
            Trouble::Failed(reason) => self.branch_failed(transaction, state, index, &reason),
            Trouble::Answered(response) | Trouble::Redirected(response) => {
                self.branch_answered(transaction, state, index, &response)
            }
        }
    }

    /// The member that a request went to, if its number means the same server still.
    pub(super) fn place_of(&self, forward: &Forward) -> Option<Place> {
        let chosen = forward.member.as_ref()?;
        let Hop::Server { address, .. } = forward.hop else {
            return None;
        };
        let site = self.site();
        let member = site.groups.get(chosen.group)?.members.get(chosen.member)?;
        (member.address == Some(address)).then_some(Place {
            group: chosen.group,
            member: chosen.member,
        })
    }

    /// A member is dead: what waits for it waits no longer. What it has answered 100 is not sent again: by another way it
    /// would be a merged request (RFC 3261 §8.2.2.2). What was only to pass it, inside a dialog, takes another way.
    pub(super) fn member_died(&self, place: Place) {
        for transaction in self.table.all() {
            let mut state = transaction.lock();
            let waits = |state: &State, index: usize| {
                let is_pending = state
                    .fork
                    .as_ref()
                    .is_some_and(|fork| fork.is_pending(index));
                is_pending && self.place_of(&state.branches[index].forward) == Some(place)
            };
            let hit: Vec<usize> = (0..state.branches.len())
                .filter(|index| waits(&state, *index))
                .collect();
            for index in 0..state.branches.len() {
                self.go_around(&transaction, &mut state, index);
            }
            self.lose_branches(&transaction, &mut state, hit);
            self.forget_if_over(&transaction, &state);
        }
    }

    /// Sends a request that nobody has answered, and whose Route names a dead member, through a living one.
    fn go_around(&self, transaction: &Arc<Transaction>, state: &mut State, index: usize) {
        let branch = &state.branches[index];
        let is_waiting = !branch.heard
            && branch.forward.member.is_none()
            && state
                .fork
                .as_ref()
                .is_some_and(|fork| fork.is_pending(index));
        if !is_waiting || !may_fail_over(state, index) {
            return;
        }
        let around = proxy::failover::around(&branch.forward, &self.view().context());
        if let Some(around) = around {
            self.ask_instead(transaction, state, index, around, Trouble::Silent);
        }
    }
}

fn may_fail_over(state: &State, index: usize) -> bool {
    let Some(fork) = &state.fork else {
        return false;
    };
    let is_open = state.cancelled.is_none() && !fork.is_answered() && !fork.is_ending();
    is_open
        && state.branches.len() < BRANCHES
        && state
            .branches
            .get(index)
            .is_some_and(|branch| !branch.superseded)
}
