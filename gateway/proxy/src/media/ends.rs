//! The two ends of a call: whose they are, what the configuration wants of each, what of that a dialog carries in its tokens, and
//! whether RTPEngine has to be between them.

use std::net::IpAddr;

use sdp::{Profile, Session};
use sip::{Method, Transport, Uri};

use super::intent::is_private;
use super::policy::{Anchor, Dtmf, Family, Leg, Wanted};
use super::profile_of_flow;
use crate::decision::{Context, Forward, Hop};
use crate::flow::Flow;
use crate::side::Side;
use crate::site::Site;

/// Whose an end is, as far as a section of the configuration may speak of him.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Owner {
    /// Somebody else's.
    Nobody,
    /// A member's, by the index of its group.
    Group(usize),
    /// A user's of ours: `user@domain`, the domain in lower case.
    User(Vec<u8>),
}

/// What holds for the two legs that a message is between.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Legs {
    /// The leg that it comes from.
    pub from: Leg,
    /// The leg that it goes to.
    pub to: Leg,
}

/// The bits of a policy's number.
pub const POLICY_BITS: u32 = 0x000f_ffff;

/// What a dialog's tokens say of one end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct End {
    /// Its profile, if that is another than its flow says: RTPEngine keeps it as long as it has the call, and an RTPEngine that never
    /// saw the call has to be told.
    pub profile: Option<Profile>,
    /// The number of what its user, domain or group says; 0 for nothing.
    pub policy: u32,
}

/// What a dialog's tokens say of its ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ends {
    /// Who called.
    pub caller: End,
    /// Who was called.
    pub called: End,
}

impl Ends {
    /// Nothing to say.
    pub const NONE: Self = Self {
        caller: End {
            profile: None,
            policy: 0,
        },
        called: End {
            profile: None,
            policy: 0,
        },
    };

    /// The end that a request goes to.
    pub fn towards(&self, from_called: bool) -> End {
        if from_called {
            self.caller
        } else {
            self.called
        }
    }
}

impl Legs {
    /// The same for what goes the other way.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }

    /// What holds for the legs of a request: by who they are, and inside a dialog by what its token says.
    pub fn of(forward: &Forward, context: &Context<'_>) -> Self {
        let policies = &context.site.policies;
        if !policies.speak() {
            return Self::default();
        }
        let from = Some(forward.source.listener);
        let to = context.site.leaving_by(&forward.hop).map(|one| one.id);
        if let Some(media) = &forward.media {
            let (caller, called) = (media.ends.caller.policy, media.ends.called.policy);
            let (sender, receiver) = match forward.from_called {
                true => (called, caller),
                false => (caller, called),
            };
            return Self {
                from: policies.of_number(sender, from),
                to: policies.of_number(receiver, to),
            };
        }
        Self {
            from: policies.of(&sender(forward, context.site), from),
            to: policies.of(&receiver(forward, context.site), to),
        }
    }

    /// True if INFOs of keys are made into telephone events on one of the legs.
    pub fn inject_keys(&self) -> bool {
        [&self.from, &self.to].into_iter().any(takes_events)
    }
}

/// True for a leg that takes keys as telephone events.
pub fn takes_events(leg: &Leg) -> bool {
    leg.dtmf.as_deref() == Some(&Dtmf::Rfc4733)
}

/// What the tokens of a new dialog say of its ends.
pub fn of_request(forward: &Forward, context: &Context<'_>) -> Ends {
    let site = context.site;
    let said = Some(forward.request.original())
        .filter(|request| request.has_sdp())
        .and_then(|request| Profile::of(&Session::parse(request.body()).ok()?));
    let other_than = |flow: Transport| move |profile: &Profile| *profile != profile_of_flow(flow);
    let mut ends = Ends {
        caller: End {
            profile: said.filter(other_than(forward.source.transport)),
            policy: 0,
        },
        ..Ends::NONE
    };
    if site.policies.speak() {
        let transport = transport_of(&forward.hop);
        let wanted = profile_of(&Legs::of(forward, context).to, transport);
        ends.called.profile = Some(wanted).filter(other_than(transport));
        ends.caller.policy = site.policies.number(&sender(forward, site));
        ends.called.policy = site.policies.number(&receiver(forward, site));
    }
    ends
}

/// The profile of a leg that has not spoken: the configured one, else that of its flow.
pub fn profile_of(leg: &Leg, transport: Transport) -> Profile {
    match leg.profile.as_deref() {
        Some(Wanted::WebRtc) => Profile::WebRtc,
        Some(Wanted::Rtp) => Profile::Rtp,
        Some(Wanted::Srtp) => Profile::SrtpSdes,
        Some(Wanted::Auto) | None => profile_of_flow(transport),
    }
}

/// What is spoken on the way to a hop.
pub fn transport_of(hop: &Hop) -> Transport {
    match hop {
        Hop::Flow(flow) => flow.transport,
        Hop::Server { transport, .. } => *transport,
    }
}

/// Who sends: a member by his address, a user by his From, which he has proved where it counts.
fn sender(forward: &Forward, site: &Site) -> Owner {
    let (request, flow) = (forward.request.original(), &forward.source);
    if site.side_of(flow) == Side::Core || site.peer(flow).is_some() {
        return member_at(flow.peer.ip(), site);
    }
    user_of(request.from().map(|from| from.uri), site)
}

/// Who gets it: the user who was looked up, the member that was chosen, or whom To names.
fn receiver(forward: &Forward, site: &Site) -> Owner {
    if let Some(bound) = &forward.bound {
        return Owner::User(bound.binding.aor.clone());
    }
    if let Some(member) = &forward.member {
        return Owner::Group(member.group);
    }
    match &forward.hop {
        Hop::Server { address, .. } => member_at(address.ip(), site),
        Hop::Flow(flow) if site.side_of(flow) == Side::Core => member_at(flow.peer.ip(), site),
        Hop::Flow(_) => user_of(forward.request.original().to().map(|to| to.uri), site),
    }
}

fn member_at(address: IpAddr, site: &Site) -> Owner {
    site.place_at(address)
        .map_or(Owner::Nobody, |(group, _)| Owner::Group(group))
}

fn user_of(uri: Option<&[u8]>, site: &Site) -> Owner {
    uri.and_then(Uri::parse)
        .filter(|uri| site.serves(uri) && uri.user.is_some())
        .map_or(Owner::Nobody, |uri| {
            Owner::User(site.address_of_record(&uri))
        })
}

/// Whether a new call goes through RTPEngine. Of what its ends say the strictest counts; who says nothing leaves it to the other.
pub fn anchors(forward: &Forward, context: &Context<'_>) -> bool {
    if forward.request.method() != Method::Invite || !context.site.policies.speak() {
        return true;
    }
    let legs = Legs::of(forward, context);
    let said = [&legs.from, &legs.to].map(|leg| leg.anchor.as_deref().copied());
    match said.into_iter().flatten().max() {
        None | Some(Anchor::Always) => true,
        Some(Anchor::Never) => false,
        Some(Anchor::Bridging) => bridges(forward, &legs, context),
    }
}

/// True for a call whose ends cannot hear each other without RTPEngine, or for which it has something to do. What is not known for
/// certain counts as a reason.
fn bridges(forward: &Forward, legs: &Legs, context: &Context<'_>) -> bool {
    let request = forward.request.original();
    let Some(offer) = Some(request.body())
        .filter(|_| forward.request.has_sdp())
        .and_then(|body| Session::parse(body).ok())
    else {
        return true;
    };
    let hides = [
        context.site.listener(forward.source.listener),
        context.site.leaving_by(&forward.hop),
    ];
    let to = profile_of(&legs.to, transport_of(&forward.hop));
    if has_work(&legs.from)
        || has_work(&legs.to)
        || legs.from.interface.as_deref() != legs.to.interface.as_deref()
        || hides.into_iter().flatten().any(|listener| listener.hides)
        || Profile::of(&offer) != Some(to)
    {
        return true;
    }
    // ICE finds the way, or says that there is none.
    if to == Profile::WebRtc {
        return false;
    }
    let (Some(said), Some(reached)) = (said_address(&offer, 0), reached_at(forward, context.site))
    else {
        return true;
    };
    let lines = 0..offer.media().len();
    let is_behind_nat = context.site.side_of(&forward.source) == Side::Device
        && said != forward.source.peer.ip().to_canonical();
    is_behind_nat
        || lines
            .into_iter()
            .any(|line| said_address(&offer, line) != Some(said))
        || said.is_ipv4() != reached.is_ipv4()
        || is_private(said) != is_private(reached)
}

/// Something that only RTPEngine can do for a leg.
fn has_work(leg: &Leg) -> bool {
    leg.record.as_deref() == Some(&true)
        || takes_events(leg)
        || leg.codecs_allow.is_some()
        || leg.codecs_deny.is_some()
        || leg.codecs_order.is_some()
        || leg.transcode.is_some()
        || leg.ptime.is_some()
        || matches!(
            leg.address_family.as_deref(),
            Some(Family::Inet | Family::Inet6)
        )
}

/// Where the called end is; `None` if it is behind NAT: its Contact then names another address than its flow has.
fn reached_at(forward: &Forward, site: &Site) -> Option<IpAddr> {
    let flow: &Flow = match &forward.hop {
        Hop::Server { address, .. } => return Some(address.ip().to_canonical()),
        Hop::Flow(flow) => flow,
    };
    let seen = flow.peer.ip().to_canonical();
    if site.side_of(flow) == Side::Core {
        return Some(seen);
    }
    let uri = Uri::parse(forward.request.uri())?;
    let bare = uri
        .host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"))
        .unwrap_or(uri.host);
    let contact: IpAddr = std::str::from_utf8(bare).ok()?.parse().ok()?;
    (contact.to_canonical() == seen).then_some(seen)
}

/// The address in the c= line of an m= line.
pub fn said_address(session: &Session<'_>, line: usize) -> Option<IpAddr> {
    let text = std::str::from_utf8(session.connection_of(line)?).ok()?;
    let address = text.split_ascii_whitespace().nth(2)?.split('/').next()?;
    Some(address.parse::<IpAddr>().ok()?.to_canonical())
}
