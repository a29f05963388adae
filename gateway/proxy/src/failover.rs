//! Failover inside the transaction (SIGNALLING §6): which member of a group is asked, and who is asked next in the same
//! server transaction when that one is silent, refuses the connection or answers what the group does not take for an answer.

use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

use sip::{Edited, Header, Method, NameAddr, Uri};
use smallvec::SmallVec;

use crate::branch;
use crate::decision::{Chosen, Context, Forward, Hop};
use crate::flow::Flow;
use crate::group::{Algorithm, By, Member, Standing, hasher};

/// An INVITE is answered 100 within one round trip; after this silence the next member is tried.
const INVITE: Duration = Duration::from_secs(1);
/// Other requests are answered when their work is done (a registrar may ask its database).
const OTHER: Duration = Duration::from_millis(1500);

/// How long the member that a request went to may be silent before the next one is asked; `None` if there is no next.
pub fn patience(forward: &Forward) -> Option<Duration> {
    let chosen = forward.member.as_ref()?;
    (!chosen.next.is_empty()).then_some(match forward.request.method() {
        Method::Invite => INVITE,
        _ => OTHER,
    })
}

/// The same request by the next flow of the device (RFC 5626 §7), or for the next member that lives; `None` if there is none. It has the body that the first copy left
/// with: towards the core a session at RTPEngine has no branches.
pub fn next(forward: &Forward, context: &Context<'_>) -> Option<Forward> {
    if let Some(bound) = &forward.bound {
        let (first, others) = bound.others.split_first()?;
        let mut next = first.clone();
        if let Some(bound) = &mut next.bound {
            bound.others = others.to_vec();
        }
        return Some(next);
    }
    let chosen = forward.member.as_ref()?;
    let members = &context.site.groups.get(chosen.group)?.members;
    let (at, &index) = chosen
        .next
        .iter()
        .enumerate()
        .find(|(_, index)| takes_new(chosen.group, **index, context))?;
    let hop = hop_to(members.get(index)?)?;
    let member = Chosen {
        group: chosen.group,
        member: index,
        next: chosen.next[at + 1..].to_vec(),
        by_count: chosen.by_count,
    };
    Some(Forward {
        identity: branch::identity(&forward.request, &hop),
        hop,
        member: Some(member),
        ..forward.clone()
    })
}

/// The same request around a member that died with it: inside a dialog nobody else is asked, but a Route that names a dead one
/// leads through a living one. `None` where its Route names no dead member, or nobody lives.
pub fn around(forward: &Forward, context: &Context<'_>) -> Option<Forward> {
    let (group, dead) = top_member(&forward.request, context)?;
    if context.alive.is_alive(group, dead) {
        return None;
    }
    detoured(forward, (group, dead), context)
}

/// The same where the connection to the member in its Route was refused, or broke before an answer: for this request it is dead,
/// whatever the probe will say.
pub fn around_refused(forward: &Forward, context: &Context<'_>) -> Option<Forward> {
    if forward.member.is_some() || forward.bound.is_some() {
        return None;
    }
    detoured(forward, top_member(&forward.request, context)?, context)
}

fn detoured(
    forward: &Forward,
    (group, avoided): (usize, usize),
    context: &Context<'_>,
) -> Option<Forward> {
    let mut request = forward.request.clone();
    let taken = detour(&mut request, (group, avoided), &forward.source, context)?;
    let hop = hop_to(context.site.groups[group].members.get(taken)?)?;
    Some(Forward {
        identity: branch::identity(&request, &hop),
        request,
        hop,
        ..forward.clone()
    })
}

/// True if the next flow or member is to be tried after this answer.
pub fn is_no_answer(forward: &Forward, status: u16, context: &Context<'_>) -> bool {
    if let Some(bound) = &forward.bound {
        // RFC 5626 §7: whatever else a device answers holds for all of its flows.
        return matches!(status, 408 | 430) && !bound.others.is_empty();
    }
    let chosen = forward
        .member
        .as_ref()
        .filter(|chosen| !chosen.next.is_empty());
    chosen
        .and_then(|chosen| context.site.groups.get(chosen.group))
        .is_some_and(|group| group.fail_over.takes(status))
}

/// The living member that the group's algorithm chooses, and after it the others for a request that begins something.
/// Inside a dialog nobody else may answer.
pub(crate) fn choose(
    request: &Edited,
    group: usize,
    source: &Flow,
    context: &Context<'_>,
) -> Option<(Hop, Chosen)> {
    let algorithm = context.site.groups.get(group)?.algorithm;
    let is_new = request.to_tag().is_none() && request.method() != Method::Ack;
    let by_count = algorithm.counts() && is_new;
    let algorithm = if by_count {
        algorithm
    } else {
        memoryless(algorithm)
    };
    let ranked = ranked(request, group, algorithm, source, context)?;
    let (&member, others) = ranked.split_first()?;
    let next = if is_new { others.to_vec() } else { Vec::new() };
    let hop = hop_to(&context.site.groups[group].members[member])?;
    Some((
        hop,
        Chosen {
            group,
            member,
            next,
            by_count,
        },
    ))
}

/// What stands in for an algorithm that goes by a count, where a request must find its member again.
fn memoryless(algorithm: Algorithm) -> Algorithm {
    if algorithm.counts() {
        Algorithm::Rendezvous(By::CallId)
    } else {
        algorithm
    }
}

/// The members of a group that may get something new, who is asked first at the front: the best priority, within it what
/// the algorithm says.
fn ranked(
    request: &Edited,
    group: usize,
    algorithm: Algorithm,
    source: &Flow,
    context: &Context<'_>,
) -> Option<Vec<usize>> {
    let members = &context.site.groups.get(group)?.members;
    let living = members
        .iter()
        .enumerate()
        .filter(|(index, _)| takes_new(group, *index, context));
    // Lower is better throughout; the second number says who of equals.
    let mut order: SmallVec<[(u32, f64, f64, usize); 8]> = match algorithm {
        Algorithm::Rendezvous(by) => {
            let key = key_of(by, request, source)?;
            living
                .map(|(index, member)| (member.priority, -score(key, member), 0.0, index))
                .collect()
        }
        Algorithm::LeastCalls => {
            let key = key_of(By::CallId, request, source)?;
            living
                .map(|(index, member)| {
                    let calls = f64::from(context.alive.calls(group, index));
                    let load = calls / f64::from(member.weight);
                    (member.priority, load, -score(key, member), index)
                })
                .collect()
        }
        Algorithm::RoundRobin => living
            .map(|(index, member)| (member.priority, 0.0, 0.0, index))
            .collect(),
    };
    order.sort_unstable_by(|one, other| {
        one.0
            .cmp(&other.0)
            .then(one.1.total_cmp(&other.1))
            .then(one.2.total_cmp(&other.2))
            .then(one.3.cmp(&other.3))
    });
    if algorithm == Algorithm::RoundRobin {
        let best = order.first().map_or(0, |first| first.0);
        let equals = order.iter().take_while(|member| member.0 == best).count();
        if equals > 1 {
            order[..equals].rotate_left(context.alive.turn(group) as usize % equals);
        }
    }
    Some(order.into_iter().map(|(_, _, _, index)| index).collect())
}

/// True for a member that lives and is not being drained.
fn takes_new(group: usize, index: usize, context: &Context<'_>) -> bool {
    let group_of = context.site.groups.get(group);
    group_of
        .and_then(|group| group.members.get(index))
        .is_some_and(|member| member.standing == Standing::Serves && member.address.is_some())
        && context.alive.is_alive(group, index)
}

fn hop_to(member: &Member) -> Option<Hop> {
    Some(Hop::Server {
        transport: member.transport,
        address: member.address?,
    })
}

/// What a request is hashed by.
fn key_of(by: By, request: &Edited, source: &Flow) -> Option<u64> {
    let mut hasher = hasher();
    match by {
        By::AddressOfRecord => {
            let user = Uri::parse(request.from()?.uri)?;
            hasher.write(&user.user_decoded());
            hasher.write(b"@");
            hasher.write(&user.host.to_ascii_lowercase());
        }
        By::CallId => hasher.write(request.original().call_id()),
        By::Source => match source.peer.ip().to_canonical() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        },
    }
    Some(hasher.finish())
}

/// Weighted highest random weight: a member that goes takes only its own share along, and each gets a share as its weight
/// says. For `h` drawn evenly between 0 and 1, `-weight / ln(h)` is highest for a member with a probability of its weight
/// over the sum of all (Schindelhauer and Schomaker, "Weighted distributed hash tables").
fn score(key: u64, member: &Member) -> f64 {
    let mut hasher = hasher();
    hasher.write_u64(key);
    hasher.write_u64(member.key);
    // 53 bits, which is what an f64 holds; never 0 or 1.
    let drawn = ((hasher.finish() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(member.weight) / drawn.ln()
}

/// A Route that names a dead member names a living one of its group from here on: a proxy that only stays in the way keeps
/// nothing that the other does not know. With nobody alive it stays as it is.
pub(crate) fn avoid_the_dead(request: &mut Edited, source: &Flow, context: &Context<'_>) {
    let Some((group, dead)) = top_member(request, context) else {
        return;
    };
    if !context.alive.is_alive(group, dead) {
        detour(request, (group, dead), source, context);
    }
}

/// Renames a member in the Routes at the top to a living one of its group; which one, if there is any.
fn detour(
    request: &mut Edited,
    (group, avoided): (usize, usize),
    source: &Flow,
    context: &Context<'_>,
) -> Option<usize> {
    let algorithm = memoryless(context.site.groups[group].algorithm);
    let ranked = ranked(request, group, algorithm, source, context)?;
    let taken = ranked.into_iter().find(|member| *member != avoided)?;
    let members = &context.site.groups[group].members;
    // Two in a row, where it stays in the way with both of its interfaces.
    let renamed: Vec<Vec<u8>> = request
        .values(Header::Route)
        .map_while(|value| renamed(value, &members[avoided], &members[taken]))
        .collect();
    for (index, value) in renamed.iter().enumerate() {
        request.replace_value(Header::Route, index, value);
    }
    (!renamed.is_empty()).then_some(taken)
}

fn top_member(request: &Edited, context: &Context<'_>) -> Option<(usize, usize)> {
    let route = NameAddr::parse(request.values(Header::Route).next()?)?;
    context.site.place_of(&Uri::parse(route.uri)?)
}

/// A Route value with another member's host and port, in the same form: an address for an address.
fn renamed(value: &[u8], dead: &Member, living: &Member) -> Option<Vec<u8>> {
    let uri = Uri::parse(NameAddr::parse(value)?.uri)?;
    if !dead.is_named_by(&uri) {
        return None;
    }
    let address = living.address?;
    let host = match uri.ip() {
        Some(_) => address.ip().to_string(),
        None => living.host.clone(),
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    // Both are pieces of the value.
    let start = uri
        .host
        .as_ptr()
        .addr()
        .checked_sub(value.as_ptr().addr())?;
    let rest = value.get(start + uri.host.len()..)?;
    let digits = rest
        .strip_prefix(b":")
        .map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let rest = &rest[digits.map_or(0, |digits| digits + 1)..];
    let port = if digits.is_some() || living.port != living.transport.default_port() {
        format!(":{}", living.port)
    } else {
        String::new()
    };
    Some([&value[..start], host.as_bytes(), port.as_bytes(), rest].concat())
}
