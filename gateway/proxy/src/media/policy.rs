//! What the configuration wants of a leg's media: intent, key by key, and who said it.
//!
//! Five sections may speak of one leg: the user's, his domain's, the group's that the other end is a member of, the listener's,
//! and `[media.policy]` for all. For each key the most specific one that has it counts, in that order.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::codec::Codec;
use super::ends::{Owner, POLICY_BITS};
use crate::flow::ListenerId;

/// Which kind of leg is offered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wanted {
    /// A browser's.
    WebRtc,
    /// Plain RTP.
    Rtp,
    /// SRTP with keys in the SDP.
    Srtp,
    /// What the leg said, or its flow.
    Auto,
}

/// Which calls RTPEngine carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Anchor {
    /// None.
    Never,
    /// Those whose ends could not hear each other without it.
    Bridging,
    /// All.
    Always,
}

/// How a leg takes keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dtmf {
    /// As they come.
    Auto,
    /// As telephone events in its RTP: an INFO that the other end sends is made into one.
    Rfc4733,
    /// As INFO.
    Info,
}

/// The addresses that a leg is shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Those of its signalling.
    Auto,
}

/// Who said what holds for a leg.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// `[media.policy]`.
    Everywhere,
    /// `[listen.NAME.media]`.
    Listener(Arc<str>),
    /// `[group.NAME.media]`.
    Group(Arc<str>),
    /// `[domain.NAME.media]`.
    Domain(Arc<str>),
    /// `media` of a user, `user@domain`.
    User(Arc<str>),
    /// The section that counted when the dialog began: its token has no name but a number.
    Dialog,
}

impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => to.write_str("[media.policy]"),
            Self::Listener(name) => write!(to, "[listen.{name}.media]"),
            Self::Group(name) => write!(to, "[group.{name}.media]"),
            Self::Domain(name) => write!(to, "[domain.\"{name}\".media]"),
            Self::User(name) => write!(to, "`media` of user {name}"),
            Self::Dialog => to.write_str("the user, domain or group, as the dialog began"),
        }
    }
}

/// A value and who said it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said<T> {
    /// What.
    pub value: T,
    /// Who.
    pub origin: Origin,
}

impl<T> std::ops::Deref for Said<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// What a key's value is in words.
trait Word {
    fn word(&self) -> String;
}

/// One block from which come what a section says, what holds for a leg, and what is printed of it.
macro_rules! keys {
    ($( $(#[doc = $doc:literal])+ $key:ident : $type:ty = $name:literal, )+) => {
        /// What one section says; `None` where it says nothing.
        #[derive(Clone, Default, PartialEq, Eq, Debug)]
        pub struct Policy { $( $(#[doc = $doc])+ pub $key: Option<$type>, )+ }

        /// What holds for a leg; `None` where nobody says anything.
        #[derive(Clone, Default, PartialEq, Eq, Debug)]
        pub struct Leg { $( $(#[doc = $doc])+ pub $key: Option<Said<$type>>, )+ }

        impl Policy {
            /// True if it says nothing.
            pub fn is_empty(&self) -> bool {
                $( self.$key.is_none() && )+ true
            }
        }

        impl Leg {
            /// Takes over what is not said yet: the most specific section goes first.
            pub fn take(&mut self, policy: &Policy, origin: &Origin) {
                $( if let (None, Some(value)) = (&self.$key, &policy.$key) {
                    self.$key = Some(Said { value: value.clone(), origin: origin.clone() });
                } )+
            }

            /// Key, value and who said it, as they stand in the configuration.
            pub fn said(&self) -> Vec<(&'static str, String, &Origin)> {
                let mut all = Vec::new();
                $( if let Some(said) = &self.$key {
                    all.push(($name, said.value.word(), &said.origin));
                } )+
                all
            }

            fn as_of_dialog(&self) -> Self {
                Self { $( $key: self.$key.as_ref().map(|said| Said {
                    value: said.value.clone(),
                    origin: Origin::Dialog,
                }), )+ }
            }
        }
    };
}

keys! {
    /// Which kind of leg is offered.
    profile: Wanted = "profile",
    /// Which calls RTPEngine carries.
    anchor: Anchor = "anchor",
    /// The only codecs of the leg.
    codecs_allow: Arc<[Codec]> = "codecs.allow",
    /// Codecs that the leg does not have.
    codecs_deny: Arc<[Codec]> = "codecs.deny",
    /// Codecs that are offered first, in this order.
    codecs_order: Arc<[Codec]> = "codecs.order",
    /// Codecs that RTPEngine makes of others for the leg.
    transcode: Arc<[Codec]> = "transcode",
    /// How the leg takes keys.
    dtmf: Dtmf = "dtmf",
    /// RTPEngine writes the call down.
    record: bool = "record",
    /// The name of RTPEngine's interface that faces the leg.
    interface: Arc<str> = "interface",
    /// The addresses that the leg is shown.
    address_family: Family = "address_family",
    /// The packet time towards the leg, in milliseconds.
    ptime: u16 = "ptime",
}

impl Word for Wanted {
    fn word(&self) -> String {
        match self {
            Self::WebRtc => "\"webrtc\"",
            Self::Rtp => "\"rtp\"",
            Self::Srtp => "\"srtp\"",
            Self::Auto => "\"auto\"",
        }
        .to_owned()
    }
}

impl Word for Anchor {
    fn word(&self) -> String {
        match self {
            Self::Never => "\"never\"",
            Self::Bridging => "\"bridging\"",
            Self::Always => "\"always\"",
        }
        .to_owned()
    }
}

impl Word for Dtmf {
    fn word(&self) -> String {
        match self {
            Self::Auto => "\"auto\"",
            Self::Rfc4733 => "\"rfc4733\"",
            Self::Info => "\"info\"",
        }
        .to_owned()
    }
}

impl Word for Family {
    fn word(&self) -> String {
        match self {
            Self::Inet => "\"inet\"",
            Self::Inet6 => "\"inet6\"",
            Self::Auto => "\"auto\"",
        }
        .to_owned()
    }
}

impl Word for Arc<[Codec]> {
    fn word(&self) -> String {
        let names: Vec<String> = self
            .iter()
            .map(|codec| format!("\"{}\"", codec.name()))
            .collect();
        format!("[{}]", names.join(", "))
    }
}

impl Word for bool {
    fn word(&self) -> String {
        self.to_string()
    }
}

impl Word for Arc<str> {
    fn word(&self) -> String {
        format!("{self:?}")
    }
}

impl Word for u16 {
    fn word(&self) -> String {
        self.to_string()
    }
}

/// All that the configuration says of media.
#[derive(Clone, Default, Debug)]
pub struct Policies {
    everywhere: Policy,
    /// By the listener's number.
    listeners: Vec<(Arc<str>, Policy)>,
    /// By the group's index.
    groups: Vec<(Arc<str>, Policy)>,
    /// By the domain's name in lower case.
    domains: HashMap<String, (Arc<str>, Policy)>,
    /// By `user@domain`.
    users: HashMap<Vec<u8>, (Arc<str>, Policy)>,
    /// What users, domains and groups have together, by the number that tokens carry.
    numbered: HashMap<u32, Leg>,
    /// Those numbers, by what is said.
    numbers: HashMap<u64, u32>,
    speaks: bool,
}

/// What the sections say, as they are gathered.
#[derive(Default, Debug)]
pub struct Sections {
    /// `[media.policy]`.
    pub everywhere: Policy,
    /// Of each listener by its number: name and policy.
    pub listeners: Vec<(String, Policy)>,
    /// Of each group by its index.
    pub groups: Vec<(String, Policy)>,
    /// Of each domain (lower case).
    pub domains: Vec<(String, Policy)>,
    /// Of each user (`user`, and the domain in lower case) that has one.
    pub users: Vec<(String, String, Policy)>,
}

impl Policies {
    /// The policies of these sections. The same sections give the same numbers on every node.
    pub fn new(sections: Sections) -> Self {
        let named = |all: Vec<(String, Policy)>| -> Vec<(Arc<str>, Policy)> {
            let named = all.into_iter();
            named.map(|(name, policy)| (name.into(), policy)).collect()
        };
        let (listeners, groups) = (named(sections.listeners), named(sections.groups));
        let domains = sections.domains.into_iter();
        let domains: HashMap<_, _> = domains
            .map(|(name, policy)| (name.clone(), (Arc::from(name), policy)))
            .collect();
        let users = sections.users.into_iter();
        let users: HashMap<_, _> = users
            .map(|(user, domain, policy)| {
                let address = format!("{user}@{domain}");
                (address.clone().into_bytes(), (Arc::from(address), policy))
            })
            .collect();
        let said = |all: &[(Arc<str>, Policy)]| all.iter().any(|(_, policy)| !policy.is_empty());
        let mut all = Self {
            speaks: !sections.everywhere.is_empty()
                || said(&listeners)
                || said(&groups)
                || domains.values().any(|(_, policy)| !policy.is_empty())
                || users.values().any(|(_, policy)| !policy.is_empty()),
            everywhere: sections.everywhere,
            listeners,
            groups,
            domains,
            users,
            numbered: HashMap::new(),
            numbers: HashMap::new(),
        };
        let owners = (0..all.groups.len()).map(Owner::Group);
        let domains = all
            .domains
            .keys()
            .map(|domain| Owner::User(format!("@{domain}").into_bytes()));
        let users = all.users.keys().map(|user| Owner::User(user.clone()));
        let owners: Vec<Owner> = owners.chain(domains).chain(users).collect();
        let legs = owners.iter().filter_map(|owner| {
            let leg = all.of_owner(owner).as_of_dialog();
            Some((hash_of(&leg)?, leg))
        });
        // In an order that every node has: where two would have the same number, the second one takes the next.
        let legs: BTreeMap<u64, Leg> = legs.take(POLICY_BITS as usize).collect();
        for (hash, leg) in legs {
            let mut number = first_number(hash);
            while all.numbered.contains_key(&number) {
                number = (number % POLICY_BITS) + 1;
            }
            all.numbers.insert(hash, number);
            all.numbered.insert(number, leg);
        }
        all
    }

    /// False if no section says anything: then nobody need ask.
    pub fn speak(&self) -> bool {
        self.speaks
    }

    /// What holds for a leg at a listener whose end is this one.
    pub fn of(&self, owner: &Owner, listener: Option<ListenerId>) -> Leg {
        self.completed(self.of_owner(owner), listener)
    }

    /// The number of what user, domain or group say, for the tokens of the dialog; 0 for nothing.
    pub fn number(&self, owner: &Owner) -> u32 {
        hash_of(&self.of_owner(owner))
            .and_then(|hash| self.numbers.get(&hash).copied())
            .unwrap_or(0)
    }

    /// What holds for a leg of a dialog: what its token says of user, domain or group, and the listener.
    pub fn of_number(&self, number: u32, listener: Option<ListenerId>) -> Leg {
        let leg = self.numbered.get(&number).cloned().unwrap_or_default();
        self.completed(leg, listener)
    }

    fn of_owner(&self, owner: &Owner) -> Leg {
        let mut leg = Leg::default();
        match owner {
            Owner::Nobody => {}
            Owner::Group(index) => {
                if let Some((name, policy)) = self.groups.get(*index) {
                    leg.take(policy, &Origin::Group(name.clone()));
                }
            }
            Owner::User(address) => {
                if let Some((name, policy)) = self.users.get(address) {
                    leg.take(policy, &Origin::User(name.clone()));
                }
                let domain = address.rsplit(|byte| *byte == b'@').next();
                let domain = domain.and_then(|domain| std::str::from_utf8(domain).ok());
                if let Some((name, policy)) = domain.and_then(|domain| self.domains.get(domain)) {
                    leg.take(policy, &Origin::Domain(name.clone()));
                }
            }
        }
        leg
    }

    fn completed(&self, mut leg: Leg, listener: Option<ListenerId>) -> Leg {
        let listener = listener.and_then(|id| self.listeners.get(usize::from(id.0)));
        if let Some((name, policy)) = listener {
            leg.take(policy, &Origin::Listener(name.clone()));
        }
        leg.take(&self.everywhere, &Origin::Everywhere);
        leg
    }
}

/// What stands for what is said, whoever said it: alike on every node and after a restart, as long as it says the same.
fn hash_of(leg: &Leg) -> Option<u64> {
    let said = leg.said();
    if said.is_empty() {
        return None;
    }
    let mut hasher = SipHasher13::new_with_keys(0x6d65_6469, 0x6121_7065);
    for (key, value, _) in said {
        hasher.write(key.as_bytes());
        hasher.write(value.as_bytes());
        hasher.write_u8(0);
    }
    Some(hasher.finish())
}

/// The number that this has unless another one has it, 1 to [`POLICY_BITS`].
fn first_number(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]) & POLICY_BITS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ptime(milliseconds: u16) -> Policy {
        Policy {
            ptime: Some(milliseconds),
            ..Policy::default()
        }
    }

    fn policies() -> Policies {
        Policies::new(Sections {
            everywhere: Policy {
                record: Some(true),
                ..ptime(10)
            },
            listeners: vec![
                ("public".to_owned(), ptime(20)),
                ("core".to_owned(), Policy::default()),
            ],
            groups: vec![("pbx".to_owned(), ptime(30))],
            domains: vec![(
                "example.com".to_owned(),
                Policy {
                    dtmf: Some(Dtmf::Info),
                    ..ptime(40)
                },
            )],
            users: vec![("alice".to_owned(), "example.com".to_owned(), ptime(50))],
        })
    }

    fn user(address: &str) -> Owner {
        Owner::User(address.as_bytes().to_vec())
    }

    #[test]
    fn the_most_specific_section_that_has_a_key_counts_key_by_key() {
        let policies = policies();
        let (public, core) = (Some(ListenerId(0)), Some(ListenerId(1)));
        for (why, owner, listener, want, origin) in [
            (
                "the user's own",
                user("alice@example.com"),
                public,
                50,
                "`media` of user alice@example.com",
            ),
            (
                "his domain's",
                user("bob@example.com"),
                public,
                40,
                "[domain.\"example.com\".media]",
            ),
            (
                "the group's",
                Owner::Group(0),
                core,
                30,
                "[group.pbx.media]",
            ),
            (
                "the listener's",
                user("bob@elsewhere"),
                public,
                20,
                "[listen.public.media]",
            ),
            ("all others", Owner::Nobody, core, 10, "[media.policy]"),
            (
                "no listener is known",
                Owner::Nobody,
                None,
                10,
                "[media.policy]",
            ),
        ] {
            let leg = policies.of(&owner, listener);
            let said = leg.ptime.expect("a ptime");
            assert_eq!(
                (said.value, said.origin.to_string().as_str()),
                (want, origin),
                "{why}"
            );
            assert_eq!(leg.record.map(|said| said.value), Some(true), "{why}");
        }
        let alice = policies.of(&user("alice@example.com"), public);
        let dtmf = alice.dtmf.map(|said| (said.value, said.origin));
        assert_eq!(
            dtmf,
            Some((Dtmf::Info, Origin::Domain("example.com".into())))
        );
    }

    #[test]
    fn a_dialog_finds_again_by_a_number_what_counted_when_it_began() {
        let policies = policies();
        for owner in [
            user("alice@example.com"),
            user("bob@example.com"),
            Owner::Group(0),
        ] {
            let number = policies.number(&owner);
            let again = policies.of_number(number, Some(ListenerId(0)));
            let first = policies.of(&owner, Some(ListenerId(0)));
            let values = |leg: &Leg| -> Vec<String> {
                leg.said()
                    .into_iter()
                    .map(|(key, value, _)| format!("{key} {value}"))
                    .collect()
            };
            assert_eq!(values(&again), values(&first), "{owner:?}");
        }
        assert_eq!(policies.number(&Owner::Nobody), 0);
        let unknown = policies.of_number(4711, Some(ListenerId(0)));
        assert_eq!(
            unknown.ptime.map(|said| said.value),
            Some(20),
            "the listener still counts"
        );
    }

    #[test]
    fn no_two_policies_have_one_number() {
        // Of so many, some twenty pairs begin with the same one.
        let users: Vec<_> = (0..6_500_u16)
            .map(|packet| {
                (
                    packet.to_string(),
                    "example.com".to_owned(),
                    ptime(packet + 1),
                )
            })
            .collect();
        let owners: Vec<_> = users
            .iter()
            .map(|(name, ..)| user(&format!("{name}@example.com")))
            .collect();
        let sections = |users| Sections {
            users,
            ..Sections::default()
        };
        let (one, mut turned) = (Policies::new(sections(users.clone())), users);
        turned.reverse();
        let other = Policies::new(sections(turned));
        for (owner, want) in owners.iter().zip(1..) {
            let number = one.number(owner);
            assert_eq!(number, other.number(owner), "{want}");
            let leg = one.of_number(number, None);
            assert_eq!(leg.ptime.map(|said| said.value), Some(want));
        }
        let first = |owner| hash_of(&one.of_owner(owner)).map(first_number);
        let mut first: Vec<_> = owners.iter().map(first).collect();
        first.sort_unstable();
        first.dedup();
        assert!(first.len() < owners.len(), "none of them met another");
    }

    #[test]
    fn numbers_are_alike_wherever_the_same_is_said() {
        let one = policies().number(&user("alice@example.com"));
        assert_eq!(one, policies().number(&user("alice@example.com")));
        assert_ne!(one, policies().number(&user("bob@example.com")));
    }

    #[test]
    fn without_a_section_nobody_speaks() {
        assert!(!Policies::default().speak());
        assert!(policies().speak());
    }
}
