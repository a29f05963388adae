//! Max-Breadth (RFC 5393 §5): how many branches a request may have at once, wherever they are made. Without it, two users who
//! forward to each other twice make more of one request than any counter of hops stops.

use sip::Header;

use crate::decision::Forward;
use crate::request::{Step, refuse};
use crate::status::Reason;

const MAX_BREADTH: Header<'static> = Header::Other(b"Max-Breadth");
/// §5.3.3: what a request has that does not say.
const DEFAULT: usize = 60;

/// Gives each branch its share; together they are what the request came with. 440 if that is less than the branches are.
///
/// A single branch takes the whole of it and so stays as it is: §5.3.3 would have us add what we take for granted, which
/// is of no use to anybody and costs bytes of the MTU.
pub(crate) fn share(forwards: &mut [Forward]) -> Step<()> {
    let Some(first) = forwards.first() else {
        return Ok(());
    };
    let given = first
        .request
        .header(MAX_BREADTH)
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    let (breadth, branches) = (given.unwrap_or(DEFAULT), forwards.len());
    if breadth < branches {
        return refuse(Reason::TooBroad);
    }
    if branches == 1 {
        return Ok(());
    }
    for (index, forward) in forwards.iter_mut().enumerate() {
        let share = breadth / branches + usize::from(index < breadth % branches);
        let share = share.to_string();
        forward.request.set(MAX_BREADTH, share.as_bytes());
        // In its place, not beside it.
        for other in forward.bound.iter_mut().flat_map(|bound| &mut bound.others) {
            other.request.set(MAX_BREADTH, share.as_bytes());
        }
    }
    Ok(())
}
