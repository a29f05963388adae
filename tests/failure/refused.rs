//! Calls and registrations that are refused: the response is the RFC's, and the page says it in words.

use std::time::Duration;

use causeway_tests::baresip::{Account, Answer, Phone};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::scene::{self, Scene};

use crate::{FAST, GONE};

/// Calls from the page and waits for the end: the SIP status, the machine word, and what a person reads.
async fn call_fails(page: &Page, target: &str) -> (String, String, String) {
    scene::dial(page, target).await.unwrap();
    ended(page).await
}

async fn ended(page: &Page) -> (String, String, String) {
    let state = page.state(&["ended"]).await.unwrap();
    let field = |name: &str| state[name].as_str().unwrap_or_default().to_owned();
    (
        field("status"),
        field("reason"),
        page.text("call-status").await.unwrap(),
    )
}

#[tokio::test]
async fn a_wrong_password_is_said_in_words_and_the_right_one_mends_it() {
    let scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = browser
        .open("alice", &format!("http://{}/", scene.web))
        .await
        .unwrap();
    for (user, password) in [("alice", "wrong"), ("nobody", "secret")] {
        scene.sign_in(&page, user, password).await.unwrap();
        scene::line(&page, "refused").await.unwrap();
        let words = page.text("banner").await.unwrap();
        assert!(
            words.contains("Wrong user name or password") && words.contains(user),
            "{words}"
        );
        page.click("account-disconnect").await.unwrap();
        scene::line(&page, "off").await.unwrap();
    }
    scene
        .sign_in(&page, "alice", scene::PASSWORD)
        .await
        .unwrap();
    scene::registered(&page).await.unwrap();
    for (user, password) in [("desk1", "wrong"), ("nobody", "secret")] {
        let mut phone = Phone::start(&Account {
            password,
            ..scene.account(user)
        })
        .await
        .unwrap();
        let event = phone
            .event_of(&["REGISTER_OK", "REGISTER_FAIL"], Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(event.kind, "REGISTER_FAIL");
        assert!(
            event.parameter.starts_with("401") || event.parameter.starts_with("403"),
            "{event:?}"
        );
    }
    assert_eq!(scene.figure("bindings").await, 1);
    scene.nothing_stays(GONE).await.unwrap();
}

#[tokio::test]
async fn who_cannot_be_called_is_said_in_words() {
    let scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = scene.page(&browser, "alice").await.unwrap();
    let manual = Account {
        answer: Answer::Manual,
        ..scene.account("desk1")
    };
    let mut desk = Phone::start_registered(&manual).await.unwrap();

    let (status, reason, words) = call_fails(&page, "nosuch").await;
    assert_eq!((status.as_str(), reason.as_str()), ("404", "not-found"));
    assert!(words.contains("nosuch does not exist"), "{words}");

    let (status, reason, words) = call_fails(&page, "bob").await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("480", "not-registered")
    );
    assert!(words.contains("bob is not online"), "{words}");

    scene::dial(&page, "desk1").await.unwrap();
    desk.event("CALL_INCOMING").await.unwrap();
    desk.hang_up().await.unwrap();
    let (status, reason, words) = ended(&page).await;
    assert_eq!((status.as_str(), reason.as_str()), ("486", "busy"));
    assert!(words.contains("desk1 is busy"), "{words}");

    // The other way: a browser that declines is told to the phone with the status that the page chose.
    desk.dial("sip:alice@kit.test").await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    page.click("call-decline").await.unwrap();
    let closed = desk.event("CALL_CLOSED").await.unwrap();
    assert!(closed.parameter.starts_with("603"), "{closed:?}");
    desk.dial("sip:nosuch@kit.test").await.unwrap();
    let closed = desk.event("CALL_CLOSED").await.unwrap();
    assert!(closed.parameter.starts_with("404"), "{closed:?}");
    desk.dial("sip:bob@kit.test").await.unwrap();
    let closed = desk.event("CALL_CLOSED").await.unwrap();
    assert!(closed.parameter.starts_with("480"), "{closed:?}");
    scene.nothing_stays(GONE).await.unwrap();
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_cancelled_at_the_other_end() {
    let scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = scene.page(&browser, "alice").await.unwrap();
    let manual = Account {
        answer: Answer::Manual,
        ..scene.account("desk1")
    };
    let mut desk = Phone::start_registered(&manual).await.unwrap();

    scene::dial(&page, "desk1").await.unwrap();
    desk.event("CALL_INCOMING").await.unwrap();
    page.wait_for("window.causeway.calls()[0].progress === 'ringing'")
        .await
        .unwrap();
    page.click("call-hangup").await.unwrap();
    desk.event("CALL_CLOSED").await.unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "cancelled");
    assert!(words.contains("You cancelled the call"), "{words}");

    desk.dial("sip:alice@kit.test").await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    desk.hang_up().await.unwrap();
    desk.event("CALL_CLOSED").await.unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "missed");
    assert!(words.contains("Missed call from desk1"), "{words}");
    scene.nothing_stays(GONE).await.unwrap();
}
