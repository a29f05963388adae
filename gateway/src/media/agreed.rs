//! What the two sides of a dialog have agreed on last (RFC 3264 §5), as each of them said it: RTPEngine cannot take an offer back,
//! so what a refused one changed is said again (MEDIA.md §3).
//!
//! Soft state of one node, of a bounded size: what is lost costs one refused re-INVITE its audio, and no call.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proxy::token::Pass;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Descriptions of all dialogs, in bytes: two of a browser's audio are 3 kB, two of a phone's 600 bytes.
const BYTES: usize = 64 << 20;
/// Dialogs whose end is remembered.
const ENDED: usize = 100_000;
/// A re-INVITE that crossed a BYE comes again for 64*T1 at most (RFC 3261 §17.1.1.2).
const ENDED_FOR: Duration = Duration::from_secs(40);

/// A dialog within a pass, in the order of a message of it: the tags may stand the other way round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialog<'a> {
    /// The pass: each is a session of its own.
    pub(crate) pass: Pass,
    /// The Call-ID.
    pub(crate) call_id: &'a [u8],
    /// The tag of one side: of an offer, the offerer's.
    pub(crate) from_tag: &'a [u8],
    /// That of the other one.
    pub(crate) to_tag: &'a [u8],
}

/// An offer that was refused and is the last thing that RTPEngine was told of its dialog: what has to be said in its place. Until
/// this is dropped, offers of the dialog wait.
pub(crate) struct Refused {
    /// What its offerer said last.
    pub(crate) offer: Bytes,
    /// What the other side said last.
    pub(crate) answer: Bytes,
    _turn: OwnedMutexGuard<()>,
}

/// The table.
pub(crate) struct Agreed {
    hasher: RandomState,
    state: Mutex<State>,
    bytes: usize,
}

#[derive(Default)]
struct State {
    dialogs: HashMap<u64, Known>,
    /// In the order in which they were first known.
    oldest: VecDeque<(u64, u32)>,
    ended: VecDeque<(Instant, u64)>,
    bytes: usize,
    serial: u32,
}

enum Known {
    Up(Box<Up>),
    Ended,
}

struct Up {
    serial: u32,
    /// Tag, hashed, and the description.
    sides: [(u64, Bytes); 2],
    /// The offer that RTPEngine was told last and that nobody has answered: whose, and its CSeq.
    offered: Option<(u64, u32)>,
    /// Held while something is said again.
    turn: Arc<Turn<()>>,
}

impl Default for Agreed {
    fn default() -> Self {
        Self::of_size(BYTES)
    }
}

impl Agreed {
    fn of_size(bytes: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            state: Mutex::default(),
            bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, tag: &[u8]) -> u64 {
        self.hasher.hash_one(tag)
    }

    fn key(&self, dialog: Dialog<'_>) -> u64 {
        let (one, other) = (dialog.from_tag, dialog.to_tag);
        let tags = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        self.hasher.hash_one((dialog.pass, dialog.call_id, tags))
    }

    /// An offer was answered: `dialog` names the offerer first.
    pub(crate) fn agree(&self, dialog: Dialog<'_>, offer: &[u8], answer: &[u8]) {
        let (key, from, to) = (
            self.key(dialog),
            self.tag(dialog.from_tag),
            self.tag(dialog.to_tag),
        );
        let sides = [
            (from, Bytes::copy_from_slice(offer)),
            (to, Bytes::copy_from_slice(answer)),
        ];
        let mut state = self.state();
        let state = &mut *state;
        state.bytes += offer.len() + answer.len();
        match state.dialogs.entry(key) {
            Entry::Occupied(mut known) => match known.get_mut() {
                Known::Up(up) => {
                    state.bytes -= up.bytes();
                    (up.sides, up.offered) = (sides, None);
                }
                Known::Ended => state.bytes -= offer.len() + answer.len(),
            },
            Entry::Vacant(place) => {
                state.serial = state.serial.wrapping_add(1);
                let serial = state.serial;
                place.insert(Known::Up(Box::new(Up {
                    serial,
                    sides,
                    offered: None,
                    turn: Arc::default(),
                })));
                state.oldest.push_back((key, serial));
            }
        }
        while state.bytes > self.bytes {
            let Some((key, serial)) = state.oldest.pop_front() else {
                return;
            };
            if matches!(state.dialogs.get(&key), Some(Known::Up(up)) if up.serial == serial) {
                state.forget(key);
            }
        }
    }

    /// Nobody knows any more what was agreed on: an answer came whose offer is not known.
    pub(crate) fn forget(&self, dialog: Dialog<'_>) {
        let key = self.key(dialog);
        let mut state = self.state();
        if let Some(Known::Up(_)) = state.dialogs.get(&key) {
            state.forget(key);
        }
    }

    /// Waits until nothing is being said again in this dialog, and notes who offers now. What the offerer said last, if that
    /// is known; `None` if the dialog is over, and nothing may be offered any more.
    pub(crate) async fn offers(&self, dialog: Dialog<'_>, cseq: u32) -> Option<Option<Bytes>> {
        let (key, from) = (self.key(dialog), self.tag(dialog.from_tag));
        let turn = match self.state().dialogs.get(&key) {
            Some(Known::Up(up)) => up.turn.clone(),
            Some(Known::Ended) => return None,
            None => return Some(None),
        };
        let held = turn.lock().await;
        let last = match self.state().dialogs.get_mut(&key) {
            Some(Known::Up(up)) => {
                up.offered = Some((from, cseq));
                Some(up.said_by(from).cloned())
            }
            Some(Known::Ended) => None,
            None => Some(None),
        };
        drop(held);
        last
    }

    /// What the offerer said last, and whether RTPEngine still knows its offer: another one may have come in between, or been taken
    /// back. `None` where nothing is known.
    pub(crate) fn stands(&self, dialog: Dialog<'_>, cseq: u32) -> Option<(Bytes, bool)> {
        let (key, from) = (self.key(dialog), self.tag(dialog.from_tag));
        match self.state().dialogs.get(&key) {
            Some(Known::Up(up)) => {
                let stands = up.offered == Some((from, cseq));
                Some((up.said_by(from)?.clone(), stands))
            }
            _ => None,
        }
    }

    /// An offer was refused. `None` if there is nothing to be said again: its dialog is not known, or another offer came after it,
    /// whose own end says what counts.
    pub(crate) fn refused(&self, dialog: Dialog<'_>, cseq: u32) -> Option<Refused> {
        let (key, from, to) = (
            self.key(dialog),
            self.tag(dialog.from_tag),
            self.tag(dialog.to_tag),
        );
        let mut state = self.state();
        let Some(Known::Up(up)) = state.dialogs.get_mut(&key) else {
            return None;
        };
        up.offered.take_if(|offered| *offered == (from, cseq))?;
        Some(Refused {
            offer: up.said_by(from)?.clone(),
            answer: up.said_by(to)?.clone(),
            _turn: up.turn.clone().try_lock_owned().ok()?,
        })
    }

    /// A BYE ended the dialog.
    pub(crate) fn end(&self, dialog: Dialog<'_>, now: Instant) {
        let key = self.key(dialog);
        let mut state = self.state();
        state.forget(key);
        state.dialogs.insert(key, Known::Ended);
        state.ended.push_back((now, key));
        while let Some((since, key)) = state.ended.front().copied() {
            if state.ended.len() <= ENDED && now.duration_since(since) < ENDED_FOR {
                return;
            }
            state.ended.pop_front();
            if matches!(state.dialogs.get(&key), Some(Known::Ended)) {
                state.dialogs.remove(&key);
            }
        }
    }

    /// Whether a BYE ended it a moment ago.
    pub(crate) fn has_ended(&self, dialog: Dialog<'_>) -> bool {
        let key = self.key(dialog);
        matches!(self.state().dialogs.get(&key), Some(Known::Ended))
    }
}

impl State {
    fn forget(&mut self, key: u64) {
        if let Some(Known::Up(up)) = self.dialogs.remove(&key) {
            self.bytes -= up.bytes();
        }
        // What is left of those that ended in the middle.
        if self.oldest.len() > 1024 && self.oldest.len() > 2 * self.dialogs.len() {
            let dialogs = &self.dialogs;
            self.oldest.retain(|(key, serial)| {
                matches!(dialogs.get(key), Some(Known::Up(up)) if up.serial == *serial)
            });
        }
    }
}

impl Up {
    fn bytes(&self) -> usize {
        self.sides.iter().map(|(_, said)| said.len()).sum()
    }

    fn said_by(&self, tag: u64) -> Option<&Bytes> {
        let side = self.sides.iter().find(|(known, _)| *known == tag);
        side.map(|(_, said)| said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_TO_B: Dialog<'static> = Dialog {
        pass: Pass::Local,
        call_id: b"c",
        from_tag: b"a",
        to_tag: b"b",
    };
    const B_TO_A: Dialog<'static> = Dialog {
        from_tag: b"b",
        to_tag: b"a",
        ..A_TO_B
    };

    fn said(refused: Option<Refused>) -> Option<(Bytes, Bytes)> {
        refused.map(|refused| (refused.offer.clone(), refused.answer.clone()))
    }

    #[tokio::test]
    async fn what_was_agreed_on_is_said_again_by_whoever_was_refused() {
        let agreed = Agreed::default();
        agreed.agree(A_TO_B, b"A", b"B");
        for (why, dialog, want) in [
            ("the caller moved", A_TO_B, ("A", "B")),
            ("the called moved", B_TO_A, ("B", "A")),
        ] {
            let last = agreed.offers(dialog, 7).await.expect(why).expect(why);
            assert_eq!(last, want.0, "{why}");
            let again = said(agreed.refused(dialog, 7)).expect(why);
            assert_eq!((again.0, again.1), (want.0.into(), want.1.into()), "{why}");
            assert!(agreed.refused(dialog, 7).is_none(), "{why}: once");
        }
        agreed.offers(B_TO_A, 8).await;
        agreed.agree(B_TO_A, b"B2", b"A2");
        assert!(agreed.refused(B_TO_A, 8).is_none(), "it was accepted");
        agreed.offers(A_TO_B, 9).await;
        let again = said(agreed.refused(A_TO_B, 9));
        assert_eq!(again, Some(("A2".into(), "B2".into())));
    }

    #[tokio::test]
    async fn of_two_that_glare_the_last_one_counts() {
        let agreed = Agreed::default();
        agreed.agree(A_TO_B, b"A", b"B");
        agreed.offers(A_TO_B, 1).await;
        agreed.offers(B_TO_A, 2).await;
        assert!(agreed.refused(A_TO_B, 1).is_none(), "B's is pending");
        assert_eq!(agreed.stands(A_TO_B, 1), Some(("A".into(), false)));
        assert_eq!(agreed.stands(B_TO_A, 2), Some(("B".into(), true)));
        assert!(agreed.refused(B_TO_A, 2).is_some());
        assert_eq!(agreed.stands(A_TO_B, 1), Some(("A".into(), false)));
    }

    #[tokio::test]
    async fn an_offer_waits_until_what_was_refused_is_undone() {
        let agreed = Arc::new(Agreed::default());
        agreed.agree(A_TO_B, b"A", b"B");
        agreed.offers(A_TO_B, 1).await;
        let undoing = agreed.refused(A_TO_B, 1);
        let waits = tokio::spawn({
            let agreed = agreed.clone();
            async move { agreed.offers(B_TO_A, 2).await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(undoing);
        assert_eq!(waits.await.expect("it ends"), Some(Some("B".into())));
    }

    #[tokio::test]
    async fn after_a_bye_nothing_is_offered_until_nobody_repeats_it() {
        let (agreed, now) = (Agreed::default(), Instant::now());
        agreed.agree(A_TO_B, b"A", b"B");
        agreed.end(A_TO_B, now);
        assert_eq!(agreed.offers(B_TO_A, 3).await, None);
        assert!(agreed.has_ended(B_TO_A));
        agreed.agree(A_TO_B, b"late", b"answer");
        assert!(agreed.has_ended(B_TO_A), "an answer that crossed it");
        let down = Dialog {
            pass: Pass::Down,
            ..A_TO_B
        };
        assert_eq!(agreed.offers(down, 3).await, Some(None), "another session");
        agreed.end(down, now + ENDED_FOR);
        assert_eq!(agreed.offers(B_TO_A, 4).await, Some(None), "long ago");
    }

    #[tokio::test]
    async fn it_stays_small() {
        let agreed = Agreed::of_size(10_000);
        let now = Instant::now();
        for number in 0..5_000_u32 {
            let call_id = number.to_string();
            let dialog = Dialog {
                call_id: call_id.as_bytes(),
                ..A_TO_B
            };
            agreed.agree(dialog, &[0; 50], &[0; 50]);
            if number % 2 == 0 {
                agreed.end(dialog, now + Duration::from_secs(number.into()));
            }
        }
        let state = agreed.state();
        assert!(state.bytes <= 10_000);
        assert!(state.dialogs.len() <= 100 + 40, "{}", state.dialogs.len());
        assert!(state.oldest.len() <= 2048, "{}", state.oldest.len());
    }
}
