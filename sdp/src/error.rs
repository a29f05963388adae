//! Why a body was refused as a session description.

/// What is wrong with a body that was to be a session description. Lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line is not `v=0` (RFC 8866 §5.1).
    #[error("the body does not begin with v=0")]
    NotASession,
    /// The body is longer than [`Limits::bytes`](crate::Limits::bytes).
    #[error("the body has {bytes} bytes, more than {limit}")]
    TooLong {
        /// How many bytes the body has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The body has more lines than [`Limits::lines`](crate::Limits::lines).
    #[error("the body has more than {limit} lines")]
    TooManyLines {
        /// How many lines it may have.
        limit: usize,
    },
    /// The body has more m= lines than [`Limits::media`](crate::Limits::media).
    #[error("the body has more than {limit} m= lines")]
    TooManyMedia {
        /// How many m= lines it may have.
        limit: usize,
    },
    /// An m= line that is not `m=<media> <port>[/<count>] <proto> <fmt> …` (RFC 8866 §5.14).
    #[error("line {line} is not an m= line of RFC 8866 §5.14")]
    MalformedMedia {
        /// The line's number.
        line: usize,
    },
}
