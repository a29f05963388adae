//! Cookies: what ties an answer to its request.
//!
//! RTPEngine keeps the answer to a cookie for up to a minute and gives it to whoever comes with the same cookie, from
//! any address. So a cookie must never come twice, from any client of the node, and nobody else may guess it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::error::Error;

/// 128 random bits, 32 hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cookie(u128);

impl Cookie {
    const DIGITS: usize = 32;

    pub(crate) fn random() -> Result<Cookie, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|why| Error::Io(std::io::Error::other(why)))?;
        Ok(Cookie(u128::from_le_bytes(bytes)))
    }

    /// The datagram of a request: cookie, space, dictionary.
    pub(crate) fn before(self, dictionary: &[u8]) -> Vec<u8> {
        let mut datagram = format!("{:0width$x} ", self.0, width = Self::DIGITS).into_bytes();
        datagram.extend_from_slice(dictionary);
        datagram
    }

    /// Takes an answer apart. Only what [`Cookie::before`] writes is a cookie, digit by digit.
    pub(crate) fn split(datagram: &[u8]) -> Option<(Cookie, &[u8])> {
        let (digits, rest) = datagram.split_at_checked(Self::DIGITS)?;
        let dictionary = rest.strip_prefix(b" ")?;
        if !digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        let number = u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        Some((Cookie(number), dictionary))
    }
}

/// What a waiting request gets: its answer, or `Refused`.
pub(crate) type Outcome = Result<Bytes, Error>;

/// The requests of one socket that wait for an answer.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<Cookie, oneshot::Sender<Outcome>>>);

impl Waiting {
    /// Begins to wait; the end of the ticket ends it.
    pub(crate) fn enter(&self, cookie: Cookie) -> Ticket<'_> {
        let (sender, outcome) = oneshot::channel();
        self.table().insert(cookie, sender);
        Ticket {
            waiting: self,
            cookie,
            outcome,
        }
    }

    /// Hands an answer to the request that waits for it. False: there is none, it came late, twice, or unasked.
    pub(crate) fn deliver(&self, datagram: &[u8]) -> bool {
        let Some((cookie, dictionary)) = Cookie::split(datagram) else {
            return false;
        };
        let Some(sender) = self.table().remove(&cookie) else {
            return false;
        };
        sender.send(Ok(Bytes::copy_from_slice(dictionary))).is_ok()
    }

    /// Ends the wait of all, for nobody listens there.
    pub(crate) fn refuse(&self) {
        let all = std::mem::take(&mut *self.table());
        for (_, sender) in all {
            // A request that was given up meanwhile does not want to know.
            let _ = sender.send(Err(Error::Refused));
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Cookie, oneshot::Sender<Outcome>>> {
        // The table is whole between two statements, so a panic elsewhere in its holder has not hurt it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits. Dropped, its cookie is forgotten, and a late answer is nobody's.
pub(crate) struct Ticket<'a> {
    waiting: &'a Waiting,
    cookie: Cookie,
    pub(crate) outcome: oneshot::Receiver<Outcome>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.waiting.table().remove(&self.cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_back_from_the_datagram_and_only_as_it_was_written() {
        let cookie = Cookie(0x00ab);
        let datagram = cookie.before(b"de");
        assert_eq!(datagram, b"000000000000000000000000000000ab de");
        assert_eq!(Cookie::split(&datagram), Some((cookie, b"de".as_slice())));
        for other in [
            b"".as_slice(),
            b"000000000000000000000000000000ab",
            b"000000000000000000000000000000AB de",
            b"+00000000000000000000000000000ab de",
            b"0000000000000000000000000000000ab de",
            b"ab de",
        ] {
            assert_eq!(
                Cookie::split(other),
                None,
                "{}",
                String::from_utf8_lossy(other)
            );
        }
    }

    #[test]
    fn an_answer_is_delivered_once_and_to_nobody_else() {
        let waiting = Waiting::default();
        let (first, second) = (Cookie(1), Cookie(2));
        let mut one = waiting.enter(first);
        let mut two = waiting.enter(second);
        assert!(waiting.deliver(&first.before(b"d1:a1:1e")));
        assert!(
            !waiting.deliver(&first.before(b"d1:a1:1e")),
            "the duplicate"
        );
        assert!(!waiting.deliver(&Cookie(3).before(b"de")), "the unknown");
        assert_eq!(
            one.outcome.try_recv().unwrap().unwrap(),
            b"d1:a1:1e".as_slice()
        );
        assert!(two.outcome.try_recv().is_err());
        drop(two);
        assert!(!waiting.deliver(&second.before(b"de")), "the late one");
        assert!(waiting.table().is_empty());
    }

    #[test]
    fn cookies_do_not_repeat() {
        let all: std::collections::HashSet<_> =
            (0..1000).map(|_| Cookie::random().unwrap()).collect();
        assert_eq!(all.len(), 1000);
    }
}
