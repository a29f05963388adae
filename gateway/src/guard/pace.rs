//! So many in a second: the generic cell rate algorithm (ITU-T I.371), one number for each who is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Nanoseconds that one of them takes of its share.
    each: u64,
    /// How far ahead of its share somebody may be.
    tolerance: u64,
}

impl Pace {
    /// `None` for no limit. `burst` may come at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let each = 1_000_000_000u64.checked_div(u64::from(per_second))?;
        let tolerance = each.saturating_mul(u64::from(burst.max(1)) - 1);
        Some(Self { each, tolerance })
    }

    /// Counts one at `now` if it is within the limit. `cell` holds the nanoseconds since the start at which all that came would
    /// have been due.
    pub(crate) fn admit(&self, cell: &AtomicU64, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let next = |due: u64| {
            (due <= now.saturating_add(self.tolerance))
                .then(|| due.max(now).saturating_add(self.each))
        };
        cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}
