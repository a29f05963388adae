//! A certificate chain and its key: read from files, and checked to belong together before a phone finds out.
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::Error as TlsError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::check::Checks;
use super::listen::Listen;
use super::schema::section;

section! {
    /// A certificate and its key, both PEM.
    pub struct Certificate {
        /// The certificate and those between it and a root, the server's own first.
        pub chain: PathBuf = PathBuf::new(), required();
        /// The private key of the first certificate; readable by its owner alone. ECDSA P-256 costs a third of RSA 2048 a handshake.
        pub key: PathBuf = PathBuf::new(), required();
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The chain cannot be read or holds no certificate.
    #[error("{path} holds no PEM certificate: {reason}")]
    Chain {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The key cannot be read or is none that TLS knows.
    #[error("{path} holds no PEM private key: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// Both are good, but the key is another certificate's.
    #[error("{key} is not the key of the first certificate in {chain}")]
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl Certificate {
    /// Reads both files and proves that they belong together.
    pub fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let chain = read_chain(&self.chain)?;
        let no_key = |reason: String| CertificateError::Key {
            path: self.key.clone(),
            reason,
        };
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(|error| no_key(error.to_string()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            TlsError::InconsistentKeys(_) => CertificateError::Mismatch {
                chain: self.chain.clone(),
                key: self.key.clone(),
            },
            TlsError::InvalidCertificate(reason) => CertificateError::Chain {
                path: self.chain.clone(),
                reason: format!("{reason:?}"),
            },
            other => no_key(other.to_string()),
        })
    }

    /// Whether the files can be read, belong together, are in date and name what the listener advertises.
    pub(crate) fn check(&self, at: &str, listen: &Listen, checks: &mut Checks<'_>) {
        let (chain_at, key_at) = (format!("{at}.chain"), format!("{at}.key"));
        if !checks.source.wrote(&chain_at) || !checks.source.wrote(&key_at) {
            return; // a missing key was said by the reader
        }
        let readable = [
            checks.file(&chain_at, &self.chain).is_some(),
            checks.secret_file(&key_at, &self.key).is_some(),
        ];
        if readable != [true, true] {
            return;
        }
        match self.load(&rustls::crypto::ring::default_provider()) {
            Ok(certified) => self.check_content(&chain_at, &certified, listen, checks),
            Err(error) => {
                let (place, help) = match &error {
                    CertificateError::Chain { .. } => (
                        &chain_at,
                        "a PEM file with -----BEGIN CERTIFICATE-----, the server's own certificate first",
                    ),
                    CertificateError::Key { .. } => (
                        &key_at,
                        "a PEM file with -----BEGIN PRIVATE KEY-----, RSA, ECDSA or Ed25519, not encrypted",
                    ),
                    CertificateError::Mismatch { .. } => (
                        &key_at,
                        "name the key with which this certificate was requested; both change when it is renewed",
                    ),
                };
                let found = checks.source.error(place, error.to_string());
                checks.push(found.help(help));
            }
        }
    }

    fn check_content(
        &self,
        at: &str,
        certified: &CertifiedKey,
        listen: &Listen,
        checks: &mut Checks<'_>,
    ) {
        let Some(Ok((_, first))) = certified
            .cert
            .first()
            .map(|der| X509Certificate::from_der(der))
        else {
            return;
        };
        let now = seconds(checks.now);
        let (begin, end) = (first.validity().not_before, first.validity().not_after);
        if now > end.timestamp() {
            let found = checks
                .source
                .warning(at, format!("the certificate expired on {end}"));
            checks.push(found.help("browsers and phones refuse it: renew it"));
        } else if now < begin.timestamp() {
            let found = checks
                .source
                .warning(at, format!("the certificate is not valid before {begin}"));
            checks.push(found.help("is the clock of this machine right?"));
        }
        let Some(advertise) = &listen.advertise else {
            return;
        };
        let names = names(&first);
        if !names.iter().any(|name| covers(name, &advertise.host)) {
            let message = format!(
                "the certificate is not for `{}`, which is advertised",
                advertise.host
            );
            let found = checks.source.warning(at, message);
            checks.push(found.help(format!(
                "it is for {}; phones that verify will not connect",
                names.join(", ")
            )));
        }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |reason: String| CertificateError::Chain {
        path: path.to_owned(),
        reason,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(error.to_string()))?
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() {
        Err(wrong("no certificate in it".to_owned()))
    } else {
        Ok(chain)
    }
}

fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// RFC 6125 §6.4: the names that a client compares are the alternative ones.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(name)
        .collect()
}

fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => name.eq_ignore_ascii_case(host),
    }
}
