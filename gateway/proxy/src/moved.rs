//! A device that speaks inside a dialog by a flow that nobody has noted (SIGNALLING §5): SIP.js does not register again after
//! a reconnect, and a NAT that forgets gives a phone another port.
//!
//! Who it is says its copy of our Record-Route, bound to the Call-ID. That copy goes to the device alone: the core has its own,
//! a fork makes one for each branch, and what a refusal sends back of it ends here ([`crate::response`]). So it proves no more
//! than that its holder was in this call, which is enough to be told the rest of it.

use crate::decision::{Context, Device};
use crate::flow::Flow;
use crate::site::Side;
use crate::token::Token;

/// The device that a request inside a dialog came from, if this is news of where it is.
pub(crate) fn moved(token: &Token, flow: &Flow, context: &Context<'_>) -> Option<Device> {
    let Token::RecordRouteDevice(copy) = token else {
        return None;
    };
    let device = Device(copy.holder?);
    // What another node hands over came to that one.
    if context.site.side_of(flow) != Side::Device {
        return None;
    }
    let is_news = match (context.flows.newest(device), flow.connection) {
        // A connection that lives stays the device's: it may have several.
        (newest, Some(_)) => newest.is_none(),
        (newest, None) if newest.as_ref() == Some(flow) => false,
        (_, None) => {
            let last = context.flows.last(device);
            last.is_some_and(|last| is_same_phone(&last, flow))
        }
    };
    is_news.then_some(device)
}

/// The NAT in front of a phone opened another port, or one that was silent speaks again. Of another address nobody has seen
/// that it wants to hear from us: the source of a datagram can be made up, and what the call's other side sends would be sent
/// there, again and again.
fn is_same_phone(last: &Flow, flow: &Flow) -> bool {
    last.connection.is_none() && last.listener == flow.listener && last.peer.ip() == flow.peer.ip()
}
