//! Branches that failed and whose INVITE may come again for somebody else (RFC 3261 §8.1.3.4): with a later offer of the call
//! RTPEngine takes the first one's session back too, and keeps it for as long as the call lives and longer (measured). So it is told
//! of that end once more when the later INVITE has its own.
//!
//! Soft state of one node, of a bounded size: what is lost costs ports until RTPEngine's own timeout, and no call.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proxy::token::Pass;
use smallvec::SmallVec;

/// Calls that are remembered, some 150 bytes each.
const CALLS: usize = 20_000;
/// Branches of one call.
const BRANCHES: usize = 16;
/// The INVITE that comes again rings for 3 minutes at most (RFC 3261 §16.6 step 11, timer C).
const KEPT: Duration = Duration::from_secs(240);

/// Names of branches, as RTPEngine is told them.
pub(super) type Branches = SmallVec<[String; 1]>;

/// What failed a moment ago, by call.
#[derive(Default)]
pub(super) struct Retried {
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failed: HashMap<u64, Branches>,
    /// In the order in which they were first known.
    oldest: VecDeque<(Instant, u64)>,
}

impl Retried {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, pass: Pass, call_id: &[u8], from_tag: &[u8]) -> u64 {
        self.hasher.hash_one((pass, call_id, from_tag))
    }

    /// A branch of an INVITE failed.
    pub(super) fn failed(
        &self,
        (pass, call_id, from_tag): (Pass, &[u8], &[u8]),
        branch: &str,
        now: Instant,
    ) {
        let key = self.key(pass, call_id, from_tag);
        let mut state = self.state();
        let state = &mut *state;
        while let Some((since, key)) = state.oldest.front().copied() {
            if state.oldest.len() < CALLS && now.duration_since(since) < KEPT {
                break;
            }
            state.oldest.pop_front();
            state.failed.remove(&key);
        }
        let known = state.failed.entry(key).or_insert_with(|| {
            state.oldest.push_back((now, key));
            Branches::new()
        });
        if known.len() < BRANCHES && known.iter().all(|known| known != branch) {
            known.push(branch.to_owned());
        }
    }

    /// An INVITE of the call has its 2xx, by the branch `but`: all others that had failed.
    pub(super) fn answered(
        &self,
        (pass, call_id, from_tag): (Pass, &[u8], &[u8]),
        but: Option<&str>,
    ) -> Branches {
        let key = self.key(pass, call_id, from_tag);
        // Its place in the queue stays until its time is over.
        let mut known = self.state().failed.remove(&key).unwrap_or_default();
        known.retain(|branch| Some(branch.as_str()) != but);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: (Pass, &[u8], &[u8]) = (Pass::Local, b"c", b"a");

    fn names(branches: &Branches) -> Vec<&str> {
        branches.iter().map(String::as_str).collect()
    }

    #[test]
    fn who_was_asked_before_is_told_of_when_the_call_is_answered() {
        let (retried, now) = (Retried::default(), Instant::now());
        // Challenged, and then redirected; and the other one was busy first.
        for branch in ["one", "one", "two"] {
            retried.failed(CALL, branch, now);
        }
        let another = (Pass::Down, CALL.1, CALL.2);
        assert!(retried.answered(another, None).is_empty(), "another pass");
        assert_eq!(names(&retried.answered(CALL, Some("two"))), ["one"]);
        assert!(retried.answered(CALL, Some("two")).is_empty(), "once");
    }

    #[test]
    fn it_stays_small() {
        let (retried, now) = (Retried::default(), Instant::now());
        for number in 0..2 * CALLS as u32 {
            let call_id = number.to_be_bytes();
            retried.failed((Pass::Local, &call_id, b"a"), "one", now);
        }
        assert!(retried.state().failed.len() <= CALLS);
        for number in 0..100 {
            retried.failed(CALL, &number.to_string(), now);
        }
        assert_eq!(retried.answered(CALL, None).len(), BRANCHES);
        retried.failed(CALL, "late", now + KEPT);
        let state = retried.state();
        assert_eq!((state.failed.len(), state.oldest.len()), (1, 1));
    }
}
