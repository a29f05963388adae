//! A rule that leaves the choice to somebody else, who is asked over HTTP: to which of the configured targets a request goes,
//! and under which request-URI. An address is nothing that he may choose.

use sip::{Method, Uri};

use crate::decision::{Context, Decision, Facts, Question};
use crate::flow::Flow;
use crate::preprocess::Routed;
use crate::request::{Step, refuse};
use crate::site::To;
use crate::status::Reason;

/// Somebody who is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallOut {
    /// As the configuration names it.
    pub name: String,
    /// What is done when no good answer comes in time.
    pub on_failure: To,
}

/// A good answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Where the request goes; never to a call-out again.
    pub to: To,
    /// Its new request-URI, if it gets one.
    pub uri: Option<Vec<u8>>,
}

/// The rule for a request that is in no dialog, with the answer in its place where the rule asks for one; the request has its
/// new request-URI then.
pub(crate) fn route(
    routed: &mut Routed,
    uri: &Uri<'_>,
    flow: &Flow,
    context: &Context<'_>,
    facts: &Facts,
) -> Step<Option<To>> {
    let site = context.site;
    let method = routed.request.method();
    let index = match site.route(flow, method.as_bytes(), uri) {
        Some(To::CallOut(index)) => *index,
        other => return Ok(other.cloned()),
    };
    // RFC 3261 §16.10: an ACK or CANCEL goes the way of its INVITE, which nobody here knows; another answer might be another way.
    if matches!(method, Method::Ack | Method::Cancel) {
        return refuse(Reason::NoTransaction);
    }
    let choice = match &facts.call_out {
        None => return Err(Box::new(Decision::Ask(Question::CallOut(index)))),
        Some(choice) => choice,
    };
    let to = match choice {
        Some(choice) => {
            if let Some(uri) = &choice.uri {
                routed.request.set_uri(uri);
            }
            &choice.to
        }
        None => match site.call_outs.get(index) {
            Some(call_out) => &call_out.on_failure,
            None => return refuse(Reason::NotServed),
        },
    };
    match to {
        // Only one is asked for a request: else two could send it to each other for ever.
        To::CallOut(_) => refuse(Reason::NotServed),
        to => Ok(Some(to.clone())),
    }
}
