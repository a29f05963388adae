//! CPU time a message: the whole process's CPU over a run, divided by the messages that it received in it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::link::{Kind, Links};
use crate::load::{Load, Outcome, Pace, Scenario};
use crate::subject::Subject;
use crate::table::{Cell, Table, median};

/// Connections of a load over TCP or WSS.
const CONNECTIONS: usize = 50;
/// Before each measurement, so that sockets, caches and connections are warm.
pub(crate) const WARM: Duration = Duration::from_millis(200);

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) paces: Vec<Pace>,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
}

/// Measures one scenario with every subject in turn, round after round, at every pace.
pub(crate) async fn measure(
    title: &str,
    scenario: Scenario,
    kind: Kind,
    subjects: &[&Subject],
    plan: &Plan,
) -> Result<Table> {
    let mut table = Table::new(
        title,
        plan.paces.iter().map(|pace| heading(*pace)).collect(),
    );
    let mut loads = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        let Some(server) = subject.server(kind) else {
            continue;
        };
        let load = open(subject, kind, server, scenario, index)
            .await
            .with_context(|| subject.name.to_owned())?;
        loads.push((*subject, load));
    }
    let mut cells = vec![Vec::new(); loads.len()];
    for pace in &plan.paces {
        let mut samples: Vec<Vec<Sample>> = loads.iter().map(|_| Vec::new()).collect();
        for _ in 0..plan.rounds {
            for ((subject, load), samples) in loads.iter_mut().zip(&mut samples) {
                samples.push(sample(subject, load, scenario, *pace, plan.time).await?);
            }
        }
        for (samples, cells) in samples.iter().zip(&mut cells) {
            cells.push(cell(samples, *pace, scenario));
        }
    }
    for ((subject, _), cells) in loads.iter().zip(cells) {
        table.row(subject.name, cells);
    }
    Ok(table)
}

async fn open(
    subject: &Subject,
    kind: Kind,
    server: SocketAddr,
    scenario: Scenario,
    index: usize,
) -> Result<Load> {
    let links = Links::open(kind, server, CONNECTIONS, subject.trust.as_deref()).await?;
    // Numbers of their own for each load: the stub and a transaction layer must never see one twice.
    let first = u32::try_from(index)? << 28 | (rand_seed() & 0x0FFF_FFFF) >> 1;
    Ok(Load::new(links, scenario, first))
}

/// Differs from load to load and from run to run.
fn rand_seed() -> u32 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |age| age.subsec_nanos())
}

struct Sample {
    outcome: Outcome,
    cpu: Duration,
}

async fn sample(
    subject: &Subject,
    load: &mut Load,
    scenario: Scenario,
    pace: Pace,
    time: Duration,
) -> Result<Sample> {
    let named = || format!("{}, {scenario:?}, {pace:?}", subject.name);
    load.run(pace, WARM).await.with_context(named)?;
    load.settle().await?;
    let before = subject.process().cpu();
    let outcome = load.run(pace, time).await.with_context(named)?;
    let cpu = subject.process().cpu().saturating_sub(before);
    load.settle().await?;
    Ok(Sample { outcome, cpu })
}

fn heading(pace: Pace) -> String {
    match pace {
        Pace::Rate(rate) => format!("{rate}/s"),
        Pace::Saturation => "saturation".to_owned(),
    }
}

fn cell(samples: &[Sample], pace: Pace, scenario: Scenario) -> Cell {
    let each = f64::from(scenario.messages());
    let messages = |sample: &Sample| f64::from(sample.outcome.done).max(1.0) * each;
    let costs = samples
        .iter()
        .map(|sample| sample.cpu.as_secs_f64() * 1e6 / messages(sample))
        .collect();
    let rates = samples
        .iter()
        .map(|sample| messages(sample) / sample.outcome.time.as_secs_f64())
        .collect();
    let loads = samples
        .iter()
        .map(|sample| sample.cpu.as_secs_f64() / sample.outcome.time.as_secs_f64())
        .collect();
    let answered = samples
        .iter()
        .map(|sample| f64::from(sample.outcome.done) / f64::from(sample.outcome.begun.max(1)));
    let answered = median(answered.collect());
    let note = match pace {
        Pace::Saturation => format!(
            "(at {:.0}/s, {:.0} % of its core)",
            median(rates),
            median(loads) * 100.0
        ),
        Pace::Rate(_) if answered < 0.97 => "saturated".to_owned(),
        Pace::Rate(_) => String::new(),
    };
    Cell {
        value: median(costs),
        note,
    }
}
