//! Follows a 3xx in the caller's place (RFC 3261 §8.1.3.4, §16.5), where a group asks for it: its Contacts are tried one after
//! the other, the best first.
//!
//! A redirection chooses where we send. So only servers of the core are followed: members of groups, and addresses of
//! its networks. A Contact that names a user of ours is not: his devices would need another offer than the one that
//! was made for the core.

use sip::{Edited, Header, Method, NameAddr, Transport, Uri};

use crate::branch;
use crate::cluster;
use crate::decision::{Chosen, Context, Facts, Forward, Hop};
use crate::group::Standing;
use crate::next_hop;

/// Contacts that are followed for one request, however many redirections there are.
const FOLLOWED: usize = 5;

/// What a request was redirected to so far.
#[derive(Clone, Default, Debug)]
pub struct Redirects {
    /// Every request-URI that was tried or will be: none twice (RFC 3261 §16.5).
    known: Vec<Vec<u8>>,
    /// Who is to be tried, the last one first.
    waiting: Vec<Forward>,
}

impl Redirects {
    /// Takes the Contacts of a 3xx to this copy of an INVITE; true if any of them can be followed. Then the 3xx itself is no
    /// answer any more (§16.7 step 4).
    pub fn take(&mut self, forward: &Forward, response: &Edited, context: &Context<'_>) -> bool {
        if !(300..=399).contains(&response.status()) || !follows(forward, context) {
            return false;
        }
        let of_branch = sip::uri::without_headers(forward.request.uri());
        if self.known.is_empty() {
            self.known.push(of_branch.to_vec());
        }
        let mut new = Vec::new();
        for contact in by_preference(response) {
            if self.known.len() > FOLLOWED || self.known.contains(&contact) {
                continue;
            }
            if let Some(next) = towards(forward, &contact, context) {
                self.known.push(contact);
                new.push(next);
            }
        }
        let takes = !new.is_empty();
        // What this one says comes before what was said earlier.
        self.waiting.extend(new.into_iter().rev());
        takes
    }

    /// True if somebody is left to be tried after this answer.
    pub fn go_on_after(&self, status: u16) -> bool {
        let is_failure = (300..600).contains(&status) && !matches!(status, 401 | 407 | 487);
        is_failure && !self.waiting.is_empty()
    }

    /// Who is tried next.
    pub fn take_next(&mut self) -> Option<Forward> {
        self.waiting.pop()
    }
}

/// True for an INVITE that begins a dialog, to a group whose redirections are followed: never one outside, whose word must not
/// choose a server of the core.
pub(crate) fn follows(forward: &Forward, context: &Context<'_>) -> bool {
    let group = |chosen: &Chosen| context.site.groups.get(chosen.group);
    forward.request.method() == Method::Invite
        && forward.request.to_tag().is_none()
        && forward
            .member
            .as_ref()
            .and_then(group)
            .is_some_and(|group| group.follows_redirects && !group.outside)
}

/// The Contacts of a response, the highest q first (RFC 3261 §20.10), in their order where it is the same.
fn by_preference(response: &Edited) -> Vec<Vec<u8>> {
    let mut contacts: Vec<(u32, Vec<u8>)> = response
        .values(Header::Contact)
        .filter_map(NameAddr::parse)
        .map(|contact| {
            let q = contact.param(b"q").flatten().map_or(1000, thousandths);
            (q, sip::uri::without_headers(contact.uri).to_vec())
        })
        .collect();
    contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    contacts.into_iter().map(|(_, uri)| uri).collect()
}

/// A qvalue; 0 for what is none.
fn thousandths(text: &[u8]) -> u32 {
    let value = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f32>().ok());
    // Between 0 and 1000, or the cast makes it so.
    value.map_or(0, |value| (value * 1000.0).clamp(0.0, 1000.0) as u32)
}

/// The same INVITE for a Contact, if that is a server of the core.
fn towards(forward: &Forward, contact: &[u8], context: &Context<'_>) -> Option<Forward> {
    let uri = Uri::parse(contact).filter(Uri::is_sip)?;
    let named = context.site.place_of(&uri);
    if let Some((group, member)) = named {
        let serves = context.site.groups[group].members[member].standing == Standing::Serves;
        if !serves || !context.alive.is_alive(group, member) {
            return None;
        }
    }
    // What would have to be looked up is no member, and nothing that a redirection may choose.
    let hop = next_hop::hop_of_uri(contact, context, &Facts::default()).ok()?;
    let Hop::Server { transport, address } = hop else {
        return None;
    };
    let speaks = matches!(transport, Transport::Udp | Transport::Tcp);
    // A device behind the group may have written the Contact.
    if !speaks
        || !context.site.takes_from_devices(transport, address)
        || cluster::is_only_a_node(address, context)
    {
        return None;
    }
    let mut request = forward.request.clone();
    request.set_uri(contact);
    // Of a Contact that is no member, whose word a further 3xx is remains the group's that we came from.
    let (group, member) = named.or_else(|| {
        let chosen = forward.member.as_ref()?;
        Some((chosen.group, chosen.member))
    })?;
    Some(Forward {
        identity: branch::identity(&request, &hop),
        request,
        hop,
        member: Some(Chosen {
            group,
            member,
            next: Vec::new(),
            by_count: false,
        }),
        ..forward.clone()
    })
}
