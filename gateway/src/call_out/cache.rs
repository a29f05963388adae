//! Answers that are still good, at most so many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proxy::call_out::Choice;

/// Answers that are kept: some hundred bytes each, for what they were asked with is kept, too.
const ENTRIES: usize = 10_000;
/// Bytes of a question whose answer is kept.
const KEY: usize = 2048;

/// The answers of one call-out.
pub(super) struct Cache {
    good_for: Duration,
    answers: HashMap<Vec<u8>, (Instant, Choice)>,
}

impl Cache {
    /// An empty one; with zero it stays so.
    pub(super) fn new(good_for: Duration) -> Self {
        Self {
            good_for,
            answers: HashMap::new(),
        }
    }

    /// The answer to this question, if it is still good.
    pub(super) fn get(&mut self, key: &[u8], now: Instant) -> Option<Choice> {
        let (until, choice) = self.answers.get(key)?;
        if *until > now {
            return Some(choice.clone());
        }
        self.answers.remove(key);
        None
    }

    /// Keeps an answer, if there is room: who asks for much that is new drives out nothing that is good.
    pub(super) fn put(&mut self, key: Vec<u8>, choice: Choice, now: Instant) {
        if self.good_for.is_zero() || key.len() > KEY {
            return;
        }
        if self.answers.len() >= ENTRIES {
            self.answers.retain(|_, (until, _)| *until > now);
        }
        if self.answers.len() < ENTRIES {
            self.answers.insert(key, (now + self.good_for, choice));
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy::site::To;

    use super::*;

    fn to(status: u16) -> Choice {
        Choice {
            to: To::Reject(status),
            uri: None,
        }
    }

    #[test]
    fn an_answer_is_good_as_long_as_configured() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut cache = Cache::new(10 * second);
        cache.put(b"a".to_vec(), to(404), now);
        assert_eq!(cache.get(b"a", now + 9 * second), Some(to(404)));
        assert_eq!(cache.get(b"b", now), None);
        assert_eq!(cache.get(b"a", now + 10 * second), None);
        let mut none = Cache::new(Duration::ZERO);
        none.put(b"a".to_vec(), to(404), now);
        assert_eq!(none.get(b"a", now), None);
    }

    #[test]
    fn it_is_bounded_and_what_is_too_old_makes_room() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut cache = Cache::new(10 * second);
        for number in 0..ENTRIES + 10 {
            cache.put(number.to_string().into_bytes(), to(404), now);
        }
        assert_eq!(cache.answers.len(), ENTRIES);
        cache.put(b"late".to_vec(), to(405), now + 11 * second);
        assert_eq!(cache.answers.len(), 1);
        cache.put(vec![b'x'; KEY + 1], to(405), now);
        assert_eq!(cache.answers.len(), 1);
    }
}
