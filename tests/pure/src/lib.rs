//! The pure parts of Causeway by themselves, without a process, a socket or a clock.
//!
//! - [`entry`]: a function for each place where bytes of strangers come in. The fuzz targets (`tests/fuzz`) and the
//!   seeded mutation test (`tests/random`) call the same ones.
//! - [`seeds`]: the real messages that both start from; [`mutate`]: what the seeded test makes of them.
//! - [`scene`]: a site, flows and keys that never change; [`operation`]: what of a message's way is counted, in
//!   instructions, by the binary `instructions`.

pub mod entry;
pub mod mutate;
pub mod operation;
pub mod scene;
pub mod seeds;
