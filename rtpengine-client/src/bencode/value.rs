//! Any value of bencode, and how it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer};

use super::ByteString;

/// Any value of bencode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A list.
    List(Vec<Value>),
    /// A dictionary. Bencode has its keys in order.
    Dict(BTreeMap<Vec<u8>, Value>),
}

/// Writes a value at the end of `to`.
pub(super) fn write(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Bytes(bytes) => write_string(bytes, to),
        Value::Int(number) => {
            to.push(b'i');
            if *number < 0 {
                to.push(b'-');
            }
            write_digits(number.unsigned_abs(), to);
            to.push(b'e');
        }
        Value::List(values) => {
            to.push(b'l');
            values.iter().for_each(|value| write(value, to));
            to.push(b'e');
        }
        Value::Dict(entries) => write_dictionary(entries, to),
    }
}

/// Writes a dictionary at the end of `to`.
pub(super) fn write_dictionary(entries: &BTreeMap<Vec<u8>, Value>, to: &mut Vec<u8>) {
    to.push(b'd');
    for (key, value) in entries {
        write_string(key, to);
        write(value, to);
    }
    to.push(b'e');
}

fn write_string(bytes: &[u8], to: &mut Vec<u8>) {
    write_digits(bytes.len() as u64, to);
    to.push(b':');
    to.extend_from_slice(bytes);
}

fn write_digits(mut number: u64, to: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[first..]);
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Int(number))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
                Ok(Value::Bytes(bytes.to_vec()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Value::List(values))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<ByteString, _>()? {
                    entries.insert(key.0, value);
                }
                Ok(Value::Dict(entries))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Bytes(text.into_bytes())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Value::List(values)
    }
}
