//! The cluster's keys: from the file that every node has, or one of our own that survives a restart.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proxy::key::{self, Keys};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or made.
    #[error("the key file {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it is no key file.
    #[error("the key file {path}: {source}")]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        source: key::KeyError,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// The keys of `file`; without one, those of `node.key` in `data`, which is made at the first start.
pub(super) fn load(file: Option<&Path>, data: &Path) -> Result<Keys, KeyError> {
    let own = own(data);
    if file.is_none() && !own.exists() {
        make(&own)?;
    }
    read(file.unwrap_or(&own))
}

/// The same without making any: `None` if there are none yet.
pub(crate) fn existing(file: Option<&Path>, data: &Path) -> Result<Option<Keys>, KeyError> {
    let own = own(data);
    if file.is_none() && !own.exists() {
        return Ok(None);
    }
    read(file.unwrap_or(&own)).map(Some)
}

fn own(data: &Path) -> PathBuf {
    data.join("node.key")
}

fn read(path: &Path) -> Result<Keys, KeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeyError::Io {
        path: path.to_owned(),
        source,
    })?;
    Keys::parse(&text).map_err(|source| KeyError::Content {
        path: path.to_owned(),
        source,
    })
}

fn make(path: &Path) -> Result<(), KeyError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let text = format!(
        "# id, key, verifies from, signs from\n0 {} 0 0\n",
        hex::encode(secret)
    );
    let io = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    // Readable by its owner alone from the first moment on.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io)
}
