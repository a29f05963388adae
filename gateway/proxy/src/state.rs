//! SIGNALLING §3: what has a transaction, and what is relayed without.

use sip::Method;

use crate::decision::{Context, Decision, Forward, Hop};
use crate::media::ends;
use crate::redirect;
use crate::status::Reason;

/// Why a request has a transaction, or has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Keeping {
    /// An ACK to a 2xx has no answer.
    Ack,
    /// RFC 3261 §16.10: a CANCEL that matches nothing goes statelessly, to the one that it may concern.
    Cancel,
    /// UDP to UDP or stream to stream: who sends repeats it, or nobody needs to.
    SameKind,
    /// To several devices.
    Fork,
    /// Another member may have to be asked.
    FailOver,
    /// RFC 5626 §7: an edge may answer that the flow is gone, and there may be another one.
    Flow,
    /// A count chose the member: the same request would not find it again.
    Count,
    /// A call of a peer whose calls are counted: its end has to be known also when nobody answers.
    Limited,
    /// It may be redirected.
    Redirects,
    /// From UDP to a stream or back: only one side repeats what is lost.
    OtherKind,
    /// A stream to a server may have to be opened first.
    Opens,
    /// RTPEngine has to see it first, or to hear of its end.
    Media,
    /// Its responses have to get back the From that came.
    Anonymous,
}

impl Keeping {
    /// True for what is relayed without being remembered.
    pub fn is_stateless(self) -> bool {
        matches!(self, Self::Ack | Self::Cancel | Self::SameKind)
    }
}

/// SIGNALLING §3: what has a transaction, and what is relayed without.
pub(crate) fn decide_state(mut forwards: Vec<Forward>, context: &Context<'_>) -> Decision {
    if context.site.policies.speak() {
        forwards
            .iter_mut()
            .for_each(|forward| anchor(forward, context));
    }
    match keeping(&forwards, context) {
        None => Decision::Reply(Reason::NotRegistered),
        Some(keeping) if keeping.is_stateless() => {
            Decision::Relay(Box::new(forwards.swap_remove(0)))
        }
        Some(_) => Decision::Start(forwards),
    }
}

/// Whether a new call, by this flow or the next one, goes through RTPEngine.
fn anchor(forward: &mut Forward, context: &Context<'_>) {
    if forward.media.is_none() {
        forward.anchored = ends::anchors(forward, context);
    }
    let others = forward.bound.iter_mut().flat_map(|bound| &mut bound.others);
    others.for_each(|other| anchor(other, context));
}

/// Why these copies of a request have a transaction, or the one has none; `None` if there is none to send.
pub fn keeping(forwards: &[Forward], context: &Context<'_>) -> Option<Keeping> {
    let first = forwards.first()?;
    Some(match first.request.method() {
        Method::Ack => Keeping::Ack,
        Method::Cancel => Keeping::Cancel,
        _ if forwards.len() > 1 => Keeping::Fork,
        _ if may_fail_over(first) => Keeping::FailOver,
        _ if may_find_it_gone(first) => Keeping::Flow,
        _ if first.member.as_ref().is_some_and(|chosen| chosen.by_count) => Keeping::Count,
        Method::Invite if first.media.is_none() && context.site.limits(&first.source).is_some() => {
            Keeping::Limited
        }
        _ if redirect::follows(first, context) => Keeping::Redirects,
        _ if !same_kind(first) => Keeping::OtherKind,
        _ if opens(first) => Keeping::Opens,
        _ if needs_media(first, context) => Keeping::Media,
        _ if first.anonymous => Keeping::Anonymous,
        _ => Keeping::SameKind,
    })
}

/// Somebody else can be asked.
fn may_fail_over(forward: &Forward) -> bool {
    forward
        .member
        .as_ref()
        .is_some_and(|member| !member.next.is_empty())
}

/// Then the next flow is tried, and the binding of this one removed.
fn may_find_it_gone(forward: &Forward) -> bool {
    let Some(bound) = &forward.bound else {
        return false;
    };
    let by_an_edge = matches!(forward.hop, Hop::Server { .. }) && !bound.binding.path.is_empty();
    by_an_edge || !bound.others.is_empty()
}

/// UDP to UDP or stream to stream: who sends repeats it, or nobody needs to.
fn same_kind(forward: &Forward) -> bool {
    let beyond = match &forward.hop {
        Hop::Flow(flow) => flow.transport,
        Hop::Server { transport, .. } => *transport,
    };
    beyond.is_stream() == forward.source.transport.is_stream()
}

/// A stream to a server may have to be opened first.
fn opens(forward: &Forward) -> bool {
    matches!(forward.hop, Hop::Server { transport, .. } if transport.is_stream())
}

/// What changes a session has to be seen by RTPEngine.
fn needs_media(forward: &Forward, context: &Context<'_>) -> bool {
    // Of a new call nothing is said yet: it will be anchored, unless a policy says otherwise.
    let is_anchored = context.site.media
        && forward
            .media
            .map_or(forward.anchored, |media| media.is_some());
    is_anchored
        && match forward.request.method() {
            Method::Invite => true,
            Method::Bye => forward.media.is_some(),
            Method::Update | Method::Prack => forward.request.has_sdp(),
            _ => false,
        }
}
