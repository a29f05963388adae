//! RTPEngine as a child process in userspace: no kernel module, no privileges, no configuration file.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail};
use rtpengine_client::command::Ping;
use rtpengine_client::{Client, ClientConfig};
use tokio::process::{Child, Command};

/// How long it may take to answer the first ping.
const START: Duration = Duration::from_secs(10);
/// Ports for media: four for a call without RTCP multiplexing, twice.
const PORTS: (u16, u16) = (30_000, 30_999);

/// A running RTPEngine; it ends with this value.
pub(super) struct RtpEngine {
    /// Where it takes commands.
    pub(super) ng: SocketAddr,
    child: Mutex<Option<Child>>,
}

/// Starts it for media at `host`, with its log in `data`.
pub(super) async fn start(host: IpAddr, data: &Path) -> anyhow::Result<RtpEngine> {
    let ng = free_udp()?;
    let log_path = data.join("rtpengine.log");
    let log =
        File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let spawned = Command::new("rtpengine")
        .args(arguments(host, ng))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "rtpengine is not installed: `apt install rtpengine-daemon`, or `make run`, which does it"
            )
        }
        Err(error) => return Err(error).context("rtpengine could not be started"),
    };
    let answered = async {
        tokio::select! {
            answered = answers(ng) => answered,
            status = child.wait() => bail!(
                "rtpengine ended at once ({}); its log is {}",
                status?,
                log_path.display()
            ),
        }
    };
    let waited = tokio::time::timeout(START, answered).await;
    waited.with_context(|| {
        format!(
            "rtpengine does not answer; its log is {}",
            log_path.display()
        )
    })??;
    Ok(RtpEngine {
        ng,
        child: Mutex::new(Some(child)),
    })
}

/// Its command line: in userspace, with its log on standard error.
pub(super) fn arguments(host: IpAddr, ng: SocketAddr) -> Vec<String> {
    let fixed = [
        "--config-file=none",
        "--table=-1",
        "--foreground",
        "--log-stderr",
        "--log-level=5",
        "--num-threads=2",
    ];
    let mut arguments = fixed.map(str::to_owned).to_vec();
    arguments.extend([
        format!("--interface={host}"),
        format!("--listen-ng={ng}"),
        format!("--port-min={}", PORTS.0),
        format!("--port-max={}", PORTS.1),
    ]);
    arguments
}

/// Waits until whoever takes commands there answers.
pub(super) async fn answers(ng: SocketAddr) -> anyhow::Result<()> {
    let client = Client::connect(ClientConfig::new(ng)).await?;
    while client
        .request_within(&Ping, Duration::from_millis(250))
        .await
        .is_err()
    {
        // A refused datagram comes back at once: not in a hot loop.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

impl RtpEngine {
    /// Waits until it ends by itself, which it should not.
    pub(super) async fn ended(&self) -> anyhow::Result<()> {
        let child = self.child.lock().ok().and_then(|mut child| child.take());
        let Some(mut child) = child else {
            return std::future::pending().await;
        };
        let status = child.wait().await?;
        bail!("rtpengine ended ({status})")
    }
}

/// Where nobody listens now.
pub(super) fn free_udp() -> anyhow::Result<SocketAddr> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
