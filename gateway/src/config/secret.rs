//! What must not be seen: passwords and their hashes. Prints as `[redacted]`, and a file that holds one must be
//! readable by its owner alone.
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::text;

/// A value that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Setting for Secret {
    fn kind() -> String {
        "a string".to_owned()
    }
    fn example() -> String {
        "\"…\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        reader.hide(item.span.clone());
        text::<Self>(item, reader).map(|secret| Self(secret.to_owned()))
    }
    fn show(&self) -> String {
        String::new()
    }
}

/// The permissions of a file if somebody beside its owner has any.
pub(crate) fn open_to_others(metadata: &Metadata) -> Option<String> {
    let mode = metadata.permissions().mode();
    (mode & 0o077 != 0).then(|| format!("{:04o}", mode & 0o7777))
}
