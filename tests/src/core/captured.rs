//! What FreeSWITCH really sent: the messages of `tests/data/captured/chain`, with the addresses of the chain that they were
//! captured in changed to those of a test.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::data;

/// FreeSWITCH in the captures.
const THEIRS: &str = "10.33.69.154";
/// Its port.
const THEIR_PORT: &str = ":5080";
/// The domain in the captures.
const THEIR_DOMAIN: &str = "sbc.rig.test";

/// A captured message.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    pub(super) head: String,
    body: String,
}

/// The session that a body describes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) version: u64,
    pub(super) port: u16,
}

impl Captured {
    /// Reads one by folder and file (without its ending).
    pub(super) fn read(name: &str, own: SocketAddr, domain: &str) -> Result<Self> {
        let text = data::read_text(&format!("captured/chain/{name}.sip"))?;
        let (head, body) = text.split_once("\r\n\r\n").context("no end of headers")?;
        let head = head
            .replace(&format!("{THEIRS}{THEIR_PORT}"), &own.to_string())
            .replace(THEIRS, &own.ip().to_string())
            .replace(THEIR_DOMAIN, domain);
        Ok(Captured {
            head: format!("{head}\r\n\r\n"),
            body: body.to_owned(),
        })
    }

    /// The value of a header of the capture.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        let mut named = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        named.next()
    }

    /// Its body, about this session.
    pub(super) fn body(&self, own: SocketAddr, session: Session) -> String {
        let host = own.ip();
        let Session { id, version, port } = session;
        let lines = self.body.lines().map(|line| {
            if line.starts_with("o=") {
                format!("o=FreeSWITCH {id} {version} IN IP4 {host}\r\n")
            } else if line.starts_with("c=") {
                format!("c=IN IP4 {host}\r\n")
            } else if line.starts_with("a=rtcp:") {
                format!("a=rtcp:{} IN IP4 {host}\r\n", port + 1)
            } else if let Some(rest) = line.strip_prefix("m=audio ") {
                let kinds = rest
                    .split_once(' ')
                    .map_or("", |(port, kinds)| if port == "0" { "" } else { kinds });
                format!("m=audio {port} {kinds}\r\n")
            } else {
                format!("{line}\r\n")
            }
        });
        lines.collect()
    }
}
