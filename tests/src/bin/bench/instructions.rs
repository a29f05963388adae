//! User-space instructions a message, counted by callgrind over the whole process: free of the noise that times have.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::link::{Kind, Links};
use crate::load::{Load, Scenario};
use crate::subject::{Cores, Subject, Tuning};
use crate::table::{Cell, Table};

/// Transactions of the two runs whose difference counts: what the start and the end cost falls out.
const RUNS: [u32; 2] = [500, 3500];

#[derive(Clone, Copy)]
enum Which {
    Kamailio(&'static str, Tuning),
    Causeway,
}

/// A REGISTER and its answer over UDP, one after the other.
pub(crate) async fn measure(cores: &Cores, target: SocketAddr, ours: bool) -> Result<Table> {
    let columns = vec!["instructions".to_owned()];
    let mut table = Table::new(
        "Instructions for each message in user space, REGISTER, UDP to UDP (callgrind)",
        columns,
    );
    let mut subjects = vec![
        (
            "Kamailio, tuned",
            Which::Kamailio("forward()", Tuning::Fast),
        ),
        (
            "  with t_relay()",
            Which::Kamailio("t_relay()", Tuning::Fast),
        ),
    ];
    if ours {
        subjects.push(("Causeway", Which::Causeway));
    }
    for (name, which) in subjects {
        let mut counts = Vec::new();
        for run in RUNS {
            counts.push(
                count(which, cores, target, run)
                    .await
                    .with_context(|| format!("{name} under callgrind"))?,
            );
        }
        let messages = (RUNS[1] - RUNS[0]) * Scenario::Register.messages();
        let value = (counts[1] - counts[0]) / f64::from(messages);
        table.row(
            name,
            vec![Cell {
                value,
                note: String::new(),
            }],
        );
    }
    Ok(table)
}

async fn count(which: Which, cores: &Cores, target: SocketAddr, transactions: u32) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("callgrind.%p");
    let under = [
        "taskset",
        "-c",
        &cores.subject,
        "valgrind",
        "--tool=callgrind",
        "--quiet",
    ];
    let mut under: Vec<String> = under.map(str::to_owned).into();
    under.push(format!("--callgrind-out-file={}", output.display()));
    let mut subject = match which {
        Which::Kamailio(relay, tuning) => {
            Subject::kamailio_under(&under, target, relay, tuning).await?
        }
        Which::Causeway => Subject::causeway_under(under, target).await?,
    };
    let server = subject.server(Kind::Udp).context("no UDP")?;
    let links = Links::open(Kind::Udp, server, 1, None).await?;
    Load::new(links, Scenario::Register, 0)
        .one_by_one(transactions)
        .await?;
    subject.terminate().await?;
    total(folder.path())
}

/// The sum of what all processes counted.
fn total(folder: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for file in fs::read_dir(folder)? {
        let text = fs::read_to_string(file?.path())?;
        let counted = text.lines().find_map(|line| {
            line.strip_prefix("totals: ")
                .or(line.strip_prefix("summary: "))
        });
        sum += counted
            .and_then(|count| count.trim().parse::<f64>().ok())
            .unwrap_or(0.0);
    }
    if sum == 0.0 {
        bail!("callgrind counted nothing");
    }
    Ok(sum)
}
