//! What is wrong with a phone's media: the faults that a gateway has to put into words.

use super::Phone;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing that it sends arrives, nor anything that it is sent: a firewall, or a phone that lost its power.
    Blocked,
    /// It sends no RTP: a dead microphone, or a firewall in one direction.
    Mute,
    /// DTLS is dropped in both directions (RFC 7983 §7: the first byte says what a datagram is); ICE goes on.
    NoDtls,
    /// Its SDP names another certificate than the one that it has.
    WrongFingerprint,
}

impl Flaw {
    /// Whether a datagram that it sends, or would get, passes.
    pub(super) fn passes(self, bytes: &[u8], is_sent: bool) -> bool {
        let first = bytes.first().copied().unwrap_or_default();
        match self {
            Flaw::Blocked => false,
            Flaw::Mute => !is_sent || first < 128,
            Flaw::NoDtls => !(20..64).contains(&first),
            Flaw::WrongFingerprint => true,
        }
    }
}

impl Phone {
    /// The same with a fault in its next call.
    pub fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    /// The fault happens now, in the call that it has.
    pub fn fails(&self, flaw: Flaw) {
        if let Some(leg) = &self.leg {
            leg.media.fails(flaw);
        }
    }

    /// The Call-ID of the call that it has.
    pub fn call_id(&self) -> Option<&str> {
        Some(&self.leg.as_ref()?.dialog.call_id)
    }
}
