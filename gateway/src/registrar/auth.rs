//! Who sent a request: digest authentication as a decision (RFC 3261 §22, RFC 7616, SIGNALLING §7).
//!
//! A request has to be authenticated within its transaction, once: the nonce count takes a retransmission for a replay.
//! An unknown user is challenged and refused exactly like a known one with a wrong password, in the same time.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proxy::key::Keys;
use sip::digest::{Algorithm, Challenge, Credentials};
use sip::{Header, Method, NameAddr, Start, Uri, View};

use super::nonce::{self, Age, Counts};
use super::users::{Domain, User, Users};

/// Who asks: a registrar or user agent (401), or a proxy (407).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// 401 with WWW-Authenticate, answered by Authorization.
    Www,
    /// 407 with Proxy-Authenticate, answered by Proxy-Authorization.
    Proxy,
}

/// What the credentials of a request are worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authentication {
    /// They prove this user, who may act for the address that the request speaks of.
    Passed {
        /// The user.
        user: User,
    },
    /// Ask for credentials; with `stale` the ones that came were right but for their nonce.
    Challenge {
        /// Whether the client may answer without asking its user again.
        stale: bool,
    },
    /// Answer with this status.
    Refused(Refused),
}

/// Why a request is refused although it answered a challenge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// No such user or a wrong password; not told apart on purpose.
    #[error("wrong user or password")]
    Credentials,
    /// The user is somebody else than the one whose bindings or name are used.
    #[error("the user may not act for this address")]
    Identity,
}

impl Refused {
    /// Both are 403: a second 401 sends many phones into a loop.
    pub fn status(self) -> u16 {
        match self {
            Refused::Credentials | Refused::Identity => 403,
        }
    }
}

impl Kind {
    /// The status of the challenge.
    pub fn status(self) -> u16 {
        match self {
            Kind::Www => 401,
            Kind::Proxy => 407,
        }
    }

    /// The header of the challenge.
    pub fn challenge_header(self) -> Header<'static> {
        match self {
            Kind::Www => Header::WwwAuthenticate,
            Kind::Proxy => Header::ProxyAuthenticate,
        }
    }

    /// The header of the answer.
    pub fn credentials_header(self) -> Header<'static> {
        match self {
            Kind::Www => Header::Authorization,
            Kind::Proxy => Header::ProxyAuthorization,
        }
    }
}

/// What a decision needs beside the request.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    /// Domains and users.
    pub(super) users: &'a Users,
    /// The cluster's keys.
    pub(super) keys: &'a Keys,
    /// The nonces that were used.
    pub(super) counts: &'a Mutex<Counts>,
    /// How long a nonce is good.
    pub(super) nonce_lifetime: Duration,
    /// Where the request came from.
    pub(super) peer: IpAddr,
    /// Milliseconds since 1970.
    pub(super) now_ms: u64,
}

/// Judges the credentials of `request`.
pub(super) fn authenticate(request: &impl View, kind: Kind, desk: Desk<'_>) -> Authentication {
    // RFC 3261 §22.3: a request may carry credentials for several realms; the first for one of ours counts.
    let found = request
        .lines(kind.credentials_header())
        .filter_map(Credentials::parse)
        .find_map(|credentials| Some((desk.users.domain(credentials.realm)?, credentials)));
    let Some((domain, credentials)) = found else {
        return Authentication::Challenge { stale: false };
    };
    // What was not offered is not taken, else whoever sits between could choose MD5 for both.
    if !domain.algorithms().contains(&credentials.algorithm) {
        return Authentication::Challenge { stale: false };
    }
    let proven =
        prove(domain, &credentials, method(request)).filter(|_| is_for(request, &credentials));
    let realm = domain.name();
    let age = nonce::judge(
        desk.keys,
        credentials.nonce,
        realm,
        desk.peer,
        desk.nonce_lifetime,
        desk.now_ms,
    );
    match (proven, age) {
        (Some(_), Age::Stale) => Authentication::Challenge { stale: true },
        (None, Age::Stale) => Authentication::Challenge { stale: false },
        (None, Age::Fresh(_)) => Authentication::Refused(Refused::Credentials),
        (Some(user), Age::Fresh(id)) => {
            // Without qop nothing is counted (RFC 2617 §3.2.2): such a nonce is good once.
            let count = credentials.nonce_count().unwrap_or(1);
            let mut counts = desk.counts.lock().unwrap_or_else(PoisonError::into_inner);
            if !counts.grows(id, count, desk.now_ms) {
                Authentication::Challenge { stale: true }
            } else if may_act(request, user, desk.users) {
                Authentication::Passed { user: user.clone() }
            } else {
                Authentication::Refused(Refused::Identity)
            }
        }
    }
}

/// The domain whose realm a challenge to `request` names: that of the user who seems to have sent it, else that of the
/// one it is for (an anonymous caller's From says nothing).
pub(super) fn domain_of<'u>(request: &impl View, users: &'u Users) -> Option<&'u Domain> {
    let host = |header| address(request, header).and_then(|uri| users.domain(uri.host));
    if method(request) == Method::Register {
        return host(Header::To);
    }
    host(Header::From).or_else(|| host(Header::To))
}

/// The values of the challenge's headers, the strongest algorithm first (RFC 8760 §2.4).
pub(super) fn challenges(domain: &Domain, nonce: &str, stale: bool) -> Vec<Vec<u8>> {
    let value = |algorithm: &Algorithm| {
        let challenge = Challenge::new(domain.name(), nonce, *algorithm);
        Challenge { stale, ..challenge }.to_value()
    };
    domain.algorithms().iter().map(value).collect()
}

/// The user whose password made this digest.
fn prove<'u>(
    domain: &'u Domain,
    credentials: &Credentials<'_>,
    method: Method<'_>,
) -> Option<&'u User> {
    let user = domain.user(&credentials.username_decoded());
    let ha1 = user.and_then(|user| user.ha1(credentials.algorithm));
    // An unknown user costs the same hashes, so that the answer's delay does not tell users from others.
    let verified = credentials.verify(ha1.unwrap_or("no such user"), method);
    user.filter(|_| verified && ha1.is_some())
}

/// RFC 7616 §3.4.6: credentials that were made for one callee call no other. Hosts do not count, for proxies change them.
fn is_for(request: &impl View, credentials: &Credentials<'_>) -> bool {
    let Start::Request { uri, .. } = request.start() else {
        return false;
    };
    match (Uri::parse(uri), Uri::parse(credentials.uri)) {
        // Some clients (SIPp) sign the server's name alone, in every request: they said themselves that it is for no one callee.
        (_, Some(signed)) if signed.is_sip() && signed.user.is_none() => true,
        (Some(called), Some(signed)) if called.is_sip() && signed.is_sip() => {
            called.user.is_some() && called.user_decoded() == signed.user_decoded()
        }
        _ => uri == credentials.uri,
    }
}

/// REGISTER changes the bindings of To, anything else speaks in From's name.
fn may_act(request: &impl View, user: &User, users: &Users) -> bool {
    let header = match method(request) {
        Method::Register => Header::To,
        _ => Header::From,
    };
    let Some(uri) = address(request, header) else {
        return false;
    };
    // RFC 3323 §4.1.1.3: who wants to stay unnamed to the callee is known to us by the digest.
    let anonymous = header == Header::From && uri.host.eq_ignore_ascii_case(b"anonymous.invalid");
    let own = || {
        let domain = users.domain(uri.host);
        domain.is_some_and(|domain| domain.name() == user.domain)
            && *uri.user_decoded() == *user.name.as_bytes()
    };
    anonymous || own()
}

fn method(request: &impl View) -> Method<'_> {
    match request.start() {
        Start::Request { method, .. } => method,
        Start::Response { .. } => Method::Other(b""),
    }
}

fn address<'r>(request: &'r impl View, header: Header<'r>) -> Option<sip::Uri<'r>> {
    NameAddr::parse(request.header(header)?)?.parsed_uri()
}
