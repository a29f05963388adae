//! Bindings on disk: SQLite with a write-ahead log, one thread that writes, many changes to a commit.
//!
//! WAL with synchronous=NORMAL: what was answered outlives the death of the process (kill -9), and the file stays whole
//! even when the machine loses power, though the last commits may then be missing; devices register again.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Row, Transaction, params};
use sip::values::Values;
use tokio::sync::oneshot;

use super::super::aor::Aor;
use super::super::binding::Binding;

/// Raised with each change of the table.
const VERSION: i32 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS binding (
        aor BLOB NOT NULL,
        place INTEGER NOT NULL,
        contact BLOB NOT NULL,
        q INTEGER NOT NULL,
        instance BLOB,
        reg_id INTEGER,
        call_id BLOB NOT NULL,
        cseq INTEGER NOT NULL,
        path BLOB NOT NULL,
        user_agent BLOB,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (aor, place)
    ) WITHOUT ROWID;";

const INSERT: &str = "INSERT INTO binding (aor, place, contact, q, instance, reg_id, call_id, cseq, path, user_agent,
    created, updated, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const SELECT: &str = "SELECT aor, contact, q, instance, reg_id, call_id, cseq, path, user_agent, created, updated, expires
    FROM binding";

/// Changes that may wait for the disk. At 500 bytes each this is 2 MB; a REGISTER beyond it fails.
const QUEUE: usize = 4096;

/// Pages of 4 KiB that the file may grow to: 4 GiB, some eight million bindings. Beyond it REGISTERs fail, but the disk
/// stays usable for everything else.
pub(super) const MAX_PAGES: u32 = 1 << 20;

/// Pages kept in memory: some 150,000 bindings. With SQLite's 2 MiB a change of one among 100,000 costs 24 µs of CPU, with
/// this 19, and among 1,000 13; memory is taken only as bindings come.
const CACHE_KIB: i64 = 64 * 1024;
/// Pages in the log, 32 MiB, before they go to the file: a page that changes again meanwhile goes once.
const LOG_PAGES: u32 = 8192;

/// Changes of one commit at most, so that none waits long for its neighbours.
const BATCH: usize = 512;

/// Why bindings could not be read or kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened as what it should be.
    #[error("cannot open the bindings in {}: {why}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Another process has the file; two would overwrite each other's bindings.
    #[error("another process uses the bindings in {}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later version of Causeway wrote the file.
    #[error("the bindings in {} are of version {found}, and this program knows {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// No room is left.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed.
    #[error("the disk failed: {0}")]
    Failed(String),
    /// More changes wait for the disk than are allowed.
    #[error("the disk is too slow: {QUEUE} changes wait for it")]
    Behind,
    /// The writing thread is gone.
    #[error("the store is closed")]
    Closed,
}

/// All bindings of an AOR from now on, and who waits for that.
struct Change {
    aor: Aor,
    bindings: Vec<Binding>,
    done: oneshot::Sender<Result<(), Failure>>,
}

/// A change that is not on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// What the disk has of that AOR, if that could be read.
    pub(super) kept: Option<Vec<Binding>>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, kept: None }
    }
}

/// The thread that writes. Dropped, it writes what waits and ends.
#[derive(Debug)]
pub(super) struct Writer {
    changes: Option<SyncSender<Change>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer that comes when a change is on disk.
pub(super) type Written = oneshot::Receiver<Result<(), Failure>>;

impl Writer {
    /// Opens or makes the file and reads what is in it.
    pub(super) fn open(
        path: &Path,
        max_pages: u32,
    ) -> Result<(Self, Vec<(Aor, Binding)>), StoreError> {
        let (connection, bindings) = open(path, max_pages).map_err(|error| match error {
            Opening::Sqlite(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) =>
            {
                StoreError::InUse {
                    path: path.to_owned(),
                }
            }
            Opening::Sqlite(error) => StoreError::Open {
                path: path.to_owned(),
                why: error.to_string(),
            },
            Opening::Version(found) => StoreError::Version {
                path: path.to_owned(),
                found,
            },
        })?;
        let (changes, waiting) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("bindings".to_owned())
            .spawn(move || write(connection, &waiting))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let writer = Self {
            changes: Some(changes),
            thread: Some(thread),
        };
        Ok((writer, bindings))
    }

    /// Hands a change to the thread; never waits. Changes reach the disk in the order of these calls.
    pub(super) fn write(&self, aor: Aor, bindings: Vec<Binding>) -> Result<Written, StoreError> {
        let (done, written) = oneshot::channel();
        let changes = self.changes.as_ref().ok_or(StoreError::Closed)?;
        match changes.try_send(Change {
            aor,
            bindings,
            done,
        }) {
            Ok(()) => Ok(written),
            Err(TrySendError::Full(_)) => Err(StoreError::Behind),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Closed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes bindings has panicked");
        }
    }
}

enum Opening {
    Sqlite(rusqlite::Error),
    Version(i32),
}

impl From<rusqlite::Error> for Opening {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn open(path: &Path, max_pages: u32) -> Result<(Connection, Vec<(Aor, Binding)>), Opening> {
    let connection = Connection::open(path)?;
    // Long enough for a process that is just ending to let go of the file.
    connection.busy_timeout(Duration::from_secs(1))?;
    // Held until the process ends, however it ends.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "max_page_count", max_pages)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    let found: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(Opening::Version(found));
    }
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    let bindings = connection
        .prepare(&format!("{SELECT} ORDER BY created, aor, place"))?
        .query_map([], read)?
        .collect::<Result<_, _>>()?;
    Ok((connection, bindings))
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Aor, Binding)> {
    let boxed = |index| row.get::<_, Vec<u8>>(index).map(Vec::into_boxed_slice);
    let optional = |index| {
        row.get::<_, Option<Vec<u8>>>(index)
            .map(|bytes| bytes.map(Vec::into_boxed_slice))
    };
    let time = |index| {
        row.get::<_, i64>(index)
            .map(|time| u64::try_from(time).unwrap_or(0))
    };
    let path: Vec<u8> = row.get(7)?;
    let binding = Binding {
        contact: boxed(1)?,
        q: row.get(2)?,
        instance: optional(3)?,
        reg_id: row.get(4)?,
        call_id: boxed(5)?,
        cseq: row.get(6)?,
        path: Values::new(&path, true).map(Into::into).collect(),
        user_agent: optional(8)?,
        created: time(9)?,
        updated: time(10)?,
        expires: time(11)?,
    };
    Ok((Aor::from_stored(&row.get::<_, Vec<u8>>(0)?), binding))
}

/// The thread: waits for a change, takes what else waits, commits, tells all.
fn write(mut connection: Connection, waiting: &Receiver<Change>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let result =
            commit(&mut connection, &batch).map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreError::Full,
                _ => StoreError::Failed(error.to_string()),
            });
        if let Err(error) = &result {
            tracing::error!(%error, changes = batch.len(), "bindings could not be written");
        }
        for change in batch {
            let result = result.clone().map_err(|error| Failure {
                error,
                kept: kept(&connection, &change.aor),
            });
            // Who asked may have gone, for example with its connection.
            let _ = change.done.send(result);
        }
    }
}

/// What the disk has of an AOR.
fn kept(connection: &Connection, aor: &Aor) -> Option<Vec<Binding>> {
    let mut select = connection
        .prepare_cached(&format!("{SELECT} WHERE aor = ?1 ORDER BY place"))
        .ok()?;
    let rows = select.query_map([aor.as_bytes()], read).ok()?;
    rows.map(|row| row.map(|(_, binding)| binding).ok())
        .collect()
}

fn commit(connection: &mut Connection, batch: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in batch {
        replace(&transaction, change)?;
    }
    transaction.commit()
}

fn replace(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    let aor = change.aor.as_bytes();
    transaction
        .prepare_cached("DELETE FROM binding WHERE aor = ?1")?
        .execute([aor])?;
    let time = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    for (place, binding) in (0i64..).zip(&change.bindings) {
        transaction.prepare_cached(INSERT)?.execute(params![
            aor,
            place,
            &*binding.contact,
            binding.q,
            binding.instance.as_deref(),
            binding.reg_id,
            &*binding.call_id,
            binding.cseq,
            binding.path.join(&b", "[..]),
            binding.user_agent.as_deref(),
            time(binding.created),
            time(binding.updated),
            time(binding.expires),
        ])?;
    }
    Ok(())
}
