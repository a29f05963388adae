//! `causeway demo --cluster`: the case that Causeway is made for, on one machine. Two edges that share their keys, two of
//! Debian's Kamailio as registrars that share their bindings, one RTPEngine, and a core that answers; each has an address of
//! its own on loopback. All but the core are processes of their own: they may be killed, and started again.

mod caller;
mod core;
mod directions;
mod edge;
mod part;
mod plan;
mod registrar;

use std::future::Future;
use std::io::BufRead;
use std::pin::pin;

use anyhow::Context;
use futures_util::future::select_all;
use tokio::sync::mpsc;

use self::core::{Core, Order};
use super::{Options, rtpengine};
use part::{Part, Ready};
use plan::Plan;

/// Starts everything, says how to use it, and serves until `stopped`.
///
/// # Errors
/// What could not be started, in words.
pub(super) async fn run(
    options: &Options,
    stopped: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let modules = registrar::modules()?;
    let plan = Plan::make(options)?;
    let mut parts = parts(&plan, &modules)?;
    let core = Core::start(plan.core, plan.registrars).await?;
    let mut stopped = pin!(stopped);
    for part in &mut parts {
        eprintln!("starting {} …", part.name);
        tokio::select! {
            started = part.start() => started?,
            () = &mut stopped => return end(parts).await,
        }
    }
    print!("{}", directions::all(&plan, &parts)?);
    println!("ready");

    let mut typed = lines();
    loop {
        tokio::select! {
            () = &mut stopped => break,
            (name, how) = first_end(&mut parts) => {
                println!("{name} has ended ({how}); the rest goes on. Enter starts it again.");
            }
            Some(line) = typed.recv() => tokio::select! {
                () = &mut stopped => break,
                () = obey(&line, &mut parts, &core) => {}
            },
        }
    }
    drop(core);
    end(parts).await
}

/// The parts in the order in which they start.
fn parts(plan: &Plan, modules: &str) -> anyhow::Result<Vec<Part>> {
    let media = Part::new(
        "rtpengine",
        plan.folder.join("rtpengine.log"),
        (
            "rtpengine".into(),
            rtpengine::arguments(plan::LOCAL, plan.ng),
        ),
        Ready::Pings(plan.ng),
    );
    let mut parts = vec![media];
    for (index, name) in ["registrar 1", "registrar 2"].into_iter().enumerate() {
        parts.push(registrar::part(plan, index, name, modules)?);
    }
    let program = std::env::current_exe().context("this program does not know where it is")?;
    for (index, name) in ["edge 1", "edge 2"].into_iter().enumerate() {
        parts.push(edge::part(plan, index, name, program.clone())?);
    }
    Ok(parts)
}

/// Does what was typed.
async fn obey(line: &str, parts: &mut [Part], core: &Core) {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words[..] {
        [] => again(parts).await,
        ["call", user] if user.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            core.order(Order::Call(user.to_owned())).await;
        }
        ["hangup"] => core.order(Order::HangUp).await,
        _ => println!(
            "Enter alone starts again what has ended; `call USER` lets the core call, `hangup` ends that."
        ),
    }
}

/// The first part that ends, and how.
async fn first_end(parts: &mut [Part]) -> (&'static str, String) {
    let each = parts.iter_mut().map(|part| {
        Box::pin(async {
            let status = part.ended().await;
            (part.name, part::said(status))
        })
    });
    select_all(each).await.0
}

/// Starts again what has ended.
async fn again(parts: &mut [Part]) {
    for part in parts.iter_mut().filter(|part| part.id().is_none()) {
        match part.start().await {
            Ok(()) => println!("{} runs again, pid {}", part.name, part.id().unwrap_or(0)),
            Err(error) => println!("{error:#}"),
        }
    }
}

async fn end(mut parts: Vec<Part>) -> anyhow::Result<()> {
    eprintln!("stopping …");
    for part in &parts {
        part.ask_to_end();
    }
    for part in &mut parts {
        part.end().await;
    }
    Ok(())
}

/// What is typed, line by line. A thread of its own, as reading a terminal cannot be given up; none in the background, which a
/// terminal would stop for reading.
fn lines() -> mpsc::Receiver<String> {
    let (said, typed) = mpsc::channel(1);
    let input = std::io::stdin();
    let foreground = nix::unistd::tcgetpgrp(&input);
    if foreground.is_ok_and(|group| group != nix::unistd::getpgrp()) {
        return typed;
    }
    std::thread::spawn(move || {
        for line in input.lock().lines() {
            let Ok(line) = line else { return };
            if said.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}
