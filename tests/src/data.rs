//! The files under `tests/data`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The project's own folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Where a file of `tests/data` is.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// The bytes of a file of `tests/data`.
pub fn read(name: &str) -> Result<Vec<u8>> {
    fs::read(path(name)).with_context(|| format!("cannot read tests/data/{name}"))
}

/// The text of a file of `tests/data`.
pub fn read_text(name: &str) -> Result<String> {
    String::from_utf8(read(name)?).with_context(|| format!("tests/data/{name} is not UTF-8"))
}
