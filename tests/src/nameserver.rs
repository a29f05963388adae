//! Debian's dnsmasq as a name server of its own: it answers with the records that a test gives it, and asks nobody.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::ports;
use crate::process::Process;

/// A running dnsmasq.
#[derive(Debug)]
pub struct NameServer {
    process: Process,
    folder: Arc<TempDir>,
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
}

impl NameServer {
    /// Starts it with these lines of configuration, for example `host-record=a.example,127.0.0.2,5`; `ttl` is that of all
    /// records that name none.
    pub async fn start(ttl: Duration, records: &[&str]) -> Result<Self> {
        let folder = Arc::new(Process::folder("dnsmasq")?);
        let address = ports::free_address();
        let process = run(&folder, address, ttl, records).await?;
        Ok(Self {
            process,
            folder,
            address,
        })
    }

    /// Other records from now on, at the same address.
    pub async fn change(&mut self, ttl: Duration, records: &[&str]) -> Result<()> {
        self.kill();
        self.process = run(&self.folder, self.address, ttl, records).await?;
        Ok(())
    }

    /// `kill -9`: nobody answers any more.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// How often it was asked for a name, since its records were changed last.
    pub fn asked_for(&self, name: &str) -> usize {
        let log = self.process.log();
        log.lines()
            .filter(|line| line.contains("query[") && line.contains(name))
            .count()
    }
}

async fn run(
    folder: &Arc<TempDir>,
    address: SocketAddr,
    ttl: Duration,
    records: &[&str],
) -> Result<Process> {
    let file = folder.path().join("dnsmasq.conf");
    let fixed = format!(
        "port={}\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\nno-daemon\nlog-queries\nlog-facility=-\n\
         local-ttl={}\nlocal=/example/\npid-file=\nuser=\n",
        address.port(),
        address.ip(),
        ttl.as_secs()
    );
    std::fs::write(&file, fixed + &records.join("\n") + "\n")?;
    let argument = format!("--conf-file={}", file.display());
    let mut process = Process::start(
        "dnsmasq",
        folder.clone(),
        Path::new("dnsmasq"),
        &[&argument],
    )?;
    process
        .wait_for_log("started, version", Duration::from_secs(10))
        .await?;
    Ok(process)
}
