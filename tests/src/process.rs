//! Child processes: each in a process group of its own, its output in a file, ended by its own id when dropped.
//!
//! A failing test prints the end of every log. With `CAUSEWAY_TEST_LOGS=DIRECTORY` the logs stay there.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::usage;

/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 40;
/// How often a condition is looked at while it is waited for.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Which of a program's standard streams are pipes to the test; the others are nothing and the log.
#[derive(Clone, Copy, Debug)]
enum Pipes {
    None,
    Input,
    Both,
}

/// A running program of a test.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    folder: Arc<TempDir>,
    /// Where its part of the log begins: a process that was started again in its old folder goes on with the same file.
    log_start: usize,
    ended: Option<ExitStatus>,
}

impl Process {
    /// An empty folder for the files of a process that is about to start; it goes when the process is dropped.
    pub fn folder(name: &str) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix(&format!("causeway-test-{name}-"))
            .tempdir()
            .context("no temporary folder")
    }

    /// Starts `program` in `folder`; what it prints is appended to `log` there.
    pub fn start(
        name: &str,
        folder: impl Into<Arc<TempDir>>,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::launch(name, folder.into(), program, arguments, Pipes::None)
    }

    /// As [`start`](Self::start), with a pipe as standard input, to be [taken](Self::take_input).
    pub fn start_with_input(
        name: &str,
        folder: impl Into<Arc<TempDir>>,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::launch(name, folder.into(), program, arguments, Pipes::Input)
    }

    /// As [`start`](Self::start), with pipes as standard input and output, to be [taken](Self::take_pipes).
    pub fn start_piped(
        name: &str,
        folder: impl Into<Arc<TempDir>>,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::launch(name, folder.into(), program, arguments, Pipes::Both)
    }

    fn launch(
        name: &str,
        folder: Arc<TempDir>,
        program: &Path,
        arguments: &[&str],
        pipes: Pipes,
    ) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.path().join("log"))?;
        let log_start = usize::try_from(log.metadata()?.len())?;
        let mut command = Command::new("setpriv");
        // A test that is interrupted drops nothing: the system then ends the process for it.
        command
            .args(["--pdeathsig", "TERM"])
            .arg(program)
            .args(arguments);
        command
            .stdin(match pipes {
                Pipes::None => Stdio::null(),
                Pipes::Input | Pipes::Both => Stdio::piped(),
            })
            .stdout(match pipes {
                Pipes::None | Pipes::Input => log.try_clone()?.into(),
                Pipes::Both => Stdio::piped(),
            })
            .stderr(log)
            .current_dir(folder.path())
            .process_group(0)
            .env("PATH", search_path());
        let child =
            spawn(command).with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process {
            name: name.to_owned(),
            child,
            folder,
            log_start,
            ended: None,
        })
    }

    /// The process id, which is also its process group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its standard input and output, once, if it was started with pipes.
    pub fn take_pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        self.child.stdin.take().zip(self.child.stdout.take())
    }

    /// Its standard input, once, if that is a pipe.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// All that it printed since it started.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    /// The last lines that it printed.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits until a line of its log contains `text`, and returns that line. An early end, or `limit`, is an error that shows the log.
    pub async fn wait_for_log(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.wait_for_line(text, |line| line.contains(text), limit)
            .await
    }

    /// As [`wait_for_log`](Self::wait_for_log), for a line that `is_it`; `what` names it in an error.
    pub async fn wait_for_line(
        &mut self,
        what: &str,
        is_it: impl Fn(&str) -> bool,
        limit: Duration,
    ) -> Result<String> {
        let began = Instant::now();
        loop {
            if let Some(line) = self.log().lines().find(|line| is_it(line)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = self.status() {
                bail!(
                    "{} ended ({status}) before it said {what:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if began.elapsed() > limit {
                bail!(
                    "{} did not say {what:?} within {limit:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until it ends by itself.
    pub async fn wait_for_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return Ok(status);
            }
            if began.elapsed() > limit {
                bail!(
                    "{} still ran after {limit:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal to its whole group.
    pub fn signal(&self, signal: Signal) {
        // The group outlives its first process by the children; a group that is gone needs no signal.
        let _ = killpg(Pid::from_raw(self.id().cast_signed()), signal);
    }

    /// `kill -9` of the whole group, and waits for the end of the first process.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended = self.ended.or_else(|| self.child.wait().ok());
    }

    /// SIGTERM, then waits until it has ended.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        self.wait_for_end(limit).await
    }

    /// CPU time used so far by all processes of the group, user and system.
    pub fn cpu(&self) -> Duration {
        usage::group_cpu(self.id())
    }

    /// Resident memory of all processes of the group, in bytes (pages shared among them are counted in each).
    pub fn memory(&self) -> u64 {
        usage::group_memory(self.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!(
                "--- the end of {}'s log\n{}\n---",
                self.name,
                self.log_tail()
            );
        }
        if let Some(keep) = std::env::var_os("CAUSEWAY_TEST_LOGS") {
            let _ = fs::create_dir_all(&keep);
            let _ = fs::copy(
                self.path().join("log"),
                PathBuf::from(keep).join(format!("{}-{}.log", self.name, self.id())),
            );
        }
    }
}

/// Debian's daemons live in sbin, which a user's PATH leaves out.
fn search_path() -> String {
    format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    )
}

/// Starts a command on a thread that lives as long as the test program: the parent's death signal follows the thread that
/// started a child, and tests come and go on threads of their own while the processes they share stay.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (sender, answer) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes is gone");
    starter.send((command, sender)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}
