//! What the answer to `query` says of the two sides of a call: does anything have to come from them, and does it?

use rtpengine_client::answer::{CallInfo, Media, TagInfo};

use crate::calls::Heard;

/// How RTPEngine hears who called and who was called.
pub(super) fn heard(info: &CallInfo, tags: [&[u8]; 2]) -> [Heard; 2] {
    let side = |tag: &[u8]| info.tags.values().find(|side| side.tag.as_bytes() == tag);
    let [Some(caller), Some(called)] = tags.map(side) else {
        return [Heard::Unknown; 2];
    };
    [of(caller, called), of(called, caller)]
}

fn of(side: &TagInfo, other: &TagInfo) -> Heard {
    let flows = |media: &&Media| {
        let beyond = other.medias.iter().find(|one| one.index == media.index);
        is_live(media) && beyond.is_some_and(is_live)
    };
    let live = side.medias.iter().filter(flows);
    let packets = live.filter_map(|media| Some(media.streams.first()?.stats.packets));
    packets
        .reduce(u64::saturating_add)
        .map_or(Heard::Excused, Heard::Packets)
}

/// True for a line by which packets have to come and go. On hold, whoever holds: many phones send nothing then, though they say that
/// they will.
fn is_live(media: &Media) -> bool {
    let says = |flag: &str| media.flags.iter().any(|one| one == flag);
    let kind = media.kind.as_bytes();
    let Some(endpoint) = media.streams.first().map(|stream| &stream.endpoint) else {
        return false;
    };
    // RFC 3264 §8.4: hold as RFC 2543 had it. Before ICE has found a path, an address says nothing.
    let is_nowhere = matches!(endpoint.address.as_deref(), Some("0.0.0.0" | "::"));
    let holds_by_address = is_nowhere && !says("ICE");
    (kind == b"audio" || kind == b"video")
        && says("send")
        && says("recv")
        && endpoint.port != 0
        && !holds_by_address
}

#[cfg(test)]
mod tests {
    use rtpengine_client::bencode::{self, Limits};

    use super::*;

    /// A side as RTPEngine 10.5 writes it.
    fn side(
        tag: &str,
        kind: &str,
        flags: &[&str],
        (address, port): (&str, u16),
        packets: u32,
    ) -> String {
        let text = |text: &str| format!("{}:{text}", text.len());
        let flags: String = flags.iter().map(|flag| text(flag)).collect();
        let endpoint = format!("d6:family4:IPv47:address{}4:porti{port}ee", text(address));
        let stream = format!("d8:endpoint{endpoint}5:statsd7:packetsi{packets}eee");
        let media = format!(
            "d5:indexi1e4:type{}7:streamsl{stream}e5:flagsl{flags}ee",
            text(kind)
        );
        format!("{0}d3:tag{0}6:mediasl{media}ee", text(tag))
    }

    fn hears(one: &str, other: &str) -> [Heard; 2] {
        let answer = format!("d4:tagsd{one}{other}e6:result2:oke");
        let info: CallInfo = bencode::decode(answer.as_bytes(), &Limits::default()).unwrap();
        heard(&info, [b"a", b"b"])
    }

    #[test]
    fn a_side_has_to_be_heard_where_both_send_and_receive() {
        let both: &[&str] = &["initialized", "send", "recv"];
        let here = ("192.0.2.1", 9000);
        let up = |packets| side("b", "audio", both, ("192.0.2.2", 9002), packets);
        for (why, one, want) in [
            (
                "a call",
                side("a", "audio", both, here, 7),
                Heard::Packets(7),
            ),
            (
                "a video call",
                side("a", "video", both, here, 7),
                Heard::Packets(7),
            ),
            ("a fax", side("a", "image", both, here, 7), Heard::Excused),
            (
                "it holds, and may send music",
                side("a", "audio", &["recv"], here, 7),
                Heard::Excused,
            ),
            (
                "it is held",
                side("a", "audio", &["send"], here, 7),
                Heard::Excused,
            ),
            (
                "nobody sends",
                side("a", "audio", &[], here, 7),
                Heard::Excused,
            ),
            (
                "it holds as RFC 2543 had it",
                side("a", "audio", both, ("0.0.0.0", 9000), 7),
                Heard::Excused,
            ),
            (
                "a browser whose ICE never came to an end",
                side("a", "audio", &["send", "recv", "ICE"], ("0.0.0.0", 9), 0),
                Heard::Packets(0),
            ),
            (
                "the line was refused",
                side("a", "audio", both, ("192.0.2.1", 0), 7),
                Heard::Excused,
            ),
        ] {
            let [first, second] = hears(&one, &up(9));
            assert_eq!(first, want, "{why}");
            let other = if want == Heard::Excused {
                want
            } else {
                Heard::Packets(9)
            };
            assert_eq!(second, other, "{why}: the other side");
        }
        let other_tags = side("x", "audio", both, here, 7);
        assert_eq!(hears(&other_tags, &up(9)), [Heard::Unknown; 2]);
    }
}
