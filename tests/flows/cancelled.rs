//! A CANCEL that crosses the answer (RFC 3261 §9.1, §15): the caller has a call that it does not want any more, and hangs up.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Kind, Message};
use causeway_tests::scene::Scene;

use crate::leg::{Leg, phones, talk};
use crate::pair::{End, hang_up};
use causeway_tests::gateway::FAST;

const SOON: Duration = Duration::from_secs(10);

/// What comes first at us, or at the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The 200 has passed us when the CANCEL comes: nobody is told of it.
    AnswerFirst,
    /// The CANCEL has passed us when the 200 comes; the phone says 200 to both.
    CancelFirst,
    /// The CANCEL comes before the phone has said anything, so it has to wait here (§9.1), and the 200 makes it needless.
    BeforeItRings,
}

fn is_200(answer: &Message) -> Result<()> {
    ensure!(answer.status() == Some(200), "{}", answer.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_crosses_the_answer_leaves_a_call_that_a_bye_ends() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bob = scene.device("bob", Kind::Udp).await?;
    for order in [Order::AnswerFirst, Order::CancelFirst, Order::BeforeItRings] {
        let why = || format!("{order:?}");
        let (leg, mut own) = (Leg::open().await?, Leg::open().await?);
        let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
        let mut incoming = bob.called().await?;
        own.follows(incoming.invite.body())?;
        let (invite, sdp) = (incoming.invite.clone(), own.sdp("sendrecv"));
        if order != Order::BeforeItRings {
            incoming.rings();
            outgoing.progress(180).await?;
        }
        let answered = match order {
            Order::AnswerFirst => {
                incoming.replies(&invite, "200 OK", &sdp);
                let answered = outgoing.outcome().await?;
                let cancelled = outgoing.gives_up().await?;
                ensure!(
                    matches!(cancelled.status(), Some(200 | 481)),
                    "{}",
                    cancelled.text
                );
                answered
            }
            Order::CancelFirst => {
                let crossing = async {
                    let cancel = incoming.expects("CANCEL").await?;
                    incoming.replies(&invite, "200 OK", &sdp);
                    incoming.replies(&cancel, "200 OK", "");
                    anyhow::Ok(())
                };
                let (cancelled, ()) = tokio::try_join!(outgoing.gives_up(), crossing)?;
                is_200(&cancelled)?;
                outgoing.outcome().await?
            }
            Order::BeforeItRings => {
                is_200(&outgoing.gives_up().await?)?;
                incoming.replies(&invite, "200 OK", &sdp);
                outgoing.outcome().await?
            }
        };
        is_200(&answered).with_context(why)?;
        let mut caller = End {
            call: outgoing,
            leg,
        };
        caller.call.confirms_it(&answered, "")?;
        incoming.expects("ACK").await.with_context(why)?;
        let cancels = usize::from(order == Order::CancelFirst);
        ensure!(incoming.requests("CANCEL") == cancels, "{order:?}");
        // For as long as nobody has hung up it is a call like any other.
        caller.leg.follows(answered.body())?;
        talk(&caller.leg, &own).await.with_context(why)?;
        let mut called = End {
            call: incoming,
            leg: own,
        };
        hang_up(&mut caller, &mut called).await.with_context(why)?;
        scene.engine.empty_within(SOON).await.with_context(why)?;
    }
    scene.nothing_stays(SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_phones_one_answers_while_both_are_cancelled_and_nothing_is_left() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bobs = phones(&scene, "bob", Kind::Tcp).await?;
    let mut leg = Leg::open().await?;
    let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
    let mut rung = Vec::new();
    for bob in &bobs {
        let end = End::called(bob).await?;
        end.call.rings();
        outgoing.progress(180).await?;
        rung.push(end);
    }
    let (Some(mut other), Some(mut one)) = (rung.pop(), rung.pop()) else {
        anyhow::bail!("two phones");
    };
    let answers = async {
        let cancel = one.call.expects("CANCEL").await?;
        let sdp = one.leg.sdp("sendrecv");
        one.call.replies(&one.call.invite, "200 OK", &sdp);
        one.call.replies(&cancel, "200 OK", "");
        anyhow::Ok(())
    };
    let (cancelled, ..) =
        tokio::try_join!(outgoing.gives_up(), answers, other.call.is_cancelled())?;
    is_200(&cancelled)?;
    let answered = outgoing.is_answered("").await?;
    one.call.expects("ACK").await?;
    leg.follows(answered.body())?;
    talk(&leg, &one.leg).await?;
    let mut caller = End {
        call: outgoing,
        leg,
    };
    hang_up(&mut caller, &mut one).await?;
    scene.nothing_stays(SOON).await
}
