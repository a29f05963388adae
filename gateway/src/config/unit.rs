//! Durations and sizes: a number and its unit.
use std::time::Duration;

use toml::de::DeValue;

use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::text;

/// Units of a duration in milliseconds, the smallest first.
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Setting for Duration {
    fn kind() -> String {
        "a duration".to_owned()
    }
    fn example() -> String {
        "\"30s\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let units = "a number and its unit, one of ms, s, m, h, d";
        let written = match item.value {
            DeValue::Integer(value) => {
                let message = format!("`{}` has no unit", item.path);
                reader.error(
                    item,
                    message,
                    format!(
                        "write `{} = \"{value}s\"` if seconds are meant: {units}",
                        item.name()
                    ),
                );
                return None;
            }
            _ => text::<Self>(item, reader)?,
        };
        let (digits, unit) = split_unit(written);
        let factor = DURATIONS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let read = digits
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor));
        if read.is_none() {
            let example = match unit {
                "" if !digits.is_empty() => format!("\"{digits}s\""),
                _ => "\"500ms\", \"30s\", \"5m\", \"1h\"".to_owned(),
            };
            let message = format!("`{written}` is not a duration");
            reader.error(item, message, format!("{units}: for example {example}"));
        }
        read.map(Self::from_millis)
    }
    fn show(&self) -> String {
        let millis = self.as_millis();
        let fits =
            |factor: u64| millis >= u128::from(factor) && millis.is_multiple_of(u128::from(factor));
        let (name, factor) = DURATIONS
            .iter()
            .rev()
            .find(|(_, factor)| fits(*factor))
            .unwrap_or(&DURATIONS[0]);
        format!("\"{}{name}\"", millis / u128::from(*factor))
    }
}

fn split_unit(written: &str) -> (&str, &str) {
    let at = written
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(written.len());
    (&written[..at], written[at..].trim_start())
}

/// A number of bytes: `65536`, `"64KiB"`, `"1MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(
    /// Bytes.
    pub usize,
);

const SIZES: [(&str, usize); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Setting for ByteSize {
    fn kind() -> String {
        "a size in bytes".to_owned()
    }
    fn example() -> String {
        "\"64KiB\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if matches!(item.value, DeValue::Integer(_)) {
            return usize::read(item, reader).map(Self);
        }
        let written = text::<Self>(item, reader)?;
        let (digits, unit) = split_unit(written);
        let factor = SIZES
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let read = digits
            .parse::<usize>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor));
        if read.is_none() {
            let message = format!("`{written}` is not a size");
            reader.error(
                item,
                message,
                "a number of bytes, or with a unit B, KiB, MiB: for example \"64KiB\"",
            );
        }
        read.map(Self)
    }
    fn show(&self) -> String {
        let fits = |factor: usize| self.0 >= factor && self.0.is_multiple_of(factor);
        match SIZES.iter().rev().find(|(_, factor)| fits(*factor)) {
            Some((name, factor)) if *factor > 1 => format!("\"{}{name}\"", self.0 / factor),
            _ => self.0.to_string(),
        }
    }
}
