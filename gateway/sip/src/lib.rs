//! SIP on the wire (RFC 3261): messages kept as the bytes that came, an index of their headers and a list of edits.
//!
//! Nothing here knows a socket, a clock or a task. What nobody edits leaves byte for byte as it came, unknown headers
//! included; serialising is one copy. Start reading at [`Message`], then [`Edited`].
//!
//! - [`Message::parse`] takes nearly anything that has a SIP start line, so that a bad request can still be answered;
//!   [`Message::check`] says whether it may be worked on, and with which status to refuse it if not.
//! - [`Edited`] is what a message looks like when it leaves. Every reading method of [`Message`] is there too and sees the edits.
//! - [`View`] is what both have in common, for code that takes either.
//! - [`build`] makes messages of our own, [`framing`] cuts them out of a stream, [`digest`] is RFC 7616 without its policy,
//!   [`transaction`] the four machines of RFC 3261 §17.

pub mod build;
pub mod cseq;
pub mod digest;
pub mod edit;
pub mod fault;
pub mod framing;
pub mod header;
mod lws;
pub mod message;
pub mod method;
pub mod name_addr;
pub mod param;
mod scan;
pub mod start_line;
pub mod transaction;
pub mod transport;
pub mod uri;
pub mod values;
pub mod via;
pub mod view;
mod word;

pub use cseq::CSeq;
pub use edit::Edited;
pub use fault::Fault;
pub use framing::{Frame, Framer, FramingError};
pub use header::Header;
pub use message::{Limits, Message, ParseError};
pub use method::Method;
pub use name_addr::NameAddr;
pub use start_line::Start;
pub use transport::Transport;
pub use uri::Uri;
pub use via::Via;
pub use view::View;
