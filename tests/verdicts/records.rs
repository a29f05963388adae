//! Where records go: a file that is rotated away, `causeway ctl`, the metrics.

use std::process::Command;
use std::time::Duration;

use causeway_tests::agent::Kind;
use causeway_tests::gateway::binary;
use causeway_tests::scene::Scene;
use causeway_tests::{http, wait};

use crate::stage::{FAST, record};

#[tokio::test]
async fn a_record_is_in_the_file_the_table_the_log_and_the_metrics() {
    let more = format!("{FAST}[calls]\nrecords = \"@FOLDER@/calls.jsonl\"\n");
    let scene = Scene::start_with(&[], &more).await.unwrap();
    let alice = scene.device("alice", Kind::Tcp).await.unwrap();
    let file = scene.gateway.path().join("calls.jsonl");
    let mut ids = Vec::new();
    for turn in 0..2 {
        let mut call = alice.calls("carol", &alice.offer()).await.unwrap();
        call.outcome().await.unwrap();
        record(scene.admin, &call.call_id).await.unwrap();
        let line = format!("\"call_id\":\"{}\"", call.call_id);
        let is_there = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&line));
        assert!(
            wait::until(Duration::from_secs(10), is_there).await,
            "{line}"
        );
        if turn == 0 {
            std::fs::rename(&file, file.with_extension("1")).unwrap();
        }
        ids.push(call.call_id);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed["verdict"], "not_registered");

    let admin = scene.admin.to_string();
    let told = Command::new(binary().unwrap())
        .args(["ctl", "calls", "--ended", "--limit", "1", "--admin", &admin])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(&ids[1]) && !told.contains(&ids[0]), "{told}");
    assert!(
        told.contains("The called user has no device now."),
        "{told}"
    );

    let (_, metrics) = http::get(scene.admin, "/metrics").await.unwrap();
    let wanted = "causeway_ended_calls_total{verdict=\"not_registered\"} 2";
    assert!(metrics.contains(wanted), "{metrics}");
    let log = scene.gateway.process.log();
    assert!(
        log.contains("causeway::call") && log.contains(&ids[0]),
        "{log}"
    );
}
