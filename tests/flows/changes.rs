//! Lines that come and go in a call that is up (RFC 3264 §8): each keeps its place and, towards a page, its name (RFC 5888); and
//! what passes from end to end by its payload type alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::Kind;
use causeway_tests::scene::Scene;

use crate::leg::{Leg, PCMU, speaks, talk};
use crate::lines::{HEAD, PLAIN, web};
use crate::play::{Exchange, Stage, judge};

const SOON: Duration = Duration::from_secs(10);
const FAX: &str = "m=image 5006 udptl t38\r\na=T38FaxVersion:0\r\n";
const NO_FAX: &str = "m=image 0 udptl t38\r\n";

/// Has all of these, and none of those.
type Texts = (&'static [&'static str], &'static [&'static str]);

struct Row {
    why: &'static str,
    /// The page offers, and the phone answers; or the other way round.
    by_page: bool,
    offer: String,
    answer: String,
    offered: Texts,
    answered: Texts,
}

fn rows() -> Vec<Row> {
    let audio = |setup| {
        let line = web("audio", "0 101", setup, 0);
        format!("{line}a=rtpmap:101 telephone-event/8000\r\n")
    };
    let map = "a=rtpmap:96 VP8/90000\r\n";
    let video = |setup| format!("{}{map}", web("video", "96", setup, 1));
    let refused = "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
    let (plain, plain_video) = (PLAIN, format!("m=video 5004 RTP/AVP 96\r\n{map}"));
    let no_video = "m=video 0 RTP/AVP 96\r\n";
    vec![
        Row {
            why: "it begins with audio alone",
            by_page: true,
            offer: audio("actpass"),
            answer: plain.to_owned(),
            offered: (&["m=audio"], &["m=video", "a=setup"]),
            answered: (&["a=mid:0"], &["m=video"]),
        },
        Row {
            why: "the page adds video, and the phone does not take it",
            by_page: true,
            offer: format!(
                "a=group:BUNDLE 0 1\r\n{}{}",
                audio("actpass"),
                video("actpass")
            ),
            answer: format!("{plain}{no_video}"),
            offered: (&["m=video", "RTP/AVP 96"], &["a=fingerprint", "BUNDLE"]),
            answered: (&["a=mid:0", "m=video 0 "], &[]),
        },
        Row {
            why: "it asks again, and the phone takes it",
            by_page: true,
            offer: format!(
                "a=group:BUNDLE 0 1\r\n{}{}",
                audio("actpass"),
                video("actpass")
            ),
            answer: format!("{plain}{plain_video}"),
            offered: (
                &["m=video", "RTP/AVP 96"],
                &["a=fingerprint", "BUNDLE", "m=video 0 "],
            ),
            answered: (
                &["a=mid:0", "a=mid:1", "UDP/TLS/RTP/SAVPF 96"],
                &["m=video 0 "],
            ),
        },
        Row {
            why: "the phone offers what there is: the page finds its lines by their names",
            by_page: false,
            offer: format!("{plain}{plain_video}"),
            answer: format!("{}{}", audio("active"), video("active")),
            offered: (&["a=mid:0", "a=mid:1", "a=fingerprint"], &["m=video 0 "]),
            answered: (&["m=video", "RTP/AVP 96"], &["a=fingerprint", "m=video 0 "]),
        },
        Row {
            why: "the page drops the video: the line stays, with port 0",
            by_page: true,
            offer: format!("{}{refused}", audio("actpass")),
            answer: format!("{plain}{no_video}"),
            offered: (&["m=video 0 RTP/AVP 96"], &["a=fingerprint"]),
            answered: (&["a=mid:0", "m=video 0 "], &[]),
        },
        Row {
            why: "the phone offers again without it",
            by_page: false,
            offer: format!("{plain}{no_video}"),
            answer: format!("{}{refused}", audio("active")),
            offered: (&["a=mid:0", "m=video 0 "], &[]),
            answered: (&["m=video 0 RTP/AVP 96"], &["a=fingerprint"]),
        },
        Row {
            why: "MEDIA.md §7: a fax on top of it is not for a page, which keeps its audio",
            by_page: false,
            offer: format!("{plain}{no_video}{FAX}"),
            answer: format!("{}{refused}{NO_FAX}", audio("active")),
            offered: (&["a=mid:0", "m=image 0 udptl t38"], &["T38FaxVersion"]),
            answered: (&["m=image 0 udptl t38", "RTP/AVP 0"], &["m=audio 0 "]),
        },
        Row {
            why: "and the page repeats all lines in its next offer",
            by_page: true,
            offer: format!("{}{refused}{NO_FAX}", audio("actpass")),
            answer: format!("{plain}{no_video}{NO_FAX}"),
            offered: (
                &["m=audio", "m=video 0 ", "m=image 0 "],
                &["m=audio 0 ", "a=fingerprint"],
            ),
            answered: (&["a=mid:0", "m=video 0 ", "m=image 0 "], &["m=audio 0 "]),
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_come_and_go_keep_their_place_and_name() -> Result<()> {
    let scene = Scene::start().await?;
    let stage = Stage::open(&scene).await?;
    let rows = rows();
    let exchanges: Vec<Exchange> = rows
        .iter()
        .map(|row| Exchange {
            method: "INVITE".to_owned(),
            by_caller: row.by_page,
            late: false,
            offer: format!("{HEAD}{}", row.offer),
            answers: vec![format!("{HEAD}{}", row.answer)],
        })
        .collect();
    let all = stage.plays([1, 0], &exchanges).await?;
    for ((row, exchange), seen) in rows.iter().zip(&exchanges).zip(&all) {
        let (fits, wrong) = judge(exchange, seen, "127.0.0.1").context(row.why)?;
        ensure!(fits, "{}: no answer to {}", row.why, seen.offered);
        ensure!(wrong.is_empty(), "{}: {wrong:?}\n{seen:?}", row.why);
        for (got, (has, has_not)) in [
            (&seen.offered, row.offered),
            (&seen.answered[0], row.answered),
        ] {
            for text in has {
                ensure!(got.contains(text), "{}: no {text} in\n{got}", row.why);
            }
            for text in has_not {
                ensure!(!got.contains(text), "{}: {text} in\n{got}", row.why);
            }
        }
    }
    scene.engine.empty_within(SOON).await
}

/// RFC 3389: silence is told under payload type 13, and reaches the other side under the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comfort_noise_and_speech_pass_between_two_phones() -> Result<()> {
    const NOISE: u8 = 13;
    let scene = Scene::start().await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bob = scene.device("bob", Kind::Udp).await?;
    let (mut one, mut other) = (Leg::open().await?, Leg::open().await?);
    let said = |leg: &Leg| leg.sdp_of("0 13 101", "sendrecv") + "a=ptime:30\r\na=maxptime:60\r\n";
    let mut outgoing = alice.calls("bob", &said(&one)).await?;
    let mut incoming = bob.called().await?;
    let answer = said(&other);
    let (_, answered) = tokio::try_join!(incoming.accepts(&answer), outgoing.is_answered(""))?;
    for body in [incoming.invite.body(), answered.body()] {
        let passes = ["RTP/AVP 0 13 101", "a=ptime:30", "a=maxptime:60"];
        ensure!(passes.iter().all(|text| body.contains(text)), "{body}");
    }
    one.follows(answered.body())?;
    other.follows(incoming.invite.body())?;
    for payload in [PCMU, NOISE, PCMU] {
        (one.payload, other.payload) = (payload, payload);
        talk(&one, &other).await?;
    }
    // Each for itself: who is silent still hears the other speak.
    other.payload = NOISE;
    speaks(&one, &other, PCMU).await?;
    speaks(&other, &one, NOISE).await?;
    tokio::try_join!(outgoing.hangs_up(), incoming.takes("BYE", ""))?;
    scene.engine.empty_within(SOON).await
}
