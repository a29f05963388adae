//! How many connections each source has. Grows with living connections only, which open files bound.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::Source;

/// A source has as many connections as it may.
pub(super) struct Full;

/// Counts the connections of each source.
pub(super) struct Places {
    limit: u32,
    held: Arc<DashMap<Source, u32>>,
}

impl Places {
    /// 0 is no limit.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            held: Arc::default(),
        }
    }

    /// A place for one more connection of `source`; `None` where nobody counts.
    pub(super) fn take(&self, source: Source) -> Result<Option<Place>, Full> {
        if self.limit == 0 {
            return Ok(None);
        }
        let mut held = self.held.entry(source).or_insert(0);
        if *held >= self.limit {
            return Err(Full);
        }
        *held += 1;
        drop(held);
        Ok(Some(Place {
            source,
            held: self.held.clone(),
        }))
    }
}

/// The place of one connection. Dropping it gives it back.
pub struct Place {
    source: Source,
    held: Arc<DashMap<Source, u32>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.held.entry(self.source) {
            match entry.get() {
                0 | 1 => drop(entry.remove()),
                _ => *entry.get_mut() -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn nothing_is_kept_of_a_source_without_connections() {
        let places = Places::new(10);
        let source = |n: u8| Source::from(IpAddr::from([192, 0, 2, n]));
        let held: Vec<_> = (0..100)
            .map(|n| places.take(source(n % 20)).ok().flatten().unwrap())
            .collect();
        assert_eq!(places.held.len(), 20);
        drop(held);
        assert!(places.held.is_empty());
    }
}
