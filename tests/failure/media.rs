//! An RTPEngine dies (`kill -9`) with calls up. It keeps nothing, so what saves a browser's call is a new offer: the page
//! notices that nothing comes any more and sends a re-INVITE with a new path, and the gateway takes the node that lives.

use std::time::Duration;

use causeway_tests::browser::{Browser, Kind, Page};
use causeway_tests::scene::{self, Scene};
use serde_json::json;

use crate::FAST;

/// Keeps the longest time without a packet, in milliseconds, and when the last one came.
const WATCH: &str = "window.gap = { longest: 0, last: Date.now(), received: 0 }; \
     setInterval(async () => { const { received } = await window.causeway.stats(); const now = Date.now(); \
     if (received > 0 && received !== window.gap.received) \
     window.gap = { longest: Math.max(window.gap.longest, now - window.gap.last), last: now, received }; }, 100)";
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
