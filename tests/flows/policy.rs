//! What the configuration wants of media is what the ends get: each key of `media` against the real RTPEngine.

use std::fs;
use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Device, Kind, Message};
use causeway_tests::baresip::{self, Encryption};
use causeway_tests::certificate::Certificate;
use causeway_tests::gateway::Gateway;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::scene::{DOMAIN, PASSWORD, Scene};
use causeway_tests::{ports, wait};

use crate::leg::{Leg, PCMU, speaks, talk};

const SOON: Duration = Duration::from_secs(10);
const EVENTS: u8 = 101;

/// Users with policies of their own, for a scene.
pub(crate) fn users(all: &[(&str, &str)]) -> String {
    let user = |(name, media): &(&str, &str)| {
        format!(
            "[[domain.\"{DOMAIN}\".users]]\nname = \"{name}\"\npassword = \"{PASSWORD}\"\nmedia = {media}\n"
        )
    };
    all.iter().map(user).collect()
}

/// Both sides of a call, and what each was told of the other's media.
struct Up {
    outgoing: Call,
    incoming: Call,
    offered: String,
    answered: String,
}

/// One calls and the other answers.
async fn up(caller: &Device, offer: &str, called: &Device, answer: &str) -> Result<Up> {
    let mut outgoing = caller.calls(&called.user, offer).await?;
    let mut incoming = called.called().await?;
    let offered = incoming.invite.body().to_owned();
    incoming.rings();
    let (_, answered) = tokio::try_join!(incoming.accepts(answer), outgoing.is_answered(""))?;
    Ok(Up {
        outgoing,
        incoming,
        offered,
        answered: answered.body().to_owned(),
    })
}

impl Up {
    /// One offers anew and the other takes it; what the other was offered.
    async fn again(&mut self, by_caller: bool, offer: &str, answer: &str) -> Result<String> {
        let (one, other) = match by_caller {
            true => (&mut self.outgoing, &mut self.incoming),
            false => (&mut self.incoming, &mut self.outgoing),
        };
        let taking = async {
            let request = other.expects("INVITE").await?;
            other.replies(&request, "200 OK", answer);
            other.expects("ACK").await?;
            anyhow::Ok(request)
        };
        let (said, request): (Message, Message) =
            tokio::try_join!(one.says("INVITE", "", offer), taking)?;
        ensure!(said.status() == Some(200), "{}", said.start());
        Ok(request.body().to_owned())
    }

    async fn hang_up(&mut self) -> Result<()> {
        tokio::try_join!(self.outgoing.hangs_up(), self.incoming.takes("BYE", "")).map(drop)
    }
}

/// The first m= line.
fn line(sdp: &str) -> &str {
    let mut lines = sdp.lines();
    lines.find(|line| line.starts_with("m=")).unwrap_or(sdp)
}

/// The formats of the first m= line.
fn formats(sdp: &str) -> Vec<&str> {
    line(sdp).split(' ').skip(3).collect()
}

fn lines_of<'s>(sdp: &'s str, start: &str) -> Vec<&'s str> {
    sdp.lines().filter(|line| line.starts_with(start)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leg_gets_the_codecs_that_it_may_use_in_the_order_that_it_likes() -> Result<()> {
    let scene = Scene::start_with(
        &[],
        &users(&[
            ("likes", "{ codecs.order = [\"PCMA\"] }"),
            ("denies", "{ codecs.deny = [\"PCMA\"] }"),
            ("allows", "{ codecs.allow = [\"PCMA\"] }"),
            ("strict", "{ codecs.allow = [\"G729\"] }"),
        ]),
    )
    .await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let leg = Leg::open().await?;
    for (user, want) in [
        ("likes", ["8", "0", "101"].as_slice()),
        ("denies", &["0", "101"]),
        ("allows", &["8", "101"]),
    ] {
        let other = scene.device(user, Kind::Udp).await?;
        let (offer, answer) = (leg.sdp("sendrecv"), leg.sdp_of(&want.join(" "), "sendrecv"));
        let mut call = up(&alice, &offer, &other, &answer).await?;
        ensure!(formats(&call.offered) == want, "{user}: {}", call.offered);
        let again = call.again(true, &offer, &answer).await?;
        ensure!(formats(&again) == want, "{user}, later: {again}");
        call.hang_up().await?;
        // The same policy when it is the one who calls.
        let mut call = up(&other, &offer, &alice, &answer).await?;
        let same = formats(&call.offered) == want;
        ensure!(same, "{user} calls: {}", call.offered);
        let again = call.again(false, &offer, &answer).await?;
        ensure!(formats(&again) == want, "{user} is offered: {again}");
        call.hang_up().await?;
    }
    let _strict = scene.device("strict", Kind::Udp).await?;
    let mut refused = alice.calls("strict", &leg.sdp("sendrecv")).await?;
    let answer = refused.outcome().await?;
    ensure!(answer.status() == Some(488), "{}", answer.start());
    ensure!(
        answer.start().contains("no codec left"),
        "{}",
        answer.start()
    );
    scene.engine.empty_within(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_without_a_common_codec_hear_each_other_where_it_is_transcoded() -> Result<()> {
    const OPUS: u8 = 96;
    let scene = Scene::start_with(
        &[],
        &users(&[("opus", "{ transcode = [\"opus\"] }"), ("bare", "{}")]),
    )
    .await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let (mut one, mut other) = (Leg::open().await?, Leg::open().await?);
    one.payload = 8;
    let offer = one.sdp_of("8", "sendrecv");
    let rtpmap = |sdp: &str| {
        lines_of(sdp, "a=rtpmap:")
            .into_iter()
            .find_map(|map| map.strip_suffix(" opus/48000/2").map(str::to_owned))
    };
    let answer = |number: u8| {
        format!(
            "{}a=rtpmap:{number} opus/48000/2\r\n",
            other.sdp_of(&number.to_string(), "sendrecv")
        )
    };
    let opus = scene.device("opus", Kind::Udp).await?;
    let mut call = up(&alice, &offer, &opus, &answer(OPUS)).await?;
    let number = rtpmap(&call.offered).context("no opus is offered")?;
    ensure!(number == format!("a=rtpmap:{OPUS}"), "{}", call.offered);
    ensure!(formats(&call.answered) == ["8"], "{}", call.answered);
    one.follows(&call.answered)?;
    other.follows(&call.offered)?;
    other.payload = OPUS;
    speaks(&one, &other, OPUS).await?;
    speaks(&other, &one, 8).await?;
    call.hang_up().await?;

    let bare = scene.device("bare", Kind::Udp).await?;
    let mut outgoing = alice.calls("bare", &offer).await?;
    let mut incoming = bare.called().await?;
    ensure!(formats(incoming.invite.body()) == ["8"]);
    let (_, refused) = tokio::try_join!(
        incoming.refuses("488 Not Acceptable Here"),
        outgoing.outcome()
    )?;
    ensure!(refused.status() == Some(488), "{}", refused.start());
    scene.engine.empty_within(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_anchored_is_none_of_rtpengines_business() -> Result<()> {
    for (anchor, kinds, anchored) in [
        ("bridging", [Kind::Udp, Kind::Udp], false),
        ("bridging", [Kind::Ws, Kind::Udp], true),
        ("never", [Kind::Ws, Kind::Udp], false),
        ("always", [Kind::Udp, Kind::Udp], true),
    ] {
        let why = || format!("{anchor}, {kinds:?}");
        let policy = format!("[media.policy]\nanchor = \"{anchor}\"\n");
        let scene = Scene::start_with(&[], &policy).await?;
        let alice = scene.device("alice", kinds[0]).await?;
        let bob = scene.device("bob", kinds[1]).await?;
        let (mut one, mut other) = (Leg::open().await?, Leg::open().await?);
        let plain = kinds[0] == Kind::Udp;
        let offer = if plain {
            one.sdp("sendrecv")
        } else {
            alice.offer()
        };
        let answer = other.sdp("sendrecv");
        let mut call = up(&alice, &offer, &bob, &answer).await.with_context(why)?;
        let is_anchored = !scene.engine.calls().await?.is_empty();
        ensure!(is_anchored == anchored, "{}", why());
        if !anchored {
            ensure!(
                call.offered == offer && call.answered == answer,
                "{}",
                why()
            );
        }
        if plain {
            one.follows(&call.answered)?;
            other.follows(&call.offered)?;
            let direct = one.to.map(|to| to.port()) == Some(other.port);
            ensure!(direct != anchored, "{}: {:?}", why(), one.to);
            talk(&one, &other).await.with_context(why)?;
            let hold = one.sdp("sendonly");
            let offered = call.again(true, &hold, &other.sdp("recvonly")).await?;
            ensure!((offered == hold) != anchored, "{}: {offered}", why());
        }
        call.hang_up().await.with_context(why)?;
        if !anchored {
            let calls = scene.engine.calls().await?;
            ensure!(calls.is_empty(), "{}: {calls:?}", why());
        }
        scene.engine.empty_within(SOON).await.with_context(why)?;
    }
    Ok(())
}

/// RFC 6086 before it had packages, as Cisco's phones have it.
const INFO: &str = "X\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\n\
                    Content-Type: application/dtmf-relay\r\nContent-Length: 0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_comes_by_info_is_heard_as_a_telephone_event() -> Result<()> {
    let media = "{ dtmf = \"rfc4733\" }";
    let scene = Scene::start_with(&[], &users(&[("events", media)])).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let (mut one, mut other) = (Leg::open().await?, Leg::open().await?);
    let (offer, answer) = (one.sdp("sendrecv"), other.sdp("sendrecv"));

    let events = scene.device("events", Kind::Udp).await?;
    let mut call = up(&alice, &offer, &events, &answer).await?;
    one.follows(&call.answered)?;
    other.follows(&call.offered)?;
    talk(&one, &other).await?;
    let key = "Signal=5\r\nDuration=200\r\n";
    let said = call.outgoing.asks(INFO, "INFO", "", key).await?;
    ensure!(said.status() == Some(200), "{}", said.text);
    speaks(&one, &other, EVENTS).await?;
    ensure!(
        events.endpoint().requests("INFO") == 0,
        "the INFO went on, too"
    );
    // What is no key goes on, and so does a key for who does not want it otherwise.
    for (body, by_caller) in [("Signal=16\r\n", true), (key, false)] {
        let (sender, receiver) = match by_caller {
            true => (&mut call.outgoing, &mut call.incoming),
            false => (&mut call.incoming, &mut call.outgoing),
        };
        let (said, _) = tokio::try_join!(
            sender.asks(INFO, "INFO", "", body),
            receiver.takes("INFO", "")
        )?;
        ensure!(said.status() == Some(200), "{}", said.text);
    }
    talk(&one, &other).await?;
    call.hang_up().await?;
    scene.engine.empty_within(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_with_sdes_is_offered_savp_with_two_suites_and_keeps_them() -> Result<()> {
    let mut scene = Scene::start_beside(2, &[], &users(&[("sdes", "\"srtp\"")])).await?;
    let alice = scene.device("alice", Kind::Ws).await?;
    let sdes = scene.device("sdes", Kind::Udp).await?;
    let leg = Leg::open().await?;
    let key =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
    let answer = format!(
        "{}{key}",
        leg.sdp("sendrecv").replace("RTP/AVP", "RTP/SAVP")
    );
    let mut call = up(&alice, &alice.offer(), &sdes, &answer).await?;
    let suites = |sdp: &str| -> Vec<String> {
        let suite = |line: &str| line.split(' ').nth(1).map(str::to_owned);
        lines_of(sdp, "a=crypto")
            .into_iter()
            .filter_map(suite)
            .collect()
    };
    let two = ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"];
    ensure!(
        line(&call.offered).contains(" RTP/SAVP "),
        "{}",
        call.offered
    );
    ensure!(suites(&call.offered) == two, "{}", call.offered);
    let first = lines_of(&call.offered, "a=crypto")[0].to_owned();
    let again = call.again(true, &alice.offer(), &answer).await?;
    ensure!(line(&again).contains(" RTP/SAVP "), "{again}");
    ensure!(suites(&again) == two, "{again}");
    ensure!(
        lines_of(&again, "a=crypto")[0] == first,
        "other keys: {again}"
    );

    // An RTPEngine that never saw the call is told what the phone is: the token says it.
    if scene.engine.calls().await?.is_empty() {
        scene.engines[0].kill();
    } else {
        scene.engine.kill();
    }
    let anew = call.again(true, &alice.offer(), &answer).await?;
    ensure!(line(&anew).contains(" RTP/SAVP "), "{anew}");
    ensure!(suites(&anew) == two, "{anew}");
    call.hang_up().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_with_sdes_over_tls_hears_a_plain_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certificate = Certificate::write(folder.path(), &["localhost", "127.0.0.1"])?;
    let tls = ports::free_address();
    let more = format!(
        "[listen.secure]\ntls = \"{tls}\"\ncertificate = {{ chain = {:?}, key = {:?} }}\nmedia.profile = \"srtp\"\n",
        certificate.chain, certificate.key
    );
    let scene = Scene::start_with(&[], &more).await?;
    let account = baresip::Account {
        server: tls,
        transport: baresip::Transport::Tls,
        encryption: Encryption::Sdes,
        trust: Some(certificate.chain.clone()),
        ..scene.account("desk1")
    };
    let mut secure = baresip::Phone::start_registered(&account).await?;
    let plain = baresip::Account {
        tone: 620,
        ..scene.account("desk2")
    };
    let mut plain = baresip::Phone::start_registered(&plain).await?;
    plain.dial(&format!("sip:desk1@{DOMAIN}")).await?;
    plain.event("CALL_ESTABLISHED").await?;
    secure.hears(620, 1.0).await?;
    plain.hears(440, 1.0).await?;
    plain.hang_up().await?;
    secure.event("CALL_CLOSED").await?;
    scene.engine.empty_within(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leg_that_is_to_have_ipv6_hears_one_that_has_ipv4() -> Result<()> {
    let media = "{ address_family = \"inet6\" }";
    let scene = Scene::start_with(&[], &users(&[("six", media)])).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let six = scene.device("six", Kind::Udp).await?;
    let mut one = Leg::open().await?;
    let mut other = Leg::open_at(Ipv6Addr::LOCALHOST.into()).await?;
    let (offer, answer) = (one.sdp("sendrecv"), other.sdp("sendrecv"));
    let mut call = up(&alice, &offer, &six, &answer).await?;
    ensure!(call.offered.contains("c=IN IP6 ::1"), "{}", call.offered);
    ensure!(
        call.answered.contains("c=IN IP4 127.0.0.1"),
        "{}",
        call.answered
    );
    one.follows(&call.answered)?;
    other.follows(&call.offered)?;
    talk(&one, &other).await?;
    let again = call.again(false, &answer, &offer).await?;
    ensure!(again.contains("c=IN IP4 127.0.0.1"), "{again}");
    let again = call.again(true, &offer, &answer).await?;
    ensure!(again.contains("c=IN IP6 ::1"), "{again}");
    call.hang_up().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leg_is_shown_the_interface_that_faces_it_and_a_recorded_call_leaves_a_file() -> Result<()>
{
    let recordings = tempfile::tempdir()?;
    let place = recordings.path().display();
    let engine = RtpEngine::start_with(&[
        &format!("--recording-dir={place}"),
        "--recording-method=pcap",
        "--interface=outside/127.0.0.2",
    ])
    .await?;
    let [sip, web, admin] = [(); 3].map(|()| ports::free_address());
    let users = users(&[
        ("bob", "{ record = true, interface = \"outside\" }"),
        ("alice", "{}"),
    ]);
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[listen.public]\nudp = \"{sip}\"\nws = \"{web}\"\n\
         media.interface = \"default\"\n[admin]\nlisten = \"{admin}\"\n\
         [media]\nrtpengine = \"{}\"\n{users}",
        engine.ng
    );
    let scene = Scene {
        gateway: Gateway::start(&config).await?,
        engine,
        engines: Vec::new(),
        sip,
        web,
        admin,
    };
    let alice = scene.device("alice", Kind::Udp).await?;
    let bob = scene.device("bob", Kind::Udp).await?;
    let (mut one, mut other) = (Leg::open().await?, Leg::open().await?);
    one.payload = PCMU;
    let (offer, answer) = (one.sdp("sendrecv"), other.sdp("sendrecv"));
    let mut call = up(&alice, &offer, &bob, &answer).await?;
    ensure!(
        call.offered.contains("c=IN IP4 127.0.0.2"),
        "{}",
        call.offered
    );
    ensure!(
        call.answered.contains("c=IN IP4 127.0.0.1"),
        "{}",
        call.answered
    );
    one.follows(&call.answered)?;
    other.follows(&call.offered)?;
    talk(&one, &other).await?;
    let call_id = call.incoming.invite.call_id().to_owned();
    call.hang_up().await?;
    scene.engine.empty_within(SOON).await?;
    let files = |folder: &str| -> Vec<std::path::PathBuf> {
        let read = fs::read_dir(recordings.path().join(folder));
        let entries = read.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let is_there = wait::until(SOON, || {
        let holds = |path: &std::path::PathBuf| {
            fs::read_to_string(path).is_ok_and(|text| text.contains(&call_id))
        };
        files("metadata").iter().any(holds)
    });
    ensure!(is_there.await, "no metadata with {call_id}");
    let pcaps = files("pcaps");
    let length = pcaps.first().and_then(|path| path.metadata().ok());
    ensure!(length.is_some_and(|data| data.len() > 1000), "{pcaps:?}");
    Ok(())
}
