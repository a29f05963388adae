//! Reads a TOML tree with its places into typed sections, and collects everything that is wrong instead of stopping at
//! the first mistake (serde's `deny_unknown_fields` stops).
//!
//! A section is a struct declared once by [`section!`](super::section): fields, docs and defaults in one block. From
//! that block come the struct, its `Default`, its reader, the list of known keys and the page of the documentation, so
//! none of them can lack a key that another has. Start with [`Setting`]: what a type must know to be a key's value.
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use toml::de::{DeTable, DeValue};

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
    places: BTreeMap<String, Place>,
    secrets: Vec<Range<usize>>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
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

/// Line and label of a value that is being read.
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

/// A type that can be the value of a key.
pub(crate) trait Setting: Sized {
    /// What it is, for messages and the documentation: `a duration`.
    fn kind() -> String;
    /// A value that would be right, as TOML.
    fn example() -> String;
    /// Reads it; on a mistake says so to the reader and returns `None`.
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self>;
    /// The value as TOML, for the documentation of defaults; empty if there is none.
    fn show(&self) -> String;
    /// The keys inside it, for a table.
    fn inside() -> Option<Inside> {
        None
    }
}

/// How tables of one kind stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `[limits]`: one.
    One,
    /// `[listen.NAME]`: any number, each with a name.
    Named,
    /// `[[route]]`: any number in order.
    List,
}

/// What the documentation says of a table.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    /// How such tables stand in the file.
    pub shape: Shape,
    /// What the section is for.
    pub doc: &'static [&'static str],
    /// Its keys in order.
    pub keys: Vec<KeyDoc>,
}

impl Inside {
    pub(crate) fn of<T: Section>(shape: Shape) -> Self {
        Self {
            shape,
            doc: T::DOC,
            keys: T::keys(),
        }
    }
}

/// What the documentation says of a key.
#[derive(Debug, Clone)]
pub(crate) struct KeyDoc {
    /// The key.
    pub name: &'static str,
    /// What its value is.
    pub kind: String,
    /// The default as TOML; empty if there is none.
    pub default: String,
    /// The extremes, if there are.
    pub range: Option<(String, String)>,
    /// Must be given.
    pub required: bool,
    /// Meaning, unit, what goes wrong at the extremes.
    pub doc: &'static [&'static str],
    /// What is inside, for a table.
    pub inside: Option<Inside>,
}

/// A struct that is a table of the file; implemented by [`section!`](super::section).
pub(crate) trait Section: Default {
    /// What the section is for.
    const DOC: &'static [&'static str];
    /// Its keys in order.
    fn keys() -> Vec<KeyDoc>;
    /// Reads all keys of a table.
    fn read_keys(table: &mut Table<'_, '_, '_>) -> Self;
}

/// A key as it is declared: name, docs, default, and what holds for its value.
pub(crate) struct Key<T> {
    name: &'static str,
    doc: &'static [&'static str],
    default: T,
    range: Option<(T, T)>,
    outside: fn(&T, &T, &T) -> Ordering,
    required: bool,
}

impl<T: Setting> Key<T> {
    pub(crate) fn new(name: &'static str, doc: &'static [&'static str], default: T) -> Self {
        Self {
            name,
            doc,
            default,
            range: None,
            outside: |_, _, _| Ordering::Equal,
            required: false,
        }
    }

    /// The value lies between these two, both included.
    pub(crate) fn within(mut self, min: T, max: T) -> Self
    where
        T: PartialOrd,
    {
        self.range = Some((min, max));
        self.outside = |value, min, max| match () {
            () if value < min => Ordering::Less,
            () if value > max => Ordering::Greater,
            () => Ordering::Equal,
        };
        self
    }

    /// The key must be given.
    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) fn describe(self) -> KeyDoc {
        KeyDoc {
            name: self.name,
            kind: T::kind(),
            default: self.default.show(),
            range: self.range.map(|(min, max)| (min.show(), max.show())),
            required: self.required,
            doc: self.doc,
            inside: T::inside(),
        }
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

/// Declares a section: one block from which come the struct, its defaults, its reader and its documentation.
///
/// `pub key: Type = default, option(arguments);` where the options are the methods of [`Key`]. With `shorthand key` a
/// plain value in place of the table is that key's value.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident $(shorthand $short:ident)? {
            $(
                $(#[doc = $key_doc:literal])+
                pub $key:ident : $type:ty = $default:expr $(, $option:ident ( $($argument:expr),* ))* ;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        pub struct $name {
            $( $(#[doc = $key_doc])+ pub $key: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl $crate::config::reader::Section for $name {
            const DOC: &'static [&'static str] = &[$($doc),+];

            fn keys() -> Vec<$crate::config::reader::KeyDoc> {
                vec![$(
                    $crate::config::reader::Key::<$type>::new(stringify!($key), &[$($key_doc),+], $default)
                        $(.$option($($argument),*))* .describe(),
                )+]
            }

            fn read_keys(table: &mut $crate::config::reader::Table<'_, '_, '_>) -> Self {
                Self { $(
                    $key: table.take(
                        $crate::config::reader::Key::<$type>::new(stringify!($key), &[$($key_doc),+], $default)
                            $(.$option($($argument),*))*,
                    ),
                )+ }
            }
        }

        impl $crate::config::reader::Setting for $name {
            fn kind() -> String {
                "a table".to_owned()
            }
            fn example() -> String {
                $crate::config::reader::example_of(&<Self as $crate::config::reader::Section>::keys())
            }
            fn read(
                item: &$crate::config::reader::Item<'_>,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                $(
                    if !matches!(item.value, toml::de::DeValue::Table(_)) {
                        let $short = $crate::config::reader::Setting::read(item, reader)?;
                        return Some(Self { $short, ..Self::default() });
                    }
                )?
                $crate::config::reader::read_section(item, reader)
            }
            fn show(&self) -> String {
                String::new()
            }
            fn inside() -> Option<$crate::config::reader::Inside> {
                Some($crate::config::reader::Inside::of::<Self>($crate::config::reader::Shape::One))
            }
        }
    };
}
pub(crate) use section;

/// A table that would be right, from what its keys must be.
pub(crate) fn example_of(keys: &[KeyDoc]) -> String {
    let required: Vec<&KeyDoc> = keys.iter().filter(|key| key.required).collect();
    let shown = if required.is_empty() {
        keys.iter().take(1).collect()
    } else {
        required
    };
    let parts: Vec<String> = shown
        .iter()
        .map(|key| format!("{} = …", key.name))
        .collect();
    format!("{{ {} }}", parts.join(", "))
}
