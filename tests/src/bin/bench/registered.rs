//! What an edge and a registrar cost together, and whether that changes with the number of devices that are registered.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;

use crate::chain::{Chain, Cpu};
use crate::cpu::WARM;
use crate::devices::{Devices, Work};
use crate::load::Outcome;
use crate::memory::settled;
use crate::subject::Cores;
use crate::table::{Cell, Table, median};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many devices are registered, one after the other; each more than the one before.
    pub(crate) devices: Vec<u32>,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
}

/// Fills each chain to each number of devices, and measures both kinds of work there, in turn.
pub(crate) async fn measure(cores: &Cores, ours: bool, plan: &Plan) -> Result<Vec<Table>> {
    let headings = |unit: &str| {
        plan.devices
            .iter()
            .map(|count| format!("{count} {unit}"))
            .collect::<Vec<_>>()
    };
    let table = |title: &str| Table::new(title, headings("devices"));
    let mut refresh = table(
        "REGISTER refresh through edge and registrar, UDP: µs of both for each message that either received (3)",
    );
    let mut call =
        table("Call to a registered device, registrar, edge, UDP: the same for each of 7 messages");
    let mut fill = table("Milliseconds to register each device the first time, challenge and all");

    let most = plan
        .devices
        .last()
        .copied()
        .context("no number of devices")?;
    let mut chains = vec![Chain::kamailio(cores).await?];
    if ours {
        chains.push(Chain::causeway(cores, most).await?);
    }
    let mut sides = Vec::new();
    for chain in chains {
        let devices = Devices::of(&chain).await?;
        sides.push(Side {
            chain,
            devices,
            cells: Default::default(),
        });
    }
    let mut filled = 0;
    for count in &plan.devices {
        for side in &mut sides {
            side.fill(filled, *count)
                .await
                .with_context(|| side.chain.name)?;
        }
        filled = *count;
        for (work, place) in [(Work::Refresh, REFRESH), (Work::Call, CALL)] {
            let mut samples: Vec<Vec<Sample>> = sides.iter().map(|_| Vec::new()).collect();
            for _ in 0..plan.rounds {
                for (side, samples) in sides.iter_mut().zip(&mut samples) {
                    samples.push(side.sample(work, plan.time).await?);
                }
            }
            for (side, samples) in sides.iter_mut().zip(&samples) {
                let first = side.cells[place].first().map(|cell: &Cell| cell.value);
                side.cells[place].push(cell(samples, work, first));
            }
        }
    }
    for side in sides {
        let [refreshes, calls, fills] = side.cells;
        refresh.row(side.chain.name, refreshes);
        call.row(side.chain.name, calls);
        fill.row(side.chain.name, fills);
    }
    Ok(vec![refresh, call, fill])
}

/// What a device adds to the memory of new processes that do nothing else, between the fewest devices and the most.
pub(crate) async fn memory(cores: &Cores, ours: bool, plan: &Plan) -> Result<Table> {
    let (few, most) = plan
        .devices
        .first()
        .zip(plan.devices.last())
        .context("no number of devices")?;
    let mut table = Table::new(
        &format!(
            "Memory, bytes for each registered device, from {few} to {most} of them (PSS of both)"
        ),
        vec!["a device".to_owned()],
    );
    let mut chains = vec![Chain::kamailio(cores).await?];
    if ours {
        chains.push(Chain::causeway(cores, *most).await?);
    }
    let mut sides = Vec::new();
    for chain in chains {
        sides.push((Devices::of(&chain).await?, chain));
    }
    let mut held = Vec::new();
    for count in [*few, *most] {
        for (devices, chain) in &mut sides {
            devices.fill(count).await.context(chain.name)?;
        }
        // All at once: each takes a while to give back what it only needed on the way.
        let groups = sides.iter().flat_map(|(_, chain)| chain.groups());
        held.push(join_all(groups.map(settled)).await);
    }
    for (index, (_, chain)) in sides.iter().enumerate() {
        let [edge, registrar] = [2 * index, 2 * index + 1].map(|group| {
            held[1][group].saturating_sub(held[0][group]) as f64 / f64::from(most - few)
        });
        table.row(
            chain.name,
            vec![Cell {
                value: edge + registrar,
                note: format!("(edge {edge:.0}, registrar {registrar:.0})"),
            }],
        );
    }
    Ok(table)
}

const REFRESH: usize = 0;
const CALL: usize = 1;
const FILL: usize = 2;

/// One chain with its devices, and a row of each table.
struct Side {
    chain: Chain,
    devices: Devices,
    cells: [Vec<Cell>; 3],
}

struct Sample {
    outcome: Outcome,
    cpu: Cpu,
}

impl Side {
    async fn fill(&mut self, filled: u32, count: u32) -> Result<()> {
        let time = self.devices.fill(count).await?;
        self.devices.settle().await?;
        self.cells[FILL].push(Cell {
            value: time.as_secs_f64() * 1e3 / f64::from(count - filled),
            note: format!("({:.1} s for {})", time.as_secs_f64(), count - filled),
        });
        Ok(())
    }

    async fn sample(&mut self, work: Work, time: Duration) -> Result<Sample> {
        let named = || format!("{}, {work:?}", self.chain.name);
        self.devices.run(work, WARM).await.with_context(named)?;
        self.devices.settle().await?;
        let before = self.chain.cpu();
        let outcome = self.devices.run(work, time).await;
        let cpu = self.chain.cpu().since(before);
        self.devices.settle().await?;
        Ok(Sample {
            outcome: outcome.with_context(|| format!("{}, {work:?}", self.chain.name))?,
            cpu,
        })
    }
}

/// The median of some samples; `first` is the same with fewer devices.
fn cell(samples: &[Sample], work: Work, first: Option<f64>) -> Cell {
    let figure = |of: &dyn Fn(&Sample) -> f64| median(samples.iter().map(of).collect());
    let each = |time: Duration, sample: &Sample| {
        time.as_secs_f64() * 1e6 / f64::from(sample.outcome.done.max(1))
    };
    let value = figure(&|sample| each(sample.cpu.sum(), sample) / f64::from(work.messages()));
    let edge = figure(&|sample| each(sample.cpu.edge, sample));
    let registrar = figure(&|sample| each(sample.cpu.registrar, sample));
    let rate = figure(&|sample| f64::from(sample.outcome.done) / sample.outcome.time.as_secs_f64());
    let growth = first.map_or(String::new(), |first| {
        format!(", {:.2} of the first", value / first)
    });
    Cell {
        value,
        note: format!("(edge {edge:.0} + registrar {registrar:.0} for one, {rate:.0}/s{growth})"),
    }
}
