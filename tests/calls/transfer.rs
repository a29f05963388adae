//! Blind transfer (RFC 3515): a REFER goes through, and the call that follows from it is a call like any other.

use anyhow::{Result, ensure};
use causeway_tests::baresip::{Account, Phone, Transport};
use causeway_tests::browser::Page;
use causeway_tests::linphone;
use causeway_tests::scene::{DOMAIN, dial};

use crate::place::Place;
use causeway_tests::sound::{self, SECONDS, beeps, page_and_phone_talk, talks};

pub(crate) async fn a_browser_transfers_a_phone_to_another_phone(place: &Place) -> Result<()> {
    let page = place.page("alice").await?;
    let mut desk = place.phone("desk1", Transport::Udp).await?;
    let other = Account {
        tone: 700,
        ..place.account("desk2")
    };
    let mut other = Phone::start_registered(&other).await?;
    connect(&page, &mut desk).await?;
    transfer(&page, "desk2").await?;
    other.event("CALL_ESTABLISHED").await?;
    page_is_out(&page).await?;
    let seconds = f64::from(SECONDS);
    let (desk_hears, other_hears) =
        tokio::join!(desk.hears(700, seconds), other.hears(440, seconds));
    desk_hears?;
    other_hears?;
    other.hang_up().await?;
    desk.event("CALL_CLOSED").await?;
    place.engine_is_empty().await
}

pub(crate) async fn a_browser_transfers_a_phone_to_another_browser(place: &Place) -> Result<()> {
    let (page, other) = (place.page("alice").await?, place.page("bob").await?);
    let mut desk = place.phone("desk1", Transport::Udp).await?;
    connect(&page, &mut desk).await?;
    let before = beeps(&desk);
    transfer(&page, "bob").await?;
    other.state(&["ringing"]).await?;
    other.click("call-answer").await?;
    other.state(&["up"]).await?;
    page_is_out(&page).await?;
    page_and_phone_talk(&other, &desk, before).await?;
    other.click("call-hangup").await?;
    desk.event("CALL_CLOSED").await?;
    place.engine_is_empty().await
}

pub(crate) async fn a_phone_transfers_a_browser_to_another_phone(place: &Place) -> Result<()> {
    let page = place.page("alice").await?;
    let mut desk = place.phone("desk1", Transport::Udp).await?;
    let mut other = place.phone("desk2", Transport::Udp).await?;
    connect(&page, &mut desk).await?;
    desk.transfer(&format!("sip:desk2@{DOMAIN}")).await?;
    other.event("CALL_ESTABLISHED").await?;
    desk.event("CALL_CLOSED").await?;
    page_and_phone_talk(&page, &other, 0).await?;
    other.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

pub(crate) async fn linphone_transfers_a_browser_to_another_phone(place: &Place) -> Result<()> {
    let page = place.page("alice").await?;
    let mut linphone = place.linphone("desk1").await?;
    let mut other = place.phone("desk2", Transport::Udp).await?;
    connect_linphone(&page, &mut linphone).await?;
    linphone.transfer(&format!("sip:desk2@{DOMAIN}"))?;
    other.event("CALL_ESTABLISHED").await?;
    linphone.says(&[" ended ("]).await?;
    page_and_phone_talk(&page, &other, 0).await?;
    other.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

pub(crate) async fn a_browser_transfers_linphone_to_another_phone(place: &Place) -> Result<()> {
    let page = place.page("alice").await?;
    let mut linphone = place.linphone("desk1").await?;
    let other = Account {
        tone: 700,
        ..place.account("desk2")
    };
    let mut other = Phone::start_registered(&other).await?;
    connect_linphone(&page, &mut linphone).await?;
    transfer(&page, "desk2").await?;
    other.event("CALL_ESTABLISHED").await?;
    page_is_out(&page).await?;
    let seconds = f64::from(SECONDS);
    tokio::try_join!(linphone.hears(700, seconds), other.hears(600, seconds))?;
    other.hang_up().await?;
    linphone.says(&[" ended ("]).await?;
    place.engine_is_empty().await
}

/// The page calls linphone, and both have audio.
async fn connect_linphone(page: &Page, linphone: &mut linphone::Phone) -> Result<()> {
    dial(page, "desk1").await?;
    linphone.says(&["new incoming call"]).await?;
    linphone.accept()?;
    page.state(&["up"]).await?;
    talks(page, 1).await
}

/// The page calls the phone, and both have audio.
async fn connect(page: &Page, desk: &mut Phone) -> Result<()> {
    dial(page, "desk1").await?;
    desk.event("CALL_ESTABLISHED").await?;
    page.state(&["up"]).await?;
    talks(page, 1).await?;
    sound::phone_hears_browser(desk, 0).await
}

async fn transfer(page: &Page, to: &str) -> Result<()> {
    page.click("call-transfer").await?;
    page.fill("transfer-input", to).await?;
    page.click("transfer-submit").await
}

/// The page's call is over because it was transferred, not for another reason.
async fn page_is_out(page: &Page) -> Result<()> {
    let state = page.state(&["ended"]).await?;
    ensure!(
        state["reason"] == "transferred",
        "the page ended its call: {state}"
    );
    Ok(())
}
