//! Devices on all five transports, before the core: they register with two REGISTERs, are called and call, and what FreeSWITCH
//! does inside a call reaches them.

use std::time::Duration;

use anyhow::{Result, ensure};
use causeway_tests::agent::{Call, Device, Kind, Message};
use causeway_tests::core::{Call as CoreCall, Offer, Script};

use causeway_tests::wait;

use crate::rig::{Calls, Rig};

/// How long RTPEngine takes for an answer that the next message could overtake.
const SLOW: Duration = Duration::from_millis(150);
/// How long everything else may take.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn devices_on_all_five_transports_register_are_called_and_call() -> Result<()> {
    all_five("udp").await
}

/// Then a registrar stays in the way with two Record-Routes, one for each of its sides.
#[tokio::test]
async fn devices_on_all_five_transports_reach_registrars_over_tcp() -> Result<()> {
    all_five("tcp").await
}

async fn all_five(to_registrars: &str) -> Result<()> {
    let rig = Rig::start_over(to_registrars, Calls::ToTheCore, true).await?;
    for kind in Kind::ALL {
        let user = format!("user-{}", kind.name().to_lowercase());
        let device = rig.device(&user, kind).await?;
        ensure!(
            rig.challenges(&user) == (1, 1),
            "{kind:?}: {:?}",
            rig.challenges(&user)
        );
        rig.tells(is_called(&rig, &device, &user).await)?;
        rig.tells(calls(&rig, &device).await)?;
    }
    rig.nothing_stays().await
}

/// FreeSWITCH calls, holds, takes back, says who it is, and hangs up.
async fn is_called(rig: &Rig, device: &Device, user: &str) -> Result<()> {
    let (answer, held) = (device.answer(), device.sdp("recvonly", "active"));
    let mut core = rig.core.calls(user).await?;
    let mut phone = device.called().await?;
    phone.rings();
    core.rings().await?;
    tokio::try_join!(phone.accepts(&answer), core.is_answered())?;
    let (hold, _) = tokio::try_join!(phone.takes("INVITE", &held), core.holds())?;
    ensure!(
        hold.body().contains("a=sendonly"),
        "not held: {}",
        hold.text
    );
    let (resume, _) = tokio::try_join!(phone.takes("INVITE", &answer), core.resumes())?;
    ensure!(
        !resume.body().contains("a=sendonly"),
        "still held: {}",
        resume.text
    );
    let (update, _) = tokio::try_join!(phone.takes("UPDATE", &answer), core.updates_with_sdp())?;
    says_who(&update)?;
    tokio::try_join!(phone.takes("BYE", ""), core.hangs_up())?;
    Ok(())
}

/// What the UPDATE was sent for, and an edge that forgot its SDP would let the core's address through.
fn says_who(update: &Message) -> Result<()> {
    let asserted = update.header("P-Asserted-Identity").unwrap_or_default();
    ensure!(asserted.contains("NewName"), "nobody: {}", update.text);
    ensure!(
        !update.body().contains("o=FreeSWITCH 1795409102"),
        "{}",
        update.text
    );
    Ok(())
}

/// It is challenged once, and hangs up itself.
async fn calls(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = rig.talks(device).await?;
    tokio::try_join!(phone.hangs_up(), core.takes("BYE"))?;
    Ok(())
}

#[tokio::test]
async fn what_freeswitch_does_with_a_call_reaches_phone_and_browser() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
    for kind in [Kind::Udp, Kind::Wss] {
        let device = rig.device(kind.name(), kind).await?;
        rig.tells(two_lines_are_offered_as_one(&rig, &device).await)?;
        rig.tells(an_offer_is_asked_for(&rig, &device).await)?;
        rig.tells(a_timer_is_refreshed(&rig, &device).await)?;
        rig.tells(a_key_is_pressed_from_afar(&rig, &device).await)?;
        rig.tells(nobody_answers(&rig, &device).await)?;
        rig.tells(it_rings_with_audio(&rig, &device).await)?;
        rig.tells(what_rings_is_acknowledged(&rig, &device).await)?;
        rig.tells(the_answer_is_an_offer(&rig, &device).await)?;
        rig.tells(somebody_else_is_to_be_called(&rig, &device).await)?;
    }
    rig.nothing_stays().await
}

/// FreeSWITCH calls with this offer, and the call is up; the INVITE as the device got it is in its call.
async fn up(rig: &Rig, device: &Device, offer: Offer) -> Result<(Call, CoreCall)> {
    let own = if offer == Offer::Late {
        device.offer()
    } else {
        device.answer()
    };
    let mut core = rig.core.calls_with(&device.user, offer).await?;
    let mut phone = device.called().await?;
    tokio::try_join!(phone.accepts(&own), core.is_answered())?;
    Ok((phone, core))
}

async fn hang_up(phone: &mut Call, core: &mut CoreCall) -> Result<()> {
    tokio::try_join!(phone.takes("BYE", ""), core.hangs_up())?;
    Ok(())
}

/// `f1`: RTPEngine makes two of them, with two ports; a phone or browser is offered one.
async fn two_lines_are_offered_as_one(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = up(rig, device, Offer::TwoLines).await?;
    let lines = lines(&phone.invite);
    ensure!(lines == 1, "{lines} lines: {}", phone.invite.text);
    hang_up(&mut phone, &mut core).await
}

/// How many lines of audio are not refused or taken back by port 0.
fn lines(message: &Message) -> usize {
    let all = message.body().matches("m=audio ").count();
    all - message.body().matches("m=audio 0 ").count()
}

/// `f4`: the offer is in the 200, the answer in the ACK.
async fn an_offer_is_asked_for(rig: &Rig, device: &Device) -> Result<()> {
    let mut core = rig.core.calls_with(&device.user, Offer::Late).await?;
    let mut phone = device.called().await?;
    ensure!(phone.invite.body().is_empty(), "{}", phone.invite.text);
    let offer = device.offer();
    let (ack, answer) = tokio::try_join!(phone.accepts(&offer), core.is_answered())?;
    ensure!(ack.body().contains("m=audio"), "no answer: {}", ack.text);
    ensure!(
        answer.body().contains(" RTP/AVP "),
        "not plain: {}",
        answer.text
    );
    hang_up(&mut phone, &mut core).await
}

/// `h1`: who refreshes stays said, and the refresh arrives with its SDP.
async fn a_timer_is_refreshed(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = up(rig, device, Offer::Timer).await?;
    let said = |message: &Message| message.header("Session-Expires") == Some("120;refresher=uac");
    ensure!(said(&phone.invite), "{}", phone.invite.text);
    let answer = device.answer();
    let (refresh, _) = tokio::try_join!(phone.takes("INVITE", &answer), core.refreshes())?;
    ensure!(
        said(&refresh) && refresh.header("Min-SE") == Some("90"),
        "{}",
        refresh.text
    );
    hang_up(&mut phone, &mut core).await
}

/// `p3`: NOTIFY with Event: talk.
async fn a_key_is_pressed_from_afar(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = up(rig, device, Offer::Pcmu).await?;
    let (notify, _) = tokio::try_join!(phone.takes("NOTIFY", ""), core.notifies_talk())?;
    ensure!(notify.header("Event") == Some("talk"), "{}", notify.text);
    hang_up(&mut phone, &mut core).await
}

/// `i2`: the phone is told why, so that it shows what was missed, or does not. Kamailio relays Reason as it is.
async fn nobody_answers(rig: &Rig, device: &Device) -> Result<()> {
    let mut core = rig.core.calls(&device.user).await?;
    let mut phone = device.called().await?;
    phone.rings();
    core.rings().await?;
    let (cancel, outcome) = tokio::try_join!(phone.is_cancelled(), core.cancels())?;
    ensure!(outcome.status() == Some(487), "{}", outcome.text);
    let reason = cancel.header("Reason");
    ensure!(
        reason == Some("Q.850;cause=19;text=\"NO_ANSWER\""),
        "{}",
        cancel.text
    );
    Ok(())
}

/// A call of the device, and the core's part in it.
async fn answered(
    rig: &Rig,
    device: &Device,
    script: Script,
    more: &str,
) -> Result<(Call, CoreCall)> {
    let (offer, answer) = (device.offer(), device.answer());
    let (offer, answer) = if script == Script::LateOffer {
        ("", answer.as_str())
    } else {
        (offer.as_str(), "")
    };
    let dial = async {
        let mut phone = device.calls_with("9196", more, offer).await?;
        if script == Script::Prack {
            phone.acknowledges_early().await?;
        }
        let answered = phone.is_answered(answer).await?;
        if script == Script::LateOffer {
            let lines = lines(&answered);
            ensure!(lines == 1, "{lines} lines: {}", answered.text);
        }
        anyhow::Ok(phone)
    };
    tokio::try_join!(dial, rig.core.answers_with(script))
}

/// `c1`: 183 with SDP, for whose answer RTPEngine takes its time: the 200 waits behind it.
async fn it_rings_with_audio(rig: &Rig, device: &Device) -> Result<()> {
    let asked = rig.relay.seen("answer");
    rig.relay.delays_next("answer", SLOW);
    let dial = async {
        let mut phone = device.calls_with("9196", "", &device.offer()).await?;
        phone.is_answered("").await?;
        anyhow::Ok(phone)
    };
    let ring = async {
        let mut core = rig.core.answers_with(Script::EarlyMedia).await?;
        // Two packets that follow each other at once may overtake each other in Kamailio.
        ensure!(
            wait::until(SOON, || rig.relay.seen("answer") > asked).await,
            "RTPEngine was not asked about the 183"
        );
        core.accepts().await?;
        anyhow::Ok(core)
    };
    let (mut phone, mut core) = tokio::try_join!(dial, ring)?;
    let received = device.endpoint().received();
    let answers: Vec<_> = received
        .iter()
        .filter(|message| message.call_id() == phone.call_id)
        .filter(|message| matches!(message.status(), Some(183 | 200)))
        .collect();
    let order: Vec<_> = answers.iter().map(|message| message.status()).collect();
    ensure!(order == [Some(183), Some(200)], "{order:?}");
    ensure!(
        answers[0].body().contains("m=audio")
            && !answers[0].body().contains("o=FreeSWITCH 1795409213"),
        "not RTPEngine's SDP: {}",
        answers[0].text
    );
    tokio::try_join!(phone.hangs_up(), core.takes("BYE"))?;
    Ok(())
}

/// `c3`: the answer is in the 183, the PRACK passes, and the 200 has none.
async fn what_rings_is_acknowledged(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = answered(rig, device, Script::Prack, "Require: 100rel\r\n").await?;
    tokio::try_join!(phone.hangs_up(), core.takes("BYE"))?;
    Ok(())
}

/// `f2`: the device asks for an offer, and is offered one line of two.
async fn the_answer_is_an_offer(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = answered(rig, device, Script::LateOffer, "").await?;
    tokio::try_join!(phone.hangs_up(), core.takes("BYE"))?;
    Ok(())
}

/// `g2`: FreeSWITCH takes the Contact of the 202 or NOTIFY for its new target, and yet its BYE arrives.
async fn somebody_else_is_to_be_called(rig: &Rig, device: &Device) -> Result<()> {
    let (mut phone, mut core) = answered(rig, device, Script::AtOnce, "").await?;
    let (refer, _) = tokio::try_join!(phone.takes("REFER", ""), core.refers())?;
    ensure!(refer.header("Refer-To").is_some(), "{}", refer.text);
    let trying = "Event: refer\r\nSubscription-State: active;expires=60\r\n";
    let (notified, notify) =
        tokio::try_join!(phone.says("NOTIFY", trying, ""), core.takes("NOTIFY"))?;
    ensure!(notified.status() == Some(200), "{}", notified.text);
    core.dialog.target = notify.uri_of("Contact").unwrap_or_default().to_owned();
    hang_up(&mut phone, &mut core).await
}
