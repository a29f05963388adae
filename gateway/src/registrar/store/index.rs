//! From a text of a binding to the AORs that have it.

use std::collections::BTreeSet;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use sip::Uri;

use super::super::aor::Aor;

type Key = Box<[u8]>;

/// Each key's AORs, in the order in which they came: where several claim one Contact, the first has it.
#[derive(Debug, Default)]
pub(super) struct Index {
    aors: DashMap<Key, Vec<Aor>>,
}

impl Index {
    pub(super) fn get(&self, key: &[u8]) -> Vec<Aor> {
        self.aors
            .get(key)
            .map(|aors| aors.clone())
            .unwrap_or_default()
    }

    pub(super) fn add(&self, key: &[u8], aor: &Aor) {
        let mut aors = self.aors.entry(key.into()).or_default();
        if !aors.contains(aor) {
            aors.push(aor.clone());
        }
    }

    fn remove(&self, key: Key, aor: &Aor) {
        if let Entry::Occupied(mut entry) = self.aors.entry(key) {
            entry.get_mut().retain(|other| other != aor);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// Takes an AOR from the keys that it has no more to those that it has now. What stays keeps its turn.
    pub(super) fn change(&self, aor: &Aor, before: BTreeSet<Key>, after: BTreeSet<Key>) {
        for key in before.difference(&after) {
            self.remove(key.clone(), aor);
        }
        for key in after.difference(&before) {
            self.add(key, aor);
        }
    }
}

/// The same for any two spellings of one URI (RFC 3261 §19.1.4), and for some that are not; parameters do not count.
pub(super) fn contact_key(uri: &[u8]) -> Key {
    match Uri::parse(uri) {
        Some(parsed) if parsed.is_sip() => {
            let mut key = parsed.user_decoded().to_vec();
            key.push(b'@');
            match parsed.ip() {
                Some(ip) => key.extend_from_slice(ip.to_string().as_bytes()),
                None => key.extend_from_slice(&parsed.host.to_ascii_lowercase()),
            }
            key.extend_from_slice(format!(":{}", parsed.port.map_or(0, u32::from)).as_bytes());
            key.into()
        }
        _ => uri.into(),
    }
}
