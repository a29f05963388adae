//! Calls that are watched: whose turn it is to be looked at, and what is found. Slow and bounded: each call comes up once in a
//! while, so many of them in a second at most.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proxy::token::Media;
use proxy::{Device, Flow, Site};

use super::legs::{Answered, Leg, Legs};
use super::watch::{Heard, Sides, Watched};
use super::{Calls, Cause, Dialog, KEPT, Watch};

/// Bytes that are kept of all calls for their BYEs; calls beyond are watched, and not ended.
const LEGS: usize = 128 << 20;
/// A call is looked at so often within the shortest time that is measured.
const LOOKS: u32 = 4;

/// What the table keeps for it.
pub(super) struct Watching {
    watch: Watch,
    /// Whose turn it is when, the next one first.
    turns: Mutex<VecDeque<(Duration, u64)>>,
    /// Bytes of all legs.
    bytes: AtomicUsize,
    silent: AtomicU64,
    ended: [AtomicU64; 2],
}

/// A call whose turn it is.
pub(crate) struct Due {
    key: u64,
    /// Its Call-ID.
    pub(crate) call_id: Box<[u8]>,
    /// Where its media is.
    pub(crate) media: Media,
    /// The tag of who called, and of who was called.
    pub(crate) tags: [Box<[u8]>; 2],
    /// Where the two sides are, if that is kept.
    pub(crate) places: Option<[(Flow, Option<Device>); 2]>,
}

/// A call that is to be ended.
pub(crate) struct Ending {
    /// Its Call-ID.
    pub(crate) call_id: Box<[u8]>,
    /// The two sides.
    pub(crate) legs: [Leg; 2],
}

/// What is counted of calls that are watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchState {
    /// Calls in which a side was silent for the configured time.
    pub silent: u64,
    /// Calls ended for it.
    pub ended_silent: u64,
    /// Calls ended because a device was gone.
    pub ended_gone: u64,
}

impl Watch {
    /// True if anything is to be watched.
    pub(crate) fn is_on(&self) -> bool {
        !self.silent_after.is_zero() || !self.device_gone.is_zero()
    }

    /// True if calls may have to be ended.
    pub(crate) fn ends(&self) -> bool {
        self.ends_silent && !self.silent_after.is_zero() || !self.device_gone.is_zero()
    }

    /// The time between two looks at a call.
    fn period(&self) -> Duration {
        let times = [self.silent_after, self.device_gone];
        let shortest = times.into_iter().filter(|time| !time.is_zero()).min();
        shortest.unwrap_or_default() / LOOKS
    }
}

impl Watching {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            turns: Mutex::default(),
            bytes: AtomicUsize::new(0),
            silent: AtomicU64::new(0),
            ended: Default::default(),
        }
    }

    fn takes_turn(&self, at: Duration, key: u64) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.push_back((at, key));
    }

    /// A call is over.
    pub(super) fn release(&self, watched: Option<Box<Watched>>) {
        if let Some(legs) = watched.and_then(|watched| watched.legs) {
            self.bytes.fetch_sub(legs.bytes(), Relaxed);
        }
    }

    /// Legs that there is room for.
    fn admit(&self, legs: Option<Legs>) -> Option<Legs> {
        let legs = legs?;
        let bytes = legs.bytes();
        if self.bytes.fetch_add(bytes, Relaxed) + bytes <= LEGS {
            return Some(legs);
        }
        self.bytes.fetch_sub(bytes, Relaxed);
        None
    }
}

impl Calls {
    /// What calls are watched for.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watching.watch
    }

    /// What was counted.
    pub(crate) fn watch_state(&self) -> WatchState {
        let Watching { silent, ended, .. } = &self.watching;
        WatchState {
            silent: silent.load(Relaxed),
            ended_silent: ended[0].load(Relaxed),
            ended_gone: ended[1].load(Relaxed),
        }
    }

    /// A 2xx to an INVITE or UPDATE passed, of a call that is known: from now on it is watched, or its sides are at other places.
    pub(crate) fn watched(
        &self,
        dialog: &Dialog<'_>,
        answered: &Answered<'_>,
        site: &Site,
        now: Duration,
    ) {
        let key = self.key(dialog);
        let Some(mut call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        if answered.response.has_sdp() && dialog.media.is_some() {
            call.media = dialog.media;
        }
        let (from, to) = dialog.tags;
        match &mut call.watched {
            Some(watched) => {
                let side = watched.side_of(from);
                if let (Some(side), Some(legs)) = (side, &mut watched.legs) {
                    let before = legs.bytes();
                    legs.heard(side, answered.invite.cseq().map_or(0, |cseq| cseq.number));
                    legs.refresh(side, answered);
                    self.watching.bytes.fetch_add(legs.bytes(), Relaxed);
                    self.watching.bytes.fetch_sub(before, Relaxed);
                }
            }
            // A call that was up before this node: which side called is not known, nor what its route set is.
            None if answered.invite.to_tag().is_some() || dialog.call_id.len() > KEPT => {}
            None => {
                let wanted = self
                    .watching
                    .watch
                    .ends()
                    .then(|| Legs::of(answered, |uri| site.names_us(uri)));
                let legs = self.watching.admit(wanted.flatten());
                call.watched = Some(Box::new(Watched::new([from, to], legs, now)));
                self.watching
                    .takes_turn(now + self.watching.watch.period(), key);
            }
        }
    }

    /// A request passed inside a call.
    pub(crate) fn spoke(&self, dialog: &Dialog<'_>, number: u32) {
        if let Some(mut call) = self.calls.get_mut(&self.key(dialog))
            && let Some(watched) = &mut call.watched
            && let Some(side) = watched.side_of(dialog.tags.0)
            && let Some(legs) = &mut watched.legs
        {
            legs.heard(side, number);
        }
    }

    /// Calls whose turn it is, `most` of them.
    pub(crate) fn due(&self, most: usize, now: Duration) -> Vec<Due> {
        let mut turns = self
            .watching
            .turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut keys = Vec::new();
        while keys.len() < most && turns.front().is_some_and(|(at, _)| *at <= now) {
            keys.extend(turns.pop_front().map(|(_, key)| key));
        }
        drop(turns);
        let due = |key: u64| {
            let call = self.calls.get(&key)?;
            let watched = call.watched.as_ref()?;
            Some(Due {
                key,
                call_id: call.call_id.clone(),
                media: call.media,
                tags: watched.tags.clone(),
                places: watched.legs.as_ref().map(Legs::places),
            })
        };
        keys.into_iter().filter_map(due).collect()
    }

    /// It was looked at, and comes up again.
    pub(crate) fn again(&self, due: &Due, now: Duration) {
        self.watching
            .takes_turn(now + self.watching.watch.period(), due.key);
    }

    /// What RTPEngine says of it; who has been silent for the configured time, told once.
    pub(crate) fn hear(&self, due: &Due, heard: [Heard; 2], now: Duration) -> Sides {
        let after = self.watching.watch.silent_after;
        let mut call = self.calls.get_mut(&due.key);
        let watched = call.as_mut().and_then(|call| call.watched.as_mut());
        let silent = watched.map_or([false; 2], |watched| watched.hear(heard, after, now));
        if silent != [false; 2] {
            self.watching.silent.fetch_add(1, Relaxed);
        }
        silent
    }

    /// Whose flow is dead; true once one of them has been so for the configured time.
    pub(crate) fn miss(&self, due: &Due, gone: Sides, now: Duration) -> bool {
        let after = self.watching.watch.device_gone;
        let mut call = self.calls.get_mut(&due.key);
        let watched = call.as_mut().and_then(|call| call.watched.as_mut());
        watched.is_some_and(|watched| watched.miss(gone, after, now))
    }

    /// Nobody else will end this call; the sides to be hung up, as they are at this moment.
    pub(crate) fn ends(&self, due: &Due, cause: Cause) -> Option<Ending> {
        let mut call = self.calls.get_mut(&due.key).filter(|call| !call.over)?;
        let legs = call.watched.as_mut()?.legs.take()?;
        self.watching.bytes.fetch_sub(legs.bytes(), Relaxed);
        self.watching.ended[cause as usize].fetch_add(1, Relaxed);
        Some(Ending {
            call_id: call.call_id.clone(),
            legs: legs.0,
        })
    }
}
