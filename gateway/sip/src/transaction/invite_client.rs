//! The INVITE client transaction: RFC 3261 §17.1.1 (figure 5) with RFC 6026 §7.2, the proxy's Timer C (§16.6 step 11,
//! §16.8), and a CANCEL that waits for the first provisional response (§9.1).

use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::{Action, Actions, Timer, Timers, is_provisional, is_success};

/// An INVITE that we send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InviteClient {
    /// Nothing has come back.
    Calling {
        /// The INVITE.
        request: Bytes,
        /// Timer A's present length.
        interval: Duration,
        /// The core wants it cancelled, as soon as that is allowed.
        cancel: bool,
    },
    /// A provisional response has come.
    Proceeding {
        /// A CANCEL was sent.
        cancelled: bool,
    },
    /// A final response above 299 has come and was acknowledged.
    Completed,
    /// A 2xx has come.
    Accepted,
    /// Over.
    Terminated,
}

/// What happens to an INVITE client transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteClientInput {
    /// A response with this status.
    Response(u16),
    /// The core gives up on this branch.
    Cancel,
    /// A timer fired.
    Timer(Timer),
    /// The INVITE or ACK could not be sent, or the connection that would bring the response is gone.
    TransportError,
}

impl InviteClient {
    /// Sends `request`.
    pub fn new(request: Bytes, timers: &Timers) -> (Self, Actions) {
        let mut actions: Actions = smallvec![Action::Send(request.clone())];
        if !timers.is_reliable {
            actions.push(Action::SetTimer(Timer::A, timers.t1));
        }
        actions.push(Action::SetTimer(Timer::B, timers.transaction_timeout()));
        let state = Self::Calling {
            request,
            interval: timers.t1,
            cancel: false,
        };
        (state, actions)
    }

    /// True when nothing more will come of it.
    pub fn is_terminated(&self) -> bool {
        matches!(self, Self::Terminated)
    }

    /// The next state, and what to do.
    pub fn handle(self, input: InviteClientInput, timers: &Timers) -> (Self, Actions) {
        match self {
            Self::Calling {
                request,
                interval,
                cancel,
            } => calling(request, interval, cancel, input, timers),
            Self::Proceeding { cancelled } => proceeding(cancelled, input, timers),
            Self::Completed => completed(input),
            Self::Accepted => accepted(input),
            Self::Terminated => (Self::Terminated, Actions::new()),
        }
    }
}

fn calling(
    request: Bytes,
    interval: Duration,
    cancel: bool,
    input: InviteClientInput,
    timers: &Timers,
) -> (InviteClient, Actions) {
    let (interval, cancel, actions) = match input {
        InviteClientInput::Timer(Timer::A) => {
            // §17.1.1.2: no bound but Timer B.
            let interval = interval * 2;
            let actions = smallvec![
                Action::Send(request.clone()),
                Action::SetTimer(Timer::A, interval)
            ];
            (interval, cancel, actions)
        }
        InviteClientInput::Timer(Timer::B) => return timed_out(),
        InviteClientInput::TransportError => return failed(),
        InviteClientInput::Response(status) if is_provisional(status) => {
            let mut actions: Actions = smallvec![Action::Deliver, Action::StopTimers];
            if cancel {
                actions.extend(send_cancel(timers));
            } else {
                actions.push(Action::SetTimer(Timer::C, timers.timer_c));
            }
            return (InviteClient::Proceeding { cancelled: cancel }, actions);
        }
        InviteClientInput::Response(status) => return finish(status, timers),
        // §9.1: no CANCEL before a 1xx; a UAS that has not seen the INVITE answers 481 and then lets it ring.
        InviteClientInput::Cancel => (interval, true, Actions::new()),
        InviteClientInput::Timer(_) => (interval, cancel, Actions::new()),
    };
    let state = InviteClient::Calling {
        request,
        interval,
        cancel,
    };
    (state, actions)
}

fn proceeding(
    cancelled: bool,
    input: InviteClientInput,
    timers: &Timers,
) -> (InviteClient, Actions) {
    match input {
        InviteClientInput::Response(status) if is_provisional(status) => {
            let mut actions: Actions = smallvec![Action::Deliver];
            // §16.7 step 2: each provisional response but 100 is a sign of life.
            if status > 100 && !cancelled {
                actions.push(Action::SetTimer(Timer::C, timers.timer_c));
            }
            (InviteClient::Proceeding { cancelled }, actions)
        }
        InviteClientInput::Response(status) => finish(status, timers),
        // §16.8: Timer C ends an INVITE that was heard of by a CANCEL.
        InviteClientInput::Cancel | InviteClientInput::Timer(Timer::C) if !cancelled => {
            let mut actions: Actions = smallvec![Action::StopTimers];
            actions.extend(send_cancel(timers));
            (InviteClient::Proceeding { cancelled: true }, actions)
        }
        InviteClientInput::Timer(Timer::B) if cancelled => timed_out(),
        InviteClientInput::TransportError => failed(),
        InviteClientInput::Cancel | InviteClientInput::Timer(_) => {
            (InviteClient::Proceeding { cancelled }, Actions::new())
        }
    }
}

/// A final response.
fn finish(status: u16, timers: &Timers) -> (InviteClient, Actions) {
    if is_success(status) {
        let actions = smallvec![
            Action::Deliver,
            Action::StopTimers,
            Action::SetTimer(Timer::M, timers.transaction_timeout())
        ];
        return (InviteClient::Accepted, actions);
    }
    // ACK first: the sooner it is there, the fewer retransmissions.
    match timers.timer_d() {
        Some(time) => (
            InviteClient::Completed,
            smallvec![
                Action::Ack,
                Action::Deliver,
                Action::StopTimers,
                Action::SetTimer(Timer::D, time)
            ],
        ),
        None => (
            InviteClient::Terminated,
            smallvec![Action::Ack, Action::Deliver, Action::Terminated],
        ),
    }
}

fn completed(input: InviteClientInput) -> (InviteClient, Actions) {
    match input {
        // RFC 3261 §16.7 step 5: a proxy behind us passes on a 2xx even after another final response.
        InviteClientInput::Response(status) if is_success(status) => {
            (InviteClient::Completed, smallvec![Action::Deliver])
        }
        InviteClientInput::Response(status) if !is_provisional(status) => {
            (InviteClient::Completed, smallvec![Action::Ack])
        }
        InviteClientInput::Timer(Timer::D) => {
            (InviteClient::Terminated, smallvec![Action::Terminated])
        }
        InviteClientInput::TransportError => failed(),
        _ => (InviteClient::Completed, Actions::new()),
    }
}

fn accepted(input: InviteClientInput) -> (InviteClient, Actions) {
    match input {
        // RFC 6026 §7.2: each 2xx, of whichever callee, goes to the core, whose ACK it needs.
        InviteClientInput::Response(status) if is_success(status) => {
            (InviteClient::Accepted, smallvec![Action::Deliver])
        }
        InviteClientInput::Timer(Timer::M) => {
            (InviteClient::Terminated, smallvec![Action::Terminated])
        }
        _ => (InviteClient::Accepted, Actions::new()),
    }
}

/// §9.1: without a final response 64·T1 after the CANCEL, the INVITE counts as cancelled and is forgotten.
fn send_cancel(timers: &Timers) -> [Action; 2] {
    [
        Action::Cancel,
        Action::SetTimer(Timer::B, timers.transaction_timeout()),
    ]
}

fn timed_out() -> (InviteClient, Actions) {
    (
        InviteClient::Terminated,
        smallvec![Action::Timeout, Action::Terminated],
    )
}

fn failed() -> (InviteClient, Actions) {
    (
        InviteClient::Terminated,
        smallvec![Action::TransportError, Action::Terminated],
    )
}
