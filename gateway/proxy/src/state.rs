//! SIGNALLING §3: what has a transaction, and what is relayed without.

use sip::Method;

use crate::decision::{Context, Decision, Forward, Hop};
use crate::status::Reason;

/// SIGNALLING §3: what has a transaction, and what is relayed without.
pub(crate) fn decide_state(mut forwards: Vec<Forward>, context: &Context<'_>) -> Decision {
    let Some(first) = forwards.first() else {
        return Decision::Reply(Reason::NotRegistered);
    };
    let stateless = match first.request.method() {
        // RFC 3261 §16.10: a CANCEL that matches nothing is relayed statelessly, to the one that it may concern.
        Method::Ack | Method::Cancel => true,
        _ => {
            forwards.len() == 1
                && !may_fail_over(first)
                && same_kind(first)
                && !waits(first, context)
                // Its responses have to get back the From that came.
                && !first.anonymous
        }
    };
    if stateless {
        Decision::Relay(Box::new(forwards.swap_remove(0)))
    } else {
        Decision::Start(forwards)
    }
}

/// Somebody else can be asked.
fn may_fail_over(forward: &Forward) -> bool {
    forward
        .member
        .as_ref()
        .is_some_and(|member| !member.next.is_empty())
}

/// UDP to UDP or stream to stream: who sends repeats it, or nobody needs to.
fn same_kind(forward: &Forward) -> bool {
    let beyond = match &forward.hop {
        Hop::Flow(flow) => flow.transport,
        Hop::Server { transport, .. } => *transport,
    };
    beyond.is_stream() == forward.source.transport.is_stream()
}

/// A stream to a server may have to be opened first; what changes a session has to be seen by RTPEngine.
fn waits(forward: &Forward, context: &Context<'_>) -> bool {
    if matches!(forward.hop, Hop::Server { transport, .. } if transport.is_stream()) {
        return true;
    }
    // Of a new call nothing is said yet: it will be anchored.
    let is_anchored = context.site.media && forward.media.is_none_or(|media| media.is_some());
    is_anchored
        && match forward.request.method() {
            Method::Invite => true,
            Method::Bye => forward.media.is_some(),
            Method::Update | Method::Prack => forward.request.has_sdp(),
            _ => false,
        }
}
