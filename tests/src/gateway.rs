//! Causeway itself, as a process: configured by TOML, killed, started again, measured.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::certificate::{Certificate, write_secret};
use crate::process::Process;

/// The line that `causeway run` prints when every listener is open.
pub const READY: &str = "ready";
/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub process: Process,
    folder: Arc<TempDir>,
    config: PathBuf,
    /// The command that runs it, if another one does.
    under: Vec<String>,
}

/// Lines of a configuration: the times of RFC 3261, a fifth as long (64 times T1 is 6.4 s), so that what is kept of a request is gone soon.
pub const FAST: &str = "[timers]\nt1 = \"100ms\"\nt4 = \"1s\"\n";

/// Lines of a configuration: users of a domain, who all have this password.
pub fn users<T: Display>(
    domain: &str,
    password: &str,
    names: impl IntoIterator<Item = T>,
) -> String {
    let user = |name: T| {
        format!("[[domain.\"{domain}\".users]]\nname = \"{name}\"\npassword = \"{password}\"\n")
    };
    names.into_iter().map(user).collect()
}

/// Lines of a configuration: these listeners have the certificate that lies ready ([`Gateway::start`]).
pub fn certificates(listeners: &[&str]) -> String {
    let certificate = |name: &&str| {
        format!(
            "[listen.{name}.certificate]\nchain = \"@FOLDER@/certificate.pem\"\nkey = \"@FOLDER@/key.pem\"\n"
        )
    };
    listeners.iter().map(certificate).collect()
}

impl Gateway {
    /// Writes `config` (TOML) and runs it. `@FOLDER@` in it becomes the gateway's own folder, which goes with it, and where
    /// `certificate.pem` and `key.pem` (for 127.0.0.1, ::1 and localhost) lie ready.
    pub async fn start(config: &str) -> Result<Self> {
        Self::start_under(Vec::new(), config).await
    }

    /// As [`start`](Self::start), run by another command: `taskset -c 0`, valgrind.
    pub async fn start_under(under: Vec<String>, config: &str) -> Result<Self> {
        let folder = Arc::new(Process::folder("causeway")?);
        Certificate::write(folder.path(), &["127.0.0.1", "::1", "localhost"])?;
        let file = folder.path().join("causeway.toml");
        write_secret(
            &file,
            config.replace("@FOLDER@", text(folder.path())?).as_bytes(),
        )?;
        let process = run(&folder, &file, &under).await?;
        Ok(Gateway {
            process,
            folder,
            config: file,
            under,
        })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate that a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.path().join("certificate.pem")
    }

    /// `kill -9`: nothing is said to anybody.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same configuration in the same folder; kills it first if it still runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.process = run(&self.folder, &self.config, &self.under).await?;
        Ok(())
    }

    /// Starts it again with another configuration.
    pub async fn restart_with(&mut self, config: &str) -> Result<()> {
        let config = config.replace("@FOLDER@", text(self.folder.path())?);
        write_secret(&self.config, config.as_bytes())?;
        self.restart().await
    }
}

async fn run(folder: &Arc<TempDir>, config: &Path, under: &[String]) -> Result<Process> {
    let binary = binary()?;
    let whole: Vec<&str> = under
        .iter()
        .map(String::as_str)
        .chain([text(&binary)?, "run", text(config)?])
        .collect();
    let mut process = Process::start("causeway", folder.clone(), Path::new(whole[0]), &whole[1..])?;
    process
        .wait_for_line(READY, |line| line == READY, START)
        .await?;
    Ok(process)
}

/// The program: `CAUSEWAY_BIN`, or what cargo built beside the program that runs now.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CAUSEWAY_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let built = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("causeway"))
        .find(|path| path.is_file());
    let Some(built) = built else {
        bail!("causeway is not built: cargo build --workspace --all-targets")
    };
    Ok(built)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .context("a temporary folder with a strange name")
}
