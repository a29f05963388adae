//! CSeq (RFC 3261 §20.16): a number and a method.

use crate::Method;
use crate::lws::{number, take_while, trim, trim_start};

/// The value of a CSeq header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// The sequence number. RFC 3261 §8.1.1.5 keeps it under 2^31; any 32 bits are taken.
    pub number: u32,
    /// The method of the request, also in its responses.
    pub method: Method<'a>,
}

impl CSeq<'_> {
    /// Reads a value such as `8 INVITE`.
    pub fn parse(value: &[u8]) -> Option<CSeq<'_>> {
        let (digits, rest) = take_while(trim(value), |byte| byte.is_ascii_digit());
        let method = trim_start(rest);
        if method.len() == rest.len() || method.is_empty() {
            return None;
        }
        let number = number(digits)?;
        match Method::from(method) {
            Method::Other(name) if name.iter().any(u8::is_ascii_whitespace) => None,
            method => Some(CSeq { number, method }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CSeq;
    use crate::Method;

    #[test]
    fn a_cseq_is_a_number_and_a_method() {
        for (value, want) in [
            (&b"8 INVITE"[..], Some((8, Method::Invite))),
            (b"0009\r\n  INVITE", Some((9, Method::Invite))),
            (b"4294967295 X", Some((u32::MAX, Method::Other(b"X")))),
            (b"36893488147419103232 REGISTER", None),
            (b"8INVITE", None),
            (b"8", None),
            (b"8 ", None),
            (b"-1 BYE", None),
            (b"1 BYE now", None),
        ] {
            let got = CSeq::parse(value).map(|cseq| (cseq.number, cseq.method));
            assert_eq!(got, want, "{}", value.escape_ascii());
        }
    }
}
