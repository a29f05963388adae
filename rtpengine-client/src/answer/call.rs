//! What RTPEngine knows of a call: the answer to `query` and `delete`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::number;
use crate::bencode::{ByteString, Rest};

/// A call, its sides and their streams. Times are Unix times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct CallInfo {
    /// When the call began.
    #[serde(default, deserialize_with = "number")]
    pub created: i64,
    /// The microseconds of it.
    #[serde(default, deserialize_with = "number")]
    pub created_us: u32,
    /// When the last offer or answer came.
    #[serde(default, rename = "last signal", deserialize_with = "number")]
    pub last_signal: i64,
    /// The sides, by tag; one without tag is `<untagged N>`.
    #[serde(default)]
    pub tags: BTreeMap<ByteString, TagInfo>,
    /// What RTCP told about the senders, by SSRC in decimal.
    #[serde(default, rename = "SSRC")]
    pub ssrc: BTreeMap<String, SsrcInfo>,
    /// All streams together.
    #[serde(default)]
    pub totals: Totals,
    /// Of `delete`: nothing was there to delete.
    #[serde(default)]
    pub warning: Option<String>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One side of a call.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TagInfo {
    /// Its tag, empty if it has not answered.
    #[serde(default)]
    pub tag: ByteString,
    /// Its branch.
    #[serde(default, rename = "via-branch")]
    pub via_branch: Option<ByteString>,
    /// Its label.
    #[serde(default)]
    pub label: Option<ByteString>,
    /// When it joined.
    #[serde(default, deserialize_with = "number")]
    pub created: i64,
    /// Whom it hears.
    #[serde(default)]
    pub subscriptions: Vec<Peer>,
    /// Who hears it.
    #[serde(default)]
    pub subscribers: Vec<Peer>,
    /// Its m= lines.
    #[serde(default)]
    pub medias: Vec<Media>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Somebody who is heard, or hears.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Peer {
    /// Its tag.
    #[serde(default)]
    pub tag: ByteString,
    /// `offer/answer` or `pub/sub`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One m= line of a side.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Media {
    /// Its place, from 1.
    #[serde(default, deserialize_with = "number")]
    pub index: u32,
    /// `audio`, `video`.
    #[serde(default, rename = "type")]
    pub kind: ByteString,
    /// `RTP/AVP` and its kin.
    #[serde(default)]
    pub protocol: Option<String>,
    /// The codec of the packets, as `opus/48000/2`, once there were any.
    #[serde(default)]
    pub codec: Option<ByteString>,
    /// RTP first, then RTCP.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// `initialized`, `send`, `recv`, `rtcp-mux`, `DTLS-SRTP`, `ICE`, …
    #[serde(default)]
    pub flags: Vec<String>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One port of RTPEngine and who sends to it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Stream {
    /// RTPEngine's port.
    #[serde(default, rename = "local port", deserialize_with = "number")]
    pub local_port: u16,
    /// RTPEngine's address.
    #[serde(default, rename = "local address")]
    pub local_address: Option<String>,
    /// `IPv4` or `IPv6`.
    #[serde(default)]
    pub family: Option<String>,
    /// Where packets go: learned, or from the SDP.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// What the SDP said.
    #[serde(default, rename = "advertised endpoint")]
    pub advertised_endpoint: Endpoint,
    /// The suite, if it is SRTP.
    #[serde(default, rename = "crypto suite")]
    pub crypto_suite: Option<String>,
    /// When the last packet came. RTPEngine says the time of the start while none has come.
    #[serde(default, rename = "last packet", deserialize_with = "number")]
    pub last_packet: i64,
    /// `RTP`, `RTCP`, `filled`, `confirmed`, `kernelized`, `DTLS fingerprint verified`, …
    #[serde(default)]
    pub flags: Vec<String>,
    /// Who sends, once there were packets.
    #[serde(default, rename = "SSRC")]
    pub ssrc: Option<u32>,
    /// What was received.
    #[serde(default)]
    pub stats: Counts,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// An address; all fields are missing while it is not known.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// `IPv4` or `IPv6`.
    #[serde(default)]
    pub family: Option<String>,
    /// The address.
    #[serde(default)]
    pub address: Option<String>,
    /// The port.
    #[serde(default, deserialize_with = "number")]
    pub port: u16,
}

/// Packets, bytes and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Packets.
    #[serde(default, deserialize_with = "number")]
    pub packets: u64,
    /// Bytes.
    #[serde(default, deserialize_with = "number")]
    pub bytes: u64,
    /// Packets that could not be used or sent on.
    #[serde(default, deserialize_with = "number")]
    pub errors: u64,
}

/// The sums over all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Of RTP.
    #[serde(default, rename = "RTP")]
    pub rtp: Counts,
    /// Of RTCP on ports of its own.
    #[serde(default, rename = "RTCP")]
    pub rtcp: Counts,
}

/// What RTCP told about one sender.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct SsrcInfo {
    /// Packets lost until now.
    #[serde(default, rename = "cumulative loss", deserialize_with = "number")]
    pub cumulative_loss: i64,
    /// The average over all reports.
    #[serde(default, rename = "average MOS")]
    pub average: AverageMos,
    /// The worst report.
    #[serde(default, rename = "lowest MOS")]
    pub lowest: Mos,
    /// The best report.
    #[serde(default, rename = "highest MOS")]
    pub highest: Mos,
    /// About ten of the reports.
    #[serde(default, rename = "MOS progression")]
    pub progression: MosProgression,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One report: how good it sounds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Mos {
    /// Ten times the mean opinion score: 43 is 4.3.
    #[serde(default, rename = "MOS", deserialize_with = "number")]
    pub mos: u32,
    /// The round-trip time from end to end, in microseconds.
    #[serde(default, rename = "round-trip time", deserialize_with = "number")]
    pub round_trip_time: u64,
    /// The round-trip time between this side and RTPEngine, in microseconds.
    #[serde(default, rename = "round-trip time leg", deserialize_with = "number")]
    pub round_trip_time_leg: u64,
    /// The jitter, in milliseconds.
    #[serde(default, deserialize_with = "number")]
    pub jitter: u64,
    /// The loss, in percent.
    #[serde(default, rename = "packet loss", deserialize_with = "number")]
    pub packet_loss: u32,
    /// When.
    #[serde(default, rename = "reported at", deserialize_with = "number")]
    pub reported_at: i64,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The average of all reports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct AverageMos {
    /// The figures; `reported_at` is 0.
    #[serde(flatten)]
    pub mos: Mos,
    /// How many reports there were.
    #[serde(default, deserialize_with = "number")]
    pub samples: u32,
}

/// Reports over time.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct MosProgression {
    /// The time between two of them, in seconds.
    #[serde(default, deserialize_with = "number")]
    pub interval: i64,
    /// The reports.
    #[serde(default)]
    pub entries: Vec<Mos>,
}
