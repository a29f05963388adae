//! Which servers a member of the configuration is, and where each of them stands in its group: pure.
//!
//! A request that is pending knows its member by group and number. So a number is not given to somebody else as long as
//! there is another one: a member whose name may be several servers has [`SLOTS`] of them from the start, a server that DNS
//! does not name any more keeps its own, and one that comes back finds it again.

use std::net::IpAddr;

use proxy::NextHop;
use proxy::group::{Member, Standing, WEIGHT, key};
use sip::Transport;

use crate::dns::{SHARES, Target};

/// Servers of one name at most, those that are gone among them; who is beyond it is left out, the worst first.
pub(crate) const SLOTS: usize = 16;

/// A member as the configuration has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The index of its group in the site.
    pub group: usize,
    /// The number of its first server in the group.
    pub first: usize,
    /// Its URI as it was written.
    pub uri: String,
    /// What DNS is asked.
    pub ask: NextHop,
    /// Who is tried first: the lowest.
    pub priority: u16,
    /// Its share of what its priority gets.
    pub weight: u16,
    /// It is drained from the start.
    pub drain: bool,
}

impl Source {
    /// True if it is a name, which may lead elsewhere tomorrow.
    pub(crate) fn is_name(&self) -> bool {
        self.ask.host.parse::<IpAddr>().is_err()
    }

    /// How many numbers it has.
    pub(crate) fn len(&self) -> usize {
        if self.is_name() { SLOTS } else { 1 }
    }

    /// Its servers before DNS was asked; an address needs no asking.
    pub fn unresolved(&self) -> Vec<Member> {
        let transport = self.ask.transport.unwrap_or(Transport::Udp);
        let port = self.ask.port.unwrap_or(transport.default_port());
        let address = self.ask.host.parse::<IpAddr>().ok();
        let mut slots = vec![Member::default(); self.len()];
        slots[0] = Member {
            priority: u32::from(self.priority) << 16,
            weight: u32::from(self.weight) * WEIGHT,
            standing: standing(self.drain),
            ..Member::new(
                &self.ask.host,
                port,
                transport,
                address.map(|ip| (ip, port).into()),
            )
        };
        slots
    }

    /// True if a person means it: by its URI, or by its host with or without the port.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let host = &self.ask.host;
        let with_port = || {
            self.ask
                .port
                .is_some_and(|port| name == format!("{host}:{port}"))
        };
        name.eq_ignore_ascii_case(&self.uri) || name.eq_ignore_ascii_case(host) || with_port()
    }
}

/// The standing of a member that is, or is not, being drained.
pub(crate) fn standing(drained: bool) -> Standing {
    if drained {
        Standing::Drained
    } else {
        Standing::Serves
    }
}

/// Puts what DNS says now into the slots of a member; the numbers, in the slots, of servers that are new there.
///
/// An answer that is empty changes nothing: a name that has lost all its records is a mistake more often than a wish.
pub(crate) fn settle(
    slots: &mut [Member],
    source: &Source,
    drained: bool,
    targets: &[Target],
) -> Vec<usize> {
    if targets.is_empty() {
        return Vec::new();
    }
    let mut newcomers: Vec<&Target> = targets.iter().take(slots.len()).collect();
    for slot in slots.iter_mut().filter(|slot| slot.address.is_some()) {
        match newcomers.iter().position(|target| is_in(slot, target)) {
            Some(at) => {
                let was = slot.standing;
                *slot = member(newcomers.remove(at), source, drained);
                if was == Standing::Drained {
                    slot.standing = was;
                }
            }
            None => slot.standing = Standing::Gone,
        }
    }
    let mut new = Vec::new();
    for target in newcomers {
        let is_free = |slot: &Member| slot.address.is_none();
        let free = slots.iter().position(is_free).or_else(|| {
            slots
                .iter()
                .position(|slot| slot.standing == Standing::Gone)
        });
        if let Some(at) = free {
            slots[at] = member(target, source, drained);
            new.push(at);
        }
    }
    new
}

fn is_in(slot: &Member, target: &Target) -> bool {
    slot.address == Some(target.address)
        && slot.transport == target.transport
        && slot.host == target.host
}

fn member(target: &Target, source: &Source, drained: bool) -> Member {
    let weight = u64::from(source.weight) * u64::from(target.share) * u64::from(WEIGHT / SHARES);
    let among = target.is_one_of_many.then_some(target.address);
    Member {
        host: target.host.clone(),
        service: (target.host != source.ask.host).then(|| source.ask.host.clone()),
        port: target.port,
        transport: target.transport,
        address: Some(target.address),
        priority: u32::from(source.priority) << 16 | u32::from(target.priority),
        weight: u32::try_from(weight).unwrap_or(u32::MAX).max(1),
        standing: standing(drained),
        key: key(&target.host, target.port, among),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            group: 0,
            first: 0,
            uri: "sip:core.example".to_owned(),
            ask: NextHop {
                host: "core.example".to_owned(),
                port: None,
                transport: None,
            },
            priority: 2,
            weight: 3,
            drain: false,
        }
    }

    fn target(last: u8) -> Target {
        Target {
            host: format!("s{last}.core.example"),
            port: 5070,
            transport: Transport::Udp,
            address: ([10, 0, 0, last], 5070).into(),
            priority: 0,
            share: SHARES,
            is_one_of_many: false,
        }
    }

    /// What stands in each slot: the last byte of the address and how it stands.
    fn shown(slots: &[Member]) -> String {
        let one = |slot: &Member| match (slot.address, slot.standing) {
            (None, _) => "-".to_owned(),
            (Some(at), standing) => {
                let last = at.ip().to_string().rsplit('.').next().unwrap().to_owned();
                last + match standing {
                    Standing::Serves => "",
                    Standing::Drained => "d",
                    Standing::Gone => "g",
                }
            }
        };
        slots.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_server_keeps_its_number_and_finds_it_again() {
        type Step<'s> = (&'s [u8], &'s str);
        for (why, steps) in [
            (
                "the first answer",
                &[(&[1_u8, 2] as &[u8], "1 2 - -")] as &[Step<'_>],
            ),
            (
                "in another order",
                &[(&[1, 2], "1 2 - -"), (&[2, 1], "1 2 - -")],
            ),
            ("one goes", &[(&[1, 2], "1 2 - -"), (&[2], "1g 2 - -")]),
            (
                "and comes back",
                &[
                    (&[1, 2], "1 2 - -"),
                    (&[2], "1g 2 - -"),
                    (&[2, 1], "1 2 - -"),
                ],
            ),
            (
                "a newcomer takes what nobody had",
                &[(&[1, 2], "1 2 - -"), (&[2, 3], "1g 2 3 -")],
            ),
            (
                "only then what somebody left",
                &[
                    (&[1, 2], "1 2 - -"),
                    (&[3, 4], "1g 2g 3 4"),
                    (&[4, 5], "5 2g 3g 4"),
                ],
            ),
            (
                "an empty answer changes nothing",
                &[(&[1], "1 - - -"), (&[], "1 - - -")],
            ),
            (
                "no more than there is room for",
                &[(&[1, 2, 3, 4, 5], "1 2 3 4")],
            ),
        ] {
            let mut slots = source().unresolved();
            slots.truncate(4);
            for (answer, want) in steps {
                let targets: Vec<Target> = answer.iter().map(|last| target(*last)).collect();
                settle(&mut slots, &source(), false, &targets);
                assert_eq!(shown(&slots), *want, "{why}");
            }
        }
    }

    #[test]
    fn what_is_drained_stays_so() {
        let mut slots = source().unresolved();
        slots.truncate(3);
        settle(&mut slots, &source(), false, &[target(1), target(2)]);
        slots[0].standing = Standing::Drained;
        settle(&mut slots, &source(), false, &[target(1), target(2)]);
        assert_eq!(shown(&slots), "1d 2 -");
        // The whole name is: so are servers that come later.
        settle(&mut slots, &source(), true, &[target(1), target(3)]);
        assert_eq!(shown(&slots), "1d 2g 3d");
    }

    #[test]
    fn priority_and_weight_are_the_members_own_and_inside_it_those_of_dns() {
        let mut slots = source().unresolved();
        let second = Target {
            priority: 7,
            share: SHARES / 4,
            ..target(2)
        };
        settle(&mut slots, &source(), false, &[target(1), second]);
        assert_eq!((slots[0].priority, slots[0].weight), (2 << 16, 3 * WEIGHT));
        assert_eq!(
            (slots[1].priority, slots[1].weight),
            (2 << 16 | 7, 3 * WEIGHT / 4)
        );
        assert_eq!(slots[1].service.as_deref(), Some("core.example"));
    }

    #[test]
    fn addresses_of_one_name_are_told_apart_by_hashing_too() {
        let mut slots = source().unresolved();
        let one = |last| Target {
            host: "core.example".to_owned(),
            is_one_of_many: true,
            ..target(last)
        };
        settle(&mut slots, &source(), false, &[one(1), one(2)]);
        assert_ne!(slots[0].key, slots[1].key);
        assert_eq!(slots[0].service, None);
    }

    #[test]
    fn an_address_is_there_before_dns_is_asked() {
        let mut source = source();
        source.ask.host = "2001:db8::5".to_owned();
        source.drain = true;
        let slots = source.unresolved();
        assert_eq!(slots.len(), 1);
        assert_eq!(
            slots[0].address,
            Some("[2001:db8::5]:5060".parse().unwrap())
        );
        assert_eq!(slots[0].standing, Standing::Drained);
    }
}
