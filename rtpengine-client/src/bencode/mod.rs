//! Bencode: the encoding of the ng protocol's dictionaries.
//!
//! A datagram of a stranger is walked once, without recursion, before it is decoded ([`check`]): 10 kB of `l` would otherwise
//! overflow the stack of a thread and abort the process. What is decoded then borrows from the datagram (`read`): an answer to
//! `delete` has some 250 strings, nearly all of them keys.

mod dictionary;
mod read;
mod string;
mod value;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

pub use dictionary::Dictionary;
pub use string::ByteString;
pub use value::Value;

use crate::error::Error;
use read::{Reader, Token};

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

/// Keys that an answer has and its type does not name, kept as they came.
pub type Rest = BTreeMap<String, Value>;

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
    loop {
        let (token, after) = Token::first(rest).map_err(Error::undecodable)?;
        rest = after;
        match token {
            Token::List | Token::Dictionary if open == limits.depth => {
                return Err(Error::TooDeep {
                    limit: limits.depth,
                });
            }
            Token::List | Token::Dictionary => open += 1,
            // `open` is at least 1: the first byte is `d`, and the walk ends when it is closed.
            Token::End => open -= 1,
            Token::Integer(_) | Token::String(_) => {}
        }
        if open == 0 {
            break;
        }
    }
    match rest {
        [] => Ok(()),
        _ => Err(Error::undecodable("bytes behind the dictionary")),
    }
}

/// Decodes one dictionary, after [`check`].
///
/// # Errors
/// Those of [`check`], and [`Error::Undecodable`] when the dictionary does not have the shape of `T`.
pub fn decode<T: DeserializeOwned>(data: &[u8], limits: &Limits) -> Result<T, Error> {
    check(data, limits)?;
    decode_checked(data)
}

/// Decodes what [`check`] has let pass.
pub(crate) fn decode_checked<T: DeserializeOwned>(data: &[u8]) -> Result<T, Error> {
    T::deserialize(&mut Reader::of(data)).map_err(|why| Error::Undecodable(why.to_string()))
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
            ("the smallest number", b"d1:ai-9223372036854775808ee", true),
            ("one below", b"d1:ai-9223372036854775809ee", false),
            ("a minus alone", b"d1:ai-ee", false),
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
    fn dictionaries_have_strings_as_keys_and_a_value_for_each() {
        for (why, data, fits) in [
            ("in order", b"d1:a1:b1:ci1ee".as_slice(), true),
            ("a number as key", b"di1e1:ae", false),
            ("a list as key", b"dle1:ae", false),
            ("a key without value", b"d1:ae", false),
            ("a key without value, inside", b"d1:ad1:bee", false),
        ] {
            assert!(check(data, &Limits::default()).is_ok(), "{why}");
            assert_eq!(value_of(data).is_ok(), fits, "{why}");
            let ignored: Result<serde::de::IgnoredAny, _> = decode(data, &Limits::default());
            assert!(
                ignored.is_ok(),
                "{why}: what nobody reads may be as it likes"
            );
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
        assert_eq!(dictionary.encode(), b"d1:ai7e1:b2:\xff\x00e");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                proptest::collection::btree_map(
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
            let encoded = dictionary.clone().encode();
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
        fn another_implementation_reads_and_writes_the_same(value in any_value()) {
            let mut dictionary = Dictionary::new();
            dictionary.value("v", value);
            let encoded = dictionary.encode();
            let theirs: serde_bencode::value::Value = serde_bencode::from_bytes(&encoded).unwrap();
            prop_assert_eq!(serde_bencode::to_bytes(&theirs).unwrap(), encoded);
        }

        #[test]
        fn what_passes_here_passes_there_with_the_same_value(data in "d([dlei0-9:a-c-]{0,60})") {
            if let Ok(ours) = value_of(data.as_bytes())
                && let Ok(theirs) = serde_bencode::from_bytes::<serde_bencode::value::Value>(data.as_bytes())
            {
                let mut again = Vec::new();
                value::write(&ours, &mut again);
                prop_assert_eq!(serde_bencode::to_bytes(&theirs).unwrap(), again);
            }
        }

        #[test]
        fn any_bytes_are_checked_without_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = value_of(&data);
        }
    }
}
