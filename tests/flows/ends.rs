//! Sessions end when they should, and only then (MEDIA.md §4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Kind};
use causeway_tests::gateway::Gateway;
use causeway_tests::ports;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::scene::Scene;
use causeway_tests::wait;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::leg::{Leg, audio, phones, talk};
use crate::pair::{PLAIN, Pair, WITH_BODY, ends};

const SOON: Duration = Duration::from_secs(10);
/// Issue 5, point 6.
const PORTS_ARE_BACK: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_phones_answer_one_is_hung_up_and_the_other_one_keeps_its_audio() -> Result<()> {
    let scene = Scene::start().await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bobs = phones(&scene, "bob", Kind::Udp).await?;
    for first_is_hung_up in [true, false] {
        let mut leg = Leg::open().await?;
        let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
        let mut rung = Vec::new();
        for bob in &bobs {
            let mut own = Leg::open().await?;
            let call = bob.called().await?;
            own.follows(call.invite.body())?;
            rung.push((call, own));
        }
        for (call, own) in &rung {
            call.answers(&call.invite, "200 OK", WITH_BODY, "", &own.sdp("sendrecv"));
        }
        let mut dialogs = Vec::new();
        for _ in 0..2 {
            let answer = outgoing.is_answered("").await?;
            let (remote, target) = (outgoing.remote.clone(), outgoing.target.clone());
            dialogs.push((remote, target, outgoing.routes.clone(), answer));
        }
        for (call, _) in &mut rung {
            call.expects("ACK").await?;
        }
        if !first_is_hung_up {
            dialogs.reverse();
        }
        // From here on the first of these is hung up, and the other one is left.
        if !dialogs[0].0.ends_with(tag(&rung[0].0)) {
            rung.reverse();
        }
        let hangs_up = async |outgoing: &mut Call, which: usize, call: &mut Call| {
            let (remote, target, routes, _) = &dialogs[which];
            outgoing.remote.clone_from(remote);
            outgoing.target.clone_from(target);
            outgoing.routes.clone_from(routes);
            tokio::try_join!(outgoing.hangs_up(), call.takes("BYE", "")).map(drop)
        };
        hangs_up(&mut outgoing, 0, &mut rung[0].0).await?;
        leg.follows(dialogs[1].3.body())?;
        talk(&leg, &rung[1].1)
            .await
            .with_context(|| format!("the first answer is hung up: {first_is_hung_up}"))?;
        hangs_up(&mut outgoing, 1, &mut rung[1].0).await?;
        scene.engine.empty_within(SOON).await?;
    }
    Ok(())
}

fn tag(call: &Call) -> &str {
    call.local.rsplit("tag=").next().unwrap_or_default()
}

/// A refusal is kept for the delay, and nobody who still rings is lost with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_phone_is_busy_and_the_other_one_answers_long_after_with_audio() -> Result<()> {
    let scene = Scene::start().await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bobs = phones(&scene, "bob", Kind::Udp).await?;
    let mut leg = Leg::open().await?;
    let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
    let (mut busy, mut rings) = (bobs[0].called().await?, bobs[1].called().await?);
    rings.rings();
    busy.refuses("486 Busy Here").await?;
    // The scene's delay is a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut own = Leg::open().await?;
    own.follows(rings.invite.body())?;
    let answer = own.sdp("sendrecv");
    let (_, answered) = tokio::try_join!(rings.accepts(&answer), outgoing.is_answered(""))?;
    leg.follows(answered.body())?;
    talk(&leg, &own).await?;
    tokio::try_join!(outgoing.hangs_up(), rings.takes("BYE", ""))?;
    scene.engine.empty_within(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bye_that_crosses_an_offer_leaves_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    for (by_caller, method) in [(true, "INVITE"), (false, "INVITE"), (true, "UPDATE")] {
        // The offer is on its way when the BYE comes.
        let mut pair = Pair::talking(&scene, [Kind::Udp, Kind::Udp]).await?;
        let (one, other) = pair.both(by_caller);
        let offer = other.leg.sdp("sendonly");
        let offered = other.call.sends(method, &offer)?;
        let bye = one.call.sends("BYE", "")?;
        let request = one.call.expects(method).await?;
        let hung_up = other.call.expects("BYE").await?;
        other.call.answers(&hung_up, "200 OK", PLAIN, "", "");
        ends(&mut one.call, &bye).await?;
        one.call.answers(
            &request,
            "481 Call/Transaction Does Not Exist",
            PLAIN,
            "",
            "",
        );
        let refused = other.call.answer_to(&offered).await?;
        ensure!(refused.status() == Some(481), "{}", refused.text);
        scene
            .engine
            .empty_within(SOON)
            .await
            .context("an offer before the BYE's end")?;

        // It comes only when the call is over.
        let mut pair = Pair::talking(&scene, [Kind::Udp, Kind::Udp]).await?;
        pair.hang_up(by_caller).await?;
        let (one, other) = pair.both(by_caller);
        let late = other.call.sends(method, &offer)?;
        let refused = other.call.answer_to(&late).await?;
        ensure!(refused.status() == Some(481), "{}", refused.text);
        ensure!(one.call.requests(method) <= 1, "it was passed on");
        scene
            .engine
            .empty_within(SOON)
            .await
            .context("an offer behind the BYE")?;
    }
    Ok(())
}

/// A core that wants to know who calls. It has no ear for anything else.
async fn core() -> Result<(SocketAddr, Arc<AtomicUsize>, JoinSet<()>)> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let asked = Arc::new(AtomicUsize::new(0));
    let mut task = JoinSet::new();
    let counted = asked.clone();
    task.spawn(async move {
        let mut buffer = vec![0; 65_535];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..length]);
            let status = match text.split(' ').next() {
                Some("INVITE") => "407 Proxy Authentication Required",
                Some("OPTIONS") => "200 OK",
                _ => continue,
            };
            if status.starts_with("407") {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            let kept = ["via:", "from:", "to:", "call-id:", "cseq:"];
            let lines = text.split("\r\n\r\n").next().unwrap_or_default().lines();
            let mut answer = format!("SIP/2.0 {status}\r\n");
            for line in lines.skip(1) {
                let name = line.to_ascii_lowercase();
                if kept.iter().any(|known| name.starts_with(known)) {
                    let tag = if name.starts_with("to:") { ";tag=core" } else { "" };
                    answer.push_str(&format!("{line}{tag}\r\n"));
                }
            }
            answer.push_str(
                "Proxy-Authenticate: Digest realm=\"core\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n",
            );
            let _ = socket.send_to(answer.as_bytes(), from).await;
        }
    });
    Ok((address, asked, task))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_invites_without_credentials_and_rtpengine_has_its_ports_back() -> Result<()> {
    const INVITES: usize = 10_000;
    let engine = RtpEngine::start_with(&["--timeout=3600", "--silent-timeout=3600"]).await?;
    let (core, asked, _task) = core().await?;
    let [sip, inner] = [(); 2].map(|()| ports::free_address());
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[media]\nrtpengine = \"{}\"\n\
         [listen.public]\nudp = \"{sip}\"\n[listen.core]\nudp = \"{inner}\"\ntrust = [\"127.0.0.1\"]\n\
         [group.core]\nmembers = [\"sip:{core}\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n\
         [limits]\nmessages_per_second = 0\n",
        engine.ng
    );
    let gateway = Gateway::start(&config).await?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let own = socket.local_addr()?;
    let invite = |number: usize| {
        let body = audio(40_000, "0 8 101", "sendrecv");
        format!(
            "INVITE sip:9196@core.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:mallory@core.test>;tag={number}\r\nTo: <sip:9196@core.test>\r\nCall-ID: flood-{number}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:mallory@{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let (mut refused, mut buffer, mut most) = ([0_usize; 2], vec![0; 65_535], 0);
    // Each gets its answer, then the next comes: a flood that loses nothing on its way to where it hurts.
    let until = Instant::now() + Duration::from_secs(120);
    let mut sent = 0;
    while refused[0] + refused[1] < INVITES {
        ensure!(
            Instant::now() < until,
            "of {sent} INVITEs {refused:?} were answered"
        );
        while sent < INVITES && sent - refused[0] - refused[1] < 50 {
            socket.send_to(invite(sent).as_bytes(), sip).await?;
            sent += 1;
        }
        let answer = tokio::time::timeout(SOON, socket.recv(&mut buffer)).await;
        let length = answer.context("an INVITE without an answer")??;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        match text.get(8..11) {
            Some("407") => refused[0] += 1,
            Some("100") | None => continue,
            Some(_) => refused[1] += 1,
        }
        socket.send_to(ack(&text).as_bytes(), sip).await?;
        if sent % 1000 == 0 {
            most = most.max(engine.calls().await?.len());
        }
    }
    let began = Instant::now();
    println!(
        "{INVITES} INVITEs: {} challenged, {} refused for want of ports; {most} sessions at most seen",
        refused[0], refused[1]
    );
    ensure!(most > 0, "RTPEngine was never asked");
    engine.empty_within(PORTS_ARE_BACK).await?;
    println!("RTPEngine has its ports back after {:?}", began.elapsed());
    // And the next caller gets some.
    let before = asked.load(Ordering::Relaxed);
    socket.send_to(invite(INVITES).as_bytes(), sip).await?;
    let passed = wait::until(SOON, || asked.load(Ordering::Relaxed) > before).await;
    ensure!(passed, "{}", gateway.process.log_tail());
    Ok(())
}

fn ack(refusal: &str) -> String {
    let line = |name: &str| {
        let mut lines = refusal.lines();
        lines
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    let number = line("Call-ID").rsplit('-').next().unwrap_or_default();
    format!(
        "ACK sip:9196@core.test SIP/2.0\r\n{}\r\n{}\r\n{}\r\nCall-ID: flood-{number}\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        line("Via"),
        line("From"),
        line("To")
    )
}
