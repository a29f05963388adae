//! The non-INVITE server transaction: RFC 3261 §17.2.2 (figure 8).

use bytes::Bytes;
use smallvec::smallvec;

use super::{Action, Actions, Timer, Timers, is_provisional};

/// A request other than INVITE and ACK that we answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NonInviteServer {
    /// The core is at work and has sent nothing.
    Trying,
    /// The core has sent a provisional response.
    Proceeding {
        /// The one sent last.
        last: Bytes,
    },
    /// The final response went out.
    Completed {
        /// That response.
        response: Bytes,
    },
    /// Over.
    Terminated,
}

/// What happens to a non-INVITE server transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NonInviteServerInput {
    /// The request came again.
    Retransmission,
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

impl NonInviteServer {
    /// A new request: it goes to the core.
    pub fn new() -> (Self, Actions) {
        (Self::Trying, smallvec![Action::Deliver])
    }

    /// True when nothing more will come of it.
    pub fn is_terminated(&self) -> bool {
        matches!(self, Self::Terminated)
    }

    /// The next state, and what to do.
    pub fn handle(self, input: NonInviteServerInput, timers: &Timers) -> (Self, Actions) {
        use NonInviteServerInput as In;
        match (self, input) {
            (Self::Trying | Self::Proceeding { .. }, In::Respond { status, bytes }) => {
                respond(status, bytes, timers)
            }
            (Self::Proceeding { last }, In::Retransmission) => {
                let actions = smallvec![Action::Send(last.clone())];
                (Self::Proceeding { last }, actions)
            }
            (Self::Completed { response }, In::Retransmission) => {
                let mut actions: Actions = smallvec![Action::Send(response.clone())];
                actions.extend(
                    timers
                        .timer_j()
                        .map(|time| Action::SetTimer(Timer::J, time)),
                );
                (Self::Completed { response }, actions)
            }
            (Self::Completed { .. }, In::Timer(Timer::J)) => {
                (Self::Terminated, smallvec![Action::Terminated])
            }
            // §17.2.4; in Trying nothing of ours was under way that could fail.
            (Self::Proceeding { .. } | Self::Completed { .. }, In::TransportError) => (
                Self::Terminated,
                smallvec![Action::TransportError, Action::Terminated],
            ),
            // A second final response is dropped (§17.2.2), as is a retransmission that finds nothing to repeat.
            (state, _) => (state, Actions::new()),
        }
    }
}

fn respond(status: u16, response: Bytes, timers: &Timers) -> (NonInviteServer, Actions) {
    let mut actions: Actions = smallvec![Action::Send(response.clone())];
    if is_provisional(status) {
        return (NonInviteServer::Proceeding { last: response }, actions);
    }
    match timers.timer_j() {
        Some(time) => {
            actions.push(Action::SetTimer(Timer::J, time));
            (NonInviteServer::Completed { response }, actions)
        }
        None => {
            actions.push(Action::Terminated);
            (NonInviteServer::Terminated, actions)
        }
    }
}
