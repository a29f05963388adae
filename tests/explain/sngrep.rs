//! Debian's sngrep reads what we write, and hears what we tell Homer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_tests::process::Process;
use causeway_tests::{ports, wait};

use crate::ladder::{ctl, pair};

const SOON: Duration = Duration::from_secs(15);

/// sngrep without its screen: what it takes for SIP it writes to the file that comes back.
fn sngrep(arguments: &[&str]) -> (Process, PathBuf) {
    let folder = Process::folder("sngrep").unwrap();
    let written = folder.path().join("written.pcap");
    let own = ["-F", "-N", "-q", "-O", "written.pcap"];
    let arguments = [&own[..], arguments].concat();
    let process = Process::start("sngrep", folder, Path::new("sngrep"), &arguments).unwrap();
    (process, written)
}

/// How often a text stands in a file.
fn count(file: &Path, text: &str) -> usize {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes
        .windows(text.len())
        .filter(|part| *part == text.as_bytes())
        .count()
}

#[tokio::test]
async fn sngrep_reads_a_capture_file_and_hears_what_homer_is_told() {
    let hep = ports::free_address();
    let (listening, heard) = sngrep(&["-L", &format!("udp:{hep}")]);
    let port = format!(":{:04X} ", hep.port());
    let listens = || std::fs::read_to_string("/proc/net/udp").is_ok_and(|all| all.contains(&port));
    assert!(wait::until(SOON, listens).await, "{}", listening.log_tail());
    let pair = pair(&format!("[trace]\nhep = \"udp:{hep}\"\n")).await;
    let call_id = pair.whole_call().await;
    let file = pair.scene.gateway.path().join("call.pcap");
    let file = file.to_str().unwrap();
    ctl(&pair.scene, &["call", &call_id, "--pcap", file])
        .await
        .unwrap();
    let (mut reading, read) = sngrep(&["-I", file]);
    let status = reading.wait_for_end(SOON).await.unwrap();
    assert!(status.success(), "{}", reading.log_tail());

    // What RTPEngine was told is in the file, too.
    let header = format!("Call-ID: {call_id}\r\n");
    let written = count(Path::new(file), &header);
    assert!(written > 0);
    assert_eq!(count(&read, &header), written, "{}", reading.log_tail());
    let all = || count(&heard, &header) >= written;
    assert!(
        wait::until(SOON, all).await,
        "{} of {written}: {}",
        count(&heard, &header),
        listening.log_tail()
    );
}
