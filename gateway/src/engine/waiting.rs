//! While a message of a call waits (for RTPEngine, a look-up, the store), later messages of the same Call-ID by the same
//! flow queue behind it: otherwise a BYE overtakes the 200 (SIGNALLING §3).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use proxy::Flow;
use sip::Message;

/// How many messages may queue in all.
const MESSAGES_IN_ALL: usize = 65_536;

/// A Call-ID and the flow that its messages come by, hashed.
pub(crate) type Key = u64;

/// What became of a message that might have to queue.
pub(crate) enum Queued {
    /// Nothing of its call waits: go on with it.
    Free(Message),
    /// It waits for its turn.
    Behind,
    /// The queue is full.
    Full(Message),
}

/// The queues of a node. Looked into only while anything waits at all.
pub(crate) struct Waiting {
    /// How many messages may queue behind one; a request that finds it full is answered 503, a response is dropped.
    per_call: usize,
    calls: DashMap<Key, VecDeque<(Flow, Message)>>,
    count: AtomicUsize,
    messages: AtomicUsize,
}

impl Waiting {
    /// Queues of at most `per_call` messages.
    pub(crate) fn new(per_call: usize) -> Self {
        Self {
            per_call,
            calls: DashMap::new(),
            count: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
        }
    }

    /// Queues a message if one of its call waits.
    pub(crate) fn queue(
        &self,
        key: impl FnOnce(&Message) -> Key,
        flow: &Flow,
        message: Message,
    ) -> Queued {
        if self.count.load(Ordering::Acquire) == 0 {
            return Queued::Free(message);
        }
        let Some(mut queue) = self.calls.get_mut(&key(&message)) else {
            return Queued::Free(message);
        };
        if queue.len() >= self.per_call || self.messages.load(Ordering::Relaxed) >= MESSAGES_IN_ALL
        {
            return Queued::Full(message);
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        queue.push_back((*flow, message));
        Queued::Behind
    }

    /// A message of this call begins to wait. False if one does already: two workers took messages of one call at
    /// the same time, and neither goes first by right.
    pub(crate) fn begin(&self, key: Key) -> bool {
        let mut new = false;
        self.calls.entry(key).or_insert_with(|| {
            new = true;
            VecDeque::new()
        });
        if new {
            self.count.fetch_add(1, Ordering::Release);
        }
        new
    }

    /// The next message of the call; when there is none, the call waits no more.
    pub(crate) fn next(&self, key: Key) -> Option<(Flow, Message)> {
        let next = self
            .calls
            .get_mut(&key)
            .and_then(|mut queue| queue.pop_front());
        if next.is_some() {
            self.messages.fetch_sub(1, Ordering::Relaxed);
            return next;
        }
        // Between the look and the removal a message may have come: the removal is conditional on an empty queue.
        match self.calls.remove_if(&key, |_, queue| queue.is_empty()) {
            Some(_) => {
                self.count.fetch_sub(1, Ordering::Release);
                None
            }
            None => self.next(key),
        }
    }
}
