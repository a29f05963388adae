//! Failover inside the transaction (SIGNALLING §6): which member of a group is asked, and who is asked next in the same
//! server transaction when that one is silent, refuses the connection or answers 503.

use std::hash::Hasher;
use std::time::Duration;

use sip::{Edited, Header, Method, NameAddr, Uri};
use siphasher::sip::SipHasher13;

use crate::branch;
use crate::decision::{Chosen, Context, Forward, Hop};
use crate::site::Member;

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

/// The same request for the next member that lives; `None` if there is none. It has the body that the first copy left
/// with: towards the core a session at RTPEngine has no branches.
pub fn next(forward: &Forward, context: &Context<'_>) -> Option<Forward> {
    let chosen = forward.member.as_ref()?;
    let members = &context.site.groups.get(chosen.group)?.members;
    let lives = |index: &&usize| {
        context.alive.is_alive(chosen.group, **index)
            && members.get(**index).is_some_and(|m| hop_to(m).is_some())
    };
    let (at, &index) = chosen
        .next
        .iter()
        .enumerate()
        .find(|(_, index)| lives(index))?;
    let hop = hop_to(members.get(index)?)?;
    let member = Chosen {
        group: chosen.group,
        member: index,
        next: chosen.next[at + 1..].to_vec(),
    };
    Some(Forward {
        identity: branch::identity(&forward.request, &hop),
        hop,
        member: Some(member),
        ..forward.clone()
    })
}

/// The living member of a group that rendezvous hashing of the caller's address-of-record chooses, and after it the others
/// for a request that begins something. Inside a dialog nobody else may answer.
pub(crate) fn choose(
    request: &Edited,
    group: usize,
    context: &Context<'_>,
) -> Option<(Hop, Chosen)> {
    let ranked = ranked(request, group, context)?;
    let (&member, others) = ranked.split_first()?;
    let next = if request.to_tag().is_some() {
        Vec::new()
    } else {
        others.to_vec()
    };
    let hop = hop_to(&context.site.groups[group].members[member])?;
    Some((
        hop,
        Chosen {
            group,
            member,
            next,
        },
    ))
}

/// The living members of a group, the best for this caller first.
fn ranked(request: &Edited, group: usize, context: &Context<'_>) -> Option<Vec<usize>> {
    let members = &context.site.groups.get(group)?.members;
    let uri = Uri::parse(request.from()?.uri)?;
    let mut living: Vec<(u64, usize)> = members
        .iter()
        .enumerate()
        .filter(|(index, member)| context.alive.is_alive(group, *index) && hop_to(member).is_some())
        .map(|(index, member)| (score(&uri, member), index))
        .collect();
    living.sort_unstable_by(|one, other| other.cmp(one));
    Some(living.into_iter().map(|(_, index)| index).collect())
}

fn hop_to(member: &Member) -> Option<Hop> {
    let address = *member.addresses.first()?;
    Some(Hop::Server {
        transport: member.transport,
        address,
    })
}

/// Highest random weight: a member that goes takes only its own users along.
fn score(user: &Uri<'_>, member: &Member) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x4341_5553, 0x4557_4159);
    hasher.write(&user.user_decoded());
    hasher.write(b"@");
    hasher.write(&user.host.to_ascii_lowercase());
    hasher.write(member.host.as_bytes());
    hasher.write_u16(member.port);
    hasher.finish()
}

/// A Route that names a dead member names a living one of its group from here on: a proxy that only stays in the way keeps
/// nothing that the other does not know. With nobody alive it stays as it is.
pub(crate) fn avoid_the_dead(request: &mut Edited, context: &Context<'_>) {
    let Some((group, dead)) = top_member(request, context) else {
        return;
    };
    if context.alive.is_alive(group, dead) {
        return;
    }
    let Some(living) = ranked(request, group, context).and_then(|ranked| ranked.first().copied())
    else {
        return;
    };
    let members = &context.site.groups[group].members;
    // Two in a row, where it stays in the way with both of its interfaces.
    let renamed: Vec<Vec<u8>> = request
        .values(Header::Route)
        .map_while(|value| renamed(value, &members[dead], &members[living]))
        .collect();
    for (index, value) in renamed.iter().enumerate() {
        request.replace_value(Header::Route, index, value);
    }
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
    let address = living.addresses.first()?;
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
