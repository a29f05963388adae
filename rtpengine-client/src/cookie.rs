//! Cookies: what ties an answer to its request.
//!
//! RTPEngine keeps the answer to a cookie for up to a minute and gives it to whoever comes with the same cookie, from
//! any address. So a cookie must never come twice, from any client of the node, and nobody else may guess it.

use crate::error::Error;

/// 128 random bits, 32 hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cookie(u128);

impl Cookie {
    const DIGITS: usize = 32;

    pub(crate) fn random() -> Result<Cookie, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|why| Error::Io(std::io::Error::other(why)))?;
        Ok(Cookie(u128::from_le_bytes(bytes)))
    }

    /// The datagram of a request: cookie, space, dictionary.
    pub(crate) fn before(self, dictionary: &[u8]) -> Vec<u8> {
        let mut datagram = format!("{:0width$x} ", self.0, width = Self::DIGITS).into_bytes();
        datagram.extend_from_slice(dictionary);
        datagram
    }

    /// Takes an answer apart. Only what [`Cookie::before`] writes is a cookie, digit by digit.
    pub(crate) fn split(datagram: &[u8]) -> Option<(Cookie, &[u8])> {
        let (digits, rest) = datagram.split_at_checked(Self::DIGITS)?;
        let dictionary = rest.strip_prefix(b" ")?;
        if !digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        let number = u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        Some((Cookie(number), dictionary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_back_from_the_datagram_and_only_as_it_was_written() {
        let cookie = Cookie(0x00ab);
        let datagram = cookie.before(b"de");
        assert_eq!(datagram, b"000000000000000000000000000000ab de");
        assert_eq!(Cookie::split(&datagram), Some((cookie, b"de".as_slice())));
        for other in [
            b"".as_slice(),
            b"000000000000000000000000000000ab",
            b"000000000000000000000000000000AB de",
            b"+00000000000000000000000000000ab de",
            b"0000000000000000000000000000000ab de",
            b"ab de",
        ] {
            assert_eq!(
                Cookie::split(other),
                None,
                "{}",
                String::from_utf8_lossy(other)
            );
        }
    }

    #[test]
    fn cookies_do_not_repeat() {
        let all: std::collections::HashSet<_> =
            (0..1000).map(|_| Cookie::random().unwrap()).collect();
        assert_eq!(all.len(), 1000);
    }
}
