//! Session descriptions (RFC 8866) as a SIP edge needs them: edited in place, line by line, and read with types.
//!
//! - [`Session`] keeps every line as it came. What nobody edits leaves byte for byte, whatever it is.
//! - [`Profile`] tells what kind of leg speaks: WebRTC, DTLS-SRTP, SRTP with its keys in the description, plain RTP.
//! - [`Direction`] and [`Hold`]: which way media flows, and the three ways to put a call on hold.
//! - [`legal`] compares an answer with its offer (RFC 3264) and says in words what is wrong.
//! - [`restart`] shows an offer that restarts ICE as if it did not, until it is accepted.
//! - [`Slim`] takes out what a plain phone does not miss.
//! - [`WebRtc`] reads a browser's description with types: fingerprint, ICE, candidates, BUNDLE, codecs.
//!
//! Nothing here opens a socket, reads a clock or panics on what came from the network. Start reading in `session.rs`.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod direction;
mod error;
pub mod legal;
mod line;
mod media;
mod profile;
pub mod restart;
mod section;
mod session;
mod slim;
pub mod webrtc;

pub use direction::{Direction, Hold};
pub use error::Error;
pub use line::{Line, LineEnd};
pub use media::Media;
pub use profile::Profile;
pub use section::Section;
pub use session::{Limits, Session};
pub use slim::Slim;
pub use webrtc::WebRtc;
