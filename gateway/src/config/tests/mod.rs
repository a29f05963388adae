//! What the configuration says of mistakes, of good files, and of itself.
mod documents;
mod good;
mod machine;
mod mistakes;
mod random;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::*;

/// A directory with what a configuration may point to, good and bad.
pub(super) struct Site {
    pub(super) dir: tempfile::TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let key = "0 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 0 0\n";
        site.certificate(
            "good",
            rcgen::CertificateParams::new(vec!["sbc.example.com".to_owned()]).unwrap(),
        );
        site.certificate(
            "other",
            rcgen::CertificateParams::new(vec!["sbc.example.com".to_owned()]).unwrap(),
        );
        let mut expired =
            rcgen::CertificateParams::new(vec!["sbc.example.com".to_owned()]).unwrap();
        expired.not_after = rcgen::date_time_ymd(2020, 1, 2);
        site.certificate("expired", expired);
        let mut early = rcgen::CertificateParams::new(vec!["sbc.example.com".to_owned()]).unwrap();
        early.not_before = rcgen::date_time_ymd(4000, 1, 2);
        site.certificate("early", early);
        let open = fs::read_to_string(site.path("good.key")).unwrap();
        for (name, mode, text) in [
            ("open.key", 0o644, open.as_str()),
            ("nothing.pem", 0o600, "not a certificate\n"),
            ("cluster.key", 0o600, key),
            ("short.key", 0o600, "0 0001 0 0\n"),
            ("password", 0o600, "correct horse\n"),
            ("open-password", 0o640, "correct horse\n"),
            ("empty-password", 0o600, "\n"),
            (
                "users.toml",
                0o600,
                "[[users]]\nname = \"carol\"\npassword = \"correct horse\"\n",
            ),
            (
                "bad-users.toml",
                0o600,
                "[[users]]\nname = \"carol\"\npasswort = \"hidden horse\"\n",
            ),
            (
                "twice-users.toml",
                0o600,
                "[[users]]\nname = \"alice\"\npassword = \"correct horse\"\n",
            ),
        ] {
            site.write(name, mode, text);
        }
        site
    }

    fn certificate(&self, name: &str, params: rcgen::CertificateParams) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.write(&format!("{name}.pem"), 0o644, &certificate.pem());
        self.write(&format!("{name}.key"), 0o600, &key.serialize_pem());
    }

    pub(super) fn write(&self, name: &str, mode: u32, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Loads a text as if it stood in this directory, with two variables in the environment.
    pub(super) fn load(&self, text: &str) -> Result<Loaded, Diagnostics> {
        load_text(
            &self.path("causeway.toml"),
            text.to_owned(),
            &surroundings(),
        )
    }

    /// Everything found, whether it can run or not.
    pub(super) fn found(&self, text: &str) -> Diagnostics {
        self.load(text)
            .map_or_else(|found| found, |loaded| loaded.warnings)
    }
}

fn surroundings() -> Surroundings<'static> {
    let env = &|name: &str| match name {
        "PUBLIC_NAME" => Some("sbc.example.com:15060".to_owned()),
        "ALICE_PASSWORD" => Some("correct horse".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Surroundings {
        env,
        now: SystemTime::now(),
    }
}

/// What a text lacks of a configuration that has nothing wrong.
pub(super) fn completed(text: &str) -> String {
    let mut whole = text.to_owned();
    for (lacks, rest) in [
        (
            !text.contains("[listen"),
            "[listen.base]\nudp = \"127.0.0.1:5999\"\n",
        ),
        (
            !text.contains("[domain") && !text.contains("[[route]]"),
            "[domain.\"base.example\"]\nusers = [{ name = \"base\", password = \"correct horse\" }]\n",
        ),
        (
            text.contains("\"group:") && !text.contains("trust"),
            "[listen.inside]\nudp = \"127.0.0.1:5998\"\ntrust = \"10.0.0.0/8\"\n",
        ),
        (
            !text.contains("[media]"),
            "[media]\nrtpengine = \"127.0.0.1:2223\"\n",
        ),
    ] {
        if lacks {
            whole.push_str(rest);
        }
    }
    whole
}
