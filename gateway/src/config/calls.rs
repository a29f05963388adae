//! `[calls]`: what is kept of calls that are over.
use std::path::PathBuf;

use super::schema::section;

section! {
    /// What is kept of calls that are over. Each has one line in the log, and a record: who, how long, how good, and in words what went wrong.
    pub struct Calls {
        /// How many of the newest records are kept in memory, for `causeway ctl calls --ended`; each takes some 2 KiB. 0 keeps none, and nobody can be told later what became of a call.
        pub kept: u32 = 1000, within(0, 100_000);
        /// A file that every record is appended to, a JSON object a line; left out, none is. It says who called whom, so nobody but the node's own user may read it. It grows for ever: let logrotate rename it, and the next record makes a new one.
        pub records: Option<PathBuf> = None;
    }
}
