//! The transactions of a node, found by what arrives: RFC 3261 §17.1.3 and §17.2.3.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use proxy::{ConnectionId, Flow};
use sip::{Header, Message, Method};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::transaction::Transaction;

const SHARDS: usize = 64;

/// All transactions: by the request that made them, and by the branches that they sent.
pub(crate) struct Table {
    keys: (u64, u64),
    servers: DashMap<u64, Arc<Transaction>>,
    clients: DashMap<u64, (u64, u8)>,
    /// Which transactions a connection that closes concerns.
    by_connection: DashMap<ConnectionId, SmallVec<[u64; 2]>>,
    count: AtomicUsize,
}

/// Transactions at once: what is beyond is answered 503. Each holds its messages, some 10 kB.
const TRANSACTIONS: usize = 200_000;

impl Table {
    /// An empty table; `keys` are random, so that nobody can aim at another's place in it.
    pub(crate) fn new(keys: (u64, u64)) -> Self {
        Self {
            keys,
            servers: DashMap::with_shard_amount(SHARDS),
            clients: DashMap::with_shard_amount(SHARDS),
            by_connection: DashMap::with_shard_amount(SHARDS),
            count: AtomicUsize::new(0),
        }
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.keys.0, self.keys.1)
    }

    /// What a request and its retransmissions have in common (§17.2.3): branch and sent-by of the top Via and the method,
    /// where an ACK and a CANCEL count as their INVITE's. Call-ID and CSeq make it hold for RFC 2543's branches too.
    pub(crate) fn server_key(&self, request: &Message) -> u64 {
        let mut hasher = self.hasher();
        if let Some(via) = request.top_via() {
            hasher.write(via.branch.unwrap_or_default());
            hasher.write(via.host);
            hasher.write_u16(via.port.unwrap_or_default());
        }
        hasher.write(request.call_id());
        hasher.write(request.from_tag().unwrap_or_default());
        hasher.write_u32(request.cseq().map_or(0, |cseq| cseq.number));
        match request.method() {
            Method::Ack | Method::Cancel => hasher.write(b"INVITE"),
            other => hasher.write(other.as_bytes()),
        }
        hasher.finish()
    }

    /// What one of our branches is found by.
    pub(crate) fn client_key(&self, branch: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(branch);
        hasher.finish()
    }

    /// Messages of the same key are handled one after the other while one of them waits.
    pub(crate) fn call_key(&self, message: &Message, flow: &Flow) -> u64 {
        use std::hash::Hash;
        let mut hasher = self.hasher();
        hasher.write(message.header(Header::CallId).unwrap_or_default());
        flow.hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn get(&self, key: u64) -> Option<Arc<Transaction>> {
        self.servers.get(&key).map(|entry| entry.clone())
    }

    /// The transaction that a request belongs to.
    pub(crate) fn of(&self, request: &Message) -> Option<Arc<Transaction>> {
        // What is relayed without being remembered need not look into an empty table.
        if self.len() == 0 {
            None
        } else {
            self.get(self.server_key(request))
        }
    }

    /// The transaction and the index of the branch that a response is for.
    pub(crate) fn client(&self, branch: &[u8]) -> Option<(Arc<Transaction>, u8)> {
        if self.len() == 0 {
            return None;
        }
        let (server, index) = *self.clients.get(&self.client_key(branch))?;
        Some((self.get(server)?, index))
    }

    pub(crate) fn insert(&self, transaction: Arc<Transaction>) {
        self.watch(transaction.source.connection, transaction.key);
        if self.servers.insert(transaction.key, transaction).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A branch of `server` was sent by `flow`.
    pub(crate) fn insert_client(&self, client: u64, server: u64, index: u8, flow: &Flow) {
        self.watch(flow.connection, server);
        self.clients.insert(client, (server, index));
    }

    fn watch(&self, connection: Option<ConnectionId>, server: u64) {
        if let Some(connection) = connection {
            self.by_connection
                .entry(connection)
                .or_default()
                .push(server);
        }
    }

    fn unwatch(&self, connection: Option<ConnectionId>, server: u64) {
        let Some(connection) = connection else { return };
        if let Some(mut watched) = self.by_connection.get_mut(&connection) {
            watched.retain(|key| *key != server);
        }
        self.by_connection
            .remove_if(&connection, |_, watched| watched.is_empty());
    }

    /// Forgets a transaction and its branches.
    pub(crate) fn remove<'a>(
        &self,
        transaction: &Transaction,
        branches: impl IntoIterator<Item = (u64, &'a Flow)>,
    ) {
        if self
            .servers
            .remove_if(&transaction.key, |_, kept| {
                std::ptr::eq(&**kept, transaction)
            })
            .is_some()
        {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        self.unwatch(transaction.source.connection, transaction.key);
        for (client, flow) in branches {
            self.clients.remove(&client);
            self.unwatch(flow.connection, transaction.key);
        }
    }

    /// How many transactions there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// True when no further one may be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= TRANSACTIONS
    }

    /// The transactions that came or went by a connection.
    pub(crate) fn of_connection(&self, flow: &Flow) -> Vec<Arc<Transaction>> {
        let Some(connection) = flow.connection else {
            return Vec::new();
        };
        let keys = self
            .by_connection
            .get(&connection)
            .map(|keys| keys.clone())
            .unwrap_or_default();
        keys.into_iter().filter_map(|key| self.get(key)).collect()
    }

    /// All of them, for what is rare.
    pub(crate) fn all(&self) -> Vec<Arc<Transaction>> {
        self.servers
            .iter()
            .map(|entry| entry.value().clone())
            .collect()
    }

    /// The INVITE of this Call-ID and CSeq number that is pending, for what belongs to it without its branch (PRACK, ACK).
    pub(crate) fn invite(&self, call_id: &[u8], number: u32) -> Option<Arc<Transaction>> {
        self.servers
            .iter()
            .map(|entry| entry.value().clone())
            .find(|transaction| {
                transaction.is_invite()
                    && transaction.request.call_id() == call_id
                    && transaction
                        .request
                        .cseq()
                        .is_some_and(|cseq| cseq.number == number)
            })
    }
}
