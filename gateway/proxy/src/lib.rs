//! What a SIP edge proxy decides, as pure functions: a message, the flow it came by and what is known go in, what to
//! do comes out. No socket, no clock, no task.
//!
//! Start reading at [`decide`], which is RFC 3261 §16.3 to §16.6 a function a section, then [`response::pass_on`]
//! (§16.7). What an edge would otherwise have to remember of a call is in [`token`]s.

mod branch;
mod breadth;
pub mod call_out;
pub mod cluster;
pub mod decision;
pub mod device;
pub mod edge;
pub mod exchange;
pub mod failover;
pub mod flow;
pub mod fork;
pub mod forward;
pub mod group;
mod hiding;
pub mod key;
mod listener;
mod lookup;
pub mod media;
mod moved;
pub mod mtu;
mod next_hop;
pub mod path;
pub mod peer;
mod preprocess;
pub mod privacy;
pub mod redirect;
pub mod reply;
pub mod request;
pub mod response;
mod rule;
mod side;
pub mod site;
pub mod state;
pub mod status;
pub mod token;
pub mod trace;
pub mod verdict;

pub use decision::{
    Alive, Binding, Bindings, Bound, Chosen, Context, Decision, Device, Facts, Flows, Forward,
    Holder, Hop, NextHop, Question, Room, Sender,
};
pub use flow::{ConnectionId, Flow, ListenerId};
pub use request::decide;
pub use site::Site;
pub use status::Reason;
