//! The requests of one socket that wait for an answer, and when each of them is sent again. Without socket and clock.
//!
//! One timer serves all of a socket's requests: nearly every one is answered long before it would be sent again, and a timer of its
//! own, set and cleared, would cost more than the rest of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cookie::Cookie;
use crate::error::Error;

/// How long a request waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it is sent again.
    pub(crate) first: Duration,
    /// Each wait is twice the one before, up to this.
    pub(crate) longest: Duration,
    /// Until it is given up.
    pub(crate) in_all: Duration,
}

/// What a waiting request gets: its answer, or what went wrong; and how often it was sent.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) outcome: Result<Bytes, Error>,
    pub(crate) sent: u32,
}

/// The table of a socket.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    asked: HashMap<Cookie, Asked>,
    /// When somebody looks next; never, if nothing waits.
    looks: Option<Instant>,
}

#[derive(Debug)]
struct Asked {
    /// Empty once it was told.
    end: Option<oneshot::Sender<End>>,
    datagram: Bytes,
    sent: u32,
    wait: Duration,
    again: Instant,
    deadline: Instant,
    patience: Patience,
}

impl Waiting {
    /// Begins to wait for the answer to a datagram that is sent now; the end of the ticket ends it. True: somebody has to
    /// [look](Self::looks) earlier than was planned.
    pub(crate) fn enter(
        &self,
        cookie: Cookie,
        datagram: Bytes,
        patience: Patience,
        now: Instant,
    ) -> (Ticket<'_>, bool) {
        let (sender, end) = oneshot::channel();
        let asked = Asked {
            end: Some(sender),
            datagram,
            sent: 1,
            wait: patience.first,
            again: now + patience.first,
            deadline: now + patience.in_all,
            patience,
        };
        let due = asked.due();
        let mut table = self.table();
        table.asked.insert(cookie, asked);
        let is_earlier = table.looks.is_none_or(|looks| due < looks);
        if is_earlier {
            table.looks = Some(due);
        }
        let ticket = Ticket {
            waiting: self,
            cookie,
            end,
        };
        (ticket, is_earlier)
    }

    /// When somebody has to [look](Self::look).
    pub(crate) fn looks(&self) -> Option<Instant> {
        self.table().looks
    }

    /// Sends again what is due, and ends what has waited long enough or cannot be sent. When to look next; the count of what
    /// was sent.
    pub(crate) fn look(
        &self,
        now: Instant,
        mut send: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> (Option<Instant>, u64) {
        let mut table = self.table();
        let (mut next, mut sent) = (None, 0);
        table
            .asked
            .retain(|_, asked| match asked.look(now, &mut send) {
                Ok(again) => {
                    sent += u64::from(again);
                    let due = asked.due();
                    next = Some(next.map_or(due, |next: Instant| next.min(due)));
                    true
                }
                Err(why) => {
                    asked.tell(Err(why));
                    false
                }
            });
        table.looks = next;
        (next, sent)
    }

    /// Hands an answer to the request that waits for it. False: there is none, it came late, twice, or unasked.
    pub(crate) fn deliver(&self, datagram: &[u8]) -> bool {
        let Some((cookie, dictionary)) = Cookie::split(datagram) else {
            return false;
        };
        let Some(mut asked) = self.table().asked.remove(&cookie) else {
            return false;
        };
        asked.tell(Ok(Bytes::copy_from_slice(dictionary)))
    }

    /// Ends the wait of all, for nobody listens there.
    pub(crate) fn refuse(&self) {
        let all = std::mem::take(&mut self.table().asked);
        for mut asked in all.into_values() {
            asked.tell(Err(Error::Refused));
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is whole between two statements, so a panic elsewhere in its holder has not hurt it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn due(&self) -> Instant {
        self.again.min(self.deadline)
    }

    /// Sends it again if that is due: whether it was.
    fn look(
        &mut self,
        now: Instant,
        send: &mut impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        if self.deadline <= now {
            return Err(Error::Timeout {
                after: self.patience.in_all,
                sent: self.sent,
            });
        }
        if self.again > now {
            return Ok(false);
        }
        send(&self.datagram)?;
        self.sent += 1;
        self.wait = (self.wait * 2).min(self.patience.longest);
        self.again = now + self.wait;
        Ok(true)
    }

    /// Tells it how it ended; false if it was given up meanwhile, and does not want to know.
    fn tell(&mut self, outcome: Result<Bytes, Error>) -> bool {
        let sent = self.sent;
        let end = self.end.take();
        end.is_some_and(|end| end.send(End { outcome, sent }).is_ok())
    }
}

/// A request that waits. Dropped, its cookie is forgotten, and a late answer is nobody's.
pub(crate) struct Ticket<'a> {
    waiting: &'a Waiting,
    cookie: Cookie,
    pub(crate) end: oneshot::Receiver<End>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.waiting.table().asked.remove(&self.cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        first: Duration::from_millis(100),
        longest: Duration::from_millis(300),
        in_all: Duration::from_millis(1000),
    };

    fn cookie() -> Cookie {
        Cookie::random().unwrap()
    }

    #[test]
    fn an_answer_is_delivered_once_and_to_nobody_else() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        let (first, second) = (cookie(), cookie());
        let (mut one, _) = waiting.enter(first, Bytes::new(), PATIENCE, now);
        let (mut two, _) = waiting.enter(second, Bytes::new(), PATIENCE, now);
        assert!(waiting.deliver(&first.before(b"d1:a1:1e")));
        assert!(
            !waiting.deliver(&first.before(b"d1:a1:1e")),
            "the duplicate"
        );
        assert!(!waiting.deliver(&cookie().before(b"de")), "the unknown");
        let end = one.end.try_recv().unwrap();
        assert_eq!(end.outcome.unwrap(), b"d1:a1:1e".as_slice());
        assert!(two.end.try_recv().is_err());
        drop(two);
        assert!(!waiting.deliver(&second.before(b"de")), "the late one");
        assert!(waiting.table().asked.is_empty());
    }

    #[test]
    fn what_has_no_answer_is_sent_again_after_longer_and_longer_waits_and_then_given_up() {
        let (waiting, began) = (Waiting::default(), Instant::now());
        let (mut ticket, _) = waiting.enter(cookie(), "it".into(), PATIENCE, began);
        let mut sent_at = Vec::new();
        while let Some(looks) = waiting.looks() {
            let send = |datagram: &[u8]| {
                assert_eq!(datagram, b"it");
                sent_at.push(looks.duration_since(began).as_millis());
                Ok(())
            };
            waiting.look(looks, send);
        }
        assert_eq!(sent_at, [100, 300, 600, 900]);
        let end = ticket.end.try_recv().unwrap();
        let is_timeout = matches!(end.outcome, Err(Error::Timeout { sent: 5, .. }));
        assert!(is_timeout && end.sent == 5, "{end:?}");
    }

    #[test]
    fn a_look_is_planned_for_the_first_that_is_due_and_not_for_each() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        let enter = |patience, after| {
            let now = now + Duration::from_millis(after);
            waiting.enter(cookie(), Bytes::new(), patience, now)
        };
        let hasty = Patience {
            in_all: Duration::from_millis(20),
            ..PATIENCE
        };
        let (first, looks) = enter(PATIENCE, 0);
        assert!(looks);
        let (second, looks) = enter(PATIENCE, 10);
        assert!(!looks, "it is due later");
        let (third, looks) = enter(hasty, 10);
        assert!(looks, "it is given up earlier");
        drop((first, second, third));
        let (next, sent) = waiting.look(now + Duration::from_millis(30), |_| Ok(()));
        assert_eq!((next, sent), (None, 0), "all were answered");
        assert!(enter(PATIENCE, 40).1);
    }

    #[test]
    fn one_that_cannot_be_sent_again_ends_and_the_others_wait_on() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        let (mut bad, _) = waiting.enter(cookie(), "bad".into(), PATIENCE, now);
        let (mut good, _) = waiting.enter(cookie(), "good".into(), PATIENCE, now);
        let (next, sent) = waiting.look(now + PATIENCE.first, |datagram| match datagram {
            b"bad" => Err(Error::Refused),
            _ => Ok(()),
        });
        assert_eq!((next.is_some(), sent), (true, 1));
        let end = bad.end.try_recv().unwrap();
        assert!(matches!(end.outcome, Err(Error::Refused)));
        assert!(good.end.try_recv().is_err());
        waiting.refuse();
        let end = good.end.try_recv().unwrap();
        assert!(matches!(end.outcome, Err(Error::Refused)) && end.sent == 2);
    }
}
