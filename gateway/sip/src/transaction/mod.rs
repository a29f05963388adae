//! The four transactions of RFC 3261 §17 with the Accepted states of RFC 6026, as machines without clock and socket.
//!
//! A machine is an enum whose variants own what that state knows. `new` starts it and `handle` consumes it; both
//! return the state and the [`Actions`] to carry out in order. Whoever drives it keeps the timers that it sets:
//! setting one again moves it, [`Action::Terminated`] ends all that are left, and one that comes too late is ignored.
//! Matching messages to transactions (§17.1.3, §17.2.3) and building ACK and CANCEL is the driver's.

mod invite_client;
mod invite_server;
mod non_invite_client;
mod non_invite_server;
#[cfg(test)]
mod tests;
mod timer;

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

pub use invite_client::{InviteClient, InviteClientInput};
pub use invite_server::{InviteServer, InviteServerInput};
pub use non_invite_client::{NonInviteClient, NonInviteClientInput};
pub use non_invite_server::{NonInviteServer, NonInviteServerInput};
pub use timer::{Timer, Timers};

/// What the driver of a transaction has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send these bytes to the transaction's peer.
    Send(Bytes),
    /// Pass the message that was just handed in on to the core (the RFC's transaction user).
    Deliver,
    /// Send an ACK for the response that was just handed in (RFC 3261 §17.1.1.3).
    Ack,
    /// Send a CANCEL for the INVITE, in a transaction of its own (RFC 3261 §9.1).
    Cancel,
    /// Call `handle` with this timer after this time; a running timer of that name is replaced.
    SetTimer(Timer, Duration),
    /// Forget all timers that run.
    StopTimers,
    /// Tell the core that nobody answered. A client's core takes it for a 408 (RFC 3261 §16.8).
    Timeout,
    /// Tell the core that the message could not be sent. A client's core takes it for a 503 (RFC 3261 §16.9).
    TransportError,
    /// The transaction is over: forget it and its timers.
    Terminated,
}

/// The actions of one step, in the order in which they are carried out.
pub type Actions = SmallVec<[Action; 4]>;

/// True for 200 to 299.
fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// True for 100 to 199.
fn is_provisional(status: u16) -> bool {
    (100..200).contains(&status)
}
