//! An RTPEngine dies (`kill -9`) with calls up. It keeps nothing, so what saves a browser's call is a new offer: the page
//! notices that nothing comes any more and sends a re-INVITE with a new path, and the gateway takes the node that lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use causeway_tests::agent::Kind as Transport;
use causeway_tests::browser::{Browser, Kind, Page};
use causeway_tests::party::{Party, Phone, Profile, Step, talk};
use causeway_tests::scene::{self, Scene};
use serde_json::json;
use tokio::task::JoinSet;

use crate::FAST;

/// Keeps the longest time without a packet, in milliseconds, and when the last one came.
const WATCH: &str = "window.gap = { longest: 0, last: Date.now(), received: 0 }; \
     setInterval(async () => { const { received } = await window.causeway.stats(); const now = Date.now(); \
     if (received > 0 && received !== window.gap.received) \
     window.gap = { longest: Math.max(window.gap.longest, now - window.gap.last), last: now, received }; }, 250)";
/// The audio was away for longer than a busy machine holds it up, and is there again.
const IS_BACK: &str = "window.gap.longest > 1500 && Date.now() - window.gap.last < 1000";
/// The aim is 6 s; this is for machines that have much else to do.
const BOUND: Duration = Duration::from_secs(40);

/// Two pages that call each other.
async fn call(caller: &Page, name: &str, called: &Page) {
    scene::dial(caller, name).await.unwrap();
    called.state(&["ringing"]).await.unwrap();
    called.click("call-answer").await.unwrap();
    for page in [caller, called] {
        page.state(&["up"]).await.unwrap();
        scene::audio_flows(page, 50).await.unwrap();
        page.eval(WATCH).await.unwrap();
    }
}

/// Kills the RTPEngine that has the call, and waits until every page hears again; prints how long that took.
async fn saved(scene: &mut Scene, pages: &[(&str, &Page)]) {
    let has_none = scene.engine.calls().await.unwrap().is_empty();
    let engine = match has_none {
        true => &mut scene.engines[0],
        false => &mut scene.engine,
    };
    engine.kill();
    for (who, page) in pages {
        page.wait_for_longer(IS_BACK, BOUND).await.unwrap();
        let gap = page.eval("window.gap.longest").await.unwrap();
        let seconds = gap.as_f64().unwrap_or(f64::NAN) / 1000.0;
        println!("{who}: {seconds:.1} s without audio (aim: 6 s)");
        scene::audio_flows(page, 100).await.unwrap();
    }
    engine.restart().await.unwrap();
}

#[tokio::test]
async fn pages_whose_rtpengine_is_killed_have_audio_again_within_seconds() {
    let mut scene = Scene::start_beside(2, &[], FAST).await.unwrap();
    let (chromium, firefox) = tokio::join!(Browser::start(), Browser::start_kind(Kind::Firefox));
    let alice = scene.page(&firefox.unwrap(), "alice").await.unwrap();
    let bob = scene.page(&chromium.unwrap(), "bob").await.unwrap();
    let pages = [("Firefox", &alice), ("Chromium", &bob)];
    for (caller, name, called) in [(&alice, "bob", &bob), (&bob, "alice", &alice)] {
        call(caller, name, called).await;
        saved(&mut scene, &pages).await;
        caller.click("call-hangup").await.unwrap();
        called.state(&["ended"]).await.unwrap();
    }
}

/// No echo is cancelled and no noise suppressed: two cores are to carry 25 browsers.
const PLAIN: &str = "const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); \
     navigator.mediaDevices.getUserMedia = ({ audio, ...more }) => open({ ...more, \
     audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } })";
/// When the page's word was again that audio flows, after another one; it asks the browser by itself, and nobody else does.
const MARKS: &str = "window.back = new Promise((tell) => { let lost = false; const call = document.querySelector('[data-testid=call]'); \
     new MutationObserver(() => { const flows = call.dataset.media === 'flowing'; if (lost && flows) tell(Date.now()); lost = !flows; }) \
     .observe(call, { attributes: true, attributeFilter: ['data-media'] }); }); null";
/// Nor is anything drawn.
const UNSEEN: &str = "document.body.style.display = 'none'";
/// Chromium opens no more than 16 microphones at once.
const MICROPHONES: usize = 13;

/// `CAUSEWAY_CALLS`, half of them of pages.
fn calls() -> usize {
    let said = std::env::var("CAUSEWAY_CALLS").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(6)
}

/// A phone of ours with plain RTP, registered.
async fn phone(scene: &Scene, user: &str, number: u32) -> Result<Phone> {
    let account = scene.agent(user, Transport::Udp);
    Phone::registered(Profile::Avp, &account, None, number).await
}

/// A call of two parties up to its audio.
async fn connect(one: &mut Phone, other: &mut Phone) -> Result<()> {
    let whom = other.user().to_owned();
    for step in [Step::Ring, Step::Pickup] {
        tokio::try_join!(one.begins(step, &whom), other.follows(step))?;
    }
    talk(one, other).await
}

/// A phone sends a re-INVITE, and both hear each other again.
async fn renew(one: &mut Phone, other: &mut Phone) -> Result<()> {
    tokio::try_join!(one.begins(Step::Restart, ""), other.follows(Step::Restart))?;
    talk(one, other).await
}

/// Pages save their calls with phones by themselves; calls of phones go on with the next re-INVITE of one of them.
#[tokio::test]
async fn calls_of_a_killed_rtpengine_go_on_by_a_new_offer() {
    let half = calls() / 2;
    let users: Vec<String> = (0..half)
        .flat_map(|n| ["tab", "far", "one", "other"].map(|role| format!("{role}{n}")))
        .collect();
    let mut scene = Scene::start_beside(2, &users, "").await.unwrap();
    let mut browsers = Vec::new();
    let (mut pages, mut pairs, mut desks) = (Vec::new(), Vec::new(), JoinSet::new());
    for (n, names) in (0..).zip(users.chunks(4)) {
        if pages.len() == browsers.len() * MICROPHONES {
            browsers.push(Browser::start().await.unwrap());
        }
        let browser = browsers.last().unwrap();
        let page = scene.page(browser, &names[0]).await.unwrap();
        page.eval(PLAIN).await.unwrap();
        let mut desk = phone(&scene, &names[1], 3 * n).await.unwrap();
        scene::dial(&page, &names[1]).await.unwrap();
        for step in [Step::Ring, Step::Pickup] {
            desk.follows(step).await.unwrap();
        }
        page.state(&["up"]).await.unwrap();
        scene::audio_flows(&page, 50).await.unwrap();
        page.eval(UNSEEN).await.unwrap();
        let mut one = phone(&scene, &names[2], 3 * n + 1).await.unwrap();
        let mut other = phone(&scene, &names[3], 3 * n + 2).await.unwrap();
        connect(&mut one, &mut other).await.unwrap();
        pages.push(page);
        // A page may ask for a new path whenever it hears nothing, also because the machine has too much to do.
        desks.spawn(async move {
            loop {
                let _ = desk.follows(Step::Restart).await;
                tokio::task::yield_now().await;
            }
        });
        pairs.push((one, other));
    }

    // The one with more of the pages' calls.
    let (first, second) = (
        scene.engine.calls().await.unwrap(),
        scene.engines[0].calls().await.unwrap(),
    );
    let (mut lost, mut kept) = (Vec::new(), Vec::new());
    for page in pages {
        page.eval(MARKS).await.unwrap();
        let id = page.eval("window.causeway.session().id").await.unwrap();
        let id = id.as_str().unwrap_or_default().to_owned();
        let has = |call: &String| {
            call.split_once('/')
                .is_some_and(|(call, _)| id.starts_with(call))
        };
        match first.iter().any(has) {
            true => lost.push(page),
            false => kept.push(page),
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let killed = now.as_secs_f64() * 1000.0;
    if lost.len() < kept.len() {
        std::mem::swap(&mut lost, &mut kept);
        scene.engines[0].kill();
    } else {
        scene.engine.kill();
    }
    println!(
        "{} and {} sessions; {} calls of pages lost their RTPEngine",
        first.len(),
        second.len(),
        lost.len()
    );

    let saved = lost.iter().map(|page| async {
        let back = page.eval("window.back").await?.as_f64();
        anyhow::Ok((back.unwrap_or(f64::NAN) - killed) / 1000.0)
    });
    let saved = futures_util::future::try_join_all(saved);
    let mut seconds = tokio::time::timeout(BOUND, saved).await.unwrap().unwrap();
    seconds.sort_by(f64::total_cmp);
    println!("seconds without audio (aim: 6): {seconds:.1?}");
    for page in lost.iter().chain(&kept) {
        scene::audio_flows(page, 50).await.unwrap();
    }
    for (one, other) in &mut pairs {
        renew(one, other).await.unwrap();
    }
}

/// With nobody to take the call, the page says what is wrong instead, and goes on trying.
#[tokio::test]
async fn a_page_without_a_way_to_media_says_so() {
    let mut scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let alice = scene.page(&browser, "alice").await.unwrap();
    let bob = scene.page(&browser, "bob").await.unwrap();
    call(&alice, "bob", &bob).await;
    scene.engine.kill();
    let restoring = json!({ "target": "call", "attribute": "data-media", "state": "restoring" });
    alice.command("waitState", restoring).await.unwrap();
    let words = alice.text("call-trouble").await.unwrap();
    assert!(words.contains("reconnecting the media"), "{words}");
    alice
        .wait_for("document.querySelector('[data-testid=call]').dataset.verdict !== ''")
        .await
        .unwrap();
    let words = alice.text("call-trouble").await.unwrap();
    assert!(words.contains("No audio arrives"), "{words}");
    println!("{words} {}", alice.text("call-reason").await.unwrap());

    // It comes back, and so does the audio, without anybody doing anything.
    scene.engine.restart().await.unwrap();
    for page in [&alice, &bob] {
        page.wait_for_longer(IS_BACK, BOUND).await.unwrap();
        scene::audio_flows(page, 100).await.unwrap();
    }
    alice.click("call-hangup").await.unwrap();
    bob.state(&["ended"]).await.unwrap();
}
