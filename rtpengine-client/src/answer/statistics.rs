//! What a node has done since it started: the answer to `statistics`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize as DeriveDeserialize;
use serde::de::{self, Deserialize, Deserializer};

use crate::bencode::Rest;

/// A figure. RTPEngine writes fractions, and some whole numbers, as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Figure(pub f64);

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Figure;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a number as text")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Figure, E> {
                Ok(Figure(number as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Figure, E> {
                text.parse()
                    .map(Figure)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Figure, E> {
                std::str::from_utf8(bytes).map_or(
                    Err(E::invalid_value(de::Unexpected::Bytes(bytes), &self)),
                    |text| self.visit_str(text),
                )
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The answer to `statistics`.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct Statistics {
    /// All of it is inside this key.
    #[serde(default)]
    statistics: Body,
}

impl std::ops::Deref for Statistics {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.statistics
    }
}

/// The figures. Names are RTPEngine's.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct Body {
    /// Now.
    #[serde(default, rename = "currentstatistics")]
    pub current: CurrentStatistics,
    /// Since the start.
    #[serde(default, rename = "totalstatistics")]
    pub total: TotalStatistics,
    /// In the last interval: delays and rates by command.
    #[serde(default, rename = "intervalstatistics")]
    pub interval: BTreeMap<String, Figure>,
    /// How good calls sounded.
    #[serde(default)]
    pub mos: MosStatistics,
    /// Requests, by who sent them.
    #[serde(default, rename = "controlstatistics")]
    pub control: ControlStatistics,
    /// Media ports, by interface.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
    /// What is transcoded.
    #[serde(default)]
    pub transcoders: Vec<Transcoder>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Figures of this moment. The rates are per second.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct CurrentStatistics {
    /// Calls of this node.
    #[serde(default, rename = "sessionsown")]
    pub sessions_own: Figure,
    /// Calls of another node, known by Redis.
    #[serde(default, rename = "sessionsforeign")]
    pub sessions_foreign: Figure,
    /// All calls.
    #[serde(default, rename = "sessionstotal")]
    pub sessions_total: Figure,
    /// Streams that are transcoded.
    #[serde(default, rename = "transcodedmedia")]
    pub transcoded_media: Figure,
    /// Packets a second.
    #[serde(default, rename = "packetrate")]
    pub packet_rate: Figure,
    /// Bytes a second.
    #[serde(default, rename = "byterate")]
    pub byte_rate: Figure,
    /// Errors a second.
    #[serde(default, rename = "errorrate")]
    pub error_rate: Figure,
    /// Other figures.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Figure>,
}

/// Figures since the start.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct TotalStatistics {
    /// Whole seconds since the start.
    #[serde(default)]
    uptime: Figure,
    /// Calls that have ended.
    #[serde(default, rename = "managedsessions")]
    pub managed_sessions: Figure,
    /// Calls refused by a limit.
    #[serde(default, rename = "rejectedsessions")]
    pub rejected_sessions: Figure,
    /// Calls ended because no packets came.
    #[serde(default, rename = "timeoutsessions")]
    pub timeout_sessions: Figure,
    /// Packets relayed.
    #[serde(default, rename = "relayedpackets")]
    pub relayed_packets: Figure,
    /// Bytes relayed.
    #[serde(default, rename = "relayedbytes")]
    pub relayed_bytes: Figure,
    /// Streams in which only one direction had packets.
    #[serde(default, rename = "onewaystreams")]
    pub one_way_streams: Figure,
    /// Streams without packets.
    #[serde(default, rename = "zerowaystreams")]
    pub zero_way_streams: Figure,
    /// Other figures.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Figure>,
}

impl TotalStatistics {
    /// How long the node has run, in whole seconds.
    pub fn uptime(&self) -> Duration {
        // The cast saturates; what is no number is zero.
        Duration::from_secs(self.uptime.0 as u64)
    }
}

/// How good calls sounded, from 1 to 5.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct MosStatistics {
    /// The average of the interval.
    #[serde(default, rename = "mos_average")]
    pub average: Figure,
    /// How many reports it is from.
    #[serde(default, rename = "mos_samples_total")]
    pub samples: Figure,
    /// Other figures.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Figure>,
}

/// Requests received.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct ControlStatistics {
    /// By sender: the key `proxy` is its address, the others count commands and their time in seconds.
    #[serde(default)]
    pub proxies: Vec<Rest>,
    /// Of all senders, such as `totaloffercount`.
    #[serde(flatten)]
    pub totals: BTreeMap<String, Figure>,
}

/// A local interface.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct Interface {
    /// Its name in `--interface`.
    #[serde(default)]
    pub name: String,
    /// Its address.
    #[serde(default)]
    pub address: String,
    /// Its media ports.
    #[serde(default)]
    pub ports: Ports,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Media ports of an interface.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct Ports {
    /// The lowest.
    #[serde(default)]
    pub min: Figure,
    /// The highest.
    #[serde(default)]
    pub max: Figure,
    /// In use.
    #[serde(default)]
    pub used: Figure,
    /// Not in use.
    #[serde(default)]
    pub free: Figure,
    /// Other figures.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Figure>,
}

/// A pair of codecs.
#[derive(Clone, Debug, Default, PartialEq, DeriveDeserialize)]
#[non_exhaustive]
pub struct Transcoder {
    /// From and to, as `opus/48000/2 -> PCMA/8000`.
    #[serde(default)]
    pub chain: String,
    /// How many streams.
    #[serde(default)]
    pub num: Figure,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}
