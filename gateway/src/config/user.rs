//! A user of a domain: name, and what proves it.
use std::path::PathBuf;

use super::check::Checks;
use super::domain::{Algorithm, Credential};
use super::policy::LegMedia;
use super::schema::section;
use super::secret::Secret;
use super::source::Surroundings;

section! {
    /// A user. Exactly one of `password`, `password_file`, `password_env`, `ha1` proves who it is.
    pub struct User {
        /// The part before the `@`, and the digest's user name.
        pub name: String = String::new(), required();
        /// The password.
        pub password: Option<Secret> = None;
        /// A file whose first line is the password; readable by its owner alone.
        pub password_file: Option<PathBuf> = None;
        /// An environment variable that holds the password.
        pub password_env: Option<String> = None;
        /// The hash of `name:domain:password` in hexadecimal, so that no password need be known here.
        pub ha1: Option<Secret> = None;
        /// The algorithm of `ha1`.
        pub algorithm: Algorithm = Algorithm::Md5;
        /// What is wanted of the media of this user's legs.
        pub media: LegMedia = LegMedia::default();
    }
}

impl User {
    /// What proves the user. After loading, a password from a file or variable stands in `password`.
    pub fn credential(&self) -> Option<Credential> {
        let hash = self
            .ha1
            .as_ref()
            .map(|ha1| Credential::Ha1(self.algorithm, ha1.clone()));
        hash.or_else(|| self.password.clone().map(Credential::Password))
    }

    pub(crate) fn check(
        &mut self,
        at: &str,
        algorithms: &[Algorithm],
        around: &Surroundings<'_>,
        checks: &mut Checks<'_>,
    ) {
        self.check_name(at, checks);
        self.media.0.check(&format!("{at}.media"), checks);
        let keys = ["password", "password_file", "password_env", "ha1"];
        let given: Vec<&str> = keys
            .into_iter()
            .filter(|key| checks.source.wrote(&format!("{at}.{key}")))
            .collect();
        match given[..] {
            [] => {
                let found = checks.source.error(
                    &format!("{at}.name"),
                    format!("user `{}` has no password", self.name),
                );
                checks.push(found.help("add one of password, password_file, password_env, ha1"));
            }
            [_] => {}
            [first, second, ..] => {
                let place = format!("{at}.{second}");
                let message = format!("user `{}` has both `{first}` and `{second}`", self.name);
                let found = checks.source.error_at_key(&place, message);
                checks.push(found.help("keep the one that holds; `ha1` needs no password"));
            }
        }
        self.fetch_password(at, around, checks);
        self.check_password(at, checks);
        self.check_hash(at, algorithms, checks);
    }

    fn check_name(&self, at: &str, checks: &mut Checks<'_>) {
        let place = format!("{at}.name");
        if let Some((user, _)) = self.name.split_once('@') {
            let found = checks.source.error(
                &place,
                format!("`{}` is an address, not a user's name", self.name),
            );
            checks.push(found.help(format!("the part before the @: \"{user}\"")));
        } else if self.name.is_empty() || self.name.contains([' ', '"', ':', '<', '>']) {
            // A colon would end the user in a URI and in the digest's `user:realm:password`.
            let found = checks
                .source
                .error(&place, format!("`{}` cannot be a user's name", self.name));
            checks.push(found.help(
                "letters, digits and -_.!~*'()&=+$,;?/ (RFC 3261 §25.1), for example \"alice\"",
            ));
        }
    }

    /// Fills `password` from where the file points to.
    fn fetch_password(&mut self, at: &str, around: &Surroundings<'_>, checks: &mut Checks<'_>) {
        if let Some(path) = &self.password_file
            && let Some(text) = checks.secret_file(&format!("{at}.password_file"), path)
        {
            self.password = Some(Secret::new(
                text.lines().next().unwrap_or_default().to_owned(),
            ));
        }
        if let Some(variable) = &self.password_env {
            match (around.env)(variable) {
                Some(value) => self.password = Some(Secret::new(value)),
                None => {
                    let message = format!("the environment has no variable `{variable}`");
                    let found = checks.source.error(&format!("{at}.password_env"), message);
                    checks.push(
                        found.help(format!("start with {variable}=… set, or use password_file")),
                    );
                }
            }
        }
    }

    fn check_password(&self, at: &str, checks: &mut Checks<'_>) {
        let Some(password) = &self.password else {
            return;
        };
        let from = ["password", "password_file", "password_env"];
        let key = from
            .into_iter()
            .find(|key| checks.source.wrote(&format!("{at}.{key}")))
            .unwrap_or("name");
        let place = format!("{at}.{key}");
        if password.expose().is_empty() {
            let found = checks
                .source
                .error(&place, format!("the password of `{}` is empty", self.name));
            checks.push(
                found.help(
                    "scanners try the empty password first; choose twelve characters or more",
                ),
            );
        } else if password.expose() == &self.name {
            let message = format!("the password of `{}` is the user's name", self.name);
            let found = checks.source.warning(&place, message);
            checks.push(found.help("scanners try it second; choose twelve characters or more"));
        }
    }

    fn check_hash(&mut self, at: &str, algorithms: &[Algorithm], checks: &mut Checks<'_>) {
        let algorithm_at = format!("{at}.algorithm");
        let Some(ha1) = &self.ha1 else {
            if checks.source.wrote(&algorithm_at) && !checks.source.wrote(&format!("{at}.ha1")) {
                let found = checks.source.error_at_key(
                    &algorithm_at,
                    "`algorithm` is that of `ha1`, which is not given",
                );
                checks.push(
                    found.help("remove it: a password serves every algorithm of `auth.algorithms`"),
                );
            }
            return;
        };
        let digits = self.algorithm.hex_digits();
        let (word, hash) = (self.algorithm.word(), ha1.expose());
        if hash.len() != digits || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!(
                "the ha1 of `{}` is not {digits} hexadecimal digits, as {word} has",
                self.name
            );
            let found = checks.source.error(&format!("{at}.ha1"), message);
            let other = if hash.len() == 64 {
                "; 64 digits are SHA-256: add `algorithm = \"SHA-256\"`"
            } else {
                ""
            };
            checks.push(found.help(format!("the hash of name:domain:password{other}")));
            return;
        }
        if !algorithms.is_empty() && !algorithms.contains(&self.algorithm) {
            let message = format!(
                "`{}` can never log in: the domain does not offer {word}",
                self.name
            );
            let found = checks.source.error(&format!("{at}.ha1"), message);
            checks.push(found.help(format!(
                "add \"{word}\" to the domain's `auth.algorithms`, or hash with {}",
                algorithms[0].word()
            )));
        }
        self.ha1 = Some(Secret::new(hash.to_ascii_lowercase()));
    }
}
