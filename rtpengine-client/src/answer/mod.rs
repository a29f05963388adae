//! The typed answers. What RTPEngine says and no field names is kept in `rest`.

mod call;
mod statistics;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use call::{
    AverageMos, CallInfo, Counts, Endpoint, Media, Mos, MosProgression, Peer, SsrcInfo, Stream,
    TagInfo, Totals,
};
pub use statistics::{
    ControlStatistics, CurrentStatistics, Figure, Interface, MosStatistics, Ports, Statistics,
    TotalStatistics, Transcoder,
};

use crate::bencode::{self, ByteString, Limits, Rest};
use crate::error::Error;
use crate::reason::Reason;

/// The keys of every answer that say how it went.
#[derive(Deserialize)]
struct Outcome {
    result: ByteString,
    #[serde(default, rename = "error-reason")]
    error_reason: Option<ByteString>,
    #[serde(default)]
    message: Option<ByteString>,
}

/// Reads an answer without its cookie: the typed answer, or the error that RTPEngine answered.
///
/// # Errors
/// [`Error::Rejected`] for RTPEngine's own errors; [`Error::TooLarge`], [`Error::TooDeep`] and [`Error::Undecodable`]
/// for bytes that are no answer.
pub fn read<T: serde::de::DeserializeOwned>(data: &[u8], limits: &Limits) -> Result<T, Error> {
    bencode::check(data, limits)?;
    let outcome: Outcome = bencode::decode_checked(data)?;
    match outcome.result.as_bytes() {
        b"ok" | b"pong" => bencode::decode_checked(data),
        b"error" | b"load limit" => {
            let text = outcome
                .error_reason
                .or(outcome.message)
                .unwrap_or_default()
                .to_text();
            Err(Error::Rejected {
                reason: Reason::from_text(&text),
                text,
            })
        }
        _ => Err(Error::Undecodable(format!(
            "unknown result {:?}",
            outcome.result
        ))),
    }
}

/// Done, and no more to say: the answer to `ping` and to most media commands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Done {
    /// `ok`, or `pong` to a `ping`.
    #[serde(default)]
    pub result: String,
    /// Done, but.
    #[serde(default)]
    pub warning: Option<String>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The answer to `offer`, `answer` and `publish`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Sdp {
    /// The SDP for the other side. It is missing in the answer to a fragment of trickle ICE.
    #[serde(default)]
    pub sdp: Option<ByteString>,
    /// Done, but.
    #[serde(default)]
    pub warning: Option<String>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The answer to `list`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Calls {
    /// The call-ids, in no order, at most as many as asked for.
    #[serde(default)]
    pub calls: Vec<ByteString>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The answer to `play media`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Playing {
    /// How long it lasts, where RTPEngine can tell.
    #[serde(default, deserialize_with = "milliseconds")]
    pub duration: Option<Duration>,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The answer to `subscribe request`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Subscription {
    /// The SDP offer for the new receiver.
    #[serde(default)]
    pub sdp: Option<ByteString>,
    /// The new receiver's tag.
    #[serde(default, rename = "to-tag")]
    pub to_tag: Option<ByteString>,
    /// Whose media it gets, if it is one.
    #[serde(default, rename = "from-tag")]
    pub from_tag: Option<ByteString>,
    /// Whose media it gets.
    #[serde(default, rename = "from-tags")]
    pub from_tags: Vec<ByteString>,
    /// With [`crate::words::Flag::Siprec`]: what the media are, by label.
    #[serde(default, rename = "media-labels")]
    pub media_labels: BTreeMap<ByteString, MediaLabel>,
    /// Other keys, `tag-medias` among them (the same as `media_labels` in another order).
    #[serde(flatten)]
    pub rest: Rest,
}

/// What stands behind a label of SIPREC.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct MediaLabel {
    /// Whose it is.
    #[serde(default)]
    pub tag: ByteString,
    /// The m= line, from 1.
    #[serde(default, deserialize_with = "number")]
    pub index: u32,
    /// `audio`, `video`.
    #[serde(default, rename = "type")]
    pub kind: ByteString,
    /// The party's label.
    #[serde(default)]
    pub label: Option<ByteString>,
    /// `sendrecv` and its kin.
    #[serde(default)]
    pub mode: ByteString,
    /// Other keys.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A number that the type can hold; another one reads as zero, for a strange figure in the statistics must not cost the
/// answer to a `delete`.
fn number<'de, D: Deserializer<'de>, T: TryFrom<i64> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    i64::deserialize(deserializer).map(|figure| T::try_from(figure).unwrap_or_default())
}

/// Milliseconds as a duration.
fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    number(deserializer).map(|figure: u64| Some(Duration::from_millis(figure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_done(data: &[u8]) -> Result<Done, Error> {
        read(data, &Limits::default())
    }

    #[test]
    fn the_result_decides_between_answer_and_error() {
        assert_eq!(read_done(b"d6:result4:ponge").unwrap().result, "pong");
        let done = read_done(b"d3:newi7e6:result2:ok7:warning5:hm...e").unwrap();
        assert_eq!(done.warning.as_deref(), Some("hm..."));
        assert_eq!(done.rest.get("new"), Some(&bencode::Value::Int(7)));

        for (why, data, want) in [
            (
                "an error",
                b"d12:error-reason15:Unknown call-id6:result5:errore".as_slice(),
                Reason::UnknownCall,
            ),
            (
                "a limit, as RTPEngine says it to those that support it",
                b"d7:message19:Load limit exceeded6:result10:load limite",
                Reason::LoadLimit,
            ),
            (
                "an error without reason",
                b"d6:result5:errore",
                Reason::Other,
            ),
        ] {
            assert!(
                matches!(read_done(data), Err(Error::Rejected { reason, .. }) if reason == want),
                "{why}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_undecodable() {
        for data in [
            b"de".as_slice(),
            b"d6:resulti1ee",
            b"d6:result3:yese",
            b"d6:result2:\xff\xffe",
            b"4:okay",
        ] {
            assert!(
                matches!(read_done(data), Err(Error::Undecodable(_))),
                "{}",
                String::from_utf8_lossy(data)
            );
        }
    }

    #[test]
    fn a_figure_out_of_range_reads_as_zero() {
        let label: MediaLabel = read(b"d5:indexi-1e6:result2:oke", &Limits::default()).unwrap();
        assert_eq!(label.index, 0);
    }
}
