//! What a request says.

use std::collections::BTreeMap;

use super::value::{self, Value};

/// A dictionary under construction: what a request says, key by key. A key that is set twice keeps the last value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary(BTreeMap<Vec<u8>, Value>);

impl Dictionary {
    /// An empty dictionary.
    pub fn new() -> Self {
        Dictionary::default()
    }

    /// Sets `key` to a string of bytes.
    pub fn text(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.value(key, Value::Bytes(value.as_ref().to_vec()));
    }

    /// Sets `key` to a string of bytes, if there is one.
    pub fn text_if(&mut self, key: &str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// Sets `key` to a number.
    pub fn number(&mut self, key: &str, value: impl Into<i64>) {
        self.value(key, Value::Int(value.into()));
    }

    /// Sets `key` to a number, if there is one.
    pub fn number_if(&mut self, key: &str, value: Option<impl Into<i64>>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// Sets `key` to a list of strings. An empty list is left out.
    pub fn list<T: AsRef<[u8]>>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        let list: Vec<_> = values
            .into_iter()
            .map(|value| Value::Bytes(value.as_ref().to_vec()))
            .collect();
        if !list.is_empty() {
            self.value(key, Value::List(list));
        }
    }

    /// Sets `key` to any value.
    pub fn value(&mut self, key: &str, value: Value) {
        self.0.insert(key.as_bytes().to_vec(), value);
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key.as_bytes())
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The dictionary as a value, to be put into another one.
    pub fn into_value(self) -> Value {
        Value::Dict(self.0)
    }

    /// Its bencode, keys in order.
    pub fn encode(&self) -> Vec<u8> {
        // An INVITE's session description and what is said of it.
        let mut bencode = Vec::with_capacity(2048);
        value::write_dictionary(&self.0, &mut bencode);
        bencode
    }
}
