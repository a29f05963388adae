//! Commands about the media of a running call: recording, forwarding, blocking, playing.

use std::net::IpAddr;

use super::{Command, Request, extras, setters};
use crate::answer::{Done, Playing};
use crate::bencode::{ByteString, Dictionary, Value};
use crate::options::write_extra;
use crate::words::Flag;

/// For whom of the call a media command is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Party {
    /// The call as a whole. Playing is not possible so.
    #[default]
    Call,
    /// Each party of the call, one by one.
    Each,
    /// The party with this tag.
    Tag(ByteString),
    /// The party that was given this label.
    Label(String),
    /// The first party with this address in its SDP.
    Address(IpAddr),
}

impl Party {
    /// Writes the keys, `flags` included.
    pub(super) fn write(&self, flags: &[Flag], to: &mut Dictionary) {
        let mut flags = flags.to_vec();
        match self {
            Party::Call => {}
            Party::Each => flags.push(Flag::All),
            Party::Tag(tag) => to.text("from-tag", tag),
            Party::Label(label) => to.text("label", label),
            Party::Address(address) => to.text("address", address.to_string()),
        }
        to.list("flags", &flags);
    }
}

/// `start recording`, `stop recording`, `pause recording`.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    command: Command,
    /// The call.
    pub call_id: ByteString,
    /// Whose metadata are set; the call's if missing. Always the whole call is recorded.
    pub from_tag: Option<ByteString>,
    /// What is kept with the recording.
    pub metadata: Option<String>,
    /// Where the file goes (of `start recording`).
    pub output_destination: Option<String>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl Recording {
    fn new(command: Command, call_id: ByteString) -> Self {
        Recording {
            command,
            call_id,
            from_tag: None,
            metadata: None,
            output_destination: None,
            extra: Vec::new(),
        }
    }

    /// From now on.
    pub fn start(call_id: impl Into<ByteString>) -> Self {
        Recording::new(Command::StartRecording, call_id.into())
    }

    /// No longer; the file is finished.
    pub fn stop(call_id: impl Into<ByteString>) -> Self {
        Recording::new(Command::StopRecording, call_id.into())
    }

    /// Not for now; `start` goes on with the same file. RTPEngine 11 and later.
    pub fn pause(call_id: impl Into<ByteString>) -> Self {
        Recording::new(Command::PauseRecording, call_id.into())
    }
}

setters!(Recording {
    /// Sets whose metadata are set.
    from_tag: ByteString,
    /// Sets the metadata.
    metadata: String,
    /// Sets where the file goes.
    output_destination: String,
});

impl Request for Recording {
    type Answer = Done;

    fn command(&self) -> &str {
        self.command.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text_if("from-tag", self.from_tag.as_ref());
        to.text_if("metadata", self.metadata.as_ref());
        to.text_if("output-destination", self.output_destination.as_ref());
        write_extra(&self.extra, to);
    }
}

/// `start forwarding`, `stop forwarding`: copies of the packets go to the recording daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Forwarding {
    command: Command,
    /// The call.
    pub call_id: ByteString,
    /// For whom of it.
    pub party: Party,
    /// What is kept with it.
    pub metadata: Option<String>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl Forwarding {
    /// From now on.
    pub fn start(call_id: impl Into<ByteString>, party: Party) -> Self {
        let (call_id, command) = (call_id.into(), Command::StartForwarding);
        Forwarding {
            command,
            call_id,
            party,
            metadata: None,
            extra: Vec::new(),
        }
    }

    /// No longer.
    pub fn stop(call_id: impl Into<ByteString>, party: Party) -> Self {
        Forwarding {
            command: Command::StopForwarding,
            ..Forwarding::start(call_id, party)
        }
    }
}

setters!(Forwarding {
    /// Sets the metadata.
    metadata: String,
});

impl Request for Forwarding {
    type Answer = Done;

    fn command(&self) -> &str {
        self.command.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&[], to);
        to.text_if("metadata", self.metadata.as_ref());
        write_extra(&self.extra, to);
    }
}

/// `block media`, `unblock media`, `silence media`, `unsilence media`: what a party sends is dropped, or replaced by
/// silence.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockMedia {
    command: Command,
    /// The call.
    pub call_id: ByteString,
    /// Whose media.
    pub party: Party,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl BlockMedia {
    fn new(command: Command, call_id: ByteString, party: Party) -> Self {
        BlockMedia {
            command,
            call_id,
            party,
            extra: Vec::new(),
        }
    }

    /// Packets are dropped from now on.
    pub fn block(call_id: impl Into<ByteString>, party: Party) -> Self {
        BlockMedia::new(Command::BlockMedia, call_id.into(), party)
    }

    /// No longer.
    pub fn unblock(call_id: impl Into<ByteString>, party: Party) -> Self {
        BlockMedia::new(Command::UnblockMedia, call_id.into(), party)
    }

    /// Audio is silence from now on.
    pub fn silence(call_id: impl Into<ByteString>, party: Party) -> Self {
        BlockMedia::new(Command::SilenceMedia, call_id.into(), party)
    }

    /// No longer.
    pub fn unsilence(call_id: impl Into<ByteString>, party: Party) -> Self {
        BlockMedia::new(Command::UnsilenceMedia, call_id.into(), party)
    }
}

impl Request for BlockMedia {
    type Answer = Done;

    fn command(&self) -> &str {
        self.command.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&[], to);
        write_extra(&self.extra, to);
    }
}

/// What `play media` plays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A file that RTPEngine can read.
    File(String),
    /// The content of a file, sent along.
    Blob(Vec<u8>),
    /// An entry of RTPEngine's database.
    Database(i64),
}

/// `play media`: one or all parties hear a file.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayMedia {
    /// The call.
    pub call_id: ByteString,
    /// Who hears it. RTPEngine puts it into what this party *sends*.
    pub party: Party,
    /// What is played.
    pub source: Source,
    /// How often; once if missing.
    pub repeat_times: Option<u32>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl PlayMedia {
    /// Plays `source` once.
    pub fn new(call_id: impl Into<ByteString>, party: Party, source: Source) -> Self {
        PlayMedia {
            call_id: call_id.into(),
            party,
            source,
            repeat_times: None,
            extra: Vec::new(),
        }
    }
}

setters!(PlayMedia {
    /// Sets how often it is played.
    repeat_times: u32,
});

impl Request for PlayMedia {
    type Answer = Playing;

    fn command(&self) -> &str {
        Command::PlayMedia.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&[], to);
        match &self.source {
            Source::File(name) => to.text("file", name),
            Source::Blob(content) => to.text("blob", content),
            Source::Database(id) => to.number("db-id", *id),
        }
        to.number_if("repeat-times", self.repeat_times);
        write_extra(&self.extra, to);
    }
}

/// `stop media`: the end of `play media`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StopMedia {
    /// The call.
    pub call_id: ByteString,
    /// Who hears it.
    pub party: Party,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl StopMedia {
    /// What `party` hears ends.
    pub fn new(call_id: impl Into<ByteString>, party: Party) -> Self {
        StopMedia {
            call_id: call_id.into(),
            party,
            extra: Vec::new(),
        }
    }
}

impl Request for StopMedia {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::StopMedia.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&[], to);
        write_extra(&self.extra, to);
    }
}

extras!(Recording, Forwarding, BlockMedia, PlayMedia, StopMedia);
