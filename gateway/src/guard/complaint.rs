//! One log line a second for each kind of refusal, with how many it stands for: a flood cannot fill the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When the last line was written, and what happened since.
#[derive(Default)]
pub(crate) struct Complaint {
    /// The second of the last line, plus one; 0 before the first.
    last: AtomicU64,
    since: AtomicU64,
}

impl Complaint {
    /// Something happened at `now`: how often since the last line, if it is time for a line.
    pub(crate) fn due(&self, now: Duration) -> Option<u64> {
        self.since.fetch_add(1, Ordering::Relaxed);
        let second = now.as_secs() + 1;
        let later = |last: u64| (last < second).then_some(second);
        self.last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, later)
            .ok()?;
        Some(self.since.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_a_second_that_says_how_many() {
        let complaint = Complaint::default();
        let lines: Vec<u64> = (0..3000)
            .filter_map(|n| complaint.due(Duration::from_millis(n)))
            .collect();
        assert_eq!(lines, [1, 1000, 1000]);
        assert_eq!(complaint.due(Duration::from_secs(100)), Some(1000));
    }
}
