//! Pings whom [`Keepalive`](crate::keepalive::Keepalive) says, and draws the consequences of silence.

use bytes::Bytes;
use proxy::{Device, Flow, Flows, ListenerId};
use sip::{Edited, Message};

use super::Engine;
use crate::keepalive::{self, Rules, TICK, Turn};

impl Engine {
    /// Pings devices, for ever.
    pub(super) async fn keep_alive(&self) {
        if !self.keepalive.has_work() {
            return;
        }
        let mut every = tokio::time::interval(TICK);
        // After a pause nobody needs two pings.
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            for (listener, rules, devices) in self.keepalive.due() {
                for device in devices {
                    self.ping(device, listener, &rules);
                }
            }
        }
    }

    fn ping(&self, device: Device, listener: ListenerId, rules: &Rules) {
        let here = |flow: &Flow| flow.listener == listener && flow.connection.is_none();
        let Some(flow) = self.index.newest(device).filter(here) else {
            return self.keepalive.end(device, listener);
        };
        // Nobody can say what he was not asked.
        let random = getrandom::u64().unwrap_or_default();
        let ping = match self.keepalive.ask(device, rules, random) {
            Turn::Crlf => Bytes::from_static(b"\r\n\r\n"),
            Turn::Options(contact) => match self.site().listener(listener) {
                Some(listener) => keepalive::request(listener, device, &contact, random),
                None => return,
            },
            Turn::Dead => return self.is_dead(device, &flow),
        };
        self.counters.pinged();
        let _ = self.send(&flow, ping);
        self.keepalive.keep(device, listener);
    }

    /// A device is silent: our own registrar forgets it at once, and another one is told 430 when it next asks for it.
    fn is_dead(&self, device: Device, flow: &Flow) {
        self.counters.flow_died();
        tracing::debug!(?flow, "a device answers no OPTIONS any more");
        self.keepalive.end(device, flow.listener);
        self.index.died(device, flow);
        self.forget_bindings(flow);
    }

    /// A device registered by a datagram.
    pub(super) fn begin_pings(&self, device: Device, flow: &Flow, response: &Edited) {
        if flow.connection.is_none() {
            let contact = || proxy::device::contact(response, device, &self.site());
            self.keepalive.begin(device, flow.listener, contact);
        }
    }

    /// Takes the answer to a ping; false if it is one to something else.
    pub(super) fn of_our_ping(&self, response: &Message) -> bool {
        let Some(answer) = keepalive::answer_of(response) else {
            return false;
        };
        if let Some(answer) = answer {
            self.keepalive.answered(answer);
        }
        true
    }
}
