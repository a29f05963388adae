//! What is measured: Causeway, Debian's Kamailio, and the bare reflector, each pinned to the first core.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use causeway_tests::gateway::{self, Gateway};
use causeway_tests::kamailio::{Kamailio, Settings};
use causeway_tests::ports;
use causeway_tests::process::Process;

use crate::link::Kind;

/// Cores for the three sides: what is measured has one of its own where there are two or more.
pub(crate) struct Cores {
    pub(crate) subject: String,
    pub(crate) stub: String,
    pub(crate) load: String,
}

impl Cores {
    pub(crate) fn of_this_machine() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let core = |wanted: usize| wanted.min(count - 1).to_string();
        Cores {
            subject: core(0),
            load: core(1),
            stub: core(2),
        }
    }
}

/// Kamailio's memory manager: Debian's default looks for errors, its users take the fast one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tuning {
    Default,
    Fast,
}

/// Its names without and with RTPEngine.
pub(crate) const KAMAILIO_MEDIA: (&str, &str) = ("Kamailio, tuned", "Kamailio, media");
/// The same for ours.
pub(crate) const CAUSEWAY_MEDIA: (&str, &str) = ("Causeway", "Causeway, media");

/// One that is measured.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    process: Running,
    udp: SocketAddr,
    tcp: Option<SocketAddr>,
    wss: Option<SocketAddr>,
    pub(crate) trust: Option<PathBuf>,
}

/// A running process of any kind.
pub(crate) enum Running {
    Process(Process),
    Kamailio(Kamailio),
    Gateway(Gateway),
}

impl Running {
    pub(crate) fn process(&self) -> &Process {
        match self {
            Running::Process(process) => process,
            Running::Kamailio(kamailio) => &kamailio.process,
            Running::Gateway(gateway) => &gateway.process,
        }
    }
}

impl Subject {
    /// Ends it as an operator would, and waits until it has ended.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        let process = match &mut self.process {
            Running::Process(process) => process,
            Running::Kamailio(kamailio) => &mut kamailio.process,
            Running::Gateway(gateway) => &mut gateway.process,
        };
        process.terminate(Duration::from_secs(30)).await.map(drop)
    }

    pub(crate) fn process(&self) -> &Process {
        self.process.process()
    }

    /// Where it takes a kind of transport, if it does.
    pub(crate) fn server(&self, kind: Kind) -> Option<SocketAddr> {
        match kind {
            Kind::Udp => Some(self.udp),
            Kind::Tcp => self.tcp,
            Kind::Wss => self.wss,
        }
    }

    pub(crate) async fn reflector(cores: &Cores, target: SocketAddr) -> Result<Self> {
        let udp = ports::free_address();
        let arguments = ["reflect".to_owned(), udp.to_string(), target.to_string()];
        let process = own_program(
            cores.subject.as_str(),
            "reflector",
            &arguments,
            "reflector listens",
        )
        .await?;
        Ok(Subject {
            name: "reflector",
            process: Running::Process(process),
            udp,
            tcp: None,
            wss: None,
            trust: None,
        })
    }

    /// `relay` is `forward()` or `t_relay()`.
    pub(crate) async fn kamailio(
        cores: &Cores,
        target: SocketAddr,
        relay: &str,
        tuning: Tuning,
    ) -> Result<Self> {
        Self::kamailio_under(&pinned(cores), target, relay, tuning).await
    }

    /// Kamailio, run by another command.
    pub(crate) async fn kamailio_under(
        under: &[String],
        target: SocketAddr,
        relay: &str,
        tuning: Tuning,
    ) -> Result<Self> {
        let (udp, wss) = (ports::free_address(), ports::free_address());
        let settings = Settings {
            config: "relay",
            listen: vec![
                format!("udp:{udp}"),
                format!("tcp:{udp}"),
                format!("tls:{wss}"),
            ],
            domain: "bench.test",
            fill: vec![("RELAY", relay.to_owned()), ("TARGET", target.to_string())],
            arguments: if tuning == Tuning::Fast {
                vec!["-x", "fm", "-X", "fm"]
            } else {
                Vec::new()
            },
            under: under.iter().map(String::as_str).collect(),
        };
        let kamailio = Kamailio::start(&settings).await?;
        let trust = Some(kamailio.process.path().join("certificate.pem"));
        let name = if tuning == Tuning::Fast {
            "Kamailio, tuned"
        } else {
            "Kamailio"
        };
        Ok(Subject {
            name,
            process: Running::Kamailio(kamailio),
            udp,
            tcp: Some(udp),
            wss: Some(wss),
            trust,
        })
    }

    /// Kamailio that relays calls, with its rtpengine module if there is an RTPEngine.
    pub(crate) async fn kamailio_with_media(
        under: &[String],
        target: SocketAddr,
        engine: Option<SocketAddr>,
    ) -> Result<Self> {
        let udp = ports::free_address();
        let mut arguments = vec!["-x", "fm", "-X", "fm"];
        arguments.extend(engine.iter().flat_map(|_| ["-A", "WITH_MEDIA"]));
        let settings = Settings {
            config: "media",
            listen: vec![format!("udp:{udp}")],
            domain: "bench.test",
            fill: vec![
                ("TARGET", target.to_string()),
                (
                    "ENGINE",
                    engine.map(|at| at.to_string()).unwrap_or_default(),
                ),
            ],
            arguments,
            under: under.iter().map(String::as_str).collect(),
        };
        let kamailio = Kamailio::start(&settings).await?;
        let (without, with) = KAMAILIO_MEDIA;
        Ok(Subject {
            name: if engine.is_some() { with } else { without },
            process: Running::Kamailio(kamailio),
            udp,
            tcp: None,
            wss: None,
            trust: None,
        })
    }

    /// Causeway as in [`causeway`](Self::causeway), with an RTPEngine if there is one.
    pub(crate) async fn causeway_with_media(
        under: Vec<String>,
        target: SocketAddr,
        engine: Option<SocketAddr>,
    ) -> Result<Self> {
        let media = engine.map(|at| format!("\n[media]\nrtpengine = [\"{at}\"]\n"));
        let (without, with) = CAUSEWAY_MEDIA;
        Ok(Subject {
            name: if engine.is_some() { with } else { without },
            ..Self::causeway_as(under, target, &media.unwrap_or_default()).await?
        })
    }

    /// Causeway as an edge in front of the stub, on one core as `causeway run` is on a machine that has one.
    pub(crate) async fn causeway(cores: &Cores, target: SocketAddr) -> Result<Self> {
        Self::causeway_under(pinned(cores), target).await
    }

    /// Causeway, run by another command.
    pub(crate) async fn causeway_under(under: Vec<String>, target: SocketAddr) -> Result<Self> {
        Self::causeway_as(under, target, "").await
    }

    /// With more lines of configuration.
    async fn causeway_as(under: Vec<String>, target: SocketAddr, more: &str) -> Result<Self> {
        let (udp, wss, core) = (
            ports::free_address(),
            ports::free_address(),
            ports::free_address(),
        );
        let config = causeway_tests::data::read_text("bench/causeway.toml")?
            .replace("@UDP@", &udp.to_string())
            .replace("@WSS@", &wss.to_string())
            .replace("@CORE@", &core.to_string())
            .replace("@TARGET@", &target.to_string())
            + more;
        let gateway = Gateway::start_under(under, &config).await?;
        let trust = Some(gateway.certificate());
        Ok(Subject {
            name: CAUSEWAY_MEDIA.0,
            process: Running::Gateway(gateway),
            udp,
            tcp: Some(udp),
            wss: Some(wss),
            trust,
        })
    }
}

/// What runs a process on the core of what is measured.
pub(crate) fn pinned(cores: &Cores) -> Vec<String> {
    vec!["taskset".to_owned(), "-c".to_owned(), cores.subject.clone()]
}

/// Starts the stub registrar; it ends with the process that is given back.
pub(crate) async fn stub(cores: &Cores) -> Result<(Process, SocketAddr)> {
    stub_that(cores, "stub").await
}

/// The stub that answers a call with a session description.
pub(crate) async fn answering_stub(cores: &Cores) -> Result<(Process, SocketAddr)> {
    stub_that(cores, "answering-stub").await
}

async fn stub_that(cores: &Cores, role: &str) -> Result<(Process, SocketAddr)> {
    let address = ports::free_address();
    let arguments = [role.to_owned(), address.to_string()];
    let process = own_program(&cores.stub, "stub", &arguments, "stub listens").await?;
    Ok((process, address))
}

/// This program again, in another role and on another core.
async fn own_program(core: &str, name: &str, arguments: &[String], ready: &str) -> Result<Process> {
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a program with a strange name")?;
    let mut all = vec!["-c", core, own];
    all.extend(arguments.iter().map(String::as_str));
    let mut process = Process::start(name, Process::folder(name)?, "taskset".as_ref(), &all)?;
    process.wait_for_log(ready, Duration::from_secs(5)).await?;
    Ok(process)
}

/// Says which binary is measured.
pub(crate) fn binary() -> String {
    gateway::binary().map_or_else(|error| error.to_string(), |path| path.display().to_string())
}
