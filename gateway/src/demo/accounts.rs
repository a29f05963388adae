//! The demo's users. Passwords are drawn once and kept, so that a phone that was set up yesterday works today.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Who uses an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A tab with the page.
    Browser,
    /// A desk phone or softphone.
    Desk,
    /// Something that answers by itself.
    Machine,
}

/// A user with a password.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) display: String,
    pub(super) kind: Kind,
}

const USERS: [(&str, &str, Kind); 6] = [
    ("alice", "Alice", Kind::Browser),
    ("bob", "Bob", Kind::Browser),
    ("desk1", "Desk phone 1", Kind::Desk),
    ("desk2", "Desk phone 2", Kind::Desk),
    ("echo", "Echo", Kind::Machine),
    ("tone", "Tone", Kind::Machine),
];

/// The accounts, with the passwords that `data` holds; those that are missing are drawn.
pub(super) fn load(data: &Path) -> anyhow::Result<Vec<Account>> {
    let path = data.join("passwords");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mut accounts = Vec::new();
    for (user, display, kind) in USERS {
        let known = kept
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == user);
        let password = match known {
            Some((_, password)) => password.to_owned(),
            None => draw()?,
        };
        accounts.push(Account {
            user: user.to_owned(),
            password,
            display: display.to_owned(),
            kind,
        });
    }
    let text: String = accounts
        .iter()
        .map(|account| format!("{} {}\n", account.user, account.password))
        .collect();
    write_private(&path, text.as_bytes())?;
    Ok(accounts)
}

/// Twelve characters that can be read aloud and typed on a phone.
fn draw() -> anyhow::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 12];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    Ok(random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect())
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(content)?;
    Ok(())
}
