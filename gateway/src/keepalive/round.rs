//! Whose turn it is: every device once in an interval, spread over it by its name, and never more than so many at once. Pure.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use proxy::Device;

/// How often it is asked whose turn it is.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The devices of one listener. Four bytes each in its slot, and some eight in the set.
#[derive(Debug)]
pub(super) struct Round {
    /// One for each tick of the interval.
    slots: Vec<Vec<Device>>,
    /// All that are in it, so that nobody is in it twice.
    members: HashSet<Device>,
    /// Whose turn it was when others were before them.
    late: VecDeque<Device>,
    at: usize,
    per_tick: usize,
}

impl Round {
    pub(super) fn new(interval: Duration, rate: u32) -> Self {
        let ticks = interval.as_millis() / TICK.as_millis();
        Self {
            slots: vec![Vec::new(); usize::try_from(ticks).unwrap_or(1).max(1)],
            members: HashSet::new(),
            late: VecDeque::new(),
            at: 0,
            per_tick: (rate as usize / 10).max(1),
        }
    }

    /// A device that is in it already stays where it is.
    pub(super) fn add(&mut self, device: Device) {
        if self.members.insert(device) {
            self.place(device);
        }
    }

    fn place(&mut self, device: Device) {
        // Its name is a keyed hash: nobody crowds a slot on purpose.
        let slot = u32::from_be_bytes(device.0) as usize % self.slots.len();
        self.slots[slot].push(device);
    }

    /// Those whose turn it is.
    pub(super) fn tick(&mut self) -> Vec<Device> {
        self.at = (self.at + 1) % self.slots.len();
        let due = std::mem::take(&mut self.slots[self.at]);
        self.late.extend(due);
        let now = self.late.len().min(self.per_tick);
        self.late.drain(..now).collect()
    }

    /// It stays in it.
    pub(super) fn keep(&mut self, device: Device) {
        if self.members.contains(&device) {
            self.place(device);
        }
    }

    /// It leaves; it is in no slot now, for it was its turn.
    pub(super) fn end(&mut self, device: Device) {
        self.members.remove(&device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u32) -> Device {
        // As evenly spread as hashes are.
        Device(number.wrapping_mul(0x9e37_79b9).to_be_bytes())
    }

    /// How many had their turn in each tick of an interval; all stay.
    fn interval(round: &mut Round, ticks: usize) -> Vec<usize> {
        (0..ticks)
            .map(|_| {
                let due = round.tick();
                due.iter().for_each(|device| round.keep(*device));
                due.len()
            })
            .collect()
    }

    #[test]
    fn every_device_has_its_turn_once_in_an_interval_and_they_are_spread_over_it() {
        let mut round = Round::new(Duration::from_secs(25), 1_000_000);
        (0..10_000).for_each(|number| round.add(device(number)));
        (0..10_000).for_each(|number| round.add(device(number)));
        for _ in 0..3 {
            let turns = interval(&mut round, 250);
            assert_eq!(turns.iter().sum::<usize>(), 10_000, "once each");
            let most = turns.iter().max().copied().unwrap_or_default();
            assert!(most < 80, "{most} at once, of 40 on average");
        }
    }

    #[test]
    fn no_second_has_more_than_its_share_and_nobody_is_forgotten() {
        let mut round = Round::new(Duration::from_secs(1), 100);
        (0..300).for_each(|number| round.add(device(number)));
        let mut seen = HashSet::new();
        for _ in 0..30 {
            let due = round.tick();
            assert!(due.len() <= 10, "{}", due.len());
            for device in due {
                seen.insert(device);
                round.keep(device);
            }
        }
        assert_eq!(
            seen.len(),
            300,
            "in three seconds, which is as fast as the rate allows"
        );
    }

    #[test]
    fn who_left_has_no_turn_and_may_come_back() {
        let mut round = Round::new(Duration::from_millis(100), 1000);
        round.add(device(1));
        assert_eq!(round.tick(), [device(1)]);
        round.end(device(1));
        round.keep(device(1));
        assert_eq!(round.tick(), []);
        round.add(device(1));
        assert_eq!(round.tick(), [device(1)]);
    }
}
