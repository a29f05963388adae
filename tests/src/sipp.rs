//! SIPp: scenarios of `tests/data/sipp`, and how they ended.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::data;
use crate::ports;
use crate::process::Process;

/// A running scenario.
#[derive(Debug)]
pub struct Sipp {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    scenario: String,
}

/// Calls as SIPp counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
}

/// How and where a scenario is run.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// File in `tests/data/sipp`, without `.xml`.
    pub scenario: &'a str,
    /// Where its requests go; a waiting scenario answers to whom it hears and needs none.
    pub remote: Option<SocketAddr>,
    /// Where it listens; drawn free if `None`. Name it to let two scenarios of one device share a port, one after the other.
    pub local: Option<SocketAddr>,
    /// `-key NAME VALUE`: what the scenario writes as `[NAME]`.
    pub keys: Vec<(&'a str, &'a str)>,
    /// After how many calls it ends.
    pub calls: u32,
    /// More arguments: `-t t1` for TCP, `-rtp_echo`, `-r 10`.
    pub more: Vec<&'a str>,
}

impl<'a> Run<'a> {
    /// One call of a scenario that waits for it.
    pub fn server(scenario: &'a str) -> Self {
        Run {
            scenario,
            remote: None,
            local: None,
            keys: Vec::new(),
            calls: 1,
            more: Vec::new(),
        }
    }

    /// One call of a scenario towards `remote`.
    pub fn client(scenario: &'a str, remote: SocketAddr) -> Self {
        Run {
            remote: Some(remote),
            ..Self::server(scenario)
        }
    }

    /// Starts it.
    pub fn start(&self) -> Result<Sipp> {
        let folder = Process::folder("sipp")?;
        let file = data::path(&format!("sipp/{}.xml", self.scenario));
        let address = self.local.unwrap_or_else(ports::free_address);
        let media = ports::block(4);
        let (remote, host, port) = (
            self.remote.map(|remote| remote.to_string()),
            address.ip().to_string(),
            address.port().to_string(),
        );
        let (file, calls, media) = (
            file.to_string_lossy(),
            self.calls.to_string(),
            media.to_string(),
        );
        let mut arguments: Vec<&str> = remote.iter().map(String::as_str).collect();
        arguments.extend([
            "-sf", &file, "-i", &host, "-p", &port, "-mp", &media, "-m", &calls, "-nostdin",
        ]);
        // The counts once a second, every message, and what it did not expect.
        arguments.extend(["-trace_stat", "-stf", "counts.csv", "-fd", "1"]);
        arguments.extend([
            "-trace_msg",
            "-message_file",
            "messages",
            "-trace_err",
            "-error_file",
            "errors",
        ]);
        self.keys
            .iter()
            .for_each(|(name, value)| arguments.extend(["-key", name, value]));
        arguments.extend(&self.more);
        let process = Process::start("sipp", folder, Path::new("sipp"), &arguments)?;
        Ok(Sipp {
            process,
            address,
            scenario: self.scenario.to_owned(),
        })
    }

    /// Starts it and waits for its end; a failed call is an error.
    pub async fn to_the_end(&self) -> Result<Counts> {
        self.start()?.succeeds(Duration::from_secs(30)).await
    }
}

impl Sipp {
    /// Waits for its end and counts; a call that did not go as the scenario says is an error, with the messages.
    pub async fn succeeds(&mut self, limit: Duration) -> Result<Counts> {
        let status = self
            .process
            .wait_for_end(limit)
            .await
            .with_context(|| self.story())?;
        let counts = self.counts().unwrap_or(Counts {
            successful: 0,
            failed: 0,
        });
        if !status.success() || counts.failed > 0 {
            bail!(
                "SIPp {} ended with {status}, {counts:?}\n{}",
                self.scenario,
                self.story()
            );
        }
        Ok(counts)
    }

    /// The counts so far.
    pub fn counts(&self) -> Option<Counts> {
        let text = std::fs::read_to_string(self.process.path().join("counts.csv")).ok()?;
        let names: Vec<&str> = text.lines().next()?.split(';').collect();
        let last: Vec<&str> = text.lines().last()?.split(';').collect();
        let field = |name: &str| {
            last.get(names.iter().position(|other| *other == name)?)?
                .parse::<u64>()
                .ok()
        };
        Some(Counts {
            successful: field("SuccessfulCall(C)")?,
            failed: field("FailedCall(C)")?,
        })
    }

    /// Its errors and the end of its messages.
    fn story(&self) -> String {
        let read = |name: &str| std::fs::read(self.process.path().join(name)).unwrap_or_default();
        let (errors, messages) = (read("errors"), read("messages"));
        let messages = &messages[messages.len().saturating_sub(4000)..];
        format!(
            "errors: {}\nmessages: {}",
            String::from_utf8_lossy(&errors),
            String::from_utf8_lossy(messages)
        )
    }
}
