//! What the two sides of a dialog have agreed on last (RFC 3264 §5), as each of them said it: RTPEngine cannot take an offer back,
//! so what a refused one changed is said again (MEDIA.md §3).
//!
//! Soft state of one node, of a bounded size: what is lost costs one refused re-INVITE its audio, and no call.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proxy::token::Pass;
use smallvec::SmallVec;
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

/// What one side said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its tag.
    pub(crate) tag: Bytes,
    /// Its description, as it came.
    pub(crate) sdp: Bytes,
    /// From where.
    pub(crate) seen: IpAddr,
    /// It is the core's.
    pub(crate) from_core: bool,
}

/// What has to be said to RTPEngine again, since it was told otherwise after it. Until this is dropped, offers of the dialog wait.
pub(crate) struct Again {
    /// What goes as the offer.
    pub(crate) offer: Said,
    /// And as its answer.
    pub(crate) answer: Said,
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
    /// The dialogs of a call, which are several after a fork that was answered twice.
    calls: HashMap<u64, SmallVec<[u64; 1]>>,
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
    call: u64,
    sides: [Said; 2],
    /// Its INVITE has a 2xx. Before, it is one of several of a fork (RFC 3261 §12.1), and does not outlive the one that is answered.
    confirmed: bool,
    /// The offer that RTPEngine was told last and that nobody has answered: whose, and its CSeq.
    offered: Option<(usize, u32)>,
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

    fn key(&self, dialog: Dialog<'_>) -> u64 {
        let (one, other) = (dialog.from_tag, dialog.to_tag);
        let tags = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        self.hasher.hash_one((dialog.pass, dialog.call_id, tags))
    }

    fn call(&self, dialog: Dialog<'_>) -> u64 {
        self.hasher.hash_one((dialog.pass, dialog.call_id))
    }

    /// An offer was answered, within this pass of this Call-ID; `confirmed`: by a 2xx to an INVITE, or its ACK.
    pub(crate) fn agree(
        &self,
        pass: Pass,
        call_id: &[u8],
        offer: Said,
        answer: Said,
        confirmed: bool,
    ) {
        let dialog = Dialog {
            pass,
            call_id,
            from_tag: &offer.tag,
            to_tag: &answer.tag,
        };
        let (key, call) = (self.key(dialog), self.call(dialog));
        let sides = [offer, answer];
        let mut state = self.state();
        let state = &mut *state;
        match state.dialogs.entry(key) {
            Entry::Occupied(mut known) => match known.get_mut() {
                Known::Up(up) => {
                    state.bytes -= up.bytes();
                    (up.sides, up.offered) = (sides, None);
                    up.confirmed |= confirmed;
                    state.bytes += up.bytes();
                }
                Known::Ended => {}
            },
            Entry::Vacant(place) => {
                state.serial = state.serial.wrapping_add(1);
                let serial = state.serial;
                let up = Up {
                    serial,
                    call,
                    sides,
                    confirmed,
                    offered: None,
                    turn: Arc::default(),
                };
                state.bytes += up.bytes();
                place.insert(Known::Up(Box::new(up)));
                state.calls.entry(call).or_default().push(key);
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

    /// The INVITE of the dialog has its 2xx, which may be without a description after a 183 that had it.
    pub(crate) fn confirm(&self, dialog: Dialog<'_>) {
        let key = self.key(dialog);
        if let Some(Known::Up(up)) = self.state().dialogs.get_mut(&key) {
            up.confirmed = true;
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
        let key = self.key(dialog);
        let turn = match self.state().dialogs.get(&key) {
            Some(Known::Up(up)) => up.turn.clone(),
            Some(Known::Ended) => return None,
            None => return Some(None),
        };
        let held = turn.lock().await;
        let last = match self.state().dialogs.get_mut(&key) {
            Some(Known::Up(up)) => {
                let side = up.side_of(dialog.from_tag);
                up.offered = side.map(|side| (side, cseq));
                Some(side.map(|side| up.sides[side].sdp.clone()))
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
        let key = self.key(dialog);
        match self.state().dialogs.get(&key) {
            Some(Known::Up(up)) => {
                let side = up.side_of(dialog.from_tag)?;
                let stands = up.offered == Some((side, cseq));
                Some((up.sides[side].sdp.clone(), stands))
            }
            _ => None,
        }
    }

    /// An offer was refused. `None` if there is nothing to be said again: its dialog is not known, or another offer came after it,
    /// whose own end says what counts.
    pub(crate) fn refused(&self, dialog: Dialog<'_>, cseq: u32) -> Option<Again> {
        let key = self.key(dialog);
        let mut state = self.state();
        let Some(Known::Up(up)) = state.dialogs.get_mut(&key) else {
            return None;
        };
        let side = up.side_of(dialog.from_tag)?;
        up.offered.take_if(|offered| *offered == (side, cseq))?;
        up.again(side)
    }

    /// A BYE ended the dialog. If the same fork was answered by somebody else too, that dialog goes on, and RTPEngine may since have
    /// sent its audio to the other one (measured: the last answer has all of it, also after its `delete`): then what to say again. One
    /// that only rang is none of these: said again it would be a session for ever.
    pub(crate) fn end(&self, dialog: Dialog<'_>, now: Instant) -> Option<Again> {
        let (key, call) = (self.key(dialog), self.call(dialog));
        let mut state = self.state();
        let state = &mut *state;
        state.forget(key);
        if state.dialogs.insert(key, Known::Ended).is_none() {
            state.ended.push_back((now, key));
        }
        while let Some((since, key)) = state.ended.front().copied() {
            if state.ended.len() <= ENDED && now.duration_since(since) < ENDED_FOR {
                break;
            }
            state.ended.pop_front();
            if matches!(state.dialogs.get(&key), Some(Known::Ended)) {
                state.dialogs.remove(&key);
            }
        }
        let others = state.calls.get(&call)?;
        others.iter().rev().find_map(|key| {
            let Some(Known::Up(up)) = state.dialogs.get(key) else {
                return None;
            };
            // A pending offer says all that counts with its answer.
            let side = up.side_of(dialog.from_tag).or(up.side_of(dialog.to_tag))?;
            let goes_on = up.confirmed && up.offered.is_none();
            goes_on.then(|| up.again(side)).flatten()
        })
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
            if let Entry::Occupied(mut call) = self.calls.entry(up.call) {
                call.get_mut().retain(|known| *known != key);
                if call.get().is_empty() {
                    call.remove();
                }
            }
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
        self.sides.iter().map(|said| said.sdp.len()).sum()
    }

    fn side_of(&self, tag: &[u8]) -> Option<usize> {
        self.sides.iter().position(|said| said.tag == tag)
    }

    /// What was agreed on, offered by this side; `None` if it is being said already.
    fn again(&self, side: usize) -> Option<Again> {
        Some(Again {
            offer: self.sides[side].clone(),
            answer: self.sides[1 - side].clone(),
            _turn: self.turn.clone().try_lock_owned().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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

    fn said(again: Option<Again>) -> Option<(Bytes, Bytes)> {
        again.map(|again| (again.offer.sdp.clone(), again.answer.sdp.clone()))
    }

    fn agree(
        agreed: &Agreed,
        dialog: Dialog<'static>,
        offer: &'static [u8],
        answer: &'static [u8],
    ) {
        let said = |tag, sdp| Said {
            tag: Bytes::from_static(tag),
            sdp: Bytes::from_static(sdp),
            seen: Ipv4Addr::LOCALHOST.into(),
            from_core: false,
        };
        let (offer, answer) = (said(dialog.from_tag, offer), said(dialog.to_tag, answer));
        agreed.agree(dialog.pass, dialog.call_id, offer, answer, true);
    }

    #[tokio::test]
    async fn what_was_agreed_on_is_said_again_by_whoever_was_refused() {
        let agreed = Agreed::default();
        agree(&agreed, A_TO_B, b"A", b"B");
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
        agree(&agreed, B_TO_A, b"B2", b"A2");
        assert!(agreed.refused(B_TO_A, 8).is_none(), "it was accepted");
        agreed.offers(A_TO_B, 9).await;
        let again = said(agreed.refused(A_TO_B, 9));
        assert_eq!(again, Some(("A2".into(), "B2".into())));
    }

    #[tokio::test]
    async fn of_two_that_glare_the_last_one_counts() {
        let agreed = Agreed::default();
        agree(&agreed, A_TO_B, b"A", b"B");
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
        agree(&agreed, A_TO_B, b"A", b"B");
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
        agree(&agreed, A_TO_B, b"A", b"B");
        agreed.end(A_TO_B, now);
        assert_eq!(agreed.offers(B_TO_A, 3).await, None);
        assert!(agreed.has_ended(B_TO_A));
        agree(&agreed, A_TO_B, b"late", b"answer");
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
    async fn who_answered_first_is_told_of_when_the_last_one_is_gone() {
        let (agreed, now) = (Agreed::default(), Instant::now());
        let first = Dialog {
            to_tag: b"b1",
            ..A_TO_B
        };
        let stranger = Dialog {
            from_tag: b"x",
            to_tag: b"y",
            ..A_TO_B
        };
        agree(&agreed, first, b"A", b"B1");
        agree(&agreed, A_TO_B, b"A", b"B");
        agree(&agreed, stranger, b"X", b"Y");
        let again = said(agreed.end(B_TO_A, now));
        assert_eq!(again, Some(("A".into(), "B1".into())));
        assert!(
            agreed.end(A_TO_B, now).is_some(),
            "whose answer to the BYE came again"
        );
        assert!(agreed.end(first, now).is_none(), "nobody is left of it");
        assert!(agreed.end(stranger, now).is_none());
        assert!(agreed.state().calls.is_empty());
    }

    #[tokio::test]
    async fn who_only_rang_is_not_told_of_when_the_call_ends() {
        let now = Instant::now();
        let rang = Dialog {
            to_tag: b"b1",
            ..A_TO_B
        };
        for (why, is_answered) in [("it was cancelled", false), ("it answered, too", true)] {
            let agreed = Agreed::default();
            let said = |tag| Said {
                tag: Bytes::from_static(tag),
                sdp: Bytes::from_static(b"v=0"),
                seen: Ipv4Addr::LOCALHOST.into(),
                from_core: false,
            };
            agreed.agree(rang.pass, rang.call_id, said(b"a"), said(b"b1"), false);
            agree(&agreed, A_TO_B, b"A", b"B");
            if is_answered {
                agreed.confirm(rang);
            }
            assert_eq!(agreed.end(A_TO_B, now).is_some(), is_answered, "{why}");
        }
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
            let said = |tag| Said {
                tag: Bytes::from_static(tag),
                sdp: Bytes::from_static(&[0; 50]),
                seen: Ipv4Addr::LOCALHOST.into(),
                from_core: false,
            };
            agreed.agree(dialog.pass, dialog.call_id, said(b"a"), said(b"b"), true);
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
