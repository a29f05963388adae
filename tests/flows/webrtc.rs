//! A WebRTC client of ours, with ICE, DTLS and SRTP, and phones: who begins DTLS (RFC 5763 §5), and holds in all spellings (RFC 3264
//! §8.4, RFC 2543 §B.5).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Kind, Message};
use causeway_tests::party::{Party, Phone, Profile, Setup, Spelling, Step, silence, talk};
use causeway_tests::scene::Scene;

use crate::policy::users;
use causeway_tests::gateway::FAST;

const SOON: Duration = Duration::from_secs(10);

/// One takes a step, the other follows.
async fn walk(step: Step, one: &mut Phone, other: &mut Phone) -> Result<()> {
    let whom = other.user().to_owned();
    let why = format!("{step:?} of {}", one.kind());
    tokio::try_join!(one.begins(step, &whom), other.follows(step)).context(why)?;
    Ok(())
}

async fn connect(one: &mut Phone, other: &mut Phone) -> Result<()> {
    walk(Step::Ring, one, other).await?;
    walk(Step::Pickup, one, other).await?;
    talk(one, other).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_begins_dtls_there_is_audio() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let account = |user| scene.agent(user, Kind::Ws);
    let mut page = Phone::registered(Profile::Webrtc, &account("carol"), None, 1).await?;
    let mut other = Phone::registered(Profile::Webrtc, &account("desk1"), None, 2).await?;
    let account = scene.agent("bob", Kind::Udp);
    let mut phone = Phone::registered(Profile::Avp, &account, None, 3).await?;
    for setup in [Setup::Actpass, Setup::Active, Setup::Passive] {
        page.sets_up(setup);
        let why = || format!("{setup:?}");
        connect(&mut page, &mut phone).await.with_context(why)?;
        walk(Step::Bye, &mut page, &mut phone).await?;
        connect(&mut phone, &mut page).await.with_context(why)?;
        walk(Step::Bye, &mut phone, &mut page).await?;
    }
    for (offers, answers) in [
        (Setup::Active, Setup::Active),
        (Setup::Passive, Setup::Passive),
        (Setup::Actpass, Setup::Passive),
    ] {
        page.sets_up(offers);
        other.sets_up(answers);
        let why = || format!("{offers:?} to {answers:?}");
        connect(&mut page, &mut other).await.with_context(why)?;
        walk(Step::Bye, &mut other, &mut page).await?;
    }
    scene.nothing_stays(SOON).await
}

/// Lines of what a page was sent that name an address to send to which is none.
fn zeros(all: &[Message]) -> Vec<&str> {
    let bodies = all.iter().map(Message::body);
    let lines = bodies.flat_map(str::lines);
    lines
        .filter(|line| line.starts_with("c=IN IP4 0.0.0.0") || line.contains(" 0.0.0.0 "))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_in_any_spelling_is_silence_and_its_end_is_audio() -> Result<()> {
    let sdes = users(&[("sdes", "\"srtp\"")]);
    let scene = Scene::start_with(&[], &format!("{FAST}{sdes}")).await?;
    let account = scene.agent("carol", Kind::Ws);
    let mut page = Phone::registered(Profile::Webrtc, &account, None, 1).await?;
    for (profile, user) in [(Profile::Avp, "bob"), (Profile::Sdes, "sdes")] {
        let account = scene.agent(user, Kind::Udp);
        let mut phone = Phone::registered(profile, &account, None, 2).await?;
        connect(&mut page, &mut phone).await?;
        let holds = [Spelling::Zero, Spelling::Inactive, Spelling::Sendonly];
        for (by_page, spelling) in holds
            .map(|spelling| (false, spelling))
            .into_iter()
            .chain([(true, Spelling::Inactive), (true, Spelling::Sendonly)])
        {
            let why = || format!("{user}: {spelling:?}, by the page: {by_page}");
            let (one, other) = match by_page {
                true => (&mut page, &mut phone),
                false => (&mut phone, &mut page),
            };
            walk(Step::Hold(spelling), one, other)
                .await
                .with_context(why)?;
            silence(one).await.with_context(why)?;
            walk(Step::Resume, one, other).await.with_context(why)?;
            talk(one, other).await.with_context(why)?;
        }
        // RFC 8829 §5.2.1: a browser takes 0.0.0.0 for no address at all, and would lose its path.
        let received = page.received();
        let zeros = zeros(&received);
        ensure!(zeros.is_empty(), "{user}: {zeros:?}");
        walk(Step::Bye, &mut phone, &mut page).await?;
        scene.engine.empty_within(SOON).await.context(user)?;
    }
    scene.nothing_stays(SOON).await
}
