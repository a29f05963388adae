//! Firefox ESR in the place of Chromium: other SDP (`0.0.0.0`, port 9, one tone without a pause), the same calls.

use anyhow::{Result, ensure};
use causeway_tests::baresip::{Phone, Transport};
use causeway_tests::browser::{FIREFOX_HERTZ, Kind};
use causeway_tests::scene::DOMAIN;

use crate::browsers::{both_talk, connect, holds};
use crate::desk;
use crate::place::Place;
use causeway_tests::sound::{SECONDS, talks};

/// The page calls, the phone calls; keys, hold from both sides; each hangs up once.
pub(crate) async fn firefox_and_a_phone_call_each_other(place: &Place) -> Result<()> {
    let page = place.page_in(Kind::Firefox, "alice", "").await?;
    let mut phone = place.phone("desk1", Transport::Udp).await?;
    desk::browser_calls(&page, &mut phone).await?;
    talks(&page, SECONDS).await?;
    hears_firefox(&phone, f64::from(SECONDS)).await?;
    desk::keys_reach_the_phone(place, &page, &mut phone).await?;
    desk::the_browser_holds(&page, &mut phone).await?;
    desk::the_phone_holds(&page, &mut phone).await?;
    page.click("call-hangup").await?;
    phone.event("CALL_CLOSED").await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await?;

    let before = phone.seconds_heard(FIREFOX_HERTZ);
    phone.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    page.click("call-answer").await?;
    phone.event("CALL_ESTABLISHED").await?;
    page.state(&["up"]).await?;
    talks(&page, SECONDS).await?;
    hears_firefox(&phone, before + f64::from(SECONDS)).await?;
    phone.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

/// The two browsers call, hold and hang up on each other, each in both roles.
pub(crate) async fn firefox_and_chromium_call_each_other(place: &Place) -> Result<()> {
    let (alice, bob) = tokio::join!(
        place.page_in(Kind::Firefox, "alice", ""),
        place.page_in(Kind::Chromium, "bob", ""),
    );
    let (alice, bob) = (alice?, bob?);
    for (caller, name, called) in [(&alice, "bob", &bob), (&bob, "alice", &alice)] {
        connect(caller, name, called).await?;
        both_talk(&alice, &bob, SECONDS).await?;
        for (one, other) in [(caller, called), (called, caller)] {
            holds(one, other).await?;
            both_talk(&alice, &bob, 1).await?;
        }
        called.click("call-hangup").await?;
        caller.state(&["ended"]).await?;
        place.engine_is_empty().await?;
    }
    Ok(())
}

/// The phone's recording has Firefox's tone, and not the phone's own.
async fn hears_firefox(phone: &Phone, seconds: f64) -> Result<()> {
    phone.hears(FIREFOX_HERTZ, seconds).await?;
    ensure!(phone.seconds_heard(440) < 0.3, "the phone hears itself");
    Ok(())
}
