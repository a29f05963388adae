//! Certificates that a test makes for itself.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

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
        fs::write(&files.key, made.signing_key.serialize_pem())?;
        files.joined()
    }

    /// One of RSA 2048, made by the openssl tool: Debian's Kamailio 5.6.3 accepts no connection with an ECDSA one
    /// ("no suitable signature algorithm").
    pub fn write_rsa(folder: &Path, host: IpAddr) -> Result<Self> {
        let files = Self::in_folder(folder);
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
                "/CN=test", "-addext",
            ])
            .arg(format!("subjectAltName=IP:{host}"))
            .arg("-keyout")
            .arg(&files.key)
            .arg("-out")
            .arg(&files.chain)
            .output()
            .context("openssl is missing")?;
        if !made.status.success() {
            bail!(
                "openssl made no certificate: {}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
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
        fs::write(&self.both, both)?;
        Ok(self)
    }
}
