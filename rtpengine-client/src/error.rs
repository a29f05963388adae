//! What can go wrong with a request, as the caller has to tell it apart.

use std::io;
use std::time::Duration;

use crate::reason::Reason;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came in time. RTPEngine may have carried the request out all the same.
    #[error("no answer after {after:?} and {sent} datagrams")]
    Timeout {
        /// How long it was waited.
        after: Duration,
        /// How often the request was sent, with the same cookie each time.
        sent: u32,
    },
    /// The node's machine says that nobody listens there (ICMP port unreachable).
    #[error("the node refuses: nobody listens at its address")]
    Refused,
    /// As many requests as allowed are in flight to this node, so this one was not sent.
    #[error("{limit} requests are in flight to the node already")]
    Busy {
        /// The bound of [`crate::ClientConfig::in_flight`].
        limit: usize,
    },
    /// RTPEngine has an answer, and the answer is an error.
    #[error("RTPEngine says: {text}")]
    Rejected {
        /// What it means, where it is known.
        reason: Reason,
        /// RTPEngine's own words.
        text: String,
    },
    /// The answer is not what the ng protocol describes.
    #[error("the answer cannot be decoded: {0}")]
    Undecodable(String),
    /// The answer nests deeper than allowed, so it was not decoded.
    #[error("the answer nests more than {limit} deep")]
    TooDeep {
        /// The bound of [`crate::bencode::Limits::depth`].
        limit: usize,
    },
    /// The request or the answer has more bytes than allowed.
    #[error("{bytes} bytes where at most {limit} are allowed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// No node of the pool can take the request.
    #[error("no RTPEngine node is available")]
    NoNode,
    /// The operating system failed to give a socket, random bytes, or to send.
    #[error("the operating system failed: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    pub(crate) fn undecodable(why: &str) -> Error {
        Error::Undecodable(why.to_owned())
    }

    /// Whether another node could do what this one did not. A timeout counts: RTPEngine forgets an offer that is never
    /// answered by itself.
    pub fn try_another_node(&self) -> bool {
        match self {
            Error::Timeout { .. } | Error::Refused | Error::Busy { .. } | Error::Io(_) => true,
            Error::Undecodable(_) | Error::TooDeep { .. } => true,
            Error::Rejected { reason, .. } => reason.try_another_node(),
            Error::TooLarge { .. } | Error::NoNode => false,
        }
    }

    /// What RTPEngine gave as the reason, if it answered with one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Error::Rejected { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}
