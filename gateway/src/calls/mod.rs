//! The calls that pass this node, as far as somebody has to count them: soft state, whose loss loses no call (SIGNALLING §6).
//!
//! A call is made by the 2xx to its INVITE, corrected by what is said inside it, and gone at the final answer to a BYE, or
//! when nobody has refreshed it for as long as it said (RFC 4028), or for [`Settings::age`], or when RTPEngine has it no more. Until the 2xx its [`Place`] is held
//! by the INVITE's transaction. Pure but for its counters: the time is an argument.

mod counts;
mod legs;
#[cfg(test)]
mod tests;
mod watch;
mod watching;

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use proxy::Room;
use proxy::token::{Media, Pass};
use sip::{Edited, Header};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use watch::Watched;
use watching::Watching;

pub(crate) use counts::{Counts, Place};
pub use counts::{PeerState, Quota};
pub(crate) use legs::{Answered, Leg};
pub use watch::{Cause, Heard};
pub(crate) use watching::Due;
pub use watching::WatchState;

const SHARDS: usize = 64;
/// Calls that are kept at most; some 500 bytes each.
const CALLS: usize = 200_000;
/// Of these, for the calls of peers alone: devices must not fill the table with calls that they never end, or no peer with a
/// limit gets a place.
const FOR_PEERS: usize = CALLS / 2;
/// How long a call that is over is known, so that a late repetition of its 2xx does not count again: 64·T1.
const OVER: Duration = Duration::from_secs(32);
/// Of a Call-ID, what is shown.
const SHOWN: usize = 128;
/// Of a Call-ID, what is kept; RTPEngine is not asked about longer ones.
const KEPT: usize = 512;
/// How long a call says nothing until RTPEngine is asked whether it still has it.
const DOUBT: Duration = Duration::from_secs(300);

/// What the table is told by the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Somebody needs it: a limit, an algorithm, the admin API.
    pub on: bool,
    /// How long a call is counted that nobody refreshes.
    pub age: Duration,
    /// The peers' limits, in their order.
    pub quotas: Vec<Quota>,
    /// What calls are watched for.
    pub watch: Watch,
}

/// What calls are watched for; what is zero is off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// How long no packet comes from a side until that is said.
    pub silent_after: Duration,
    /// The call is ended then.
    pub ends_silent: bool,
    /// How long a device's flow is dead until its calls are ended.
    pub device_gone: Duration,
}

/// One dialog: what names it, whichever side speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialog<'a> {
    /// Where its media is, and the way that its INVITE took past us: a call may pass twice.
    pub(crate) media: Media,
    pub(crate) call_id: &'a [u8],
    /// The tags of the two sides, in either order.
    pub(crate) tags: (&'a [u8], &'a [u8]),
}

impl<'a> Dialog<'a> {
    /// The dialog that a response belongs to; `None` for one without a To tag.
    pub(crate) fn of(response: &'a Edited, media: Media) -> Option<Self> {
        Some(Self {
            media,
            call_id: response.call_id(),
            tags: (response.from_tag()?, response.to_tag()?),
        })
    }
}

/// A call that is up.
struct Call {
    call_id: Box<[u8]>,
    /// What it counts for; none once it is over.
    places: SmallVec<[Place; 1]>,
    over: bool,
    since: Duration,
    until: Duration,
    /// Where its media is.
    media: Media,
    /// When it was last known to be up.
    heard: Duration,
    /// What is kept where calls are watched.
    watched: Option<Box<Watched>>,
}

/// A call of which nothing was heard for a while.
pub(crate) struct Doubtful {
    key: u64,
    /// Its Call-ID.
    pub(crate) call_id: Box<[u8]>,
    /// Where its media is, or was.
    pub(crate) media: Media,
}

/// What is shown of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallState {
    /// Its Call-ID, cut off where it is very long.
    pub call_id: String,
    /// The peer that began it.
    pub peer: Option<String>,
    /// The group's and the member's index, if it goes through one.
    pub member: Option<(usize, usize)>,
    /// How long it has been up.
    pub age: Duration,
}

/// The table.
pub(crate) struct Calls {
    on: bool,
    age: Duration,
    keys: (u64, u64),
    /// How many calls are kept: of everybody, and of peers and everybody.
    most: (usize, usize),
    counts: Arc<Counts>,
    calls: DashMap<u64, Call>,
    watching: Watching,
}

impl Calls {
    /// No calls yet; `keys` are random, so that nobody can aim at another's place in it.
    pub(crate) fn new(settings: Settings, keys: (u64, u64)) -> Self {
        Self {
            on: settings.on,
            age: settings.age,
            keys,
            most: (CALLS - FOR_PEERS, CALLS),
            counts: Arc::new(Counts::new(settings.quotas)),
            calls: DashMap::with_shard_amount(SHARDS),
            watching: Watching::new(settings.watch),
        }
    }

    /// False where nobody needs it: then nothing is kept, and nothing else here need be called.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// How many calls of whom.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// A place for a call that a peer begins.
    ///
    /// # Errors
    /// Why it gets none.
    pub(crate) fn ask(&self, peer: usize, now: Duration) -> Result<Place, Room> {
        if self.calls.len() >= self.most.1 {
            return Err(Room::Full);
        }
        self.counts.ask(peer, now)
    }

    fn key(&self, dialog: &Dialog<'_>) -> u64 {
        let tag = |tag: &[u8]| {
            let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
            hasher.write(tag);
            hasher.finish()
        };
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(dialog.call_id);
        hasher.write_u8(match dialog.media.pass {
            Pass::Up => 0,
            Pass::Down => 1,
            Pass::Local => 2,
            Pass::Through => 3,
        });
        // The same whoever speaks.
        hasher.write_u64(tag(dialog.tags.0).wrapping_add(tag(dialog.tags.1)));
        hasher.finish()
    }

    /// A 2xx to an INVITE passed: a call is up that holds `place`, or one that is known is refreshed. `place` is made for a call
    /// that is new and has none.
    pub(crate) fn answered(
        &self,
        dialog: &Dialog<'_>,
        response: &Edited,
        place: Option<Place>,
        make: impl FnOnce() -> Option<Place>,
        now: Duration,
    ) {
        let until = now + self.lasts(response);
        let known = self.calls.len();
        match self.calls.entry(self.key(dialog)) {
            Entry::Occupied(mut entry) => {
                let call = entry.get_mut();
                if !call.over {
                    call.until = until;
                    call.heard = now;
                    call.places.extend(place);
                }
            }
            Entry::Vacant(free) => {
                let Some(place) = place.or_else(make) else {
                    return;
                };
                let of_peer = place.peer().is_some();
                if known >= if of_peer { self.most.1 } else { self.most.0 } {
                    return;
                }
                let kept = &dialog.call_id[..dialog.call_id.len().min(KEPT)];
                free.insert(Call {
                    call_id: kept.into(),
                    places: SmallVec::from_buf([place]),
                    over: false,
                    since: now,
                    until,
                    media: dialog.media,
                    heard: now,
                    watched: None,
                });
            }
        }
    }

    /// A 2xx to an UPDATE passed.
    pub(crate) fn refreshed(&self, dialog: &Dialog<'_>, response: &Edited, now: Duration) {
        if let Some(mut call) = self.calls.get_mut(&self.key(dialog))
            && !call.over
        {
            call.until = now + self.lasts(response);
            call.heard = now;
        }
    }

    /// A final answer to a BYE passed, or there will be none.
    pub(crate) fn ended(&self, dialog: &Dialog<'_>, now: Duration) {
        if let Some(mut call) = self.calls.get_mut(&self.key(dialog)) {
            call.end(now);
            self.watching.release(call.watched.take());
        }
    }

    /// A BYE passed that nobody remembers: without an answer the call is over all the same (RFC 3261 §15.1.1).
    pub(crate) fn ending(&self, dialog: &Dialog<'_>, now: Duration) {
        if let Some(mut call) = self.calls.get_mut(&self.key(dialog)) {
            call.until = call.until.min(now + OVER);
        }
    }

    /// RFC 4028 §10: who refreshes does so at half the interval, and the other side gives up at its end.
    fn lasts(&self, response: &Edited) -> Duration {
        let header = response.values(Header::SessionExpires).next();
        let seconds = header
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.split([';', ' ', '\t']).next()?.parse().ok());
        match seconds {
            Some(seconds) => Duration::from_secs(seconds)
                .saturating_add(OVER)
                .min(self.age),
            None => self.age,
        }
    }

    /// Forgets what is over or was not refreshed.
    pub(crate) fn sweep(&self, now: Duration) {
        self.calls.retain(|_, call| {
            let stays = call.until > now;
            if !stays {
                self.watching.release(call.watched.take());
            }
            stays
        });
    }

    /// Calls with media of which nothing was heard for a while, `most` of them; they count as heard of now.
    pub(crate) fn doubtful(&self, most: usize, now: Duration) -> Vec<Doubtful> {
        let is_one = |call: &Call| {
            !call.over
                && call.media.is_some()
                && call.call_id.len() < KEPT
                && now.saturating_sub(call.heard) >= DOUBT
        };
        let calls = self.calls.iter_mut().filter(|call| is_one(call));
        let asked = calls.take(most).map(|mut call| {
            call.heard = now;
            Doubtful {
                key: *call.key(),
                call_id: call.call_id.clone(),
                media: call.media,
            }
        });
        asked.collect()
    }

    /// RTPEngine does not know this call.
    pub(crate) fn is_gone(&self, call: &Doubtful, now: Duration) {
        if let Some(mut known) = self.calls.get_mut(&call.key) {
            known.end(now);
            self.watching.release(known.watched.take());
        }
    }

    /// How many calls are up.
    pub(crate) fn len(&self) -> usize {
        self.calls.iter().filter(|call| !call.over).count()
    }

    /// Some of the calls that are up, `limit` at most.
    pub(crate) fn list(&self, limit: usize, now: Duration) -> Vec<CallState> {
        let shown = |call: &Call| {
            let place = call.places.first();
            CallState {
                call_id: String::from_utf8_lossy(&call.call_id[..call.call_id.len().min(SHOWN)])
                    .into_owned(),
                peer: place
                    .and_then(Place::peer)
                    .and_then(|peer| self.counts.name(peer).map(str::to_owned)),
                member: place.and_then(Place::member),
                age: now.saturating_sub(call.since),
            }
        };
        let up = self.calls.iter();
        up.filter(|call| !call.over)
            .take(limit)
            .map(|call| shown(&call))
            .collect()
    }
}

impl Call {
    fn end(&mut self, now: Duration) {
        self.over = true;
        self.places.clear();
        self.until = now + OVER;
    }
}
