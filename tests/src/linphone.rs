//! linphone as a desk phone: Debian's `linphonec`, told what to do in lines on its standard input, and watched by the lines that it
//! prints. It needs neither a terminal nor a sound card: it speaks a tone from a file, and records what it hears.

mod account;
mod recording;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use account::Account;
pub use recording::Recording;

use crate::process::{POLL, Process};
use crate::wait;

/// How long any single step may take before the test has failed.
const STEP: Duration = Duration::from_secs(15);

/// The file of its notes.
const NOTES: &str = "notes";

/// A running linphone.
#[derive(Debug)]
pub struct Phone {
    /// The process.
    pub process: Process,
    /// What it hears, in all its calls.
    pub recording: Recording,
    input: ChildStdin,
    /// How much of what it printed has been looked at.
    read: usize,
}

impl Phone {
    /// Starts it, and waits until it is registered.
    pub async fn start_registered(account: &Account<'_>) -> Result<Self> {
        let folder = Process::folder(account.user)?;
        let files = account::write_files(account, folder.path())?;
        let home = format!("HOME={}", files.home.display());
        let config = files.config.to_string_lossy();
        let arguments = [
            &home,
            "linphonec",
            "--real-early-media",
            "-c",
            &config,
            "-d",
            "6",
        ];
        // What it notes of itself, and every SIP message: in a file of its own, or in the log that a failure shows the end of.
        let aside: &[&str] = match std::env::var_os("CAUSEWAY_TEST_SIP") {
            Some(_) => &[],
            None => &["-l", NOTES],
        };
        let whole = [&arguments, aside].concat();
        let mut process =
            Process::start_with_input(account.user, folder, Path::new("env"), &whole)?;
        let input = process.take_input().context("no input")?;
        let mut phone = Phone {
            process,
            recording: Recording::of(files.heard.clone()),
            input,
            read: 0,
        };
        phone.tell("soundcard use files")?;
        phone.tell("play speaks.wav")?;
        phone.tell("record heard.wav")?;
        phone.registered().await?;
        Ok(phone)
    }

    /// It says nothing of a registration by itself, so it is asked again and again.
    async fn registered(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.tell("status register")?;
            let line = self.says(&["registered, identity=", "registered="]).await?;
            if line.contains("identity=") {
                return Ok(());
            }
            if began.elapsed() > STEP {
                bail!("it is not registered:\n{}", self.process.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Calls `uri`. It does not wait.
    pub fn dial(&mut self, uri: &str) -> Result<()> {
        self.tell(&format!("call {uri}"))
    }

    /// Takes the call that rings.
    pub fn accept(&mut self) -> Result<()> {
        self.tell("answer")
    }

    /// Ends its call, or refuses or cancels it.
    pub fn hang_up(&mut self) -> Result<()> {
        self.tell("terminate")
    }

    /// Puts the other side on hold (re-INVITE with sendonly); it hears the tone.
    pub fn hold(&mut self) -> Result<()> {
        self.tell("pause")
    }

    /// Takes the call back from hold.
    pub fn resume(&mut self) -> Result<()> {
        self.tell("resume")
    }

    /// Blind transfer: tells the other side of its first call to call `uri` (REFER).
    pub fn transfer(&mut self, uri: &str) -> Result<()> {
        self.tell(&format!("transfer 1 {uri}"))
    }

    /// Presses one key.
    pub fn key(&mut self, key: char) -> Result<()> {
        self.tell(&key.to_string())
    }

    /// Writes one line to it.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("linphone does not listen")
    }

    /// Waits until its notes say that the audio of its call is, or is not, SRTP with keys from SDP.
    pub async fn negotiated(&self, encrypted: bool) -> Result<()> {
        let wanted = if encrypted { "SRTP" } else { "None" };
        let notes = || {
            let aside = fs::read_to_string(self.process.path().join(NOTES));
            aside.unwrap_or_else(|_| self.process.log())
        };
        let is_so = || {
            let notes = notes();
            let mut parts = notes.rsplit("Negotiated media encryption is LinphoneMediaEncryption");
            parts.next().is_some_and(|last| last.starts_with(wanted))
        };
        if !wait::until(STEP, is_so).await {
            bail!(
                "its audio is not under {wanted}:\n{}",
                self.process.log_tail()
            );
        }
        Ok(())
    }

    /// Waits until it has heard `seconds` of a tone since it exists.
    pub async fn hears(&mut self, hertz: u32, seconds: f64) -> Result<()> {
        let limit = STEP + Duration::from_secs_f64(seconds);
        let recording = &mut self.recording;
        let mut heard = || {
            let (_, tones) = recording.heard(&[hertz]).unwrap_or_default();
            tones.get(&hertz).copied().unwrap_or(0) as f64 / 50.0
        };
        if !wait::until(limit, || heard() >= seconds).await {
            let log = self.process.log_tail();
            bail!(
                "it heard {} s of {hertz} Hz, not {seconds}:\n{log}",
                heard()
            );
        }
        Ok(())
    }

    /// Waits for the next line that holds one of these texts, passing over others.
    pub async fn says(&mut self, texts: &[&str]) -> Result<String> {
        let began = Instant::now();
        loop {
            let log = self.process.log();
            let new = log.get(self.read..).unwrap_or_default();
            for line in new
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
            {
                self.read += line.len();
                // What it prints for people has no time in front.
                let is_trace = line.contains("-message-") || line.contains("-warning-");
                if !is_trace && texts.iter().any(|text| line.contains(text)) {
                    return Ok(line.trim_end().to_owned());
                }
            }
            if began.elapsed() > STEP || self.process.status().is_some() {
                bail!(
                    "linphone did not say {texts:?}:\n{}",
                    self.process.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
