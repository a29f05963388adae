//! Which device a request speaks of: a hash of its address-of-record and instance-id (RFC 5626 §4.1), or of its Contact
//! where it has none (SIGNALLING §5). The address-of-record is in it, or somebody would register a victim's Contact
//! under his own.

use std::hash::Hasher;

use sip::{Edited, Header, Method, NameAddr, Uri};
use siphasher::sip::SipHasher13;

use crate::decision::Device;

/// The device of `user@host` that registered this instance-id, or this Contact URI.
pub fn of(address_of_record: &[u8], instance: Option<&[u8]>, contact: &[u8]) -> Device {
    let mut hasher = SipHasher13::new_with_keys(0x6465_7669, 0x6365_2121);
    hasher.write(address_of_record);
    hasher.write_u8(u8::from(instance.is_some()));
    hasher.write(instance.map_or(contact, unquoted));
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    // All zeros stand for "not known".
    Device([a | 1, b, c, d])
}

/// Quotes around an instance-id are no part of it.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The device that a REGISTER with one Contact registers; `None` for `*` and for no Contact.
pub fn of_register(request: &Edited) -> Option<Device> {
    if request.method() != Method::Register {
        return None;
    }
    let to = request.to()?;
    let uri = Uri::parse(to.uri)?;
    let mut aor = uri.user_decoded().into_owned();
    aor.push(b'@');
    aor.extend(uri.host.to_ascii_lowercase());
    let contact = NameAddr::parse(request.values(Header::Contact).next()?)?;
    if contact.uri == b"*" {
        return None;
    }
    Some(of(&aor, contact.param(b"+sip.instance").flatten(), contact.uri))
}
