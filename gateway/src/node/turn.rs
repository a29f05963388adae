//! Credentials for TURN servers by the shared-secret scheme (draft-uberti-behave-turn-rest-00, coturn's
//! `use-auth-secret`): the name says until when they are good, the password proves that we said so. The server keeps
//! nothing, and neither do we.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha1::Sha1;

/// What stands behind the colon of the user name, for the server's log.
const USER: &str = "causeway";

/// The servers that a page is told of.
#[derive(Clone, Default)]
pub(super) struct Turn {
    /// `stun:` and `stuns:` URIs.
    pub(super) stun: Vec<String>,
    /// `turn:` and `turns:` URIs.
    pub(super) turn: Vec<String>,
    /// What we share with the TURN servers.
    pub(super) secret: Vec<u8>,
    /// How long credentials are good.
    pub(super) lifetime: Duration,
}

impl Turn {
    /// `RTCIceServer`s as a browser takes them (W3C webrtc §4.2.4); `now` since 1970.
    pub(super) fn ice_servers(&self, now: Duration) -> Vec<Value> {
        let mut servers = Vec::new();
        if !self.stun.is_empty() {
            servers.push(json!({ "urls": self.stun }));
        }
        if !self.turn.is_empty() {
            let username = format!("{}:{USER}", (now + self.lifetime).as_secs());
            let credential = password(&self.secret, &username);
            servers
                .push(json!({ "urls": self.turn, "username": username, "credential": credential }));
        }
        servers
    }

    /// After how many seconds a page should ask again: half the lifetime, so that a call that begins late has half of it left.
    pub(super) fn renew_after(&self) -> Option<u64> {
        (!self.turn.is_empty()).then_some(self.lifetime.as_secs() / 2)
    }
}

/// HMAC takes a key of any length.
fn password(secret: &[u8], username: &str) -> String {
    match Hmac::<Sha1>::new_from_slice(secret) {
        Ok(mut mac) => {
            mac.update(username.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> Turn {
        Turn {
            stun: vec!["stun:a.example".to_owned()],
            turn: vec!["turn:b.example?transport=udp".to_owned()],
            secret: b"north".to_vec(),
            lifetime: Duration::from_secs(3600),
        }
    }

    #[test]
    fn the_name_says_until_when_and_the_password_proves_it() {
        let servers = turn().ice_servers(Duration::from_secs(1_433_891_730));
        assert_eq!(servers[0], json!({ "urls": ["stun:a.example"] }));
        assert_eq!(servers[1]["username"], "1433895330:causeway");
        // printf %s 1433895330:causeway | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(servers[1]["credential"], "MwDxoSVAcmh7Cc62q6k5m+BMNOs=");
        assert_eq!(turn().renew_after(), Some(1800));
    }

    #[test]
    fn without_a_turn_server_there_is_nothing_to_prove_or_to_renew() {
        let none = Turn {
            turn: Vec::new(),
            ..turn()
        };
        assert_eq!(none.ice_servers(Duration::ZERO).len(), 1);
        assert_eq!(none.renew_after(), None);
        assert!(Turn::default().ice_servers(Duration::ZERO).is_empty());
    }
}
