//! Debian's Kamailio: a stand-in for a core, and what the benchmark measures us against.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::certificate::Certificate;
use crate::data;
use crate::process::Process;

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    /// Its process group.
    pub process: Process,
    /// Where the first of its listeners is.
    pub address: SocketAddr,
}

/// What is put into a configuration of `tests/data/kamailio`, and how it is started.
#[derive(Clone, Debug, Default)]
pub struct Settings<'a> {
    /// The file's name without `.cfg`.
    pub config: &'a str,
    /// Where to listen, in Kamailio's words: `udp:127.0.0.1:5060`.
    pub listen: Vec<String>,
    /// The domain that it is responsible for.
    pub domain: &'a str,
    /// More `@NAME@` placeholders of the file.
    pub fill: Vec<(&'a str, String)>,
    /// More arguments of the command line: `-x fm -X fm` is how its users tune its memory.
    pub arguments: Vec<&'a str>,
    /// Another program that runs it, with its arguments: `taskset -c 0`, valgrind.
    pub under: Vec<&'a str>,
}

impl Kamailio {
    /// The stand-in registrar: UDP and TCP, and TLS with a certificate of its own, on 127.0.0.1; everyone may register.
    pub async fn registrar(domain: &str, port: u16, tls_port: u16) -> Result<Self> {
        let listen = [("udp", port), ("tcp", port), ("tls", tls_port)]
            .map(|(kind, port)| format!("{kind}:127.0.0.1:{port}"));
        Self::start(&Settings {
            config: "registrar",
            listen: listen.into(),
            domain,
            ..Settings::default()
        })
        .await
    }

    /// Starts it and waits until it listens.
    pub async fn start(settings: &Settings<'_>) -> Result<Self> {
        let folder = Process::folder("kamailio")?;
        let config = write_config(settings, folder.path())?;
        let config = config
            .to_str()
            .context("a temporary folder with a strange name")?
            .to_owned();
        let place = folder
            .path()
            .to_str()
            .context("a temporary folder with a strange name")?
            .to_owned();
        let mut arguments = settings.under.clone();
        if !arguments.is_empty() {
            arguments.push("kamailio");
        }
        // -DD: in the foreground with children; -E: log to standard error; -m, -M: shared and private memory in MiB, taken as
        // it is touched. At saturation a transaction layer holds a quarter of a million finished transactions.
        arguments.extend([
            "-DD", "-E", "-m", "2048", "-M", "32", "-f", &config, "-Y", &place, "-w", &place,
        ]);
        arguments.extend(&settings.arguments);
        let program = if settings.under.is_empty() {
            "kamailio"
        } else {
            arguments.remove(0)
        };
        let mut process = Process::start("kamailio", folder, Path::new(program), &arguments)?;
        process
            .wait_for_log(
                "ready for SIP",
                Duration::from_secs(if settings.under.is_empty() { 10 } else { 60 }),
            )
            .await?;
        let first = settings
            .listen
            .first()
            .and_then(|listen| listen.split_once(':'));
        let address = first.context("nothing to listen on")?.1.parse()?;
        Ok(Kamailio { process, address })
    }
}

fn write_config(settings: &Settings<'_>, folder: &Path) -> Result<PathBuf> {
    let template = data::read_text(&format!("kamailio/{}.cfg", settings.config))?;
    let secure = settings
        .listen
        .iter()
        .any(|listen| listen.starts_with("tls:"));
    let mut tls = String::new();
    if secure {
        // By a file: given as parameters of the module, its 5.6.3 finds "no suitable signature algorithm" with any certificate.
        let certificate = Certificate::write(folder, &["127.0.0.1", "localhost"])?;
        let file = folder.join("tls.cfg");
        fs::write(
            &file,
            format!(
                "[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\n\
                 certificate = {}\nprivate_key = {}\n",
                certificate.chain.display(),
                certificate.key.display()
            ),
        )?;
        tls = format!(
            "loadmodule \"tls.so\"\nmodparam(\"tls\", \"config\", \"{}\")",
            file.display()
        );
    }
    let listen: String = settings
        .listen
        .iter()
        .map(|listen| format!("listen={listen}\n"))
        .collect();
    let mut text = template
        .replace("@DOMAIN@", settings.domain)
        .replace("@LISTEN@", &listen)
        .replace("@TLS@", if secure { "yes" } else { "no" })
        .replace("@LOADTLS@", &tls)
        .replace("@ARCH@", std::env::consts::ARCH);
    for (name, value) in &settings.fill {
        text = text.replace(&format!("@{name}@"), value);
    }
    // Something must be the last statement before the routes that logs readiness: Kamailio itself says nothing when it listens.
    text.push_str(
        "\nevent_route[core:worker-one-init] { xlog(\"L_ERR\", \"ready for SIP\\n\"); }\n",
    );
    let text = text.replacen("loadmodule", "loadmodule \"xlog.so\"\nloadmodule", 1);
    let path = folder.join("kamailio.cfg");
    fs::write(&path, text)?;
    Ok(path)
}
