//! Messages a second of each source, over a fixed array of cells.
//!
//! A source's cell is found by a keyed hash, so memory is what it is however many sources are made up, and nobody can
//! aim at another's cell. Two sources may share one: with the default limits a flood from made-up sources needs 13
//! million messages a second before it fills the cells of those who are real.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::Source;
use super::pace::Pace;

/// 512 KiB.
const CELLS: usize = 65_536;

/// The limit, and where each source is in its share.
pub(super) struct Rate {
    pace: Pace,
    key: (u64, u64),
    cells: Box<[AtomicU64]>,
}

impl Rate {
    /// `None` for no limit.
    pub(super) fn new(per_second: u32, burst: u32, key: (u64, u64)) -> Option<Self> {
        Some(Self {
            pace: Pace::new(per_second, burst)?,
            key,
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Counts one message of `source` at `now`, if it is within the limit.
    pub(super) fn admit(&self, source: Source, now: Duration) -> bool {
        let cell = &self.cells[(source.hash(self.key) % CELLS as u64) as usize];
        self.pace.admit(cell, now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(n: u32) -> Source {
        IpAddr::from(n.to_be_bytes()).into()
    }

    #[test]
    fn the_burst_passes_and_then_the_rate() {
        for (per_second, burst) in [(1, 1), (10, 1), (200, 1000), (7, 3), (1_000_000, 1)] {
            let rate = Rate::new(per_second, burst, (1, 2)).unwrap();
            let passed = |from: u64, count: u32| {
                (0..count)
                    .filter(|_| rate.admit(source(1), Duration::from_nanos(from)))
                    .count() as u32
            };
            assert_eq!(passed(0, burst + 50), burst, "{per_second} {burst}");
            // A second later one second's worth is free again, but never more than the burst.
            let want = per_second.min(burst);
            assert_eq!(
                passed(1_000_000_000, want + 50),
                want,
                "{per_second} {burst}"
            );
        }
    }

    #[test]
    fn an_even_stream_at_the_rate_passes_whole_and_at_twice_the_rate_half() {
        for (every_ms, want) in [(10, 1000), (5, 500 + 1)] {
            let rate = Rate::new(100, 1, (1, 2)).unwrap();
            let passed = (0..1000)
                .filter(|n| rate.admit(source(1), Duration::from_millis(n * every_ms)))
                .count();
            assert!(passed.abs_diff(want) <= 1, "{every_ms} ms: {passed}");
        }
    }

    #[test]
    fn a_flood_of_made_up_sources_leaves_a_real_one_its_share() {
        let rate = Rate::new(200, 1000, (0x1234, 0x5678)).unwrap();
        for n in 0..1_000_000 {
            rate.admit(source(n), Duration::ZERO);
        }
        let real = source(0xc000_0201);
        assert!((0..900).all(|_| rate.admit(real, Duration::from_millis(1))));
    }

    #[test]
    fn the_cell_of_a_source_depends_on_the_key() {
        let cell = |key| source(1).hash(key) % CELLS as u64;
        assert_ne!(cell((1, 2)), cell((3, 4)));
    }
}
