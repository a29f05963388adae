//! A browser over WSS and a desk phone: calls in both directions, ended by either side, and what is done in a call.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use causeway_tests::baresip::{Account, Answer, Encryption, Phone, Transport};
use causeway_tests::browser::Page;
use causeway_tests::scene::{DOMAIN, dial, hold_is};

use crate::place::Place;
use causeway_tests::sound::{self, SECONDS, beeps, page_and_phone_talk, talks};

/// How long a key may take from the page to the phone.
const KEY_HEARD: Duration = Duration::from_secs(6);

pub(crate) async fn a_browser_and_a_phone_call_each_other_over_udp(place: &Place) -> Result<()> {
    call_each_other(place, Transport::Udp).await
}

pub(crate) async fn a_browser_and_a_phone_call_each_other_over_tcp(place: &Place) -> Result<()> {
    call_each_other(place, Transport::Tcp).await
}

pub(crate) async fn a_browser_and_a_phone_call_each_other_over_tls(place: &Place) -> Result<()> {
    call_each_other(place, Transport::Tls).await
}

/// The browser calls and hangs up, then the phone does.
async fn call_each_other(place: &Place, transport: Transport) -> Result<()> {
    let (page, mut phone) = both(place, transport).await?;
    browser_calls(&page, &mut phone).await?;
    page_and_phone_talk(&page, &phone, 0).await?;
    page.click("call-hangup").await?;
    phone.event("CALL_CLOSED").await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await?;

    let before = beeps(&phone);
    phone.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    page.click("call-answer").await?;
    phone.event("CALL_ESTABLISHED").await?;
    page.state(&["up"]).await?;
    page_and_phone_talk(&page, &phone, before).await?;
    phone.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

/// Two devices of one user, of different kinds: each has an offer of its own kind, and who is late is told.
pub(crate) async fn a_browser_and_a_phone_of_one_user_both_ring(place: &Place) -> Result<()> {
    let page = place.page("alice").await?;
    let account = Account {
        answer: Answer::Manual,
        ..place.account("alice")
    };
    let mut beside = Phone::start_registered(&account).await?;
    let mut caller = place.phone("desk1", Transport::Udp).await?;

    caller.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    beside.event("CALL_INCOMING").await?;
    page.click("call-answer").await?;
    beside.event("CALL_CLOSED").await?;
    caller.event("CALL_ESTABLISHED").await?;
    page_and_phone_talk(&page, &caller, 0).await?;
    caller.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await?;

    caller.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    beside.event("CALL_INCOMING").await?;
    beside.accept().await?;
    caller.event("CALL_ESTABLISHED").await?;
    page.state(&["ended"]).await?;
    let seconds = f64::from(SECONDS);
    caller.hears(440, seconds).await?;
    beside.hears(440, seconds).await?;
    beside.hang_up().await?;
    caller.event("CALL_CLOSED").await?;
    place.engine_is_empty().await?;

    // One of them declines before the other one answers.
    let before = beeps(&caller);
    caller.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    beside.event("CALL_INCOMING").await?;
    beside.hang_up().await?;
    beside.event("CALL_CLOSED").await?;
    page.click("call-answer").await?;
    caller.event("CALL_ESTABLISHED").await?;
    page_and_phone_talk(&page, &caller, before).await?;
    caller.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

/// Its SDES keys in RTP/SAVP, the browser's DTLS: RTPEngine answers each in its own kind.
pub(crate) async fn a_phone_with_encrypted_audio_calls_a_browser(place: &Place) -> Result<()> {
    let account = Account {
        encryption: Encryption::Sdes,
        ..place.account_over("desk1", Transport::Tls)
    };
    let page = place.page("alice").await?;
    let mut phone = Phone::start_registered(&account).await?;
    phone.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    page.click("call-answer").await?;
    phone.event("CALL_ESTABLISHED").await?;
    page_and_phone_talk(&page, &phone, 0).await?;
    the_phone_holds(&page, &mut phone).await?;
    phone.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

pub(crate) async fn the_called_side_hangs_up(place: &Place) -> Result<()> {
    let (page, mut phone) = both(place, Transport::Udp).await?;
    browser_calls(&page, &mut phone).await?;
    talks(&page, 1).await?;
    phone.hang_up().await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await?;

    phone.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    page.click("call-answer").await?;
    phone.event("CALL_ESTABLISHED").await?;
    talks(&page, 1).await?;
    page.click("call-hangup").await?;
    phone.event("CALL_CLOSED").await?;
    place.engine_is_empty().await
}

pub(crate) async fn keys_mute_and_hold_work_over_udp(place: &Place) -> Result<()> {
    keys_mute_and_hold(place, Transport::Udp).await
}

pub(crate) async fn keys_mute_and_hold_work_over_tcp(place: &Place) -> Result<()> {
    keys_mute_and_hold(place, Transport::Tcp).await
}

pub(crate) async fn keys_mute_and_hold_work_over_tls(place: &Place) -> Result<()> {
    keys_mute_and_hold(place, Transport::Tls).await
}

/// Hold comes last: with the first re-INVITE the phone's recording ends.
async fn keys_mute_and_hold(place: &Place, transport: Transport) -> Result<()> {
    let (page, mut phone) = both(place, transport).await?;
    browser_calls(&page, &mut phone).await?;
    sound::phone_hears_browser(&phone, 0).await?;
    keys_reach_the_phone(place, &page, &mut phone).await?;
    a_muted_browser_is_silent(&page, &phone).await?;
    the_browser_holds(&page, &mut phone).await?;
    the_phone_holds(&page, &mut phone).await?;
    page.click("call-hangup").await?;
    phone.event("CALL_CLOSED").await?;
    place.engine_is_empty().await
}

pub(crate) async fn keys_reach_the_phone(
    place: &Place,
    page: &Page,
    phone: &mut Phone,
) -> Result<()> {
    let messages = place.messages().await?;
    page.click("call-keypad").await?;
    for (button, key) in [
        ("dtmf-1", "1"),
        ("dtmf-9", "9"),
        ("dtmf-hash", "#"),
        ("dtmf-star", "*"),
        ("dtmf-0", "0"),
    ] {
        a_key_reaches_the_phone(page, phone, button, key).await?;
    }
    // RFC 4733: they came in RTP. baresip takes an INFO for a key as well, but that would be a message.
    let sent = place.messages().await? - messages;
    ensure!(sent == 0, "{sent} SIP messages were sent for the keys");
    page.click("call-keypad").await
}

/// RTP may be lost on a machine that has too much to do (baresip drops what comes late), and nobody repeats it: who hears
/// nothing presses again.
async fn a_key_reaches_the_phone(
    page: &Page,
    phone: &mut Phone,
    button: &str,
    key: &str,
) -> Result<()> {
    for _ in 0..3 {
        page.click(button).await?;
        match phone.event_of(&["CALL_DTMF_START"], KEY_HEARD).await {
            Ok(event) if event.parameter == key => return Ok(()),
            // The one before, pressed twice and heard twice; or nothing.
            Ok(_) | Err(_) => {}
        }
    }
    bail!("the phone received no {key}")
}

async fn a_muted_browser_is_silent(page: &Page, phone: &Phone) -> Result<()> {
    page.click("call-mute").await?;
    page.wait_for("document.querySelector('[data-testid=call]').dataset.muted === 'true'")
        .await?;
    sound::phone_hears_no_beep(phone).await?;
    sound::hears(page, 1).await?;
    let before = beeps(phone);
    page.click("call-mute").await?;
    sound::phone_hears_browser(phone, before).await
}

pub(crate) async fn the_browser_holds(page: &Page, phone: &mut Phone) -> Result<()> {
    page.click("call-hold").await?;
    hold_is(page, "local").await?;
    sound::receives_no_more(page).await?;
    page.click("call-hold").await?;
    hold_is(page, "none").await?;
    phone.receives_more(50).await?;
    talks(page, 1).await
}

pub(crate) async fn the_phone_holds(page: &Page, phone: &mut Phone) -> Result<()> {
    phone.hold().await?;
    hold_is(page, "remote").await?;
    phone.receives_no_more().await?;
    phone.resume().await?;
    hold_is(page, "none").await?;
    phone.receives_more(50).await?;
    talks(page, 1).await
}

async fn both(place: &Place, transport: Transport) -> Result<(Page, Phone)> {
    let (page, phone) = tokio::join!(place.page("alice"), place.phone("desk1", transport));
    Ok((page?, phone?))
}

pub(crate) async fn browser_calls(page: &Page, phone: &mut Phone) -> Result<()> {
    dial(page, "desk1").await?;
    phone.event("CALL_ESTABLISHED").await?;
    page.state(&["up"]).await.map(drop)
}
