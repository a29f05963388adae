use std::time::Duration;

use causeway_tests::baresip::{Account, Phone};
use causeway_tests::browser::Browser;
use causeway_tests::kamailio::Kamailio;
use causeway_tests::ports;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::sipp::Run;

#[tokio::test]
async fn rtpengine_starts_empty() {
    let engine = RtpEngine::start().await.unwrap();
    engine.empty_within(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_phone_hears_itself_through_an_echo_of_sipp() {
    let kamailio = Kamailio::registrar("kit.test", ports::free(), ports::free())
        .await
        .unwrap();
    let server = kamailio.address;
    let keys = vec![("user", "echo"), ("domain", "kit.test")];
    let here = ports::free_address();
    let register = Run {
        keys,
        local: Some(here),
        ..Run::client("register", server)
    };
    assert_eq!(register.to_the_end().await.unwrap().successful, 1);
    let mut echo = Run {
        local: Some(here),
        more: vec!["-rtp_echo"],
        ..Run::server("answer")
    }
    .start()
    .unwrap();
    let mut phone = Phone::start_registered(&Account::new("alice", "kit.test", "secret", server))
        .await
        .unwrap();
    phone.dial("sip:echo@kit.test").await.unwrap();
    phone.event("CALL_ESTABLISHED").await.unwrap();
    phone.hears(440, 1.0).await.unwrap();
    phone.hang_up().await.unwrap();
    assert_eq!(
        echo.succeeds(Duration::from_secs(10))
            .await
            .unwrap()
            .successful,
        1
    );
}

#[tokio::test]
async fn a_browser_opens_a_page_and_says_what_is_in_it() {
    let browser = Browser::start().await.unwrap();
    let page = browser
        .open(
            "alice",
            "data:text/html,<body data-state=ready><p data-testid=words>Hello</p>",
        )
        .await
        .unwrap();
    assert_eq!(page.state(&["ready"]).await.unwrap()["state"], "ready");
    assert_eq!(page.text("words").await.unwrap(), "Hello");
    let error = page.wait_for("throw new Error('no')").await.unwrap_err();
    assert!(format!("{error:#}").contains("page alice"), "{error:#}");
    page.close().await.unwrap();
}
