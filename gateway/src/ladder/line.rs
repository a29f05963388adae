//! What the admin API says of one thing that passed: a line of JSON.

use std::net::SocketAddr;

use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::record::{Kind, Record};

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A browser, a phone, a carrier: whoever is not believed.
    Device,
    /// A registrar or another server inside.
    Core,
    /// An RTPEngine.
    RtpEngine,
}

/// One thing that passed, as the admin API says it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since 1970.
    pub time: u64,
    /// What passed.
    pub kind: Kind,
    /// Who is at the other end.
    pub side: Side,
    /// The section of our listener; empty for ng.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listener: String,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    pub transport: String,
    /// Our address.
    pub local: SocketAddr,
    /// The other side's.
    pub peer: SocketAddr,
    /// The Call-ID, also of what is said to RTPEngine about the call; what is no UTF-8 is replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// How long an answer of RTPEngine took, or the wait for it, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub took: u64,
    /// How many datagrams the command took.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub datagrams: u64,
    /// The message, or the datagram, in base64.
    #[serde(with = "text")]
    pub bytes: Bytes,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a line of the admin API can be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Something passed.
    Line(Box<Line>),
    /// So many passed before they could be read.
    Lost(u64),
    /// Nothing: the node is still there.
    Nothing,
}

impl Said {
    /// Reads a line of the admin API.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        if text.trim().is_empty() {
            return Ok(Self::Nothing);
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Lost {
            lost: u64,
        }
        match serde_json::from_str::<Lost>(text) {
            Ok(Lost { lost }) => Ok(Self::Lost(lost)),
            Err(_) => serde_json::from_str(text).map(|line| Self::Line(Box::new(line))),
        }
    }

    /// As the admin API says that lines were lost.
    pub fn lost(count: u64) -> String {
        format!("{}\n", json!({ "lost": count }))
    }
}

impl Line {
    /// What is said of a record. `wall` is when it passed, in microseconds since 1970.
    pub(super) fn of(
        record: Record,
        wall: u64,
        side: Side,
        listener: String,
        call_id: String,
    ) -> Self {
        let head = record.head;
        Self {
            time: wall,
            kind: head.kind,
            side,
            listener,
            transport: head.transport.name().to_owned(),
            local: head.local,
            peer: head.peer,
            call_id,
            took: u64::try_from(head.took.as_micros()).unwrap_or(u64::MAX),
            datagrams: head.datagrams.into(),
            bytes: record.bytes,
        }
    }

    /// As the admin API says it.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

mod text {
    use serde::{Deserializer, Serializer, de::Error};

    use base64::Engine as _;

    use super::{Bytes, Deserialize, STANDARD};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(bytes.into())
    }
}
