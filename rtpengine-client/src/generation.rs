//! When a node was started, as far as its answers tell.
//!
//! RTPEngine 10.5 says nothing of its identity over ng but how long it has run, in whole seconds (`statistics`, key
//! `uptime`). From that, and our clock, follows when it was started, to a second or so; another client comes to the
//! same by its own clock. [`Generation`] is four bits of it, to be carried in messages: another generation is another
//! process, which knows none of the calls of the former one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time that one generation stands for. A process that lives shorter is not told apart from the next one; longer
/// steps would miss more of them, shorter ones would make two clients disagree more often.
const STEP: Duration = Duration::from_secs(4);

/// How far two clocks may be apart.
const CLOCKS: Duration = Duration::from_millis(500);

/// How far a node's uptime may lag behind what it should be before it counts as started anew: uptimes are cut to whole
/// seconds, and clocks are slewed.
const LAG: Duration = Duration::from_secs(2);

/// Four bits of a node's start time: 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u8);

impl Generation {
    /// Reads what [`Generation::to_u8`] gave; `None` above 15.
    pub fn from_u8(bits: u8) -> Option<Generation> {
        (bits < 16).then_some(Generation(bits))
    }

    /// The four bits.
    pub fn to_u8(self) -> u8 {
        self.0
    }

    fn at(since_epoch: Duration) -> Generation {
        // Four bits of a quotient fit.
        Generation(((since_epoch.as_secs() / STEP.as_secs()) % 16) as u8)
    }
}

/// When a node was started: within these bounds, Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    earliest: Duration,
    latest: Duration,
    /// When, on our own clock, the node said that it had run how long.
    said: (Instant, Duration),
}

/// What an answer to `statistics` told, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// The time of day before the request was sent.
    pub(crate) asked: SystemTime,
    /// The time of day when the answer was there.
    pub(crate) answered: SystemTime,
    /// The monotonic time when the answer was there.
    pub(crate) now: Instant,
    /// What the node said, whole seconds.
    pub(crate) uptime: Duration,
}

impl Started {
    pub(crate) fn first(sighting: Sighting) -> Started {
        let asked = sighting
            .asked
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let answered = sighting
            .answered
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Started {
            // The uptime was cut to whole seconds, so the start may be up to a second earlier than it says.
            earliest: asked.saturating_sub(sighting.uptime + Duration::from_secs(1)),
            latest: answered.saturating_sub(sighting.uptime),
            said: (sighting.now, sighting.uptime),
        }
    }

    /// Takes one more sighting in. True: the node was started anew since the last one.
    pub(crate) fn see(&mut self, sighting: Sighting) -> bool {
        let (then, uptime) = self.said;
        // Judged by the monotonic clock: a step of the time of day, here or there, is no restart.
        let expected = uptime + sighting.now.saturating_duration_since(then);
        let seen = Started::first(sighting);
        if sighting.uptime + LAG < expected || sighting.uptime < uptime {
            *self = seen;
            return true;
        }
        self.said = seen.said;
        // Each sighting cuts the second at another place. Bounds that do not meet are of a clock that was set: the
        // generation stays what it was.
        let (earliest, latest) = (
            self.earliest.max(seen.earliest),
            self.latest.min(seen.latest),
        );
        if earliest <= latest {
            (self.earliest, self.latest) = (earliest, latest);
        }
        false
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation::at(self.earliest + (self.latest.saturating_sub(self.earliest)) / 2)
    }

    /// Whether a client with another clock may have called this start `generation`.
    pub(crate) fn may_be(&self, generation: Generation) -> bool {
        let (from, to) = (self.earliest.saturating_sub(CLOCKS), self.latest + CLOCKS);
        (from.as_secs() / STEP.as_secs()..=to.as_secs() / STEP.as_secs()).any(|step| {
            Generation::at(STEP * u32::try_from(step).unwrap_or(u32::MAX)) == generation
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node started at `start` (Unix milliseconds), seen at `now` by a clock that is `skew` ahead.
    fn sighting(base: Instant, start: u64, now: u64, skew: i64) -> Sighting {
        let clock = UNIX_EPOCH + Duration::from_millis(now.saturating_add_signed(skew));
        Sighting {
            asked: clock,
            answered: clock + Duration::from_millis(1),
            now: base + Duration::from_millis(now),
            uptime: Duration::from_secs((now - start) / 1000),
        }
    }

    #[test]
    fn a_node_that_runs_on_keeps_its_generation() {
        let base = Instant::now();
        for start in (0..16_000).step_by(370).map(|part| 1_000_000 + part) {
            let mut started = Started::first(sighting(base, start, start + 100, 0));
            let generation = started.generation();
            for now in (start + 1_100..start + 90_000).step_by(970) {
                assert!(
                    !started.see(sighting(base, start, now, 0)),
                    "started {start}, seen {now}"
                );
                assert!(started.may_be(generation), "started {start}, seen {now}");
            }
        }
    }

    #[test]
    fn two_clients_agree_although_their_clocks_do_not() {
        let base = Instant::now();
        for start in (0..64_000).step_by(90).map(|part| 1_000_000 + part) {
            let one = Started::first(sighting(base, start, start + 30_250, 0));
            let other = Started::first(sighting(base, start, start + 70_700, 400));
            assert!(other.may_be(one.generation()), "{start}");
            assert!(one.may_be(other.generation()), "{start}");
        }
    }

    #[test]
    fn a_restart_is_seen_by_the_uptime_and_is_another_generation() {
        let base = Instant::now();
        for ran in [5_000, 30_000, 600_000] {
            let start = 1_000_000;
            let again = start + ran;
            let mut started = Started::first(sighting(base, start, again - 200, 0));
            let before = started.generation();
            assert!(
                started.see(sighting(base, again, again + 1_500, 0)),
                "it ran for {ran} ms"
            );
            if ran != 600_000 {
                assert!(!started.may_be(before), "it ran for {ran} ms");
            }
            assert!(
                !started.see(sighting(base, again, again + 2_500, 0)),
                "only once"
            );
        }
    }

    #[test]
    fn a_clock_that_is_set_is_no_restart() {
        let base = Instant::now();
        let start = 1_000_000;
        let mut started = Started::first(sighting(base, start, start + 60_000, 0));
        let generation = started.generation();
        for skew in [3_600_000, -500_000, 0] {
            assert!(!started.see(sighting(base, start, start + 61_000, skew)));
            assert_eq!(started.generation(), generation);
        }
    }

    #[test]
    fn a_stranger_generation_is_refused_eight_times_in_nine() {
        let base = Instant::now();
        let accepted = (0..64_000)
            .step_by(100)
            .map(|part| Started::first(sighting(base, 1_000_000 + part, 1_090_400 + part, 0)))
            .flat_map(|started| {
                (0..16)
                    .filter_map(Generation::from_u8)
                    .filter(move |one| started.may_be(*one))
            })
            .count();
        assert!(accepted < 640 * 16 / 9, "{accepted} of {}", 640 * 16);
        assert_eq!(Generation::from_u8(16), None);
    }
}
