//! Who takes part in a call of the matrix: signalling, and media that really flows.
//!
//! A [`Party`] is a phone, a browser or a core. What it does is cut into [`Step`]s. Two parties walk them together: one
//! [begins](Party::begins), the other [follows](Party::follows), both at once; who cannot do a step says so beforehand
//! ([`Party::can`]). After each step audio is proven at the ends that hear it ([`talk`], [`silence`]): packets under the payload
//! type that was negotiated, and where that is G.711, with the other's tone in them.
//!
//! [`Phone`] is a party of ours in three kinds ([`Profile`]): plain RTP over UDP signalling, SDES over TLS, WebRTC over WSS.
//! [`CoreParty`] says what FreeSWITCH said, and echoes what it hears; [`DeskPhone`] is baresip,
//! [`Linphone`] linphone.

mod audio;
mod cipher;
mod core;
mod description;
mod desk;
mod flaw;
mod linphone;
mod media;
mod packet;
mod page;
mod phone;
mod steps;
mod tone;
mod webrtc;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

pub use audio::{hears, mark, silence, talk};
pub use core::CoreParty;
pub use description::{Profile, Setup};
pub use desk::DeskPhone;
pub use flaw::Flaw;
pub use linphone::Linphone;
pub use page::PagePhone;
pub use phone::Phone;

/// Something that a party does.
pub type Doing<'a, T = ()> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// How a hold is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spelling {
    /// `a=sendonly`: RFC 3264 §8.4.
    Sendonly,
    /// `a=inactive`.
    Inactive,
    /// `c=IN IP4 0.0.0.0`: RFC 2543 §B.5.
    Zero,
}

/// What two parties do together. `begins` is the caller of a call, or who acts in one that is up; `follows` is the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// INVITE, 407, INVITE, and the other rings (180). `begins` returns when it rings.
    Ring,
    /// The same without an offer in the INVITE.
    RingLate,
    /// The same with 183 and an answer in it: audio flows before anybody has answered.
    Early,
    /// 200 and ACK of what rings.
    Pickup,
    /// The caller gives up what rings: CANCEL and 487. `follows` is also what a branch of a fork sees that lost.
    Cancel,
    /// A re-INVITE with another port or other keys is refused with 488, and everything stays as it was.
    Refused,
    /// A re-INVITE that restarts ICE is refused with 488.
    RefusedRestart,
    /// Two re-INVITEs cross; both are refused with 491.
    Glare,
    /// A re-INVITE that restarts ICE, or gives another port and other keys, and is taken.
    Restart,
    /// Who begins holds the other.
    Hold(Spelling),
    /// Who held takes the other back.
    Resume,
    /// A re-INVITE that changes the codec: who begins offers only another one.
    Codec,
    /// UPDATE with SDP: RFC 3311.
    Update,
    /// A re-INVITE without an offer; the answer is in its ACK.
    Late,
    /// Who begins presses `1`, `2`, `3`: RFC 4733.
    Dtmf,
    /// Who begins hangs up while a re-INVITE of the other is under way.
    Crossing,
    /// Who begins hangs up.
    Bye,
}

impl Step {
    /// What the user of a real phone can begin, by its keys or commands.
    fn has_a_key(self) -> bool {
        matches!(
            self,
            Step::Ring
                | Step::Early
                | Step::Pickup
                | Step::Cancel
                | Step::Bye
                | Step::Hold(Spelling::Sendonly)
                | Step::Resume
                | Step::Dtmf
        )
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who begins the step.
    Begins,
    /// The other.
    Follows,
}

/// What a party has heard since it exists.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The codec that it may be sent now, by its name in `a=rtpmap`, upper case: `PCMU`.
    pub codec: String,
    /// Packets by codec; what came under a payload type that was not negotiated is under `?` and its number.
    pub packets: BTreeMap<String, u64>,
    /// Packets by the tone in them, in Hz; `None` if it cannot tell, or what it is sent is not G.711.
    pub tones: Option<BTreeMap<u32, u64>>,
    /// Digits that were pressed at the other end (RFC 4733).
    pub digits: String,
}

impl Heard {
    /// Packets of the codec that was negotiated.
    pub fn expected(&self) -> u64 {
        self.packets.get(&self.codec).copied().unwrap_or(0)
    }
}

/// Somebody who takes part.
pub trait Party: Send {
    /// What it is, for the matrix: `AVP phone`, `Chromium`.
    fn kind(&self) -> &str;
    /// The user or number under which others call it.
    fn user(&self) -> &str;
    /// Whether it can take this part in a step; why not otherwise, in a few words.
    fn can(&self, step: Step, part: Part) -> Result<(), &'static str>;
    /// Gets ready to follow a step, before it begins: for who has to be told beforehand that it shall refuse.
    fn prepares(&mut self, _step: Step) -> Doing<'_> {
        Box::pin(async { Ok(()) })
    }
    /// Begins a step; `whom` is the user of the other, needed where a call begins.
    fn begins<'a>(&'a mut self, step: Step, whom: &'a str) -> Doing<'a>;
    /// Takes the other part.
    fn follows(&mut self, step: Step) -> Doing<'_>;
    /// What it has heard so far.
    fn heard(&mut self) -> Doing<'_, Heard>;
    /// The tone that it sends, in Hz, if others can tell it from anybody else's now.
    fn tone(&self) -> Option<u32>;
}
