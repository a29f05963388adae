//! User-space instructions of a message or a call, counted by callgrind over the whole process: free of the noise that times have.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use causeway_tests::rtpengine::RtpEngine;

use crate::link::{Kind, Links};
use crate::load::{Load, Scenario};
use crate::subject::{self, Cores, Subject, Tuning};
use crate::table::{Cell, Table};

/// Transactions of the two runs whose difference counts: what the start and the end cost falls out.
const REGISTERS: [u32; 2] = [500, 3500];
/// The same of calls.
const CALLS: [u32; 2] = [100, 600];

/// What runs under callgrind, and where it sends what it relays.
#[derive(Clone, Copy)]
enum Which {
    Kamailio(&'static str, Tuning),
    Causeway,
    /// With media if there is an RTPEngine.
    KamailioMedia(Option<SocketAddr>),
    CausewayMedia(Option<SocketAddr>),
}

impl Which {
    async fn start(self, under: Vec<String>, target: SocketAddr) -> Result<Subject> {
        match self {
            Self::Kamailio(relay, tuning) => {
                Subject::kamailio_under(&under, target, relay, tuning).await
            }
            Self::Causeway => Subject::causeway_under(under, target).await,
            Self::KamailioMedia(engine) => {
                Subject::kamailio_with_media(&under, target, engine).await
            }
            Self::CausewayMedia(engine) => {
                Subject::causeway_with_media(under, target, engine).await
            }
        }
    }
}

/// A REGISTER and its answer over UDP, one after the other.
pub(crate) async fn measure(cores: &Cores, target: SocketAddr, ours: bool) -> Result<Table> {
    let mut table = Table::new(
        "Instructions for each message in user space, REGISTER, UDP to UDP (callgrind)",
        vec!["instructions".to_owned()],
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
        let each = each(which, cores, target, Scenario::Register, REGISTERS)
            .await
            .with_context(|| format!("{name} under callgrind"))?;
        let value = each / f64::from(Scenario::Register.messages());
        table.row(name, vec![cell(value)]);
    }
    Ok(table)
}

/// Calls with a session description, one after the other, without RTPEngine and with it.
pub(crate) async fn calls(cores: &Cores, ours: bool) -> Result<Table> {
    let engine = RtpEngine::start_with(&["--delete-delay=0"]).await?;
    let (_stub, target) = subject::answering_stub(cores).await?;
    let columns = ["without RTPEngine", "with", "added"];
    let mut table = Table::new(
        "Instructions for each call in user space, INVITE…BYE with SDP, UDP to UDP (callgrind)",
        columns.map(str::to_owned).into(),
    );
    type Media = fn(Option<SocketAddr>) -> Which;
    let mut subjects = vec![("Kamailio, tuned", Which::KamailioMedia as Media)];
    if ours {
        subjects.push(("Causeway", Which::CausewayMedia));
    }
    for (name, which) in subjects {
        let mut values = Vec::new();
        for asked in [None, Some(engine.ng)] {
            values.push(
                each(which(asked), cores, target, Scenario::Call, CALLS)
                    .await
                    .with_context(|| format!("{name} under callgrind"))?,
            );
        }
        values.push(values[1] - values[0]);
        table.row(name, values.into_iter().map(cell).collect());
    }
    Ok(table)
}

fn cell(value: f64) -> Cell {
    Cell {
        value,
        note: String::new(),
    }
}

/// Instructions of one transaction or call.
async fn each(
    which: Which,
    cores: &Cores,
    target: SocketAddr,
    scenario: Scenario,
    [few, many]: [u32; 2],
) -> Result<f64> {
    let fewer = count(which, cores, target, scenario, few).await?;
    let more = count(which, cores, target, scenario, many).await?;
    Ok((more - fewer) / f64::from(many - few))
}

async fn count(
    which: Which,
    cores: &Cores,
    target: SocketAddr,
    scenario: Scenario,
    transactions: u32,
) -> Result<f64> {
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
    let mut subject = which.start(under, target).await?;
    let server = subject.server(Kind::Udp).context("no UDP")?;
    let links = Links::open(Kind::Udp, server, 1, None).await?;
    Load::new(links, scenario, 0)
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
