//! The torture messages of RFC 4475 and RFC 5118, sent to a running gateway over UDP, TCP and WSS.
//!
//! What each must lead to stands in `tests/data/torture/expect.json`. They name addresses of others, so all of it runs in
//! a network namespace that has a loopback only: the outer test makes one and starts this program in it again.

mod expected;
mod ground;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use causeway_tests::process::Process;

use expected::Expectations;
use ground::{Ground, Way};

/// How long the whole may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Set for the program that runs inside.
const INSIDE: &str = "CAUSEWAY_TORTURE_INSIDE";

#[tokio::test]
async fn every_torture_message_is_answered_dropped_or_forwarded_as_its_rfc_says() {
    let _turn = crate::siege::TURN.lock().await;
    let own = std::env::current_exe().unwrap();
    let script = "ip link set lo up && exec \"$0\" --exact torture::inside --include-ignored --nocapture --test-threads=1";
    let mut arguments = vec!["--net"];
    let allows = |way: &[&str]| {
        let tried = Command::new("unshare").args(way).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    if !allows(&arguments) {
        // Not root: root in a user namespace of its own is enough to have a loopback.
        arguments.push("--map-root-user");
        assert!(
            allows(&arguments),
            "the messages name addresses of others, so they are played in a network namespace, and this system allows none: \
             run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1; a chroot never has them)"
        );
    }
    let variable = format!("{INSIDE}=1");
    arguments.extend(["env", &variable, "sh", "-c", script, own.to_str().unwrap()]);
    let folder = Process::folder("torture").unwrap();
    let mut inside = Process::start("torture", folder, Path::new("unshare"), &arguments).unwrap();
    let status = inside.wait_for_end(LIMIT).await.unwrap();
    let log = inside.log();
    let summary = log
        .lines()
        .filter_map(|line| line.find("torture: ").map(|at| &line[at..]));
    summary.for_each(|line| println!("{line}"));
    assert!(status.success() && log.contains("1 passed"), "{log}");
}

#[tokio::test]
#[ignore = "runs in a network namespace, started by the test above"]
async fn inside() {
    assert!(
        std::env::var_os(INSIDE).is_some(),
        "not without a network namespace: the messages name addresses of others"
    );
    let expectations = Expectations::read();
    let mut faults = Vec::new();
    let mut ground = Ground::start().await;
    for way in [Way::Udp, Way::Tcp, Way::Wss] {
        let mut counts = std::collections::BTreeMap::new();
        for message in &expectations.messages {
            ground.fresh(way, message).await;
            let seen = ground.send(way, message).await;
            let verdict = message.edge(way.is_stream()).judge(&seen);
            *counts.entry(seen.summary()).or_insert(0) += 1;
            if let Err(why) = verdict {
                faults.push(format!("{} over {way:?}: {why}; {seen:?}", message.name));
            }
            if let Err(why) = ground.answers_options().await {
                faults.push(format!("{} over {way:?}: afterwards {why:#}", message.name));
                ground.restart().await;
            }
        }
        println!(
            "torture: {way:?}: {} messages: {counts:?}",
            expectations.messages.len()
        );
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
