//! Looks at the calls that are watched, and hangs up for those whom nobody else will: a BYE to each side, as the other one would send
//! it (RFC 3261 §12.2.1.1), by the way of any BYE.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use proxy::{Device, Facts, Flow, Flows as _};
use sip::Message;

use super::{Engine, Outcome};
use crate::calls::{Cause, Due, Heard, Leg};

/// How often is looked whose turn it is.
const TICK: Duration = Duration::from_millis(250);
/// Calls that are looked at in one tick: 400 a second, a megabyte of answers.
const MOST: usize = 100;
/// Questions to RTPEngines at once.
const AT_ONCE: usize = 16;

impl Engine {
    /// Watches calls, for ever.
    pub(super) async fn watch_calls(self: &Arc<Self>) {
        if !self.calls.watch().is_on() {
            return;
        }
        let mut every = tokio::time::interval(TICK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let due = self.calls.due(MOST, self.started.elapsed());
            let looks = futures_util::stream::iter(due);
            looks
                .for_each_concurrent(AT_ONCE, |call| async move { self.look_at(&call).await })
                .await;
        }
    }

    async fn look_at(self: &Arc<Self>, call: &Due) {
        if self.has_lost_a_device(call) {
            return self.hang_up(call, Cause::Gone, [false; 2]);
        }
        let heard = self.hears(call).await;
        let silent = match heard {
            Some(heard) => self.calls.hear(call, heard, self.started.elapsed()),
            None => [false; 2],
        };
        if silent != [false; 2] {
            let call_id = String::from_utf8_lossy(&call.call_id).into_owned();
            let seconds = self.calls.watch().silent_after.as_secs();
            let [caller, called] = silent;
            tracing::info!(
                ?call_id,
                caller,
                called,
                seconds,
                "no packets come from a side of a call"
            );
            if self.calls.watch().ends_silent {
                return self.hang_up(call, Cause::Silent, silent);
            }
        }
        self.calls.again(call, self.started.elapsed());
    }

    async fn hears(&self, call: &Due) -> Option<[Heard; 2]> {
        let sessions = self.media.as_ref()?;
        if self.calls.watch().silent_after.is_zero() || !call.media.is_some() {
            return None;
        }
        let [caller, called] = &call.tags;
        sessions
            .hears(call.media, &call.call_id, [caller, called])
            .await
    }

    /// A device's connection closed, or it answers no ping any more, and it has been away for as long as it may.
    fn has_lost_a_device(&self, call: &Due) -> bool {
        let Some(places) = call
            .places
            .filter(|_| !self.calls.watch().device_gone.is_zero())
        else {
            return false;
        };
        let is_gone = |(flow, device): (Flow, Option<Device>)| {
            device.is_some_and(|device| {
                device.is_known()
                    && self.index.flow(flow.listener, flow.address()).is_none()
                    && self.index.newest(device).is_none()
            })
        };
        self.calls
            .miss(call, places.map(is_gone), self.started.elapsed())
    }

    fn hang_up(self: &Arc<Self>, call: &Due, cause: Cause, silent: [bool; 2]) {
        let Some(ending) = self.calls.ends(call, cause) else {
            return self.calls.again(call, self.started.elapsed());
        };
        self.record_ended_by_us(call, silent);
        let call_id = String::from_utf8_lossy(&ending.call_id).into_owned();
        tracing::info!(?call_id, ?cause, "a call that nobody ends is ended");
        // RFC 3326; ITU-T Q.850: temporary failure, and destination out of order.
        let reason = match cause {
            Cause::Silent => "Q.850;cause=41;text=\"No Media\"",
            Cause::Gone => "Q.850;cause=27;text=\"Device Gone\"",
        };
        for leg in &ending.legs {
            self.say_bye(leg, &ending.call_id, reason);
        }
    }

    /// Passes on what this side would say.
    fn say_bye(self: &Arc<Self>, leg: &Leg, call_id: &[u8], reason: &str) {
        let flow = leg
            .device
            .and_then(|device| self.index.newest(device))
            .unwrap_or(leg.flow);
        let site = self.site();
        let Some(listener) = site.listener(flow.listener) else {
            return;
        };
        let via = format!(
            "SIP/2.0/{} {};branch=z9hG4bKbye-{:016x}",
            flow.transport.via_name(),
            listener.sent_by(),
            getrandom::u64().unwrap_or_default()
        );
        let bye = leg.bye(call_id, &via, reason);
        let Ok(bye) = Message::parse(bye, &self.limits) else {
            return;
        };
        let Some(transaction) = self.begin_ours(&flow, &bye) else {
            return;
        };
        if let Outcome::Wait(rest) = self.decide(&flow, bye, Some(transaction), Facts::default()) {
            tokio::spawn(rest);
        }
    }
}
