//! A record of each call that is over: who, how long, how good, and in words what went wrong ([`proxy::verdict`]).
//!
//! While a call goes on, a box of [`Live`] collects what passes ([`live`]); that costs a look-up a message. What is judged,
//! written and said is done by a task of its own, behind the last message ([`Records::run`]): the newest records are kept in
//! memory for the admin API, and [`file`] appends all of them to a file. Soft state of one node: losing it loses no call.

mod file;
mod legs;
mod live;
mod shown;

use std::collections::VecDeque;
use std::hash::Hasher;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use prometheus_client::metrics::histogram::Histogram;
use proxy::token::Pass;
use proxy::verdict::{By, Code, Party, Weight, judge};
use siphasher::sip::SipHasher13;
use tokio::sync::mpsc;

use crate::guard::Pace;
use crate::media::{Said, Told as Listener};
use file::Writer;
use live::{Live, Stage};

pub(crate) use live::{End, Opening, Told};
pub use shown::{Place, Record, RecordedLeg, Setup};

const SHARDS: usize = 64;
/// Calls that are followed at once; some 700 bytes each. Those beyond have no record, and are counted.
const CALLS: usize = 200_000;
/// Calls that may wait for their judgement.
const WAITING: usize = 16_384;
/// How long a call that is over is known, so that a late repetition is no other call: 64·T1.
const OVER: Duration = Duration::from_secs(32);
/// How long a caller may take to come again with what was asked for.
const ASKED: Duration = Duration::from_secs(10);
/// How long RTPEngine may take to say what it saw; it is asked for 10 s.
const ENDING: Duration = Duration::from_secs(15);
/// How long another one may take that may have the call instead.
const ELSEWHERE: Duration = Duration::from_secs(3);
/// Lines a second about calls that nobody answered, and at once: anybody may cause them.
const LINES: (u32, u32) = (100, 200);
/// Until it rings, in seconds.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0];

/// What the records are told by the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How many are kept in memory.
    pub kept: usize,
    /// Where all are written.
    pub file: Option<PathBuf>,
    /// How long a call is followed of which nobody says that it is over.
    pub age: Duration,
    /// The section of each listener.
    pub listeners: Vec<String>,
    /// The names of the RTPEngines.
    pub engines: Vec<String>,
}

/// Which call: the same key whichever side speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key(u64);

enum Entry {
    Live(Box<Live>),
    /// Judged.
    Over {
        until: Duration,
    },
}

/// A call that waits for its judgement, how it ended, and when.
type Finished = (Box<Live>, End, Duration);

/// The calls that are followed, and the records of those that are over.
pub struct Records {
    settings: Settings,
    started: Instant,
    keys: (u64, u64),
    calls: DashMap<u64, Entry>,
    judged: mpsc::Sender<Finished>,
    /// Until somebody judges.
    queue: Mutex<Option<mpsc::Receiver<Finished>>>,
    newest: Mutex<VecDeque<Arc<Record>>>,
    file: Option<Writer>,
    counts: Vec<AtomicU64>,
    lost: AtomicU64,
    setup: Histogram,
    lines: Option<(Pace, AtomicU64)>,
}

impl Records {
    /// No calls yet; `keys` are random, so that nobody can aim at another's place.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(settings: Settings, keys: (u64, u64)) -> io::Result<Self> {
        let (judged, queue) = mpsc::channel(WAITING);
        let file = settings.file.clone().map(Writer::open).transpose()?;
        Ok(Self {
            settings,
            started: Instant::now(),
            keys,
            calls: DashMap::with_shard_amount(SHARDS),
            judged,
            queue: Mutex::new(Some(queue)),
            newest: Mutex::new(VecDeque::new()),
            file,
            counts: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            lost: AtomicU64::new(0),
            setup: Histogram::new(BUCKETS),
            lines: Pace::new(LINES.0, LINES.1).map(|pace| (pace, AtomicU64::new(0))),
        })
    }

    /// The time, since it was made.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes what RTPEngine says of dialogs at their end.
    pub(crate) fn listener(self: &Arc<Self>) -> Listener {
        let records = self.clone();
        Arc::new(move |said: Said<'_>| {
            let key = records.key(said.call_id, said.pass, said.caller);
            let now = records.now();
            let is_ending = records.note(key, |live| {
                if said.info.is_none() {
                    live.is_unknown(now + ELSEWHERE);
                }
                matches!(live.stage, Stage::Ending { .. })
            });
            if let (Some(true), Some(info)) = (is_ending, said.info) {
                records.finish(key, End::HungUp(Told::Seen(info)), now);
            }
        })
    }

    /// The key of a call: its Call-ID, the way that its INVITE took past us, and its caller's tag.
    pub(crate) fn key(&self, call_id: &[u8], pass: Pass, caller_tag: &[u8]) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(call_id);
        hasher.write_u8(match pass {
            Pass::Up => 0,
            Pass::Down => 1,
            Pass::Local => 2,
            Pass::Through => 3,
        });
        hasher.write(caller_tag);
        Key(hasher.finish())
    }

    /// An INVITE begins a call, or comes again.
    pub(crate) fn begins(&self, key: Key, opening: &Opening<'_>, now: Duration) {
        let mut entry = match self.calls.get_mut(&key.0) {
            Some(entry) => entry,
            None => {
                if self.calls.len() >= CALLS {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                let live = Live::new(opening, now, crate::engine::now());
                self.calls.insert(key.0, Entry::Live(Box::new(live)));
                return;
            }
        };
        match &mut *entry {
            Entry::Live(live) => live.begins_again(opening),
            over @ Entry::Over { .. } => {
                let live = Live::new(opening, now, crate::engine::now());
                *over = Entry::Live(Box::new(live));
            }
        }
    }

    /// Writes something down of a call, if it is followed.
    pub(crate) fn note<T>(&self, key: Key, note: impl FnOnce(&mut Live) -> T) -> Option<T> {
        match self.calls.get_mut(&key.0).as_deref_mut() {
            Some(Entry::Live(live)) => Some(note(live)),
            Some(Entry::Over { .. }) | None => None,
        }
    }

    /// Whether a call is followed, and not over.
    pub(crate) fn is_followed(&self, key: Key) -> bool {
        matches!(self.calls.get(&key.0).as_deref(), Some(Entry::Live(_)))
    }

    /// A final refusal passes. After one that asks for something, the caller may come again.
    pub(crate) fn refused(&self, key: Key, status: u16, by: By, now: Duration) {
        let waits = by == By::Beyond && matches!(status, 401 | 407 | 422 | 494);
        let is_open = self.note(key, |live| {
            let is_open = live.stage == Stage::Open && live.steps.answered.is_none();
            if is_open {
                live.status = Some(status);
                let since = now.saturating_sub(live.began);
                live.steps.ended = Some(since);
            }
            if is_open && waits {
                let until = now + ASKED;
                live.stage = Stage::Asked { until, status };
            }
            is_open
        });
        if is_open == Some(true) && !waits {
            self.finish(key, End::Refused { status, by }, now);
        }
    }

    /// We refuse an INVITE that is not followed yet.
    pub(crate) fn refused_at_once(
        &self,
        key: Key,
        opening: &Opening<'_>,
        (status, by): (u16, By),
        now: Duration,
    ) {
        // The same INVITE once more is no other call.
        match self.calls.get(&key.0).as_deref() {
            Some(Entry::Over { .. }) => return,
            Some(Entry::Live(live)) if live.steps.answered.is_some() => return,
            Some(Entry::Live(_)) | None => {}
        }
        self.begins(key, opening, now);
        self.refused(key, status, by, now);
    }

    /// A BYE is over: with `confirmed`, its final response, if there was one. True if the call is over with it: then either
    /// RTPEngine is asked, whose answer [`finish`](Self::finish) brings, or it is finished now.
    pub(crate) fn ends(&self, key: Key, by: Party, confirmed: Option<u16>, now: Duration) -> bool {
        let ends = |live: &mut Live| live.ends(by, confirmed, now + ENDING, now);
        self.note(key, ends).unwrap_or(false)
    }

    /// A call is over, and this is all that will be known of it.
    pub(crate) fn finish(&self, key: Key, end: End, now: Duration) {
        let over = Entry::Over { until: now + OVER };
        let live = match self.calls.get_mut(&key.0).as_deref_mut() {
            Some(entry @ Entry::Live(_)) => match std::mem::replace(entry, over) {
                Entry::Live(live) => live,
                Entry::Over { .. } => return,
            },
            Some(Entry::Over { .. }) | None => return,
        };
        self.queue(live, end, now);
    }

    fn queue(&self, live: Box<Live>, end: End, now: Duration) {
        if self.judged.try_send((live, end, now)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives up what nobody says anything more of.
    pub(crate) fn sweep(&self, now: Duration) {
        let mut over = Vec::new();
        let age = self.settings.age;
        self.calls.retain(|_, entry| {
            let end = match entry {
                Entry::Over { until } => return *until > now,
                Entry::Live(live) => match &live.stage {
                    Stage::Asked { until, status } if *until <= now => End::Refused {
                        status: *status,
                        by: By::Beyond,
                    },
                    Stage::Ending { until, .. } if *until <= now => {
                        End::HungUp(live.told_nothing())
                    }
                    Stage::Open | Stage::HangingUp { .. } if live.lasts_until(age) <= now => {
                        End::Unseen
                    }
                    _ => return true,
                },
            };
            let gone = std::mem::replace(entry, Entry::Over { until: now });
            if let Entry::Live(live) = gone {
                over.push((live, end));
            }
            false
        });
        for (live, end) in over {
            self.queue(live, end, now);
        }
    }

    /// Judges, for ever; `place` names a member of a group. Runs once.
    pub(crate) async fn run(&self, place: impl Fn((usize, usize)) -> Option<(String, String)>) {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut queue) = queue else { return };
        while let Some((live, end, now)) = queue.recv().await {
            let member = live.member.and_then(&place);
            self.write(&live, end, member, now);
        }
    }

    fn write(&self, live: &Live, end: End, member: Option<(String, String)>, now: Duration) {
        let facts = live.facts(end, now);
        let verdict = judge(&facts);
        let place = Place {
            member,
            listener: self
                .settings
                .listeners
                .get(usize::from(live.source.listener.0))
                .cloned(),
            engine: self
                .settings
                .engines
                .get(usize::from(live.media.node))
                .cloned()
                .filter(|_| live.media.is_some()),
        };
        if let Some(count) = self.counts.get(verdict.code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(rang) = facts.rang.or(facts.answered) {
            self.setup.observe(rang.as_secs_f64());
        }
        let weight = verdict.code.weight();
        if weight == Weight::Noise {
            let (code, words) = (verdict.code.label(), verdict.words);
            tracing::debug!(target: "causeway::call", call_id = ?live.call_id, verdict = code, ?words, "no call");
            return;
        }
        let record = Record::of(live, &facts, verdict, place);
        if let Some(file) = &self.file
            && !serde_json::to_string(&record).is_ok_and(|line| file.write(line))
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if facts.answered.is_some() || self.may_say(now) {
            record.say(weight);
        }
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        while newest.len() >= self.settings.kept.max(1) {
            newest.pop_front();
        }
        if self.settings.kept > 0 {
            newest.push_back(Arc::new(record));
        }
    }

    fn may_say(&self, now: Duration) -> bool {
        self.lines
            .as_ref()
            .is_none_or(|(pace, cell)| pace.admit(cell, now))
    }

    /// The newest records, the newest first, `limit` at most.
    pub fn newest(&self, limit: usize) -> Vec<Arc<Record>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.iter().rev().take(limit).cloned().collect()
    }

    /// The records of a Call-ID that are kept: one for each way that the call took past this node.
    pub fn of(&self, call_id: &str) -> Vec<Arc<Record>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let same = newest.iter().filter(|record| record.call_id == call_id);
        same.cloned().collect()
    }

    /// How many calls are followed.
    pub fn followed(&self) -> usize {
        let live = |entry: &Entry| matches!(entry, Entry::Live(_));
        self.calls.iter().filter(|entry| live(entry)).count()
    }

    /// How many calls got each verdict.
    pub fn verdicts(&self) -> Vec<(&'static str, u64)> {
        let read =
            |(code, count): (&Code, &AtomicU64)| (code.label(), count.load(Ordering::Relaxed));
        Code::ALL.iter().zip(&self.counts).map(read).collect()
    }

    /// Calls without a record, and records that were not written: a queue or table was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How long calls took until they rang.
    pub fn setup(&self) -> &Histogram {
        &self.setup
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}
