//! RTPEngine warns in its log of keys, flags and values that it does not know. So every one that this library can send is
//! sent to a real one, and the log is read.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::engine::{RtpEngine, free_port};
use rtpengine_client::command::*;
use rtpengine_client::words::*;
use rtpengine_client::{Client, Codecs, Options};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";

/// One set of options for each word of each table, and one with all keys.
fn all_options() -> Vec<Options> {
    fn each<T: Copy>(all: &[T], set: impl Fn(&mut Options, T)) -> impl Iterator<Item = Options> {
        all.iter().map(move |word| {
            let mut options = Options::default();
            set(&mut options, *word);
            options
        })
    }
    let mut all = vec![Options {
        direction: Some(("default".into(), "default".into())),
        interface: Some("default".into()),
        media_address: "192.0.2.1".parse().ok(),
        received_from: "192.0.2.2".parse().ok(),
        ptime: Some(Duration::from_millis(20)),
        ptime_reverse: Some(Duration::from_millis(20)),
        metadata: Some("m".into()),
        label: Some("l".into()),
        set_label: Some("s".into()),
        generate_rtcp: Some(true),
        tos: Some(184),
        delay_buffer: Some(Duration::ZERO),
        xmlrpc_callback: "192.0.2.3".parse().ok(),
        codecs: Codecs {
            strip: vec!["all".into()],
            except: vec!["PCMA".into()],
            offer: vec!["PCMA".into()],
            transcode: vec!["PCMU".into()],
            mask: vec!["G722".into()],
            set: vec!["opus/48000/2/16000".into()],
            accept: vec!["PCMA".into()],
            consume: vec!["GSM".into()],
        },
        ..Options::default()
    }];
    all.extend(each(TransportProtocol::ALL, |to, word| {
        to.transport_protocol = Some(word)
    }));
    all.extend(each(Ice::ALL, |to, word| to.ice = Some(word)));
    all.extend(each(IceLite::ALL, |to, word| to.ice_lite = Some(word)));
    all.extend(each(Dtls::ALL, |to, word| to.dtls = Some(word)));
    all.extend(each(&[Dtls::Active, Dtls::Passive], |to, word| {
        to.dtls_reverse = Some(word)
    }));
    all.extend(each(FingerprintHash::ALL, |to, word| {
        to.dtls_fingerprint = Some(word)
    }));
    all.extend(each(CryptoSuite::ALL, |to, word| {
        to.sdes = vec![Sdes::No(word)]
    }));
    let sdes = [
        Sdes::Off,
        Sdes::Pad,
        Sdes::Lifetime,
        Sdes::Static,
        Sdes::UnencryptedSrtp,
        Sdes::UnencryptedSrtcp,
        Sdes::UnauthenticatedSrtp,
        Sdes::EncryptedSrtp,
        Sdes::EncryptedSrtcp,
        Sdes::AuthenticatedSrtp,
    ];
    all.extend(each(&sdes, |to, word| to.sdes = vec![word]));
    all.extend(each(Osrtp::ALL, |to, word| to.osrtp = vec![word]));
    all.extend(each(RtcpMux::ALL, |to, word| to.rtcp_mux = vec![word]));
    all.extend(each(Replace::ALL, |to, word| to.replace = vec![word]));
    all.extend(each(AddressFamily::ALL, |to, word| {
        to.address_family = Some(word)
    }));
    all.extend(each(EndpointLearning::ALL, |to, word| {
        to.endpoint_learning = Some(word)
    }));
    all.extend(each(RecordCall::ALL, |to, word| {
        to.record_call = Some(word)
    }));
    all.extend(each(DropTraffic::ALL, |to, word| {
        to.drop_traffic = Some(word)
    }));
    all.extend(each(MediaEcho::ALL, |to, word| to.media_echo = Some(word)));
    all.extend(each(T38::ALL, |to, word| to.t38 = vec![word]));
    // These two are read by `delete` alone.
    let flags = Flag::ALL
        .iter()
        .copied()
        .filter(|flag| ![Flag::Fatal, Flag::ToTag].contains(flag));
    all.extend(flags.map(|flag| Options {
        flags: vec![flag],
        ..Options::default()
    }));
    all
}

async fn send_all(client: &Client) -> usize {
    let all = all_options();
    for (number, options) in all.iter().enumerate() {
        let call_id = format!("call-{number}");
        // What comes of it does not matter here: some of it does not go together with this SDP.
        let _ = client
            .request(&Offer::new(call_id.as_str(), "a", SDP).options(options.clone()))
            .await;
        client
            .request(&Delete::new(call_id.as_str()).delay(Duration::ZERO))
            .await
            .unwrap();
    }
    all.len()
}

async fn send_media_commands(client: &Client) {
    client.request(&Offer::new("one", "a", SDP)).await.unwrap();
    client
        .request(&Answer::new("one", "a", "b", SDP))
        .await
        .unwrap();
    let party = || Party::Tag("a".into());
    let digit = Digit::try_from('#').unwrap();
    for mode in DtmfBlock::ALL {
        let block = BlockDtmf {
            flags: vec![Flag::DetectDtmf],
            mode: Some(*mode),
            trigger: Some("1".into()),
            trigger_mode: Some(*mode),
            trigger_end: Some("2".into()),
            trigger_end_mode: Some(*mode),
            trigger_end_time: Some(Duration::from_secs(1)),
            trigger_end_digits: Some(3),
            frequency: Some(400),
            volume: Some(10),
            digit: Some(digit),
            delay_buffer: Some(Duration::ZERO),
            delay: Some(Duration::ZERO),
            ..BlockDtmf::new("one", party())
        };
        client.request(&block).await.unwrap();
    }
    let digit = PlayDtmf::new("one", party(), digit)
        .duration(Duration::from_millis(200))
        .pause(Duration::from_millis(200))
        .volume(8);
    let _ = client.request(&digit).await;
    for source in [
        Source::File("x".into()),
        Source::Blob(vec![0]),
        Source::Database(1),
    ] {
        let _ = client
            .request(&PlayMedia::new("one", party(), source).repeat_times(2u32))
            .await;
    }
    for party in [
        Party::Each,
        Party::Label("x".into()),
        Party::Address("127.0.0.1".parse().unwrap()),
    ] {
        let _ = client
            .request(&BlockMedia::block("one", party.clone()))
            .await;
        let _ = client.request(&StopMedia::new("one", party.clone())).await;
        let _ = client
            .request(&UnblockDtmf::new("one", party.clone()).delay_buffer(Duration::ZERO))
            .await;
        let _ = client
            .request(&Forwarding::start("one", party).metadata("m"))
            .await;
    }
    let _ = client
        .request(&SubscribeRequest::new("one", ["a", "b"]).to_tag("c"))
        .await;
    let _ = client.request(&Unsubscribe::new("one", "c")).await;
}

#[tokio::test]
async fn rtpengine_10_5_knows_every_key_flag_and_value_that_can_be_sent() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rtpengine-words.log");
    let mut engine = RtpEngine::start_logging(free_port(), &[], File::create(&path).unwrap()).await;
    let client = engine.client().await;
    let sent = send_all(&client).await;
    send_media_commands(&client).await;
    // The log does have what is looked for below.
    let odd = Options {
        other_flags: vec!["odd-flag".into()],
        ..Options::default()
    };
    let odd = Offer::new("odd", "a", SDP).options(odd);
    client.request(&odd).await.unwrap();
    engine.kill();

    let log = std::fs::read_to_string(&path).unwrap();
    let unknown: Vec<_> = log
        .lines()
        .filter(|line| {
            [
                "Unknown",
                "Optional feature",
                "invalid flag",
                "Failed to parse '",
            ]
            .iter()
            .any(|word| line.contains(word))
        })
        .collect();
    assert!(sent > 120, "only {sent}");
    assert!(
        matches!(unknown.as_slice(), [odd] if odd.contains("odd-flag")),
        "{unknown:#?}"
    );
}
