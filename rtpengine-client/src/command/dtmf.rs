//! Commands about the digits of a running call: blocking, and dialling in a party's place.

use std::time::Duration;

use super::{Command, Party, Request, extras, setters};
use crate::answer::Done;
use crate::bencode::{ByteString, Dictionary, Value};
use crate::options::{milliseconds, write_extra};
use crate::words::{DtmfBlock, Flag};

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

extras!(BlockDtmf, UnblockDtmf, PlayDtmf);
