//! Which device a request speaks of: a hash of its address-of-record and instance-id (RFC 5626 §4.1), or of its Contact
//! where it has none (SIGNALLING §5). The address-of-record is in it, or somebody would register a victim's Contact
//! under his own.

use std::hash::Hasher;

use sip::{Edited, Header, Method, NameAddr, Uri};
use siphasher::sip::SipHasher13;

use crate::decision::Device;
use crate::site::Site;

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
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// The devices that a REGISTER speaks of, one for each Contact; none for `*`.
pub fn all_of_register(request: &Edited, site: &Site) -> Vec<Device> {
    contacts(request, site).map_or_else(Vec::new, |contacts| {
        contacts.map(|(device, _)| device).collect()
    })
}

/// The device that a REGISTER registers: of several Contacts the first that is not removed, for a phone that changed its
/// address removes the old one in the same request. `None` for `*` and for no Contact.
pub fn of_register(request: &Edited, site: &Site) -> Option<Device> {
    if request.method() != Method::Register {
        return None;
    }
    let mut found = contacts(request, site)?.peekable();
    let (first, _) = *found.peek()?;
    let stays = found.find(|(_, expires)| *expires != Some(0));
    Some(stays.map_or(first, |(device, _)| device))
}

/// For how many seconds the answer to a REGISTER says that `device` is registered: it lists the user's other devices too.
/// `None` when it is not.
pub fn expires(response: &Edited, device: Device, site: &Site) -> Option<u64> {
    let by_header = response.header(Header::Expires).and_then(number);
    let mine = contacts(response, site)?.filter(|(other, _)| *other == device);
    mine.filter_map(|(_, expires)| expires.or(by_header)).max()
}

/// The device of each Contact, and its `expires`.
fn contacts<'m>(
    message: &'m Edited,
    site: &Site,
) -> Option<impl Iterator<Item = (Device, Option<u64>)> + 'm> {
    let aor = site.address_of_record(&Uri::parse(message.to()?.uri)?);
    let contacts = message
        .values(Header::Contact)
        .filter_map(NameAddr::parse)
        .filter(|contact| contact.uri != b"*");
    Some(contacts.map(move |contact| {
        let device = of(&aor, contact.param(b"+sip.instance").flatten(), contact.uri);
        (device, contact.param(b"expires").flatten().and_then(number))
    }))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}
