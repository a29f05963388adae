//! How many calls each peer and each member of a group has. An INVITE takes a [`Place`], the call that it makes holds it, and
//! dropping it gives it back: so no count is ever negative, and with no call left all are zero.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use proxy::Room;

use crate::guard::{Complaint, Pace};

/// What a peer may do; 0 is no limit.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// The peer's name.
    pub name: String,
    /// Calls at once that it begins.
    pub calls: u32,
    /// Calls that it begins in a second.
    pub calls_per_second: u32,
}

/// What is shown of a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerState {
    /// Its name.
    pub peer: String,
    /// Calls that it began and that ring or are up.
    pub calls: u32,
    /// How many it may have; 0 is no limit.
    pub limit: u32,
    /// INVITEs refused because it had as many as it may.
    pub too_many: u64,
    /// INVITEs refused because they came too fast.
    pub too_fast: u64,
}

/// The counts of a node.
#[derive(Default)]
pub(crate) struct Counts {
    peers: Vec<Peer>,
    members: DashMap<(usize, usize), u32>,
}

struct Peer {
    quota: Quota,
    pace: Option<Pace>,
    /// Where it is in its pace.
    due: AtomicU64,
    calls: AtomicU32,
    too_many: AtomicU64,
    too_fast: AtomicU64,
    complaint: Complaint,
}

impl Counts {
    /// Nobody has a call yet.
    pub(crate) fn new(quotas: Vec<Quota>) -> Self {
        let peer = |quota: Quota| Peer {
            pace: Pace::new(quota.calls_per_second, quota.calls_per_second),
            quota,
            due: AtomicU64::new(0),
            calls: AtomicU32::new(0),
            too_many: AtomicU64::new(0),
            too_fast: AtomicU64::new(0),
            complaint: Complaint::default(),
        };
        Self {
            peers: quotas.into_iter().map(peer).collect(),
            members: DashMap::new(),
        }
    }

    /// A place for a call that a peer begins at `now`, if its limits allow one. What is refused is counted, and a line of the
    /// log a second says so.
    ///
    /// # Errors
    /// Which of them does not.
    pub(crate) fn ask(self: &Arc<Self>, peer: usize, now: Duration) -> Result<Place, Room> {
        let Some(known) = self.peers.get(peer) else {
            return Ok(self.place(None, None));
        };
        let limit = known.quota.calls;
        let one_more =
            |calls: u32| (limit == 0 || calls < limit).then_some(calls.saturating_add(1));
        let refusal = match known.calls.fetch_update(Relaxed, Relaxed, one_more) {
            Err(_) => Room::TooMany,
            Ok(_) => {
                let place = Place {
                    counts: self.clone(),
                    peer: Some(peer),
                    member: None,
                };
                match &known.pace {
                    Some(pace) if !pace.admit(&known.due, now) => Room::TooFast,
                    _ => return Ok(place),
                }
            }
        };
        known.refuse(refusal, now);
        Err(refusal)
    }

    /// A place that no limit denies.
    pub(crate) fn place(
        self: &Arc<Self>,
        peer: Option<usize>,
        member: Option<(usize, usize)>,
    ) -> Place {
        let peer = peer.filter(|peer| *peer < self.peers.len());
        if let Some(known) = peer.and_then(|peer| self.peers.get(peer)) {
            known.calls.fetch_add(1, Relaxed);
        }
        let mut place = Place {
            counts: self.clone(),
            peer,
            member: None,
        };
        place.moves_to(member);
        place
    }

    /// Calls of a member that ring or are up.
    pub(crate) fn of_member(&self, group: usize, member: usize) -> u32 {
        self.members.get(&(group, member)).map_or(0, |count| *count)
    }

    /// All peers, in their order.
    pub(crate) fn peers(&self) -> Vec<PeerState> {
        let state = |peer: &Peer| PeerState {
            peer: peer.quota.name.clone(),
            calls: peer.calls.load(Relaxed),
            limit: peer.quota.calls,
            too_many: peer.too_many.load(Relaxed),
            too_fast: peer.too_fast.load(Relaxed),
        };
        self.peers.iter().map(state).collect()
    }

    /// The name of a peer.
    pub(crate) fn name(&self, peer: usize) -> Option<&str> {
        self.peers.get(peer).map(|peer| peer.quota.name.as_str())
    }

    fn leave(&self, member: (usize, usize)) {
        if let Entry::Occupied(mut count) = self.members.entry(member) {
            match count.get() {
                0 | 1 => drop(count.remove()),
                _ => *count.get_mut() -= 1,
            }
        }
    }
}

impl Peer {
    fn refuse(&self, refusal: Room, now: Duration) {
        let (count, words) = match refusal {
            Room::TooFast => (
                &self.too_fast,
                "more calls than the peer's calls_per_second",
            ),
            _ => (&self.too_many, "more calls at once than the peer's calls"),
        };
        count.fetch_add(1, Relaxed);
        if let Some(since) = self.complaint.due(now) {
            tracing::warn!(
                peer = ?self.quota.name,
                since_last_line = since,
                "a call is refused: {words}"
            );
        }
    }
}

/// What a call counts for, from its INVITE to its end.
pub(crate) struct Place {
    counts: Arc<Counts>,
    peer: Option<usize>,
    member: Option<(usize, usize)>,
}

impl Place {
    /// Another member of a group has the call.
    pub(crate) fn moves_to(&mut self, member: Option<(usize, usize)>) {
        if self.member == member {
            return;
        }
        if let Some(before) = self.member.take() {
            self.counts.leave(before);
        }
        if let Some(member) = member {
            *self.counts.members.entry(member).or_insert(0) += 1;
        }
        self.member = member;
    }

    /// The peer that began it.
    pub(crate) fn peer(&self) -> Option<usize> {
        self.peer
    }

    /// The member that has it.
    pub(crate) fn member(&self) -> Option<(usize, usize)> {
        self.member
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.moves_to(None);
        if let Some(peer) = self.peer.and_then(|peer| self.counts.peers.get(peer)) {
            peer.calls.fetch_sub(1, Relaxed);
        }
    }
}
