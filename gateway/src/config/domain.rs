//! `[domain."example.com"]`: a domain that this node is the registrar of, and its users.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::address::is_host_name;
use super::check::Checks;
use super::diagnostic::File;
use super::policy::LegMedia;
use super::reader::Reader;
use super::schema::section;
use super::secret::Secret;
use super::source::Surroundings;
use super::user::User;
use super::value::words;

section! {
    /// A domain whose users register here. The name is what stands behind the `@`, and the realm of its digests.
    pub struct Domain {
        /// Other names and addresses under which phones reach the same users, for example the node's address.
        pub aliases: Vec<String> = Vec::new();
        /// Who may register and call: a table for each user.
        pub users: Vec<User> = Vec::new();
        /// A TOML file with more `[[users]]`, so that passwords need not stand in this one; readable by its owner alone.
        pub users_file: Option<PathBuf> = None;
        /// What is wanted of the media of the domain's users.
        pub media: LegMedia = LegMedia::default();
        /// How users prove who they are.
        pub auth: Auth = Auth::default();
    }
}

section! {
    /// How users of a domain prove who they are.
    pub struct Auth {
        /// Digest algorithms that are offered, strongest first. JsSIP and SIP.js keep the last challenge and give up unless it is MD5; Debian's baresip stops at any other in either order: add `"SHA-256"` only where every device knows it.
        pub algorithms: Vec<Algorithm> = vec![Algorithm::Md5];
    }
}

section! {
    /// What a `users_file` holds.
    pub struct UsersFile {
        /// Who may register and call: a table for each user.
        pub users: Vec<User> = Vec::new();
    }
}

words! {
    /// A digest algorithm (RFC 7616 §6.1).
    pub enum Algorithm {
        /// MD5, which every device knows.
        Md5 = "MD5",
        /// SHA-256, which few do (RFC 8760).
        Sha256 = "SHA-256",
    }
}

impl Algorithm {
    /// How many hexadecimal digits its hash has.
    pub fn hex_digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
        }
    }
}

impl Domain {
    /// Reads what the file only points to (passwords in files and variables, the users' file), and checks.
    pub(crate) fn check(&mut self, name: &str, around: &Surroundings<'_>, checks: &mut Checks<'_>) {
        let at = format!("domain.{name}");
        self.check_names(name, &at, checks);
        self.check_algorithms(&at, checks);
        self.media.0.check(&format!("{at}.media"), checks);
        let mut taken = BTreeMap::new();
        let algorithms = self.auth.algorithms.clone();
        check_users(
            &mut self.users,
            &format!("{at}.users"),
            &algorithms,
            &mut taken,
            around,
            checks,
        );
        if let Some(path) = self.users_file.clone() {
            self.read_users(
                &path,
                &format!("{at}.users_file"),
                &mut taken,
                around,
                checks,
            );
        } else if self.users.is_empty() && !checks.source.wrote(&format!("{at}.users")) {
            let found = checks
                .source
                .warning_at_key(&at, format!("`{name}` has no users: nobody can register"));
            checks.push(found.help("add `users = [{ name = \"alice\", password_env = \"ALICE_PASSWORD\" }]`, or `users_file`"));
        }
    }

    fn check_names(&self, name: &str, at: &str, checks: &mut Checks<'_>) {
        let fits = |name: &str| is_host_name(name) || name.parse::<std::net::IpAddr>().is_ok();
        if !fits(name) {
            let found = checks
                .source
                .error_at_key(at, format!("`{name}` is not a domain"));
            checks.push(
                found.help(
                    "what stands behind the @ of a user, for example [domain.\"example.com\"]",
                ),
            );
        }
        for (index, alias) in self.aliases.iter().enumerate() {
            if !fits(alias) {
                let found = checks.source.error(
                    &format!("{at}.aliases[{index}]"),
                    format!("`{alias}` is not a domain"),
                );
                checks.push(found.help("a host name or an address, without scheme and port"));
            }
        }
    }

    fn check_algorithms(&self, at: &str, checks: &mut Checks<'_>) {
        let place = format!("{at}.auth.algorithms");
        if self.auth.algorithms.is_empty() {
            let found = checks
                .source
                .error(&place, "without an algorithm nobody can prove who he is");
            checks.push(found.help("`algorithms = [\"MD5\"]`"));
        }
        // RFC 8760 §2.4: a client takes the first that it knows, so MD5 in front makes the rest useless.
        if self.auth.algorithms.first() == Some(&Algorithm::Md5) && self.auth.algorithms.len() > 1 {
            let found = checks.source.error(
                &place,
                "the strongest algorithm stands first, or no device ever uses it",
            );
            checks.push(found.help("`algorithms = [\"SHA-256\", \"MD5\"]`"));
        }
    }

    fn read_users(
        &mut self,
        path: &std::path::Path,
        at: &str,
        taken: &mut Taken,
        around: &Surroundings<'_>,
        checks: &mut Checks<'_>,
    ) {
        let Some(text) = checks.secret_file(at, path) else {
            return;
        };
        let mut reader = Reader::new(
            Arc::new(File {
                path: path.to_owned(),
                text,
            }),
            around,
        );
        let (mut more, readable) = reader.read::<UsersFile>();
        let Reader {
            mut source,
            mut found,
            ..
        } = reader;
        if readable {
            let mut inner = Checks::new(&source, checks.now);
            check_users(
                &mut more.users,
                "users",
                &self.auth.algorithms,
                taken,
                around,
                &mut inner,
            );
            found.extend_unless_known(inner.found);
        }
        source.redact(&mut found);
        checks.found.extend(found);
        self.users.append(&mut more.users);
    }
}

fn check_users(
    users: &mut [User],
    at: &str,
    algorithms: &[Algorithm],
    taken: &mut Taken,
    around: &Surroundings<'_>,
    checks: &mut Checks<'_>,
) {
    for (index, user) in users.iter_mut().enumerate() {
        let place = format!("{at}[{index}]");
        user.check(&place, algorithms, around, checks);
        let name_at = format!("{place}.name");
        if let Some((file, offset)) = taken.get(&user.name) {
            // The line is counted only now: a count for each of ten thousand users reads the file ten thousand times.
            let first = format!("{}:{}", file.path.display(), file.position(*offset).0);
            let message = format!("user `{}` is given twice", user.name);
            let found = checks.source.error(&name_at, message);
            checks.push(found.help(format!("the first is at {first}; remove one of the two")));
        } else if let Some(span) = checks.source.value(&name_at) {
            taken.insert(
                user.name.clone(),
                (Arc::clone(&checks.source.file), span.start),
            );
        }
    }
}

/// Users that were seen, and where.
type Taken = BTreeMap<String, (Arc<File>, usize)>;

/// Whether the configuration file itself holds a password that its readers could see.
pub(crate) fn holds_secret(domain: &Domain, name: &str, checks: &Checks<'_>) -> bool {
    let wrote = |index: usize, key: &str| {
        checks
            .source
            .wrote(&format!("domain.{name}.users[{index}].{key}"))
    };
    (0..domain.users.len()).any(|index| wrote(index, "password") || wrote(index, "ha1"))
}

/// What proves a user: as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The password itself.
    Password(Secret),
    /// The hash of user, realm and password (RFC 7616 §3.4.2), hexadecimal, lower case.
    Ha1(Algorithm, Secret),
}
