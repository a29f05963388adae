//! Debian's coturn on loopback, with a secret that it shares with whoever makes credentials.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::ports;
use crate::process::Process;

/// Ports of relayed media.
const RELAYS: u16 = 100;
const START: Duration = Duration::from_secs(10);

/// A running TURN server.
#[derive(Debug)]
pub struct Turn {
    /// The process.
    pub process: Process,
    /// Where it takes allocations, UDP.
    pub at: SocketAddr,
}

impl Turn {
    /// Starts one with this secret.
    pub async fn start(secret: &str) -> Result<Self> {
        let folder = Process::folder("turn")?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let first = ports::block(RELAYS);
        let settings = [
            "-n".to_owned(),
            "--verbose".to_owned(),
            "--log-file=stdout".to_owned(),
            "--no-cli".to_owned(),
            "--no-tls".to_owned(),
            "--no-dtls".to_owned(),
            "--no-tcp".to_owned(),
            // Both, the relay and whom it speaks to, are this machine.
            "--allow-loopback-peers".to_owned(),
            "--pidfile=turn.pid".to_owned(),
            "--realm=kit.test".to_owned(),
            "--use-auth-secret".to_owned(),
            format!("--static-auth-secret={secret}"),
            format!("--listening-ip={}", at.ip()),
            format!("--relay-ip={}", at.ip()),
            format!("--listening-port={}", at.port()),
            format!("--min-port={first}"),
            format!("--max-port={}", first + RELAYS - 1),
        ];
        let arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut process = Process::start("turn", folder, Path::new("turnserver"), &arguments)?;
        process.wait_for_log("listener opened", START).await?;
        Ok(Turn { process, at })
    }

    /// A file with a secret, as a gateway takes it.
    pub fn secret_file(&self, secret: &str) -> Result<PathBuf> {
        let path = self.process.path().join(secret);
        std::fs::write(&path, secret)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    }
}
