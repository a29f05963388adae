//! Nonces that need no memory to be verified, and the memory that keeps them from being used twice (SIGNALLING §7).
//!
//! ```text
//! key id 1 | milliseconds since 1970 6 | unique 5 | HMAC 12        32 characters of base64url
//! ```
//! The HMAC is the cluster's, over all that and the realm, so any node verifies what any other made.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proxy::key::Keys;
use proxy::token::base64url;
use subtle::ConstantTimeEq;

const MAC_BYTES: usize = 12;
const BYTES: usize = 1 + 6 + 5 + MAC_BYTES;
const LABEL: &str = "causeway nonce";

/// What tells nonces apart: when it was made, and the unique part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct NonceId {
    /// Milliseconds since 1970.
    made: u64,
    unique: u64,
}

/// How a nonce that came back is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// Ours, and young enough.
    Fresh(NonceId),
    /// Ours for this realm, but too old; or not ours at all. The answer is the same.
    Stale,
}

/// Makes nonces that differ, also from those of other nodes and of this one before a restart.
#[derive(Debug)]
pub(super) struct Nonces {
    next: AtomicU64,
}

impl Nonces {
    /// `start` is drawn at random once: nonces need not be guessed badly, the HMAC sees to that, they only must differ.
    pub(super) fn new(start: u64) -> Self {
        Self {
            next: AtomicU64::new(start),
        }
    }

    /// A new nonce for who asks from `peer`.
    pub(super) fn make(&self, keys: &Keys, realm: &str, peer: IpAddr, now_ms: u64) -> String {
        let key = keys.signing(now_ms / 1000);
        let unique = self.next.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(key.id());
        bytes.extend_from_slice(&now_ms.to_be_bytes()[2..]);
        bytes.extend_from_slice(&unique.to_be_bytes()[3..]);
        let mac = key.mac(LABEL, &[&bytes, realm.as_bytes(), &octets(peer)]);
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        base64url::encode(&bytes)
    }
}

/// What to think of `nonce`, which was made for `realm` and who asked from `peer`, and is good for `lifetime`. From elsewhere it
/// is stale: else a user could register the address of somebody who never asked, and have us call him.
pub(super) fn judge(
    keys: &Keys,
    nonce: &[u8],
    realm: &str,
    peer: IpAddr,
    lifetime: Duration,
    now_ms: u64,
) -> Age {
    verified(keys, nonce, realm, peer, now_ms)
        // A clock of another node may be a little ahead; a nonce from the future is young.
        .filter(|id| now_ms.saturating_sub(id.made) <= lifetime.as_millis() as u64)
        .map_or(Age::Stale, Age::Fresh)
}

fn verified(keys: &Keys, nonce: &[u8], realm: &str, peer: IpAddr, now_ms: u64) -> Option<NonceId> {
    let bytes: [u8; BYTES] = base64url::decode(nonce)?.as_slice().try_into().ok()?;
    let (body, mac_given) = bytes.split_at(BYTES - MAC_BYTES);
    let key = keys.verifying(body[0], now_ms / 1000)?;
    let mac = key.mac(LABEL, &[body, realm.as_bytes(), &octets(peer)]);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    bool::from(mac[..MAC_BYTES].ct_eq(mac_given)).then(|| NonceId {
        made: number(&body[1..7]),
        unique: number(&body[7..12]),
    })
}

fn octets(peer: IpAddr) -> [u8; 16] {
    match peer {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The highest nonce count seen of each nonce, bounded. Only right digests get in, so it cannot be filled by strangers.
#[derive(Debug)]
pub(super) struct Counts {
    seen: HashMap<NonceId, u32>,
    order: VecDeque<NonceId>,
    limit: usize,
    lifetime: Duration,
    /// Nonces made up to here may have been forgotten, so they are good no more.
    forgotten: u64,
}

impl Counts {
    /// Remembers at most `limit` nonces (some 60 bytes each), and none longer than `lifetime`.
    pub(super) fn new(limit: usize, lifetime: Duration) -> Self {
        Self {
            seen: HashMap::new(),
            order: VecDeque::new(),
            limit: limit.max(1),
            lifetime,
            forgotten: 0,
        }
    }

    /// True if `count` grows beyond what was seen of this nonce, which is then remembered. False means replayed, or
    /// sent again by a client that does not count: SIP.js sends nc=00000001 with each refresh.
    pub(super) fn grows(&mut self, nonce: NonceId, count: u32, now_ms: u64) -> bool {
        self.drop_old(now_ms);
        if let Some(seen) = self.seen.get_mut(&nonce) {
            let grows = count > *seen;
            *seen = count.max(*seen);
            return grows;
        }
        if nonce.made <= self.forgotten {
            return false;
        }
        if self.order.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
            self.forgotten = self.forgotten.max(oldest.made);
        }
        self.seen.insert(nonce, count);
        self.order.push_back(nonce);
        true
    }

    fn drop_old(&mut self, now_ms: u64) {
        let lifetime = self.lifetime.as_millis() as u64;
        // What is older than its lifetime is refused by its time alone.
        while let Some(oldest) = self.order.front()
            && now_ms.saturating_sub(oldest.made) > lifetime
        {
            self.seen.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_785_542_400_000;
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const LIFE: Duration = Duration::from_secs(300);

    fn keys() -> Keys {
        Keys::single([7; 32])
    }

    #[test]
    fn a_nonce_is_good_for_its_lifetime_and_realm_on_any_node_of_the_cluster() {
        let nonce = Nonces::new(u64::MAX).make(&keys(), "example.test", PEER, NOW);
        assert_eq!(nonce.len(), 32);
        let fresh = |keys: &Keys, nonce: &str, realm, now| {
            judge(keys, nonce.as_bytes(), realm, PEER, LIFE, now) != Age::Stale
        };
        for (why, want, got) in [
            ("at once", true, fresh(&keys(), &nonce, "example.test", NOW)),
            (
                "at the end",
                true,
                fresh(&keys(), &nonce, "example.test", NOW + 300_000),
            ),
            (
                "after the end",
                false,
                fresh(&keys(), &nonce, "example.test", NOW + 300_001),
            ),
            (
                "a clock behind",
                true,
                fresh(&keys(), &nonce, "example.test", NOW - 2_000),
            ),
            (
                "another realm",
                false,
                fresh(&keys(), &nonce, "other.test", NOW),
            ),
            (
                "another cluster",
                false,
                fresh(&Keys::single([8; 32]), &nonce, "example.test", NOW),
            ),
            (
                "cut",
                false,
                fresh(&keys(), &nonce[..28], "example.test", NOW),
            ),
            (
                "longer",
                false,
                fresh(&keys(), &format!("{nonce}AAAA"), "example.test", NOW),
            ),
            (
                "Kamailio's",
                false,
                fresh(
                    &keys(),
                    "awRIP2sERxOWh0v+7K8oZX2RzW5nODVO",
                    "example.test",
                    NOW,
                ),
            ),
            ("none", false, fresh(&keys(), "", "example.test", NOW)),
        ] {
            assert_eq!(got, want, "{why}");
        }
    }

    #[test]
    fn a_nonce_is_good_where_it_was_asked_for() {
        let nonce = Nonces::new(1).make(&keys(), "example.test", PEER, NOW);
        for (peer, want) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::1", false),
        ] {
            let age = judge(
                &keys(),
                nonce.as_bytes(),
                "example.test",
                peer.parse().unwrap(),
                LIFE,
                NOW,
            );
            assert_eq!(age != Age::Stale, want, "{peer}");
        }
    }

    #[test]
    fn no_bit_of_a_nonce_can_be_changed() {
        let nonce = Nonces::new(1).make(&keys(), "example.test", PEER, NOW);
        let bytes = base64url::decode(nonce.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = base64url::encode(&changed);
            let age = judge(&keys(), text.as_bytes(), "example.test", PEER, LIFE, NOW);
            assert_eq!(age, Age::Stale, "bit {bit}");
        }
    }

    #[test]
    fn two_nonces_of_one_millisecond_differ() {
        let nonces = Nonces::new(0);
        assert_ne!(
            nonces.make(&keys(), "a", PEER, NOW),
            nonces.make(&keys(), "a", PEER, NOW)
        );
    }

    fn id(made: u64, unique: u64) -> NonceId {
        NonceId { made, unique }
    }

    #[test]
    fn a_count_has_to_grow() {
        let mut counts = Counts::new(10, LIFE);
        for (why, nonce, count, want) in [
            ("first use", id(NOW, 1), 1, true),
            ("the same again", id(NOW, 1), 1, false),
            ("another nonce", id(NOW, 2), 1, true),
            ("grown", id(NOW, 1), 2, true),
            ("with a gap", id(NOW, 1), 9, true),
            ("back", id(NOW, 1), 8, false),
            ("zero", id(NOW, 3), 0, true),
        ] {
            assert_eq!(counts.grows(nonce, count, NOW), want, "{why}");
        }
    }

    #[test]
    fn memory_is_bounded_and_what_it_forgot_is_no_longer_good() {
        let mut counts = Counts::new(3, LIFE);
        for step in 0..5 {
            assert!(counts.grows(id(NOW + step, step), 1, NOW));
        }
        assert_eq!((counts.seen.len(), counts.order.len()), (3, 3));
        assert!(
            !counts.grows(id(NOW, 0), 2, NOW),
            "forgotten, so it might be a replay"
        );
        assert!(counts.grows(id(NOW + 4, 4), 2, NOW));
        assert!(counts.grows(id(NOW + 300_010, 6), 1, NOW + 300_010));
        assert_eq!(counts.seen.len(), 1, "what is too old is dropped");
    }
}
