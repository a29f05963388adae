//! `make bench`: what a message costs and what a connection holds, Causeway beside Debian's Kamailio and a bare reflector, all in one
//! run and in turn. It prints tables and ratios; nothing fails by a time.
//!
//! `bench [--quick] [--rounds N] [--seconds N] [--devices FEW,MANY] [--only WORD] [--peers-only]`; `bench stub ADDRESS`, `bench answering-stub ADDRESS` and
//! `bench reflect ADDRESS TARGET` are the parts that it starts as processes of their own.

mod chain;
mod cpu;
mod devices;
mod instructions;
mod link;
mod load;
mod media;
mod memory;
mod message;
mod peer;
mod phones;
mod registered;
mod subject;
mod table;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cpu::Plan;
use crate::link::Kind;
use crate::load::{Pace, Scenario};
use crate::subject::{Cores, Subject, Tuning};

/// Connections of the memory measurement.
const IDLE_CONNECTIONS: usize = 2000;

struct Options {
    plan: Plan,
    registered: registered::Plan,
    connections: usize,
    only: String,
    /// Whether Causeway itself is measured too.
    ours: bool,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    match words.as_slice() {
        ["stub", address] => peer::stub(address.parse()?, ""),
        ["answering-stub", address] => peer::stub(address.parse()?, message::SESSION),
        ["reflect", address, target] => {
            runtime()?.block_on(peer::reflect(address.parse()?, target.parse()?))
        }
        options => {
            let options = read_options(options)?;
            let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
            let cores = Cores::of_this_machine();
            // Before the runtime starts: what comes later inherits it, and what is measured is told otherwise.
            let id = std::process::id().to_string();
            Command::new("taskset")
                .args(["-p", "-c", &cores.load, &id])
                .output()
                .context("taskset is missing")?;
            runtime()?.block_on(bench(&options, &cores))
        }
    }
}

fn read_options(words: &[&str]) -> Result<Options> {
    let rates = [500, 5_000, 20_000].map(Pace::Rate);
    let mut options = Options {
        plan: Plan {
            paces: rates.into_iter().chain([Pace::Saturation]).collect(),
            rounds: 5,
            time: Duration::from_secs(2),
        },
        registered: registered::Plan {
            devices: vec![1_000, 100_000],
            rounds: 5,
            time: Duration::from_secs(2),
        },
        connections: IDLE_CONNECTIONS,
        only: String::new(),
        ours: true,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} needs a value"))
        };
        match *word {
            "--quick" => {
                options.plan.paces = vec![Pace::Saturation];
                options.plan.rounds = 1;
                options.plan.time = Duration::from_secs(1);
                options.registered.devices = vec![1_000, 10_000];
                options.registered.rounds = 1;
                options.registered.time = Duration::from_secs(1);
                options.connections = 200;
            }
            "--rounds" => {
                options.plan.rounds = value()?.parse()?;
                options.registered.rounds = options.plan.rounds;
            }
            "--seconds" => {
                options.plan.time = Duration::from_secs(value()?.parse()?);
                options.registered.time = options.plan.time;
            }
            "--devices" => {
                let counts = value()?.split(',').map(str::parse);
                options.registered.devices = counts.collect::<Result<_, _>>()?;
                if options
                    .registered
                    .devices
                    .iter()
                    .any(|count| *count < devices::FEWEST)
                {
                    bail!("at least {} devices are needed", devices::FEWEST);
                }
            }
            "--peers-only" => options.ours = false,
            "--only" => options.only = (*value()?).to_owned(),
            other => bail!(
                "unknown {other:?}; there are --quick, --rounds N, --seconds N, --devices FEW,MANY, --only WORD and --peers-only"
            ),
        }
    }
    Ok(options)
}

async fn bench(options: &Options, cores: &Cores) -> Result<()> {
    let (_stub, target) = subject::stub(cores).await?;
    println!("Measured: {}", subject::binary());
    println!(
        "Core {} for what is measured, {} for the load, {} for the stub; medians of {} rounds of {:?}, in turn.",
        cores.subject, cores.load, cores.stub, options.plan.rounds, options.plan.time
    );
    println!("Figures are microseconds of CPU for each message that the process received.");
    let reflector = Subject::reflector(cores, target).await?;
    let stateless = [
        Subject::kamailio(cores, target, "forward()", Tuning::Default).await?,
        Subject::kamailio(cores, target, "forward()", Tuning::Fast).await?,
    ];
    let stateful = [
        Subject::kamailio(cores, target, "t_relay()", Tuning::Default).await?,
        Subject::kamailio(cores, target, "t_relay()", Tuning::Fast).await?,
    ];
    let ours = if options.ours {
        Some(Subject::causeway(cores, target).await?)
    } else {
        None
    };

    let rows = [
        (
            "REGISTER, stateless, UDP to UDP",
            Scenario::Register,
            Kind::Udp,
            &stateless,
        ),
        (
            "REGISTER, with a transaction, TCP to UDP",
            Scenario::Register,
            Kind::Tcp,
            &stateful,
        ),
        (
            "REGISTER, with a transaction, WSS to UDP",
            Scenario::Register,
            Kind::Wss,
            &stateful,
        ),
        (
            "Call INVITE…BYE, UDP to UDP",
            Scenario::Call,
            Kind::Udp,
            &stateful,
        ),
        (
            "Call INVITE…BYE, WSS to UDP",
            Scenario::Call,
            Kind::Wss,
            &stateful,
        ),
    ];
    for (title, scenario, kind, kamailio) in rows {
        if title.contains(options.only.as_str()) {
            let subjects: Vec<&Subject> = [&reflector]
                .into_iter()
                .chain(kamailio)
                .chain(&ours)
                .collect();
            println!(
                "{}",
                cpu::measure(title, scenario, kind, &subjects, &options.plan).await?
            );
        }
    }
    drop((reflector, stateless, stateful, ours));
    if "Media".contains(options.only.as_str()) {
        for table in media::measure(cores, options.ours, &options.plan).await? {
            println!("{table}");
        }
    }
    if "Registered".contains(options.only.as_str()) {
        for table in registered::measure(cores, options.ours, &options.registered).await? {
            println!("{table}");
        }
        println!(
            "{}",
            registered::memory(cores, options.ours, &options.registered).await?
        );
    }
    if "Memory".contains(options.only.as_str()) {
        // New processes: what the load made them take before would hide what a connection takes.
        let mut subjects = vec![
            Subject::kamailio(cores, target, "t_relay()", Tuning::Default).await?,
            Subject::kamailio(cores, target, "t_relay()", Tuning::Fast).await?,
        ];
        if options.ours {
            subjects.push(Subject::causeway(cores, target).await?);
        }
        println!("{}", memory::measure(&subjects, options.connections).await?);
    }
    if "Instructions".contains(options.only.as_str()) {
        println!(
            "{}",
            instructions::measure(cores, target, options.ours).await?
        );
    }
    if "Media instructions".contains(options.only.as_str()) {
        println!("{}", instructions::calls(cores, options.ours).await?);
    }
    Ok(())
}
