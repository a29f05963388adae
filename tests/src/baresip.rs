//! baresip as a desk phone: its account and configuration are written, it is driven over its control port (JSON in netstrings),
//! it speaks a tone of its own, and what it hears is recorded.

mod account;
mod control;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use account::{Account, Answer, Encryption, Transport};
use account::{account_line, write_files};
use control::Control;
pub use control::Event;

use crate::ports;
use crate::process::{POLL, Process};
use crate::wav::Sound;

/// A running baresip.
#[derive(Debug)]
pub struct Phone {
    /// The process.
    pub process: Process,
    /// Where it listens for SIP.
    pub address: SocketAddr,
    control: Control,
}

/// How long any single step may take before the test has failed.
const STEP: Duration = Duration::from_secs(15);

impl Phone {
    /// Starts it, and waits until its control port answers; not for its registration (see [`registered`](Self::registered)).
    pub async fn start(account: &Account<'_>) -> Result<Self> {
        let folder = Process::folder(account.user)?;
        let loopback: IpAddr = if account.server.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        let own = account.host.unwrap_or(loopback);
        let address = SocketAddr::from((own, ports::block(2)));
        let control_host = account.host.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let control_port = SocketAddr::from((control_host, ports::free()));
        write_files(account, folder.path(), address, control_port)?;
        let place = folder
            .path()
            .to_str()
            .context("a temporary folder with a strange name")?
            .to_owned();
        // -s prints every SIP message, in the log that a failure shows the end of.
        let trace = std::env::var_os("CAUSEWAY_TEST_SIP").map(|_| "-s");
        let whole: Vec<&str> = account
            .under
            .iter()
            .copied()
            .chain(["baresip", "-f", &place, "-p", &place])
            .chain(trace)
            .collect();
        let mut process = Process::start(account.user, folder, Path::new(whole[0]), &whole[1..])?;
        process.wait_for_log("baresip is ready", STEP).await?;
        let mut control = Control::connect(control_port).await?;
        // Only now, so that no event of the registration comes before there is somebody to hear it.
        control
            .command("uanew", &account_line(account), STEP)
            .await?;
        Ok(Phone {
            process,
            address,
            control,
        })
    }

    /// Starts it and waits until it is registered.
    pub async fn start_registered(account: &Account<'_>) -> Result<Self> {
        let mut phone = Self::start(account).await?;
        phone.registered().await?;
        Ok(phone)
    }

    /// Waits until its registration was accepted; a refusal is an error.
    pub async fn registered(&mut self) -> Result<()> {
        let event = self
            .event_of(&["REGISTER_OK", "REGISTER_FAIL"], STEP)
            .await?;
        if event.kind != "REGISTER_OK" {
            bail!(
                "the registration failed: {}\n{}",
                event.parameter,
                self.process.log_tail()
            );
        }
        Ok(())
    }

    /// Calls `uri` (or a number of its own domain). It does not wait.
    pub async fn dial(&mut self, uri: &str) -> Result<()> {
        self.command("dial", uri).await.map(drop)
    }

    /// Takes the call that rings.
    pub async fn accept(&mut self) -> Result<()> {
        self.command("accept", "").await.map(drop)
    }

    /// Ends its call, or refuses or cancels it.
    pub async fn hang_up(&mut self) -> Result<()> {
        self.command("hangup", "").await.map(drop)
    }

    /// Puts the other side on hold (re-INVITE with sendonly).
    pub async fn hold(&mut self) -> Result<()> {
        self.command("hold", "").await.map(drop)
    }

    /// Takes the call back from hold.
    pub async fn resume(&mut self) -> Result<()> {
        self.command("resume", "").await.map(drop)
    }

    /// Blind transfer: tells the other side to call `uri` (REFER).
    pub async fn transfer(&mut self, uri: &str) -> Result<()> {
        self.command("transfer", uri).await.map(drop)
    }

    /// Sends one key as a telephone event.
    pub async fn key(&mut self, key: char) -> Result<()> {
        self.command("sndcode", &key.to_string()).await.map(drop)
    }

    /// Mutes the microphone, or takes the mute away.
    pub async fn mute(&mut self) -> Result<()> {
        self.command("mute", "").await.map(drop)
    }

    /// What its call list says.
    pub async fn calls(&mut self) -> Result<String> {
        self.command("listcalls", "").await
    }

    /// Any command of baresip's menu; returns what it prints.
    pub async fn command(&mut self, name: &str, parameters: &str) -> Result<String> {
        self.control.command(name, parameters, STEP).await
    }

    /// Waits for the next event of a kind, passing over others: `CALL_INCOMING`, `CALL_RINGING`, `CALL_ESTABLISHED`,
    /// `CALL_CLOSED` (its parameter says why), `CALL_DTMF_START` (its parameter is the key), `REGISTER_OK`.
    pub async fn event(&mut self, kind: &str) -> Result<Event> {
        self.event_of(&[kind], STEP).await
    }

    /// Waits for the next event of one of several kinds.
    pub async fn event_of(&mut self, kinds: &[&str], limit: Duration) -> Result<Event> {
        let event = self.control.event(kinds, limit).await;
        event.with_context(|| format!("the phone's log ends:\n{}", self.process.log_tail()))
    }

    /// The keys that it has received since the last look, waiting until there are `count`.
    pub async fn keys(&mut self, count: usize) -> Result<String> {
        let mut keys = String::new();
        while keys.chars().count() < count {
            keys.push_str(&self.event("CALL_DTMF_START").await?.parameter);
        }
        Ok(keys)
    }

    /// What it has heard so far, in all its calls, one after the other.
    ///
    /// A recording ends with the first re-INVITE of its call: baresip 1.0 then loses its filters. From there on the count of
    /// packets ([`receives_more`](Self::receives_more), [`receives_no_more`](Self::receives_no_more)) has to do.
    pub fn heard(&self) -> Result<Vec<Sound>> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.process.path())?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        files
            .iter()
            .filter(|path| path.metadata().is_ok_and(|data| data.len() > 44))
            .map(|path| Sound::read(path))
            .collect()
    }

    /// Seconds of a tone in what it has heard so far, in all its calls.
    pub fn seconds_heard(&self, hertz: u32) -> f64 {
        self.heard()
            .unwrap_or_default()
            .iter()
            .map(|sound| sound.seconds_of(hertz))
            .sum()
    }

    /// Waits until it has heard `seconds` of a tone.
    pub async fn hears(&self, hertz: u32, seconds: f64) -> Result<()> {
        let limit = STEP + Duration::from_secs_f64(seconds);
        let reached = crate::wait::until(limit, || self.seconds_heard(hertz) >= seconds).await;
        if !reached {
            bail!(
                "it heard {} s of {hertz} Hz, not {seconds}:\n{}",
                self.seconds_heard(hertz),
                self.process.log_tail()
            );
        }
        Ok(())
    }

    /// RTP packets that its call has received so far, of all senders.
    pub async fn received(&mut self) -> Result<u64> {
        let debug = self.command("audio_debug", "").await?;
        Ok(debug
            .split("rcvd=")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .sum())
    }

    /// Waits until it has received `count` more packets than by now (50 are a second).
    pub async fn receives_more(&mut self, count: u64) -> Result<()> {
        let goal = self.received().await? + count;
        let began = Instant::now();
        while self.received().await? < goal {
            if began.elapsed() > STEP {
                bail!(
                    "it received fewer than {count} more packets within {STEP:?}:\n{}",
                    self.process.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until it receives nothing more for more than half a second.
    pub async fn receives_no_more(&mut self) -> Result<()> {
        let began = Instant::now();
        let mut last = (self.received().await?, Instant::now());
        while last.1.elapsed() < SILENCE {
            if began.elapsed() > STEP {
                bail!("it still receives packets:\n{}", self.process.log_tail());
            }
            tokio::time::sleep(POLL).await;
            let received = self.received().await?;
            if received > last.0 {
                last = (received, Instant::now());
            }
        }
        Ok(())
    }
}

/// How long no packet may come before the other side counts as silent.
const SILENCE: Duration = Duration::from_millis(600);
