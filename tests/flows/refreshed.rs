//! Session timers (RFC 4028): a refresh changes nothing, neither a port nor what is heard.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::Kind;
use causeway_tests::scene::Scene;

use crate::pair::{PLAIN, Pair, WITH_BODY};
use causeway_tests::gateway::FAST;

const SOON: Duration = Duration::from_secs(10);
const TIMER: &str = "Session-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_from_either_side_leaves_ports_and_audio_as_they_were() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let mut pair = Pair::talking(&scene, [Kind::Udp, Kind::Udp]).await?;
    for by_caller in [true, false] {
        for (method, has_sdp) in [("INVITE", true), ("UPDATE", true), ("UPDATE", false)] {
            // Twice: the second time RTPEngine has seen the very same before.
            for time in [1, 2] {
                let why =
                    || format!("{method}, SDP: {has_sdp}, by the caller: {by_caller}, {time}");
                let (one, other) = pair.both(by_caller);
                let before = (one.leg.to, other.leg.to);
                let said = |leg: &crate::leg::Leg| match has_sdp {
                    true => leg.sdp("sendrecv"),
                    false => String::new(),
                };
                let (offer, answer) = (said(&one.leg), said(&other.leg));
                let taken = async {
                    let request = other.call.expects(method).await?;
                    let pattern = if has_sdp { WITH_BODY } else { PLAIN };
                    let timer = "Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
                    other
                        .call
                        .answers(&request, "200 OK", pattern, timer, &answer);
                    if method == "INVITE" {
                        other.call.expects("ACK").await?;
                    }
                    anyhow::Ok(request)
                };
                let (answered, request) =
                    tokio::try_join!(one.call.says(method, TIMER, &offer), taken)
                        .with_context(why)?;
                for message in [&answered, &request] {
                    ensure!(
                        message.header("Session-Expires") == Some("1800;refresher=uac"),
                        "{}: {}",
                        why(),
                        message.text
                    );
                    ensure!(message.body().is_empty() != has_sdp, "{}", message.text);
                }
                if has_sdp {
                    one.leg.follows(answered.body())?;
                    other.leg.follows(request.body())?;
                }
                let after = (one.leg.to, other.leg.to);
                ensure!(before == after, "{}: {before:?}, {after:?}", why());
                pair.talk().await.with_context(why)?;
            }
        }
    }
    pair.hang_up(false).await?;
    scene.nothing_stays(SOON).await
}
