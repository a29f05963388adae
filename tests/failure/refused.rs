//! Calls and registrations that are refused: the response is the RFC's, and the page says it in words.

use std::time::Duration;

use causeway_tests::baresip::{Account, Answer, Phone};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::sipp::Run;
use causeway_tests::{ports, scene};

use crate::ended;
use crate::stage::Part;

/// Calls from the page and waits for the end: the SIP status, the machine word, and what a person reads.
async fn call_fails(page: &Page, target: &str) -> (String, String, String) {
    scene::dial(page, target).await.unwrap();
    ended(page).await
}

#[tokio::test]
async fn a_wrong_password_is_said_in_words_and_the_right_one_mends_it() {
    let part = Part::take().await;
    let (alice, desk) = (part.user("alice"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let page = browser
        .open(&alice, &format!("http://{}/", part.web))
        .await
        .unwrap();
    for (user, password) in [(alice.as_str(), "wrong"), ("nobody", scene::PASSWORD)] {
        part.sign_in(&page, user, password).await.unwrap();
        scene::line(&page, "refused").await.unwrap();
        let words = page.text("banner").await.unwrap();
        assert!(
            words.contains("Wrong user name or password") && words.contains(user),
            "{words}"
        );
        page.click("account-disconnect").await.unwrap();
        scene::line(&page, "off").await.unwrap();
    }
    part.sign_in(&page, &alice, scene::PASSWORD).await.unwrap();
    scene::registered(&page).await.unwrap();
    for (user, password) in [(desk.as_str(), "wrong"), ("nobody", scene::PASSWORD)] {
        let mut phone = Phone::start(&Account {
            password,
            ..part.account(user)
        })
        .await
        .unwrap();
        let event = phone
            .event_of(&["REGISTER_OK", "REGISTER_FAIL"], Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(event.kind, "REGISTER_FAIL");
        assert!(event.parameter.starts_with("403"), "{event:?}");
    }
    part.leave().await;
}

#[tokio::test]
async fn who_cannot_be_called_is_said_in_words() {
    let part = Part::take().await;
    let (alice, bob, desk) = (part.user("alice"), part.user("bob"), part.user("desk"));
    let browser = Browser::start().await.unwrap();
    let page = part.page(&browser, &alice).await.unwrap();
    let manual = Account {
        answer: Answer::Manual,
        ..part.account(&desk)
    };
    let mut phone = Phone::start_registered(&manual).await.unwrap();

    let (status, reason, words) = call_fails(&page, "nosuch").await;
    assert_eq!((status.as_str(), reason.as_str()), ("404", "not-found"));
    assert!(words.contains("nosuch does not exist"), "{words}");

    let (status, reason, words) = call_fails(&page, &bob).await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("480", "not-registered")
    );
    assert!(words.contains(&format!("{bob} is not online")), "{words}");

    scene::dial(&page, &desk).await.unwrap();
    phone.event("CALL_INCOMING").await.unwrap();
    phone.hang_up().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    let (status, reason, words) = ended(&page).await;
    assert_eq!((status.as_str(), reason.as_str()), ("486", "busy"));
    assert!(words.contains(&format!("{desk} is busy")), "{words}");

    // The other way: what the page chose, and what the gateway says itself, reach the phone.
    phone.dial(&format!("sip:{alice}@kit.test")).await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    page.click("call-decline").await.unwrap();
    assert_eq!(closed(&mut phone).await, "603");
    for (target, status) in [("nosuch", "404"), (bob.as_str(), "480")] {
        phone.dial(&format!("sip:{target}@kit.test")).await.unwrap();
        assert_eq!(closed(&mut phone).await, status);
    }
    part.leave().await;
}

/// The status that ended the phone's call.
async fn closed(phone: &mut Phone) -> String {
    let why = phone.event("CALL_CLOSED").await.unwrap().parameter;
    why.split(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_cancelled_at_the_other_end() {
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
    page.wait_for("window.causeway.calls()[0].progress === 'ringing'")
        .await
        .unwrap();
    page.click("call-hangup").await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "cancelled");
    assert!(words.contains("You cancelled the call"), "{words}");

    phone.dial(&format!("sip:{alice}@kit.test")).await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    phone.hang_up().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "missed");
    assert!(
        words.contains(&format!("Missed call from {desk}")),
        "{words}"
    );
    part.leave().await;
}

#[tokio::test]
async fn a_cancel_is_told_once_and_both_its_answers_come_back() {
    let part = Part::take().await;
    let (caller, callee) = (part.user("alice"), part.user("desk"));
    let local = ports::free_address();
    let register = Run {
        local: Some(local),
        keys: vec![("user", &callee), ("domain", scene::DOMAIN)],
        more: vec!["-au", &callee, "-ap", scene::PASSWORD],
        ..Run::client("register", part.sip)
    };
    register.to_the_end().await.unwrap();
    let mut rings = Run {
        local: Some(local),
        ..Run::server("ring-and-be-cancelled")
    }
    .start()
    .unwrap();
    let calls = Run {
        keys: vec![
            ("user", &caller),
            ("target", &callee),
            ("domain", scene::DOMAIN),
        ],
        more: vec!["-au", &caller, "-ap", scene::PASSWORD],
        ..Run::client("call-and-cancel", part.sip)
    };
    calls.to_the_end().await.unwrap();
    rings.succeeds(Duration::from_secs(10)).await.unwrap();
    part.leave().await;
}
