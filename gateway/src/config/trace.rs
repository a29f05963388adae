//! `[trace]`: what passed lately, and who may see it.
use std::path::PathBuf;

use super::address::{HostPort, split_host_port};
use super::check::Checks;
use super::reader::{Item, Reader};
use super::schema::{Setting, section};
use super::secret::Secret;
use super::unit::ByteSize;
use super::value::{text, words};

/// Less holds hardly a call.
const LEAST: usize = 1 << 20;

section! {
    /// Every SIP message and every command to RTPEngine is kept for a while in a memory of a fixed size, the newest over the oldest: `causeway ctl call` draws a call from it, `causeway ctl trace` shows what passes. Whoever reaches the admin API can ask for it.
    pub struct Trace {
        /// How much of it is kept; three quarters are for calls, one quarter is for REGISTER, OPTIONS, SUBSCRIBE, NOTIFY and PUBLISH. A call of a browser takes some 40 KiB, so the default holds 300. Too little, and a call is gone before somebody asks; 0 keeps nothing, and then there is no trace.
        pub memory: ByteSize = ByteSize(16 << 20), within(ByteSize(0), ByteSize(4 << 30));
        /// Digest responses, SDES keys and ICE passwords in what is shown, in capture files and in what is sent to Homer: each byte of them an `x`, or as they were. With the keys, recorded media can be decrypted.
        pub secrets: Secrets = Secrets::Hide;
        /// Where everything that passes is told to Homer, over HEP version 3; `"udp:HOST:PORT"` alone is enough. Needs `memory`: what passes faster than it is told is lost to Homer, and said in the log.
        pub hep: Option<Hep> = None;
    }
}

section! {
    /// Homer, or a heplify-server that collects for him.
    pub struct Hep shorthand to {
        /// His address, as `"udp:HOST:PORT"`.
        pub to: Collector = Collector::default(), required();
        /// The number of the capture agent that this node is.
        pub id: u32 = 2001, within(1, u32::MAX);
        /// A file whose first line is what Homer asks of its agents; readable by its owner alone. It goes over the wire as it is: for a network that is yours.
        pub password_file: Option<PathBuf> = None;
        /// What is said to RTPEngine, too, as JSON.
        pub ng: bool = true;
    }
}

/// A host and a port that take HEP over UDP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collector(
    /// Where.
    pub HostPort,
);

impl Setting for Collector {
    fn kind() -> String {
        "a HEP collector".to_owned()
    }
    fn example() -> String {
        "\"udp:homer.example.com:9060\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let found = match written.strip_prefix("udp:").map(split_host_port) {
            Some(Ok((host, Some(port)))) if port > 0 => {
                let host = host.to_owned();
                return Some(Self(HostPort { host, port }));
            }
            Some(Err(found)) => found.message,
            Some(Ok(_)) => format!("`{written}` has no port"),
            None => format!("`{written}` does not say `udp:`, the only way there"),
        };
        reader.error(item, found, format!("for example {}", Self::example()));
        None
    }
    fn show(&self) -> String {
        format!("\"udp:{}\"", self.0)
    }
}

impl Hep {
    /// The first line of its password's file; empty without one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn password(&self) -> std::io::Result<Secret> {
        let text = match &self.password_file {
            Some(path) => std::fs::read_to_string(path)?,
            None => String::new(),
        };
        let first = text.lines().next().unwrap_or_default();
        Ok(Secret::new(first.to_owned()))
    }

    fn check(&self, memory: usize, checks: &mut Checks<'_>) {
        if memory == 0 {
            let message = "Homer would be told nothing: `memory` is 0";
            let found = checks.source.error("trace.hep", message);
            checks.push(found.help("remove `memory = 0`, or `hep`"));
        }
        let at = "trace.hep.password_file";
        if let Some(path) = &self.password_file
            && let Some(text) = checks.secret_file(at, path)
            && text.lines().next().is_none_or(str::is_empty)
        {
            let message = format!("the first line of {} is empty", path.display());
            let found = checks.source.error(at, message);
            checks.push(found.help("leave `password_file` out if Homer asks for none"));
        }
    }
}

words! {
    /// What becomes of secrets.
    pub enum Secrets {
        /// Crossed out, byte by byte.
        Hide = "hide",
        /// Shown.
        Show = "show",
    }
}

impl Trace {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        if (1..LEAST).contains(&self.memory.0) {
            let message = "`memory` holds hardly one call";
            let found = checks.source.error("trace.memory", message);
            checks.push(found.help("\"1MiB\" at least, or 0 for no trace at all"));
        }
        if let Some(hep) = &self.hep {
            hep.check(self.memory.0, checks);
        }
    }
}
