//! What a key and a section are. A section is declared by [`section!`](section): fields, docs and defaults in one block.
//! From that block come the struct, its `Default`, its reader, the list of known keys and its part of the
//! documentation, so none of them can lack a key that another has.
use std::cmp::Ordering;

use super::reader::{Item, Reader, Table};

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
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) default: T,
    pub(super) range: Option<(T, T)>,
    pub(super) outside: fn(&T, &T, &T) -> Ordering,
    pub(super) required: bool,
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

        impl $crate::config::schema::Section for $name {
            const DOC: &'static [&'static str] = &[$($doc),+];

            fn keys() -> Vec<$crate::config::schema::KeyDoc> {
                vec![$(
                    $crate::config::schema::Key::<$type>::new(stringify!($key), &[$($key_doc),+], $default)
                        $(.$option($($argument),*))* .describe(),
                )+]
            }

            fn read_keys(table: &mut $crate::config::reader::Table<'_, '_, '_>) -> Self {
                Self { $(
                    $key: table.take(
                        $crate::config::schema::Key::<$type>::new(stringify!($key), &[$($key_doc),+], $default)
                            $(.$option($($argument),*))*,
                    ),
                )+ }
            }
        }

        impl $crate::config::schema::Setting for $name {
            fn kind() -> String {
                "a table".to_owned()
            }
            fn example() -> String {
                $crate::config::schema::example_of(&<Self as $crate::config::schema::Section>::keys())
            }
            fn read(
                item: &$crate::config::reader::Item<'_>,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                $(
                    if !matches!(item.value, toml::de::DeValue::Table(_)) {
                        let $short = $crate::config::schema::Setting::read(item, reader)?;
                        return Some(Self { $short, ..Self::default() });
                    }
                )?
                $crate::config::reader::read_section(item, reader)
            }
            fn show(&self) -> String {
                String::new()
            }
            fn inside() -> Option<$crate::config::schema::Inside> {
                Some($crate::config::schema::Inside::of::<Self>($crate::config::schema::Shape::One))
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
