//! Which bindings a request for an address of record is forked to (RFC 3261 §16.5, RFC 5626 §7).

use std::cmp::Reverse;

use sip::Uri;

use super::binding::Binding;

/// Where to send a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The Contact: the new request-URI.
    pub uri: Vec<u8>,
    /// The Route to preload: the binding's Path.
    pub path: Vec<Vec<u8>>,
    /// The device's instance-id, if it has said one.
    pub instance: Option<Box<[u8]>>,
    /// Which of the device's flows it is.
    pub reg_id: Option<u32>,
    /// Preference, in thousandths.
    pub q: u16,
    /// When it was registered last, milliseconds since 1970.
    pub updated: u64,
    /// When it ends, milliseconds since 1970.
    pub expires: u64,
    /// Other flows of the same device, the newest first: one after the other, and only after a 430 or 408
    /// (RFC 5626 §7). Their own `alternatives` are empty.
    pub alternatives: Vec<Target>,
}

impl Target {
    pub(super) fn of(binding: &Binding) -> Self {
        Self {
            uri: binding.contact.to_vec(),
            path: binding.path.iter().map(|path| path.to_vec()).collect(),
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
            q: binding.q,
            updated: binding.updated,
            expires: binding.expires,
            alternatives: Vec::new(),
        }
    }
}

/// A target for each device, the preferred first, and of equals the newest.
pub(super) fn targets(bindings: &[Binding], now_ms: u64) -> Vec<Target> {
    let mut alive: Vec<&Binding> = bindings
        .iter()
        .filter(|binding| binding.expires > now_ms && is_sip(&binding.contact))
        .collect();
    alive.sort_by_key(|binding| Reverse(binding.updated));
    let mut targets: Vec<Target> = Vec::with_capacity(alive.len());
    for binding in alive {
        let target = Target::of(binding);
        let same_device =
            |other: &&mut Target| target.instance.is_some() && other.instance == target.instance;
        match targets.iter_mut().find(same_device) {
            Some(newest) => newest.alternatives.push(target),
            None => targets.push(target),
        }
    }
    targets.sort_by_key(|target| Reverse(target.q));
    targets
}

fn is_sip(contact: &[u8]) -> bool {
    Uri::parse(contact).is_some_and(|uri| uri.is_sip())
}
