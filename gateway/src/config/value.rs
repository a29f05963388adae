//! How values of common types are written: numbers, strings, paths, one or a list, tables with names, words of a
//! closed set.
use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeValue;

use super::reader::{Item, Reader, nearest};
use super::schema::{Inside, Section, Setting, Shape};

impl Setting for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }
    fn example() -> String {
        "true".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Boolean(value) = item.value else {
            reader.wrong_type::<Self>(item);
            return None;
        };
        Some(*value)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// Whole numbers: the type's own bounds are the outermost extremes.
macro_rules! number {
    ($($type:ty),+) => { $(
        impl Setting for $type {
            fn kind() -> String {
                "a number".to_owned()
            }
            fn example() -> String {
                "10".to_owned()
            }
            fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                let DeValue::Integer(value) = item.value else {
                    reader.wrong_type::<Self>(item);
                    return None;
                };
                match <$type>::from_str_radix(value.as_str(), value.radix()) {
                    Ok(number) => Some(number),
                    Err(_) => {
                        let help = format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX);
                        reader.error(item, format!("`{}` cannot be {value}", item.path), help);
                        None
                    }
                }
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}
number!(u16, u32, usize);

impl Setting for String {
    fn kind() -> String {
        "a string".to_owned()
    }
    fn example() -> String {
        "\"…\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        Some(text::<Self>(item, reader)?.to_owned())
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

/// The text of a string value; anything else is the wrong type for `T`.
pub(crate) fn text<'a, T: Setting>(item: &Item<'a>, reader: &mut Reader<'_>) -> Option<&'a str> {
    let DeValue::String(value) = item.value else {
        reader.wrong_type::<T>(item);
        return None;
    };
    Some(value)
}

impl Setting for PathBuf {
    fn kind() -> String {
        "a path".to_owned()
    }
    fn example() -> String {
        "\"/etc/causeway/file\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let path = text::<Self>(item, reader)?;
        if path.is_empty() {
            reader.error(
                item,
                format!("`{}` is empty", item.path),
                "name a file, or leave the key out",
            );
            return None;
        }
        Some(reader.resolve(path))
    }
    fn show(&self) -> String {
        format!("{:?}", self.display().to_string())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn kind() -> String {
        T::kind()
    }
    fn example() -> String {
        T::example()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(item, reader).map(Some)
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
    fn inside() -> Option<Inside> {
        T::inside()
    }
}

/// One value, or a list of them: who has one does not write brackets.
impl<T: Setting> Setting for Vec<T> {
    fn kind() -> String {
        format!("{}, or a list", T::kind())
    }
    fn example() -> String {
        match T::inside() {
            Some(_) => format!("[{}]", T::example()),
            None => T::example(),
        }
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let one = |reader: &mut Reader<'_>,
                   index: usize,
                   span: std::ops::Range<usize>,
                   value: &DeValue<'_>| {
            let path = format!("{}[{index}]", item.path);
            reader.note(&path, span.clone(), span.clone());
            T::read(&Item { path, span, value }, reader)
        };
        let DeValue::Array(array) = item.value else {
            return one(reader, 0, item.span.clone(), item.value).map(|value| vec![value]);
        };
        let each = array.iter().enumerate();
        let read: Vec<Option<T>> = each
            .map(|(index, value)| one(reader, index, value.span(), value.get_ref()))
            .collect();
        // A list with a hole would shift the places of what follows: its mistakes are reported, its rest is not checked.
        read.into_iter().collect()
    }
    fn show(&self) -> String {
        let parts: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", parts.join(", "))
    }
    fn inside() -> Option<Inside> {
        T::inside().map(|inside| Inside {
            shape: Shape::List,
            ..inside
        })
    }
}

/// Tables with names: `[listen.public]`.
impl<T: Section + Setting> Setting for BTreeMap<String, T> {
    fn kind() -> String {
        "tables with names".to_owned()
    }
    fn example() -> String {
        format!("{{ NAME = {} }}", T::example())
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Table(table) = item.value else {
            reader.wrong_type::<Self>(item);
            return None;
        };
        let mut read = Self::new();
        for (name, value) in table {
            let path = format!("{}.{}", item.path, name.get_ref());
            reader.note(&path, name.span(), value.span());
            let inner = Item {
                path,
                span: value.span(),
                value: value.get_ref(),
            };
            if !matches!(inner.value, DeValue::Table(_)) {
                let message = format!(
                    "`{}` must be a table with a name, not a value of `{}`",
                    inner.path, item.path
                );
                let help = format!(
                    "write `[{}.NAME]` above it, with a name of your choice",
                    item.path
                );
                let file = std::sync::Arc::clone(&reader.source.file);
                reader
                    .found
                    .push(super::Diagnostic::error(&file, name.span(), message).help(help));
                continue;
            }
            if let Some(section) = T::read(&inner, reader) {
                read.insert(name.get_ref().to_string(), section);
            }
        }
        Some(read)
    }
    fn show(&self) -> String {
        String::new()
    }
    fn inside() -> Option<Inside> {
        Some(Inside::of::<T>(Shape::Named))
    }
}

/// Says that a word is none of those known, and which is nearest.
pub(crate) fn unknown_word(
    written: &str,
    known: &[&str],
    item: &Item<'_>,
    reader: &mut Reader<'_>,
) {
    let all = known.join(", ");
    let help = match nearest(written, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? Known: {all}"),
        None => format!("one of {all}"),
    };
    reader.error(item, format!("`{}` cannot be `{written}`", item.path), help);
}

/// Declares an enum whose variants are words of the file.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident { $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal ),+ $(,)? }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $( $(#[doc = $word_doc])+ $variant, )+ }

        impl $name {
            /// The word in the file.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::config::schema::Setting for $name {
            fn kind() -> String {
                [$(concat!("`\"", $word, "\"`")),+].join(", ")
            }
            fn example() -> String {
                [$(concat!("\"", $word, "\"")),+][0].to_owned()
            }
            fn read(
                item: &$crate::config::reader::Item<'_>,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                let written = $crate::config::value::text::<Self>(item, reader)?;
                match written {
                    $( $word => Some(Self::$variant), )+
                    _ => {
                        $crate::config::value::unknown_word(written, &[$($word),+], item, reader);
                        None
                    }
                }
            }
            fn show(&self) -> String {
                format!("\"{}\"", self.word())
            }
        }
    };
}
pub(crate) use words;
