//! What RTPEngine 10.5 tells of the two sides of a call, as the judgement needs it.

use std::time::Duration;

use proxy::verdict::{Dtls, Leg, Legs, Quality};
use rtpengine_client::answer::{CallInfo, Media, Stream, TagInfo};

/// Both sides. The called one is known by its tag; where that is missing, whoever is not the caller and had the most packets.
pub(super) fn of(info: &CallInfo, caller: &[u8], called: &[u8]) -> Legs {
    let find = |tag: &[u8]| info.tags.values().find(|side| side.tag.as_bytes() == tag);
    let other = || {
        let others = info
            .tags
            .values()
            .filter(|side| side.tag.as_bytes() != caller);
        others.max_by_key(|side| audio(side).map_or(0, packets))
    };
    let called = find(called).filter(|_| !called.is_empty()).or_else(other);
    let leg = |side: Option<&TagInfo>| side.map(|side| leg(side, info)).unwrap_or_default();
    Legs {
        caller: leg(find(caller)),
        called: leg(called),
    }
}

/// The audio line that was used most.
fn audio(side: &TagInfo) -> Option<&Media> {
    let is_audio = |media: &&Media| media.kind.as_bytes() == b"audio";
    let lines = side.medias.iter().filter(is_audio);
    lines.max_by_key(|media| (packets(media), u32::MAX - media.index))
}

fn packets(media: &Media) -> u64 {
    rtp(media).map_or(0, |stream| stream.stats.packets)
}

/// The stream that carries RTP.
fn rtp(media: &Media) -> Option<&Stream> {
    let carries = |stream: &&Stream| stream.flags.iter().any(|flag| flag == "RTP");
    media.streams.iter().find(carries)
}

fn leg(side: &TagInfo, info: &CallInfo) -> Leg {
    let Some(media) = audio(side) else {
        return Leg::default();
    };
    let has = |flag: &str| media.flags.iter().any(|known| known == flag);
    let stream = rtp(media);
    let on_stream =
        |flag: &str| stream.is_some_and(|stream| stream.flags.iter().any(|known| known == flag));
    let packets = packets(media);
    let last = stream.map_or(0, |stream| stream.last_packet);
    let is_verified = on_stream("DTLS fingerprint verified");
    // RTPEngine 10.5 has no flag for ICE, and a handshake whose certificate is refused leaves the same figures as none (measured):
    // only what came over a path proves it.
    let ice = (has("ICE") && (is_verified || packets > 0)).then_some(true);
    let dtls = has("DTLS-SRTP").then_some(match is_verified {
        true => Dtls::Done,
        false => Dtls::NotDone,
    });
    Leg {
        profile: media.protocol.clone(),
        codec: media.codec.as_ref().map(|codec| codec.to_text()),
        packets,
        errors: stream.map_or(0, |stream| stream.stats.errors),
        last_packet: (packets > 0)
            .then(|| u64::try_from(last.saturating_sub(info.created)).ok())
            .flatten()
            .map(Duration::from_secs),
        sends: has("send") && has("recv"),
        ice,
        dtls,
        quality: stream.and_then(|stream| quality(stream.ssrc?, info)),
    }
}

/// What the RTCP about a sender said.
fn quality(ssrc: u32, info: &CallInfo) -> Option<Quality> {
    let about = info.ssrc.get(&ssrc.to_string())?;
    let average = &about.average.mos;
    Some(Quality {
        lost: about.cumulative_loss,
        loss_percent: average.packet_loss,
        jitter: average.jitter,
        mos: average.mos,
        round_trip: average.round_trip_time,
        reports: about.average.samples,
    })
}
