//! What `decide` is given and what it says: plain data, carried out by the caller.

use std::net::SocketAddr;

use sip::{Edited, Transport};

use crate::call_out::Choice;
use crate::cluster::Nodes;
use crate::flow::Flow;
use crate::media::Key;
use crate::site::Site;
use crate::status::Reason;
use crate::token::{Pass, Sealer};

/// What is fixed when a message comes in.
pub struct Context<'a> {
    /// Seconds since 1970: which key signs.
    pub now_unix: u64,
    /// What this node is.
    pub site: &'a Site,
    /// Signs and opens our tokens.
    pub sealer: &'a Sealer,
    /// Which flows live, and which device stands behind which.
    pub flows: &'a dyn Flows,
    /// Who of the groups is alive.
    pub alive: &'a dyn Alive,
    /// The other nodes of the cluster.
    pub nodes: &'a dyn Nodes,
}

/// A device: a hash of its address-of-record and instance-id (or Contact), as tokens carry it (SIGNALLING §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Device(pub [u8; 4]);

/// Where devices are now: soft knowledge of the node, filled from answered REGISTERs.
pub trait Flows {
    /// The living flow that an address in a token means.
    fn flow(
        &self,
        listener: crate::flow::ListenerId,
        address: crate::token::FlowAddress,
    ) -> Option<Flow>;
    /// The newest living flow of a device.
    fn newest(&self, device: Device) -> Option<Flow>;
    /// The flow of a device that was newest, whether or not it is still there.
    fn last(&self, device: Device) -> Option<Flow> {
        self.newest(device)
    }
    /// The living connection from this peer, of a device that registered by it where [`crate::path::PathStyle::Received`] is
    /// written.
    fn connection_from(&self, transport: Transport, peer: SocketAddr) -> Option<Flow>;
    /// The device behind a flow, if it registered by it.
    fn device(&self, flow: &Flow) -> Option<Device>;
}

/// Who of the groups is alive, and how much each has to do.
pub trait Alive {
    /// False when the probe or a passive failure says that the member is gone.
    fn is_alive(&self, group: usize, member: usize) -> bool;

    /// How many calls a member has, as far as this node knows.
    fn calls(&self, group: usize, member: usize) -> u32 {
        let _ = (group, member);
        0
    }

    /// Whose turn it is in a group: another number each time, one higher than the last.
    fn turn(&self, group: usize) -> u32 {
        let _ = group;
        0
    }
}

/// Answers to what was asked so far.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Who sent the request, if it was asked.
    pub sender: Option<Sender>,
    /// Where the called user can be reached, if it was asked.
    pub bindings: Option<Bindings>,
    /// Whether the peer may begin a call, if it was asked.
    pub place: Option<Room>,
    /// Where the hosts are that were asked about, who is tried first in front; an empty list for one that has no address.
    pub addresses: Vec<(NextHop, Vec<(Transport, SocketAddr)>)>,
    /// What the call-out answered, if it was asked; `None` in it where no good answer came in time.
    pub call_out: Option<Option<Choice>>,
    /// Which node has the device of the dialog, if it was asked.
    pub holder: Option<Holder>,
}

/// The answer to [`Question::Holder`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// None of those that live.
    Nobody,
    /// This one.
    Node(u16),
}

/// The answer to [`Question::Sender`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// Its credentials are right.
    Authenticated,
    /// It has to show (newer) credentials.
    Unknown {
        /// They were right, but the nonce is old (RFC 7616 §3.3).
        stale: bool,
    },
    /// They are wrong, or speak for somebody else.
    Refused,
}

/// The answer to [`Question::Place`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// The call has its place, and counts from now on.
    Granted,
    /// The peer has as many calls as it may.
    TooMany,
    /// It begins more of them in a second than it may.
    TooFast,
    /// The table of calls is full.
    Full,
}

/// The answer to [`Question::Bindings`] and [`Question::Contact`].
#[derive(Clone, Debug)]
pub enum Bindings {
    /// There is no such user.
    NoUser,
    /// The user's devices, one entry for each; an empty list when none is registered.
    Devices(Vec<Binding>),
}

/// A device that a request may go to.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Binding {
    /// Its registered Contact: the new request-URI.
    pub contact: Vec<u8>,
    /// Its Path (RFC 3327), the first one on top.
    pub path: Vec<Vec<u8>>,
    /// Which device it is.
    pub device: Device,
    /// Whose it is, `user@domain`.
    pub aor: Vec<u8>,
    /// When it was registered last, milliseconds since 1970.
    pub updated: u64,
    /// Its other flows, the next one to try first (RFC 5626 §7); their own alternatives are empty.
    pub alternatives: Vec<Binding>,
}

/// What has to be known before the decision can be made; the caller asks it from inside a transaction if it has to
/// wait for the answer, so that a retransmission cannot ask twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// Do the credentials of this request prove its sender?
    Sender,
    /// Where are the devices of this address-of-record (`user@domain`, lower-case host)?
    Bindings(Vec<u8>),
    /// Which device registered exactly this Contact?
    Contact(Vec<u8>),
    /// May this peer begin a call? Asked last, so that what is refused otherwise takes no place.
    Place {
        /// Its index in the site.
        peer: usize,
    },
    /// What does this call-out say, by its index in the site?
    CallOut(usize),
    /// Where is this host (RFC 3263)?
    Address(NextHop),
    /// Which other node has this device at a living flow?
    Holder(Device),
}

/// What a URI says of the server that it names, as far as it decides which DNS records count (RFC 3263 §4).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NextHop {
    /// A domain name in lower case.
    pub host: String,
    /// Its port: then only its addresses are asked for.
    pub port: Option<u16>,
    /// Its transport: then no NAPTR record is.
    pub transport: Option<Transport>,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Decision {
    /// Nothing, and nobody is told.
    Drop(Reason),
    /// Answer it.
    Reply(Reason),
    /// Answer it with a challenge.
    Challenge {
        /// 401 of the registrar, or 407 of the proxy.
        as_proxy: bool,
        /// The old nonce was good for its time only.
        stale: bool,
    },
    /// Our registrar serves it; the request as the registrar is to see it (our Path on top).
    Register(Box<Edited>),
    /// Pass it on without remembering it.
    Relay(Box<Forward>),
    /// Pass it on in a transaction: to all at once, the best answer goes back.
    Start(Vec<Forward>),
    /// Wait until the device comes back (SIGNALLING §5), then decide again.
    Await {
        /// Which device.
        device: Device,
        /// The media of the dialog, which ends with it if the request is a BYE.
        media: crate::token::Media,
        /// The sender was the called side when the dialog began.
        from_called: bool,
    },
    /// A key that came by INFO: RTPEngine plays it to the other side, and the INFO is answered here.
    Press(Key),
    /// This has to be known first.
    Ask(Question),
}

/// Where a request leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hop {
    /// By a device's flow.
    Flow(Flow),
    /// To a server: from our listener, a connection is made if there is none.
    Server {
        /// What is spoken.
        transport: Transport,
        /// Where it is.
        address: SocketAddr,
    },
}

/// Which member of a group a request goes to (SIGNALLING §6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// The group's index in the site.
    pub group: usize,
    /// The member's index in the group.
    pub member: usize,
    /// Who is asked when that one fails, in this order; empty where nobody else may be.
    pub next: Vec<usize>,
    /// It was chosen by a count: the same request would not find it again, and has to be remembered.
    pub by_count: bool,
}

/// The binding of our registrar that a request goes by.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Which one it is; its alternatives are in `others`.
    pub binding: Binding,
    /// The same request by the device's other flows, the next one first: after 430 or 408 only (RFC 5626 §7).
    pub others: Vec<Forward>,
}

/// A request ready to leave, but for Via and Record-Route: they name the media node, which is known only after the
/// offer. [`crate::forward::seal`] adds them.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The request with all other edits.
    pub request: Edited,
    /// Where it goes.
    pub hop: Hop,
    /// Which way it passes us.
    pub pass: Pass,
    /// Adds our Record-Route (SIGNALLING §2).
    pub record_route: bool,
    /// What the token of the dialog said of its media; `None` outside a dialog. Its pass is the one that made the
    /// dialog, whichever way this request goes.
    pub media: Option<crate::token::Media>,
    /// A new call goes through RTPEngine, if there is one ([`crate::media::ends::anchors`]).
    pub anchored: bool,
    /// The sender was the called side when the dialog began; false outside a dialog.
    pub from_called: bool,
    /// The device that it goes to, where that is known.
    pub towards: Option<Device>,
    /// The device that sent it, if this is news of where that is: its flow is to be noted ([`crate::moved`]).
    pub moved: Option<Device>,
    /// From says no more who the caller is (RFC 3323): [`crate::privacy::reveal`] puts it back in the responses.
    pub anonymous: bool,
    /// The member that was chosen, if a route leads to a group.
    pub member: Option<Chosen>,
    /// The binding that it goes by, if our registrar was asked.
    pub bound: Option<Box<Bound>>,
    /// Where the request came from, for the branch and the other copy of the Record-Route.
    pub source: Flow,
    /// What the branch is a function of: received branch, request-URI and target.
    pub identity: [u8; 8],
}

impl Forward {
    /// What is said of it when its flow is gone. Who asked us for this flow tries the next one; who asked for a user has no use
    /// for a 430 (RFC 5626 §5.3).
    pub fn lost(&self) -> Reason {
        match (&self.bound, self.pass) {
            (Some(_), _) | (None, Pass::Local) => Reason::NotRegistered,
            (None, Pass::Down) => Reason::FlowFailed,
            (None, Pass::Up | Pass::Through) => Reason::Unreachable,
        }
    }
}
