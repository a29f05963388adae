//! The `causeway` binary: arguments, wiring and signals.

use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use causeway::config::{self, Format, Level, Role, Surroundings};
use causeway::ctl;
use causeway::demo;
use causeway::explain;
use causeway::node::Node;
use clap::{CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A WebRTC-first SIP edge gateway with RTPEngine control.
///
/// Browsers (WSS), softphones (TLS) and desk phones (TCP, UDP) reach one public address; media is bridged by RTPEngine.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without a configuration: `causeway demo`. With one: `causeway check FILE`, then `causeway run FILE`.\n\
                  `causeway reference` says of every key what it means and what it is by default."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a configuration file describes, until SIGTERM or Ctrl-C.
    ///
    /// Prints one line for each listener and then `ready`; its log goes to standard error. Exits with 0 when it was told to
    /// stop, with 1 when it could not start, and then says why.
    Run {
        /// The configuration (TOML); deploy/causeway.toml is one to start from.
        file: PathBuf,
        /// What the page gets as `/demo.json`: accounts and whom to call. `causeway demo --cluster` runs its edges so.
        #[arg(long, hide = true, value_name = "FILE")]
        demo: Option<PathBuf>,
    },
    /// Say everything that is wrong with a configuration file, without starting.
    ///
    /// Looks at the machine too: addresses, ports, names, certificates. A node that runs already holds its ports, and they
    /// are said to be in use. Exits with 0 if the file can be run (warnings or not), with 1 if not.
    Check {
        /// The configuration (TOML).
        file: PathBuf,
    },
    /// Say what the node would do with a message, and why, without sending anything.
    ///
    /// Prints how the decision is come to (which rule matches, which member is chosen), where the message goes, which of its lines
    /// change and how many bytes leave. The decision is the node's own; what only the network knows is taken for granted, and said.
    Explain(Box<explain::Options>),
    /// Ask a node that runs for its groups and calls; drain a member.
    Ctl(ctl::Options),
    /// Start a softphone page, two browser users, two desk phones' accounts, an echo and a tone: a call in one minute.
    ///
    /// Starts RTPEngine itself, in userspace; Ctrl-C ends all of it.
    Demo(demo::Options),
    /// Print every configuration key with its meaning, unit and default, as Markdown.
    Reference,
    /// Print a completion script for a shell.
    ///
    /// For this shell: `source <(causeway completions bash)`. For every one to come, write it to
    /// ~/.local/share/bash-completion/completions/causeway.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run { file, demo } => run(&file, demo.as_deref()),
        Command::Check { file } => return check(&file),
        Command::Explain(options) => block_on(async move { explain::run(&options).await }),
        Command::Ctl(options) => ctl::run(&options).map(|said| print!("{said}")),
        Command::Demo(options) => {
            // Which sockets are open is said in words there.
            start_log(&config::Log {
                level: Level::Warn,
                ..config::Log::default()
            });
            block_on(demo::run(options, left()))
        }
        Command::Reference => {
            print!("{}", config::markdown());
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "causeway",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("causeway: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each once: many say their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let gap = if text.is_empty() { "" } else { ": " };
            text.push_str(gap);
            text.push_str(&cause);
        }
    }
    text
}

fn run(file: &Path, demo: Option<&Path>) -> anyhow::Result<()> {
    let page = demo.map(demo::page).transpose()?;
    let env = |name: &str| std::env::var(name).ok();
    let loaded = match config::load(
        file,
        &Surroundings {
            env: &env,
            now: SystemTime::now(),
        },
    ) {
        Ok(loaded) => loaded,
        Err(found) => {
            eprintln!("{}", found.render(std::io::stderr().is_terminal()));
            anyhow::bail!("{} cannot be run as it is", file.display());
        }
    };
    if !loaded.warnings.is_empty() {
        eprintln!(
            "{}",
            loaded.warnings.render(std::io::stderr().is_terminal())
        );
    }
    start_log(&loaded.config.log);
    let roles: Vec<&str> = loaded.config.roles().into_iter().map(Role::word).collect();
    tracing::info!(?roles, "starting");
    block_on(async move {
        let node = match Node::start(&loaded.config, page).await {
            Ok(node) => node,
            Err(error) => {
                // What stopped it is mostly a port or an address: then the line is worth more than the system's words.
                let machine = config::probe(&loaded.config, &loaded.source);
                if machine.errors() > 0 {
                    eprintln!("{}", machine.render(std::io::stderr().is_terminal()));
                }
                return Err(anyhow::Error::from(error).context("could not start"));
            }
        };
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
        println!("listen.{name}: {} {address}", transport.name());
    }
    println!("ready");
}

fn check(file: &Path) -> ExitCode {
    let report = config::check(file);
    print!("{}", report.render(std::io::stdout().is_terminal()));
    ExitCode::from(report.exit_code())
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // What serves sockets has threads of its own; this one has timers, probes and the admin API.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

async fn stopped() {
    let (Ok(mut term), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// As [`stopped`], or the terminal of a demo was closed.
async fn left() {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return stopped().await;
    };
    tokio::select! {
        () = stopped() => {}
        _ = hangup.recv() => {}
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
