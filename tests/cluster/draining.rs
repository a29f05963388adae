//! A member that is taken out of service while the node runs, as an operator does it: `causeway ctl`.

use std::process::Command;

use causeway_tests::gateway;

use crate::members::{NO_PROBE, Stage, arrived, receive};

/// Runs `causeway ctl`; whether it was content, and what it said.
async fn ctl(stage: &Stage, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(gateway::binary().unwrap());
    command
        .args(["ctl", "--admin", &stage.admin.to_string()])
        .args(arguments);
    let run = move || command.output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The line of a member in the table.
async fn line(stage: &Stage, member: usize) -> String {
    let (_, table) = ctl(stage, &["status"]).await;
    let at = stage.members[member].local_addr().unwrap().to_string();
    let line = table.lines().find(|line| line.contains(&at));
    line.unwrap_or_else(|| panic!("{at} is not in\n{table}"))
        .to_owned()
}

#[tokio::test]
async fn a_member_that_is_drained_gets_nothing_new_until_it_serves_again() {
    let stage = Stage::set(NO_PROBE).await;
    stage.send("MESSAGE", "").await;
    let (member, pending, edge) = stage.first("MESSAGE ").await;
    let name = stage.members[member].local_addr().unwrap().to_string();
    assert!(line(&stage, member).await.contains("serves"));

    let (done, said) = ctl(&stage, &["drain", "core", &name]).await;
    assert_eq!(
        (done, said),
        (true, format!("{name} of core gets nothing new\n"))
    );
    assert!(line(&stage, member).await.contains("drained"));
    // The same user's next request goes to the other one, though both live.
    stage.send("OPTIONS", "").await;
    let (options, _) = receive(&stage.members[1 - member], "OPTIONS sip:bob").await;
    stage.answer(1 - member, &options, edge, "200 OK", "").await;
    receive(&stage.phone, "SIP/2.0 200 ").await;
    assert_eq!(arrived(&stage.members[member], "OPTIONS sip:bob"), 0);
    // What it had is still its own.
    stage
        .answer(member, &pending, edge, "202 Accepted", "")
        .await;
    receive(&stage.phone, "SIP/2.0 202 ").await;

    let (done, said) = ctl(&stage, &["undrain", "core", &format!("sip:{name}")]).await;
    assert_eq!(
        (done, said),
        (true, format!("{name} of core serves again\n"))
    );
    stage.send("INVITE", "").await;
    receive(&stage.members[member], "INVITE ").await;
}

#[tokio::test]
async fn an_order_that_means_nobody_is_refused_in_words() {
    let stage = Stage::set(NO_PROBE).await;
    let (done, said) = ctl(&stage, &["drain", "core", "10.9.9.9"]).await;
    assert!(
        !done && said.contains("group \"core\" has no member \"10.9.9.9\""),
        "{said}"
    );
    let (done, said) = ctl(&stage, &["drain", "cores", "10.9.9.9"]).await;
    assert!(!done && said.contains("group \"cores\""), "{said}");
    let (done, said) = ctl(&stage, &["status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(
        done && status["members"].as_array().unwrap().len() == 2,
        "{said}"
    );
    // Nobody is there.
    let nowhere = Command::new(gateway::binary().unwrap())
        .args(["ctl", "--admin", "127.0.0.1:1", "status"])
        .output()
        .unwrap();
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        !nowhere.status.success() && said.contains("no node answers at 127.0.0.1:1"),
        "{said}"
    );
}
