//! What a node counts. Plain counters on the way of a message; who scrapes them pays for the names.

mod scrape;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proxy::Reason;

pub use scrape::{scrape, status};

/// What happened to messages, by reason.
#[derive(Debug, Default)]
pub struct Counters {
    unreadable: AtomicU64,
    reasons: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// Something that is no SIP message came.
    pub(crate) fn unreadable(&self) {
        self.unreadable.fetch_add(1, Relaxed);
    }

    /// A message was answered or dropped by ourselves.
    pub(crate) fn count(&self, reason: &Reason) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(reason.label()).or_default() += 1;
    }

    /// Messages that could not be read.
    pub fn unreadable_messages(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    /// How often each reason was met.
    pub fn reasons(&self) -> BTreeMap<&'static str, u64> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
