//! Certificates that a test makes for itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A self-signed certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate; also what a client has to trust.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Both in one file, as baresip wants it.
    pub both: PathBuf,
}

impl Certificate {
    /// Makes one of ECDSA P-256 for `names` (DNS names and addresses) in `folder`.
    pub fn write(folder: &Path, names: &[&str]) -> Result<Self> {
        let names: Vec<String> = names
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| (*name).to_owned())
            .collect();
        let made =
            rcgen::generate_simple_self_signed(names).context("no certificate could be made")?;
        let files = Self::in_folder(folder);
        fs::write(&files.chain, made.cert.pem())?;
        write_secret(&files.key, made.signing_key.serialize_pem().as_bytes())?;
        files.joined()
    }

    fn in_folder(folder: &Path) -> Self {
        Certificate {
            chain: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            both: folder.join("certificate-and-key.pem"),
        }
    }

    fn joined(self) -> Result<Self> {
        let mut both = fs::read(&self.chain)?;
        both.extend(fs::read(&self.key)?);
        write_secret(&self.both, &both)?;
        Ok(self)
    }
}

/// Writes what its owner alone may read: Causeway refuses keys and passwords that others can read.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(bytes)?)
}
