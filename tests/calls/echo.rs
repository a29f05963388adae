//! SIPp as the far side: it sends back what it hears, so whoever calls it hears itself.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use causeway_tests::baresip::Transport;
use causeway_tests::ports;
use causeway_tests::scene::{DOMAIN, PASSWORD, dial};
use causeway_tests::sipp::{Run, Sipp};

use crate::place::Place;
use causeway_tests::sound::{SECONDS, talks};

/// How long SIPp may take to its end after the last call.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn a_phone_calls_sipp_and_hears_itself(place: &Place) -> Result<()> {
    let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let mut echo = register_echo(place, transports.len()).await?;
    for transport in transports {
        let mut phone = place.phone("desk1", transport).await?;
        phone.dial(&format!("sip:sipp@{DOMAIN}")).await?;
        phone.event("CALL_ESTABLISHED").await?;
        phone.hears(440, f64::from(SECONDS)).await?;
        phone.hang_up().await?;
        place.engine_is_empty().await?;
    }
    echo.succeeds(PATIENCE).await.map(drop)
}

pub(crate) async fn a_browser_calls_sipp_and_hears_itself(place: &Place) -> Result<()> {
    let mut echo = register_echo(place, 1).await?;
    let page = place.page("alice").await?;
    dial(&page, "sipp").await?;
    page.state(&["up"]).await?;
    talks(&page, SECONDS).await?;
    page.click("call-hangup").await?;
    echo.succeeds(PATIENCE).await?;
    place.engine_is_empty().await
}

/// Registers `sipp` at a port, and lets it answer so many calls there.
async fn register_echo(place: &Place, calls: usize) -> Result<Sipp> {
    let local = Some(SocketAddr::new(place.sip.ip(), ports::free()));
    let register = Run {
        keys: vec![("user", "sipp"), ("domain", DOMAIN)],
        more: vec!["-au", "sipp", "-ap", PASSWORD],
        local,
        ..Run::client("register", place.sip)
    };
    register.to_the_end().await?;
    let answer = Run {
        local,
        calls: u32::try_from(calls)?,
        more: vec!["-rtp_echo"],
        ..Run::server("answer")
    };
    answer.start()
}
