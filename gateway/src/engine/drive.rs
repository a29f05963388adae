//! Drives the machines of a transaction: what they ask for is done here, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use proxy::fork::{self, Fork};
use proxy::token::Media;
use proxy::{Flow, Forward, Reason};
use sip::transaction::{Action, Actions, NonInviteClient, NonInviteClientInput, Timer, Timers};
use sip::{Edited, Message};

use super::Engine;
use super::failover::Trouble;
use super::timers::{Armed, Slot};
use super::transaction::{
    ArmedTimers, Branch, Cancel, Client, ClientInput, ServerInput, State, Transaction,
};

/// Branches of one request at most.
pub(super) const BRANCHES: usize = 32;

impl Engine {
    fn times(&self, flow: &Flow) -> Timers {
        self.times.reliable(flow.transport.is_stream())
    }

    /// Something happened to the server transaction.
    pub(super) fn server_input(&self, transaction: &Arc<Transaction>, input: ServerInput) {
        let mut state = transaction.lock();
        self.step_server(transaction, &mut state, input);
        self.forget_if_over(transaction, &state);
    }

    fn step_server(&self, transaction: &Transaction, state: &mut State, input: ServerInput) {
        let actions = state.server.handle(input, &self.times(&transaction.source));
        for action in actions {
            match action {
                // Who would get it has not asked.
                Action::Send(_) if transaction.ours => {}
                Action::Send(bytes) => drop(self.send(&transaction.source, bytes)),
                Action::SetTimer(timer, after) => {
                    let serial = self.arm(transaction, Slot::Server(timer), after);
                    state.armed.set(timer, serial);
                }
                Action::StopTimers | Action::Terminated => state.armed.clear(),
                // No ACK came: the caller has gone, and nobody is left to tell.
                Action::Deliver
                | Action::Ack
                | Action::Cancel
                | Action::Timeout
                | Action::TransportError => {}
            }
        }
    }

    fn arm(&self, transaction: &Transaction, slot: Slot, after: std::time::Duration) -> u32 {
        let serial = self.next_serial();
        self.timers.arm(
            after,
            Armed {
                transaction: transaction.key,
                slot,
                serial,
            },
        );
        serial
    }

    /// Sends the copies of a request; `failed` is the answer if there is none to send.
    pub(super) fn launch(
        &self,
        transaction: &Arc<Transaction>,
        ready: Vec<(Forward, Media, Flow)>,
        failed: &Reason,
    ) {
        let mut state = transaction.lock();
        if state.cancelled.is_some() || ready.is_empty() {
            for (forward, media, _) in &ready {
                self.session_failed(forward, *media);
            }
            let reason = if state.cancelled.is_some() {
                &Reason::Terminated
            } else {
                failed
            };
            self.respond_ourselves(transaction, &mut state, reason);
            self.forget_if_over(transaction, &state);
            return;
        }
        let is_invite = transaction.is_invite();
        state.fork = Some(Fork::new(ready.len().min(BRANCHES), is_invite));
        let first = state.branches.len();
        for (forward, media, flow) in ready.into_iter().take(BRANCHES) {
            if let Some(actions) = self.add_branch(transaction, &mut state, forward, media, flow) {
                state.started.push(actions);
            }
        }
        for (offset, actions) in std::mem::take(&mut state.started).into_iter().enumerate() {
            self.run_client(transaction, &mut state, first + offset, actions, None);
        }
        self.forget_if_over(transaction, &state);
    }

    /// Makes a branch, whose machine asks for what is returned; `None` if there is no listener to send it from.
    pub(super) fn add_branch(
        &self,
        transaction: &Transaction,
        state: &mut State,
        forward: Forward,
        media: Media,
        flow: Flow,
    ) -> Option<Actions> {
        let sealed = proxy::forward::seal(&forward, media, &self.view().context())?;
        self.note_shortened(sealed.shortened.as_deref());
        let bytes = sealed.request.to_bytes();
        let (client, actions) = Client::new(transaction.is_invite(), bytes, &self.times(&flow));
        let index = state.branches.len() as u8;
        let key = self.table.client_key(sealed.branch.as_bytes());
        self.table.insert_client(key, transaction.key, index, &flow);
        let patience = proxy::failover::patience(&forward)
            .map(|after| self.arm(transaction, Slot::Patience(index), after));
        state.branches.push(Branch {
            key,
            forward,
            request: sealed.request,
            flow,
            client,
            armed: ArmedTimers::default(),
            cancel: None,
            ended: None,
            media,
            offered_to: flow,
            heard: false,
            superseded: false,
            patience,
        });
        Some(actions)
    }

    /// Something happened to a branch.
    pub(super) fn client_input(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        input: ClientInput,
        response: Option<&Message>,
    ) -> bool {
        let Some(branch) = state.branches.get_mut(index) else {
            return false;
        };
        let times = self.times.reliable(branch.flow.transport.is_stream());
        let actions = branch.client.handle(input, &times);
        self.run_client(transaction, state, index, actions, response)
    }

    /// Does what a branch's machine asks for; true if the response is to be passed on.
    pub(super) fn run_client(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        actions: Actions,
        response: Option<&Message>,
    ) -> bool {
        let mut deliver = false;
        for action in actions {
            let branch = &mut state.branches[index];
            match action {
                Action::Send(bytes) => {
                    if self.send(&branch.flow, bytes).is_err() {
                        self.client_input(
                            transaction,
                            state,
                            index,
                            ClientInput::TransportError,
                            None,
                        );
                        return false;
                    }
                }
                Action::Deliver => deliver = true,
                Action::Ack => {
                    if let Some(response) = response {
                        let ack = sip::build::ack_for(&branch.request, response);
                        let _ = self.send(&branch.flow, ack);
                    }
                }
                Action::Cancel => self.send_cancel(transaction, state, index),
                Action::SetTimer(timer, after) => {
                    let serial = self.arm(transaction, Slot::Client(index as u8, timer), after);
                    state.branches[index].armed.set(timer, serial);
                }
                Action::StopTimers | Action::Terminated => branch.armed.clear(),
                Action::Timeout => {
                    self.timed_out(state, index);
                    self.branch_was_silent(transaction, state, index);
                }
                Action::TransportError => {
                    let reason = branch.forward.lost();
                    self.branch_unreachable(transaction, state, index, reason);
                }
            }
        }
        deliver
    }

    /// A branch ended without an answer: RFC 3261 §16.8, §16.9.
    pub(super) fn branch_failed(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        reason: &Reason,
    ) {
        // Nobody waits for it any more.
        if state.branches[index].superseded {
            return;
        }
        let reason = if state.cancelled.is_some() {
            &Reason::Terminated
        } else {
            reason
        };
        state.failures.push((index, reason.clone()));
        let Some(fork) = &mut state.fork else { return };
        let actions = fork.response(index, reason.status());
        self.offer_refused(transaction, state, index, None);
        self.run_fork(transaction, state, actions, None);
        self.session_ended_by(transaction, state, index, None);
    }

    /// A response of a branch is ready to go on.
    pub(super) fn deliver(
        &self,
        transaction: &Arc<Transaction>,
        index: usize,
        mut response: Edited,
    ) {
        let mut state = transaction.lock();
        if state
            .branches
            .get(index)
            .is_some_and(|branch| branch.forward.anonymous)
        {
            proxy::privacy::reveal(&mut response, &transaction.request);
        }
        if response.has_sdp() && !transaction.request.has_sdp() {
            state.offered = Some(Bytes::copy_from_slice(response.original().body()));
        }
        // RFC 3261 §16.7 step 6 makes 500 of a 503 on the way.
        let status = response.original().status();
        let is_no_answer = state.branches.get(index).is_some_and(|branch| {
            proxy::failover::is_no_answer(&branch.forward, status, &self.view().context())
        });
        let taken_over = is_no_answer
            && self.fail_over(
                transaction,
                &mut state,
                index,
                Trouble::Answered(Box::new(response.clone())),
            );
        if status == 430 {
            self.binding_failed(&state, index);
        }
        let is_ours = state
            .branches
            .get(index)
            .is_some_and(|branch| branch.forward.bound.is_some());
        // RFC 5626 §5.3: it is for registrars, and this one has been told.
        if status == 430 && is_ours {
            response.set_status(480, b"Temporarily Unavailable: flow failed");
        }
        let taken_over = taken_over || self.redirected(transaction, &mut state, index, &response);
        if !taken_over {
            self.branch_answered(transaction, &mut state, index, &response);
        }
        self.forget_if_over(transaction, &state);
    }

    /// A response of a branch is what is said of it.
    pub(super) fn branch_answered(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        response: &Edited,
    ) {
        let status = response.status();
        let Some(fork) = &mut state.fork else { return };
        let actions = fork.response(index, status);
        if status >= 300
            && let Some(branch) = state.branches.get_mut(index)
        {
            branch.ended = Some(response.clone());
        }
        self.offer_refused(transaction, state, index, Some(status));
        self.run_fork(transaction, state, actions, Some(response));
        if status >= 200 {
            self.session_ended_by(transaction, state, index, Some(status));
        }
        if (200..300).contains(&status) {
            self.session_has_a_winner(transaction, state, index, response.original());
        }
    }

    fn run_fork(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        actions: fork::Actions,
        response: Option<&Edited>,
    ) {
        for action in actions {
            match action {
                fork::Action::Forward(index) => {
                    if let Some(response) = response {
                        self.respond(transaction, state, index, response);
                    }
                }
                fork::Action::ForwardBest(index) => {
                    match state.branches.get(index).and_then(|b| b.ended.clone()) {
                        Some(best) => self.respond(transaction, state, index, &best),
                        None => {
                            let failure = state.failures.iter().find(|(at, _)| *at == index);
                            let reason =
                                failure.map_or(Reason::Timeout, |(_, reason)| reason.clone());
                            self.respond_ourselves(transaction, state, &reason);
                        }
                    }
                }
                fork::Action::Cancel(index) => {
                    self.client_input(transaction, state, index, ClientInput::Cancel, None);
                }
            }
        }
    }

    /// Sends a response back, and keeps a 2xx for its retransmissions.
    fn respond(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        response: &Edited,
    ) {
        self.call_is_told(transaction, state, index, response);
        let (status, bytes) = (
            response.status(),
            self.bytes_back(response, &transaction.source),
        );
        if transaction.is_invite() && (200..300).contains(&status) {
            let tag = response.to_tag().unwrap_or_default().to_vec();
            state.answers.push((tag, bytes.clone()));
        }
        self.step_server(transaction, state, ServerInput::Respond { status, bytes });
    }

    fn respond_ourselves(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        reason: &Reason,
    ) {
        self.counters.count(reason);
        self.call_is_refused(transaction, state, reason);
        let bytes = proxy::reply::answer(&transaction.request, transaction.source.peer, reason);
        self.step_server(
            transaction,
            state,
            ServerInput::Respond {
                status: reason.status(),
                bytes,
            },
        );
    }

    /// A 2xx that went back before: the same bytes again.
    pub(super) fn answered_before(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        tag: &[u8],
    ) -> bool {
        let Some((_, bytes)) = state.answers.iter().find(|(known, _)| known == tag) else {
            return false;
        };
        let input = ServerInput::Respond {
            status: 200,
            bytes: bytes.clone(),
        };
        self.step_server(transaction, state, input);
        true
    }

    /// The caller gave up.
    pub(super) fn cancel_branches(&self, transaction: &Arc<Transaction>, reason: Option<Bytes>) {
        let mut state = transaction.lock();
        if state.cancelled.is_some() {
            return;
        }
        self.record_cancelled(transaction, &state, reason.as_deref());
        state.cancelled = Some(reason);
        match &mut state.fork {
            // It waits for RTPEngine or a look-up: nothing was sent, and nothing will be.
            None => self.respond_ourselves(transaction, &mut state, &Reason::Terminated),
            Some(fork) => {
                let actions = fork.cancel();
                self.run_fork(transaction, &mut state, actions, None);
            }
        }
        self.forget_if_over(transaction, &state);
    }

    fn send_cancel(&self, transaction: &Arc<Transaction>, state: &mut State, index: usize) {
        let reason = state.cancel_reason();
        let branch = &mut state.branches[index];
        let bytes = sip::build::cancel_for(&branch.request, reason.as_deref());
        let times = self.times.reliable(branch.flow.transport.is_stream());
        let (client, actions) = NonInviteClient::new(bytes, &times);
        branch.cancel = Some(Cancel {
            client,
            armed: ArmedTimers::default(),
        });
        self.run_cancel(transaction, state, index, actions);
    }

    /// Something happened to the CANCEL of a branch.
    pub(super) fn cancel_input(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        input: NonInviteClientInput,
    ) {
        let Some(branch) = state.branches.get_mut(index) else {
            return;
        };
        let times = self.times.reliable(branch.flow.transport.is_stream());
        let Some(cancel) = &mut branch.cancel else {
            return;
        };
        let actions = cancel.handle(input, &times);
        self.run_cancel(transaction, state, index, actions);
    }

    fn run_cancel(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        index: usize,
        actions: Actions,
    ) {
        for action in actions {
            let branch = &mut state.branches[index];
            match action {
                Action::Send(bytes) => drop(self.send(&branch.flow, bytes)),
                Action::SetTimer(timer, after) => {
                    let serial = self.arm(transaction, Slot::Cancel(index as u8, timer), after);
                    if let Some(cancel) = &mut state.branches[index].cancel {
                        cancel.armed.set(timer, serial);
                    }
                }
                Action::StopTimers | Action::Terminated => {
                    if let Some(cancel) = &mut branch.cancel {
                        cancel.armed.clear();
                    }
                }
                // Whatever becomes of the CANCEL, the INVITE's own timer ends the branch (RFC 3261 §9.1).
                Action::Deliver
                | Action::Ack
                | Action::Cancel
                | Action::Timeout
                | Action::TransportError => {}
            }
        }
    }

    /// A timer fired.
    pub(super) fn fire(&self, armed: Armed) {
        let Some(transaction) = self.table.get(armed.transaction) else {
            return;
        };
        let mut state = transaction.lock();
        match armed.slot {
            Slot::Server(timer) => {
                if state.armed.fired(timer, armed.serial) {
                    self.step_server(&transaction, &mut state, ServerInput::Timer(timer));
                }
            }
            Slot::Client(index, timer) => {
                let index = usize::from(index);
                let runs = state
                    .branches
                    .get_mut(index)
                    .is_some_and(|b| b.armed.fired(timer, armed.serial));
                if runs {
                    if matches!(timer, Timer::A | Timer::E) {
                        self.doubt(&state, index);
                    }
                    self.client_input(
                        &transaction,
                        &mut state,
                        index,
                        ClientInput::Timer(timer),
                        None,
                    );
                }
            }
            Slot::Cancel(index, timer) => {
                let index = usize::from(index);
                let cancel = state
                    .branches
                    .get_mut(index)
                    .and_then(|branch| branch.cancel.as_mut());
                if cancel.is_some_and(|cancel| cancel.armed.fired(timer, armed.serial)) {
                    let input = NonInviteClientInput::Timer(timer);
                    self.cancel_input(&transaction, &mut state, index, input);
                }
            }
            Slot::Patience(index) => {
                let index = usize::from(index);
                if state
                    .branches
                    .get(index)
                    .is_some_and(|branch| branch.patience == Some(armed.serial))
                {
                    self.patience_ended(&transaction, &mut state, index);
                }
            }
        }
        self.forget_if_over(&transaction, &state);
    }

    /// Branches whose answers will not come any more.
    pub(super) fn lose_branches(
        &self,
        transaction: &Arc<Transaction>,
        state: &mut State,
        lost: Vec<usize>,
    ) {
        for index in lost {
            self.client_input(transaction, state, index, ClientInput::TransportError, None);
        }
    }

    /// A connection is gone: what it would have answered is decided now.
    pub(super) fn flow_failed(&self, flow: &Flow) {
        for transaction in self.table.of_connection(flow) {
            let mut state = transaction.lock();
            let hit: Vec<usize> = (0..state.branches.len())
                .filter(|index| state.branches[*index].flow.connection == flow.connection)
                .filter(|index| !state.branches[*index].client.is_terminated())
                .collect();
            self.lose_branches(&transaction, &mut state, hit);
            // The caller is gone: who still rings for it is told (a page that was closed sends no CANCEL).
            if transaction.source.connection == flow.connection
                && transaction.is_invite()
                && state.cancelled.is_none()
                && let Some(fork) = state.fork.as_mut().filter(|fork| !fork.is_answered())
            {
                let actions = fork.cancel();
                self.record_cancelled(&transaction, &state, None);
                state.cancelled = Some(None);
                self.run_fork(&transaction, &mut state, actions, None);
            }
            self.forget_if_over(&transaction, &state);
        }
    }

    pub(super) fn forget_if_over(&self, transaction: &Transaction, state: &State) {
        if state.is_over() {
            self.table.remove(
                transaction,
                state
                    .branches
                    .iter()
                    .map(|branch| (branch.key, &branch.flow)),
            );
        }
    }
}
