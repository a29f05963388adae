//! Debian's RTPEngine in user space, on loopback, with ports of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

use crate::ports;
use crate::process::{POLL, Process};

/// RTP ports of one RTPEngine: four for a call of two legs without RTCP multiplexing, twice.
const RTP_PORTS: u16 = 400;
const START: Duration = Duration::from_secs(10);

/// A running RTPEngine.
#[derive(Debug)]
pub struct RtpEngine {
    /// The process.
    pub process: Process,
    /// Where it takes ng commands.
    pub ng: SocketAddr,
    settings: Vec<String>,
    /// Behind the process, which ends before they are given back.
    _ports: ports::Block,
}

impl RtpEngine {
    /// Starts one on 127.0.0.1 and ::1 and waits until it answers a ping.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one with more arguments of its command line.
    pub async fn start_with(more: &[&str]) -> Result<Self> {
        Self::launch(
            &[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            more,
        )
        .await
    }

    /// Starts one whose media is at these addresses alone.
    pub async fn start_at(addresses: &[IpAddr]) -> Result<Self> {
        Self::launch(addresses, &[]).await
    }

    async fn launch(addresses: &[IpAddr], more: &[&str]) -> Result<Self> {
        let folder = Process::folder("rtpengine")?;
        let ng = ports::free_address();
        let ports = ports::Block::draw(RTP_PORTS);
        let first = ports.first;
        let interfaces = addresses
            .iter()
            .map(|address| format!("--interface={address}"));
        let settings = [
            "--config-file=none".to_owned(),
            "--table=-1".to_owned(),
            "--no-fallback".to_owned(),
            "--foreground".to_owned(),
            "--log-stderr".to_owned(),
            "--log-level=6".to_owned(),
            format!("--listen-ng={ng}"),
            format!("--port-min={first}"),
            format!("--port-max={}", first + RTP_PORTS - 1),
            "--num-threads=2".to_owned(),
        ];
        let more = more.iter().map(|word| (*word).to_owned());
        let settings: Vec<String> = settings.into_iter().chain(interfaces).chain(more).collect();
        let process = run(folder, &settings)?;
        let mut engine = RtpEngine {
            process,
            ng,
            settings,
            _ports: ports,
        };
        engine.answers().await?;
        Ok(engine)
    }

    /// Kills it, as a crash does: its sessions are gone, and nobody is told.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Kills it and starts it anew at the same address, with the same ports, and waits until it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.process = run(Process::folder("rtpengine")?, &self.settings)?;
        self.answers().await
    }

    async fn answers(&mut self) -> Result<()> {
        let began = Instant::now();
        while ask(self.ng, "d7:command4:pinge")
            .await
            .is_none_or(|answer| !answer.contains("4:pong"))
        {
            if self.process.status().is_some() || began.elapsed() > START {
                bail!("RTPEngine does not answer:\n{}", self.process.log_tail());
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// The ng call-ids of all sessions that it holds.
    pub async fn calls(&self) -> Result<Vec<String>> {
        let answer = ask(self.ng, "d7:command4:list5:limit4:1000e")
            .await
            .context("RTPEngine does not answer")?;
        let list = answer.split_once("5:callsl").context("no list of calls")?.1;
        Ok(strings(list))
    }

    /// Waits until it holds no session.
    pub async fn empty_within(&self, limit: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            let calls = self.calls().await?;
            if calls.is_empty() {
                return Ok(());
            }
            if began.elapsed() > limit {
                bail!("RTPEngine still holds {calls:?} after {limit:?}");
            }
            sleep(POLL).await;
        }
    }
}

fn run(folder: TempDir, settings: &[String]) -> Result<Process> {
    let arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
    Process::start("rtpengine", folder, Path::new("rtpengine"), &arguments)
}

/// Sends one ng command as it stands and returns the answer behind the cookie. The kit speaks these two commands itself, so
/// that what it says of the gateway does not depend on the client under test.
async fn ask(ng: SocketAddr, command: &str) -> Option<String> {
    let own: SocketAddr = if ng.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    }
    .parse()
    .ok()?;
    let socket = UdpSocket::bind(own).await.ok()?;
    socket.connect(ng).await.ok()?;
    // RTPEngine answers a cookie that it has seen from its cache: this one is new every time.
    let age = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let cookie = format!("kit{}-{} ", age.as_nanos(), std::process::id());
    socket
        .send(format!("{cookie}{command}").as_bytes())
        .await
        .ok()?;
    let mut answer = vec![0; 65536];
    let length = timeout(Duration::from_secs(1), socket.recv(&mut answer))
        .await
        .ok()?
        .ok()?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    answer.strip_prefix(cookie.as_str()).map(str::to_owned)
}

/// The strings of a bencoded list up to its end.
fn strings(mut list: &str) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((length, rest)) = list.split_once(':') {
        let Ok(length) = length.parse::<usize>() else {
            break;
        };
        let Some(text) = rest.get(..length) else {
            break;
        };
        found.push(text.to_owned());
        list = &rest[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_of_a_list_are_read_up_to_its_end() {
        assert_eq!(strings("3:a:b2:cde6:result2:oke"), ["a:b", "cd"]);
        assert!(strings("e6:result2:oke").is_empty());
    }
}
