//! Memory of an idle registered WSS connection.

use std::time::Duration;

use anyhow::{Context, Result};
use causeway_tests::usage;

use crate::link::{Kind, Links};
use crate::message;
use crate::subject::Subject;
use crate::table::{Cell, Table};

/// A message as large as most limits allow.
const BURST: usize = 60_000;
/// Whatever is given back is given back by then: a transaction's messages after 5 s, an allocator's pages some seconds later.
const QUIET: Duration = Duration::from_secs(40);
/// Memory that has not changed by a hundredth for so long counts as settled; longer than a transaction lingers.
const STILL: u32 = 8;

/// Opens `count` connections, registers on each, and measures what each has added; then again after one large message on each.
pub(crate) async fn measure(subjects: &[Subject], count: usize) -> Result<Table> {
    let columns = vec!["idle".to_owned(), "after 60 KB".to_owned()];
    let mut table = Table::new(
        &format!("Memory, KiB for each of {count} registered WSS connections (PSS)"),
        columns,
    );
    for subject in subjects {
        let Some(server) = subject.server(Kind::Wss) else {
            continue;
        };
        let cells = connections(subject, server, count)
            .await
            .with_context(|| subject.name.to_owned())?;
        table.row(subject.name, cells);
    }
    Ok(table)
}

async fn connections(
    subject: &Subject,
    server: std::net::SocketAddr,
    count: usize,
) -> Result<Vec<Cell>> {
    let group = subject.process().id();
    let before = usage::group_share(group);
    let each = |now: u64| now.saturating_sub(before) as f64 / 1024.0 / count as f64;
    let mut links = Links::open(Kind::Wss, server, count, subject.trust.as_deref()).await?;
    for link in 0..count {
        let mut register = message::register("WSS", &format!("u{link}"));
        links
            .send(link, register.fill(u32::try_from(link)?))
            .await?;
        answered(&mut links).await?;
    }
    let idle = Cell {
        value: each(settled(group).await),
        note: String::new(),
    };
    for link in 0..count {
        let mut large = message::large("WSS", &format!("u{link}"), BURST);
        links.send(link, large.fill(u32::try_from(link)?)).await?;
        if answered(&mut links).await.is_err() {
            return Ok(vec![
                idle,
                Cell {
                    value: f64::NAN,
                    note: "refused".to_owned(),
                },
            ]);
        }
    }
    Ok(vec![
        idle,
        Cell {
            value: each(settled(group).await),
            note: String::new(),
        },
    ])
}

/// What a process group holds when it has stopped to give back.
pub(crate) async fn settled(group: u32) -> u64 {
    let begun = tokio::time::Instant::now();
    let mut last = usage::group_share(group);
    let mut still = 0;
    while still < STILL && begun.elapsed() < QUIET {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = usage::group_share(group);
        still = if now.abs_diff(last) * 100 < last {
            still + 1
        } else {
            0
        };
        last = now;
    }
    last
}

async fn answered(links: &mut Links) -> Result<()> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(5), links.next())
            .await
            .context("no answer")??;
        if message::answer(&message).is_some_and(|answer| answer.status >= 200) {
            return Ok(());
        }
    }
}
