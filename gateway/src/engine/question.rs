//! What decisions have to know (`Decision::Ask`, `Decision::Await`): from memory at once, or from somebody who is asked in a
//! task.

use std::sync::Arc;
use std::time::Duration;

use proxy::site::Side;
use proxy::token::Media;
use proxy::{Binding, Bindings, Facts, Flow, Flows, Question, Reason, Sender, Site, device};
use sip::{Header, Message, NameAddr, Uri};

use super::transaction::Transaction;
use super::{Engine, Outcome};
use crate::registrar::{Authentication, Kind, Registrar, Target};

impl Engine {
    /// Answers what can be known without waiting; false for the rest.
    pub(super) fn answer_now(
        &self,
        question: &Question,
        request: &Message,
        flow: &Flow,
        facts: &mut Facts,
    ) -> bool {
        let registrar = self.registrar.as_deref();
        let now = super::now();
        match question {
            Question::Sender => {
                facts.sender = Some(match registrar {
                    Some(registrar) => self.sender_of(registrar, request, flow, now),
                    None => Sender::Refused,
                });
            }
            Question::Bindings(aor) => {
                facts.bindings = Some(match registrar {
                    Some(registrar) => bindings(&self.site(), registrar, aor, now),
                    None => Bindings::NoUser,
                });
            }
            Question::Contact(uri) => {
                let found = registrar.and_then(|registrar| registrar.find_contact(uri, now));
                facts.bindings = Some(match found {
                    Some((aor, target)) => {
                        Bindings::Devices(vec![binding(&self.site(), &aor, &target)])
                    }
                    None => Bindings::NoUser,
                });
            }
            // A call-out also where its answer is remembered: a retransmission must not get another one.
            Question::CallOut(_)
            | Question::Place { .. }
            | Question::Address(_)
            | Question::Holder(_) => return false,
        }
        true
    }

    fn sender_of(
        &self,
        registrar: &Registrar,
        request: &Message,
        flow: &Flow,
        now: Duration,
    ) -> Sender {
        let from = self.address_of_user(request, flow);
        let sender = sender(&registrar.authenticate(request, Kind::Proxy, from, now));
        if sender == Sender::Authenticated {
            self.learn_sender(registrar, request, flow, now);
        }
        sender
    }

    /// SIGNALLING §5: a device that reconnects and does not register again (SIP.js) is known by the Contact of its next
    /// authenticated request.
    fn learn_sender(&self, registrar: &Registrar, request: &Message, flow: &Flow, now: Duration) {
        let is_known = self.index.device(flow).is_some();
        if is_known || self.site().side_of(flow) == Side::Core {
            return;
        }
        let contact = request
            .values(Header::Contact)
            .next()
            .and_then(NameAddr::parse)
            .and_then(|c| Uri::parse(c.uri));
        let from = request.from().and_then(|from| Uri::parse(from.uri));
        let (Some(contact), Some(from)) = (contact, from) else {
            return;
        };
        let aor = self.site().address_of_record(&from);
        let same = |target: &&Target| {
            Uri::parse(&target.uri).is_some_and(|uri| {
                (uri.user, uri.host, uri.port) == (contact.user, contact.host, contact.port)
            })
        };
        if let Some(target) = registrar.lookup(&aor, now).iter().find(same) {
            let left = Duration::from_millis(target.expires).saturating_sub(now);
            self.index.learn(
                device::whole(&self.site(), &aor, target.instance.as_deref(), &target.uri),
                *flow,
                left,
            );
        }
    }

    /// Waits for what the resolver or the other nodes say.
    pub(super) fn ask(
        &self,
        flow: &Flow,
        request: Message,
        transaction: Option<Arc<Transaction>>,
        mut facts: Facts,
        question: Question,
    ) -> Outcome {
        let (Some(me), flow) = (self.me.upgrade(), *flow) else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            match question {
                Question::Address(asked) => {
                    let Ok(turn) = me.lookups.try_acquire() else {
                        me.reply(&flow, &request, transaction, &Reason::Overloaded);
                        return;
                    };
                    let found = me.upstream.resolver().locate(&asked).await.ok();
                    drop(turn);
                    let targets = found.map(|found| found.targets).unwrap_or_default();
                    let hops = targets.iter().map(|at| (at.transport, at.address));
                    facts.addresses.push((asked, hops.collect()));
                }
                Question::Holder(device) => facts.holder = Some(me.cluster.holder(device).await),
                Question::CallOut(index) => {
                    let site = me.site.load_full();
                    let choice = me.call_outs.ask(index, &request, &flow, &site).await;
                    facts.call_out = Some(choice);
                }
                Question::Sender
                | Question::Bindings(_)
                | Question::Contact(_)
                | Question::Place { .. } => {}
            }
            if let Outcome::Wait(rest) = me.decide(&flow, request, transaction, facts) {
                rest.await;
            }
        })
    }

    /// A device whose connection is gone may be on its way back: a page that reloads, a phone that changes networks.
    pub(super) fn wait_for_device(
        &self,
        flow: &Flow,
        request: Message,
        transaction: Arc<Transaction>,
        mut facts: Facts,
        (device, media, from_called): (proxy::Device, Media, bool),
    ) -> Outcome {
        let (Some(me), flow) = (self.me.upgrade(), *flow) else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            let back = async {
                loop {
                    let appeared = me.index.appeared.notified();
                    if me.index.newest(device).is_some() {
                        return None;
                    }
                    appeared.await;
                }
            };
            let came = async {
                tokio::select! {
                    here = back => here,
                    elsewhere = me.cluster.appears(device) => Some(elsewhere),
                }
            };
            if let Ok(holder) = tokio::time::timeout(me.device_wait, came).await {
                facts.holder = holder.or(facts.holder);
                if let Outcome::Wait(rest) = me.decide(&flow, request, Some(transaction), facts) {
                    rest.await;
                }
                return;
            }
            me.session_over_if_bye(&request, media, from_called);
            me.reply(&flow, &request, Some(transaction), &Reason::DeviceGone);
        })
    }
}

/// The answer to [`Question::Sender`].
pub(crate) fn sender(authentication: &Authentication) -> Sender {
    match authentication {
        Authentication::Passed { .. } => Sender::Authenticated,
        Authentication::Challenge { stale } => Sender::Unknown { stale: *stale },
        Authentication::Refused(_) => Sender::Refused,
    }
}

/// The answer to [`Question::Bindings`].
pub(crate) fn bindings(site: &Site, registrar: &Registrar, aor: &[u8], now: Duration) -> Bindings {
    if !registrar.knows(aor) {
        return Bindings::NoUser;
    }
    Bindings::Devices(
        registrar
            .lookup(aor, now)
            .iter()
            .map(|target| binding(site, aor, target))
            .collect(),
    )
}

/// A target of the registrar as decisions know it.
pub(crate) fn binding(site: &Site, aor: &[u8], target: &Target) -> Binding {
    Binding {
        contact: target.uri.clone(),
        path: target.path.clone(),
        device: device::of(site, aor, target.instance.as_deref(), &target.uri),
        aor: aor.to_vec(),
        updated: target.updated,
        alternatives: target
            .alternatives
            .iter()
            .map(|other| binding(site, aor, other))
            .collect(),
    }
}
