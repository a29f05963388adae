//! The only place where a reason becomes a SIP response: status, phrase, and what else the answer carries.

/// Why a request is answered, or a message dropped, by ourselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// What the message layer found wrong (RFC 3261 §16.3 step 1, §21.4, §21.5).
    Fault {
        /// Of the answer.
        status: u16,
        /// In words.
        phrase: &'static str,
    },
    /// RFC 3261 §16.3 step 3.
    TooManyHops,
    /// RFC 5393 §4.2: the same request passed us before.
    Loop,
    /// RFC 3261 §16.3 step 5: these extensions are not ours.
    BadExtension(Vec<u8>),
    /// SIGNALLING §1: a token that our cluster did not sign, or at the wrong place.
    ForeignToken,
    /// SIGNALLING §4: a Route that does not lead to a group.
    ForeignRoute,
    /// Neither ours nor routed: we relay for nobody else.
    NotServed,
    /// The credentials are wrong, or those of somebody else.
    Refused,
    /// There is no such user.
    NoUser,
    /// The user has no device now.
    NotRegistered,
    /// RFC 5626 §5.3: the flow that a Path token names is gone.
    FlowFailed,
    /// An in-dialog request for a device that did not come back in time.
    DeviceGone,
    /// OPTIONS to ourselves (RFC 3261 §11.2).
    Options,
    /// A route of the configuration says so.
    Configured(u16),
    /// The next hop's name has no address.
    Unresolvable,
    /// Nobody of the group is alive.
    NobodyAlive,
    /// RFC 5393 §5.3: more devices than the request may fork to.
    TooBroad,
    /// A queue or table is full.
    Overloaded,
    /// A peer has as many calls as it may.
    TooManyCalls,
    /// A peer begins more calls in a second than it may.
    CallsTooFast,
    /// RFC 3261 §21.5.7: with what we have to add, longer than we take.
    TooLarge,
    /// RTPEngine refused, or none answers.
    NoMedia,
    /// RTPEngine cannot read the offer.
    NotAcceptable,
    /// RFC 3261 §21.4.26: the media policies leave no codec that both ends may use.
    NoCodec,
    /// The store could not keep what the answer would promise.
    StoreFailed,
    /// RFC 3261 §16.7 step 6 and §16.8: no final response came.
    Timeout,
    /// CANCEL was received (RFC 3261 §15.1.2).
    Terminated,
    /// CANCEL for what we do not know.
    NoTransaction,
    /// The connection to the next hop could not be made or broke.
    Unreachable,
    /// An ACK has no answer: what went wrong with it ends here.
    Ack,
    /// A response that no request of ours asked for.
    StrayResponse,
}

impl Reason {
    /// The status of the answer; 0 for what is never answered.
    pub fn status(&self) -> u16 {
        match self {
            Reason::Fault { status, .. } => *status,
            Reason::TooManyHops => 483,
            Reason::Loop => 482,
            Reason::BadExtension(_) => 420,
            Reason::ForeignToken | Reason::ForeignRoute | Reason::NotServed | Reason::Refused => {
                403
            }
            Reason::NoUser => 404,
            Reason::NotRegistered | Reason::DeviceGone => 480,
            Reason::FlowFailed => 430,
            Reason::Options => 200,
            Reason::Configured(status) => *status,
            Reason::Unresolvable => 502,
            Reason::NobodyAlive | Reason::NoMedia | Reason::StoreFailed => 500,
            Reason::NotAcceptable | Reason::NoCodec => 488,
            Reason::TooBroad => 440,
            Reason::Overloaded | Reason::TooManyCalls | Reason::CallsTooFast => 503,
            Reason::TooLarge => 513,
            Reason::Timeout => 408,
            Reason::Terminated => 487,
            Reason::NoTransaction => 481,
            Reason::Unreachable => 502,
            Reason::Ack | Reason::StrayResponse => 0,
        }
    }

    /// What stands behind the status, in words for a trace.
    pub fn phrase(&self) -> &'static str {
        match self {
            Reason::Fault { phrase, .. } => phrase,
            Reason::TooManyHops => "Too Many Hops",
            Reason::Loop => "Loop Detected",
            Reason::BadExtension(_) => "Bad Extension",
            Reason::ForeignToken => "Forbidden: token not valid here",
            Reason::ForeignRoute => "Forbidden: Route leads nowhere we serve",
            Reason::NotServed => "Forbidden: not a domain of ours",
            Reason::Refused => "Forbidden",
            Reason::NoUser => "Not Found",
            Reason::NotRegistered => "Temporarily Unavailable: not registered",
            Reason::DeviceGone => "Temporarily Unavailable: device did not come back",
            Reason::FlowFailed => "Flow Failed",
            Reason::Options => "OK",
            Reason::Configured(status) => sip::build::reason_phrase(*status),
            Reason::Unresolvable => "Bad Gateway: next hop has no address",
            Reason::NobodyAlive => "Server Internal Error: no gateway alive",
            Reason::NoMedia => "Server Internal Error: no media engine",
            Reason::StoreFailed => "Server Internal Error: not stored",
            Reason::NotAcceptable => "Not Acceptable Here: offer not understood",
            Reason::NoCodec => "Not Acceptable Here: no codec left that both ends may use",
            Reason::TooBroad => "Max-Breadth Exceeded",
            Reason::Overloaded => "Service Unavailable",
            Reason::TooManyCalls => "Service Unavailable: all your lines are in use",
            Reason::CallsTooFast => "Service Unavailable: too many calls a second",
            Reason::TooLarge => "Message Too Large",
            Reason::Timeout => "Request Timeout",
            Reason::Terminated => "Request Terminated",
            Reason::NoTransaction => "Call/Transaction Does Not Exist",
            Reason::Unreachable => "Bad Gateway: next hop unreachable",
            Reason::Ack => "ACK cannot be answered",
            Reason::StrayResponse => "response to nothing of ours",
        }
    }

    /// The label of the counter.
    pub fn label(&self) -> &'static str {
        match self {
            Reason::Fault { .. } => "malformed",
            Reason::TooManyHops => "too_many_hops",
            Reason::Loop => "loop",
            Reason::BadExtension(_) => "bad_extension",
            Reason::ForeignToken => "foreign_token",
            Reason::ForeignRoute => "foreign_route",
            Reason::NotServed => "not_served",
            Reason::Refused => "refused",
            Reason::NoUser => "no_user",
            Reason::NotRegistered => "not_registered",
            Reason::DeviceGone => "device_gone",
            Reason::FlowFailed => "flow_failed",
            Reason::Options => "options",
            Reason::Configured(_) => "configured",
            Reason::Unresolvable => "unresolvable",
            Reason::NobodyAlive => "nobody_alive",
            Reason::NoMedia => "no_media",
            Reason::StoreFailed => "store_failed",
            Reason::NotAcceptable => "not_acceptable",
            Reason::NoCodec => "no_codec",
            Reason::TooBroad => "too_broad",
            Reason::Overloaded => "overloaded",
            Reason::TooManyCalls => "too_many_calls",
            Reason::CallsTooFast => "calls_too_fast",
            Reason::TooLarge => "too_large",
            Reason::Timeout => "timeout",
            Reason::Terminated => "terminated",
            Reason::NoTransaction => "no_transaction",
            Reason::Unreachable => "unreachable",
            Reason::Ack => "ack",
            Reason::StrayResponse => "stray_response",
        }
    }
}
