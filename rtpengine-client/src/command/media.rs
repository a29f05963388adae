//! Commands about the media of a running call: recording, forwarding, blocking, playing, DTMF.

use std::net::IpAddr;
use std::time::Duration;

use super::{Command, Request, extras, setters};
use crate::answer::{Done, Playing};
use crate::bencode::{ByteString, Dictionary, Value};
use crate::options::{milliseconds, write_extra};
use crate::words::{DtmfBlock, Flag};

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
    fn write(&self, flags: &[Flag], to: &mut Dictionary) {
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

/// `block DTMF`: the digits that a party sends are dropped or replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockDtmf {
    /// The call.
    pub call_id: ByteString,
    /// Whose digits.
    pub party: Party,
    /// [`Flag::DetectDtmf`] finds tones in the audio too.
    pub flags: Vec<Flag>,
    /// What is done to them; dropped if missing, or nothing if there is a trigger.
    pub mode: Option<DtmfBlock>,
    /// Digits that switch `trigger_mode` on.
    pub trigger: Option<String>,
    /// What is done once `trigger` was dialled.
    pub trigger_mode: Option<DtmfBlock>,
    /// Digits that end it.
    pub trigger_end: Option<String>,
    /// What is done once `trigger_end` was dialled.
    pub trigger_end_mode: Option<DtmfBlock>,
    /// How long after the trigger it ends by itself, sent in milliseconds.
    pub trigger_end_time: Option<Duration>,
    /// After how many digits it ends by itself.
    pub trigger_end_digits: Option<u32>,
    /// The tone of [`DtmfBlock::Tone`], in Hz.
    pub frequency: Option<u32>,
    /// Its volume, in dB below full scale (0 to 63).
    pub volume: Option<u8>,
    /// The digit of [`DtmfBlock::Dtmf`].
    pub digit: Option<Digit>,
    /// How long audio is held back to find tones in time, sent in milliseconds.
    pub delay_buffer: Option<Duration>,
    /// How long a replaced digit is delayed, sent in milliseconds.
    pub delay: Option<Duration>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl BlockDtmf {
    /// Events are dropped.
    pub fn new(call_id: impl Into<ByteString>, party: Party) -> Self {
        BlockDtmf {
            call_id: call_id.into(),
            party,
            ..BlockDtmf::default()
        }
    }
}

setters!(BlockDtmf {
    /// Sets what is done to them.
    mode: DtmfBlock,
    /// Sets the digits that switch `trigger_mode` on.
    trigger: String,
    /// Sets what is done once `trigger` was dialled.
    trigger_mode: DtmfBlock,
});

impl Request for BlockDtmf {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::BlockDtmf.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&self.flags, to);
        to.text_if("DTMF-security", self.mode);
        to.text_if("trigger", self.trigger.as_ref());
        to.text_if("DTMF-security-trigger", self.trigger_mode);
        to.text_if("trigger-end", self.trigger_end.as_ref());
        to.text_if("DTMF-security-trigger-end", self.trigger_end_mode);
        to.number_if("trigger-end-time", self.trigger_end_time.map(milliseconds));
        to.number_if("trigger-end-digits", self.trigger_end_digits);
        to.number_if("frequency", self.frequency);
        to.number_if("volume", self.volume);
        to.text_if("digit", self.digit.map(|digit| [digit.0]));
        to.number_if("delay-buffer", self.delay_buffer.map(milliseconds));
        to.number_if("DTMF-delay", self.delay.map(milliseconds));
        write_extra(&self.extra, to);
    }
}

/// `unblock DTMF`: digits pass again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnblockDtmf {
    /// The call.
    pub call_id: ByteString,
    /// Whose digits.
    pub party: Party,
    /// How long audio is held back from now on, sent in milliseconds; zero ends it.
    pub delay_buffer: Option<Duration>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl UnblockDtmf {
    /// Digits of `party` pass again.
    pub fn new(call_id: impl Into<ByteString>, party: Party) -> Self {
        UnblockDtmf {
            call_id: call_id.into(),
            party,
            ..UnblockDtmf::default()
        }
    }
}

setters!(UnblockDtmf {
    /// Sets how long audio is held back from now on.
    delay_buffer: Duration,
});

impl Request for UnblockDtmf {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::UnblockDtmf.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&[], to);
        to.number_if("delay-buffer", self.delay_buffer.map(milliseconds));
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

/// A key of a telephone: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl TryFrom<char> for Digit {
    type Error = char;

    fn try_from(key: char) -> Result<Self, char> {
        match key.to_ascii_uppercase() {
            upper @ ('0'..='9' | '*' | '#' | 'A'..='D') => Ok(Digit(upper as u8)),
            _ => Err(key),
        }
    }
}

/// `play DTMF`: a digit as if `party` had dialled it. The call must have been offered with
/// [`Flag::InjectDtmf`] if nobody in it speaks telephone-event.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayDtmf {
    /// The call.
    pub call_id: ByteString,
    /// Who dials.
    pub party: Party,
    /// The digit.
    pub digit: Digit,
    /// How long, sent in milliseconds; 250 ms if missing, 100 ms to 5 s.
    pub duration: Option<Duration>,
    /// The pause before the next digit, sent in milliseconds; 100 ms if missing, up to 5 s.
    pub pause: Option<Duration>,
    /// The volume, in dB below full scale.
    pub volume: Option<u8>,
    /// Any other keys.
    pub extra: Vec<(String, Value)>,
}

impl PlayDtmf {
    /// One digit.
    pub fn new(call_id: impl Into<ByteString>, party: Party, digit: Digit) -> Self {
        PlayDtmf {
            call_id: call_id.into(),
            party,
            digit,
            duration: None,
            pause: None,
            volume: None,
            extra: Vec::new(),
        }
    }
}

setters!(PlayDtmf {
    /// Sets how long.
    duration: Duration,
    /// Sets the pause before the next digit.
    pause: Duration,
    /// Sets the volume.
    volume: u8,
});

impl Request for PlayDtmf {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::PlayDtmf.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        self.party.write(&[], to);
        to.text("digit", [self.digit.0]);
        to.number_if("duration", self.duration.map(milliseconds));
        to.number_if("pause", self.pause.map(milliseconds));
        to.number_if("volume", self.volume.map(|volume| -i64::from(volume)));
        write_extra(&self.extra, to);
    }
}

extras!(
    Recording,
    Forwarding,
    BlockMedia,
    BlockDtmf,
    UnblockDtmf,
    PlayMedia,
    StopMedia,
    PlayDtmf
);
