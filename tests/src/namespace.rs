//! A network namespace for a test that needs addresses of others, or cables that lose something: the outer test makes one and
//! starts this program in it again, for an inner test that is ignored otherwise.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::Process;

/// Set for the program that runs inside.
const INSIDE: &str = "CAUSEWAY_TEST_INSIDE";

/// Plays `inner` (its whole path) in a namespace of its own, after `setup`, commands of a shell; prints the lines that
/// begin with `tell` in what it said.
///
/// # Errors
/// When this system allows no namespace, or the inner test fails: what it said.
pub async fn play(inner: &str, setup: &str, tell: &str, limit: Duration) -> Result<()> {
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a path in UTF-8")?;
    let script = format!(
        "set -e; ip link set lo up; {setup}\n\
         exec \"$0\" --exact {inner} --include-ignored --nocapture --test-threads=1"
    );
    let mut arguments = vec!["--net"];
    let allows = |way: &[&str]| {
        let tried = Command::new("unshare").args(way).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    if !allows(&arguments) {
        // Not root: root in a user namespace of its own is enough to have a network.
        arguments.push("--map-root-user");
        ensure!(
            allows(&arguments),
            "this is played in a network namespace with addresses of others, and this system allows none: \
             run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1; a chroot never has them)"
        );
    }
    let variable = format!("{INSIDE}=1");
    arguments.extend(["env", &variable, "sh", "-c", &script, own]);
    let folder = Process::folder("namespace")?;
    let mut inside = Process::start("namespace", folder, Path::new("unshare"), &arguments)?;
    let status = inside.wait_for_end(limit).await?;
    let log = inside.log();
    let told = log
        .lines()
        .filter_map(|line| line.find(tell).map(|at| &line[at..]));
    told.for_each(|line| println!("{line}"));
    ensure!(status.success() && log.contains("1 passed"), "{log}");
    Ok(())
}

/// Stops an inner test that was started by itself.
///
/// # Panics
/// Then.
pub fn must_be_inside() {
    assert!(
        std::env::var_os(INSIDE).is_some(),
        "not without a network namespace: the test of the same file plays this one in it"
    );
}
