//! What a SIP edge proxy decides, as pure functions.

pub mod flow;
pub mod key;
pub mod token;
