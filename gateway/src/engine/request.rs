//! The way of a request.

use std::net::IpAddr;
use std::sync::Arc;

use proxy::token::Media;
use proxy::{Decision, Facts, Flow, Flows, Forward, Question, Reason, decide};
use sip::{Header, Message, Method};

use super::transaction::{ServerInput, Transaction};
use super::{Engine, Outcome};
use crate::calls::Place;
use crate::registrar::Kind;

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
                    if transaction.as_ref().is_none_or(|known| !known.ours) {
                        self.note_move(std::slice::from_ref(&*forward), flow);
                    }
                    if transaction.is_some() || request.method() != Method::Invite {
                        self.record_request(flow, &request, std::slice::from_ref(&*forward));
                    }
                    return match transaction {
                        None => self.relay(*forward),
                        // It had to wait and so has a transaction, which only an answer of its own branch ends.
                        Some(_) => self.start(flow, request, transaction, vec![*forward], granted),
                    };
                }
                Decision::Start(forwards) => {
                    if transaction.as_ref().is_none_or(|known| !known.ours) {
                        self.note_move(&forwards, flow);
                    }
                    self.record_request(flow, &request, &forwards);
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
                Decision::Press(key) => return self.press(flow, request, key),
                Decision::Ask(Question::Place { peer }) => {
                    let (room, place) = self.ask_for_place(peer);
                    facts.place = Some(room);
                    granted = place;
                }
                Decision::Ask(question) => {
                    if self.answer_now(&question, &request, flow, &mut facts) {
                        continue;
                    }
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
            }
        }
    }

    /// Whose a nonce is.
    pub(super) fn address_of_user(&self, request: &Message, flow: &Flow) -> IpAddr {
        proxy::edge::address_of_user(request, flow, &self.site())
    }

    /// SIGNALLING §5: the sender of a request inside a dialog is at another flow than before. Noted before the request leaves,
    /// so that its Record-Route says whose that flow is.
    fn note_move(&self, forwards: &[Forward], flow: &Flow) {
        if let Some(device) = forwards.iter().find_map(|forward| forward.moved) {
            self.index.moved(device, *flow);
        }
    }

    /// Answers by ourselves.
    pub(super) fn reply(
        &self,
        flow: &Flow,
        request: &Message,
        transaction: Option<Arc<Transaction>>,
        reason: &Reason,
    ) -> Outcome {
        self.record_refused(flow, request, None, reason);
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
        self.begin_as(flow, request, false)
    }

    /// [`begin`](Self::begin) of a request that we make, as if it came by this flow.
    pub(super) fn begin_ours(&self, flow: &Flow, request: &Message) -> Option<Arc<Transaction>> {
        self.begin_as(flow, request, true)
    }

    fn begin_as(&self, flow: &Flow, request: &Message, ours: bool) -> Option<Arc<Transaction>> {
        if self.table.is_full() {
            return None;
        }
        let transaction = Arc::new(Transaction::new(
            self.table.server_key(request),
            *flow,
            request.clone(),
            ours,
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
        let lost = forward.lost();
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
