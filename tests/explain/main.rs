//! `causeway explain` beside a node that runs: on every message that was captured on its way to an edge, both say the same.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod capture;
mod ladder;
mod media;
mod options;
mod replay;
mod sngrep;
mod stage;
