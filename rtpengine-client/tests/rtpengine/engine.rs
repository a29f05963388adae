//! A real RTPEngine, in user space on free loopback ports, killed when dropped.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rtpengine_client::command::{Ping, Statistics};
use rtpengine_client::{Client, ClientConfig};

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RtpEngine {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl RtpEngine {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> RtpEngine {
        RtpEngine::start_with(free_port(), &[]).await
    }

    /// Starts one on this ng port, with more arguments.
    pub(crate) async fn start_with(port: u16, more: &[&str]) -> RtpEngine {
        RtpEngine::start_logging(port, more, Stdio::null()).await
    }

    /// Starts one whose log goes to `log`.
    pub(crate) async fn start_logging(
        port: u16,
        more: &[&str],
        log: impl Into<Stdio>,
    ) -> RtpEngine {
        let media = free_port().clamp(10_000, 60_000);
        let child = Command::new("rtpengine")
            // Debian's configuration file has ports of its own.
            .arg("--config-file=none")
            .args([
                "--table=-1",
                "--foreground",
                "--log-stderr",
                "--log-level=4",
                "--interface=127.0.0.1",
            ])
            .arg(format!("--listen-ng=127.0.0.1:{port}"))
            .arg(format!("--port-min={media}"))
            .arg(format!("--port-max={}", media + 400))
            .args(more)
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .expect("rtpengine is to be installed (Debian: rtpengine-daemon)");
        let mut engine = RtpEngine {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        let client = engine.client().await;
        let begun = Instant::now();
        while client
            .request_within(&Ping, Duration::from_millis(200))
            .await
            .is_err()
        {
            assert!(begun.elapsed() < PATIENCE, "rtpengine does not answer");
            assert!(
                engine
                    .child
                    .try_wait()
                    .expect("it can be waited for")
                    .is_none(),
                "rtpengine has ended"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        engine
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(ClientConfig::new(self.address))
            .await
            .expect("sockets can be had")
    }

    /// Waits until it says that it has run for so many seconds.
    pub(crate) async fn has_run(&self, seconds: u64) {
        let client = self.client().await;
        let begun = Instant::now();
        while client
            .request(&Statistics)
            .await
            .expect("it answers")
            .total
            .uptime()
            .as_secs()
            < seconds
        {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills it without warning.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for RtpEngine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A UDP port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port can be had");
    socket.local_addr().expect("it is bound").port()
}
