//! Digest authentication (RFC 7616, RFC 8760): reading credentials, computing and comparing responses, writing challenges.
//! Nonces, counters and users are somebody else's.

use std::borrow::Cow;

use subtle::ConstantTimeEq as _;

use crate::Method;
use crate::lws::{is_lws, is_token, take_while, trim, trim_start};
use crate::param::closed_quote;

/// A hash algorithm. `-sess` forms and SHA-512/256 are [`Algorithm::Other`]: no phone here uses them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// RFC 2617's, and the one that all browsers' libraries know.
    Md5,
    /// RFC 8760's.
    Sha256,
    /// Anything else: nothing verifies with it.
    Other,
}

impl Algorithm {
    /// Its name in challenges; `None` for [`Algorithm::Other`].
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Md5 => Some("MD5"),
            Self::Sha256 => Some("SHA-256"),
            Self::Other => None,
        }
    }

    /// Reads the parameter; MD5 where it is missing (RFC 7616 §3.3).
    pub fn from_param(value: Option<&[u8]>) -> Self {
        match value {
            None => Self::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"MD5") => Self::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"SHA-256") => Self::Sha256,
            Some(_) => Self::Other,
        }
    }

    /// The hash of the parts joined by colons, in lower-case hexadecimal; `None` for [`Algorithm::Other`].
    fn hash(self, parts: &[&[u8]]) -> Option<String> {
        fn join<D: md5::Digest>(parts: &[&[u8]]) -> String {
            let mut hash = D::new();
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    hash.update(b":");
                }
                hash.update(part);
            }
            hex::encode(hash.finalize())
        }
        match self {
            Self::Md5 => Some(join::<md5::Md5>(parts)),
            Self::Sha256 => Some(join::<sha2::Sha256>(parts)),
            Self::Other => None,
        }
    }
}

/// H(A1): what a user store may keep instead of a password. Lower-case hexadecimal; empty for [`Algorithm::Other`].
pub fn ha1(algorithm: Algorithm, user: &[u8], realm: &[u8], password: &[u8]) -> String {
    algorithm.hash(&[user, realm, password]).unwrap_or_default()
}

/// The response of RFC 7616 §3.4.1, in lower-case hexadecimal; without `qop` that of RFC 2069, which needs no `nc` and `cnonce`.
/// Empty for [`Algorithm::Other`].
#[expect(clippy::too_many_arguments, reason = "these are the formula's")]
pub fn response(
    algorithm: Algorithm,
    ha1: &[u8],
    nonce: &[u8],
    nc: &[u8],
    cnonce: &[u8],
    qop: Option<&[u8]>,
    method: &[u8],
    uri: &[u8],
) -> String {
    let Some(ha2) = algorithm.hash(&[method, uri]) else {
        return String::new();
    };
    let ha2 = ha2.as_bytes();
    match qop {
        Some(qop) => algorithm.hash(&[ha1, nonce, nc, cnonce, qop, ha2]),
        None => algorithm.hash(&[ha1, nonce, ha2]),
    }
    .unwrap_or_default()
}

/// The value of an Authorization or Proxy-Authorization header. Fields are as they were written, without the quotes; escapes
/// inside stay, for they are hashed so.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The user, escapes and all: [`Credentials::username_decoded`] is the name to look up.
    pub username: &'a [u8],
    /// The realm.
    pub realm: &'a [u8],
    /// The nonce.
    pub nonce: &'a [u8],
    /// The digest-uri: what was hashed, though it need not be the Request-URI any more (RFC 3261 §22.4).
    pub uri: &'a [u8],
    /// The response.
    pub response: &'a [u8],
    /// The algorithm.
    pub algorithm: Algorithm,
    /// `auth`, `auth-int`, or none.
    pub qop: Option<&'a [u8]>,
    /// The nonce count: eight hexadecimal digits.
    pub nc: Option<&'a [u8]>,
    /// The client's nonce.
    pub cnonce: Option<&'a [u8]>,
    /// What the challenge had as opaque.
    pub opaque: Option<&'a [u8]>,
}

impl std::fmt::Debug for Credentials<'_> {
    /// Leaves the response out: with the nonce it lets somebody try passwords at leisure.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &String::from_utf8_lossy(self.username))
            .field("realm", &String::from_utf8_lossy(self.realm))
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl<'a> Credentials<'a> {
    /// Reads a header's value. `None` if the scheme is not Digest or a field is missing that a digest cannot do without, or if one
    /// stands there twice.
    pub fn parse(value: &'a [u8]) -> Option<Credentials<'a>> {
        let mut credentials = Credentials {
            username: b"",
            realm: b"",
            nonce: b"",
            uri: b"",
            response: b"",
            algorithm: Algorithm::Md5,
            qop: None,
            nc: None,
            cnonce: None,
            opaque: None,
        };
        let mut seen = [false; 10];
        for field in fields(value)? {
            let (name, value) = field?;
            let index = FIELDS
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name));
            let Some(index) = index else { continue };
            if std::mem::replace(&mut seen[index], true) {
                return None;
            }
            match index {
                0 => credentials.username = value,
                1 => credentials.realm = value,
                2 => credentials.nonce = value,
                3 => credentials.uri = value,
                4 => credentials.response = value,
                5 => credentials.algorithm = Algorithm::from_param(Some(value)),
                6 => credentials.qop = Some(value),
                7 => credentials.nc = Some(value),
                8 => credentials.cnonce = Some(value),
                _ => credentials.opaque = Some(value),
            }
        }
        seen[..5].iter().all(|seen| *seen).then_some(credentials)
    }

    /// The user name with quoted pairs undone.
    pub fn username_decoded(&self) -> Cow<'a, [u8]> {
        unquote(self.username)
    }

    /// The nonce count as a number.
    pub fn nonce_count(&self) -> Option<u32> {
        let text = std::str::from_utf8(self.nc?).ok()?;
        u32::from_str_radix(text, 16).ok()
    }

    /// Whether the response is that of somebody who knows H(A1) (lower-case hexadecimal), compared in constant time. With
    /// `auth-int`, which we never offer, it is not; nor with a `qop` and no `nc` or `cnonce`.
    pub fn verify(&self, ha1: &str, method: Method<'_>) -> bool {
        let (nc, cnonce) = match self.qop {
            None => (&b""[..], &b""[..]),
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => match (self.nc, self.cnonce) {
                (Some(nc), Some(cnonce)) => (nc, cnonce),
                _ => return false,
            },
            Some(_) => return false,
        };
        let expected = response(
            self.algorithm,
            ha1.as_bytes(),
            self.nonce,
            nc,
            cnonce,
            self.qop,
            method.as_bytes(),
            self.uri,
        );
        let given = self.response.to_ascii_lowercase();
        !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(&given))
    }
}

const FIELDS: [&[u8]; 10] = [
    b"username",
    b"realm",
    b"nonce",
    b"uri",
    b"response",
    b"algorithm",
    b"qop",
    b"nc",
    b"cnonce",
    b"opaque",
];

/// The fields of a Digest value, quotes taken off; a `None` among them is one that cannot be read. `None` for other schemes.
fn fields(value: &[u8]) -> Option<impl Iterator<Item = Option<(&[u8], &[u8])>>> {
    let value = trim(value);
    let (scheme, rest) = take_while(value, is_token);
    if !scheme.eq_ignore_ascii_case(b"Digest") || rest.first().is_some_and(|byte| !is_lws(*byte)) {
        return None;
    }
    let mut rest = rest;
    Some(std::iter::from_fn(move || {
        rest = trim_start(rest);
        while let Some(after) = rest.strip_prefix(b",") {
            rest = trim_start(after);
        }
        if rest.is_empty() {
            return None;
        }
        let field = field(rest);
        rest = field.map_or(b"", |(_, _, rest)| rest);
        Some(field.map(|(name, value, _)| (name, value)))
    }))
}

/// Name, value without quotes, and what follows.
fn field(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = take_while(text, is_token);
    let rest = trim_start(trim_start(rest).strip_prefix(b"=")?);
    let (value, rest) = if rest.first() == Some(&b'"') {
        let length = closed_quote(rest)?;
        (&rest[1..length - 1], &rest[length..])
    } else {
        let (value, rest) = take_while(rest, |byte| byte != b',');
        (trim(value), rest)
    };
    let rest = trim_start(rest);
    (!name.is_empty() && (rest.is_empty() || rest[0] == b',')).then_some((name, value, rest))
}

/// Undoes quoted pairs (`\"`).
fn unquote(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' {
            *bytes.next().unwrap_or(byte)
        } else {
            *byte
        });
    }
    Cow::Owned(out)
}

/// The value of a WWW-Authenticate or Proxy-Authenticate header.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The realm.
    pub realm: &'a str,
    /// The nonce.
    pub nonce: &'a str,
    /// The algorithm; [`Algorithm::Other`] is left out and so read as MD5.
    pub algorithm: Algorithm,
    /// The nonce was too old, the digest right: the client may try again without asking its user.
    pub stale: bool,
    /// Comes back with the credentials as it is.
    pub opaque: Option<&'a str>,
}

impl<'a> Challenge<'a> {
    /// One with `qop="auth"` and nothing stale.
    pub fn new(realm: &'a str, nonce: &'a str, algorithm: Algorithm) -> Self {
        Self {
            realm,
            nonce,
            algorithm,
            stale: false,
            opaque: None,
        }
    }

    /// The header's value.
    pub fn to_value(&self) -> Vec<u8> {
        let mut out = b"Digest realm=".to_vec();
        push_quoted(&mut out, self.realm);
        out.extend_from_slice(b", nonce=");
        push_quoted(&mut out, self.nonce);
        if let Some(name) = self.algorithm.name() {
            out.extend_from_slice(b", algorithm=");
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b", qop=\"auth\"");
        if self.stale {
            out.extend_from_slice(b", stale=true");
        }
        if let Some(opaque) = self.opaque {
            out.extend_from_slice(b", opaque=");
            push_quoted(&mut out, opaque);
        }
        out
    }
}

/// Writes a quoted string (RFC 3261 §25.1); controls cannot stand in one and are left out.
fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes().filter(|byte| *byte >= b' ') {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1 with both algorithms, RFC 2617 §3.5, and the last one without qop.
    const VECTORS: [(&str, &str); 3] = [
        (
            r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5,
 nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
 qop=auth, response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
            "Circle of Life",
        ),
        (
            r#"digest  Username = "Mufasa" ,realm="http-auth@example.org",uri="/dir/index.html", algorithm=sha-256,
 nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
 qop=auth, response="753927FA0E85D155564E2E272A28D1802CA10DAF4496794697CF8DB5856CB6C1",, unknown="a, b=\"c\"""#,
            "Circle of Life",
        ),
        (
            r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html",
 qop="auth", nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
            "Circle Of Life",
        ),
    ];

    #[test]
    fn the_examples_of_the_rfcs_verify() {
        for (value, password) in VECTORS {
            let credentials = Credentials::parse(value.as_bytes()).unwrap();
            let ha1 = |password: &str| {
                ha1(
                    credentials.algorithm,
                    b"Mufasa",
                    credentials.realm,
                    password.as_bytes(),
                )
            };
            assert!(
                credentials.verify(&ha1(password), Method::Other(b"GET")),
                "{value}"
            );
            assert!(!credentials.verify(&ha1(password), Method::Other(b"PUT")));
            assert!(!credentials.verify(&ha1("circle"), Method::Other(b"GET")));
            assert_eq!(credentials.nonce_count(), Some(1));
        }
    }

    #[test]
    fn without_qop_the_response_is_that_of_rfc_2069() {
        let ha1 = ha1(Algorithm::Md5, b"a", b"r", b"p");
        let answer = response(
            Algorithm::Md5,
            ha1.as_bytes(),
            b"n",
            b"",
            b"",
            None,
            b"REGISTER",
            b"sip:h",
        );
        let value = format!(
            "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"sip:h\",response=\"{answer}\""
        );
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        assert!(credentials.verify(&ha1, Method::Register));
        assert_eq!(
            (
                credentials.qop,
                credentials.opaque,
                credentials.nonce_count()
            ),
            (None, None, None)
        );
    }

    #[test]
    fn what_is_offered_by_nobody_verifies_with_nothing() {
        let good = VECTORS[0].0;
        let ha1 = ha1(
            Algorithm::Md5,
            b"Mufasa",
            b"http-auth@example.org",
            b"Circle of Life",
        );
        for (from, to) in [
            ("algorithm=MD5", "algorithm=MD5-sess"),
            ("algorithm=MD5", "algorithm=x"),
            ("qop=auth", "qop=auth-int"),
            (" nc=00000001,", ""),
            ("8ca523f5e9506fed4657c9700eebdbec", ""),
            (
                "8ca523f5e9506fed4657c9700eebdbec",
                "8ca523f5e9506fed4657c9700eebdbe",
            ),
        ] {
            let value = good.replace(from, to);
            assert_ne!(value, good);
            let credentials = Credentials::parse(value.as_bytes()).unwrap();
            assert!(!credentials.verify(&ha1, Method::Other(b"GET")), "{to}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_read_in_one_way_are_refused() {
        for value in [
            "",
            "Basic QWxhZGRpbg==",
            "Digest",
            "Digestusername=\"a\"",
            "NoOneKnowsThisScheme opaque-data=here",
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\"",
            "Digest username=\"a\", username=\"b\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"x\"",
            "Digest username=\"a, realm=\"r\", nonce=\"n\", uri=\"u\", response=\"x\"",
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"x",
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"x\\\"",
        ] {
            assert!(Credentials::parse(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn quoted_pairs_are_kept_for_the_hash_and_undone_for_the_look_up() {
        let value = br#"Digest username="a\"b\\", realm="r", nonce="n,=", uri="u", response="x""#;
        let credentials = Credentials::parse(value).unwrap();
        assert_eq!(credentials.username, br#"a\"b\\"#);
        assert_eq!(&*credentials.username_decoded(), br#"a"b\"#);
        assert_eq!(credentials.nonce, b"n,=");
        assert!(!format!("{credentials:?}").contains("response"));
    }

    #[test]
    fn a_challenge_is_what_browsers_understand() {
        let mut challenge = Challenge::new("example.test", "abc", Algorithm::Md5);
        let text = |challenge: &Challenge| String::from_utf8(challenge.to_value()).unwrap();
        assert_eq!(
            text(&challenge),
            "Digest realm=\"example.test\", nonce=\"abc\", algorithm=MD5, qop=\"auth\""
        );
        challenge.algorithm = Algorithm::Sha256;
        challenge.stale = true;
        challenge.opaque = Some("o\"\r\n");
        assert_eq!(
            text(&challenge),
            "Digest realm=\"example.test\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\", stale=true, opaque=\"o\\\"\""
        );
    }
}
