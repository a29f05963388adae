//! The bounded outbox of one connection: any thread puts in, the connection's task takes out.
//!
//! A `Mutex<VecDeque>` with the task's waker, not a channel: an idle channel holds 1.8 KiB (PLATFORM), and a task that
//! is stuck in a send must still be told to close.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;

use super::error::{CloseReason, SendError};

/// How much may wait for a peer that reads slowly. Whoever finds it full resets the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutboxLimit {
    /// Messages. Too few, and a burst of a busy trunk resets it.
    pub messages: usize,
    /// Bytes of the messages together, beside what the kernel holds. One message always has room.
    pub bytes: usize,
}

impl Default for OutboxLimit {
    /// 1,024 messages and 1 MiB: half a second of a busy trunk, and no device ever has that much to hear.
    fn default() -> Self {
        Self {
            messages: 1024,
            bytes: 1024 * 1024,
        }
    }
}

pub(super) struct Outbox {
    state: Mutex<State>,
    limit: OutboxLimit,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    closing: Option<CloseReason>,
    waker: Option<Waker>,
}

/// What the connection's task does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Sleep: the waker is stored.
    Sleep,
    /// There is more to send.
    More,
    /// End the connection; what still waits may be sent with the farewell.
    Close(CloseReason),
}

impl Outbox {
    pub(super) fn new(limit: OutboxLimit) -> Self {
        Self {
            state: Mutex::default(),
            limit,
        }
    }

    /// Puts a message in. Finding it full closes the connection, and what waited is thrown away.
    pub(super) fn push(&self, message: Bytes) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(SendError::Gone);
        }
        let full = state.queue.len() >= self.limit.messages
            || (state.bytes + message.len() > self.limit.bytes && !state.queue.is_empty());
        let result = if full {
            state.queue = VecDeque::new();
            state.bytes = 0;
            state.closing = Some(CloseReason::OutboxFull);
            Err(SendError::Full)
        } else {
            state.bytes += message.len();
            state.queue.push_back(message);
            Ok(())
        };
        wake(state);
        result
    }

    /// Asks the task to end the connection; the first reason stays.
    pub(super) fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        state.closing.get_or_insert(reason);
        wake(state);
    }

    /// The task runs: until it parks again nobody needs to wake it, for it looks here before it sleeps.
    pub(super) fn attend(&self) {
        self.lock().waker = None;
    }

    /// Moves at most `most` messages into `into`.
    pub(super) fn take(&self, into: &mut VecDeque<Bytes>, most: usize) {
        let mut state = self.lock();
        let count = most.min(state.queue.len());
        let before = into.len();
        into.extend(state.queue.drain(..count));
        state.bytes -= into.iter().skip(before).map(Bytes::len).sum::<usize>();
        if state.queue.is_empty() && state.queue.capacity() > 8 {
            // What a burst made it grow is given back.
            state.queue = VecDeque::new();
        }
    }

    /// The task wants to sleep. `blocked`: the socket takes no more for now, so that waiting messages are no reason to
    /// stay awake.
    pub(super) fn park(&self, waker: &Waker, blocked: bool) -> Next {
        let mut state = self.lock();
        if let Some(reason) = &state.closing {
            return Next::Close(reason.clone());
        }
        if !state.queue.is_empty() && !blocked {
            return Next::More;
        }
        state.waker = Some(waker.clone());
        Next::Sleep
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under this lock; were it poisoned, the queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes after the lock is released: the woken task may run at once on another thread.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    fn taken(outbox: &Outbox, most: usize) -> usize {
        let mut into = VecDeque::new();
        outbox.take(&mut into, most);
        into.len()
    }

    #[test]
    fn the_message_that_finds_it_full_by_count_or_bytes_closes_it() {
        for (why, limit) in [
            (
                "count",
                OutboxLimit {
                    messages: 2,
                    bytes: 1000,
                },
            ),
            (
                "bytes",
                OutboxLimit {
                    messages: 100,
                    bytes: 25,
                },
            ),
        ] {
            let outbox = Outbox::new(limit);
            assert_eq!(outbox.push(message(10)), Ok(()), "{why}");
            assert_eq!(outbox.push(message(10)), Ok(()), "{why}");
            assert_eq!(outbox.push(message(10)), Err(SendError::Full), "{why}");
            assert_eq!(outbox.push(message(1)), Err(SendError::Gone), "{why}");
            let next = outbox.park(Waker::noop(), true);
            assert!(
                matches!(next, Next::Close(CloseReason::OutboxFull)),
                "{why}: {next:?}"
            );
        }
    }

    #[test]
    fn one_message_has_room_however_long_and_room_comes_back_when_it_is_taken() {
        let outbox = Outbox::new(OutboxLimit {
            messages: 2,
            bytes: 5,
        });
        for _ in 0..3 {
            assert_eq!(outbox.push(message(10)), Ok(()));
            assert_eq!(taken(&outbox, 16), 1);
        }
    }

    #[test]
    fn a_closed_outbox_takes_nothing_more_and_keeps_what_waits_for_the_farewell() {
        let outbox = Outbox::new(OutboxLimit::default());
        assert_eq!(outbox.push(message(1)), Ok(()));
        outbox.close(CloseReason::Asked);
        outbox.close(CloseReason::Idle);
        assert_eq!(outbox.push(message(1)), Err(SendError::Gone));
        assert!(matches!(
            outbox.park(Waker::noop(), false),
            Next::Close(CloseReason::Asked)
        ));
        assert_eq!(taken(&outbox, 16), 1);
    }

    #[test]
    fn a_parked_task_is_woken_once_and_a_running_one_not_at_all() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let count = std::sync::Arc::new(Count(Default::default()));
        let outbox = Outbox::new(OutboxLimit::default());
        let woken = || count.0.load(std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(
            outbox.park(&Waker::from(count.clone()), false),
            Next::Sleep
        ));
        outbox.push(message(1)).unwrap();
        outbox.push(message(1)).unwrap();
        assert_eq!(woken(), 1);
        assert_eq!(taken(&outbox, 16), 2);
        assert!(matches!(
            outbox.park(&Waker::from(count.clone()), false),
            Next::Sleep
        ));
        outbox.attend();
        outbox.push(message(1)).unwrap();
        assert_eq!(woken(), 1);
        assert!(matches!(
            outbox.park(&Waker::from(count.clone()), false),
            Next::More
        ));
    }
}
