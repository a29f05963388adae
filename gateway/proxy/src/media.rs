//! What is asked of RTPEngine, and when (MEDIA.md): decisions alone. Who sends it over the ng protocol, chooses the node and waits is
//! `media/` of the gateway.
//!
//! - this file: what a session is called (a pass is a session, and a branch of a fork a session within it);
//! - [`intent`]: the flags of an offer by the profile of the leg that gets it, and those of an answer;
//! - [`policy`]: what the configuration wants of a leg; [`ends`]: whose legs they are, and whether RTPEngine has to be between them;
//! - [`offer`], [`codec`]: what an offer says beside its kind;
//! - [`keys`]: keys of a telephone that come by INFO;
//! - [`role`]: whether a message's SDP is offer or answer, and whose tag goes first;
//! - [`end`]: what ends a session, and how it is said;
//! - [`lines`]: m= lines that a phone must not get twice, and the MTU's share of the SDP.

pub mod codec;
pub mod end;
pub mod ends;
pub mod intent;
pub mod keys;
pub mod lines;
pub mod offer;
pub mod policy;
pub mod role;

pub use end::{End, Ending, end_of_session};
pub use ends::{Ends, Legs};
pub use intent::{Intent, Towards, answer_flags, offer_flags};
pub use keys::Key;
pub use role::{OfferAnswer, Place, Role, Tags, role_of_sdp};
pub use sdp::Profile;

use sip::Transport;

use crate::token::Pass;

/// The profile of a leg that has not spoken yet, by its flow: who came over WebSocket is a browser, anybody else takes plain RTP.
/// Configuration may say otherwise for a domain, a user or a group; what a leg says itself ([`Profile::of`]) wins.
pub fn profile_of_flow(transport: Transport) -> Profile {
    match transport {
        Transport::Ws | Transport::Wss => Profile::WebRtc,
        Transport::Udp | Transport::Tcp | Transport::Tls => Profile::Rtp,
    }
}

/// The call-id of the ng protocol: the Call-ID and the pass.
///
/// Device A → edge → registrar → the same edge → device B keeps Call-ID and From tag, by which RTPEngine knows the offerer: with
/// one name for both passes the second offer overwrites the first, and the media runs in a circle (measured).
pub fn ng_call_id(call_id: &[u8], pass: Pass) -> Vec<u8> {
    let letter: &[u8] = match pass {
        Pass::Up => b"/u",
        Pass::Down => b"/d",
        Pass::Local => b"/l",
        Pass::Through => b"/t",
    };
    [call_id, letter].concat()
}

/// The via-branch of the ng protocol: the target of a fork's branch (a hash of the Path token, or of what else names the device), and
/// none in a pass towards the core.
///
/// It keeps the branches of a fork apart, which share Call-ID and From tag. It is no Via branch: one that changes over a 407 and
/// its retry would leave the first session behind after BYE (measured).
pub fn ng_via_branch(pass: Pass, target: &[u8; 4]) -> Option<String> {
    match pass {
        Pass::Up | Pass::Through => None,
        Pass::Down | Pass::Local => Some(hex::encode(target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_a_session() {
        let names = [Pass::Up, Pass::Down, Pass::Local].map(|pass| ng_call_id(b"a@b", pass));
        assert_eq!(names, [b"a@b/u", b"a@b/d", b"a@b/l"]);
    }

    #[test]
    fn a_branch_is_named_by_its_target_and_only_towards_devices() {
        assert_eq!(ng_via_branch(Pass::Up, &[1, 2, 3, 4]), None);
        assert_eq!(
            ng_via_branch(Pass::Down, &[1, 2, 3, 4]).as_deref(),
            Some("01020304")
        );
        assert_ne!(
            ng_via_branch(Pass::Local, &[1, 2, 3, 4]),
            ng_via_branch(Pass::Local, &[1, 2, 3, 5])
        );
    }

    #[test]
    fn a_leg_that_has_not_spoken_is_taken_for_what_its_flow_says() {
        for (transport, want) in [
            (Transport::Ws, Profile::WebRtc),
            (Transport::Wss, Profile::WebRtc),
            (Transport::Udp, Profile::Rtp),
            (Transport::Tcp, Profile::Rtp),
            (Transport::Tls, Profile::Rtp),
        ] {
            assert_eq!(profile_of_flow(transport), want, "{transport:?}");
        }
    }
}
