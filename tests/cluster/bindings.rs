//! Several bindings of one user, and flows that are gone: what the core sends in a call reaches exactly the device that
//! answered, counted at the wire of each.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Device, Kind};
use causeway_tests::core::{Call as CoreCall, Offer};

use crate::rig::{Calls, Rig};

/// Everything that the core sends in a call.
const IN_A_CALL: [&str; 5] = ["ACK", "INVITE", "UPDATE", "NOTIFY", "BYE"];

#[tokio::test]
async fn of_two_devices_of_a_user_only_the_one_that_answered_gets_what_follows() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    let phone = rig.device("alice", Kind::Udp).await?;
    // Its Contact's user is nothing that a registrar could look up.
    let browser = rig.device("alice", Kind::Wss).await?;
    rig.tells(the_first_answers(&rig, &phone, &browser).await)?;
    rig.tells(the_first_answers(&rig, &browser, &phone).await)?;
    rig.nothing_stays().await
}

async fn the_first_answers(rig: &Rig, first: &Device, other: &Device) -> Result<()> {
    let mut core = rig.core.calls("alice").await?;
    let (mut taken, mut rung) = tokio::try_join!(first.called(), other.called())?;
    taken.rings();
    rung.rings();
    let before = IN_A_CALL.map(|method| {
        (
            first.endpoint().requests(method),
            other.endpoint().requests(method),
        )
    });
    let (answer, held) = (first.answer(), first.sdp("recvonly", "active"));
    let (cancel, ..) = tokio::try_join!(
        rung.is_cancelled(),
        taken.accepts(&answer),
        core.is_answered()
    )?;
    // What Kamailio says of why, in its own spelling.
    println!("the other one is told {:?}", cancel.header("Reason"));
    tokio::try_join!(taken.takes("INVITE", &held), core.holds())?;
    tokio::try_join!(taken.takes("INVITE", &answer), core.resumes())?;
    tokio::try_join!(taken.takes("UPDATE", &answer), core.updates_with_sdp())?;
    tokio::try_join!(taken.takes("NOTIFY", ""), core.notifies_talk())?;
    tokio::try_join!(taken.takes("BYE", ""), core.hangs_up())?;
    for (method, (at_first, at_other)) in IN_A_CALL.into_iter().zip(before) {
        let came = first.endpoint().requests(method) - at_first;
        let strayed = other.endpoint().requests(method) - at_other;
        // Two re-INVITEs with an ACK each, beside the first ACK; the other one's ACK is for its 487.
        let (wanted, elsewhere) = match method {
            "ACK" => (3, 1),
            "INVITE" => (2, 0),
            _ => (1, 0),
        };
        ensure!(
            (came, strayed) == (wanted, elsewhere),
            "{method}: {came} and {strayed}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_flow_that_is_gone_is_told_at_once_and_the_next_binding_rings() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    let browser = rig.device("alice", Kind::Wss).await?;
    browser.cuts_the_connection();
    rig.figure_is("connections", |open| open == 0).await?;
    let began = Instant::now();
    let mut core = rig.core.calls("alice").await?;
    let gone = rig.tells(core.dialog.outcome().await)?;
    println!(
        "the flow is gone: the core was told after {:?}",
        began.elapsed()
    );
    ensure!(gone.status() == Some(430), "{}", gone.text);

    let phone = rig.device("alice", Kind::Udp).await?;
    let began = Instant::now();
    let mut core = rig.core.calls_with("alice", Offer::Pcmu).await?;
    let mut taken = rig.tells(phone.called().await)?;
    println!(
        "one flow of two is gone: the other one rang after {:?}",
        began.elapsed()
    );
    let answer = phone.answer();
    tokio::try_join!(taken.accepts(&answer), core.is_answered())?;
    tokio::try_join!(taken.hangs_up(), core.takes("BYE"))?;
    Ok(())
}

#[tokio::test]
async fn what_the_core_says_in_a_call_waits_for_a_browser_that_comes_back() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    let mut browser = rig.device("alice", Kind::Wss).await?;
    let answer = browser.answer();
    let mut core = rig.core.calls("alice").await?;
    let mut taken = browser.called().await?;
    tokio::try_join!(taken.accepts(&answer), core.is_answered())?;

    // It registers again on a new connection, as JsSIP does.
    browser.cuts_the_connection();
    rig.figure_is("connections", |open| open == 0).await?;
    let before = rig.figure("transactions").await?;
    let began = Instant::now();
    let back = async {
        // The request is there before the page is.
        rig.figure_is("transactions", |now| now > before).await?;
        browser.reconnects().await?;
        let registered = browser.registers().await?;
        ensure!(registered.status == 200, "{registered:?}");
        taken.takes("UPDATE", &answer).await
    };
    rig.tells(async { tokio::try_join!(back, core.updates_with_sdp()) }.await)?;
    println!(
        "the UPDATE was answered after {:?}, a new connection and a registration",
        began.elapsed()
    );

    rig.tells(async { tokio::try_join!(taken.takes("BYE", ""), core.hangs_up()) }.await)?;
    rig.nothing_stays().await
}

#[tokio::test]
async fn who_reconnects_and_does_not_register_is_found_by_what_he_says_in_a_call() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    let browser = rig.device("alice", Kind::Wss).await?;
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(rig.tells(is_up(&rig, &browser).await)?);
    }
    // SIP.js does not register again.
    browser.cuts_the_connection();
    rig.figure_is("connections", |open| open == 0).await?;
    let before = rig.figure("transactions").await?;
    let (mut taken, mut core) = calls.pop().context("a call")?;
    let (mut other, mut of_other) = calls.pop().context("a call")?;
    let began = Instant::now();
    let back = async {
        // The core has hung up before it is there.
        rig.figure_is("transactions", |now| now > before).await?;
        browser.reconnects().await?;
        says_something(&mut other, &mut of_other).await?;
        taken.takes("BYE", "").await
    };
    rig.tells(async { tokio::try_join!(back, core.hangs_up()) }.await)?;
    println!(
        "a BYE that waited was answered after {:?}, a new connection and an INFO in another call",
        began.elapsed()
    );
    for (mut taken, mut core) in calls.into_iter().chain([(other, of_other)]) {
        rig.tells(async { tokio::try_join!(taken.takes("BYE", ""), core.hangs_up()) }.await)?;
    }
    rig.nothing_stays().await
}

#[tokio::test]
async fn a_phone_whose_nat_opens_another_port_is_found_by_what_it_says_in_a_call() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    let phone = rig.device("alice", Kind::Udp).await?;
    let (mut taken, mut core) = rig.tells(is_up(&rig, &phone).await)?;
    phone.reconnects().await?;
    rig.tells(says_something(&mut taken, &mut core).await)?;
    rig.tells(async { tokio::try_join!(taken.takes("BYE", ""), core.hangs_up()) }.await)?;
    rig.nothing_stays().await
}

async fn is_up(rig: &Rig, device: &Device) -> Result<(Call, CoreCall)> {
    let mut core = rig.core.calls("alice").await?;
    let mut taken = device.called().await?;
    let answer = device.answer();
    tokio::try_join!(taken.accepts(&answer), core.is_answered())?;
    Ok((taken, core))
}

async fn says_something(device: &mut Call, core: &mut CoreCall) -> Result<()> {
    let (answer, _) = tokio::try_join!(device.says("INFO", "", ""), core.takes("INFO"))?;
    ensure!(answer.status() == Some(200), "{}", answer.text);
    Ok(())
}
