//! Certificates and TLS settings: PEM files with errors that name the file, a self-made certificate, the default for peers
//! that send no server name. Always ring: with two providers in one binary rustls panics.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is wrong with a certificate, key or list of roots.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file has no PEM section of the kind that is needed.
    #[error("{} has no {wanted} in PEM form (-----BEGIN …-----)", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// "certificate" or "private key".
        wanted: &'static str,
    },
    /// The file's PEM or DER is damaged.
    #[error("{} is damaged: {why}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The first certificate of the chain is not this key's.
    #[error("the key {} does not belong to the certificate {}", .key.display(), .chain.display())]
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A kind of key that we do not use.
    #[error("the key {} cannot be used: {why} (ECDSA P-256 is best)", .key.display())]
    Unusable {
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No certificate was given.
    #[error("no certificate")]
    NoCertificate,
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls refuses the settings.
    #[error("TLS settings: {0}")]
    Settings(String),
}

/// A certificate chain with its key, ready to be served.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case; `*.example.com` possible.
    pub names: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
}

impl Certificate {
    /// Reads a chain (the server's own certificate first) and its key, and checks that they belong together.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let certificates = read_certificates(chain)?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|error| pem_error(error, key, "private key"))?;
        let made = CertifiedKey::from_der(certificates, private, &default_provider());
        let made = made.map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                chain: chain.into(),
                key: key.into(),
            },
            rustls::Error::InvalidCertificate(why) => TlsError::Damaged {
                path: chain.into(),
                why: format!("{why:?}"),
            },
            other => TlsError::Unusable {
                key: key.into(),
                why: other.to_string(),
            },
        })?;
        Self::describe(made, chain)
    }

    fn describe(key: CertifiedKey, path: &Path) -> Result<Self, TlsError> {
        let damaged = |why: String| TlsError::Damaged {
            path: path.into(),
            why,
        };
        let own = key
            .end_entity_cert()
            .map_err(|error| damaged(error.to_string()))?;
        let (_, own) =
            X509Certificate::from_der(own).map_err(|error| damaged(error.to_string()))?;
        let mut names = Vec::new();
        if let Ok(Some(alternatives)) = own.subject_alternative_name() {
            for name in &alternatives.value.general_names {
                if let GeneralName::DNSName(name) = name {
                    names.push(name.to_ascii_lowercase());
                }
            }
        }
        let not_after = own.validity().not_after.timestamp();
        Ok(Self {
            key: Arc::new(key),
            names,
            not_after,
        })
    }

    /// RFC 6125 §6.4.3: a star stands for one label, the first.
    fn is_for(&self, asked: &str) -> bool {
        let parent = asked.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(of) => parent.is_some_and(|parent| of.eq_ignore_ascii_case(parent)),
            None => name.eq_ignore_ascii_case(asked),
        })
    }
}

/// A certificate of our own making, with its files' content.
#[derive(Debug)]
pub struct SelfMade {
    /// Ready to be served.
    pub certificate: Certificate,
    /// The certificate as PEM: what a person may trust in a browser or phone.
    pub chain_pem: String,
    /// The key as PEM, a secret.
    pub key_pem: String,
}

/// Makes a certificate for these names and addresses: ECDSA P-256, a third of RSA's work in a handshake. 397 days are the
/// longest that browsers take from anybody.
pub fn self_made(names: &[String]) -> Result<SelfMade, TlsError> {
    let key_pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    let mut subject = DistinguishedName::new();
    subject.push(
        DnType::CommonName,
        names.first().map_or("causeway", String::as_str),
    );
    params.distinguished_name = subject;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let now = std::time::SystemTime::now();
    let day = Duration::from_secs(24 * 3600);
    params.not_before = (now - day).into();
    params.not_after = (now + 396 * day).into();
    let made = params.self_signed(&key_pair)?;
    let (chain_pem, key_pem) = (made.pem(), key_pair.serialize_pem());
    let private = PrivateKeyDer::try_from(key_pair.serialize_der())
        .map_err(|why| TlsError::Settings(why.to_owned()))?;
    let key = CertifiedKey::from_der(vec![made.der().clone()], private, &default_provider())
        .map_err(|error| TlsError::Settings(error.to_string()))?;
    let certificate = Certificate::describe(key, Path::new("the self-made certificate"))?;
    Ok(SelfMade {
        certificate,
        chain_pem,
        key_pem,
    })
}

/// TLS 1.2 and 1.3 for a listener. The first certificate is for peers that send no server name (old phones) or one that
/// no certificate has (an address, for example).
pub fn server_config(certificates: Vec<Certificate>) -> Result<Arc<ServerConfig>, TlsError> {
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Settings(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName(certificates)));
    Ok(Arc::new(config))
}

/// TLS for connections that we open. `roots`: PEM files of certificates whose holders are trusted to name others, for
/// example `/etc/ssl/certs/ca-certificates.crt`.
pub fn client_config(roots: &[PathBuf]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut store = RootCertStore::empty();
    for path in roots {
        let (taken, _) = store.add_parsable_certificates(read_certificates(path)?);
        if taken == 0 {
            let why = "no certificate in it can be used as a root".into();
            return Err(TlsError::Damaged {
                path: path.clone(),
                why,
            });
        }
    }
    let settings = |error: &dyn std::fmt::Display| TlsError::Settings(error.to_string());
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider.clone())
        .build()
        .map_err(|error| settings(&error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| settings(&error))?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct ByName(Vec<Certificate>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let named = asked.and_then(|asked| self.0.iter().find(|one| one.is_for(asked)));
        named
            .or(self.0.first())
            .map(|certificate| certificate.key.clone())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.into(),
        source,
    })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem_error(error, path, "certificate"))?;
    match certificates.is_empty() {
        true => Err(TlsError::Missing {
            path: path.into(),
            wanted: "certificate",
        }),
        false => Ok(certificates),
    }
}

fn pem_error(error: rustls::pki_types::pem::Error, path: &Path, wanted: &'static str) -> TlsError {
    match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Missing {
            path: path.into(),
            wanted,
        },
        other => TlsError::Damaged {
            path: path.into(),
            why: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_with_certificate_files_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let ours = self_made(&["sbc.example.com".into()]).unwrap();
        let other = self_made(&["sbc.example.com".into()]).unwrap();
        let chain = write("chain.pem", &ours.chain_pem);
        let key = write("key.pem", &ours.key_pem);
        let other_key = write("other.pem", &other.key_pem);
        let damaged = write(
            "damaged.pem",
            &ours.chain_pem.replace("-----END", "----END"),
        );
        let empty = write("empty.pem", "");
        let absent = folder.path().join("absent.pem");
        let broken = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
        let broken = write("broken.pem", broken);
        for (chain, key, want) in [
            (&absent, &key, "cannot read"),
            (&chain, &absent, "cannot read"),
            (&empty, &key, "has no certificate"),
            (&key, &key, "has no certificate"),
            (&chain, &chain, "has no private key"),
            (&damaged, &key, "is damaged"),
            (&broken, &key, "is damaged"),
            (&chain, &other_key, "does not belong to the certificate"),
        ] {
            let error = Certificate::load(chain, key).unwrap_err().to_string();
            assert!(error.contains(want), "{chain:?} {key:?}: {error}");
            assert!(error.contains(".pem"), "{error}");
        }
        let loaded = Certificate::load(&chain, &key).unwrap();
        assert_eq!(loaded.names, ["sbc.example.com"]);
        assert_eq!(loaded.not_after, ours.certificate.not_after);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let certificate =
            self_made(&["*.example.com".into(), "a.example.org".into(), "::1".into()])
                .unwrap()
                .certificate;
        for (asked, want) in [
            ("sbc.example.com", true),
            ("SBC.EXAMPLE.COM", true),
            ("a.b.example.com", false),
            ("example.com", false),
            ("A.example.org", true),
            ("b.example.org", false),
        ] {
            assert_eq!(certificate.is_for(asked), want, "{asked}");
        }
    }
}
