//! Commands about calls and the node: `ping`, `delete`, `query`, `list`, `statistics`.

use std::time::Duration;

use super::{Command, Request, extras, setters};
use crate::answer::{self, CallInfo, Calls, Done};
use crate::bencode::{ByteString, Dictionary, Value};
use crate::options::write_extra;
use crate::words::Flag;

/// `ping`: is the node there?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ping;

impl Request for Ping {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::Ping.as_str()
    }

    fn write(&self, _to: &mut Dictionary) {}
}

/// `statistics`: what the node has done since it started, and for how long it has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics;

impl Request for Statistics {
    type Answer = answer::Statistics;

    fn command(&self) -> &str {
        Command::Statistics.as_str()
    }

    fn write(&self, _to: &mut Dictionary) {}
}

/// `delete`: the call is over, or a branch of it. The answer has the last statistics. To delete what is not there is no
/// error unless [`Flag::Fatal`] is given; [`CallInfo::warning`] says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delete {
    /// The call.
    pub call_id: ByteString,
    /// Whose: without tags, the whole call.
    pub from_tag: Option<ByteString>,
    /// The other side, if only the dialogue between the two ends.
    pub to_tag: Option<ByteString>,
    /// Only this branch.
    pub via_branch: Option<ByteString>,
    /// How long RTPEngine keeps the call, in whole seconds on the wire; `--delete-delay` (30 s) if missing. An offer
    /// within that time takes the call back.
    pub delay: Option<Duration>,
    /// [`Flag::Fatal`], [`Flag::ToTag`].
    pub flags: Vec<Flag>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl Delete {
    /// The end of the whole call.
    pub fn new(call_id: impl Into<ByteString>) -> Self {
        Delete {
            call_id: call_id.into(),
            ..Delete::default()
        }
    }

    /// Adds a flag.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }
}

setters!(Delete {
    /// Sets whose side ends.
    from_tag: ByteString,
    /// Sets the other side.
    to_tag: ByteString,
    /// Sets the branch.
    via_branch: ByteString,
    /// Sets how long RTPEngine keeps the call.
    delay: Duration,
});

impl Request for Delete {
    type Answer = CallInfo;

    fn command(&self) -> &str {
        Command::Delete.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text_if("from-tag", self.from_tag.as_ref());
        to.text_if("to-tag", self.to_tag.as_ref());
        to.text_if("via-branch", self.via_branch.as_ref());
        to.number_if(
            "delete-delay",
            self.delay
                .map(|delay| i64::try_from(delay.as_secs()).unwrap_or(i64::MAX)),
        );
        to.list("flags", &self.flags);
        write_extra(&self.extra, to);
    }
}

/// `query`: what is known of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The call.
    pub call_id: ByteString,
    /// Only this side and whom it hears.
    pub from_tag: Option<ByteString>,
    /// Only this side and whom it hears; goes before `from_tag`.
    pub to_tag: Option<ByteString>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl Query {
    /// All sides of the call.
    pub fn new(call_id: impl Into<ByteString>) -> Self {
        Query {
            call_id: call_id.into(),
            ..Query::default()
        }
    }
}

setters!(Query {
    /// Sets the side.
    from_tag: ByteString,
    /// Sets the other side.
    to_tag: ByteString,
});

impl Request for Query {
    type Answer = CallInfo;

    fn command(&self) -> &str {
        Command::Query.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text_if("from-tag", self.from_tag.as_ref());
        to.text_if("to-tag", self.to_tag.as_ref());
        write_extra(&self.extra, to);
    }
}

/// `list`: the call-ids of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// At most so many; RTPEngine's default is 32. An answer must fit into one datagram.
    pub limit: Option<u32>,
}

impl List {
    /// At most `limit` call-ids.
    pub fn at_most(limit: u32) -> Self {
        List { limit: Some(limit) }
    }
}

impl Request for List {
    type Answer = Calls;

    fn command(&self) -> &str {
        Command::List.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.number_if("limit", self.limit);
    }
}

/// Any command, any keys: for what a later RTPEngine knows and this library does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// The command.
    pub command: String,
    /// Its keys.
    pub extra: Vec<(String, Value)>,
}

impl Raw {
    /// A command without keys.
    pub fn new(command: impl Into<String>) -> Self {
        Raw {
            command: command.into(),
            extra: Vec::new(),
        }
    }
}

impl Request for Raw {
    type Answer = Done;

    fn command(&self) -> &str {
        &self.command
    }

    fn write(&self, to: &mut Dictionary) {
        write_extra(&self.extra, to);
    }
}

extras!(Delete, Query, Raw);
