//! What a SIP edge proxy decides, as pure functions.

pub mod flow;
