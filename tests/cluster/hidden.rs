//! What devices see of the core where the topology is hidden from them, and what both sides see of an edge behind a NAT: every byte
//! that they got is looked at.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use causeway_tests::agent::{Device, Endpoint, Kind};

use crate::rig::{Calls, Rig, Shape};

/// A call of the core with all that it does inside one, a transfer that quotes its Contact, and a call of the device.
async fn calls_both_ways(rig: &Rig, device: &Device, user: &str) -> Result<()> {
    let answer = device.answer();
    let mut core = rig.core.calls(user).await?;
    let mut phone = device.called().await?;
    phone.rings();
    core.rings().await?;
    tokio::try_join!(phone.accepts(&answer), core.is_answered())?;
    let held = device.sdp("recvonly", "active");
    tokio::try_join!(phone.takes("INVITE", &held), core.holds())?;
    tokio::try_join!(phone.takes("UPDATE", &answer), core.updates_with_sdp())?;

    // A transfer: the device names the Contact that it knows of the core.
    let quoted = phone.target.clone();
    let refer = format!(
        "Refer-To: <{quoted}?Replaces=c1%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\nReferred-By: <{}>\r\n",
        phone
            .local
            .split(';')
            .next()
            .unwrap_or_default()
            .trim_matches(['<', '>'])
    );
    let (_, referred) = tokio::try_join!(phone.says("REFER", &refer, ""), core.takes("REFER"))?;
    let own = rig.core.endpoint().own();
    let to = referred.header("Refer-To").unwrap_or_default();
    ensure!(
        to.contains(&format!("@{own}?Replaces=c1%3B")) || to.contains(&format!("@{own};")),
        "the core is to call itself: {}",
        referred.text
    );
    ensure!(
        referred.start().contains(&own.to_string()),
        "{}",
        referred.text
    );
    tokio::try_join!(phone.takes("BYE", ""), core.hangs_up())?;

    let (mut phone, mut core) = rig.talks(device).await?;
    tokio::try_join!(phone.takes("INVITE", &answer), core.holds())?;
    tokio::try_join!(phone.hangs_up(), core.takes("BYE"))?;
    Ok(())
}

/// None of these stands in anything that it got.
fn never_sees(who: &Endpoint, addresses: &[SocketAddr]) -> Result<()> {
    let received = who.received();
    ensure!(received.len() > 8, "{} messages", received.len());
    for message in received {
        for address in addresses {
            // The ports tell them apart: all is on one address here.
            let port = format!(":{}", address.port());
            ensure!(
                !message.text.contains(&port),
                "{address} in {}",
                message.text
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_device_never_sees_an_address_of_the_core() -> Result<()> {
    let shape = Shape {
        public: "hide_topology = true",
        ..Shape::default()
    };
    let rig = Rig::start_as(&shape, Calls::ToTheCore).await?;
    let [one, other] = rig.registrars.each_ref().map(|registrar| registrar.address);
    let addresses = [one, other, rig.core.endpoint().own(), rig.inner];
    for kind in [Kind::Udp, Kind::Wss] {
        let user = format!("hidden-{}", kind.name().to_lowercase());
        let device = rig.device(&user, kind).await?;
        rig.tells(calls_both_ways(&rig, &device, &user).await)?;
        never_sees(device.endpoint(), &addresses)?;
    }
    rig.nothing_stays().await
}

#[tokio::test]
async fn behind_a_nat_the_edge_is_called_by_the_name_outside() -> Result<()> {
    // 1:1 NAT: bound inside, called otherwise outside.
    let shape = Shape {
        public: "advertise = \"env:PUBLIC_ADDRESS\"",
        environment: Some("PUBLIC_ADDRESS=198.51.100.20"),
        ..Shape::default()
    };
    let rig = Rig::start_as(&shape, Calls::ToTheCore).await?;
    for kind in [Kind::Udp, Kind::Tcp] {
        let user = format!("nat-{}", kind.name().to_lowercase());
        let device = rig.device(&user, kind).await?;
        rig.tells(calls_both_ways(&rig, &device, &user).await)?;
        let outside = format!("198.51.100.20:{}", rig.server(kind).port());
        let bound = rig.server(kind).to_string();
        // The core is inside, where the edge is called as it is bound; but never by the devices' side.
        for (who, name) in [
            (device.endpoint(), &outside),
            (rig.core.endpoint(), &rig.inner.to_string()),
        ] {
            let received = who.received();
            let named = |header: &str| {
                let mut values = received.iter().flat_map(|message| message.values(header));
                values.any(|value| value.contains(name.as_str()))
            };
            ensure!(
                named("Via") && named("Record-Route"),
                "{name} is named nowhere"
            );
            // A request line and To are the sender's own words.
            for header in ["Via", "Record-Route", "Path", "Contact"] {
                let mut values = received.iter().flat_map(|message| message.values(header));
                let found = values.find(|value| value.contains(&bound));
                ensure!(found.is_none(), "{header} names {bound}: {found:?}");
            }
        }
    }
    rig.nothing_stays().await
}
