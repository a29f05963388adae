//! The registrar as the gateway sees it: REGISTERs in, answers out.

mod auth;
mod captured;
mod lookup;
mod register;

use bytes::Bytes;
use sip::digest::{self, Algorithm};
use sip::{Limits, Message};

use super::*;

/// Saturday, 1 August 2026, in seconds.
const NOW: Duration = Duration::from_secs(1_785_542_400);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
}

fn users() -> Users {
    let mut users = Users::default();
    users.add_domain("example.test", &["192.0.2.1"], &[Algorithm::Md5]);
    users.add_domain("strong.test", &[], &[Algorithm::Sha256, Algorithm::Md5]);
    for name in ["alice", "bob"] {
        let password = format!("pw{name}");
        assert!(users.add_user("example.test", name, Credential::Password(&password)));
        assert!(users.add_user("strong.test", name, Credential::Password(&password)));
    }
    users
}

fn registrar_with(rules: Rules) -> Registrar {
    open(rules, Path::new(":memory:"))
}

fn open(rules: Rules, store: &Path) -> Registrar {
    let settings = Settings {
        rules,
        ..Settings::default()
    };
    Registrar::open(settings, Keys::single([7; 32]), users(), store, 1, NOW).unwrap()
}

fn registrar() -> Registrar {
    registrar_with(Rules::default())
}

/// A REGISTER of alice; `headers` are whole lines.
fn register_text(cseq: u32, headers: &[&str]) -> String {
    let mut text = format!(
        "REGISTER sip:example.test SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{cseq}\r\n\
         From: <sip:alice@example.test>;tag=f\r\n\
         To: <sip:alice@example.test>\r\n\
         Call-ID: call-1\r\n\
         CSeq: {cseq} REGISTER\r\n"
    );
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "Content-Length: 0\r\n\r\n"
}

/// Sends a REGISTER of alice and returns the answer.
async fn register(registrar: &Registrar, now: Duration, cseq: u32, headers: &[&str]) -> Message {
    send(registrar, now, &message(&register_text(cseq, headers))).await
}

async fn send(registrar: &Registrar, now: Duration, request: &Message) -> Message {
    let registered = registrar.register(request, b"tag", now).await;
    let answer = Message::parse(registered.response.to_bytes(), &Limits::default()).unwrap();
    assert_eq!(answer.status(), registered.status);
    assert_eq!(answer.to_tag(), Some(&b"tag"[..]));
    answer
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The Contacts of an answer.
fn contacts(answer: &Message) -> Vec<String> {
    answer.values(Header::Contact).map(text).collect()
}

fn header(answer: &Message, header: Header<'_>) -> Option<String> {
    answer.header(header).map(text)
}

/// A field of a challenge, without quotes.
fn field(value: &str, name: &str) -> Option<String> {
    let at = value.find(&format!("{name}="))? + name.len() + 1;
    let rest = &value[at..];
    let end = rest.find(',').unwrap_or(rest.len());
    Some(rest[..end].trim_matches('"').to_owned())
}

/// Where requests come from.
const PEER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// How a client answers a challenge.
#[derive(Clone, Copy)]
struct Client<'a> {
    user: &'a str,
    realm: &'a str,
    password: &'a str,
    algorithm: Algorithm,
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    nc: Option<&'a str>,
}

impl Client<'_> {
    fn line(&self, header: &str) -> String {
        let ha1 = digest::ha1(
            self.algorithm,
            self.user.as_bytes(),
            self.realm.as_bytes(),
            self.password.as_bytes(),
        );
        let (uri, cnonce) = (self.uri, "abc");
        let response = digest::response(
            self.algorithm,
            ha1.as_bytes(),
            self.nonce.as_bytes(),
            self.nc.unwrap_or_default().as_bytes(),
            cnonce.as_bytes(),
            self.nc.map(|_| &b"auth"[..]),
            self.method.as_bytes(),
            uri.as_bytes(),
        );
        let counted = self
            .nc
            .map(|nc| format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        format!(
            "{header}: Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={}{}",
            self.user,
            self.realm,
            self.nonce,
            self.algorithm.name().unwrap_or_default(),
            counted.unwrap_or_default()
        )
    }
}
