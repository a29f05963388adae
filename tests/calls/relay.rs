//! A browser whose network lets nothing through but a TURN server: `[turn]`, and coturn from Debian.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use causeway_tests::baresip::Transport;
use causeway_tests::scene::dial;
use causeway_tests::turn::Turn;

use crate::place::{Place, SharedBrowser};
use causeway_tests::sound::{SECONDS, talks};

const SECRET: &str = "north";
const PATIENCE: Duration = Duration::from_secs(20);
/// The page keeps its connections to itself; its statistics are those that the browser counts.
const KEPT: &str = "window.RTCPeerConnection = class extends RTCPeerConnection { \
     constructor(...all) { super(...all); window.connection = this; } }";
const PAIR: &str = "window.connection.getStats().then((report) => { \
     const rows = [...report.values()]; \
     const pair = rows.find((row) => row.type === 'candidate-pair' && row.nominated && row.state === 'succeeded'); \
     return pair ? rows.find((row) => row.id === pair.localCandidateId).candidateType : ''; })";

pub(crate) async fn a_browser_that_may_only_relay_talks_through_a_turn_server(
    browser: Arc<SharedBrowser>,
) -> Result<()> {
    let mut turn = Turn::start(SECRET).await?;
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let more = |secret: &str| -> Result<String> {
        let file = turn.secret_file(secret)?;
        let url = format!("turn:{}?transport=udp", turn.at);
        Ok(format!(
            "[turn]\nurls = \"{url}\"\nsecret_file = {file:?}\n"
        ))
    };
    let place = Place::start_with(host, browser.clone(), &more(SECRET)?).await?;
    let phone = place.phone("desk1", Transport::Udp).await?;
    let page = place.page_at("alice", "?relay=1").await?;
    page.eval(KEPT).await?;
    dial(&page, "desk1").await?;
    page.state(&["up"]).await?;
    talks(&page, SECONDS).await?;
    let kind = page.eval(PAIR).await?;
    ensure!(kind == "relay", "the media goes by a {kind} candidate");
    page.click("call-hangup").await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await?;
    page.close().await?;
    drop((phone, place));

    // With another secret than the server's there is no relay, and so no audio: the one above was not by chance.
    let place = Place::start_with(host, browser, &more("south")?).await?;
    let _phone = place.phone("desk1", Transport::Udp).await?;
    let page = place.page_at("alice", "?relay=1").await?;
    dial(&page, "desk1").await?;
    let refused = "Cannot find credentials";
    turn.process.wait_for_log(refused, PATIENCE).await.map(drop)
}
