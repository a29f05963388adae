//! Whether a member of a group lives, by the signs that it gives: pure.
//!
//! A device can make a registrar silent (many drop what they dislike without a word), so silence towards a request never
//! kills a member by itself: it raises a doubt, and the probe has the last word.

use std::time::Duration;

/// A member that asks to be left alone is believed for this long at most: a `Retry-After` of a day would outlast its reason.
const BUSY_AT_MOST: Duration = Duration::from_secs(60);

/// How a group is probed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How often each member is asked.
    pub interval: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// Answers in a row after which a dead member is alive.
    pub rise: u32,
    /// Signs of death in a row after which a living member is dead.
    pub fall: u32,
}

/// What was seen of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sign {
    /// It answered the probe, with anything but 503.
    Answer,
    /// It did not answer the probe, or with 503.
    NoAnswer,
    /// A connection to it was refused or broke, or the system said that it cannot be reached.
    Refused,
    /// A request got no answer in the time after which the next member is tried.
    Silence,
    /// It answered a request with 503 and asked to be left alone until then (RFC 3261 §20.33).
    Busy {
        /// Since the node's start.
        now: Duration,
        /// For how long.
        retry_after: Duration,
    },
}

/// What a sign changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// It lives again.
    Rose,
    /// It is dead.
    Fell,
}

/// What is known of a member. Until anything is known it counts as alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Health {
    alive: bool,
    /// Signs in a row that say the opposite.
    against: u32,
    busy_until: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            alive: true,
            against: 0,
            busy_until: Duration::ZERO,
        }
    }
}

impl Health {
    /// Takes a sign.
    pub(crate) fn note(&mut self, sign: Sign, rules: &Rules) -> Option<Change> {
        match (self.alive, sign) {
            (_, Sign::Busy { now, retry_after }) => {
                self.busy_until = self.busy_until.max(now + retry_after.min(BUSY_AT_MOST));
                None
            }
            (true, Sign::Answer) | (false, Sign::NoAnswer | Sign::Refused | Sign::Silence) => {
                self.against = 0;
                None
            }
            (true, Sign::Silence) => {
                let most = rules.fall.saturating_sub(1);
                self.against = self.against.max((self.against + 1).min(most));
                None
            }
            (true, Sign::NoAnswer | Sign::Refused) => self.count(rules.fall, Change::Fell),
            (false, Sign::Answer) => self.count(rules.rise, Change::Rose),
        }
    }

    fn count(&mut self, enough: u32, change: Change) -> Option<Change> {
        self.against += 1;
        if self.against < enough {
            return None;
        }
        self.alive = !self.alive;
        self.against = 0;
        Some(change)
    }

    /// True if requests may go there.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive
    }

    /// True if it counts as alive, and something says otherwise.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.alive && self.against > 0
    }

    /// Until when it wants no requests, since the node's start.
    pub(crate) fn busy_until(&self) -> Duration {
        self.busy_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
    };

    #[test]
    fn a_member_falls_and_rises_by_signs_in_a_row() {
        use Change::{Fell, Rose};
        use Sign::{Answer, NoAnswer, Refused, Silence};
        for (why, signs, changes, alive, doubtful) in [
            ("nothing is known yet", &[][..], &[][..], true, false),
            ("it answers", &[Answer, Answer], &[], true, false),
            ("one probe lost is a doubt", &[NoAnswer], &[], true, true),
            (
                "an answer ends the doubt",
                &[NoAnswer, NoAnswer, Answer, NoAnswer, NoAnswer],
                &[],
                true,
                true,
            ),
            (
                "fall probes in a row",
                &[NoAnswer, NoAnswer, NoAnswer],
                &[Fell],
                false,
                false,
            ),
            (
                "refused connections count alike",
                &[Refused, NoAnswer, Refused],
                &[Fell],
                false,
                false,
            ),
            (
                "a device cannot kill a registrar",
                &[Silence, Silence, Silence, Silence, Silence],
                &[],
                true,
                true,
            ),
            (
                "but what it saw counts beside the probe",
                &[Silence, Silence, NoAnswer],
                &[Fell],
                false,
                false,
            ),
            (
                "silence after a probe takes nothing back",
                &[NoAnswer, NoAnswer, Silence, NoAnswer],
                &[Fell],
                false,
                false,
            ),
            (
                "one answer is not enough to rise",
                &[NoAnswer, NoAnswer, NoAnswer, Answer],
                &[Fell],
                false,
                false,
            ),
            (
                "rise answers in a row",
                &[NoAnswer, NoAnswer, NoAnswer, Answer, Answer],
                &[Fell, Rose],
                true,
                false,
            ),
            (
                "not in a row",
                &[NoAnswer, NoAnswer, NoAnswer, Answer, NoAnswer, Answer],
                &[Fell],
                false,
                false,
            ),
            (
                "risen, it falls by as many as before",
                &[
                    NoAnswer, NoAnswer, NoAnswer, Answer, Answer, NoAnswer, NoAnswer,
                ],
                &[Fell, Rose],
                true,
                true,
            ),
        ] {
            let mut health = Health::default();
            let changed: Vec<Change> = signs
                .iter()
                .filter_map(|sign| health.note(*sign, &RULES))
                .collect();
            assert_eq!(changed, changes, "{why}");
            assert_eq!(
                (health.is_alive(), health.is_doubtful()),
                (alive, doubtful),
                "{why}"
            );
        }
    }

    #[test]
    fn with_a_fall_of_one_only_the_probe_kills() {
        let rules = Rules { fall: 1, ..RULES };
        let mut health = Health::default();
        assert_eq!(health.note(Sign::Silence, &rules), None);
        assert_eq!(health.note(Sign::NoAnswer, &rules), Some(Change::Fell));
    }

    #[test]
    fn who_asks_to_be_left_alone_is_left_alone_for_a_minute_at_most() {
        let seconds = Duration::from_secs;
        let busy = |now, retry_after| Sign::Busy {
            now: seconds(now),
            retry_after: seconds(retry_after),
        };
        for (why, signs, until) in [
            ("as long as it says", &[busy(10, 5)][..], 15),
            ("a minute at most", &[busy(10, 86_400)], 70),
            (
                "a shorter one does not shorten",
                &[busy(10, 30), busy(11, 1)],
                40,
            ),
        ] {
            let mut health = Health::default();
            signs
                .iter()
                .for_each(|sign| assert_eq!(health.note(*sign, &RULES), None));
            assert_eq!(health.busy_until(), seconds(until), "{why}");
            assert!(health.is_alive(), "{why}");
        }
    }
}
