//! Where a fault takes place: a gateway beside an RTPEngine, and the record of the call when it is over.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use causeway_tests::scene::Scene;
use causeway_tests::{http, wait};
use serde_json::Value;

/// The times of RFC 3261, a fifth as long: 64·T1 is 6.4 s.
pub(crate) const FAST: &str =
    "[timers]\nt1 = \"100ms\"\nt4 = \"1s\"\ntimer_c = \"10s\"\ndevice_wait = \"1s\"\n";
/// How long a record may take to appear when the last message has passed.
const SOON: Duration = Duration::from_secs(30);

/// A scene with short times, and more users.
pub(crate) async fn scene(users: &[String]) -> Result<Scene> {
    Scene::start_with(users, FAST).await
}

/// The record of a call that is over, when it is there.
pub(crate) async fn record(admin: SocketAddr, call_id: &str) -> Result<Value> {
    let found = std::sync::Mutex::new(None);
    let there = wait::until_async(SOON, || async {
        let Ok((200, body)) = http::get(admin, "/calls/ended?limit=1000").await else {
            return false;
        };
        let Ok(answer) = serde_json::from_str::<Value>(&body) else {
            return false;
        };
        let calls = answer["calls"].as_array().cloned().unwrap_or_default();
        let record = calls.into_iter().find(|call| call["call_id"] == call_id);
        let is_there = record.is_some();
        if let Ok(mut found) = found.lock() {
            *found = record;
        }
        is_there
    });
    if !there.await {
        bail!("no record of {call_id}");
    }
    found
        .into_inner()
        .ok()
        .flatten()
        .context("a record was there")
}

/// The verdict of a call must be this; prints its row of the table.
pub(crate) async fn verdict(
    scene: &Scene,
    fault: &str,
    call_id: &str,
    want: &str,
) -> Result<Value> {
    let record = record(scene.admin, call_id).await?;
    println!(
        "{fault:45} | {want:22} | {}",
        record["words"].as_str().unwrap_or_default()
    );
    ensure!(
        record["verdict"] == want,
        "{fault}: not {want}, but {record:#}\n{}",
        scene.gateway.process.log_tail()
    );
    // The same is said in the log, and counted.
    let status = scene.status().await?;
    ensure!(
        status["ended"][want].as_u64() >= Some(1),
        "{want} is not counted: {}",
        status["ended"]
    );
    Ok(record)
}
