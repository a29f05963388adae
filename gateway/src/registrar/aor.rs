//! An address of record: `user@domain`, in the one spelling under which bindings are kept.

use std::fmt;
use std::sync::Arc;

use sip::Uri;

/// `user@domain`, escapes undone and the domain in lower case (RFC 3261 §10.3 step 5). The bytes of a user may be any.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aor(Arc<[u8]>);

impl Aor {
    /// The AOR of a SIP URI, whose parameters and port do not count. `None` for another scheme or without a user:
    /// nobody can be registered under those.
    pub fn of(uri: &Uri<'_>) -> Option<Self> {
        Self::under(uri, &String::from_utf8_lossy(uri.host))
    }

    /// The same, with the domain that the URI's host is another name of.
    pub fn under(uri: &Uri<'_>, domain: &str) -> Option<Self> {
        (uri.is_sip() && uri.user.is_some()).then(|| Self::new(&uri.user_decoded(), domain))
    }

    /// Of a user's bare name, without escapes.
    pub fn new(user: &[u8], domain: &str) -> Self {
        let mut text = user.to_vec();
        text.push(b'@');
        text.extend_from_slice(domain.to_ascii_lowercase().as_bytes());
        Self(text.into())
    }

    /// `user@domain`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn from_stored(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl std::ops::Deref for Aor {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_aor() {
        for (uri, want) in [
            ("sip:alice@Example.TEST", Some("alice@example.test")),
            (
                "sips:%61lice@example.test:5061;transport=tcp",
                Some("alice@example.test"),
            ),
            ("sip:Alice@example.test", Some("Alice@example.test")),
            ("sip:a%40b@example.test", Some("a@b@example.test")),
            (
                "sip:alice:secret@[2001:DB8::1]",
                Some("alice@[2001:db8::1]"),
            ),
            ("sip:example.test", None),
            ("tel:+4930", None),
        ] {
            let parsed = Uri::parse(uri.as_bytes()).unwrap();
            assert_eq!(
                Aor::of(&parsed).map(|aor| aor.to_string()).as_deref(),
                want,
                "{uri}"
            );
        }
    }
}
