//! A part of the cluster: a process of its own, in a process group of its own, so that Ctrl-C reaches only us; its log in a
//! file. It ends with us, however we end (`setpriv --pdeathsig`).

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::demo::rtpengine;

/// How long one may take to be ready.
const START: Duration = Duration::from_secs(30);
/// How long one may take to end when it is asked to.
const END: Duration = Duration::from_secs(5);
/// How often its log is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// How one is seen to be ready.
#[derive(Clone, Debug)]
pub(super) enum Ready {
    /// Its log says so.
    Says(&'static str),
    /// It answers RTPEngine's ping there.
    Pings(SocketAddr),
}

/// What is started, and started again when it has ended.
#[derive(Debug)]
pub(super) struct Part {
    /// As the reader knows it: `edge 1`.
    pub(super) name: &'static str,
    /// Where its output goes.
    pub(super) log: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    ready: Ready,
    running: Option<(Child, Pid)>,
}

impl Part {
    /// One that does not run yet.
    pub(super) fn new(
        name: &'static str,
        log: PathBuf,
        (program, arguments): (PathBuf, Vec<String>),
        ready: Ready,
    ) -> Self {
        Self {
            name,
            log,
            program,
            arguments,
            ready,
            running: None,
        }
    }

    /// Its process id, which is also that of its group; `None` while it does not run.
    pub(super) fn id(&self) -> Option<i32> {
        self.running.as_ref().map(|(_, id)| id.as_raw())
    }

    /// Starts it and waits until it is ready.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let begins = usize::try_from(log.metadata()?.len())?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} could not be started by setpriv", self.name))?;
        let id = child.id().context("it has ended at once")?;
        self.running = Some((child, Pid::from_raw(i32::try_from(id)?)));
        let (ready, path) = (self.ready.clone(), self.log.clone());
        let is_ready = async {
            match ready {
                Ready::Says(word) => says(&path, begins, word).await,
                Ready::Pings(address) => rtpengine::answers(address).await,
            }
        };
        let seen = tokio::select! {
            seen = tokio::time::timeout(START, is_ready) => seen,
            status = self.ended() => bail!("{} ended at once ({}){}", self.name, said(status), self.log_end(begins)),
        };
        match seen {
            Ok(seen) => seen,
            Err(_) => bail!("{} is not ready{}", self.name, self.log_end(begins)),
        }
    }

    /// Waits until it has ended, and ends what it left behind; for ever, if it does not run.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        let Some((child, id)) = &mut self.running else {
            return std::future::pending().await;
        };
        let status = child.wait().await.ok();
        // Kamailio's workers outlive a main process that was killed.
        let _ = killpg(*id, Signal::SIGKILL);
        self.running = None;
        status
    }

    /// Asks it to end; [`ended`](Self::ended) says when it has.
    pub(super) fn ask_to_end(&self) {
        if let Some((_, id)) = &self.running {
            let _ = killpg(*id, Signal::SIGTERM);
        }
    }

    /// Waits until it has ended, and kills it when that takes too long.
    pub(super) async fn end(&mut self) {
        let Some((_, id)) = self.running else { return };
        if tokio::time::timeout(END, self.ended()).await.is_err() {
            let _ = killpg(id, Signal::SIGKILL);
            self.ended().await;
        }
    }

    /// Where its log is, and its last lines, for an error.
    fn log_end(&self, begins: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(text.get(begins..).unwrap_or_default());
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        let mut end = format!("; its log is {} and ends:", self.log.display());
        for line in lines.into_iter().rev() {
            end.push_str("\n  ");
            end.push_str(line);
        }
        end
    }
}

/// How it ended, in words.
pub(super) fn said(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => match status.signal() {
            Some(9) => "killed".to_owned(),
            Some(signal) => format!("signal {signal}"),
            None => format!("status {}", status.code().unwrap_or(-1)),
        },
        None => "nobody knows how".to_owned(),
    }
}

/// Waits until a log says a word, after its first `begins` bytes.
async fn says(log: &Path, begins: usize, word: &str) -> anyhow::Result<()> {
    loop {
        let text = fs::read(log)?;
        let new = text.get(begins..).unwrap_or_default();
        if memchr::memmem::find(new, word.as_bytes()).is_some() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
