//! The file of records: a JSON object a line, written by a thread of its own, so that a slow disk holds up nobody.
//!
//! Who rotates renames or removes the file; the next record makes a new one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::guard::Complaint;

/// Records that may wait for the disk; beyond, they are lost and counted.
const WAITING: usize = 4096;

/// Where records are written.
pub(super) struct Writer(SyncSender<String>);

impl Writer {
    /// Opens the file, for this process alone to read: it says who calls whom.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        let (lines, queue) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || write(&path, file, &queue))?;
        Ok(Self(lines))
    }

    /// Queues a line; false if it is lost.
    pub(super) fn write(&self, line: String) -> bool {
        !matches!(
            self.0.try_send(line),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_))
        )
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Until nobody is left who could queue a line.
fn write(path: &Path, mut file: File, queue: &Receiver<String>) {
    let failed = Complaint::default();
    while let Ok(first) = queue.recv() {
        let mut text = first;
        text.push('\n');
        for line in queue.try_iter().take(WAITING) {
            text.push_str(&line);
            text.push('\n');
        }
        let opened = match is_still(path, &file) {
            true => Ok(()),
            false => open(path).map(|new| file = new),
        };
        let written = opened.and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written
            && let Some(since) = failed.due(crate::engine::now())
        {
            tracing::warn!(
                ?error,
                ?path,
                since_last_line = since,
                "records of calls could not be written"
            );
        }
    }
}

/// Whether the file at the path is the one that is open.
fn is_still(path: &Path, file: &File) -> bool {
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(at), Ok(open)) => (at.dev(), at.ino()) == (open.dev(), open.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(path: &Path, want: &str) {
        let began = std::time::Instant::now();
        while std::fs::read_to_string(path).ok().as_deref() != Some(want) {
            assert!(
                began.elapsed().as_secs() < 10,
                "{path:?} never said {want:?}"
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_file_that_was_rotated_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        let writer = Writer::open(path.clone()).unwrap();
        assert!(writer.write("{\"a\":1}".to_owned()));
        wait_for(&path, "{\"a\":1}\n");
        let old = folder.path().join("calls.jsonl.1");
        std::fs::rename(&path, &old).unwrap();
        assert!(writer.write("{\"a\":2}".to_owned()));
        wait_for(&path, "{\"a\":2}\n");
        wait_for(&old, "{\"a\":1}\n");
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "others may not read who calls whom");
    }

    #[test]
    fn records_beyond_the_queue_are_lost_and_nobody_waits() {
        let (lines, queue) = sync_channel(2);
        let writer = Writer(lines);
        let taken: Vec<bool> = (0..3).map(|_| writer.write(String::new())).collect();
        assert_eq!(taken, [true, true, false]);
        drop(queue);
        assert!(!writer.write(String::new()));
    }
}
