//! Codecs by name, and what of an offer's may pass: RTPEngine is told the whole list that is left, in its order.
//!
//! What RTPEngine 10.5 makes of its codec lists (measured): `offer` orders only what `strip: [all]` or `mask: [all]` has taken away
//! before; who strips everything gets everything back, so an offer of which nothing is left is refused here; and a later offer
//! without the lists has all codecs again, so each offer says them anew.

use sdp::{Media, Session};

use super::policy::Leg;

/// A codec that a policy may name. Two are equal if their names are, whatever the case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Codec(&'static Row);

#[derive(PartialEq, Eq, Hash, Debug)]
struct Row {
    name: &'static str,
    kind: Kind,
    /// RTPEngine of Debian encodes it.
    encoded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Audio,
    Video,
    /// No codec by itself: keys, silence, repair. It goes with whatever else passes, unless it is denied by its name.
    Beside,
}

const fn row(name: &'static str, kind: Kind, encoded: bool) -> Row {
    Row {
        name,
        kind,
        encoded,
    }
}

/// The names of the registry (RTP Payload Format Media Types) that phones, browsers and FreeSWITCH use.
static ROWS: [Row; 36] = [
    row("PCMU", Kind::Audio, true),
    row("PCMA", Kind::Audio, true),
    row("G722", Kind::Audio, true),
    row("opus", Kind::Audio, true),
    row("G729", Kind::Audio, true),
    row("G723", Kind::Audio, true),
    row("GSM", Kind::Audio, true),
    row("speex", Kind::Audio, true),
    row("iLBC", Kind::Audio, false),
    row("AMR", Kind::Audio, false),
    row("AMR-WB", Kind::Audio, false),
    row("EVS", Kind::Audio, false),
    row("L16", Kind::Audio, false),
    row("G7221", Kind::Audio, false),
    row("G726-16", Kind::Audio, false),
    row("G726-24", Kind::Audio, false),
    row("G726-32", Kind::Audio, false),
    row("G726-40", Kind::Audio, false),
    row("SILK", Kind::Audio, false),
    row("isac", Kind::Audio, false),
    row("telephone-event", Kind::Beside, true),
    row("CN", Kind::Beside, true),
    row("red", Kind::Beside, false),
    row("rtx", Kind::Beside, false),
    row("ulpfec", Kind::Beside, false),
    row("flexfec-03", Kind::Beside, false),
    row("VP8", Kind::Video, false),
    row("VP9", Kind::Video, false),
    row("AV1", Kind::Video, false),
    row("H264", Kind::Video, false),
    row("H265", Kind::Video, false),
    row("H263", Kind::Video, false),
    row("H263-1998", Kind::Video, false),
    row("H263-2000", Kind::Video, false),
    row("H261", Kind::Video, false),
    row("JPEG", Kind::Video, false),
];

impl Codec {
    /// The codec of a name.
    pub fn named(name: &str) -> Option<Self> {
        let is_it = |row: &&Row| row.name.eq_ignore_ascii_case(name);
        ROWS.iter().find(is_it).map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// True if RTPEngine can make it of another one.
    pub fn is_encoded(self) -> bool {
        self.0.encoded
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ROWS.iter().map(|row| row.name)
    }
}

/// What becomes of the codecs of an offer; what is empty is not said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// Taken out. `all` with an `offer` is "but those".
    pub strip: Vec<String>,
    /// Hidden from who gets the offer, while who made it may go on using them: RTPEngine transcodes.
    pub mask: Vec<String>,
    /// What is left, the preferred one first.
    pub offer: Vec<String>,
    /// What is added, for which RTPEngine transcodes.
    pub transcode: Vec<String>,
    /// The m= lines of which nothing is left.
    pub rejected: Vec<usize>,
}

/// The policies leave no codec that both ends may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no codec is left of the offer")]
pub struct NothingLeft;

/// What the policies of who offers and of who is offered leave of an offer.
///
/// # Errors
/// [`NothingLeft`] if no line with RTP has a codec left, and none is transcoded into.
pub fn choose(offer: &Session<'_>, from: &Leg, to: &Leg) -> Result<Choice, NothingLeft> {
    let transcode: &[Codec] = to.transcode.as_deref().map_or(&[][..], |all| all);
    let limits = |leg: &Leg| leg.codecs_allow.is_some() || leg.codecs_deny.is_some();
    let order = to.codecs_order.as_deref().or(from.codecs_order.as_deref());
    if transcode.is_empty() && order.is_none() && !limits(from) && !limits(to) {
        return Ok(Choice::default());
    }
    let (mut kept, mut denied, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let mut lines = 0;
    for (index, media) in offer.media().iter().enumerate() {
        if !media.is_rtp() || media.is_rejected() {
            continue;
        }
        lines += 1;
        let mut left = media.kind() == b"audio" && !transcode.is_empty();
        for name in names_of(media) {
            if !permits(from, &name) {
                denied.push(name);
            } else if permits(to, &name) {
                left |= kind_of(&name) != Some(Kind::Beside);
                kept.push(name);
            }
        }
        if !left {
            rejected.push(index);
        }
    }
    if lines > 0 && rejected.len() == lines {
        return Err(NothingLeft);
    }
    tidy(&mut kept);
    tidy(&mut denied);
    if let Some(order) = order {
        let place = |name: &String| order.iter().position(|codec| codec.0.is(name));
        kept.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
    }
    let all = || vec!["all".to_owned()];
    let is_whole = order.is_none() && !limits(to);
    Ok(match (transcode.is_empty(), is_whole) {
        (true, _) => Choice {
            strip: all(),
            offer: kept,
            rejected,
            ..Choice::default()
        },
        (false, true) => Choice {
            strip: denied,
            transcode: words(transcode),
            rejected,
            ..Choice::default()
        },
        (false, false) => Choice {
            strip: denied,
            mask: all(),
            offer: kept,
            transcode: words(transcode),
            rejected,
        },
    })
}

fn words(codecs: &[Codec]) -> Vec<String> {
    codecs.iter().map(|codec| codec.name().to_owned()).collect()
}

/// Each once. An SDP has a name for each clock rate; RTPEngine takes a name for all of them.
fn tidy(names: &mut Vec<String>) {
    let mut seen: Vec<String> = Vec::new();
    names.retain(|name| {
        let is_new = !seen.iter().any(|other| other.eq_ignore_ascii_case(name));
        if is_new {
            seen.push(name.clone());
        }
        is_new
    });
}

impl Row {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    Codec::named(name).map(|codec| codec.0.kind)
}

/// A list of what is allowed speaks of its own kind: one of audio codecs says nothing of video. A name that nobody knows is allowed
/// where no list speaks of audio.
fn permits(leg: &Leg, name: &str) -> bool {
    let denied = |codec: &Codec| codec.0.is(name);
    if leg
        .codecs_deny
        .as_deref()
        .is_some_and(|all| all.iter().any(denied))
    {
        return false;
    }
    let kind = match kind_of(name) {
        Some(Kind::Beside) => return true,
        other => other.unwrap_or(Kind::Audio),
    };
    let Some(allowed) = leg.codecs_allow.as_deref() else {
        return true;
    };
    let speaks = allowed.iter().any(|codec| codec.0.kind == kind);
    !speaks || allowed.iter().any(|codec| codec.0.is(name))
}

/// RFC 3551 §6: payload types that need no a=rtpmap.
const STATIC: [(&[u8], &str); 11] = [
    (b"0", "PCMU"),
    (b"3", "GSM"),
    (b"4", "G723"),
    (b"8", "PCMA"),
    (b"9", "G722"),
    (b"13", "CN"),
    (b"15", "G728"),
    (b"18", "G729"),
    (b"26", "JPEG"),
    (b"31", "H261"),
    (b"34", "H263"),
];

/// The names of a line's formats, in their order.
fn names_of(media: &Media<'_>) -> Vec<String> {
    let name = |format: &[u8]| {
        let mapped = media.section().attributes("rtpmap").find_map(|value| {
            let rest = value.strip_prefix(format)?.strip_prefix(b" ")?;
            let name = rest.split(|byte| *byte == b'/').next()?;
            std::str::from_utf8(name.trim_ascii()).ok()
        });
        let fixed = || STATIC.iter().find(|(number, _)| *number == format);
        mapped
            .or_else(|| fixed().map(|(_, name)| *name))
            .map(str::to_owned)
    };
    media.formats().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::policy::{Origin, Policy};
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 111 0 8 101\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n";
    const VIDEO: &str =
        "m=video 4002 RTP/AVP 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\n";

    fn leg(policy: Policy) -> Leg {
        let mut leg = Leg::default();
        leg.take(&policy, &Origin::Everywhere);
        leg
    }

    fn codecs(names: &[&str]) -> Option<std::sync::Arc<[Codec]>> {
        Some(names.iter().filter_map(|name| Codec::named(name)).collect())
    }

    #[test]
    fn what_is_left_of_an_offer_is_named_in_the_order_that_is_preferred() {
        let none = Policy::default;
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let only = |names: &[&str]| Choice {
            strip: list(&["all"]),
            offer: list(names),
            ..Choice::default()
        };
        for (why, from, to, want) in [
            ("nobody says anything", none(), none(), Choice::default()),
            (
                "the called allows one, keys go with it",
                none(),
                Policy {
                    codecs_allow: codecs(&["pcma"]),
                    ..none()
                },
                only(&["PCMA", "telephone-event"]),
            ),
            (
                "the caller is denied one",
                Policy {
                    codecs_deny: codecs(&["opus"]),
                    ..none()
                },
                none(),
                only(&["PCMU", "PCMA", "telephone-event"]),
            ),
            (
                "the called prefers another one",
                none(),
                Policy {
                    codecs_order: codecs(&["PCMA", "G722"]),
                    ..none()
                },
                only(&["PCMA", "opus", "PCMU", "telephone-event"]),
            ),
            (
                "keys are denied by their name",
                none(),
                Policy {
                    codecs_deny: codecs(&["telephone-event"]),
                    ..none()
                },
                only(&["opus", "PCMU", "PCMA"]),
            ),
            (
                "transcoded: nothing is taken out",
                none(),
                Policy {
                    transcode: codecs(&["G722"]),
                    ..none()
                },
                Choice {
                    transcode: list(&["G722"]),
                    ..Choice::default()
                },
            ),
            (
                "transcoded: what the called is not shown, the caller may keep; what he is denied, not",
                Policy {
                    codecs_deny: codecs(&["PCMU"]),
                    ..none()
                },
                Policy {
                    codecs_allow: codecs(&["PCMA"]),
                    transcode: codecs(&["PCMA"]),
                    ..none()
                },
                Choice {
                    strip: list(&["PCMU"]),
                    mask: list(&["all"]),
                    offer: list(&["PCMA", "telephone-event"]),
                    transcode: list(&["PCMA"]),
                    rejected: Vec::new(),
                },
            ),
        ] {
            let session = Session::parse(OFFER.as_bytes()).expect("an SDP");
            assert_eq!(choose(&session, &leg(from), &leg(to)), Ok(want), "{why}");
        }
    }

    #[test]
    fn an_offer_of_which_nothing_is_left_is_refused_and_a_line_of_which_nothing_is_left_rejected() {
        let text = format!("{OFFER}{VIDEO}");
        let session = Session::parse(text.as_bytes()).expect("an SDP");
        let denied = |names: &[&str]| {
            leg(Policy {
                codecs_deny: codecs(names),
                ..Policy::default()
            })
        };
        let none = Leg::default();
        let choice = choose(&session, &none, &denied(&["VP8", "H264"])).expect("audio is left");
        assert_eq!(choice.rejected, [1]);
        let audio = choose(&session, &none, &denied(&["opus", "PCMU", "PCMA"]));
        assert_eq!(audio.expect("video is left").rejected, [0]);
        let all = ["opus", "PCMU", "PCMA", "VP8", "H264"];
        assert_eq!(choose(&session, &none, &denied(&all)), Err(NothingLeft));
        let mut transcoded = denied(&all);
        transcoded.transcode = leg(Policy {
            transcode: codecs(&["GSM"]),
            ..Policy::default()
        })
        .transcode;
        let choice = choose(&session, &none, &transcoded).expect("GSM is left");
        assert_eq!(choice.rejected, [1]);
    }

    #[test]
    fn a_list_of_audio_codecs_says_nothing_of_video() {
        let text = format!("{OFFER}{VIDEO}");
        let session = Session::parse(text.as_bytes()).expect("an SDP");
        let audio = leg(Policy {
            codecs_allow: codecs(&["PCMU"]),
            ..Policy::default()
        });
        let choice = choose(&session, &Leg::default(), &audio).expect("enough is left");
        assert_eq!(choice.offer, ["PCMU", "telephone-event", "VP8", "H264"]);
    }
}
