//! Every captured ng datagram: those of Kamailio and of a small client, and what RTPEngine 10.5.3.5 answered.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use rtpengine_client::answer::{self, CallInfo, Calls, Done, Sdp, Statistics};
use rtpengine_client::bencode::{self, Dictionary, Limits, Value};
use rtpengine_client::{Command, Error, Reason};

/// All `.bin` files with their names, such as `10-errors/02-answer-query-error`.
fn captured() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captured/browser/ng");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let mut all = Vec::new();
    for folder in folders.iter().filter(|path| path.is_dir()) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                let name = path.with_extension("");
                let name = name
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                all.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

fn dictionary_of(datagram: &[u8]) -> &[u8] {
    let space = datagram.iter().position(|byte| *byte == b' ').unwrap();
    &datagram[space + 1..]
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, Error> {
    let all = captured();
    let (_, datagram) = all.iter().find(|(captured, _)| captured == name).unwrap();
    answer::read(dictionary_of(datagram), &Limits::default())
}

#[test]
fn every_datagram_is_decoded_and_encoded_to_the_same_value() {
    let all = captured();
    assert!(all.len() >= 69, "only {} datagrams", all.len());
    for (name, datagram) in &all {
        // This one was captured to show that RTPEngine tolerates junk behind the dictionary; it never sends any.
        if name == "10-errors/09-request-ping" {
            assert!(bencode::check(dictionary_of(datagram), &Limits::default()).is_err());
            continue;
        }
        let value: Value =
            bencode::decode(dictionary_of(datagram), &Limits::default()).expect(name);
        let Value::Dict(keys) = &value else {
            panic!("{name} is no dictionary")
        };
        let mut dictionary = Dictionary::new();
        for (key, value) in keys {
            dictionary.value(std::str::from_utf8(key).unwrap(), value.clone());
        }
        let encoded = dictionary.encode();
        assert_eq!(
            bencode::decode::<Value>(&encoded, &Limits::default()).unwrap(),
            value,
            "{name}"
        );
        assert_eq!(encoded.len(), dictionary_of(datagram).len(), "{name}");
    }
}

#[test]
fn every_answer_is_read_as_the_type_of_its_command() {
    let mut read_by_type = std::collections::BTreeMap::new();
    for (name, datagram) in captured() {
        let Some(what) = name.split_once("-answer-").map(|(_, what)| what) else {
            continue;
        };
        let data = dictionary_of(&datagram);
        let limits = Limits::default();
        let kind = match what {
            "ping-pong" => {
                answer::read::<Done>(data, &limits).map(|done| assert!(done.rest.is_empty()))
            }
            "list-ok" => answer::read::<Calls>(data, &limits)
                .map(|calls| assert!(calls.rest.keys().eq(["result"]))),
            "offer-ok" | "answer-ok" => answer::read::<Sdp>(data, &limits).map(|sdp| {
                assert!(
                    sdp.sdp.unwrap().as_bytes().starts_with(b"v=0\r\n"),
                    "{name}"
                );
            }),
            "query-ok" | "delete-ok" => answer::read::<CallInfo>(data, &limits).map(|call| {
                assert!(
                    call.rest.keys().all(|key| key == "result"),
                    "{name}: {:?}",
                    call.rest
                );
                assert!(call.warning.is_some() || !call.tags.is_empty(), "{name}");
            }),
            "statistics-ok" => answer::read::<Statistics>(data, &limits).map(|_| ()),
            error => {
                assert!(error.ends_with("-error"), "{name}");
                assert!(
                    matches!(
                        answer::read::<Done>(data, &limits),
                        Err(Error::Rejected { .. })
                    ),
                    "{name}"
                );
                Ok(())
            }
        };
        kind.unwrap_or_else(|why| panic!("{name}: {why}"));
        *read_by_type.entry(what.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(read_by_type.values().sum::<i32>(), 35, "{read_by_type:?}");
}

#[test]
fn a_request_of_the_capture_names_a_command_that_we_know() {
    for (name, datagram) in captured() {
        if !name.contains("-request-")
            || name.ends_with("-nonsense")
            || name == "10-errors/09-request-ping"
        {
            continue;
        }
        let value: Value = bencode::decode(dictionary_of(&datagram), &Limits::default()).unwrap();
        let Value::Dict(keys) = value else {
            panic!("{name}")
        };
        let Some(Value::Bytes(command)) = keys.get(b"command".as_slice()) else {
            panic!("{name}")
        };
        assert!(
            Command::from_word(std::str::from_utf8(command).unwrap()).is_some(),
            "{name}"
        );
    }
}

#[test]
fn the_figures_of_a_call_are_where_their_names_say() {
    let call: CallInfo = read("02-list-query-during-call/06-answer-query-ok").unwrap();
    assert_eq!(
        (call.created, call.created_us, call.last_signal),
        (1_795_443_838, 908_308, 1_795_443_838)
    );
    let browser = &call.tags[b"ftde74jqes".as_slice()];
    assert_eq!(browser.subscriptions[0].tag.as_bytes(), b"e4c464684ccf4f72");
    assert_eq!(browser.subscriptions[0].kind, "offer/answer");
    let media = &browser.medias[0];
    assert_eq!(
        (media.index, media.kind.as_bytes()),
        (1, b"audio".as_slice())
    );
    assert_eq!(media.protocol.as_deref(), Some("UDP/TLS/RTP/SAVPF"));
    assert_eq!(media.codec.as_ref().unwrap().as_bytes(), b"opus/48000/2");
    assert!(media.flags.iter().any(|flag| flag == "DTLS-SRTP"));
    let stream = &media.streams[0];
    assert_eq!(
        (stream.local_port, stream.local_address.as_deref()),
        (30021, Some("203.0.113.10"))
    );
    assert_eq!(
        (stream.endpoint.port, stream.endpoint.address.as_deref()),
        (37262, Some("192.168.178.20"))
    );
    assert_eq!(
        stream.crypto_suite.as_deref(),
        Some("AES_CM_128_HMAC_SHA1_80")
    );
    assert_eq!(stream.ssrc, Some(2_323_380_866));
    assert_eq!(
        (
            stream.stats.packets,
            stream.stats.bytes,
            stream.stats.errors
        ),
        (119, 13_746, 3)
    );
    assert!(call.totals.rtp.packets > 119 && call.totals.rtp.bytes > 13_746);

    let call: CallInfo = read("05-browser-to-browser-audio-video/06-answer-delete-ok").unwrap();
    let ssrc = &call.ssrc["2327903519"];
    assert_eq!(
        (
            ssrc.cumulative_loss,
            ssrc.average.samples,
            ssrc.average.mos.mos
        ),
        (0, 1, 43)
    );
    assert_eq!(
        (
            ssrc.lowest.jitter,
            ssrc.highest.round_trip_time,
            ssrc.lowest.packet_loss
        ),
        (23, 583, 0)
    );
    assert_eq!(ssrc.progression.entries[0].reported_at, 1_795_443_845);
}

#[test]
fn the_figures_of_a_node_are_where_their_names_say() {
    let node: Statistics = read("02-list-query-during-call/08-answer-statistics-ok").unwrap();
    assert_eq!(node.total.uptime().as_secs(), 11);
    assert_eq!(node.current.sessions_total.0, 1.0);
    assert_eq!(node.current.packet_rate.0, 100.0);
    assert_eq!(node.current.rest["media_userspace"].0, 2.0);
    assert_eq!(node.total.rest["relayedpackets_user"].0, 265.0);
    assert_eq!(node.control.totals["totaloffercount"].0, 1.0);
    assert_eq!(node.control.proxies[0]["proxy"], Value::from("127.0.0.1"));
    assert!(node.interval.contains_key("maxofferdelay"));
    assert_eq!(node.interfaces.len(), 1);
    assert!(node.interfaces[0].ports.used.0 > 0.0);
}

#[test]
fn the_errors_of_the_capture_have_their_reasons() {
    for (name, want) in [
        ("10-errors/02-answer-query-error", Reason::UnknownCall),
        ("10-errors/06-answer-answer-error", Reason::UnknownCall),
        ("10-errors/08-answer-nonsense-error", Reason::UnknownCommand),
    ] {
        assert_eq!(
            read::<Done>(name).unwrap_err().reason(),
            Some(want),
            "{name}"
        );
    }
    let nothing: CallInfo = read("10-errors/04-answer-delete-ok").unwrap();
    assert_eq!(
        nothing.warning.as_deref(),
        Some("Call-ID not found or tags didn't match")
    );
}
