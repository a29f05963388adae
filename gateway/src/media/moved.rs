//! Calls that are at another RTPEngine than their tokens say (MEDIA.md §6): a token stands in the Record-Route of a dialog, so it can
//! not follow when the node dies, is started anew or does not answer an offer, and another one takes the call.
//!
//! Soft state of one gateway, of a bounded size. Where it is lost, an offer makes the call anew and a `delete` is passed on from one node
//! to the next.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proxy::token::{Media, Pass};
use rtpengine_client::NodeId;
use smallvec::SmallVec;

use super::node_of;

/// Calls that are remembered; some 100 bytes each.
const CALLS: usize = 100_000;

/// The table.
pub(super) struct Moved {
    hasher: RandomState,
    state: Mutex<State>,
    most: usize,
}

#[derive(Default)]
struct State {
    calls: HashMap<u64, Moves>,
    /// In the order in which they first moved; some may be over.
    oldest: VecDeque<u64>,
}

struct Moves {
    /// Where the call was, the present place last.
    places: SmallVec<[Media; 2]>,
    /// The offer by which it moved has its answer.
    stays: bool,
}

impl Default for Moved {
    fn default() -> Self {
        Self::of_size(CALLS)
    }
}

impl Moved {
    fn of_size(most: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            state: Mutex::default(),
            most,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, pass: Pass, call_id: &[u8]) -> u64 {
        self.hasher.hash_one((pass, call_id))
    }

    /// Where a call is, whatever its token says; what `media` says of its ends stays.
    pub(super) fn at(&self, media: Media, call_id: &[u8]) -> Media {
        let state = self.state();
        if state.calls.is_empty() {
            return media;
        }
        let moves = state.calls.get(&self.key(media.pass, call_id));
        let at = moves.and_then(|moves| moves.places.last());
        at.map_or(media, |at| Media {
            ends: media.ends,
            ..*at
        })
    }

    /// An offer of the call was taken by another node than where it is, or by another process of it.
    pub(super) fn moves(&self, from: Media, to: Media, call_id: &[u8]) {
        let key = self.key(from.pass, call_id);
        let mut state = self.state();
        let state = &mut *state;
        match state.calls.entry(key) {
            Entry::Occupied(mut moves) => {
                let moves = moves.get_mut();
                moves.places.retain(|place| place.node != to.node);
                moves.places.push(to);
                moves.stays = false;
            }
            Entry::Vacant(place) => {
                place.insert(Moves {
                    places: SmallVec::from_buf([from, to]),
                    stays: false,
                });
                state.oldest.push_back(key);
            }
        }
        while state.calls.len() > self.most
            && let Some(key) = state.oldest.pop_front()
        {
            state.calls.remove(&key);
        }
        // What is left of those that ended in the middle.
        if state.oldest.len() > 1024 && state.oldest.len() > 2 * state.calls.len() {
            let calls = &state.calls;
            state.oldest.retain(|key| calls.contains_key(key));
        }
    }

    /// An offer of the call has its answer: its media flows where it is now.
    pub(super) fn stays(&self, pass: Pass, call_id: &[u8]) {
        let mut state = self.state();
        if !state.calls.is_empty()
            && let Some(moves) = state.calls.get_mut(&self.key(pass, call_id))
        {
            moves.stays = true;
        }
    }

    /// An offer of the call was refused: if it has moved by this one, its media flows where it was before.
    pub(super) fn returns(&self, pass: Pass, call_id: &[u8]) {
        let mut state = self.state();
        if !state.calls.is_empty()
            && let Some(moves) = state.calls.get_mut(&self.key(pass, call_id))
            && !moves.stays
        {
            moves.places.rotate_right(1);
            moves.stays = true;
        }
    }

    /// The call is over: where it was last, and who may have something left of it besides.
    pub(super) fn ends(&self, media: Media, call_id: &[u8]) -> (Media, SmallVec<[NodeId; 2]>) {
        let mut state = self.state();
        if state.calls.is_empty() {
            return (media, SmallVec::new());
        }
        let moves = state.calls.remove(&self.key(media.pass, call_id));
        let mut places = moves.map_or_else(SmallVec::new, |moves| moves.places);
        let at = places.pop().unwrap_or(media);
        let others = places.into_iter().map(node_of);
        (at, others.collect())
    }
}

#[cfg(test)]
mod tests {
    use proxy::media::Ends;

    use super::*;

    fn node(node: u8) -> Media {
        Media {
            node,
            generation: 1,
            pass: Pass::Up,
            ends: Ends::NONE,
        }
    }

    fn ended(moved: &Moved, call_id: &[u8]) -> (u8, Vec<u16>) {
        let (at, others) = moved.ends(node(0), call_id);
        (at.node, others.iter().map(|node| node.0).collect())
    }

    #[test]
    fn a_call_is_where_its_last_offer_went_and_each_place_is_told_of_its_end() {
        let moved = Moved::default();
        assert_eq!(moved.at(node(0), b"c"), node(0));
        moved.moves(node(0), node(1), b"c");
        assert_eq!(moved.at(node(0), b"c"), node(1));
        assert_eq!(moved.at(node(0), b"d"), node(0), "another call");
        let down = Media {
            pass: Pass::Down,
            ..node(0)
        };
        assert_eq!(
            moved.at(down, b"c"),
            down,
            "another session of the same call"
        );
        moved.moves(node(1), node(2), b"c");
        moved.moves(node(2), node(0), b"c");
        assert_eq!(ended(&moved, b"c"), (0, vec![1, 2]), "it came back");
        assert_eq!(ended(&moved, b"c"), (0, vec![]), "it is over");
    }

    #[test]
    fn a_refused_offer_moves_nothing() {
        let moved = Moved::default();
        moved.moves(node(0), node(1), b"c");
        moved.returns(Pass::Up, b"c");
        assert_eq!(moved.at(node(0), b"c"), node(0));
        moved.returns(Pass::Up, b"c");
        assert_eq!(
            moved.at(node(0), b"c"),
            node(0),
            "the next one moved nothing"
        );
        moved.moves(node(0), node(1), b"c");
        moved.stays(Pass::Up, b"c");
        moved.returns(Pass::Up, b"c");
        assert_eq!(moved.at(node(0), b"c"), node(1), "it was answered there");
        assert_eq!(ended(&moved, b"c"), (1, vec![0]));
    }

    #[test]
    fn it_stays_small() {
        let moved = Moved::of_size(10);
        for call in 0..5_000_u32 {
            moved.moves(node(0), node(1), &call.to_be_bytes());
            if call % 2 == 0 {
                moved.ends(node(0), &call.to_be_bytes());
            }
        }
        let state = moved.state();
        assert!(state.calls.len() <= 10 && state.oldest.len() <= 2048);
        drop(state);
        assert_eq!(moved.at(node(0), &4_999_u32.to_be_bytes()), node(1));
    }
}
