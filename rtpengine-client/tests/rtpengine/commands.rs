//! The client against a real RTPEngine.

use std::time::Duration;

use crate::engine::{PATIENCE, RtpEngine, free_port};
use rtpengine_client::command::*;
use rtpengine_client::words::*;
use rtpengine_client::{Client, Codecs, Command, Error, Options, Reason};

const PHONE: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n";
const OTHER_PHONE: &str = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 5000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";

/// A call between two phones, tags `a` and `b`.
async fn call(client: &Client, call_id: &str) {
    client
        .request(&Offer::new(call_id, "a", PHONE))
        .await
        .unwrap();
    client
        .request(&Answer::new(call_id, "a", "b", OTHER_PHONE))
        .await
        .unwrap();
}

fn reason<T>(result: Result<T, Error>) -> Reason {
    match result {
        Err(Error::Rejected { reason, .. }) => reason,
        Err(why) => panic!("{why}"),
        Ok(_) => panic!("it went well"),
    }
}

#[tokio::test]
async fn a_call_is_offered_answered_queried_listed_and_deleted() {
    let engine = RtpEngine::start().await;
    let client = engine.client().await;
    assert_eq!(client.request(&Ping).await.unwrap().result, "pong");

    let offer = Offer::new("one", "a", PHONE)
        .via_branch("branch-1")
        .options(Options {
            transport_protocol: Some(TransportProtocol::DtlsSavpf),
            ice: Some(Ice::Force),
            sdes: vec![Sdes::Off],
            rtcp_mux: vec![RtcpMux::Offer],
            replace: vec![Replace::Origin],
            flags: vec![Flag::TrustAddress, Flag::GenerateMid],
            codecs: Codecs {
                strip: vec!["PCMU".into()],
                ..Codecs::default()
            },
            ..Options::default()
        });
    let sdp = client.request(&offer).await.unwrap().sdp.unwrap().to_text();
    for line in [
        "UDP/TLS/RTP/SAVPF 8\r\n",
        "a=fingerprint:sha-256",
        "a=candidate:",
        "a=rtcp-mux\r\n",
        "a=mid:",
    ] {
        assert!(sdp.contains(line), "{line} in {sdp}");
    }
    assert!(!sdp.contains("a=crypto") && !sdp.contains("PCMU"), "{sdp}");

    let answer = Answer::new("one", "a", "b", sdp.as_str()).via_branch("branch-1");
    let sdp = client
        .request(&answer)
        .await
        .unwrap()
        .sdp
        .unwrap()
        .to_text();
    assert!(
        sdp.contains("RTP/AVP 8\r\n"),
        "RTPEngine answers in the offerer's kind: {sdp}"
    );

    let call = client.request(&Query::new("one")).await.unwrap();
    assert!(call.created > 1_500_000_000 && call.warning.is_none());
    assert_eq!(call.tags.len(), 2);
    let phone = &call.tags[b"a".as_slice()];
    assert_eq!(phone.subscriptions[0].tag.as_bytes(), b"b");
    let stream = &phone.medias[0].streams[0];
    assert_eq!(
        (stream.endpoint.port, stream.endpoint.address.as_deref()),
        (4000, Some("127.0.0.1"))
    );
    assert!(stream.local_port > 0);
    assert_eq!(
        call.tags[b"b".as_slice()].medias[0].protocol.as_deref(),
        Some("UDP/TLS/RTP/SAVPF")
    );

    assert_eq!(
        client.request(&List::at_most(10)).await.unwrap().calls,
        ["one".into()]
    );
    let node = client.request(&Statistics).await.unwrap();
    assert_eq!(node.current.sessions_total.0, 1.0);
    assert!(node.total.uptime() < Duration::from_secs(60));

    let last = client
        .request(
            &Delete::new("one")
                .from_tag("a")
                .to_tag("b")
                .delay(Duration::ZERO),
        )
        .await
        .unwrap();
    assert_eq!((last.tags.len(), last.warning), (2, None));
    assert!(
        client
            .request(&List::default())
            .await
            .unwrap()
            .calls
            .is_empty()
    );
}

#[tokio::test]
async fn a_call_deleted_with_delay_is_taken_back_by_an_offer() {
    let engine = RtpEngine::start().await;
    let client = engine.client().await;
    client
        .request(&Offer::new("one", "a", PHONE))
        .await
        .unwrap();
    client
        .request(
            &Delete::new("one")
                .from_tag("a")
                .delay(Duration::from_secs(2)),
        )
        .await
        .unwrap();
    assert_eq!(
        client.request(&List::default()).await.unwrap().calls.len(),
        1
    );
    client
        .request(&Offer::new("one", "a", PHONE))
        .await
        .unwrap();
    // The second call goes by its delay; by then the first one's has long passed.
    call(&client, "two").await;
    client
        .request(&Delete::new("two").delay(Duration::from_secs(4)))
        .await
        .unwrap();
    let begun = std::time::Instant::now();
    while client
        .request(&List::default())
        .await
        .unwrap()
        .calls
        .contains(&"two".into())
    {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        client.request(&List::default()).await.unwrap().calls,
        ["one".into()]
    );
}

#[tokio::test]
async fn errors_of_rtpengine_are_typed() {
    let engine = RtpEngine::start().await;
    let client = engine.client().await;
    assert_eq!(
        reason(client.request(&Query::new("none")).await),
        Reason::UnknownCall
    );
    assert_eq!(
        reason(client.request(&Answer::new("none", "a", "b", PHONE)).await),
        Reason::UnknownCall
    );
    assert_eq!(
        reason(
            client
                .request(&BlockMedia::block("none", Party::Call))
                .await
        ),
        Reason::UnknownCall
    );
    assert_eq!(
        reason(client.request(&Offer::new("x", "a", "nonsense")).await),
        Reason::SdpUnreadable
    );
    assert_eq!(
        reason(client.request(&Raw::new("offer")).await),
        Reason::KeyMissing
    );
    assert_eq!(
        reason(client.request(&Raw::new("nonsense")).await),
        Reason::UnknownCommand
    );
    let limit = Raw::new("list").extra("limit", -1);
    assert_eq!(reason(client.request(&limit).await), Reason::BadLimit);

    let nothing = client.request(&Delete::new("none")).await.unwrap();
    assert!(nothing.warning.is_some() && nothing.tags.is_empty());
    assert_eq!(
        reason(client.request(&Delete::new("none").flag(Flag::Fatal)).await),
        Reason::NothingToDelete
    );

    call(&client, "one").await;
    assert_eq!(
        reason(
            client
                .request(&BlockMedia::block("one", Party::Tag("c".into())))
                .await
        ),
        Reason::UnknownParty
    );
    assert_eq!(
        reason(
            client
                .request(&StopMedia::new("one", Party::Tag("a".into())))
                .await
        ),
        Reason::NotPlaying
    );
    assert_eq!(
        reason(client.request(&StopMedia::new("one", Party::Call)).await),
        Reason::PartyMissing
    );
    let digit = PlayDtmf::new("one", Party::Tag("a".into()), Digit::try_from('5').unwrap());
    assert_eq!(
        reason(client.request(&digit).await),
        Reason::NoDtmfStream,
        "no packet has come yet"
    );
    let file = PlayMedia::new(
        "one",
        Party::Tag("a".into()),
        Source::File("/nowhere".into()),
    );
    assert_eq!(reason(client.request(&file).await), Reason::NotPlayable);
}

#[tokio::test]
async fn a_full_node_says_so_and_another_one_may_do_it() {
    let engine = RtpEngine::start_with(free_port(), &["--max-sessions=1"]).await;
    let client = engine.client().await;
    client
        .request(&Offer::new("one", "a", PHONE))
        .await
        .unwrap();
    let full = client
        .request(&Offer::new("two", "a", PHONE))
        .await
        .unwrap_err();
    assert_eq!(full.reason(), Some(Reason::SessionLimit));
    assert!(full.try_another_node());
}

#[tokio::test]
async fn rtpengine_10_5_knows_every_command_of_the_table_but_pause_recording() {
    let engine = RtpEngine::start().await;
    let client = engine.client().await;
    for command in Command::ALL {
        let result = client.request(&Raw::new(command.as_str())).await;
        let unknown = matches!(
            result,
            Err(Error::Rejected {
                reason: Reason::UnknownCommand,
                ..
            })
        );
        assert_eq!(unknown, *command == Command::PauseRecording, "{command}");
        if let Err(why) = result {
            assert_ne!(why.reason(), Some(Reason::Other), "{command}: {why}");
        }
    }
    assert_eq!(
        reason(client.request(&Recording::pause("one")).await),
        Reason::UnknownCommand
    );
}

#[tokio::test]
async fn media_of_a_call_is_blocked_recorded_forwarded_and_played_to() {
    let engine = RtpEngine::start().await;
    let client = engine.client().await;
    call(&client, "one").await;
    let a = || Party::Tag("a".into());

    for request in [
        BlockMedia::block("one", a()),
        BlockMedia::unblock("one", a()),
        BlockMedia::silence("one", Party::Each),
        BlockMedia::unsilence("one", Party::Call),
        BlockMedia::block("one", Party::Address("127.0.0.1".parse().unwrap())),
    ] {
        assert_eq!(
            client.request(&request).await.unwrap().result,
            "ok",
            "{request:?}"
        );
    }
    let block = BlockDtmf::new("one", a())
        .mode(DtmfBlock::Tone)
        .trigger("**");
    client.request(&block).await.unwrap();
    client
        .request(&UnblockDtmf::new("one", Party::Each))
        .await
        .unwrap();
    for request in [
        Recording::start("one").metadata("m"),
        Recording::stop("one").from_tag("a"),
    ] {
        client.request(&request).await.unwrap();
    }
    for request in [
        Forwarding::start("one", a()),
        Forwarding::stop("one", Party::Call).metadata("m"),
    ] {
        client.request(&request).await.unwrap();
    }

    let play = PlayMedia::new("one", a(), Source::Blob(one_second_of_silence())).repeat_times(2u32);
    let playing = client.request(&play).await.unwrap();
    assert_eq!(playing.duration, Some(Duration::from_secs(1)));
    client.request(&StopMedia::new("one", a())).await.unwrap();
}

/// A WAV file: 8,000 samples of 16 bits.
fn one_second_of_silence() -> Vec<u8> {
    let mut wav = b"RIFF".to_vec();
    wav.extend((36u32 + 16_000).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    for (number, bytes) in [
        (16u32, 4),
        (1, 2),
        (1, 2),
        (8_000, 4),
        (16_000, 4),
        (2, 2),
        (16, 2),
    ] {
        wav.extend(&number.to_le_bytes()[..bytes]);
    }
    wav.extend(b"data");
    wav.extend(16_000u32.to_le_bytes());
    wav.resize(wav.len() + 16_000, 0);
    wav
}

#[tokio::test]
async fn what_is_published_can_be_subscribed_to() {
    let engine = RtpEngine::start().await;
    let client = engine.client().await;
    let published = client
        .request(&Publish::new("room", "speaker", PHONE))
        .await
        .unwrap();
    assert!(published.sdp.unwrap().to_text().contains("m=audio"));

    let subscribe = SubscribeRequest::new("room", ["speaker"]).to_tag("listener");
    let subscription = client.request(&subscribe).await.unwrap();
    assert_eq!(subscription.to_tag.unwrap().as_bytes(), b"listener");
    assert_eq!(subscription.from_tags, ["speaker".into()]);
    assert!(subscription.sdp.unwrap().to_text().contains("m=audio"));
    client
        .request(&SubscribeAnswer::new("room", "listener", OTHER_PHONE))
        .await
        .unwrap();

    let call = client.request(&Query::new("room")).await.unwrap();
    let listener = &call.tags[b"listener".as_slice()];
    assert_eq!(listener.subscriptions[0].kind, "pub/sub");
    client
        .request(&Unsubscribe::new("room", "listener"))
        .await
        .unwrap();
    let call = client.request(&Query::new("room")).await.unwrap();
    assert!(call.tags[b"speaker".as_slice()].subscribers.is_empty());

    // A copy of both sides of a call, as for a recorder.
    client
        .request(&Offer::new("one", "a", PHONE))
        .await
        .unwrap();
    client
        .request(&Answer::new("one", "a", "b", OTHER_PHONE))
        .await
        .unwrap();
    let recorder = SubscribeRequest::new("one", ["a", "b"]).options(Options {
        flags: vec![Flag::Siprec, Flag::All],
        ..Options::default()
    });
    let subscription = client.request(&recorder).await.unwrap();
    assert_eq!(
        (
            subscription.from_tags.len(),
            subscription.media_labels.len()
        ),
        (2, 2)
    );
    assert!(
        subscription
            .media_labels
            .values()
            .all(|label| label.kind.as_bytes() == b"audio")
    );
}

#[tokio::test]
async fn five_hundred_requests_at_once_are_all_answered() {
    let engine = RtpEngine::start().await;
    let client = std::sync::Arc::new(engine.client().await);
    let asked: Vec<_> = (0..500)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let call_id = format!("call-{number}");
                reason(client.request(&Query::new(call_id)).await)
            })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), Reason::UnknownCall);
    }
    assert_eq!(client.counts().answered, 500);
}
