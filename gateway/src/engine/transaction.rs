//! One request that is proxied statefully: its server transaction, the branches, and the response context between
//! them (RFC 3261 §16, §17). State of a request, never of a call.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proxy::fork::Fork;
use proxy::redirect::Redirects;
use proxy::token::Media;
use proxy::{Flow, Forward, Reason};
use sip::transaction::{
    Actions, InviteClient, InviteClientInput, InviteServer, InviteServerInput, NonInviteClient,
    NonInviteClientInput, NonInviteServer, NonInviteServerInput, Timer, Timers,
};
use sip::{Edited, Message, Method};
use smallvec::SmallVec;

use crate::calls::Place;

/// A request in the table.
pub(crate) struct Transaction {
    /// Where the table has it.
    pub(crate) key: u64,
    /// By which flow it came; responses leave there.
    pub(crate) source: Flow,
    /// As it came.
    pub(crate) request: Message,
    /// It is of our own making: nobody waits for its answers.
    pub(crate) ours: bool,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) server: Server,
    pub(crate) armed: ArmedTimers,
    /// `None` until the first branch is sent.
    pub(crate) fork: Option<Fork>,
    pub(crate) branches: Vec<Branch>,
    /// The caller's CANCEL came, with this Reason.
    pub(crate) cancelled: Option<Option<Bytes>>,
    /// The offer that a response to an INVITE without one has brought, as it came.
    pub(crate) offered: Option<Bytes>,
    /// Branches that ended without an answer, and why.
    pub(crate) failures: SmallVec<[(usize, Reason); 1]>,
    /// Who is tried because of a 3xx.
    pub(crate) redirects: Redirects,
    /// What the machines of branches that were just made ask for.
    pub(crate) started: SmallVec<[Actions; 1]>,
    /// What the call counts for that an INVITE began, until it fails or is answered.
    pub(crate) place: Option<Place>,
    /// 2xx that went back, by To tag: sent again as they were for each retransmission.
    pub(crate) answers: SmallVec<[(Vec<u8>, Bytes); 1]>,
}

/// A copy of the request that was sent.
pub(crate) struct Branch {
    /// Where the table has it.
    pub(crate) key: u64,
    /// What was decided.
    pub(crate) forward: Forward,
    /// As it left.
    pub(crate) request: Edited,
    /// By which flow.
    pub(crate) flow: Flow,
    pub(crate) client: Client,
    pub(crate) armed: ArmedTimers,
    /// The CANCEL for it.
    pub(crate) cancel: Option<Cancel>,
    /// The final response that it ended with, ready to go back.
    pub(crate) ended: Option<Edited>,
    /// Its RTPEngine and pass.
    pub(crate) media: Media,
    /// The flow by which RTPEngine knows its session: that of the member which was asked first, for whom the offer was made.
    pub(crate) offered_to: Flow,
    /// Something came back.
    pub(crate) heard: bool,
    /// The next member of the group was asked in its place.
    pub(crate) superseded: bool,
    /// The serial number of the timer after which that happens, if there is a next one.
    pub(crate) patience: Option<u32>,
}

/// A CANCEL on its way.
pub(crate) struct Cancel {
    pub(crate) client: NonInviteClient,
    pub(crate) armed: ArmedTimers,
}

/// The server's machine.
pub(crate) enum Server {
    Invite(InviteServer),
    Other(NonInviteServer),
}

/// A branch's machine.
pub(crate) enum Client {
    Invite(InviteClient),
    Other(NonInviteClient),
}

/// The timers of a machine that run: which, and the serial number under which they were armed last.
#[derive(Default)]
pub(crate) struct ArmedTimers(SmallVec<[(Timer, u32); 2]>);

impl ArmedTimers {
    pub(crate) fn set(&mut self, timer: Timer, serial: u32) {
        self.0.retain(|(armed, _)| *armed != timer);
        self.0.push((timer, serial));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Nothing is sent again from here on.
    pub(crate) fn stop_repeating(&mut self) {
        self.0
            .retain(|(armed, _)| !matches!(armed, Timer::A | Timer::E));
    }

    /// True when the timer that fired is the one that was armed last; it does not run any more then.
    pub(crate) fn fired(&mut self, timer: Timer, serial: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|armed| *armed != (timer, serial));
        self.0.len() != before
    }
}

impl Transaction {
    /// The transaction of a request that just came.
    pub(crate) fn new(key: u64, source: Flow, request: Message, ours: bool) -> Self {
        let server = match request.method() {
            Method::Invite => Server::Invite(InviteServer::new().0),
            _ => Server::Other(NonInviteServer::new().0),
        };
        let state = State {
            server,
            armed: ArmedTimers::default(),
            fork: None,
            branches: Vec::new(),
            cancelled: None,
            offered: None,
            failures: SmallVec::new(),
            redirects: Redirects::default(),
            started: SmallVec::new(),
            place: None,
            answers: SmallVec::new(),
        };
        Self {
            key,
            source,
            request,
            ours,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for INVITE.
    pub(crate) fn is_invite(&self) -> bool {
        self.request.method() == Method::Invite
    }
}

impl State {
    /// The Reason for our CANCELs: the caller's own, or that another device has answered (RFC 3326).
    pub(crate) fn cancel_reason(&self) -> Option<Bytes> {
        match &self.cancelled {
            Some(reason) => reason.clone(),
            None if !self.answers.is_empty() => Some(Bytes::from_static(
                b"SIP;cause=200;text=\"Call completed elsewhere\"",
            )),
            None => None,
        }
    }

    /// True when neither side needs it any more.
    pub(crate) fn is_over(&self) -> bool {
        let server = match &self.server {
            Server::Invite(machine) => machine.is_terminated(),
            Server::Other(machine) => machine.is_terminated(),
        };
        server
            && self
                .branches
                .iter()
                .all(|branch| branch.client.is_terminated())
    }
}

/// What happens to a server's machine.
pub(crate) enum ServerInput {
    Retransmission,
    Ack,
    Respond { status: u16, bytes: Bytes },
    Timer(Timer),
}

impl Server {
    /// Steps the machine.
    pub(crate) fn handle(&mut self, input: ServerInput, timers: &Timers) -> Actions {
        match self {
            Server::Invite(machine) => {
                let input = match input {
                    ServerInput::Retransmission => InviteServerInput::Retransmission,
                    ServerInput::Ack => InviteServerInput::Ack,
                    ServerInput::Respond { status, bytes } => {
                        InviteServerInput::Respond { status, bytes }
                    }
                    ServerInput::Timer(timer) => InviteServerInput::Timer(timer),
                };
                let before = std::mem::replace(machine, InviteServer::Terminated);
                let (after, actions) = before.handle(input, timers);
                *machine = after;
                actions
            }
            Server::Other(machine) => {
                let input = match input {
                    ServerInput::Retransmission => NonInviteServerInput::Retransmission,
                    ServerInput::Ack => return Actions::new(),
                    ServerInput::Respond { status, bytes } => {
                        NonInviteServerInput::Respond { status, bytes }
                    }
                    ServerInput::Timer(timer) => NonInviteServerInput::Timer(timer),
                };
                let before = std::mem::replace(machine, NonInviteServer::Terminated);
                let (after, actions) = before.handle(input, timers);
                *machine = after;
                actions
            }
        }
    }

    /// True once a 2xx went out (RFC 6026): the ACK to it is no part of the transaction.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self, Server::Invite(InviteServer::Accepted))
    }
}

/// What happens to a client's machine.
#[derive(Clone, Copy)]
pub(crate) enum ClientInput {
    Response(u16),
    Cancel,
    Timer(Timer),
    TransportError,
}

impl Client {
    /// The machine of a request and what it does first.
    pub(crate) fn new(is_invite: bool, request: Bytes, timers: &Timers) -> (Self, Actions) {
        if is_invite {
            let (machine, actions) = InviteClient::new(request, timers);
            (Client::Invite(machine), actions)
        } else {
            let (machine, actions) = NonInviteClient::new(request, timers);
            (Client::Other(machine), actions)
        }
    }

    /// Steps the machine.
    pub(crate) fn handle(&mut self, input: ClientInput, timers: &Timers) -> Actions {
        match self {
            Client::Invite(machine) => {
                let input = match input {
                    ClientInput::Response(status) => InviteClientInput::Response(status),
                    ClientInput::Cancel => InviteClientInput::Cancel,
                    ClientInput::Timer(timer) => InviteClientInput::Timer(timer),
                    ClientInput::TransportError => InviteClientInput::TransportError,
                };
                let before = std::mem::replace(machine, InviteClient::Terminated);
                let (after, actions) = before.handle(input, timers);
                *machine = after;
                actions
            }
            Client::Other(machine) => {
                let input = match input {
                    ClientInput::Response(status) => NonInviteClientInput::Response(status),
                    // RFC 3261 §9.1: nothing but INVITE is cancelled.
                    ClientInput::Cancel => return Actions::new(),
                    ClientInput::Timer(timer) => NonInviteClientInput::Timer(timer),
                    ClientInput::TransportError => NonInviteClientInput::TransportError,
                };
                step_other(machine, input, timers)
            }
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Client::Invite(machine) => machine.is_terminated(),
            Client::Other(machine) => machine.is_terminated(),
        }
    }
}

impl Cancel {
    /// Steps the CANCEL's machine.
    pub(crate) fn handle(&mut self, input: NonInviteClientInput, timers: &Timers) -> Actions {
        step_other(&mut self.client, input, timers)
    }
}

fn step_other(
    machine: &mut NonInviteClient,
    input: NonInviteClientInput,
    timers: &Timers,
) -> Actions {
    let before = std::mem::replace(machine, NonInviteClient::Terminated);
    let (after, actions) = before.handle(input, timers);
    *machine = after;
    actions
}
