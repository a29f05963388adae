//! Who may register and call: domains, their other names, and their users.

use std::collections::HashMap;
use std::fmt;

use sip::digest::{self, Algorithm};

/// All domains that we are the registrar of.
#[derive(Debug, Default)]
pub struct Users {
    domains: Vec<Domain>,
    /// Names and aliases, in lower case, to places in `domains`.
    names: HashMap<String, usize>,
}

/// A domain, which is the realm of its digests too.
#[derive(Debug)]
pub struct Domain {
    name: String,
    algorithms: Vec<Algorithm>,
    users: HashMap<Vec<u8>, User>,
}

/// A user, and the hashes that prove who it is. Their Debug is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The part before the `@`, and the digest's user name.
    pub name: String,
    /// The domain's own name.
    pub domain: String,
    md5: Option<String>,
    sha256: Option<String>,
}

/// What proves a user.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// The password.
    Password(&'a str),
    /// The hash of `name:domain:password`, hexadecimal.
    Ha1(Algorithm, &'a str),
}

impl Users {
    /// Adds a domain. `algorithms` are those of its challenges, the strongest first (RFC 8760 §2.4). A name or alias
    /// that is there already goes to the new domain.
    pub fn add_domain(&mut self, name: &str, aliases: &[&str], algorithms: &[Algorithm]) {
        let place = self.domains.len();
        self.domains.push(Domain {
            name: name.to_ascii_lowercase(),
            algorithms: algorithms.to_vec(),
            users: HashMap::new(),
        });
        for name in aliases.iter().chain([&name]) {
            self.names.insert(name.to_ascii_lowercase(), place);
        }
    }

    /// Adds a user to a domain that was added, or gives it new credentials. False if there is no such domain.
    pub fn add_user(&mut self, domain: &str, name: &str, credential: Credential<'_>) -> bool {
        let Some(domain) = self
            .place(domain.as_bytes())
            .and_then(|place| self.domains.get_mut(place))
        else {
            return false;
        };
        let (md5, sha256) = match credential {
            Credential::Password(password) => {
                let hash = |algorithm| {
                    let realm = domain.name.as_bytes();
                    digest::ha1(algorithm, name.as_bytes(), realm, password.as_bytes())
                };
                (Some(hash(Algorithm::Md5)), Some(hash(Algorithm::Sha256)))
            }
            Credential::Ha1(Algorithm::Md5, ha1) => (Some(ha1.to_ascii_lowercase()), None),
            Credential::Ha1(Algorithm::Sha256, ha1) => (None, Some(ha1.to_ascii_lowercase())),
            Credential::Ha1(Algorithm::Other, _) => (None, None),
        };
        let user = User {
            name: name.to_owned(),
            domain: domain.name.clone(),
            md5,
            sha256,
        };
        domain.users.insert(name.as_bytes().to_vec(), user);
        true
    }

    /// The domain of that name or alias; case does not count, and a port does not belong to it.
    pub fn domain(&self, host: &[u8]) -> Option<&Domain> {
        self.place(host).and_then(|place| self.domains.get(place))
    }

    /// A user by name, escapes undone, and by the domain's name or alias.
    pub fn find(&self, domain: &[u8], name: &[u8]) -> Option<&User> {
        self.domain(domain)?.user(name)
    }

    fn place(&self, host: &[u8]) -> Option<usize> {
        let host = std::str::from_utf8(host).ok()?;
        self.names.get(host.to_ascii_lowercase().as_str()).copied()
    }
}

impl Domain {
    /// Its own name in lower case: the realm, and what stands in AORs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The algorithms of its challenges, the strongest first.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// A user by name, escapes undone.
    pub fn user(&self, name: &[u8]) -> Option<&User> {
        self.users.get(name)
    }
}

impl User {
    /// The hash of name, realm and password (RFC 7616 §3.4.2), hexadecimal; `None` where only another one is known.
    pub fn ha1(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_deref(),
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Other => None,
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User {{ {}@{}, [redacted] }}", self.name, self.domain)
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let mut users = Users::default();
        users.add_domain(
            "Example.test",
            &["192.0.2.1", "sip.example.test"],
            &[Algorithm::Md5],
        );
        assert!(users.add_user("example.test", "alice", Credential::Password("pwalice")));
        assert!(users.add_user("192.0.2.1", "bob", Credential::Ha1(Algorithm::Md5, "ABCD")));
        assert!(!users.add_user("other.test", "carol", Credential::Password("x")));
        users
    }

    #[test]
    fn a_user_is_found_under_every_name_of_its_domain() {
        let users = users();
        for (domain, name, want) in [
            ("example.test", "alice", true),
            ("EXAMPLE.TEST", "alice", true),
            ("192.0.2.1", "alice", true),
            ("sip.example.test", "bob", true),
            ("example.test", "Alice", false),
            ("other.test", "alice", false),
        ] {
            let found = users.find(domain.as_bytes(), name.as_bytes());
            assert_eq!(found.is_some(), want, "{name}@{domain}");
            assert!(found.is_none_or(|user| user.domain == "example.test"));
        }
    }

    #[test]
    fn a_password_serves_every_algorithm_and_a_hash_its_own() {
        let users = users();
        let ha1 =
            |name: &str, algorithm| users.find(b"example.test", name.as_bytes())?.ha1(algorithm);
        assert_eq!(ha1("alice", Algorithm::Md5).map(str::len), Some(32));
        assert_eq!(ha1("alice", Algorithm::Sha256).map(str::len), Some(64));
        assert_eq!(ha1("bob", Algorithm::Md5), Some("abcd"));
        assert_eq!(ha1("bob", Algorithm::Sha256), None);
    }

    #[test]
    fn no_hash_is_printed() {
        let users = users();
        let text = format!("{users:?} {:?}", Credential::Password("pwalice"));
        assert!(text.contains("alice@example.test, [redacted]"), "{text}");
        assert!(
            !text.contains("abcd") && !text.contains("pwalice"),
            "{text}"
        );
    }
}
