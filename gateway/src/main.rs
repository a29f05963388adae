//! The `causeway` binary: arguments, wiring and signals.

use std::future::Future;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use causeway::config::{self, Config, Format, Level, Surroundings};
use causeway::demo;
use causeway::node::Node;
use clap::{CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A WebRTC-first SIP edge gateway with RTPEngine control.
///
/// Browsers (WSS), softphones (TLS) and desk phones (TCP, UDP) reach one public address; media is bridged by RTPEngine.
#[derive(Parser)]
#[command(version, after_help = "See docs/configuration.md for every key, its default and its reason.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a configuration file describes, until SIGTERM or Ctrl-C.
    Run {
        /// The configuration (TOML).
        file: PathBuf,
    },
    /// Say everything that is wrong with a configuration file, without starting.
    ///
    /// Exits with 0 if the file can be run, 1 if not. Also looks at the machine: addresses, ports, names, certificates.
    Check {
        /// The configuration (TOML).
        file: PathBuf,
    },
    /// Start a softphone page, two browser users, two desk phones' accounts, an echo and a tone: a call in one minute.
    ///
    /// Starts RTPEngine itself, in userspace; Ctrl-C ends all of it.
    Demo(demo::Options),
    /// Print every configuration key with its meaning, unit and default, as Markdown.
    Reference,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run { file } => run(&file),
        Command::Check { file } => return check(&file),
        Command::Demo(options) => {
            start_log(&Config::default().log);
            block_on(demo::run(options, stopped()))
        }
        Command::Reference => {
            print!("{}", config::markdown());
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "causeway", &mut std::io::stdout());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("causeway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &std::path::Path) -> anyhow::Result<()> {
    let env = |name: &str| std::env::var(name).ok();
    let loaded = match config::load(file, &Surroundings { env: &env, now: SystemTime::now() }) {
        Ok(loaded) => loaded,
        Err(found) => {
            eprintln!("{}", found.render(std::io::stderr().is_terminal()));
            anyhow::bail!("{} cannot be run as it is", file.display());
        }
    };
    if !loaded.warnings.is_empty() {
        eprintln!("{}", loaded.warnings.render(std::io::stderr().is_terminal()));
    }
    start_log(&loaded.config.log);
    block_on(async move {
        let node = Node::start(&loaded.config, None).await.context("could not start")?;
        announce(&node);
        stopped().await;
        tracing::info!("stopping");
        node.stop().await;
        Ok(())
    })
}

/// One line for each listener, then `ready`.
fn announce(node: &Node) {
    let files = node.open_files();
    tracing::info!(limit = files.now, "open files: each connection takes one");
    for (name, transport, address) in node.listeners() {
        println!("listen.{name}: {} {address}", transport.uri_param());
    }
    println!("ready");
}

fn check(file: &std::path::Path) -> ExitCode {
    let report = config::check(file);
    print!("{}", report.render(std::io::stdout().is_terminal()));
    ExitCode::from(report.exit_code())
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // What serves sockets has threads of its own; this one has timers, probes and the admin API.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}

async fn stopped() {
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn start_log(log: &config::Log) {
    let level = match log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        Format::Text => builder.init(),
        Format::Json => builder.json().init(),
    }
}
