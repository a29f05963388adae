//! The registrar: who may register (`auth`), what a REGISTER does (`register`), where bindings live (`store`) and where
//! a request for a user goes (`lookup`). RFC 3261 §10 with Path (RFC 3327) and outbound (RFC 5626).
//!
//! The decisions are pure; [`Registrar`] holds what they need and is all that the rest of the gateway calls. It knows no
//! flow: an edge, also one in this process, puts its Path with a token into the REGISTER before it comes here.

mod aor;
mod auth;
mod binding;
mod date;
mod lookup;
mod nonce;
mod register;
mod store;
#[cfg(test)]
mod tests;
mod users;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use proxy::key::Keys;
use sip::build::{self, Response};
use sip::{Header, Message, View};

pub use aor::Aor;
pub use auth::{Authentication, Kind, Refused};
pub use binding::Binding;
pub use lookup::Target;
pub use register::{Refusal, Rules};
pub use store::StoreError;
pub use users::{Credential, Domain, User, Users};

use auth::Desk;
use nonce::{Counts, Nonces};
use register::Granted;
use store::Store;

/// What does not change while the registrar runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What REGISTERs are granted.
    pub rules: Rules,
    /// How long a nonce is good, 5 min.
    pub nonce_lifetime: Duration,
    /// How many used nonces are remembered at most (some 60 bytes each). With more in use, some have to be fetched anew.
    pub nonces: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            nonce_lifetime: Duration::from_secs(300),
            nonces: 100_000,
        }
    }
}

/// The registrar of one node. `now` is the time since 1970.
#[derive(Debug)]
pub struct Registrar {
    settings: Settings,
    keys: Keys,
    users: ArcSwap<Users>,
    nonces: Nonces,
    counts: Mutex<Counts>,
    store: Store,
}

/// The answer to a REGISTER.
#[derive(Debug)]
pub struct Registered {
    /// Its status.
    pub status: u16,
    /// For how long the first Contact is bound, zero if it was removed; `None` where none was named or nothing was done.
    pub expires: Option<Duration>,
    /// The whole answer.
    pub response: Response,
}

impl Registrar {
    /// Loads the bindings from `store` (a file, or `:memory:`). `random` is drawn once, so that nonces differ from those
    /// of other nodes and of this one before.
    pub fn open(
        settings: Settings,
        keys: Keys,
        users: Users,
        store: &Path,
        random: u64,
        now: Duration,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            counts: Mutex::new(Counts::new(settings.nonces, settings.nonce_lifetime)),
            store: Store::open(store, milliseconds(now))?,
            nonces: Nonces::new(random),
            users: ArcSwap::from_pointee(users),
            keys,
            settings,
        })
    }

    /// The domains and users of now.
    pub fn users(&self) -> Arc<Users> {
        self.users.load_full()
    }

    /// Takes other users, for a configuration that was loaded again. Bindings stay.
    pub fn set_users(&self, users: Users) {
        self.users.store(Arc::new(users));
    }

    /// Who sent the request, which came from `peer`. To be called once for each transaction: it counts the nonce.
    pub fn authenticate(
        &self,
        request: &impl View,
        kind: Kind,
        peer: IpAddr,
        now: Duration,
    ) -> Authentication {
        let users = self.users.load();
        let desk = Desk {
            users: &users,
            keys: &self.keys,
            counts: &self.counts,
            nonce_lifetime: self.settings.nonce_lifetime,
            peer,
            now_ms: milliseconds(now),
        };
        auth::authenticate(request, kind, desk)
    }

    /// The 401 or 407 that asks for credentials; 403 where the request names no domain of ours.
    pub fn challenge(
        &self,
        request: &impl View,
        kind: Kind,
        stale: bool,
        tag: &[u8],
        peer: IpAddr,
        now: Duration,
    ) -> Response {
        let users = self.users.load();
        let Some(domain) = auth::domain_of(request, &users) else {
            return build::response(request, Refused::Identity.status(), "", Some(tag));
        };
        let nonce = self
            .nonces
            .make(&self.keys, domain.name(), peer, milliseconds(now));
        let response = build::response(request, kind.status(), "", Some(tag));
        auth::challenges(domain, &nonce, stale)
            .iter()
            .fold(response, |response, value| {
                response.header(kind.challenge_header(), value)
            })
    }

    /// Answers a REGISTER that [`authenticate`](Self::authenticate) let pass. The answer comes when the bindings are on
    /// disk.
    pub async fn register(&self, request: &Message, tag: &[u8], now: Duration) -> Registered {
        let now_ms = milliseconds(now);
        match self.try_register(request, now_ms).await {
            Ok(granted) => Registered {
                status: 200,
                expires: granted
                    .expires
                    .map(|seconds| Duration::from_secs(seconds.into())),
                response: self.ok(request, &granted, tag, now_ms),
            },
            Err(refusal) => {
                let status = refusal.status();
                let response = build::response(request, status, refusal.reason(), Some(tag));
                Registered {
                    status,
                    expires: None,
                    response: match refusal.header() {
                        Some((header, value)) => response.header(header, &value),
                        None => response,
                    },
                }
            }
        }
    }

    async fn try_register(&self, request: &Message, now_ms: u64) -> Result<Granted, Refusal> {
        let aor = self.aor_of(request).ok_or(Refusal::Address)?;
        let mut outcome = Err(Refusal::Store);
        let pending = self.store.update(&aor, |held| {
            let granted = register::decide(request, held, &self.settings.rules, now_ms)?;
            let change = granted.changed.then(|| granted.bindings.clone());
            outcome = Ok(granted);
            Ok::<_, Refusal>(change)
        })?;
        self.store.finish(pending).await?;
        outcome
    }

    /// The address of record that a REGISTER is for, under its domain's own name.
    fn aor_of(&self, request: &Message) -> Option<Aor> {
        let uri = request.to()?.parsed_uri()?;
        let users = self.users.load();
        Aor::under(&uri, users.domain(uri.host)?.name())
    }

    /// RFC 3261 §10.3 step 8, RFC 3327 §5.3, RFC 5626 §6.
    fn ok(&self, request: &Message, granted: &Granted, tag: &[u8], now_ms: u64) -> Response {
        let mut response = build::response(request, 200, "", Some(tag));
        for binding in &granted.bindings {
            response = response.header(Header::Contact, &register::contact_value(binding, now_ms));
        }
        let supports = |name: &[u8]| {
            let mut supported = request.values(Header::Supported);
            supported.any(|value| value.eq_ignore_ascii_case(name))
        };
        if supports(b"path") {
            for path in request.values(Header::Path) {
                response = response.header(Header::Path, path);
            }
        }
        if granted.outbound {
            let seconds = self.settings.rules.flow_timer.to_string();
            response = response
                .header(Header::Require, b"outbound")
                .header(Header::FlowTimer, seconds.as_bytes());
        }
        response
            .header(Header::Supported, b"path, outbound")
            .header(Header::Date, date::date(now_ms / 1000).as_bytes())
    }

    /// True if there is such a user; `aor` is `user@domain` or `user@alias`, escapes undone.
    pub fn knows(&self, aor: &[u8]) -> bool {
        let users = self.users.load();
        split(aor).is_some_and(|(user, domain)| users.find(domain, user).is_some())
    }

    /// Where a request for `user@domain` goes: a target for each device, the preferred first.
    pub fn lookup(&self, aor: &[u8], now: Duration) -> Vec<Target> {
        let aor = self.own_name(aor);
        lookup::targets(&self.store.get(&aor), milliseconds(now))
    }

    /// The binding whose Contact is this URI, and whose it is: others quote it in Refer-To (SIGNALLING §5). For
    /// authenticated users only. Where several AORs registered one Contact, the one that did so first has it.
    pub fn find_contact(&self, uri: &[u8], now: Duration) -> Option<(Aor, Target)> {
        let now_ms = milliseconds(now);
        self.store.aors_of_contact(uri).into_iter().find_map(|aor| {
            let bindings = self.store.get(&aor);
            let found = bindings
                .iter()
                .filter(|binding| {
                    binding.expires > now_ms && binding::same_uri(&binding.contact, uri)
                })
                .max_by_key(|binding| binding.updated)?;
            Some((aor, Target::of(found)))
        })
    }

    /// Forgets the binding of a Contact by a Path that answered 430, unless it was registered anew since `updated`
    /// (milliseconds since 1970). False if it was not there.
    pub fn flow_failed(&self, aor: &[u8], contact: &[u8], path: &[u8], updated: u64) -> bool {
        let same = |binding: &Binding| {
            binding.updated == updated
                && *binding.contact == *contact
                && binding.path.first().map_or(&[][..], |first| first) == path
        };
        !self.store.remove(&self.own_name(aor), same).is_empty()
    }

    /// Forgets every binding that goes by a flow that is gone: `path` is the value that the edge put into the REGISTER.
    pub fn remove_flow(&self, path: &[u8]) -> Vec<(Aor, Binding)> {
        let by_it = |binding: &Binding| binding.path.first().is_some_and(|first| **first == *path);
        let mut gone = Vec::new();
        for aor in self.store.aors_of_path(path) {
            let removed = self.store.remove(&aor, by_it);
            gone.extend(removed.into_iter().map(|binding| (aor.clone(), binding)));
        }
        gone
    }

    /// `user@alias` as `user@domain`.
    fn own_name(&self, aor: &[u8]) -> Aor {
        let users = self.users.load();
        let known = split(aor).and_then(|(user, host)| Some((user, users.domain(host)?)));
        match known {
            Some((user, domain)) => Aor::new(user, domain.name()),
            None => Aor::from_stored(aor),
        }
    }

    /// Drops what has expired and says what it was; to be called every few seconds.
    pub fn sweep(&self, now: Duration) -> Vec<(Aor, Binding)> {
        self.store.sweep(milliseconds(now))
    }

    /// The bindings of an AOR, for people to read.
    pub fn bindings(&self, aor: &[u8]) -> Vec<Binding> {
        self.store.get(&self.own_name(aor))
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// True if nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }
}

/// A user may hold an `@`, a domain cannot.
fn split(aor: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = aor.iter().rposition(|byte| *byte == b'@')?;
    Some((&aor[..at], &aor[at + 1..]))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Behind => Refusal::Behind,
            // The writer has said what is wrong in the log; a device learns that it did not work.
            _ => Refusal::Store,
        }
    }
}
