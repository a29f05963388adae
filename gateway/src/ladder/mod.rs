//! What passed lately, kept in a memory of a fixed size: every SIP message in and out, every ng command and its answer. And what is
//! made of it for people: a call as a sequence diagram, a live trace, a capture file, HEP.
//!
//! On the way of a message there is one push of bytes ([`Ring`]); nothing is parsed there, and who looks (`causeway ctl`, HEP) reads
//! behind it at his own pace. Who is slower than the ring is told how much he missed. Knows no transactions and no registrar.
//!
//! Start reading at [`ring`], then [`filter`] for who sees what; [`call`] and [`diagram`] for the picture.

pub mod call;
pub mod clock;
pub mod diagram;
mod edits;
pub mod filter;
pub mod hep;
pub mod line;
pub mod pcap;
mod record;
pub mod redact;
pub mod ring;

pub use line::Line;
pub use record::{Kind, Record};
pub use ring::{Cursor, Ring};
