//! Bencode: the encoding of the ng protocol's dictionaries.
//!
//! Encoding and decoding are done by `serde_bencode`. It decodes by recursion: 10 kB of `l` overflow the stack of a
//! thread and abort the process. So [`check`] walks every datagram once, without recursion, before it is decoded.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};
use serde::ser::{Serialize, Serializer};
pub use serde_bencode::value::Value;

use crate::error::Error;

/// How large and how deep a datagram may be before it is refused undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest datagram, in bytes. A UDP datagram cannot be longer than the default, 65,535.
    pub bytes: usize,
    /// How many lists and dictionaries may be open at once. RTPEngine's answers need 7 (`query`, the endpoints of a
    /// stream); the default is 32.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 65_535,
            depth: 32,
        }
    }
}

/// Walks `data` once and says whether it is exactly one bencode dictionary within the limits, every value in it complete.
/// Whether its keys are strings, each with a value, is left to [`decode`].
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooDeep`], or [`Error::Undecodable`] for anything that is not bencode: a string that
/// ends after the data, a number above 63 bits, bytes behind the dictionary.
pub fn check(data: &[u8], limits: &Limits) -> Result<(), Error> {
    if data.len() > limits.bytes {
        return Err(Error::TooLarge {
            bytes: data.len(),
            limit: limits.bytes,
        });
    }
    if data.first() != Some(&b'd') {
        return Err(Error::undecodable("not a dictionary"));
    }
    let mut open = 0usize;
    let mut rest = data;
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'd' | b'l' => {
                open += 1;
                if open > limits.depth {
                    return Err(Error::TooDeep {
                        limit: limits.depth,
                    });
                }
                tail
            }
            b'e' => {
                // `open` is at least 1: the first byte is `d`, and the walk ends when it is closed.
                open -= 1;
                tail
            }
            b'i' => integer(tail)?,
            b'0'..=b'9' => string(rest)?,
            _ => return Err(Error::undecodable("a byte that starts no value")),
        };
        if open == 0 {
            break;
        }
    }
    match (open, rest.is_empty()) {
        (0, true) => Ok(()),
        (0, false) => Err(Error::undecodable("bytes behind the dictionary")),
        _ => Err(Error::undecodable("the dictionary is not closed")),
    }
}

/// Skips the digits and the `e` of an integer.
fn integer(tail: &[u8]) -> Result<&[u8], Error> {
    // An i64 has 20 characters at most, so the search is short whatever the datagram holds.
    let end = tail
        .iter()
        .take(21)
        .position(|byte| *byte == b'e')
        .ok_or_else(|| Error::undecodable("a number without end"))?;
    std::str::from_utf8(&tail[..end])
        .ok()
        .and_then(|digits| digits.parse::<i64>().ok())
        .ok_or_else(|| Error::undecodable("a number that is none, or above 63 bits"))?;
    Ok(&tail[end + 1..])
}

/// Skips a string with its length.
fn string(data: &[u8]) -> Result<&[u8], Error> {
    // A length above 99,999 cannot be inside a datagram.
    let colon = data
        .iter()
        .take(6)
        .position(|byte| *byte == b':')
        .ok_or_else(|| Error::undecodable("a string without length"))?;
    let length = std::str::from_utf8(&data[..colon])
        .ok()
        .and_then(|digits| digits.parse::<usize>().ok())
        .ok_or_else(|| Error::undecodable("a string whose length is no number"))?;
    data[colon + 1..]
        .get(length..)
        .ok_or_else(|| Error::undecodable("a string that ends after the datagram"))
}

/// Decodes one dictionary, after [`check`].
///
/// # Errors
/// Those of [`check`], and [`Error::Undecodable`] when the dictionary does not have the shape of `T`.
pub fn decode<T: DeserializeOwned>(data: &[u8], limits: &Limits) -> Result<T, Error> {
    check(data, limits)?;
    serde_bencode::from_bytes(data).map_err(|why| Error::Undecodable(why.to_string()))
}

/// A dictionary under construction: what a request says, key by key. A key that is set twice keeps the last value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary(HashMap<Vec<u8>, Value>);

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
    ///
    /// # Errors
    /// [`Error::Unencodable`] with the serializer's words; it has none for the values that a dictionary can hold.
    pub fn encode(self) -> Result<Vec<u8>, Error> {
        serde_bencode::to_bytes(&Value::Dict(self.0))
            .map_err(|why| Error::Unencodable(why.to_string()))
    }
}

/// Keys that an answer has and its type does not name, kept as they came.
pub type Rest = BTreeMap<String, Value>;

/// A string of bytes as SIP and SDP have them: mostly UTF-8, not always.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteString(pub Vec<u8>);

impl ByteString {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, what is not UTF-8 replaced by U+FFFD.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl AsRef<[u8]> for ByteString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for ByteString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for ByteString {
    fn from(text: &str) -> Self {
        ByteString(text.as_bytes().to_vec())
    }
}

impl From<String> for ByteString {
    fn from(text: String) -> Self {
        ByteString(text.into_bytes())
    }
}

impl From<&[u8]> for ByteString {
    fn from(bytes: &[u8]) -> Self {
        ByteString(bytes.to_vec())
    }
}

impl From<Vec<u8>> for ByteString {
    fn from(bytes: Vec<u8>) -> Self {
        ByteString(bytes)
    }
}

impl From<&ByteString> for ByteString {
    fn from(bytes: &ByteString) -> Self {
        bytes.clone()
    }
}

impl From<bytes::Bytes> for ByteString {
    fn from(bytes: bytes::Bytes) -> Self {
        ByteString(bytes.into())
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<ByteString, E> {
                Ok(bytes.into())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteString, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(data: &[u8]) -> Result<Value, Error> {
        decode(data, &Limits::default())
    }

    #[test]
    fn ten_kilobytes_of_open_lists_are_an_error_not_a_crash() {
        for data in [
            vec![b'l'; 10_000],
            [b"d1:a".as_slice(), &[b'l'; 10_000]].concat(),
            b"d1:a".repeat(2_500),
        ] {
            assert!(matches!(
                value_of(&data),
                Err(Error::TooDeep { .. } | Error::Undecodable(_))
            ));
        }
    }

    #[test]
    fn what_is_not_one_dictionary_is_refused() {
        let limits = Limits {
            bytes: 40,
            depth: 3,
        };
        for (why, data, fits) in [
            ("an empty dictionary", "de".as_bytes(), true),
            ("all four kinds", b"d1:ai-1e1:bl1:cee", true),
            ("as deep as allowed", b"d1:ad1:bleee", true),
            ("one deeper", b"d1:ad1:blleeee", false),
            ("nothing", b"", false),
            ("a list at the top", b"le", false),
            ("not closed", b"d1:ai1e", false),
            ("closed twice", b"dee", false),
            ("bytes behind", b"de ", false),
            ("a length beyond the data", b"d9:ae", false),
            ("a length without end", b"d999999999999", false),
            ("a length with a sign", b"d1:a+1:be", false),
            ("a number without digits", b"d1:aiee", false),
            (
                "a number above 63 bits",
                b"d1:ai9223372036854775808ee",
                false,
            ),
            ("the largest number", b"d1:ai9223372036854775807ee", true),
            ("a byte that starts nothing", b"d1:axe", false),
            (
                "larger than allowed",
                b"d40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaai1ee",
                false,
            ),
        ] {
            assert_eq!(check(data, &limits).is_ok(), fits, "{why}");
        }
    }

    #[test]
    fn the_error_says_which_limit() {
        let limits = Limits {
            bytes: 10,
            depth: 1,
        };
        assert!(matches!(
            check(b"d1:alee", &limits),
            Err(Error::TooDeep { limit: 1 })
        ));
        assert!(matches!(
            check(&[b'd'; 11], &limits),
            Err(Error::TooLarge {
                bytes: 11,
                limit: 10
            })
        ));
    }

    #[test]
    fn a_key_set_twice_keeps_the_last_value_and_keys_are_in_order() {
        let mut dictionary = Dictionary::new();
        dictionary.text("b", "1");
        dictionary.number("a", 7);
        dictionary.text("b", [0xff, 0x00]);
        dictionary.list("empty", Vec::<&str>::new());
        assert_eq!(dictionary.encode().unwrap(), b"d1:ai7e1:b2:\xff\x00e");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                proptest::collection::hash_map(
                    proptest::collection::vec(any::<u8>(), 0..8),
                    inner,
                    0..6
                )
                .prop_map(Value::Dict),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_passes_the_check_and_decodes_to_itself(value in any_value()) {
            let mut dictionary = Dictionary::new();
            dictionary.value("v", value);
            let encoded = dictionary.clone().encode().unwrap();
            prop_assert_eq!(value_of(&encoded).unwrap(), dictionary.into_value());
        }

        #[test]
        fn what_passes_the_check_is_decodable_and_nothing_panics(data in "d([dlei0-9:a-c]{0,60})") {
            if check(data.as_bytes(), &Limits::default()).is_ok() {
                // Only keys that are no strings are left for the decoder to refuse.
                let _ = value_of(data.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_checked_without_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = value_of(&data);
        }
    }
}
