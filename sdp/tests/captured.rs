//! Every session description that was captured from real devices: read, kept, told apart, and its answers checked.

mod kit;

use std::collections::{BTreeMap, BTreeSet};

use kit::{Captured, captured};
use sdp::{Direction, Profile, Session, Slim, WebRtc, legal};

#[test]
fn every_captured_body_leaves_as_it_came() {
    let all = captured();
    assert_eq!(all.len(), 762, "the number of captured bodies");
    for Captured { name, body, .. } in &all {
        let session = Session::parse(body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(session.to_bytes(), *body, "{name}");
        assert_eq!(session.len(), body.len(), "{name}");
        assert_eq!(session.clone().into_owned().to_bytes(), *body, "{name}");
        assert!(!session.media().is_empty(), "{name}");
    }
}

#[test]
fn every_captured_body_can_be_read_with_types() {
    let mut with_ice = 0;
    for Captured { name, body, .. } in captured() {
        let read = WebRtc::read(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines = Session::parse(&body).expect("read above");
        assert_eq!(read.media.len(), lines.media().len(), "{name}");
        for (index, (stream, media)) in read.media.iter().zip(lines.media()).enumerate() {
            assert_eq!(stream.kind.as_bytes(), media.kind(), "{name}");
            assert_eq!(stream.protocol.as_bytes(), media.protocol(), "{name}");
            assert_eq!(stream.port, media.port(), "{name}");
            assert_eq!(Some(stream.direction), lines.direction(index), "{name}");
            if Profile::of_media(&lines, index) == Some(Profile::WebRtc) {
                with_ice += 1;
                assert!(
                    stream.ice.is_some() && stream.fingerprint.is_some(),
                    "{name}"
                );
            }
        }
    }
    assert_eq!(with_ice, 284, "the number of WebRTC sections");
}

#[test]
fn a_browsers_offer_is_read_with_types() {
    let name = "browser/jssip/invite-audio-video/04-jssip1-to-edge-INVITE.sip";
    let offer = captured()
        .into_iter()
        .find(|message| message.name == name)
        .expect(name);
    let read = WebRtc::read(&offer.body).expect(name);
    assert_eq!(read.bundles, [["0", "1"]]);
    let mids: Vec<_> = read
        .media
        .iter()
        .map(|stream| stream.mid.as_deref())
        .collect();
    assert_eq!(mids, [Some("0"), Some("1")]);
    let audio = &read.media[0];
    assert_eq!(audio.missing(), []);
    assert_eq!(audio.setup, Some(sdp::webrtc::Setup::ActPass));
    assert_eq!(
        audio
            .fingerprint
            .as_ref()
            .map(|print| (print.hash.as_str(), print.bytes.len())),
        Some(("sha-256", 32))
    );
    let codecs: Vec<_> = audio
        .codecs
        .iter()
        .map(|codec| (codec.payload_type, codec.name.as_str(), codec.rate))
        .collect();
    assert_eq!(codecs[0], (111, "opus", 48000));
    assert_eq!(codecs.len(), 8);
    let tcp: Vec<_> = audio
        .candidates
        .iter()
        .map(|candidate| (candidate.tcp, candidate.port == 9))
        .collect();
    assert_eq!(
        tcp,
        [(false, false), (true, true)],
        "a UDP candidate, and one over TCP with port 9"
    );
    assert!(!format!("{audio:?}").contains("ice-pwd"));
}

#[test]
fn a_hidden_address_is_no_hold() {
    let hidden: Vec<_> = captured()
        .into_iter()
        .filter(|message| {
            message.name.starts_with("browser/jssip/recvonly-mdns/")
                && message.name.contains("-to-edge-INVITE")
        })
        .collect();
    assert!(!hidden.is_empty());
    for Captured { name, body, .. } in hidden {
        let session = Session::parse(&body).expect("a browser's offer");
        assert_eq!(
            session.connection_of(0),
            Some(&b"IN IP4 0.0.0.0"[..]),
            "{name}"
        );
        assert_eq!(session.hold(0), None, "{name}");
        let host = &WebRtc::read(&body).expect("a browser's offer").media[0].candidates[0].host;
        assert!(
            matches!(host, sdp::webrtc::Host::Name(name) if name.ends_with(".local")),
            "{name}: {host:?}"
        );
    }
}

/// What devices themselves send, by scenario; `to-edge` is the device's own word.
#[test]
fn the_profile_of_each_device_is_told_by_what_it_says() {
    use Profile::{DtlsSrtp, Rtp, SrtpOptional, SrtpSdes, WebRtc};
    let all = captured();
    for (scenario, file, want) in [
        (
            "browser/jssip/invite-audio",
            "01-jssip1-to-edge-INVITE",
            WebRtc,
        ),
        ("browser/jssip/invite-audio", "09-desk1-to-edge-200", Rtp),
        ("browser/jssip/recvonly-mdns", "to-edge-INVITE", WebRtc),
        ("browser/sipjs/invite-audio-video", "to-edge-INVITE", WebRtc),
        ("browser/jssip/incoming-audio", "jssip1-to-edge-200", WebRtc), // answers RTP/SAVPF in kind
        ("browser/baresip/invite-avp", "to-edge-INVITE", Rtp),
        (
            "browser/baresip/invite-sdes",
            "sdes1-to-edge-INVITE",
            SrtpSdes,
        ),
        (
            "browser/baresip/invite-savp-optional",
            "obnd1-to-edge-INVITE",
            SrtpOptional,
        ),
        (
            "browser/baresip/invite-ice-dtls",
            "ice1-to-edge-INVITE",
            WebRtc,
        ),
        ("browser/linphone/invite-avp", "to-edge-INVITE", Rtp),
        (
            "browser/linphone/invite-sdes",
            "lin2-to-edge-INVITE",
            SrtpSdes,
        ),
        (
            "browser/linphone/invite-zrtp-ice",
            "lin4-to-edge-INVITE",
            Rtp,
        ), // ZRTP is in the media
        (
            "browser/linphone/invite-dtls-ice",
            "lin5-to-edge-INVITE",
            DtlsSrtp,
        ),
        ("chain/b1_invite_unstripped", "fs_to_reg1_INVITE", Rtp),
        ("chain/f1_offer_two_m_lines", "fs_to_reg1_INVITE", SrtpSdes), // SAVP first, AVP beside it
        (
            "chain/m3_wss_browser_offer",
            "caller_to_edge_INVITE",
            WebRtc,
        ),
        (
            "chain/n1_fs_webrtc_offer_unstripped",
            "fs_to_reg1_INVITE",
            WebRtc,
        ), // RTP/SAVPF, and DTLS meant
    ] {
        let found: Vec<_> = all
            .iter()
            .filter(|message| message.scenario() == scenario && message.name.contains(file))
            .collect();
        assert!(!found.is_empty(), "{scenario}: {file}");
        for message in found {
            let session = Session::parse(&message.body).expect("round-trips");
            assert_eq!(Profile::of(&session), Some(want), "{}", message.name);
        }
    }
}

#[test]
fn captured_holds_are_holds() {
    let all = captured();
    for (scenario, file, want) in [
        ("browser/jssip/hold-resume", "jssip1-to-edge-INVITE", true),
        ("browser/sipjs/hold-resume", "sipjs1-to-edge-INVITE", true),
        ("browser/baresip/hold-resume", "desk1-to-edge-INVITE", true),
        ("browser/linphone/hold-resume", "lin1-to-edge-INVITE", true),
        ("browser/jssip/hold-update", "to-edge-UPDATE", true),
        ("chain/e_hold_reinvite", "fs_to_reg2_INVITE", true),
        ("browser/jssip/recvonly", "to-edge-INVITE", false),
        (
            "browser/jssip/renegotiate-ice-restart",
            "to-edge-INVITE",
            false,
        ),
    ] {
        let held: Vec<_> = all
            .iter()
            .filter(|message| message.scenario() == scenario && message.name.contains(file))
            .map(|message| {
                Session::parse(&message.body)
                    .expect("round-trips")
                    .is_on_hold()
            })
            .collect();
        assert!(
            held.len() > 1 || !want && !held.is_empty(),
            "{scenario}: {} messages",
            held.len()
        );
        assert_eq!(held.contains(&true), want, "{scenario}: {held:?}");
        assert!(
            held.contains(&false),
            "{scenario}: the call is also seen without hold"
        );
    }
}

/// Pairs of offer and answer between the same two in one transaction.
fn exchanges(all: &[Captured]) -> Vec<(&Captured, &Captured)> {
    let mut offers: BTreeMap<String, &Captured> = BTreeMap::new();
    let mut pairs = Vec::new();
    for message in all {
        let cseq = message.header("CSeq").to_string();
        if cseq.ends_with("ACK") || cseq.ends_with("PRACK") {
            continue;
        }
        // The top Via's branch is the transaction between two neighbours (RFC 3261 §17.1.3).
        let via = message.header("Via");
        let branch = via.split(";branch=").nth(1).unwrap_or_default();
        let branch = branch.split([';', ',', ' ']).next().unwrap_or_default();
        let key = format!(
            "{} {} {branch} {cseq}",
            message.scenario(),
            message.header("Call-ID")
        );
        if !message.is_response() {
            offers.insert(key, message);
        } else if let Some(offer) = offers.get(&key) {
            pairs.push((*offer, message));
        }
    }
    pairs
}

#[test]
fn captured_answers_are_legal_but_those_known_to_be_wrong() {
    let all = captured();
    let pairs = exchanges(&all);
    let mut wrong: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (offer, answer) in &pairs {
        let (offered, answered) = (Session::parse(&offer.body), Session::parse(&answer.body));
        let found = legal::violations(
            &offered.expect("round-trips"),
            &answered.expect("round-trips"),
        );
        if !found.is_empty() {
            wrong
                .entry(answer.scenario())
                .or_default()
                .extend(found.iter().map(ToString::to_string));
        }
    }
    let new_101 = "m= line 0 has format 101, which was not offered";
    let plain_to_savp = "RFC 3264 §6: m= line 0 was offered as RTP/SAVP and is answered as RTP/AVP";
    let plain_to_savpf =
        "RFC 3264 §6: m= line 0 was offered as RTP/SAVPF and is answered as RTP/AVP";
    let plain_to_dtls =
        "RFC 3264 §6: m= line 0 was offered as UDP/TLS/RTP/SAVPF and is answered as RTP/AVP";
    let no_print = "RFC 5763 §5: m= line 0 was offered DTLS and is answered without fingerprint";
    let no_crypto =
        "RFC 4568 §5.1.2: m= line 0 does not accept exactly one of the offered a=crypto";
    let expected = [
        // The capture's core answers every offer with one and the same description.
        ("browser/jssip/early-media-183", vec![new_101]),
        ("browser/sipjs/early-media-100rel", vec![new_101]),
        ("browser/sipjs/early-media-183", vec![new_101]),
        // The chain's test device ignores a hold, a choice of codecs, and what it is not offered in plain RTP.
        (
            "chain/e_hold_reinvite",
            vec!["RFC 3264 §6.1: m= line 0 was offered sendonly and is answered sendrecv"],
        ),
        ("chain/f1_offer_two_m_lines", vec![plain_to_savp, no_crypto]),
        (
            "chain/m1_wss_random_contact_natua",
            vec![plain_to_dtls, no_print],
        ),
        (
            "chain/m2_wss_random_contact_token",
            vec![plain_to_dtls, no_print],
        ),
        // OpenSIPS forced RTP/AVP in the answer to FreeSWITCH's WebRTC offer: no media flowed.
        (
            "chain/n1_fs_webrtc_offer_unstripped",
            vec![plain_to_savpf, no_print],
        ),
        (
            "chain/n2_fs_webrtc_offer_stripped",
            vec![plain_to_savpf, no_print],
        ),
        (
            "chain/o2_codec_change_refused",
            vec!["m= line 0 has format 0, which was not offered"],
        ),
    ];
    let expected: BTreeMap<&str, BTreeSet<String>> = expected
        .into_iter()
        .map(|(scenario, said)| (scenario, said.into_iter().map(String::from).collect()))
        .collect();
    assert_eq!(wrong, expected);
    assert_eq!(pairs.len(), 319, "pairs of offer and answer");
}

#[test]
fn a_browsers_offer_made_plain_loses_what_a_phone_does_not_read() {
    let name = "browser/jssip/invite-audio/06-edge-to-desk1-INVITE.sip";
    let offer = captured()
        .into_iter()
        .find(|message| message.name == name)
        .expect(name);
    let mut session = Session::parse(&offer.body).expect(name);
    assert_eq!(offer.body.len(), 1066);
    session.slim(Slim::Foreign);
    assert_eq!(session.len(), 427);
    session.slim(Slim::Implied);
    let slimmed = session.to_bytes();
    let media = slimmed
        .windows(3)
        .position(|window| window == b"m=a")
        .expect("an audio section");
    assert_eq!(
        String::from_utf8_lossy(&slimmed[media..]).replace("\r\n", "\n"),
        "m=audio 30082 RTP/AVP 111 63 9 0 8 13 110 126\n\
         c=IN IP4 203.0.113.10\n\
         a=rtpmap:111 opus/48000/2\n\
         a=fmtp:111 minptime=10;useinbandfec=1\n\
         a=rtpmap:63 red/48000/2\n\
         a=fmtp:63 111/111\n\
         a=rtpmap:110 telephone-event/48000\n\
         a=rtpmap:126 telephone-event/8000\n"
    );
    assert_eq!(session.len(), 314);
    assert_eq!(session.direction(0), Some(Direction::SendRecv));
}
