//! Which answers RFC 3264 allows, and in which words the others are refused.

use sdp::{Session, legal};

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

/// What is said about the answer; `|` separates lines.
fn said(offer: &str, answer: &str) -> Vec<String> {
    let body = |lines: &str| format!("{HEAD}{}\r\n", lines.replace('|', "\r\n"));
    let (offer, answer) = (body(offer), body(answer));
    let (offer, answer) = (
        Session::parse(offer.as_bytes()),
        Session::parse(answer.as_bytes()),
    );
    let found = legal::violations(
        &offer.expect("a good offer"),
        &answer.expect("a good answer"),
    );
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn these_answers_are_legal() {
    let dtls = "m=audio 1 UDP/TLS/RTP/SAVPF 0|a=fingerprint:sha-256 A|a=setup:";
    let crypto = "m=audio 1 RTP/SAVP 0|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a|a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:b";
    for (why, offer, answer) in [
        (
            "a subset",
            "m=audio 1 RTP/AVP 0 8 101",
            "m=audio 2 RTP/AVP 8 101",
        ),
        (
            "rejected, whatever else it says",
            "m=audio 1 RTP/SAVP 0",
            "m=audio 0 RTP/AVP 99",
        ),
        (
            "rejected stays rejected",
            "m=audio 1 RTP/AVP 0|m=video 0 RTP/AVP 96",
            "m=audio 1 RTP/AVP 0|m=video 0 RTP/AVP 96",
        ),
        (
            "bundled, not rejected",
            "m=video 0 RTP/AVP 96|a=bundle-only",
            "m=video 9 RTP/AVP 96",
        ),
        (
            "to sendonly: recvonly",
            "m=audio 1 RTP/AVP 0|a=sendonly",
            "m=audio 2 RTP/AVP 0|a=recvonly",
        ),
        (
            "to sendonly: inactive",
            "m=audio 1 RTP/AVP 0|a=sendonly",
            "m=audio 2 RTP/AVP 0|a=inactive",
        ),
        (
            "a codec's name without case",
            "m=audio 1 RTP/AVP 96|a=rtpmap:96 opus/48000/2",
            "m=audio 2 RTP/AVP 96|a=rtpmap:96 OPUS/48000/2",
        ),
        (
            "one channel, said or not",
            "m=audio 1 RTP/AVP 0|a=rtpmap:0 PCMU/8000",
            "m=audio 2 RTP/AVP 0|a=rtpmap:0 PCMU/8000/1",
        ),
        (
            "the second crypto",
            crypto,
            "m=audio 1 RTP/SAVP 0|a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:c",
        ),
        (
            "optional SRTP, answered plain",
            "m=audio 1 RTP/AVP 0|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a",
            "m=audio 2 RTP/AVP 0",
        ),
        ("DTLS", &format!("{dtls}actpass"), &format!("{dtls}active")),
        (
            "a mid to none",
            "m=audio 1 RTP/AVP 0",
            "m=audio 1 RTP/AVP 0|a=mid:0",
        ),
        (
            "rtcp-mux refused",
            "m=audio 1 RTP/AVP 0|a=rtcp-mux",
            "m=audio 1 RTP/AVP 0",
        ),
    ] {
        assert_eq!(said(offer, answer), Vec::<String>::new(), "{why}");
    }
}

#[test]
fn these_answers_are_refused_in_words() {
    let dtls = "m=audio 1 UDP/TLS/RTP/SAVPF 0|a=fingerprint:sha-256 A|a=setup:";
    let sdes = "m=audio 1 RTP/SAVP 0|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a";
    for (offer, answer, want) in [
        (
            "m=audio 1 RTP/AVP 0|m=video 1 RTP/AVP 96",
            "m=audio 1 RTP/AVP 0",
            "RFC 3264 §6: the offer has 2 m= lines and the answer 1",
        ),
        (
            "m=audio 1 RTP/AVP 0",
            "m=audio 1 RTP/AVP 0|m=audio 0 RTP/AVP 0",
            "RFC 3264 §6: the offer has 1 m= lines and the answer 2",
        ),
        (
            "m=audio 1 RTP/AVP 0",
            "m=video 1 RTP/AVP 0",
            "RFC 3264 §6: m= line 0 is audio in the offer and video in the answer",
        ),
        (
            "m=audio 1 RTP/SAVPF 0",
            "m=audio 1 RTP/AVPF 0",
            "RFC 3264 §6: m= line 0 was offered as RTP/SAVPF and is answered as RTP/AVPF",
        ),
        (
            "m=audio 0 RTP/AVP 0",
            "m=audio 1 RTP/AVP 0",
            "RFC 3264 §6: m= line 0 was offered with port 0 and is accepted",
        ),
        (
            "m=audio 1 RTP/AVP 0 8",
            "m=audio 1 RTP/AVP 9",
            "RFC 3264 §6.1: m= line 0 has none of the offered formats",
        ),
        (
            "m=audio 1 RTP/AVP 0",
            "m=audio 1 RTP/AVP 0 8",
            "m= line 0 has format 8, which was not offered",
        ),
        (
            "m=audio 1 RTP/AVP 96|a=rtpmap:96 opus/48000/2",
            "m=audio 1 RTP/AVP 96|a=rtpmap:96 telephone-event/8000",
            "m= line 0: payload type 96 is opus/48000/2 in the offer and telephone-event/8000 in the answer",
        ),
        (
            "m=audio 1 RTP/AVP 0|a=sendonly",
            "m=audio 1 RTP/AVP 0",
            "RFC 3264 §6.1: m= line 0 was offered sendonly and is answered sendrecv",
        ),
        (
            "m=audio 1 RTP/AVP 0|a=recvonly",
            "m=audio 1 RTP/AVP 0|a=recvonly",
            "RFC 3264 §6.1: m= line 0 was offered recvonly and is answered recvonly",
        ),
        (
            "m=audio 1 RTP/AVP 0|a=inactive",
            "m=audio 1 RTP/AVP 0|a=sendonly",
            "RFC 3264 §6.1: m= line 0 was offered inactive and is answered sendonly",
        ),
        (
            "m=audio 1 RTP/AVP 0",
            "m=audio 1 RTP/AVP 0|a=rtcp-mux",
            "RFC 5761 §5.1.3: m= line 0 has rtcp-mux, which was not offered",
        ),
        (
            "m=audio 1 RTP/AVP 0|a=mid:a",
            "m=audio 1 RTP/AVP 0|a=mid:0",
            "RFC 5888 §9.1: m= line 0 has another mid than the offer",
        ),
        (
            sdes,
            "m=audio 1 RTP/SAVP 0",
            "RFC 4568 §5.1.2: m= line 0 does not accept exactly one of the offered a=crypto",
        ),
        (
            sdes,
            "m=audio 1 RTP/SAVP 0|a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:a",
            "RFC 4568 §5.1.2: m= line 0 does not accept exactly one of the offered a=crypto",
        ),
        (
            &format!("{dtls}actpass"),
            "m=audio 1 UDP/TLS/RTP/SAVPF 0|a=setup:active",
            "RFC 5763 §5: m= line 0 was offered DTLS and is answered without fingerprint",
        ),
        (
            &format!("{dtls}actpass"),
            &format!("{dtls}actpass"),
            "RFC 5763 §5: m= line 0 has no a=setup that answers the offer's",
        ),
        (
            &format!("{dtls}active"),
            &format!("{dtls}active"),
            "RFC 5763 §5: m= line 0 has no a=setup that answers the offer's",
        ),
    ] {
        let found = said(offer, answer);
        assert!(
            found.iter().any(|violation| violation == want),
            "{want}: {found:?}"
        );
    }
}

#[test]
fn a_later_offer_never_has_fewer_m_lines() {
    let one = format!("{HEAD}m=audio 1 RTP/AVP 0\r\n");
    let two = format!("{one}m=video 0 RTP/AVP 96\r\n");
    let session = |text: &'static str| Session::parse(text.as_bytes()).expect("a good body");
    let (one, two): (&'static str, &'static str) = (one.leak(), two.leak());
    assert!(legal::may_follow(&session(one), &session(two)));
    assert!(legal::may_follow(&session(one), &session(one)));
    assert!(
        !legal::may_follow(&session(two), &session(one)),
        "RFC 3264 §8"
    );
}
