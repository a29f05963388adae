//! Where bindings live: in memory for reading, on disk so that every answered REGISTER outlives the process.

mod index;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::aor::Aor;
use super::binding::Binding;
use index::Index;
pub use sqlite::StoreError;
use sqlite::{Writer, Written};

/// All bindings of this node.
#[derive(Debug)]
pub(super) struct Store {
    aors: DashMap<Aor, Record>,
    /// Who has registered a Contact: it may be quoted by others (SIGNALLING §5).
    contacts: Index,
    /// Whose bindings go by a Path: to drop them when its flow is gone.
    paths: Index,
    writer: Writer,
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct Record {
    bindings: Vec<Binding>,
    /// The number of the last change, so that a failed one is undone only while nothing came after it.
    version: u64,
}

/// A change that is visible already and on its way to the disk.
#[derive(Debug)]
#[must_use = "only what was waited for is on disk"]
pub(super) struct Pending(Option<Waiting>);

#[derive(Debug)]
struct Waiting {
    written: Written,
    aor: Aor,
    version: u64,
}

impl Store {
    /// Opens or makes the SQLite file and loads what has not expired at `now_ms`. `:memory:` keeps nothing.
    pub(super) fn open(path: &Path, now_ms: u64) -> Result<Self, StoreError> {
        Self::open_sized(path, sqlite::MAX_PAGES, now_ms)
    }

    fn open_sized(path: &Path, max_pages: u32, now_ms: u64) -> Result<Self, StoreError> {
        let (writer, bindings) = Writer::open(path, max_pages)?;
        let store = Self {
            aors: DashMap::new(),
            contacts: Index::default(),
            paths: Index::default(),
            writer,
            changes: AtomicU64::new(0),
        };
        for (aor, binding) in bindings {
            if binding.expires > now_ms {
                store
                    .contacts
                    .add(&index::contact_key(&binding.contact), &aor);
                if let Some(path) = binding.path.first() {
                    store.paths.add(path, &aor);
                }
                store.aors.entry(aor).or_default().bindings.push(binding);
            }
        }
        Ok(store)
    }

    /// The bindings of an AOR, expired ones among them.
    pub(super) fn get(&self, aor: &Aor) -> Vec<Binding> {
        self.aors
            .get(aor)
            .map(|record| record.bindings.clone())
            .unwrap_or_default()
    }

    /// How many bindings there are, expired ones that nobody swept included.
    pub(super) fn len(&self) -> usize {
        self.aors.iter().map(|record| record.bindings.len()).sum()
    }

    /// True if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The AORs that have registered this Contact, the first one first.
    pub(super) fn aors_of_contact(&self, uri: &[u8]) -> Vec<Aor> {
        self.contacts.get(&index::contact_key(uri))
    }

    /// The AORs that have a binding whose first Path value is this.
    pub(super) fn aors_of_path(&self, path: &[u8]) -> Vec<Aor> {
        self.paths.get(path)
    }

    /// Changes an AOR's bindings as `decide` says: `Ok(Some(list))` for new ones, `Ok(None)` for no change. Nobody else
    /// changes or sees them meanwhile. [`finish`](Self::finish) waits for the disk.
    pub(super) fn update<E: From<StoreError>>(
        &self,
        aor: &Aor,
        decide: impl FnOnce(&[Binding]) -> Result<Option<Vec<Binding>>, E>,
    ) -> Result<Pending, E> {
        let entry = self.aors.entry(aor.clone());
        let held: &[Binding] = match &entry {
            Entry::Occupied(record) => &record.get().bindings,
            Entry::Vacant(_) => &[],
        };
        let Some(bindings) = decide(held)? else {
            return Ok(Pending(None));
        };
        // Queued while the entry is locked, so that the disk sees changes of one AOR in the order of memory.
        let written = self.writer.write(aor.clone(), bindings.clone())?;
        self.reindex(aor, held, &bindings);
        let mut record = entry.or_default();
        record.bindings = bindings;
        let version = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        record.version = version;
        drop(record);
        Ok(Pending(Some(Waiting {
            written,
            aor: aor.clone(),
            version,
        })))
    }

    /// Waits until a change is on disk. If it cannot be, memory takes over what is there, unless it has gone on: the
    /// change that came after will then do so.
    pub(super) async fn finish(&self, pending: Pending) -> Result<(), StoreError> {
        let Some(waiting) = pending.0 else {
            return Ok(());
        };
        let closed = || Err(StoreError::Closed.into());
        let Err(failure) = waiting.written.await.unwrap_or_else(|_| closed()) else {
            return Ok(());
        };
        if let Some(kept) = failure.kept
            && let Some(mut record) = self.aors.get_mut(&waiting.aor)
            && record.version == waiting.version
        {
            self.reindex(&waiting.aor, &record.bindings, &kept);
            record.bindings = kept;
        }
        Err(failure.error)
    }

    /// Drops what has expired, from memory at once and from disk soon, and says what that was. For every few seconds;
    /// look-ups pass over expired bindings anyway.
    pub(super) fn sweep(&self, now_ms: u64) -> Vec<(Aor, Binding)> {
        let expired = |binding: &Binding| binding.expires <= now_ms;
        let stale: Vec<Aor> = self
            .aors
            .iter()
            .filter(|record| record.bindings.is_empty() || record.bindings.iter().any(expired))
            .map(|record| record.key().clone())
            .collect();
        let mut gone = Vec::new();
        for aor in stale {
            gone.extend(
                self.remove(&aor, expired)
                    .into_iter()
                    .map(|binding| (aor.clone(), binding)),
            );
            self.aors
                .remove_if(&aor, |_, record| record.bindings.is_empty());
        }
        gone
    }

    /// Removes bindings of an AOR and says which; the disk follows. If it does not, they are back after a restart,
    /// until a request finds that they lead nowhere.
    pub(super) fn remove(&self, aor: &Aor, which: impl Fn(&Binding) -> bool) -> Vec<Binding> {
        let mut gone = Vec::new();
        let result: Result<Pending, StoreError> = self.update(aor, |held| {
            let (removed, kept): (Vec<_>, Vec<_>) =
                held.iter().cloned().partition(|binding| which(binding));
            gone = removed;
            Ok((!gone.is_empty()).then_some(kept))
        });
        match result {
            Ok(_) => gone,
            Err(error) => {
                tracing::warn!(%error, %aor, "bindings stay for now");
                Vec::new()
            }
        }
    }

    fn reindex(&self, aor: &Aor, before: &[Binding], after: &[Binding]) {
        let contacts = |bindings: &[Binding]| {
            bindings
                .iter()
                .map(|binding| index::contact_key(&binding.contact))
                .collect()
        };
        self.contacts.change(aor, contacts(before), contacts(after));
        let paths = |bindings: &[Binding]| {
            bindings
                .iter()
                .filter_map(|binding| binding.path.first().cloned())
                .collect()
        };
        self.paths.change(aor, paths(before), paths(after));
    }
}
