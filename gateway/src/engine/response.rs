//! The way of a response.

use std::time::Duration;

use bytes::Bytes;
use proxy::cluster;
use proxy::mtu::{self, Shortened};
use proxy::response::{Onward, pass_on};
use proxy::{Device, Flow, Reason, device};
use sip::transaction::NonInviteClientInput;
use sip::{Edited, Header, Message, Method};

use super::session::Asked;
use super::transaction::ClientInput;
use super::{Engine, Outcome};

/// 2xx to one INVITE, each of another device behind a fork further on.
const ANSWERS: usize = 32;

impl Engine {
    pub(super) fn response(&self, flow: &Flow, response: &Message) -> Outcome {
        if response.method() == Method::Cancel && self.of_our_cancel(response) {
            return Outcome::Done;
        }
        if response.method() == Method::Options
            && (self.cluster.take(flow, response)
                || self.upstream.take(response)
                || self.of_our_ping(response))
        {
            return Outcome::Done;
        }
        let stray = |reason| {
            self.counters.count(&reason);
            Outcome::Done
        };
        let handed = match cluster::came_by(response, flow, &self.view().context()) {
            Ok(handed) => handed,
            Err(reason) => return stray(reason),
        };
        let flow = handed.as_ref().unwrap_or(flow);
        let onward = match pass_on(response, flow, &self.view().context()) {
            Ok(onward) => onward,
            Err(reason) => return stray(reason),
        };
        // Only what answers a request of ours: a member outside has an address that others can forge.
        if response.status() == 503 {
            self.note_busy(flow, response);
        }
        let via = response.top_via();
        let branch = via.as_ref().and_then(|via| via.branch).unwrap_or_default();
        match self.table.client(branch) {
            // RFC 3261 §17.1.3: else an INVITE's answer passes for another's, whose SDP nobody looks at.
            Some((transaction, _)) if transaction.request.method() != response.method() => {
                self.counters.count(&Reason::StrayResponse);
                Outcome::Done
            }
            Some((transaction, index)) => {
                self.of_transaction(flow, response, onward, transaction, usize::from(index))
            }
            None if handed.is_none() && self.hand_back(flow, response, &onward) => Outcome::Done,
            None => self.stateless(flow, response, onward),
        }
    }

    /// SIGNALLING §3: a response belongs to the living node that made its branch.
    fn hand_back(&self, flow: &Flow, response: &Message, onward: &Onward) -> bool {
        let view = self.view();
        let Some(hop) = cluster::node_of(&onward.via, &view.context()) else {
            return false;
        };
        let bytes = cluster::hand_back(response, flow, &view.context()).to_bytes();
        let _ = self.send_to(&hop, bytes);
        true
    }

    /// RFC 3261 §20.33: a member that asks to be left alone gets nothing until then.
    fn note_busy(&self, flow: &Flow, response: &Message) {
        let value = response
            .header(Header::RetryAfter)
            .and_then(|value| std::str::from_utf8(value).ok());
        let seconds =
            value.and_then(|value| value.split([' ', '\t', '(', ';']).next()?.parse().ok());
        if let Some(seconds) = seconds {
            self.upstream
                .was_busy(flow.peer, Duration::from_secs(seconds));
        }
    }

    fn of_transaction(
        &self,
        flow: &Flow,
        response: &Message,
        mut onward: Onward,
        transaction: std::sync::Arc<super::transaction::Transaction>,
        index: usize,
    ) -> Outcome {
        let mut state = transaction.lock();
        let input = ClientInput::Response(response.status());
        let mut is_over = false;
        if state
            .branches
            .get(index)
            .is_some_and(|branch| !branch.heard)
        {
            self.record_heard(&transaction, &state, index);
        }
        if let Some(branch) = state.branches.get_mut(index) {
            branch.heard = true;
            // Another member has its place: it may still answer, but not ring.
            is_over = branch.superseded && response.status() < 200;
        }
        let is_new = self.client_input(&transaction, &mut state, index, input, Some(response));
        let repeated = (200..300).contains(&response.status())
            && self.answered_before(
                &transaction,
                &mut state,
                response.to_tag().unwrap_or_default(),
            );
        // Who answers an INVITE that often forks to nobody: each answer is kept, and wakes the caller.
        let floods = (200..300).contains(&response.status()) && state.answers.len() >= ANSWERS;
        self.forget_if_over(&transaction, &state);
        let branch = state.branches.get(index);
        let offered_to = branch.map_or(*flow, |branch| branch.offered_to);
        drop(state);
        if !is_new || repeated || is_over || floods {
            return Outcome::Done;
        }
        self.learn_from(&onward);
        if !self.carries_session(response, &onward) {
            self.deliver(&transaction, index, onward.response);
            return Outcome::Done;
        }
        let (Some(me), flow) = (self.me.upgrade(), *flow) else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            let asked = Asked::Known(&transaction, index);
            me.session_in_response(&mut onward, (&flow, &offered_to), asked)
                .await;
            me.deliver(&transaction, index, onward.response);
        })
    }

    /// RFC 3261 §9.1: a CANCEL is hop by hop, so its answer has no Via but ours, and goes no further. False if the
    /// CANCEL was not of our making.
    fn of_our_cancel(&self, response: &Message) -> bool {
        let via = response.top_via();
        let branch = via.as_ref().and_then(|via| via.branch).unwrap_or_default();
        let Some((transaction, index)) = self.table.client(branch) else {
            return false;
        };
        let mut state = transaction.lock();
        let input = NonInviteClientInput::Response(response.status());
        self.cancel_input(&transaction, &mut state, usize::from(index), input);
        self.forget_if_over(&transaction, &state);
        true
    }

    /// A response to a request that was relayed without being remembered, or whose transaction died with its node.
    fn stateless(&self, flow: &Flow, response: &Message, mut onward: Onward) -> Outcome {
        // RFC 3261 §16.7 step 4: 100 is hop by hop.
        if response.status() == 100 && onward.via.media.is_some() {
            return Outcome::Done;
        }
        self.learn_from(&onward);
        self.call_is_answered(&onward);
        if !self.carries_session(response, &onward) {
            self.send_back(&onward);
            return Outcome::Done;
        }
        let (Some(me), flow) = (self.me.upgrade(), *flow) else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            let asked = Asked::Forgotten {
                had_offer: onward.via.offer,
            };
            me.session_in_response(&mut onward, (&flow, &flow), asked)
                .await;
            me.send_back(&onward);
        })
    }

    fn send_back(&self, onward: &Onward) {
        match self.index.back(onward.listener, onward.source) {
            Some(flow) => drop(self.send(&flow, self.bytes_back(&onward.response, &flow))),
            None => self.counters.count(&Reason::StrayResponse),
        }
    }

    /// A response as it leaves by this flow: over UDP it has to fit a datagram (SIGNALLING §8).
    pub(super) fn bytes_back(&self, response: &Edited, flow: &Flow) -> Bytes {
        let (bytes, shortened) = mtu::fit(response, flow, &self.site());
        self.note_shortened(shortened.as_ref());
        bytes
    }

    /// Counts and logs what a message lost to fit a datagram.
    pub(super) fn note_shortened(&self, shortened: Option<&Shortened>) {
        if let Some(shortened) = shortened {
            self.counters.shortened(shortened);
            let Shortened {
                budget,
                before,
                after,
                spent,
            } = shortened;
            tracing::debug!(budget, before, after, ?spent, "too long for a datagram");
        }
    }

    /// A 2xx to REGISTER tells where a device now is (SIGNALLING §5).
    fn learn_from(&self, onward: &Onward) {
        let response = &onward.response;
        let (Method::Register, 200..=299, Some(device)) =
            (response.method(), response.status(), onward.via.device)
        else {
            return;
        };
        if let Some(flow) = self.index.back(onward.listener, onward.source) {
            self.learn(&[Device(device)], response, &flow);
        }
    }

    /// These devices registered by this flow, or removed themselves: the answer says which.
    pub(super) fn learn(&self, devices: &[Device], response: &Edited, flow: &Flow) {
        for device in devices {
            match device::expires(response, *device, &self.site()) {
                Some((seconds @ 1.., whole)) => {
                    self.index.learn(whole, *flow, Duration::from_secs(seconds));
                    self.begin_pings(*device, flow, response);
                }
                _ => self.index.forget(*device),
            }
        }
    }
}
