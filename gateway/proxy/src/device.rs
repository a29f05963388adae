//! Which device a request speaks of: a hash of its address-of-record and instance-id (RFC 5626 §4.1), or of its Contact
//! where it has none (SIGNALLING §5). The address-of-record is in it, or somebody would register a victim's Contact
//! under his own.

use std::hash::Hasher;

use sip::{Edited, Header, Method, NameAddr, Uri};
use siphasher::sip::SipHasher13;

use crate::decision::Device;
use crate::site::Site;

/// The device of `user@host` that registered this instance-id, or this Contact URI.
pub fn of(
    site: &Site,
    address_of_record: &[u8],
    instance: Option<&[u8]>,
    contact: &[u8],
) -> Device {
    whole(site, address_of_record, instance, contact).into()
}

/// All 64 bits of the hash that a device's name is cut from. Two devices may have one name by chance, and nobody may make one
/// that has another's: he would get its calls. Hence the cluster's secret in it.
pub fn whole(
    site: &Site,
    address_of_record: &[u8],
    instance: Option<&[u8]>,
    contact: &[u8],
) -> u64 {
    hash(site.device_key, address_of_record, instance, contact)
}

fn hash(key: (u64, u64), address_of_record: &[u8], instance: Option<&[u8]>, contact: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
    hasher.write(address_of_record);
    hasher.write_u8(u8::from(instance.is_some()));
    hasher.write(instance.map_or(contact, unquoted));
    hasher.finish()
}

impl Device {
    /// False for what stands in a token where the device was not known.
    pub fn is_known(self) -> bool {
        self != Self::default()
    }
}

impl From<u64> for Device {
    fn from(whole: u64) -> Self {
        let [a, b, c, d, ..] = whole.to_be_bytes();
        // All zeros stand for "not known".
        Self([a | 1, b, c, d])
    }
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
        contacts.map(|(whole, _)| whole.into()).collect()
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
    Some(stays.map_or(first, |(whole, _)| whole).into())
}

/// For how many seconds the answer to a REGISTER says that `device` is registered, and [`whole`] of it: it lists the user's
/// other devices too. `None` when it is not.
pub fn expires(response: &Edited, device: Device, site: &Site) -> Option<(u64, u64)> {
    let by_header = response.header(Header::Expires).and_then(number);
    let mine = contacts(response, site)?.filter(|(whole, _)| Device::from(*whole) == device);
    mine.filter_map(|(whole, expires)| Some((expires.or(by_header)?, whole)))
        .max()
}

/// The Contact of `device` in the answer to a REGISTER.
pub fn contact(response: &Edited, device: Device, site: &Site) -> Option<Vec<u8>> {
    let aor = site.address_of_record(&Uri::parse(response.to()?.uri)?);
    let contacts = response.values(Header::Contact).filter_map(NameAddr::parse);
    let mut mine = contacts.filter(|contact| {
        let instance = contact.param(b"+sip.instance").flatten();
        Device::from(hash(site.device_key, &aor, instance, contact.uri)) == device
    });
    mine.next().map(|contact| contact.uri.to_vec())
}

/// [`whole`] of the device of each Contact, and its `expires`.
fn contacts<'m>(
    message: &'m Edited,
    site: &Site,
) -> Option<impl Iterator<Item = (u64, Option<u64>)> + 'm> {
    let aor = site.address_of_record(&Uri::parse(message.to()?.uri)?);
    let contacts = message
        .values(Header::Contact)
        .filter_map(NameAddr::parse)
        .filter(|contact| contact.uri != b"*");
    let key = site.device_key;
    Some(contacts.map(move |contact| {
        let instance = contact.param(b"+sip.instance").flatten();
        (
            hash(key, &aor, instance, contact.uri),
            contact.param(b"expires").flatten().and_then(number),
        )
    }))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}
