//! Audio before anybody has answered: several 183s, those that have to be acknowledged (RFC 3262), UPDATE in an early dialog
//! (RFC 3311).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Device, Kind, Message};
use causeway_tests::scene::Scene;

use crate::leg::{Leg, is_unheard, phones, talk};
use crate::pair::{End, WITH_BODY, hang_up};
use causeway_tests::gateway::FAST;

const SOON: Duration = Duration::from_secs(10);
const SUPPORTED: &str = "Supported: 100rel\r\n";
const PROGRESS: &str = "183 Session Progress";

/// A 183 with this description, and what the caller got of it.
async fn progresses(to: &mut Call, by: &Call, more: &str, sdp: &str) -> Result<Message> {
    by.answers(&by.invite, PROGRESS, WITH_BODY, more, sdp);
    to.progress(183).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_phones_are_heard_early_and_the_one_that_answers_goes_on_alone() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bobs = phones(&scene, "bob", Kind::Tcp).await?;
    for answers in [0, 1] {
        let why = || format!("phone {answers} answers");
        let mut leg = Leg::open().await?;
        let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
        let mut rung = Vec::new();
        for bob in &bobs {
            let end = End::called(bob).await?;
            let sdp = end.leg.sdp("sendrecv");
            let early = progresses(&mut outgoing, &end.call, "", &sdp).await?;
            leg.follows(early.body())?;
            talk(&leg, &end.leg).await.with_context(why)?;
            rung.push(end);
        }
        let mut one = rung.remove(answers);
        let mut other = rung.remove(0);
        let sdp = one.leg.sdp("sendrecv");
        let (_, answered, _) = tokio::try_join!(
            one.call.accepts(&sdp),
            outgoing.is_answered(""),
            other.call.is_cancelled()
        )?;
        leg.follows(answered.body())?;
        talk(&leg, &one.leg).await.with_context(why)?;
        is_unheard(&mut other.leg, &leg, &one.leg)
            .await
            .with_context(why)?;
        talk(&leg, &one.leg).await.with_context(why)?;
        let mut caller = End {
            call: outgoing,
            leg,
        };
        hang_up(&mut caller, &mut one).await?;
        scene.engine.empty_within(SOON).await.with_context(why)?;
    }
    scene.nothing_stays(SOON).await
}

/// A telephone system forks behind its own address: its early dialogs share our branch, and differ in the tag alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_early_dialogs_of_one_branch_the_one_that_answers_goes_on() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let system = scene.device("bob", Kind::Udp).await?;
    for answers in [0, 1, 2] {
        let why = || format!("early dialog {answers} answers");
        let mut leg = Leg::open().await?;
        let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
        let mut call = system.called().await?;
        let mut early = Vec::new();
        for number in 0..3 {
            let mut own = Leg::open().await?;
            own.follows(call.invite.body())?;
            let to = call.invite.header("To").unwrap_or_default();
            call.local = format!("{to};tag=early{number}");
            let progress = progresses(&mut outgoing, &call, "", &own.sdp("sendrecv")).await?;
            leg.follows(progress.body())?;
            talk(&leg, &own).await.with_context(why)?;
            early.push((call.local.clone(), own));
        }
        let (local, own) = early.swap_remove(answers);
        call.local = local;
        let sdp = own.sdp("sendrecv");
        let (_, answered) = tokio::try_join!(call.accepts(&sdp), outgoing.is_answered(""))?;
        leg.follows(answered.body())?;
        talk(&leg, &own).await.with_context(why)?;
        let mut caller = End {
            call: outgoing,
            leg,
        };
        hang_up(&mut caller, &mut End { call, leg: own }).await?;
        scene.engine.empty_within(SOON).await.with_context(why)?;
    }
    scene.nothing_stays(SOON).await
}

/// What is said by 183, PRACK and UPDATE before the 200, which has no description any more.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The 183 answers, PRACK is empty.
    Answer,
    /// The INVITE has no offer, the 183 has it, and PRACK the answer.
    Offer,
    /// The 183 answers, PRACK offers anew, and its 200 answers.
    OfferInPrack,
    /// As `Answer`; then the caller, or the called side, offers another address by UPDATE.
    Update { by_caller: bool },
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_183_prack_and_update_agree_on_is_heard_before_and_after_the_answer() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bob = scene.device("bob", Kind::Udp).await?;
    for way in [
        Way::Answer,
        Way::Offer,
        Way::OfferInPrack,
        Way::Update { by_caller: true },
        Way::Update { by_caller: false },
    ] {
        let why = || format!("{way:?}");
        let [mut caller, mut called] = early([&alice, &bob], way).await.with_context(why)?;
        talk(&caller.leg, &called.leg).await.with_context(why)?;
        let (_, answered) = tokio::try_join!(called.call.accepts(""), caller.call.is_answered(""))
            .with_context(why)?;
        ensure!(answered.body().is_empty(), "{way:?}: {}", answered.text);
        talk(&caller.leg, &called.leg).await.with_context(why)?;
        hang_up(&mut called, &mut caller).await?;
        scene.engine.empty_within(SOON).await.with_context(why)?;
    }
    scene.nothing_stays(SOON).await
}

/// The call up to where it rings and everything is agreed on.
async fn early([alice, bob]: [&Device; 2], way: Way) -> Result<[End; 2]> {
    let (mut leg, mut own) = (Leg::open().await?, Leg::open().await?);
    let offers = !matches!(way, Way::Offer);
    let offer = if offers {
        leg.sdp("sendrecv")
    } else {
        String::new()
    };
    let mut outgoing = alice.calls_with("bob", SUPPORTED, &offer).await?;
    let mut incoming = bob.called().await?;
    if offers {
        own.follows(incoming.invite.body())?;
    }
    let more = "Require: 100rel\r\nRSeq: 7001\r\n";
    let early = progresses(&mut outgoing, &incoming, more, &own.sdp("sendrecv")).await?;
    leg.follows(early.body())?;
    match way {
        Way::Answer => {
            tokio::try_join!(outgoing.pracks(&early, ""), incoming.takes("PRACK", ""))?;
        }
        Way::Offer => {
            let answer = leg.sdp("sendrecv");
            let taken = async {
                let prack = incoming.expects("PRACK").await?;
                incoming.replies(&prack, "200 OK", "");
                anyhow::Ok(prack)
            };
            let (_, prack) = tokio::try_join!(outgoing.pracks(&early, &answer), taken)?;
            own.follows(prack.body())?;
        }
        Way::OfferInPrack => {
            talk(&leg, &own).await?;
            let elsewhere = Leg::open().await?;
            let (offer, answer) = (elsewhere.sdp("sendrecv"), own.sdp("sendrecv"));
            let (answered, prack) = tokio::try_join!(
                outgoing.pracks(&early, &offer),
                incoming.takes("PRACK", &answer)
            )?;
            leg.moves_to(elsewhere, answered.body())?;
            own.follows(prack.body())?;
        }
        Way::Update { by_caller } => {
            tokio::try_join!(outgoing.pracks(&early, ""), incoming.takes("PRACK", ""))?;
            talk(&leg, &own).await?;
            let elsewhere = Leg::open().await?;
            let offer = elsewhere.sdp("sendrecv");
            let (one, other) = match by_caller {
                true => ((&mut outgoing, &mut leg), (&mut incoming, &mut own)),
                false => ((&mut incoming, &mut own), (&mut outgoing, &mut leg)),
            };
            let answer = other.1.sdp("sendrecv");
            let (answered, update) = tokio::try_join!(
                one.0.says("UPDATE", "", &offer),
                other.0.takes("UPDATE", &answer)
            )?;
            one.1.moves_to(elsewhere, answered.body())?;
            other.1.follows(update.body())?;
        }
    }
    // On one host they would hear each other without RTPEngine, too.
    for (one, other) in [(&leg, &own), (&own, &leg)] {
        let to = one.to.map(|to| to.port());
        ensure!(to != Some(other.port), "past RTPEngine: {to:?}");
    }
    let end = |call, leg| End { call, leg };
    Ok([end(outgoing, leg), end(incoming, own)])
}
