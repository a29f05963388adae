//! Devices on all five transports, before the core: they register with two REGISTERs, are called and call, and what FreeSWITCH
//! does inside a call reaches them.

use anyhow::{Result, ensure};
use causeway_tests::agent::{Device, Kind, Message};
use causeway_tests::core::Script;

use crate::rig::{Calls, Rig};

#[tokio::test]
async fn devices_on_all_five_transports_register_are_called_and_call() -> Result<()> {
    let rig = Rig::start(Calls::ToTheCore).await?;
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
    let offer = device.offer();
    let dial = async {
        let mut phone = device.calls("9196", &offer).await?;
        phone.is_answered("").await?;
        anyhow::Ok(phone)
    };
    let (mut phone, mut core) = tokio::try_join!(dial, rig.core.answers_with(Script::AtOnce))?;
    tokio::try_join!(phone.hangs_up(), core.takes("BYE"))?;
    Ok(())
}
