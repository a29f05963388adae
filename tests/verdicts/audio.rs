//! Calls that are answered, and whose audio does not arrive: each fault is a phone that is broken in one way.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use causeway_tests::agent::Kind;
use causeway_tests::party::{Flaw, Party as _, Phone, Profile, Step};
use causeway_tests::scene::Scene;
use causeway_tests::wait;

use crate::stage::{scene, verdict};

const WEBRTC: Profile = Profile::Webrtc;
const AVP: Profile = Profile::Avp;

/// What happens in a call when it is up.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// It is hung up after a while.
    Ends,
    /// A re-INVITE is refused, and it goes on.
    IsRefused,
    /// The called side fails so, and does not answer the BYE.
    Vanishes,
    /// The called side stops sending, and is there.
    Stops,
}

type Fault = (
    &'static str,
    (Profile, Option<Flaw>),
    (Profile, Option<Flaw>),
    Then,
    &'static str,
);

#[rustfmt::skip] // a row stays a row
const FAULTS: &[Fault] = &[
    ("none", (WEBRTC, None), (AVP, None), Then::Ends, "ok"),
    ("UDP is blocked for both", (AVP, Some(Flaw::Blocked)), (AVP, Some(Flaw::Blocked)), Then::Ends, "no_audio"),
    ("ICE candidates of the caller unreachable", (WEBRTC, Some(Flaw::Blocked)), (AVP, None), Then::Ends, "ice_or_dtls_failed"),
    ("UDP is blocked for the called browser", (AVP, None), (WEBRTC, Some(Flaw::Blocked)), Then::Ends, "ice_or_dtls_failed"),
    ("DTLS is dropped", (WEBRTC, Some(Flaw::NoDtls)), (AVP, None), Then::Ends, "ice_or_dtls_failed"),
    ("DTLS of the called side is dropped", (AVP, None), (WEBRTC, Some(Flaw::NoDtls)), Then::Ends, "ice_or_dtls_failed"),
    ("wrong fingerprint", (WEBRTC, Some(Flaw::WrongFingerprint)), (AVP, None), Then::Ends, "ice_or_dtls_failed"),
    ("the browser's microphone is silent", (WEBRTC, Some(Flaw::Mute)), (AVP, None), Then::Ends, "no_audio_from_caller"),
    ("a firewall in one direction", (WEBRTC, None), (AVP, Some(Flaw::Mute)), Then::Ends, "no_audio_from_called"),
    ("a re-INVITE is refused", (AVP, None), (AVP, None), Then::IsRefused, "change_refused"),
    ("the phone vanishes", (WEBRTC, None), (AVP, None), Then::Vanishes, "vanished"),
    ("the phone stops sending", (WEBRTC, None), (AVP, None), Then::Stops, "audio_stopped"),
];

async fn phone(
    scene: &Scene,
    user: &str,
    (profile, flaw): (Profile, Option<Flaw>),
    number: u32,
) -> Result<Phone> {
    let kind = match profile {
        Profile::Webrtc => Kind::Ws,
        Profile::Avp => Kind::Udp,
        Profile::Sdes => Kind::Tls,
    };
    let account = scene.agent(user, kind);
    let phone = Phone::registered(profile, &account, None, number).await?;
    Ok(match flaw {
        Some(flaw) => phone.flawed(flaw),
        None => phone,
    })
}

/// Time passes in a call: that is what is wrong with it.
async fn lasts(time: Duration) {
    let began = Instant::now();
    wait::until(time * 2, || began.elapsed() >= time).await;
}

async fn play(scene: &Scene, index: usize, fault: &Fault) -> Result<()> {
    let (name, caller, called, then, want) = *fault;
    let (one, other) = (format!("a-{index}"), format!("b-{index}"));
    let number = u32::try_from(index)? * 2;
    let mut alice = phone(scene, &one, caller, number).await?;
    let mut bob = phone(scene, &other, called, number + 1).await?;
    for step in [Step::Ring, Step::Pickup] {
        tokio::try_join!(alice.begins(step, &other), bob.follows(step))?;
    }
    let call_id = alice.call_id().context("no call")?.to_owned();
    // A call is judged by its packets from its second second on.
    lasts(Duration::from_secs(3)).await;
    match then {
        Then::Ends => {}
        Then::IsRefused => {
            let step = Step::Refused;
            tokio::try_join!(alice.begins(step, &other), bob.follows(step))?;
        }
        Then::Vanishes => bob.fails(Flaw::Blocked),
        Then::Stops => bob.fails(Flaw::Mute),
    }
    if matches!(then, Then::Vanishes | Then::Stops) {
        lasts(Duration::from_secs(7)).await;
    }
    if then == Then::Vanishes {
        // Nobody answers it, but the gateway at the end.
        assert!(alice.begins(Step::Bye, &other).await.is_err());
    } else {
        tokio::try_join!(alice.begins(Step::Bye, &other), bob.follows(Step::Bye))?;
    }
    let record = verdict(scene, name, &call_id, want).await?;
    anyhow::ensure!(record["hung_up_by"] == "caller", "{record:#}");
    anyhow::ensure!(record["caller"]["profile"].is_string(), "{record:#}");
    Ok(())
}

#[tokio::test]
async fn a_call_without_audio_says_where_it_is_lost() {
    let users: Vec<String> = (0..FAULTS.len())
        .flat_map(|index| [format!("a-{index}"), format!("b-{index}")])
        .collect();
    let scene = scene(&users).await.unwrap();
    // All at once: most of a fault is waiting.
    let plays = FAULTS
        .iter()
        .enumerate()
        .map(|(index, fault)| play(&scene, index, fault));
    let failed: Vec<String> = futures_util::future::join_all(plays)
        .await
        .into_iter()
        .zip(FAULTS)
        .filter_map(|(result, fault)| Some(format!("{}: {:#}", fault.0, result.err()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[tokio::test]
async fn a_call_whose_rtpengine_died_says_so() {
    let users = ["a-0".to_owned(), "b-0".to_owned()];
    let mut scene = scene(&users).await.unwrap();
    let fault = ("", (AVP, None), (AVP, None), Then::Ends, "");
    let mut alice = phone(&scene, "a-0", fault.1, 0).await.unwrap();
    let mut bob = phone(&scene, "b-0", fault.2, 1).await.unwrap();
    for step in [Step::Ring, Step::Pickup] {
        tokio::try_join!(alice.begins(step, "b-0"), bob.follows(step)).unwrap();
    }
    let call_id = alice.call_id().unwrap().to_owned();
    scene.engine.restart().await.unwrap();
    let bye = Step::Bye;
    tokio::try_join!(alice.begins(bye, "b-0"), bob.follows(bye)).unwrap();
    let fault = "RTPEngine is started anew in a call";
    verdict(&scene, fault, &call_id, "rtpengine_gone")
        .await
        .unwrap();

    scene.engine.kill();
    let desk = scene.device("desk1", Kind::Tcp).await.unwrap();
    let mut call = desk.calls("b-0", &desk.offer()).await.unwrap();
    assert_eq!(call.outcome().await.unwrap().status(), Some(500));
    let fault = "RTPEngine is gone";
    verdict(&scene, fault, &call.call_id, "rtpengine_gone")
        .await
        .unwrap();
}
