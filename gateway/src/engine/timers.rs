//! SIP's timers have few durations, so there is a queue for each duration: what is armed later fires later, and no heap
//! is needed. A timer that was stopped stays in its queue and is ignored when it fires.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sip::transaction::Timer;
use tokio::sync::Notify;

/// Timers may be this late: it bounds how often the clock wakes somebody up.
const GRAIN: Duration = Duration::from_millis(10);

/// Whose timer it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    /// The server transaction.
    Server(Timer),
    /// The client transaction of a branch.
    Client(u8, Timer),
    /// The CANCEL of a branch.
    Cancel(u8, Timer),
    /// How long the member that a branch went to may be silent (SIGNALLING §6).
    Patience(u8),
}

/// A timer that was armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Armed {
    /// The transaction's key in the table.
    pub(crate) transaction: u64,
    /// Which timer of which part of it.
    pub(crate) slot: Slot,
    /// Counts the timers of a transaction, so that a later one of the same name is told from this.
    pub(crate) serial: u32,
}

/// All timers of a node.
#[derive(Default)]
pub(crate) struct TimerQueue {
    queues: Mutex<Queues>,
    earlier: Notify,
}

#[derive(Default)]
struct Queues {
    by_duration: HashMap<Duration, VecDeque<(Instant, Armed)>>,
    /// When whoever waits will look again.
    next_look: Option<Instant>,
}

impl TimerQueue {
    /// Fires `armed` after `after`.
    pub(crate) fn arm(&self, after: Duration, armed: Armed) {
        let due = Instant::now() + after;
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues
            .by_duration
            .entry(after)
            .or_default()
            .push_back((due, armed));
        if queues.next_look.is_none_or(|next| due + GRAIN < next) {
            queues.next_look = Some(due);
            drop(queues);
            self.earlier.notify_one();
        }
    }

    /// Waits and hands over what is due, for ever.
    pub(crate) async fn run(&self, mut fire: impl FnMut(Armed)) {
        let mut due = Vec::new();
        loop {
            let next = self.take_due(&mut due);
            for armed in due.drain(..) {
                fire(armed);
            }
            let later = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = later => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Moves what is due to `due`; when to look again.
    fn take_due(&self, due: &mut Vec<Armed>) -> Option<Instant> {
        let now = Instant::now();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in queues.by_duration.values_mut() {
            while queue.front().is_some_and(|(at, _)| *at <= now) {
                due.extend(queue.pop_front().map(|(_, armed)| armed));
            }
            if queue.is_empty() && queue.capacity() > 1024 {
                queue.shrink_to_fit();
            }
        }
        let soonest = queues
            .by_duration
            .values()
            .filter_map(|queue| queue.front().map(|(at, _)| *at))
            .min();
        let next = soonest.map(|at| at.max(now + GRAIN));
        queues.next_look = next;
        next
    }
}
