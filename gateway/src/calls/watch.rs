//! What is kept of a call that is watched: whether each side is heard, whether it is there, and how it would be hung up.

use std::time::Duration;

use super::legs::Legs;

/// Why a call is ended that nobody ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// No packets came from a side.
    Silent,
    /// A device's flow died, and it did not come back.
    Gone,
}

/// Who says nothing, of the two sides of a call: who called, and who was called.
pub(crate) type Sides = [bool; 2];

/// How RTPEngine hears a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing need come from it: on hold, or nothing was agreed on.
    Excused,
    /// So many packets came from it until now.
    Packets(u64),
    /// RTPEngine does not know it.
    Unknown,
}

#[derive(Clone, Copy, Default)]
struct Side {
    packets: u64,
    /// When something was last heard of it.
    since: Duration,
    told: bool,
    /// Since when its flow is dead.
    gone: Option<Duration>,
}

/// A call that is watched.
pub(super) struct Watched {
    /// Tag of who called, and of who was called.
    pub(super) tags: [Box<[u8]>; 2],
    pub(super) legs: Option<Legs>,
    sides: [Side; 2],
}

impl Watched {
    pub(super) fn new(tags: [&[u8]; 2], legs: Option<Legs>, now: Duration) -> Self {
        let side = Side {
            since: now,
            ..Side::default()
        };
        Self {
            tags: tags.map(Into::into),
            legs,
            sides: [side; 2],
        }
    }

    /// The side whose tag this is.
    pub(super) fn side_of(&self, tag: &[u8]) -> Option<usize> {
        self.tags.iter().position(|own| **own == *tag)
    }

    /// What RTPEngine says at `now`; who has been silent for `after`, told once.
    pub(super) fn hear(&mut self, heard: [Heard; 2], after: Duration, now: Duration) -> Sides {
        let mut silent = [false; 2];
        for ((side, heard), silent) in self.sides.iter_mut().zip(heard).zip(&mut silent) {
            match heard {
                Heard::Packets(packets) if packets != side.packets => {
                    (side.packets, side.since, side.told) = (packets, now, false);
                }
                Heard::Excused => (side.since, side.told) = (now, false),
                Heard::Packets(_) | Heard::Unknown => {
                    if !side.told && now.saturating_sub(side.since) >= after {
                        side.told = true;
                        *silent = true;
                    }
                }
            }
        }
        silent
    }

    /// Whose flow is dead at `now`; true once one of them has been so for `after`.
    pub(super) fn miss(&mut self, gone: Sides, after: Duration, now: Duration) -> bool {
        let mut over = false;
        for (side, gone) in self.sides.iter_mut().zip(gone) {
            side.gone = gone.then(|| side.gone.unwrap_or(now));
            over |= side
                .gone
                .is_some_and(|since| now.saturating_sub(since) >= after);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_side_is_silent_when_no_packet_came_for_the_time_and_hold_excuses_it() {
        use Heard::{Excused, Packets, Unknown};
        for (why, looks, want) in [
            (
                "packets come",
                &[(2, Packets(5)), (11, Packets(6)), (20, Packets(7))][..],
                None,
            ),
            (
                "none ever came",
                &[(4, Packets(0)), (10, Packets(0))],
                Some(10),
            ),
            (
                "they stopped",
                &[(4, Packets(9)), (12, Packets(9)), (14, Packets(9))],
                Some(14),
            ),
            (
                "on hold nothing is due",
                &[(4, Packets(9)), (9, Excused), (14, Packets(9))],
                None,
            ),
            (
                "and after it the time begins anew",
                &[(4, Packets(9)), (9, Excused), (19, Packets(9))],
                Some(19),
            ),
            (
                "RTPEngine has lost it",
                &[(4, Packets(9)), (8, Unknown), (14, Unknown)],
                Some(14),
            ),
            (
                "another RTPEngine has it now",
                &[(4, Packets(9)), (8, Packets(1)), (14, Packets(1))],
                None,
            ),
        ] {
            let mut call = Watched::new([b"a", b"b"], None, at(0));
            let mut told = None;
            for (when, heard) in looks {
                let silent = call.hear([*heard, Packets(*when)], AFTER, at(*when));
                assert!(!silent[1], "{why}");
                if silent[0] {
                    told = Some(*when);
                }
            }
            assert_eq!(told, want, "{why}");
        }
    }

    #[test]
    fn silence_is_told_once_until_a_packet_comes() {
        let mut call = Watched::new([b"a", b"b"], None, at(0));
        let mut hear = |packets, when| {
            call.hear([Heard::Packets(packets), Heard::Excused], AFTER, at(when))[0]
        };
        assert!(hear(0, 10) && !hear(0, 20) && !hear(0, 90));
        assert!(!hear(1, 91) && !hear(1, 100) && hear(1, 101));
    }

    #[test]
    fn a_device_that_comes_back_in_time_is_not_missed() {
        let mut call = Watched::new([b"a", b"b"], None, at(0));
        let mut miss = |gone, when| call.miss([false, gone], AFTER, at(when));
        assert!(!miss(true, 1) && !miss(true, 10));
        assert!(!miss(false, 11) && !miss(true, 12), "it was back");
        assert!(!miss(true, 21) && miss(true, 22));
    }
}
