//! Answers to a challenge: RFC 3261 §22, MD5 without qop, as most phones in the field do it.

use anyhow::{Context, Result};
use rsip::services::DigestGenerator;

use super::message::Message;

/// The header line that answers a 401 or 407.
pub(super) fn credentials(
    challenge: &Message,
    user: &str,
    password: &str,
    method: &str,
    uri: &str,
) -> Result<String> {
    let (asked, answer) = if challenge.status() == Some(401) {
        ("WWW-Authenticate", "Authorization")
    } else {
        ("Proxy-Authenticate", "Proxy-Authorization")
    };
    let asked = challenge.header(asked).context("no challenge")?;
    let of = |name: &str| {
        let (_, rest) = asked.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    };
    let (realm, nonce) = (
        of("realm").context("no realm")?,
        of("nonce").context("no nonce")?,
    );
    let method: rsip::Method = method.parse().map_err(|_| anyhow::anyhow!("{method}?"))?;
    let digest = DigestGenerator {
        username: user,
        password,
        nonce,
        uri: &rsip::Uri::try_from(uri)?,
        realm,
        method: &method,
        qop: None,
        algorithm: rsip::headers::auth::Algorithm::Md5,
    };
    Ok(format!(
        "{answer}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{}\", algorithm=MD5\r\n",
        digest.compute()
    ))
}
