//! The INVITE server transaction: RFC 3261 §17.2.1 (figure 7) with RFC 6026 §7.1.

use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::{Action, Actions, Timer, Timers, is_provisional, is_success};

/// An INVITE that we answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InviteServer {
    /// The core is at work.
    Proceeding {
        /// The provisional response sent last.
        last: Option<Bytes>,
    },
    /// A final response above 299 went out and waits for its ACK.
    Completed {
        /// That response.
        response: Bytes,
        /// Timer G's present length.
        interval: Duration,
    },
    /// The ACK is here.
    Confirmed,
    /// A 2xx went out; its ACK is no part of this transaction.
    Accepted,
    /// Over.
    Terminated,
}

/// What happens to an INVITE server transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InviteServerInput {
    /// The INVITE came again.
    Retransmission,
    /// An ACK of this transaction came.
    Ack,
    /// The core answers.
    Respond {
        /// The response's status.
        status: u16,
        /// The response, ready to be sent.
        bytes: Bytes,
    },
    /// A timer fired.
    Timer(Timer),
    /// A response could not be sent.
    TransportError,
}

impl InviteServer {
    /// A new INVITE: it goes to the core, which sends 100 before it waits for anything.
    pub fn new() -> (Self, Actions) {
        (Self::Proceeding { last: None }, smallvec![Action::Deliver])
    }

    /// True when nothing more will come of it.
    pub fn is_terminated(&self) -> bool {
        matches!(self, Self::Terminated)
    }

    /// The next state, and what to do.
    pub fn handle(self, input: InviteServerInput, timers: &Timers) -> (Self, Actions) {
        use InviteServerInput as In;
        match (self, input) {
            (Self::Proceeding { .. }, In::Respond { status, bytes }) => {
                respond(status, bytes, timers)
            }
            (Self::Proceeding { last }, In::Retransmission) => {
                let actions = last.iter().cloned().map(Action::Send).collect();
                (Self::Proceeding { last }, actions)
            }

            (Self::Completed { response, interval }, In::Retransmission) => {
                let actions = smallvec![Action::Send(response.clone())];
                (Self::Completed { response, interval }, actions)
            }
            (Self::Completed { response, interval }, In::Timer(Timer::G)) => {
                let interval = (interval * 2).min(timers.t2);
                let actions = smallvec![
                    Action::Send(response.clone()),
                    Action::SetTimer(Timer::G, interval)
                ];
                (Self::Completed { response, interval }, actions)
            }
            (Self::Completed { .. }, In::Timer(Timer::H)) => (
                Self::Terminated,
                smallvec![Action::Timeout, Action::Terminated],
            ),
            (Self::Completed { .. }, In::Ack) => confirmed(timers),
            // RFC 3261 §16.7 step 5: a 2xx is passed on even after another final response; a callee has answered.
            (state @ (Self::Completed { .. } | Self::Confirmed), In::Respond { status, bytes })
                if is_success(status) =>
            {
                (state, smallvec![Action::Send(bytes)])
            }

            (Self::Confirmed, In::Timer(Timer::I)) => {
                (Self::Terminated, smallvec![Action::Terminated])
            }

            // RFC 6026 §7.1: each 2xx of the core passes, a repeated INVITE is absorbed.
            (Self::Accepted, In::Respond { status, bytes }) if is_success(status) => {
                (Self::Accepted, smallvec![Action::Send(bytes)])
            }
            (Self::Accepted, In::Ack) => (Self::Accepted, smallvec![Action::Deliver]),
            (Self::Accepted, In::Timer(Timer::L)) => {
                (Self::Terminated, smallvec![Action::Terminated])
            }

            (Self::Terminated, _) => (Self::Terminated, Actions::new()),
            // RFC 6026 §8.8 (§17.2.4): the core is told and the state stays; the peer's retransmission may bring a way.
            (state, In::TransportError) => (state, smallvec![Action::TransportError]),
            (state, _) => (state, Actions::new()),
        }
    }
}

fn respond(status: u16, response: Bytes, timers: &Timers) -> (InviteServer, Actions) {
    let mut actions: Actions = smallvec![Action::Send(response.clone())];
    if is_provisional(status) {
        let last = Some(response);
        return (InviteServer::Proceeding { last }, actions);
    }
    if is_success(status) {
        actions.push(Action::SetTimer(Timer::L, timers.transaction_timeout()));
        return (InviteServer::Accepted, actions);
    }
    if !timers.is_reliable {
        actions.push(Action::SetTimer(Timer::G, timers.t1));
    }
    actions.push(Action::SetTimer(Timer::H, timers.transaction_timeout()));
    let interval = timers.t1;
    (InviteServer::Completed { response, interval }, actions)
}

fn confirmed(timers: &Timers) -> (InviteServer, Actions) {
    match timers.timer_i() {
        Some(time) => (
            InviteServer::Confirmed,
            smallvec![Action::StopTimers, Action::SetTimer(Timer::I, time)],
        ),
        None => (InviteServer::Terminated, smallvec![Action::Terminated]),
    }
}
