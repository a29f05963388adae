//! The non-INVITE client transaction: RFC 3261 §17.1.2 (figure 6).

use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::{Action, Actions, Timer, Timers, is_provisional};

/// A request other than INVITE and ACK that we send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NonInviteClient {
    /// Nothing has come back.
    Trying {
        /// The request.
        request: Bytes,
        /// Timer E's present length.
        interval: Duration,
    },
    /// A provisional response has come; it does not stop retransmissions, but they slow down.
    Proceeding {
        /// The request.
        request: Bytes,
    },
    /// The final response has come.
    Completed,
    /// Over.
    Terminated,
}

/// What happens to a non-INVITE client transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NonInviteClientInput {
    /// A response with this status.
    Response(u16),
    /// A timer fired.
    Timer(Timer),
    /// The request could not be sent, or the connection that would bring the response is gone.
    TransportError,
}

impl NonInviteClient {
    /// Sends `request`.
    pub fn new(request: Bytes, timers: &Timers) -> (Self, Actions) {
        let mut actions: Actions = smallvec![Action::Send(request.clone())];
        if !timers.is_reliable {
            actions.push(Action::SetTimer(Timer::E, timers.t1));
        }
        actions.push(Action::SetTimer(Timer::F, timers.transaction_timeout()));
        let interval = timers.t1;
        (Self::Trying { request, interval }, actions)
    }

    /// True when nothing more will come of it.
    pub fn is_terminated(&self) -> bool {
        matches!(self, Self::Terminated)
    }

    /// The next state, and what to do.
    pub fn handle(self, input: NonInviteClientInput, timers: &Timers) -> (Self, Actions) {
        use NonInviteClientInput as In;
        match (self, input) {
            (Self::Trying { request, interval }, In::Timer(Timer::E)) => {
                let interval = (interval * 2).min(timers.t2);
                let actions = send_again(&request, interval);
                (Self::Trying { request, interval }, actions)
            }
            // §17.1.2.2: Timer E is T2 from now on.
            (Self::Proceeding { request }, In::Timer(Timer::E)) => {
                let actions = send_again(&request, timers.t2);
                (Self::Proceeding { request }, actions)
            }
            (Self::Trying { request, .. } | Self::Proceeding { request }, In::Response(status))
                if is_provisional(status) =>
            {
                (Self::Proceeding { request }, smallvec![Action::Deliver])
            }
            (Self::Trying { .. } | Self::Proceeding { .. }, In::Response(_)) => completed(timers),
            (Self::Trying { .. } | Self::Proceeding { .. }, In::Timer(Timer::F)) => (
                Self::Terminated,
                smallvec![Action::Timeout, Action::Terminated],
            ),
            (Self::Trying { .. } | Self::Proceeding { .. }, In::TransportError) => (
                Self::Terminated,
                smallvec![Action::TransportError, Action::Terminated],
            ),
            (Self::Completed, In::Timer(Timer::K)) => {
                (Self::Terminated, smallvec![Action::Terminated])
            }
            // Completed absorbs what comes again.
            (state, _) => (state, Actions::new()),
        }
    }
}

fn send_again(request: &Bytes, next: Duration) -> Actions {
    smallvec![
        Action::Send(request.clone()),
        Action::SetTimer(Timer::E, next)
    ]
}

fn completed(timers: &Timers) -> (NonInviteClient, Actions) {
    match timers.timer_k() {
        Some(time) => (
            NonInviteClient::Completed,
            smallvec![
                Action::Deliver,
                Action::StopTimers,
                Action::SetTimer(Timer::K, time)
            ],
        ),
        None => (
            NonInviteClient::Terminated,
            smallvec![Action::Deliver, Action::Terminated],
        ),
    }
}
