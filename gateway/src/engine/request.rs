//! The way of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy::site::Side;
use proxy::token::{Media, Pass};
use proxy::{
    Binding, Bindings, Decision, Facts, Flow, Flows, Forward, Question, Reason, Sender, Site,
    decide, device,
};
use sip::{Header, Message, Method, NameAddr, Uri};

use super::transaction::{ServerInput, Transaction};
use super::{Engine, Outcome};
use crate::calls::Place;
use crate::registrar::{Authentication, Kind, Registrar, Target};

impl Engine {
    pub(super) fn request(&self, flow: &Flow, request: Message) -> Outcome {
        if request.method() == Method::Options && self.answer_node(flow, &request) {
            return Outcome::Done;
        }
        match (request.method(), self.table.of(&request)) {
            // RFC 3261 §17.2.1: the ACK to a failure is this hop's; the ACK to a 2xx is a request of its own.
            (Method::Ack, Some(transaction)) if !transaction.lock().server.is_accepted() => {
                self.server_input(&transaction, ServerInput::Ack);
                Outcome::Done
            }
            (Method::Cancel, Some(transaction)) => {
                self.cancel(&transaction, flow, &request);
                Outcome::Done
            }
            (Method::Ack, _) | (_, None) => self.decide(flow, request, None, Facts::default()),
            (_, Some(transaction)) => {
                self.server_input(&transaction, ServerInput::Retransmission);
                Outcome::Done
            }
        }
    }

    /// Another node of the cluster asks who we are, and whether we have a device.
    fn answer_node(&self, flow: &Flow, request: &Message) -> bool {
        let has_device = |device| self.index.newest(device).is_some();
        match self.cluster.answer(flow, request, has_device) {
            Some(bytes) => {
                let _ = self.send(flow, bytes);
                true
            }
            None => false,
        }
    }

    /// Asks the proxy what to do until it has an answer, and does it.
    pub(super) fn decide(
        &self,
        flow: &Flow,
        request: Message,
        mut transaction: Option<Arc<Transaction>>,
        mut facts: Facts,
    ) -> Outcome {
        // Given back where the request is not passed on after all.
        let mut granted = None;
        loop {
            match decide(&request, flow, &self.view().context(), &facts) {
                Decision::Drop(reason) => {
                    self.counters.count(&reason);
                    return Outcome::Done;
                }
                Decision::Reply(reason) => return self.reply(flow, &request, transaction, &reason),
                Decision::Challenge { as_proxy, stale } => {
                    self.challenge(flow, &request, transaction, as_proxy, stale);
                    return Outcome::Done;
                }
                Decision::Register(edited) => return self.register(flow, &request, *edited),
                Decision::Relay(forward) => {
                    self.note_move(std::slice::from_ref(&*forward), flow);
                    return match transaction {
                        None => self.relay(*forward),
                        // It had to wait and so has a transaction, which only an answer of its own branch ends.
                        Some(_) => self.start(flow, request, transaction, vec![*forward], granted),
                    };
                }
                Decision::Start(forwards) => {
                    self.note_move(&forwards, flow);
                    return self.start(flow, request, transaction, forwards, granted);
                }
                Decision::Await {
                    device,
                    media,
                    from_called,
                } => {
                    let Some(transaction) = transaction.or_else(|| self.begin(flow, &request))
                    else {
                        return self.reply(flow, &request, None, &Reason::Overloaded);
                    };
                    return self.wait_for_device(
                        flow,
                        request,
                        transaction,
                        facts,
                        (device, media, from_called),
                    );
                }
                Decision::Ask(Question::Place { peer }) => {
                    let (room, place) = self.ask_for_place(peer);
                    facts.place = Some(room);
                    granted = place;
                }
                Decision::Ask(question) => match self.answer_now(&question, &request, flow) {
                    Some(answer) => answer.add_to(&mut facts),
                    None => {
                        // An ACK has no transaction, and a CANCEL that comes here has that of an INVITE which nobody knows.
                        if transaction.is_none()
                            && !matches!(request.method(), Method::Ack | Method::Cancel)
                        {
                            transaction = self.begin(flow, &request);
                            if transaction.is_none() {
                                return self.reply(flow, &request, None, &Reason::Overloaded);
                            }
                        }
                        return self.ask(flow, request, transaction, facts, question);
                    }
                },
            }
        }
    }

    /// What can be known without waiting.
    fn answer_now(&self, question: &Question, request: &Message, flow: &Flow) -> Option<Answer> {
        let registrar = self.registrar.as_deref();
        let now = super::now();
        Some(match question {
            Question::Sender => Answer::Sender(match registrar {
                Some(registrar) => {
                    let from = self.address_of_user(request, flow);
                    let sender = sender(&registrar.authenticate(request, Kind::Proxy, from, now));
                    if sender == Sender::Authenticated {
                        self.learn_sender(registrar, request, flow, now);
                    }
                    sender
                }
                None => Sender::Refused,
            }),
            Question::Bindings(aor) => Answer::Bindings(match registrar {
                Some(registrar) => bindings(&self.site(), registrar, aor, now),
                None => Bindings::NoUser,
            }),
            Question::Contact(uri) => Answer::Bindings(
                match registrar.and_then(|registrar| registrar.find_contact(uri, now)) {
                    Some((aor, target)) => {
                        Bindings::Devices(vec![binding(&self.site(), &aor, &target)])
                    }
                    None => Bindings::NoUser,
                },
            ),
            // Also where the answer is remembered: a retransmission must not get another one.
            Question::CallOut(_) => return None,
            Question::Place { .. } | Question::Address(_) | Question::Holder(_) => return None,
        })
    }

    /// Whose a nonce is.
    pub(super) fn address_of_user(&self, request: &Message, flow: &Flow) -> IpAddr {
        proxy::edge::address_of_user(request, flow, &self.site())
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

    /// SIGNALLING §5: the sender of a request inside a dialog is at another flow than before. Noted before the request leaves,
    /// so that its Record-Route says whose that flow is.
    fn note_move(&self, forwards: &[Forward], flow: &Flow) {
        if let Some(device) = forwards.iter().find_map(|forward| forward.moved) {
            self.index.moved(device, *flow);
        }
    }

    /// Waits for what the resolver or the other nodes say.
    fn ask(
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
    fn wait_for_device(
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

    /// Answers by ourselves.
    pub(super) fn reply(
        &self,
        flow: &Flow,
        request: &Message,
        transaction: Option<Arc<Transaction>>,
        reason: &Reason,
    ) -> Outcome {
        match transaction {
            Some(transaction) => {
                self.counters.count(reason);
                self.call_is_over_if_bye(request);
                let bytes = proxy::reply::answer(request, flow.peer, reason);
                self.server_input(
                    &transaction,
                    ServerInput::Respond {
                        status: reason.status(),
                        bytes,
                    },
                );
            }
            None => self.answer(flow, request, reason),
        }
        Outcome::Done
    }

    fn challenge(
        &self,
        flow: &Flow,
        request: &Message,
        transaction: Option<Arc<Transaction>>,
        as_proxy: bool,
        stale: bool,
    ) {
        let Some(registrar) = &self.registrar else {
            return;
        };
        let kind = if as_proxy { Kind::Proxy } else { Kind::Www };
        let stamped = proxy::reply::stamped(request, flow.peer);
        let tag = proxy::reply::own_tag(request);
        let bytes = registrar
            .challenge(
                &stamped,
                kind,
                stale,
                tag.as_bytes(),
                self.address_of_user(request, flow),
                super::now(),
            )
            .to_bytes();
        match transaction {
            Some(transaction) => {
                let status = if as_proxy { 407 } else { 401 };
                self.server_input(&transaction, ServerInput::Respond { status, bytes });
            }
            None => drop(self.send(flow, bytes)),
        }
    }

    /// Makes the server transaction of a request, before anything waits; `None` when the table is full.
    pub(super) fn begin(&self, flow: &Flow, request: &Message) -> Option<Arc<Transaction>> {
        if self.table.is_full() {
            return None;
        }
        let transaction = Arc::new(Transaction::new(
            self.table.server_key(request),
            *flow,
            request.clone(),
        ));
        self.table.insert(transaction.clone());
        if request.method() == Method::Invite {
            let bytes = proxy::reply::trying(request, flow.peer);
            self.server_input(&transaction, ServerInput::Respond { status: 100, bytes });
        }
        Some(transaction)
    }

    /// Passes a request on without remembering it.
    fn relay(&self, mut forward: Forward) -> Outcome {
        let media = self.media_of(&forward);
        let answers =
            forward.request.method() == Method::Ack && forward.request.has_sdp() && media.is_some();
        if !answers {
            self.relay_now(forward, media);
            return Outcome::Done;
        }
        let Some(me) = self.me.upgrade() else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            if me.answer_in_ack(&mut forward, media).await {
                me.relay_now(forward, media);
            }
        })
    }

    fn relay_now(&self, forward: Forward, media: Media) {
        self.call_is_passed(&forward);
        let (hop, source) = (forward.hop.clone(), forward.source);
        let lost = flow_lost(&forward);
        let Some(sealed) = proxy::forward::seal_last(forward, media, &self.view().context()) else {
            return;
        };
        self.note_shortened(sealed.shortened.as_deref());
        let request = sealed.request.original();
        if self.send_to(&hop, sealed.request.to_bytes()).is_err() && request.method() != Method::Ack
        {
            self.answer(&source, request, &lost);
        }
    }

    /// Passes a request on in a transaction.
    fn start(
        &self,
        flow: &Flow,
        request: Message,
        transaction: Option<Arc<Transaction>>,
        forwards: Vec<Forward>,
        granted: Option<Place>,
    ) -> Outcome {
        let place = self.place_for(flow, &forwards, granted);
        let Some(transaction) = transaction.or_else(|| self.begin(flow, &request)) else {
            return self.reply(flow, &request, None, &Reason::Overloaded);
        };
        transaction.lock().place = place;
        let opens = forwards
            .iter()
            .any(|forward| self.flow_to(&forward.hop).is_none());
        if !opens && !self.offers(&forwards) {
            let ready = forwards.into_iter().filter_map(|forward| {
                let media = self.media_of(&forward);
                let flow = self.flow_to(&forward.hop)?;
                Some((forward, media, flow))
            });
            self.launch(&transaction, ready.collect(), &Reason::Unreachable);
            return Outcome::Done;
        }
        let Some(me) = self.me.upgrade() else {
            return Outcome::Done;
        };
        Outcome::wait(async move {
            let mut ready = Vec::with_capacity(forwards.len());
            let mut failed = Reason::Unreachable;
            for forward in forwards {
                let Some((mut forward, flow)) = me.open_any(forward).await else {
                    continue;
                };
                match me.offer(&mut forward).await {
                    Ok(media) => ready.push((forward, media, flow)),
                    Err(reason) => failed = reason,
                }
            }
            me.launch(&transaction, ready, &failed);
        })
    }

    /// RFC 3261 §9.2, §16.10: CANCEL is answered at once, and told to every branch that rings.
    fn cancel(&self, transaction: &Arc<Transaction>, flow: &Flow, cancel: &Message) {
        let ok = sip::build::response(
            &proxy::reply::stamped(cancel, flow.peer),
            200,
            "OK",
            Some(proxy::reply::own_tag(cancel).as_bytes()),
        );
        let _ = self.send(flow, ok.to_bytes());
        if !transaction.is_invite() {
            return;
        }
        let reason = cancel
            .header(Header::Reason)
            .map(bytes::Bytes::copy_from_slice);
        self.cancel_branches(transaction, reason);
    }
}

/// What is said of a request whose flow is gone. Who asked us for this flow tries the next one; who asked for a user has no use
/// for a 430 (RFC 5626 §5.3).
pub(super) fn flow_lost(forward: &Forward) -> Reason {
    match (&forward.bound, forward.pass) {
        (Some(_), _) | (None, Pass::Local) => Reason::NotRegistered,
        (None, Pass::Down) => Reason::FlowFailed,
        (None, Pass::Up | Pass::Through) => Reason::Unreachable,
    }
}

/// An answer to one of the proxy's questions.
enum Answer {
    Sender(Sender),
    Bindings(Bindings),
}

impl Answer {
    fn add_to(self, facts: &mut Facts) {
        match self {
            Answer::Sender(sender) => facts.sender = Some(sender),
            Answer::Bindings(bindings) => facts.bindings = Some(bindings),
        }
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
