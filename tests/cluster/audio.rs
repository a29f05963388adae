//! Calls with audio: baresip over UDP, TCP and TLS, Chromium over WSS. Through the core, which sends back what it hears, and
//! through the registrars alone, where a call passes the edge twice (MEDIA §1: pass `/u` and pass `/d`).

use anyhow::{Result, ensure};
use causeway_tests::baresip::{Account, Answer, Phone, Transport};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::core::Script;
use causeway_tests::scene::{DOMAIN, dial, hold_is};
use causeway_tests::sound::{SECONDS, beeps, page_and_phone_talk, receives_no_more, talks};

use crate::rig::{Calls, Rig};

/// The tone of the second of two phones, in Hz.
const OTHER: u32 = 880;
/// For how long a phone has to hear the tone that comes back.
const HEARS: f64 = SECONDS as f64;

#[tokio::test]
async fn desk_phones_register_are_called_and_call_the_core_and_hear() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    for (user, transport) in [
        ("over-udp", Transport::Udp),
        ("over-tcp", Transport::Tcp),
        ("over-tls", Transport::Tls),
    ] {
        let mut phone = Phone::start_registered(&rig.desk(user, transport)).await?;
        ensure!(rig.challenges(user) == (1, 1), "{:?}", rig.challenges(user));
        rig.has(user, 1).await?;
        rig.tells(a_phone_is_called_and_calls(&rig, &mut phone, user).await)?;
    }
    rig.nothing_stays().await
}

async fn a_phone_is_called_and_calls(rig: &Rig, phone: &mut Phone, user: &str) -> Result<()> {
    let mut core = rig.core.calls(user).await?;
    core.is_answered().await?;
    phone.event("CALL_ESTABLISHED").await?;
    phone.hears(440, HEARS).await?;
    core.holds().await?;
    phone.receives_no_more().await?;
    core.resumes().await?;
    phone.receives_more(50).await?;
    core.hangs_up().await?;
    phone.event("CALL_CLOSED").await?;

    let before = phone.seconds_heard(440);
    phone.dial(&format!("sip:9196@{DOMAIN}")).await?;
    let mut core = rig.core.answers_with(Script::EarlyMedia).await?;
    core.accepts().await?;
    phone.event("CALL_ESTABLISHED").await?;
    phone.hears(440, before + HEARS).await?;
    ensure!(core.echoed() > 0, "nothing came to the core");
    let hold = async {
        phone.hold().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(hold, core.takes("INVITE"))?;
    tokio::try_join!(async { phone.resume().await }, core.takes("INVITE"))?;
    phone.receives_more(50).await?;
    tokio::try_join!(async { phone.hang_up().await }, core.takes("BYE"))?;
    Ok(())
}

/// Chromium and baresip: either answers, and the other one hears no more of it.
#[tokio::test]
async fn a_browser_and_a_phone_of_one_user_either_answers_the_core() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    let browser = Browser::start().await?;
    let page = rig.page(&browser, "alice").await?;
    ensure!(
        rig.challenges("alice") == (1, 1),
        "{:?}",
        rig.challenges("alice")
    );
    let account = Account {
        answer: Answer::Manual,
        ..rig.desk("alice", Transport::Udp)
    };
    let mut phone = Phone::start_registered(&account).await?;
    ensure!(
        rig.challenges("alice") == (2, 2),
        "{:?}",
        rig.challenges("alice")
    );
    rig.has("alice", 2).await?;
    rig.tells(the_page_answers(&rig, &page, &mut phone).await)?;
    rig.tells(the_phone_answers(&rig, &page, &mut phone).await)?;
    rig.tells(the_page_calls(&rig, &page).await)?;
    rig.nothing_stays().await
}

async fn the_page_answers(rig: &Rig, page: &Page, phone: &mut Phone) -> Result<()> {
    let mut core = rig.core.calls("alice").await?;
    phone.event("CALL_INCOMING").await?;
    page.state(&["ringing"]).await?;
    tokio::try_join!(page.click("call-answer"), core.is_answered())?;
    phone.event("CALL_CLOSED").await?;
    page.state(&["up"]).await?;
    talks(page, SECONDS).await?;
    core.updates_with_sdp().await?;
    talks(page, 1).await?;
    core.holds().await?;
    hold_is(page, "remote").await?;
    core.resumes().await?;
    hold_is(page, "none").await?;
    talks(page, 1).await?;
    core.hangs_up().await?;
    page.state(&["ended"]).await.map(drop)
}

async fn the_phone_answers(rig: &Rig, page: &Page, phone: &mut Phone) -> Result<()> {
    let mut core = rig.core.calls("alice").await?;
    phone.event("CALL_INCOMING").await?;
    page.state(&["ringing"]).await?;
    tokio::try_join!(async { phone.accept().await }, core.is_answered())?;
    phone.event("CALL_ESTABLISHED").await?;
    page.state(&["ended"]).await?;
    // No UPDATE: baresip does not know it, and FreeSWITCH sends none to whom does not allow it.
    phone.hears(440, HEARS).await?;
    core.holds().await?;
    phone.receives_no_more().await?;
    core.resumes().await?;
    phone.receives_more(50).await?;
    core.hangs_up().await?;
    phone.event("CALL_CLOSED").await.map(drop)
}

async fn the_page_calls(rig: &Rig, page: &Page) -> Result<()> {
    dial(page, "9196").await?;
    let mut core = rig.core.answers_with(Script::EarlyMedia).await?;
    core.accepts().await?;
    page.state(&["up"]).await?;
    talks(page, SECONDS).await?;
    tokio::try_join!(page.click("call-hangup"), core.takes("BYE"))?;
    page.state(&["ended"]).await.map(drop)
}

#[tokio::test]
async fn a_browser_and_a_phone_call_each_other_through_kamailio_alone() -> Result<()> {
    let rig = Rig::start(Calls::Alone).await?;
    let browser = Browser::start().await?;
    let page = rig.page(&browser, "alice").await?;
    let mut phone = Phone::start_registered(&rig.desk("desk1", Transport::Udp)).await?;
    rig.has("alice", 1).await?;
    rig.has("desk1", 1).await?;
    rig.tells(browser_to_phone(&rig, &page, &mut phone).await)?;
    rig.tells(phone_to_browser(&rig, &page, &mut phone).await)
}

async fn browser_to_phone(rig: &Rig, page: &Page, phone: &mut Phone) -> Result<()> {
    dial(page, "desk1").await?;
    phone.event("CALL_ESTABLISHED").await?;
    page.state(&["up"]).await?;
    page_and_phone_talk(page, phone, 0).await?;
    two_passes(rig).await?;
    page.click("call-hold").await?;
    hold_is(page, "local").await?;
    receives_no_more(page).await?;
    page.click("call-hold").await?;
    hold_is(page, "none").await?;
    phone.receives_more(50).await?;
    talks(page, 1).await?;
    phone.hang_up().await?;
    page.state(&["ended"]).await?;
    rig.nothing_stays().await
}

async fn phone_to_browser(rig: &Rig, page: &Page, phone: &mut Phone) -> Result<()> {
    let before = beeps(phone);
    phone.dial(&format!("sip:alice@{DOMAIN}")).await?;
    page.state(&["ringing"]).await?;
    page.click("call-answer").await?;
    phone.event("CALL_ESTABLISHED").await?;
    page.state(&["up"]).await?;
    page_and_phone_talk(page, phone, before).await?;
    two_passes(rig).await?;
    phone.hold().await?;
    hold_is(page, "remote").await?;
    phone.receives_no_more().await?;
    phone.resume().await?;
    hold_is(page, "none").await?;
    talks(page, 1).await?;
    page.click("call-hangup").await?;
    phone.event("CALL_CLOSED").await?;
    rig.nothing_stays().await
}

/// RTPEngine has a session for each pass.
async fn two_passes(rig: &Rig) -> Result<()> {
    let calls = rig.engine.calls().await?;
    let passes = ["/u", "/d"].map(|pass| calls.iter().filter(|call| call.ends_with(pass)).count());
    ensure!(passes == [1, 1], "{calls:?}");
    Ok(())
}

#[tokio::test]
async fn two_phones_call_each_other_through_kamailio_alone() -> Result<()> {
    let rig = Rig::start(Calls::Alone).await?;
    let mut one = Phone::start_registered(&rig.desk("desk1", Transport::Udp)).await?;
    let account = Account {
        tone: OTHER,
        ..rig.desk("desk2", Transport::Tls)
    };
    let mut other = Phone::start_registered(&account).await?;
    rig.has("desk1", 1).await?;
    rig.has("desk2", 1).await?;
    rig.tells(call(&rig, (&mut one, OTHER), (&mut other, 440), "desk2").await)?;
    other.hang_up().await?;
    one.event("CALL_CLOSED").await?;
    rig.nothing_stays().await?;
    rig.tells(call(&rig, (&mut other, 440), (&mut one, OTHER), "desk1").await)?;
    other.hang_up().await?;
    one.event("CALL_CLOSED").await?;
    rig.nothing_stays().await
}

/// Each with the tone that it has to hear; the first one calls and holds.
async fn call(
    rig: &Rig,
    (caller, from_called): (&mut Phone, u32),
    (called, from_caller): (&mut Phone, u32),
    user: &str,
) -> Result<()> {
    let before = (
        caller.seconds_heard(from_called),
        called.seconds_heard(from_caller),
    );
    caller.dial(&format!("sip:{user}@{DOMAIN}")).await?;
    caller.event("CALL_ESTABLISHED").await?;
    called.event("CALL_ESTABLISHED").await?;
    tokio::try_join!(
        caller.hears(from_called, before.0 + HEARS),
        called.hears(from_caller, before.1 + HEARS)
    )?;
    two_passes(rig).await?;
    caller.hold().await?;
    tokio::try_join!(called.receives_no_more(), caller.receives_no_more())?;
    caller.resume().await?;
    tokio::try_join!(caller.receives_more(50), called.receives_more(50))?;
    Ok(())
}
