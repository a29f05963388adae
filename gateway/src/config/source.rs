//! Where things stand in a file, so that whatever is found wrong later can show its line.
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use super::diagnostic::{Diagnostic, Diagnostics, File};

/// What reading a configuration needs of the world beside files: environment variables and the time.
pub struct Surroundings<'a> {
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Now, for the dates of certificates.
    pub now: SystemTime,
}

/// Where each key and value stands in the file, by its dotted path (`listen.public.udp[0]`).
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file; empty for a configuration that was built by code.
    pub file: Arc<File>,
    pub(super) places: BTreeMap<String, Place>,
    pub(super) secrets: Vec<Range<usize>>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Source {
    /// The bytes of a value, or of the nearest table around it that stands in the file.
    pub fn value(&self, path: &str) -> Option<Range<usize>> {
        self.nearest(path, |place| place.value.clone())
    }

    /// The bytes of a key (of a table, its name in the header), or of the nearest table around it.
    pub fn key(&self, path: &str) -> Option<Range<usize>> {
        self.nearest(path, |place| place.key.clone())
    }

    /// Whether the operator wrote it, rather than left it to its default.
    pub fn wrote(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// An error at a value.
    pub fn error(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.file, self.value(path), message)
    }

    /// An error at a key.
    pub fn error_at_key(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.file, self.key(path), message)
    }

    /// A warning at a value.
    pub fn warning(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.file, self.value(path), message)
    }

    /// A warning at a key.
    pub fn warning_at_key(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.file, self.key(path), message)
    }

    /// Blots out the secrets of the file, in what was found too: a mistake shows its line, and output ends up in logs.
    pub(crate) fn redact(&mut self, found: &mut Diagnostics) {
        if self.secrets.is_empty() {
            return;
        }
        let mut bytes = self.file.text.clone().into_bytes();
        for byte in self.secrets.iter().flat_map(|span| span.clone()) {
            // Places stay right only if every byte stays one byte.
            if let Some(byte) = bytes
                .get_mut(byte)
                .filter(|byte| !b"\"'\r\n".contains(byte))
            {
                *byte = b'*';
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let hidden = Arc::new(File {
            path: self.file.path.clone(),
            text,
        });
        found.show_instead(&self.file, &hidden);
        self.file = hidden;
    }

    fn nearest(&self, path: &str, part: impl Fn(&Place) -> Range<usize>) -> Option<Range<usize>> {
        if let Some(place) = self.places.get(path) {
            return Some(part(place));
        }
        // What is not there is shown at the name of what it is missing from.
        let mut path = path;
        while let Some(at) = path.rfind(['.', '[']) {
            path = &path[..at];
            if let Some(place) = self.places.get(path) {
                return Some(place.key.clone());
            }
        }
        None
    }
}
