//! A binding: where a device of an address of record can be reached (RFC 3261 §10.2.1, RFC 3327, RFC 5626).

use sip::param::Params;
use sip::{NameAddr, Uri};

/// A Contact that a device registered, with what belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The Contact's URI as it came.
    pub contact: Box<[u8]>,
    /// Preference, in thousandths.
    pub q: u16,
    /// The instance-id as it came, in quotes and angle brackets: `"<urn:uuid:…>"`.
    pub instance: Option<Box<[u8]>>,
    /// The number of the device's flow. Only together with `instance`, and only where outbound applies.
    pub reg_id: Option<u32>,
    /// Call-ID of the REGISTER that made or refreshed it last.
    pub call_id: Box<[u8]>,
    /// CSeq of that REGISTER.
    pub cseq: u32,
    /// The values of Path, the nearest to us first.
    pub path: Vec<Box<[u8]>>,
    /// The device's User-Agent, for people to read.
    pub user_agent: Option<Box<[u8]>>,
    /// When this AOR came to have this Contact, milliseconds since 1970: who had it first may be called by it.
    pub created: u64,
    /// When it was refreshed last.
    pub updated: u64,
    /// When it ends.
    pub expires: u64,
}

/// A Contact of a REGISTER.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Contact<'a> {
    pub(super) uri: &'a [u8],
    pub(super) q: u16,
    pub(super) instance: Option<&'a [u8]>,
    pub(super) reg_id: Option<u32>,
    /// Its own expires parameter, in seconds.
    pub(super) expires: Option<Interval>,
}

/// An interval as a device wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interval {
    Seconds(u32),
    /// RFC 3261 §20.19: what cannot be read counts as the default.
    Malformed,
}

impl Interval {
    pub(super) fn read(text: &[u8]) -> Self {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Self::Malformed;
        }
        let digit = |number: u32, byte: &u8| {
            number
                .saturating_mul(10)
                .saturating_add(u32::from(byte - b'0'))
        };
        Self::Seconds(text.iter().fold(0, digit))
    }
}

impl<'a> Contact<'a> {
    /// Reads a Contact value other than `*`. `None` if there is no URI in it.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let address = NameAddr::parse(value)?;
        address.parsed_uri()?;
        let mut contact = Self {
            uri: address.uri,
            q: 1000,
            instance: None,
            reg_id: None,
            expires: None,
        };
        for (name, value) in Params::new(address.params) {
            let Some(value) = value else { continue };
            // The first of each name counts: SIP.js writes `+sip.instance` twice.
            if name.eq_ignore_ascii_case(b"expires") {
                contact.expires.get_or_insert(Interval::read(value));
            } else if name.eq_ignore_ascii_case(b"q") {
                contact.q = thousandths(value).unwrap_or(contact.q);
            } else if name.eq_ignore_ascii_case(b"+sip.instance") {
                contact.instance = contact.instance.or(quoted(value));
            } else if name.eq_ignore_ascii_case(b"reg-id") {
                contact.reg_id = contact.reg_id.or(reg_id(value));
            }
        }
        // RFC 5626 §6: reg-id says nothing without an instance-id.
        if contact.instance.is_none() {
            contact.reg_id = None;
        }
        Some(contact)
    }

    /// True if a REGISTER with this Contact is about `binding`.
    pub(super) fn is_about(&self, binding: &Binding) -> bool {
        match (self.reg_id, binding.reg_id) {
            // RFC 5626 §6: the flow of an instance, whatever its Contact is now. Two flows may have one Contact.
            (Some(_), Some(_)) => {
                self.reg_id == binding.reg_id && self.instance == binding.instance.as_deref()
            }
            _ => same_uri(self.uri, &binding.contact),
        }
    }
}

/// RFC 3261 §19.1.4, and byte by byte for what is no SIP URI.
pub(super) fn same_uri(one: &[u8], other: &[u8]) -> bool {
    one == other
        || matches!((Uri::parse(one), Uri::parse(other)), (Some(one), Some(other)) if one.same_as(&other))
}

/// `0`, `0.5`, `1.000`: at most three decimals (RFC 3261 §25.1).
fn thousandths(text: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// The value, if it is a quoted string with something in it (RFC 5626 §11.1).
fn quoted(value: &[u8]) -> Option<&[u8]> {
    let inside = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inside.is_empty()).then_some(value)
}

/// RFC 5626 §4.2: from 1 to 2^31-1.
fn reg_id(text: &[u8]) -> Option<u32> {
    match Interval::read(text) {
        Interval::Seconds(number) if (1..=0x7fff_ffff).contains(&number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_read_with_its_parameters() {
        let (sip_js, instance) = (
            r#"<sip:o@192.0.2.246;transport=ws>;+sip.instance="<urn:uuid:1>";reg-id=1;+sip.instance="<urn:uuid:1>";expires=600"#,
            Some("\"<urn:uuid:1>\""),
        );
        let ten_minutes = Some(Interval::Seconds(600));
        for (value, instance, reg_id, q, expires) in [
            (sip_js, instance, Some(1), 1000, ten_minutes),
            ("<sip:a@h>;q=0.25;expires=600", None, None, 250, ten_minutes),
            ("sip:a@h;q=.5", None, None, 1000, None),
            ("<sip:a@h>;q=1.0;reg-id=1", None, None, 1000, None),
            (
                r#"<sip:a@h>;+SIP.instance="<u>";reg-id=0;q=0"#,
                Some("\"<u>\""),
                None,
                0,
                None,
            ),
            (
                r#"<sip:a@h>;+sip.instance="";reg-id=1"#,
                None,
                None,
                1000,
                None,
            ),
            (
                "<sip:a@h>;expires=1h",
                None,
                None,
                1000,
                Some(Interval::Malformed),
            ),
            (
                "<sip:a@h>;expires=99999999999",
                None,
                None,
                1000,
                Some(Interval::Seconds(u32::MAX)),
            ),
        ] {
            let contact = Contact::read(value.as_bytes()).unwrap();
            assert_eq!(contact.instance, instance.map(str::as_bytes), "{value}");
            assert_eq!(
                (contact.reg_id, contact.q, contact.expires),
                (reg_id, q, expires),
                "{value}"
            );
        }
        assert_eq!(Contact::read(b"<no uri>"), None);
        assert_eq!(Contact::read(b"*"), None);
    }
}
