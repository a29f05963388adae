//! Somebody is gone without a word: a tab that is closed, a browser that crashes, a phone that loses its power. The other
//! side learns of it as soon as it can be known, and its own hanging up is answered.

use std::time::Duration;

use causeway_tests::baresip::{Account, Answer, Phone};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::scene::{self, Scene};

use crate::ended;
use crate::stage::Part;

/// A page and a phone in a call that the page made; audio flows both ways.
async fn in_call(scene: &Scene, browser: &Browser, alice: &str, desk: &str) -> (Page, Phone) {
    let page = scene.page(browser, alice).await.unwrap();
    let mut phone = Phone::start_registered(&scene.account(desk)).await.unwrap();
    scene::dial(&page, desk).await.unwrap();
    phone.event("CALL_ESTABLISHED").await.unwrap();
    page.state(&["up"]).await.unwrap();
    scene::audio_flows(&page, 25).await.unwrap();
    (page, phone)
}

#[tokio::test]
async fn a_tab_that_is_closed_hangs_up() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&part, &browser, &alice, &desk).await;
    page.close().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    // Nobody is there any more, and who calls is told so at once.
    phone.dial(&format!("sip:{alice}@kit.test")).await.unwrap();
    let why = phone.event("CALL_CLOSED").await.unwrap().parameter;
    assert!(why.starts_with("480"), "{why}");
    part.leave().await;
}

#[tokio::test]
async fn a_browser_that_crashes_while_it_calls_has_its_call_cancelled() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let page = part.page(&browser, &alice).await.unwrap();
    let manual = Account {
        answer: Answer::Manual,
        ..part.account(&desk)
    };
    let mut phone = Phone::start_registered(&manual).await.unwrap();
    scene::dial(&page, &desk).await.unwrap();
    phone.event("CALL_INCOMING").await.unwrap();
    // The end of the connection is all that there is.
    page.crash().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    part.leave().await;
}

#[tokio::test]
async fn a_browser_that_crashes_in_a_call_does_not_hold_the_phone_back() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&part, &browser, &alice, &desk).await;
    page.crash().await.unwrap();
    phone.receives_no_more().await.unwrap();
    phone.hang_up().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    // The gateway waits a while for the page to come back (SIGNALLING §5), then the session ends all the same.
    part.leave().await;
}

#[tokio::test]
async fn a_browser_that_crashes_while_it_rings_does_not_keep_the_caller_waiting() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let page = part.page(&browser, &alice).await.unwrap();
    let mut phone = Phone::start_registered(&part.account(&desk)).await.unwrap();
    phone.dial(&format!("sip:{alice}@kit.test")).await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    page.crash().await.unwrap();
    let why = phone.event("CALL_CLOSED").await.unwrap().parameter;
    assert!(why.starts_with("480"), "{why}");
    part.leave().await;
}

#[tokio::test]
async fn a_phone_that_dies_while_it_rings_is_given_up() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let page = part.page(&browser, &alice).await.unwrap();
    let manual = Account {
        answer: Answer::Manual,
        ..part.account(&desk)
    };
    let mut phone = Phone::start_registered(&manual).await.unwrap();
    scene::dial(&page, &desk).await.unwrap();
    phone.event("CALL_INCOMING").await.unwrap();
    phone.process.kill();
    // Timer C, and then a CANCEL that nobody answers.
    page.wait_for_longer(
        "document.body.dataset.state === 'ended'",
        Duration::from_secs(30),
    )
    .await
    .unwrap();
    let (status, reason, words) = ended(&page).await;
    assert_eq!((status.as_str(), reason.as_str()), ("408", "no-answer"));
    assert!(
        words.contains(&format!("{desk} does not answer")),
        "{words}"
    );
    part.leave().await;
}

#[tokio::test]
async fn a_phone_that_dies_in_a_call_is_missed_and_let_go() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&part, &browser, &alice, &desk).await;
    phone.process.kill();
    page.wait_for("document.querySelector('[data-testid=call-trouble]').innerText.includes('No audio arrives')").await.unwrap();
    // It asks for a new path; nobody answers that, so the call is over, and the page says what it means.
    page.wait_for_longer(
        "document.body.dataset.state === 'ended'",
        Duration::from_secs(40),
    )
    .await
    .unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "lost");
    assert!(
        words.contains(&format!("The connection with {desk} was lost")),
        "{words}"
    );
    part.leave().await;
}

#[tokio::test]
async fn a_page_that_reloads_hangs_up_and_is_there_again() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&part, &browser, &alice, &desk).await;
    page.reload().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    part.sign_in(&page, &alice, scene::PASSWORD).await.unwrap();
    scene::registered(&page).await.unwrap();
    phone.dial(&format!("sip:{alice}@kit.test")).await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    page.click("call-answer").await.unwrap();
    scene::audio_flows(&page, 25).await.unwrap();
    phone.hang_up().await.unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "far-hung-up");
    assert!(words.contains(&format!("{desk} hung up")), "{words}");
    part.leave().await;
}

#[tokio::test]
async fn a_bye_waits_for_a_page_that_reloads_without_one() {
    // A gateway of its own, since its figures are looked at.
    let scene = Scene::start_with(&[], crate::FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&scene, &browser, "alice", "desk1").await;
    // Its BYE is lost.
    page.eval("WebSocket.prototype.send = () => {}")
        .await
        .unwrap();
    page.reload().await.unwrap();
    phone.hang_up().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    // Nobody is there yet to answer it, so the call is not over.
    assert!(scene.figure("transactions").await > 0);
    assert_eq!(scene.engine.calls().await.unwrap().len(), 1);
    scene
        .sign_in(&page, "alice", scene::PASSWORD)
        .await
        .unwrap();
    scene::registered(&page).await.unwrap();
    // The new page has the old one's instance-id: the BYE goes there, and it says that it knows no such call.
    scene.nothing_stays(Duration::from_secs(12)).await.unwrap();
    let answered = &scene.status().await.unwrap()["answered"];
    assert!(answered["device_gone"].is_null(), "{answered}");
}
