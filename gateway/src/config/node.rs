//! `[node]`: what one machine of a cluster is and may use.
use std::path::PathBuf;

use proxy::key::Keys;

use super::check::Checks;
use super::role::Role;
use super::schema::section;
use super::secret::open_to_others;

section! {
    /// What this node is and may use.
    pub struct Node {
        /// The node's number in its cluster: it stands in every token, so that a request finds the node that holds a connection. Two nodes with one number answer for each other's connections.
        pub id: u16 = 1, within(1, 65535);
        /// The cluster's keys, which sign tokens and nonces; the same file on every node, a line `id key verify-from sign-from` for each key. Left out, the node makes a key of its own in `data_dir`, which is right for a single node.
        pub key_file: Option<PathBuf> = None;
        /// Where the node keeps what must survive a restart: bindings and its own key.
        pub data_dir: PathBuf = PathBuf::from("/var/lib/causeway");
        /// What this node does: `"edge"` (devices connect to it), `"registrar"` (it knows users and where they are), or both. Left out, it is what the rest of the file makes of it: an edge with a listener that faces devices, a registrar with a domain. Written, `check` says where the rest contradicts it.
        pub roles: Vec<Role> = Vec::new();
        /// Threads that serve sockets, each with its own runtime. 0 is one for each core; more only costs.
        pub workers: u16 = 0, within(0, 256);
        /// How many files and connections the node asks the system for at start. Each connection takes one; too few, and new phones are refused while old ones work.
        pub open_files: u32 = 65_536, within(256, 4_194_304);
    }
}

impl Node {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        let Some(path) = &self.key_file else { return };
        let Some(text) = checks.secret_file("node.key_file", path) else {
            return;
        };
        if let Err(fault) = Keys::parse(&text) {
            let found = checks
                .source
                .error("node.key_file", format!("{}: {fault}", path.display()));
            checks.push(found.help(
                "a line is `id key verify-from sign-from`: `0 `, 64 hexadecimal digits, ` 0 0`",
            ));
        }
    }
}

impl Checks<'_> {
    /// Reads a file that holds a secret; says so if it cannot be read or if others can.
    pub(crate) fn secret_file(&mut self, at: &str, path: &std::path::Path) -> Option<String> {
        let text = self.file(at, path)?;
        let metadata = std::fs::metadata(path).ok()?;
        if let Some(mode) = open_to_others(&metadata) {
            let message = format!(
                "{} holds a secret, but others can read it (mode {mode})",
                path.display()
            );
            let found = self.source.error(at, message);
            self.push(found.help(format!("chmod 600 {}", path.display())));
        }
        Some(text)
    }

    /// Reads a file that must be there.
    pub(crate) fn file(&mut self, at: &str, path: &std::path::Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                let found = self.source.error(
                    at,
                    format!("cannot read {}: {}", path.display(), plain(&error)),
                );
                self.push(found.help(advice(&error, path)));
                None
            }
        }
    }
}

/// The system's words without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

/// What to do about a file that cannot be read.
pub(crate) fn advice(error: &std::io::Error, path: &std::path::Path) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => match similar(path) {
            Some(near) => format!("did you mean {}?", near.display()),
            None => {
                let what = match path.parent() {
                    Some(above) if !above.as_os_str().is_empty() && !above.is_dir() => {
                        format!("there is no directory {}", above.display())
                    }
                    _ => "put it there or name another".to_owned(),
                };
                format!("{what}; a path is relative to the directory of the configuration file")
            }
        },
        ErrorKind::PermissionDenied => {
            "the user that runs causeway must be able to read it".to_owned()
        }
        ErrorKind::InvalidData => "it must be text, in UTF-8".to_owned(),
        _ => "name a file that can be read".to_owned(),
    }
}

/// A file beside the one that is not there, with nearly its name.
fn similar(path: &std::path::Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    super::reader::nearest(name, names.iter().map(String::as_str))
        .map(|near| path.with_file_name(near))
}
