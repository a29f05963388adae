//! What a node counts. Plain counters on the way of a message; who scrapes them pays for the names.

mod scrape;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proxy::Reason;
use proxy::mtu::{Saving, Shortened};

pub use scrape::{calls, calls_of, ended_calls, scrape, status};

/// What happened to messages, by reason.
#[derive(Debug, Default)]
pub struct Counters {
    unreadable: AtomicU64,
    reasons: Mutex<BTreeMap<&'static str, u64>>,
    shortened: [AtomicU64; Saving::ALL.len()],
    too_long: AtomicU64,
    pings: AtomicU64,
    dead_flows: AtomicU64,
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

    /// A message towards a device was too long for a datagram.
    pub(crate) fn shortened(&self, shortened: &Shortened) {
        for (saving, count) in Saving::ALL.iter().zip(&self.shortened) {
            if shortened.spent.contains(saving) {
                count.fetch_add(1, Relaxed);
            }
        }
        if shortened.is_too_long() {
            self.too_long.fetch_add(1, Relaxed);
        }
    }

    /// How many messages lost something to fit a datagram, by what they lost.
    pub fn shortened_messages(&self) -> Vec<(&'static str, u64)> {
        let read = |(saving, count): (&Saving, &AtomicU64)| (saving.label(), count.load(Relaxed));
        Saving::ALL.iter().zip(&self.shortened).map(read).collect()
    }

    /// A device was sent a keepalive.
    pub(crate) fn pinged(&self) {
        self.pings.fetch_add(1, Relaxed);
    }

    /// A device on UDP does not answer any more.
    pub(crate) fn flow_died(&self) {
        self.dead_flows.fetch_add(1, Relaxed);
    }

    /// Keepalives sent to devices.
    pub fn pings(&self) -> u64 {
        self.pings.load(Relaxed)
    }

    /// Devices on UDP that did not answer any more.
    pub fn dead_flows(&self) -> u64 {
        self.dead_flows.load(Relaxed)
    }

    /// How many did not fit all the same.
    pub fn too_long_messages(&self) -> u64 {
        self.too_long.load(Relaxed)
    }

    /// Messages that could not be read.
    pub fn unreadable_messages(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    /// How often each reason was met.
    pub fn reasons(&self) -> BTreeMap<&'static str, u64> {
        self.reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
