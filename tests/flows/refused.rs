//! A later offer that is refused changes nothing (RFC 3261 §14.1), whatever it wanted to change.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::Kind;
use causeway_tests::scene::Scene;

use crate::leg::Leg;
use crate::pair::{PLAIN, Pair, WITH_BODY, ends, is_refused};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_offer_changes_nothing_and_audio_goes_on() -> Result<()> {
    let scene = Scene::start().await?;
    let mut pair = Pair::talking(&scene, [Kind::Udp, Kind::Udp]).await?;
    for by_caller in [true, false] {
        for (method, status) in [
            ("INVITE", "488 Not Acceptable Here"),
            ("INVITE", "491 Request Pending"),
            ("INVITE", "500 Server Internal Error"),
            ("UPDATE", "488 Not Acceptable Here"),
            ("UPDATE", "504 Server Time-out"),
        ] {
            for change in ["address", "hold", "codec", "video"] {
                let why = || format!("{change} by {method}, {status}, by the caller: {by_caller}");
                let elsewhere = Leg::open().await?;
                let mine = &pair.both(by_caller).0.leg;
                let offer = match change {
                    "address" => elsewhere.sdp("sendrecv"),
                    "hold" => mine.sdp("inactive"),
                    "codec" => mine.sdp_of("8 101", "sendrecv"),
                    _ => format!(
                        "{}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
                        mine.sdp("sendrecv")
                    ),
                };
                is_refused(pair.both(by_caller), method, &offer, status)
                    .await
                    .with_context(why)?;
                pair.talk().await.with_context(why)?;
            }
        }
    }
    pair.hang_up(true).await?;
    scene.engine.empty_within(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_offers_that_cross_both_are_refused_or_one_is_taken_and_audio_goes_on() -> Result<()>
{
    let scene = Scene::start().await?;
    let mut pair = Pair::talking(&scene, [Kind::Udp, Kind::Udp]).await?;
    let pending = "491 Request Pending";
    for taken in [None, Some(true), Some(false)] {
        let (to_caller, to_called) = (Leg::open().await?, Leg::open().await?);
        let why = || format!("taken: the caller's {taken:?}");
        let glare = async {
            let Pair { caller, called, .. } = &mut pair;
            let (first, second) = (to_caller.sdp("sendrecv"), to_called.sdp("sendrecv"));
            let (mine, theirs) = (
                caller.call.sends("INVITE", &first)?,
                called.call.sends("INVITE", &second)?,
            );
            // Both are on their way before anybody answers.
            let at_called = called.call.expects("INVITE").await?;
            let at_caller = caller.call.expects("INVITE").await?;
            let answered = |was_taken, sdp: String| match was_taken {
                true => ("200 OK", sdp),
                false => (pending, String::new()),
            };
            let of_caller = answered(taken == Some(true), called.leg.sdp("sendrecv"));
            let of_called = answered(taken == Some(false), caller.leg.sdp("sendrecv"));
            called
                .call
                .answers(&at_called, of_caller.0, WITH_BODY, "", &of_caller.1);
            caller
                .call
                .answers(&at_caller, of_called.0, WITH_BODY, "", &of_called.1);
            let first = ends(&mut caller.call, &mine).await?;
            let second = ends(&mut called.call, &theirs).await?;
            called.call.expects("ACK").await?;
            caller.call.expects("ACK").await?;
            anyhow::Ok([first, second])
        };
        let answers = glare.await.with_context(why)?;
        match taken {
            Some(true) => {
                pair.caller.leg.moves_to(to_caller, answers[0].body())?;
            }
            Some(false) => {
                pair.called.leg.moves_to(to_called, answers[1].body())?;
            }
            None => {}
        }
        pair.talk().await.with_context(why)?;
    }
    pair.hang_up(false).await?;
    scene.engine.empty_within(SOON).await
}

/// RTPEngine draws credentials anew for each restart, and whoever was refused would never learn them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_ice_restart_leaves_the_credentials_and_an_accepted_one_does_not() -> Result<()> {
    let scene = Scene::start().await?;
    let alice = scene.device("alice", Kind::Ws).await?;
    let bob = scene.device("bob", Kind::Udp).await?;
    let mut leg = Leg::open().await?;
    let mut outgoing = alice.calls("bob", &alice.offer()).await?;
    let mut incoming = bob.called().await?;
    let plain = leg.sdp("sendrecv");
    let (_, up) = tokio::try_join!(incoming.accepts(&plain), outgoing.is_answered(""))?;
    leg.follows(incoming.invite.body())?;
    let before = ufrag(up.body())?;
    let port = leg.to;

    let restart = |number: u32| {
        let offer = alice.offer().replace("bX0f", &format!("new{number}"));
        offer
            .replace(" 49170 ", " 50170 ")
            .replace("typ host", "typ host network-id 1")
    };
    for (number, status) in [(1, "488 Not Acceptable Here"), (2, "491 Request Pending")] {
        let refusal = async {
            let offer = incoming.expects("INVITE").await?;
            incoming.answers(&offer, status, PLAIN, "", "");
            incoming.expects("ACK").await
        };
        let offer = restart(number);
        tokio::try_join!(outgoing.says("INVITE", "", &offer), refusal)?;
    }
    // What it says next has the credentials of before, and so has the answer.
    let hold = alice.sdp("sendonly", "actpass");
    let recvonly = leg.sdp("recvonly");
    let (held, taken) = tokio::try_join!(
        outgoing.says("INVITE", "", &hold),
        incoming.takes("INVITE", &recvonly)
    )?;
    assert_eq!(ufrag(held.body())?, before);
    leg.follows(taken.body())?;
    assert_eq!(leg.to, port, "the other side is left alone");

    let offer = restart(3);
    let (restarted, offered) = tokio::try_join!(
        outgoing.says("INVITE", "", &offer),
        incoming.takes("INVITE", &plain)
    )?;
    ensure!(ufrag(restarted.body())? != before, "no restart");
    leg.follows(offered.body())?;
    assert_eq!(leg.to, port, "the other side is left alone");
    tokio::try_join!(outgoing.hangs_up(), incoming.takes("BYE", ""))?;
    scene.engine.empty_within(SOON).await
}

fn ufrag(sdp: &str) -> Result<&str> {
    let mut values = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=ice-ufrag:"));
    values.next().with_context(|| format!("no ICE in {sdp}"))
}
