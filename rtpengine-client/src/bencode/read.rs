//! Reading bencode into the types of the answers, by serde, without a copy of anything that is not kept.
//!
//! It reads by recursion, so [`check`](super::check) comes first; of what that has let pass, only dictionaries are left to be found
//! wrong here: a key that is no string, or one without a value.

use serde::de::value::Error as Fault;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The longest string of a datagram has a length of so many digits.
const LENGTH_DIGITS: usize = 5;

/// What bencode is made of.
pub(super) enum Token<'de> {
    Integer(i64),
    String(&'de [u8]),
    /// A list begins.
    List,
    /// A dictionary begins.
    Dictionary,
    /// The list or dictionary that began last ends.
    End,
}

impl<'de> Token<'de> {
    /// The first token of `data`, and what comes behind it; or what is wrong.
    pub(super) fn first(data: &'de [u8]) -> Result<(Self, &'de [u8]), &'static str> {
        let Some((first, rest)) = data.split_first() else {
            return Err("the dictionary is not closed");
        };
        Ok(match first {
            b'0'..=b'9' => {
                let (string, rest) = string(data).ok_or("a string without length, or not whole")?;
                (Self::String(string), rest)
            }
            b'i' => {
                let (number, rest) = integer(rest).ok_or("a number that is none, or too large")?;
                (Self::Integer(number), rest)
            }
            b'l' => (Self::List, rest),
            b'd' => (Self::Dictionary, rest),
            b'e' => (Self::End, rest),
            _ => return Err("a byte that starts no value"),
        })
    }
}

/// A string behind its length.
fn string(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0;
    for (at, byte) in data.iter().enumerate().take(LENGTH_DIGITS + 1) {
        match byte {
            b'0'..=b'9' => length = length * 10 + usize::from(byte - b'0'),
            b':' => return data[at + 1..].split_at_checked(length),
            _ => return None,
        }
    }
    None
}

/// The digits of an integer, up to its `e`.
fn integer(data: &[u8]) -> Option<(i64, &[u8])> {
    let (is_negative, digits) = match data {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Below zero there is one number more.
    let mut number = 0_i64;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_sub(i64::from(byte - b'0'))?;
            }
            b'e' if at > 0 => {
                let number = match is_negative {
                    true => number,
                    false => number.checked_neg()?,
                };
                return Some((number, &digits[at + 1..]));
            }
            _ => return None,
        }
    }
    None
}

/// What is left to be read.
pub(super) struct Reader<'de>(&'de [u8]);

impl<'de> Reader<'de> {
    pub(super) fn of(data: &'de [u8]) -> Self {
        Self(data)
    }

    fn next(&mut self) -> Result<Token<'de>, Fault> {
        let (token, rest) = Token::first(self.0).map_err(Fault::custom)?;
        self.0 = rest;
        Ok(token)
    }

    /// Whether the list or dictionary that is being read has no more.
    fn is_at_end(&self) -> bool {
        self.0.first() == Some(&b'e')
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.next()? {
            Token::End => Ok(()),
            _ => Err(Fault::custom("more than was expected")),
        }
    }

    /// Passes over one value.
    fn skip(&mut self) -> Result<(), Fault> {
        let mut open = 0_usize;
        loop {
            match self.next()? {
                Token::List | Token::Dictionary => open += 1,
                Token::End if open == 0 => return Err(Fault::custom("a key without value")),
                Token::End => open -= 1,
                Token::Integer(_) | Token::String(_) => {}
            }
            if open == 0 {
                return Ok(());
            }
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.next()? {
            Token::Integer(number) => visitor.visit_i64(number),
            Token::String(string) => visitor.visit_borrowed_bytes(string),
            Token::List => {
                let list = visitor.visit_seq(Inside(self))?;
                self.end()?;
                Ok(list)
            }
            Token::Dictionary => {
                let dictionary = visitor.visit_map(Inside(self))?;
                self.end()?;
                Ok(dictionary)
            }
            Token::End => Err(Fault::custom("a key without value")),
        }
    }

    /// What is there is there: bencode has no word for nothing.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// A list or dictionary that was begun.
struct Inside<'a, 'de>(&'a mut Reader<'de>);

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        match self.0.is_at_end() {
            true => Ok(None),
            false => seed.deserialize(&mut *self.0).map(Some),
        }
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        match self.0.0.first() {
            Some(b'e') => Ok(None),
            Some(b'0'..=b'9') => seed.deserialize(&mut *self.0).map(Some),
            _ => Err(Fault::custom("a key that is no string")),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(&mut *self.0)
    }
}
