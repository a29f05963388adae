//! An edge with a registrar behind it, as two processes: ours, and Debian's Kamailio twice.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use causeway_tests::certificate::write_secret;
use causeway_tests::gateway::Gateway;
use causeway_tests::kamailio::{Kamailio, Settings};
use causeway_tests::process::Process;
use causeway_tests::{data, ports};

use crate::subject::{Cores, Running, pinned};

/// The domain of all devices.
pub(crate) const DOMAIN: &str = "bench.test";
/// The password of all.
pub(crate) const PASSWORD: &str = "secret";

/// Both processes, on the core of what is measured.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    edge: Running,
    registrar: Running,
    /// Where devices reach the edge.
    pub(crate) public: SocketAddr,
    /// Where a caller reaches the registrar.
    pub(crate) inside: SocketAddr,
}

/// CPU time of the two so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) edge: Duration,
    pub(crate) registrar: Duration,
}

impl Cpu {
    pub(crate) fn since(self, before: Cpu) -> Cpu {
        Cpu {
            edge: self.edge.saturating_sub(before.edge),
            registrar: self.registrar.saturating_sub(before.registrar),
        }
    }

    pub(crate) fn sum(self) -> Duration {
        self.edge + self.registrar
    }
}

/// The name of a device's user.
pub(crate) fn user(device: u32) -> String {
    format!("u{device:08}")
}

impl Chain {
    /// Debian's Kamailio twice, as its users tune it.
    pub(crate) async fn kamailio(cores: &Cores) -> Result<Self> {
        let (public, inside) = (ports::free_address(), ports::free_address());
        let under = pinned(cores);
        let start = async |config, listen: SocketAddr, fill| {
            let settings = Settings {
                config,
                listen: vec![format!("udp:{listen}")],
                domain: DOMAIN,
                fill,
                arguments: vec!["-x", "fm", "-X", "fm"],
                under: under.iter().map(String::as_str).collect(),
            };
            Kamailio::start(&settings).await.map(Running::Kamailio)
        };
        let password = vec![("PASSWORD", PASSWORD.to_owned())];
        Ok(Chain {
            name: "Kamailio, tuned",
            registrar: start("location", inside, password).await?,
            edge: start("edge", public, vec![("TARGET", inside.to_string())]).await?,
            public,
            inside,
        })
    }

    /// Ours twice, with this many users.
    pub(crate) async fn causeway(cores: &Cores, users: u32) -> Result<Self> {
        let [public, wss, core, inside] = [(); 4].map(|()| ports::free_address());
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("users.toml");
        let table = |device| {
            format!(
                "[[users]]\nname = \"{}\"\npassword = \"{PASSWORD}\"\n",
                user(device)
            )
        };
        write_secret(&file, (0..users).map(table).collect::<String>().as_bytes())?;
        let config = data::read_text("bench/registrar.toml")?
            .replace("@CORE@", &inside.to_string())
            .replace("@USERS@", &file.display().to_string());
        let registrar = Gateway::start_under(pinned(cores), &config).await?;
        let config = data::read_text("bench/causeway.toml")?
            .replace("@UDP@", &public.to_string())
            .replace("@WSS@", &wss.to_string())
            .replace("@CORE@", &core.to_string())
            .replace("@TARGET@", &inside.to_string());
        let edge = Gateway::start_under(pinned(cores), &config).await?;
        Ok(Chain {
            name: "Causeway",
            edge: Running::Gateway(edge),
            registrar: Running::Gateway(registrar),
            public,
            inside,
        })
    }

    fn processes(&self) -> [&Process; 2] {
        [self.edge.process(), self.registrar.process()]
    }

    pub(crate) fn cpu(&self) -> Cpu {
        let [edge, registrar] = self.processes().map(Process::cpu);
        Cpu { edge, registrar }
    }

    /// The process groups of edge and registrar.
    pub(crate) fn groups(&self) -> [u32; 2] {
        self.processes().map(Process::id)
    }
}
