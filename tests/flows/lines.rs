//! What becomes of the lines of an offer and of its answer between two legs, row by row (MEDIA.md §2, §7), with the real RTPEngine.

use anyhow::{Context, Result, ensure};
use causeway_tests::scene::Scene;

use crate::play::{Exchange, Stage, judge};

pub(crate) const HEAD: &str =
    "v=0\r\no=- 4397 1 IN IP4 10.9.9.9\r\ns=-\r\nc=IN IP4 10.9.9.9\r\nt=0 0\r\n";
pub(crate) const PLAIN: &str =
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A line of a browser.
pub(crate) fn web(kind: &str, formats: &str, setup: &str, mid: u8) -> String {
    format!(
        "m={kind} 9 UDP/TLS/RTP/SAVPF {formats}\r\na=candidate:1 1 udp 2113937151 10.9.9.9 4000 typ host\r\na=ice-ufrag:bX0f\r\n\
         a=ice-pwd:3d4a5e0f9c8b7a6d5e4f3c2b\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\na=mid:{mid}\r\na=rtcp-mux\r\n",
        ["A1"; 32].join(":")
    )
}

struct Row {
    why: &'static str,
    /// 0 for a phone, 1 for a page.
    kinds: [usize; 2],
    offer: String,
    answer: String,
    /// What the other side is offered, and what the offerer is answered: has these, and has not those.
    offered: (&'static [&'static str], &'static [&'static str]),
    answered: (&'static [&'static str], &'static [&'static str]),
}

fn rows() -> Vec<Row> {
    let pcmu = || format!("{PLAIN}a=rtpmap:0 PCMU/8000\r\n");
    let audio = |setup| {
        let line = web("audio", "0 101", setup, 0);
        format!("{line}a=rtpmap:101 telephone-event/8000\r\n")
    };
    let video = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 transport-cc\r\n";
    let both = |setup| {
        format!(
            "a=group:BUNDLE 0 1\r\n{}{}{video}",
            audio(setup),
            web("video", "96", setup, 1)
        )
    };
    let rejected = |line: &str| format!("{}{line}", pcmu());
    vec![
        Row {
            why: "§7: FreeSWITCH's two lines of audio are one to a phone, and both in the answer",
            kinds: [0, 0],
            offer: "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\nm=audio 4000 RTP/AVP 0\r\n".into(),
            answer: "m=audio 5000 RTP/AVP 0\r\nm=audio 0 RTP/AVP 0\r\n".into(),
            offered: (&["m=audio 0 RTP/AVP 0"], &["a=crypto"]),
            answered: (&["m=audio 0 RTP/AVP 0", "RTP/SAVP 0"], &[]),
        },
        Row {
            why: "§7: a fax goes from phone to phone",
            kinds: [0, 0],
            offer: format!("{PLAIN}m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n"),
            answer: format!("{PLAIN}m=image 5002 udptl t38\r\na=T38FaxVersion:0\r\n"),
            offered: (&["udptl t38", "a=T38FaxVersion:0"], &["m=image 0"]),
            answered: (&["udptl t38"], &["m=image 0"]),
        },
        Row {
            why: "§7: and not to a page, which answers its line with port 0",
            kinds: [0, 1],
            offer: format!("{PLAIN}m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n"),
            answer: format!("{}m=image 0 udptl t38\r\n", audio("active")),
            offered: (&["m=image 0 udptl t38"], &["T38FaxVersion"]),
            answered: (&["m=image 0 udptl t38"], &[]),
        },
        Row {
            why: "§7: what nobody here knows is refused and stays in its place",
            kinds: [0, 0],
            offer: format!("m=message 7000 TCP/MSRP *\r\na=path:msrp://10.9.9.9:7000/x;tcp\r\n{PLAIN}"),
            answer: format!("m=message 0 TCP/MSRP *\r\n{PLAIN}"),
            offered: (&["m=message 0 TCP/MSRP *"], &["a=path"]),
            answered: (&["m=message 0 TCP/MSRP *"], &[]),
        },
        Row {
            why: "§7: a data channel is refused, the audio beside it is not",
            kinds: [1, 0],
            offer: format!("{}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\na=mid:1\r\n", audio("actpass")),
            answer: rejected("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
            offered: (&["m=application 0 UDP/DTLS/SCTP webrtc-datachannel", "RTP/AVP 0 101"], &["a=sctp-port"]),
            answered: (&["m=application 0 UDP/DTLS/SCTP webrtc-datachannel"], &[]),
        },
        Row {
            why: "§2: rtcp-mux and BUNDLE of a page end here; its feedback and its video do not",
            kinds: [1, 0],
            offer: both("actpass"),
            answer: rejected("m=video 5004 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"),
            offered: (&["m=video", "RTP/AVP 96"], &["a=rtcp-mux", "a=fingerprint", "a=candidate", "a=ice-", "BUNDLE"]),
            answered: (&["a=rtcp-mux", "UDP/TLS/RTP/SAVPF 96", "a=setup:active"], &[]),
        },
        Row {
            why: "§2: from page to page feedback passes, and video",
            kinds: [1, 1],
            offer: both("actpass"),
            answer: both("active"),
            offered: (&["a=rtcp-fb:96 nack pli", "a=setup:actpass", "a=rtcp-mux", "a=mid:1"], &[]),
            answered: (&["a=rtcp-fb:96 nack pli", "a=rtcp-mux"], &[]),
        },
        Row {
            why: "RFC 5763 §5: who is active is answered passive",
            kinds: [1, 0],
            offer: audio("active"),
            answer: pcmu(),
            offered: (&["RTP/AVP"], &["a=setup"]),
            answered: (&["a=setup:passive"], &[]),
        },
        Row {
            why: "RFC 5763 §5: who is passive is answered active",
            kinds: [1, 0],
            offer: audio("passive"),
            answer: pcmu(),
            offered: (&["RTP/AVP"], &["a=setup"]),
            answered: (&["a=setup:active"], &[]),
        },
        Row {
            why: "a phone offers, and a page gets all that it needs",
            kinds: [0, 1],
            offer: pcmu(),
            answer: audio("active"),
            offered: (&["UDP/TLS/RTP/SAVPF", "a=setup:actpass", "a=fingerprint", "a=rtcp-mux", "a=candidate"], &["a=crypto"]),
            answered: (&["RTP/AVP"], &["a=setup", "a=candidate", "a=rtcp-mux"]),
        },
        Row {
            why: "ptime and comfort noise are the two ends' business",
            kinds: [0, 0],
            offer: "m=audio 4000 RTP/AVP 0 13 101\r\na=rtpmap:13 CN/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\na=maxptime:60\r\n".into(),
            answer: "m=audio 5000 RTP/AVP 0 13\r\na=rtpmap:13 CN/8000\r\na=ptime:30\r\n".into(),
            offered: (&["a=ptime:30", "RTP/AVP 0 13 101", "a=maxptime:60"], &[]),
            answered: (&["a=ptime:30", "RTP/AVP 0 13"], &[]),
        },
        Row {
            why: "an address of the session is replaced, too, where each line has its own",
            kinds: [0, 0],
            offer: "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 10.9.9.9\r\na=rtcp:4001 IN IP4 10.9.9.9\r\n".into(),
            answer: "m=audio 5000 RTP/AVP 0\r\nc=IN IP4 10.9.9.8\r\n".into(),
            offered: (&["c=IN IP4 127.0.0.1"], &["10.9.9.9"]),
            answered: (&["c=IN IP4 127.0.0.1"], &["10.9.9.8"]),
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_side_gets_the_lines_that_it_can_take_and_never_fewer() -> Result<()> {
    let scene = Scene::start().await?;
    let stage = Stage::open(&scene).await?;
    for row in rows() {
        let exchange = Exchange {
            method: "INVITE".to_owned(),
            by_caller: true,
            late: false,
            offer: format!("{HEAD}{}", row.offer),
            answers: vec![format!("{HEAD}{}", row.answer)],
        };
        let seen = stage
            .plays(row.kinds, std::slice::from_ref(&exchange))
            .await;
        let seen = seen.context(row.why)?.remove(0);
        let (fits, wrong) = judge(&exchange, &seen, "127.0.0.1").context(row.why)?;
        ensure!(
            fits,
            "{}: the row's answer is none to {}",
            row.why,
            seen.offered
        );
        ensure!(
            wrong.is_empty(),
            "{}: {wrong:?}\n{}\n{:?}",
            row.why,
            seen.offered,
            seen.answered
        );
        let sides = [
            (&seen.offered, row.offered),
            (&seen.answered[0], row.answered),
        ];
        for (got, (has, has_not)) in sides {
            for text in has {
                ensure!(got.contains(text), "{}: no {text} in\n{got}", row.why);
            }
            for text in has_not {
                ensure!(!got.contains(text), "{}: {text} in\n{got}", row.why);
            }
        }
    }
    Ok(())
}
