//! What a Record-Route token says of the ends of its dialog, behind all else: nothing, one byte with both profiles, or six with the
//! numbers of their policies too. The length tells which: without it the rest has 0, 13 or 25 bytes, and four more with a holder.

use sdp::Profile;

use super::payload::Payload;
use crate::media::Ends;
use crate::media::ends::{End, POLICY_BITS};

const PROFILE_BITS: u32 = 3;

pub(super) fn write(to: &mut Payload, ends: &Ends) {
    if *ends == Ends::NONE {
        return;
    }
    let (caller, called) = (&ends.caller, &ends.called);
    to.push(code(caller.profile) << PROFILE_BITS | code(called.profile));
    if caller.policy != 0 || called.policy != 0 {
        let both =
            u64::from(caller.policy & POLICY_BITS) << 20 | u64::from(called.policy & POLICY_BITS);
        to.extend_from_slice(&both.to_be_bytes()[3..]);
    }
}

/// What stands before it, and what it says; `None` for lengths and bits that `write` does not write.
pub(super) fn read(bytes: &[u8]) -> Option<(&[u8], Ends)> {
    let length = match bytes.len() {
        0 | 4 | 13 | 17 | 25 | 29 => return Some((bytes, Ends::NONE)),
        1 | 5 | 14 | 18 | 26 | 30 => 1,
        6 | 10 | 19 | 23 | 31 | 35 => 6,
        _ => return None,
    };
    let (before, said) = bytes.split_at(bytes.len() - length);
    let (&profiles, numbers) = said.split_first()?;
    let both = numbers
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte));
    let number = |shift: u32| u32::try_from(both >> shift & u64::from(POLICY_BITS)).ok();
    let ends = Ends {
        caller: End {
            profile: profile(profiles >> PROFILE_BITS)?,
            policy: number(20)?,
        },
        called: End {
            profile: profile(profiles & 7)?,
            policy: number(0)?,
        },
    };
    let is_whole = ends != Ends::NONE && (length == 1 || both != 0);
    is_whole.then_some((before, ends))
}

fn code(profile: Option<Profile>) -> u8 {
    match profile {
        None => 0,
        Some(Profile::WebRtc) => 1,
        Some(Profile::DtlsSrtp) => 2,
        Some(Profile::SrtpSdes) => 3,
        Some(Profile::SrtpOptional) => 4,
        Some(Profile::Rtp) => 5,
    }
}

fn profile(code: u8) -> Option<Option<Profile>> {
    Some(match code {
        0 => None,
        1 => Some(Profile::WebRtc),
        2 => Some(Profile::DtlsSrtp),
        3 => Some(Profile::SrtpSdes),
        4 => Some(Profile::SrtpOptional),
        5 => Some(Profile::Rtp),
        _ => return None,
    })
}
