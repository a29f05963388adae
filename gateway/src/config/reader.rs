//! Reads a TOML tree with its places into typed sections, and collects everything that is wrong instead of stopping at
//! the first mistake (serde's `deny_unknown_fields` stops). What sections and keys are is in `schema.rs`.
use std::cmp::Ordering;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Diagnostics, File};
use super::schema::{Key, Section, Setting};
use super::source::{Place, Source, Surroundings};

/// A value that is being read, with its dotted path and its place.
pub(crate) struct Item<'a> {
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
    pub(crate) value: &'a DeValue<'a>,
}

impl Item<'_> {
    /// The last part of the path: the key's own name.
    pub(crate) fn name(&self) -> &str {
        let path = self.path.split('[').next().unwrap_or(&self.path);
        path.rsplit('.').next().unwrap_or(path)
    }
}

/// What collects while a file is read.
pub(crate) struct Reader<'s> {
    pub(crate) source: Source,
    pub(crate) around: &'s Surroundings<'s>,
    pub(crate) found: Diagnostics,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(file: Arc<File>, around: &'s Surroundings<'s>) -> Self {
        Self {
            source: Source {
                file,
                ..Source::default()
            },
            around,
            found: Diagnostics::default(),
        }
    }

    /// Parses the text; what is wrong is collected, what could be read is returned, and whether all of it was TOML.
    pub(crate) fn read<T: Section>(&mut self) -> (T, bool) {
        let file = Arc::clone(&self.source.file);
        let (tree, errors) = DeTable::parse_recoverable(&file.text);
        let lines: Vec<usize> = errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or(0..0);
                let (message, help) = syntax(error.message());
                let line = file.position(span.start).0;
                let mut found = Diagnostic::error(&file, span, message);
                found.help = help;
                self.found.push(found);
                line
            })
            .collect();
        let mut table = Table::new(self, String::new(), 0..0, tree.get_ref());
        let config = T::read_keys(&mut table);
        table.finish();
        if !lines.is_empty() {
            // What stands on a line that is no TOML was guessed by the parser: only the syntax is reported there.
            let mut kept = Diagnostics::default();
            let syntax_errors = errors.len();
            for (index, found) in self.found.iter().enumerate() {
                let guessed = found
                    .position()
                    .is_some_and(|(line, _)| lines.contains(&line));
                if index < syntax_errors || !guessed {
                    kept.push(found.clone());
                }
            }
            self.found = kept;
        }
        (config, lines.is_empty())
    }

    pub(crate) fn error(
        &mut self,
        item: &Item<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let found = Diagnostic::error(&self.source.file, item.span.clone(), message).help(help);
        self.found.push(found);
    }

    /// Says that a value has the wrong TOML type.
    pub(crate) fn wrong_type<T: Setting>(&mut self, item: &Item<'_>) {
        let message = format!(
            "`{}` must be {}, not {}",
            item.path,
            T::kind(),
            type_name(item.value)
        );
        let found = Diagnostic::error(&self.source.file, item.span.clone(), message)
            .label(format!("expected {}", T::kind()))
            .help(format!("for example `{} = {}`", item.name(), T::example()));
        self.found.push(found);
    }

    /// A path in the file is relative to the file's own directory.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.source
            .file
            .path
            .parent()
            .unwrap_or(Path::new(""))
            .join(path)
    }

    /// Marks bytes of the file that no diagnostic may show.
    pub(crate) fn hide(&mut self, span: Range<usize>) {
        self.source.secrets.push(span);
    }

    pub(crate) fn note(&mut self, path: &str, key: Range<usize>, value: Range<usize>) {
        self.source
            .places
            .insert(path.to_owned(), Place { key, value });
    }
}

/// "unclosed string, expected `\"`": what the parser wants becomes the help.
fn syntax(message: &str) -> (String, Option<String>) {
    match message.split_once(", expected ") {
        Some((what, want)) if want != "nothing" => {
            (what.to_owned(), Some(format!("expected {want}")))
        }
        Some((what, _)) => (
            what.to_owned(),
            Some("one `key = value` stands on a line".to_owned()),
        ),
        None if message == "duplicate key" => (
            message.to_owned(),
            Some("a key or table is given once; remove one of the two".to_owned()),
        ),
        None => (message.to_owned(), None),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table that is being read: knows which of its keys were asked for.
pub(crate) struct Table<'r, 's, 'a> {
    reader: &'r mut Reader<'s>,
    path: String,
    header: Range<usize>,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'r, 's, 'a> Table<'r, 's, 'a> {
    pub(crate) fn new(
        reader: &'r mut Reader<'s>,
        path: String,
        header: Range<usize>,
        table: &'a DeTable<'a>,
    ) -> Self {
        Self {
            reader,
            path,
            header,
            table,
            known: Vec::new(),
        }
    }

    /// The value of a key, or its default if it is absent or wrong (which is then collected).
    pub(crate) fn take<T: Setting>(&mut self, key: Key<T>) -> T {
        self.known.push(key.name);
        let Some((name, value)) = self.table.get_key_value(key.name) else {
            if key.required {
                self.missing(key.name, &T::example());
            }
            return key.default;
        };
        let item = Item {
            path: self.join(key.name),
            span: value.span(),
            value: value.get_ref(),
        };
        self.reader.note(&item.path, name.span(), value.span());
        let Some(read) = T::read(&item, self.reader) else {
            return key.default;
        };
        if let Some((min, max)) = &key.range {
            let (word, limit) = match (key.outside)(&read, min, max) {
                Ordering::Less => ("small", format!("at least {}", min.show())),
                Ordering::Greater => ("large", format!("at most {}", max.show())),
                Ordering::Equal => return read,
            };
            let message = format!("`{}` is too {word}: {}", item.path, read.show());
            self.reader.error(
                &item,
                message,
                format!("{limit}; the default is {}", key.default.show()),
            );
            return key.default;
        }
        read
    }

    fn missing(&mut self, name: &str, example: &str) {
        let table = if self.path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{}`", self.path)
        };
        let found = Diagnostic::error(
            &self.reader.source.file,
            self.header.clone(),
            format!("`{name}` is missing from {table}"),
        );
        self.reader
            .found
            .push(found.help(format!("add `{name} = {example}`")));
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        for name in self.table.keys() {
            let text = name.get_ref().as_ref();
            if self.known.contains(&text) {
                continue;
            }
            let path = self.join(text);
            let found = Diagnostic::error(
                &self.reader.source.file,
                name.span(),
                format!("unknown key `{path}`"),
            );
            let help = match nearest(text, self.known.iter().copied()) {
                Some(near) => {
                    // It is taken for the key that was meant, so that nobody calls that one missing.
                    let meant = self.join(near);
                    if let Some(value) = self
                        .table
                        .get(text)
                        .filter(|_| !self.reader.source.wrote(&meant))
                    {
                        self.reader.note(&meant, name.span(), value.span());
                    }
                    // A misspelt `password` is one all the same.
                    if let Some(value) = self.table.get(text).filter(|_| SECRETS.contains(&near)) {
                        self.reader.hide(value.span());
                    }
                    format!("did you mean `{near}`?")
                }
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.reader.found.push(found.help(help));
        }
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

/// Reads a table into a section: the body of every section's [`Setting::read`].
pub(crate) fn read_section<T: Section + Setting>(
    item: &Item<'_>,
    reader: &mut Reader<'_>,
) -> Option<T> {
    let DeValue::Table(table) = item.value else {
        reader.wrong_type::<T>(item);
        return None;
    };
    let header = reader
        .source
        .key(&item.path)
        .unwrap_or_else(|| item.span.clone());
    let mut table = Table::new(reader, item.path.clone(), header, table);
    let section = T::read_keys(&mut table);
    table.finish();
    Some(section)
}

/// Keys whose values are not shown.
const SECRETS: [&str; 2] = ["password", "ha1"];

/// The known name that a mistaken one most resembles, if it resembles any.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Two letters the wrong way round (`tpc`) weigh too much in a short word; the start of a word weighs too little.
        let swapped = strsim::normalized_damerau_levenshtein(&lower, &candidate) + 0.15;
        let start = if candidate.starts_with(&lower) {
            0.1
        } else {
            0.0
        };
        strsim::jaro_winkler(&lower, &candidate).max(swapped) + start
    };
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.78)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
