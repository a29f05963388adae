//! What is known of a call that is over: plain data, collected as its messages passed and said by RTPEngine at its end.

use std::time::Duration;

use crate::status::Reason;

/// One of the two sides of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// Who sent the INVITE.
    Caller,
    /// Who was called.
    Called,
}

impl Party {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Called,
            Self::Called => Self::Caller,
        }
    }

    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Caller => "the caller",
            Self::Called => "the called side",
        }
    }

    /// In a record.
    pub fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Called => "called",
        }
    }
}

/// Everything that the judgement looks at. Times count from the INVITE.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How it ended.
    pub ending: Ending,
    /// It was offered to a member of a group, not to a device.
    pub to_core: bool,
    /// The first response from beyond, whatever it said.
    pub heard: Option<Duration>,
    /// The first 18x.
    pub rang: Option<Duration>,
    /// The first 2xx.
    pub answered: Option<Duration>,
    /// The ACK to it.
    pub acknowledged: Option<Duration>,
    /// The CANCEL of the caller.
    pub cancelled: Option<Duration>,
    /// The final refusal, or the BYE.
    pub ended: Duration,
    /// The INVITE had credentials.
    pub has_credentials: bool,
    /// What the called side said of its media.
    pub answer: Answer,
    /// What the timer of the session was (RFC 4028), and when it was last set; `None` without one.
    pub timer: Option<Refresh>,
    /// The last change of the session that was refused, and not made good since: who refused it, with what.
    pub refused_change: Option<(Party, u16)>,
    /// What RTPEngine said.
    pub media: Media,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With a final response of 300 or more.
    Refused {
        /// Of the response.
        status: u16,
        /// Who refused.
        by: By,
    },
    /// With a BYE.
    HungUp {
        /// Who sent it.
        by: Party,
        /// Its final response; `None` when the other side gave none.
        confirmed: Option<u16>,
    },
    /// With a BYE of ours to both sides.
    EndedByUs {
        /// From whom no packet came; `None` when a device's connection was gone for too long.
        silent: Option<Party>,
    },
    /// Nobody has said so here.
    Unseen,
}

/// Who refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum By {
    /// We, for this reason.
    Us(Reason),
    /// Somebody beyond.
    Beyond,
}

/// What the called side said of its media.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing yet.
    Nothing,
    /// It answered without SDP, though there was an offer.
    Without,
    /// It took no audio: each m=audio line has port 0.
    NoAudio,
    /// It was answered, and RTPEngine did not take the answer: its SDP was taken off.
    Lost,
    /// There is audio in it, or nobody looked.
    Given,
}

/// A session timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refresh {
    /// Session-Expires.
    pub interval: Duration,
    /// When it was said last.
    pub at: Duration,
}

/// What RTPEngine said at the end.
#[derive(Clone, PartialEq, Debug)]
pub enum Media {
    /// None was in the way of this call, or it had not come to that.
    NotAsked,
    /// It did not answer.
    Silent,
    /// It does not know the call: it was started anew meanwhile, or had ended it.
    Gone,
    /// What it saw of both sides.
    Seen(Box<Legs>),
}

/// Both sides.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Legs {
    /// The caller's.
    pub caller: Leg,
    /// The called side's.
    pub called: Leg,
}

/// The audio of one side, as it came to RTPEngine.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Leg {
    /// `RTP/AVP` and its kin.
    pub profile: Option<String>,
    /// `opus/48000/2`, once there were packets.
    pub codec: Option<String>,
    /// RTP packets that came.
    pub packets: u64,
    /// Packets that could not be used, or not be sent on to it: SRTP that does not verify, no keys yet.
    pub errors: u64,
    /// When the last one came.
    pub last_packet: Option<Duration>,
    /// What was agreed at the end: it sends.
    pub sends: bool,
    /// ICE (RFC 8445): whether its checks succeeded; `None` for a side without, and where nobody says so.
    pub ice: Option<bool>,
    /// DTLS-SRTP (RFC 5763): whether the handshake was done and its fingerprint is the one in the SDP; `None` for a side without.
    pub dtls: Option<Dtls>,
    /// What the RTCP about it said, if any came.
    pub quality: Option<Quality>,
}

/// How far DTLS came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dtls {
    /// No handshake was completed.
    NotDone,
    /// The handshake was done, with another certificate than the SDP's fingerprint names.
    WrongFingerprint,
    /// Done.
    Done,
}

/// How good it sounded to the other side (RFC 3550 §6.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quality {
    /// Packets lost.
    pub lost: i64,
    /// Of a hundred packets.
    pub loss_percent: u32,
    /// Milliseconds.
    pub jitter: u64,
    /// Ten times the mean opinion score.
    pub mos: u32,
    /// Microseconds, from end to end.
    pub round_trip: u64,
    /// How many reports there were.
    pub reports: u32,
}

impl Legs {
    /// That of one side.
    pub fn of(&self, party: Party) -> &Leg {
        match party {
            Party::Caller => &self.caller,
            Party::Called => &self.called,
        }
    }
}
