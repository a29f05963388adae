//! Calls at a steady rate, with everything that calls do, over a network that loses ng packets and with an RTPEngine that is
//! started anew in the middle: afterwards nothing is left, and each call that failed was told why. Fifteen seconds here, ten
//! minutes as `make soak`.

mod lane;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::Kind;
use causeway_tests::draw::Draw;
use causeway_tests::gateway::{Gateway, users};
use causeway_tests::relay::Relay;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, wait};
use lane::{Call, Lane};
use tokio::task::JoinSet;

/// How long calls are begun, in seconds.
const SECONDS: &str = "CAUSEWAY_SOAK_SECONDS";
const SHORT: u64 = 15;
/// What decides everything that is drawn, if one run is to be like another.
const SEED: &str = "CAUSEWAY_SOAK_SEED";
/// Pairs that call each other, each one call at a time.
const LANES: usize = 12;
/// Calls begun in a second, by all of them.
const RATE: u32 = 6;
/// Of the packets between the gateway and RTPEngine, in either direction.
const LOST: f64 = 0.05;
/// What a phone refused is kept longest: Timer D, 32 s.
const OVER: Duration = Duration::from_secs(40);
/// What a process may hold more at the end than after its first calls: pages that its allocator keeps.
const GROWTH: u64 = 16 << 20;

struct Stage {
    gateway: Gateway,
    sip: SocketAddr,
    ws: SocketAddr,
    admin: SocketAddr,
    engines: [RtpEngine; 2],
    _relays: [Relay; 2],
}

impl Stage {
    async fn start() -> Result<Self> {
        // They tidy nothing up by themselves: what the gateway forgets stays to be seen.
        let patient = ["--timeout=3600", "--silent-timeout=3600"];
        let engines = [
            RtpEngine::start_with(&patient).await?,
            RtpEngine::start_with(&patient).await?,
        ];
        let relays = [
            Relay::before(engines[0].ng).await?,
            Relay::before(engines[1].ng).await?,
        ];
        relays.iter().for_each(|relay| relay.loses(LOST));
        let [sip, ws, admin] = [(); 3].map(|()| ports::free_address());
        let names = (0..LANES).flat_map(|lane| lane::ROLES.map(|role| lane::user(role, lane)));
        let users = users(lane::DOMAIN, lane::PASSWORD, names);
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n\
             [listen.public]\nudp = \"{sip}\"\ntcp = \"{sip}\"\nws = \"{ws}\"\n\
             [admin]\nlisten = \"{admin}\"\n\
             [media]\nrtpengine = [\"{}\", \"{}\"]\ndelete_delay = \"1s\"\n\
             [limits]\nmessages_per_second = 0\n[registrar]\ndefault_expires = \"1h\"\n{}{users}",
            relays[0].address,
            relays[1].address,
            crate::FAST
        );
        Ok(Stage {
            gateway: Gateway::start(&config).await?,
            sip,
            ws,
            admin,
            engines,
            _relays: relays,
        })
    }

    async fn figure(&self, name: &str) -> Result<u64> {
        let (_, body) = http::get(self.admin, "/status").await?;
        let status: serde_json::Value = serde_json::from_str(&body)?;
        status[name]
            .as_u64()
            .with_context(|| format!("no {name} in {status}"))
    }

    async fn is_idle(&self) -> bool {
        for name in ["transactions", "calls"] {
            if !self.figure(name).await.is_ok_and(|figure| figure == 0) {
                return false;
            }
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_calls_of_every_kind_nothing_is_left_and_each_failure_was_told() -> Result<()> {
    let number = |name, otherwise| std::env::var(name).map_or(Ok(otherwise), |text| text.parse());
    let time = Duration::from_secs(number(SECONDS, SHORT).context(SECONDS)?);
    let seed = number(SEED, 5).context(SEED)?;
    println!("{time:?} of {RATE} calls a second, seed {seed}");
    let mut stage = Stage::start().await?;
    let result = run(&mut stage, time, seed).await;
    result.with_context(|| format!("the log ends:\n{}", stage.gateway.process.log_tail()))
}

async fn run(stage: &mut Stage, time: Duration, seed: u64) -> Result<()> {
    let mut lanes = Vec::new();
    for number in 0..LANES {
        let kinds = [Kind::Udp, Kind::Tcp, Kind::Ws];
        let kinds = [kinds[number % 3], kinds[number / 3 % 3], Kind::Udp];
        let draw = Draw::new(seed + number as u64);
        lanes.push(Lane::register(number, kinds, (stage.sip, stage.ws), draw).await?);
    }
    let mut calls = Vec::new();
    // What is taken once and kept is not growth.
    let (first, rest) = (time / 4, time - time / 4);
    let lanes = call_for(lanes, first, &mut calls).await?;
    let warm = stage.gateway.process.memory();
    let before = calls.len();
    let (lanes, restarted) = {
        let Stage { engines, .. } = stage;
        tokio::join!(call_for(lanes, rest, &mut calls), async {
            tokio::time::sleep(rest / 3).await;
            engines[0].restart().await
        })
    };
    restarted?;
    drop(lanes?);

    ensure!(
        wait::until_async(OVER, async || stage.is_idle().await).await,
        "{} transactions, {} calls are left",
        stage.figure("transactions").await?,
        stage.figure("calls").await?
    );
    for engine in &stage.engines {
        engine.empty_within(OVER).await?;
    }
    let memory = stage.gateway.process.memory();
    let failed = calls.iter().filter(|call| call.failed.is_some()).count();
    println!("{} calls, {failed} failed", calls.len());
    for (what, count) in lane::counted(&calls) {
        println!("  {count:>5} {what}");
    }
    println!(
        "memory: {} KiB after {before} calls, {} KiB at the end",
        warm >> 10,
        memory >> 10
    );
    ensure!(memory < warm + GROWTH, "it has grown");
    let due = time.as_secs() * u64::from(RATE);
    ensure!(
        calls.len() as u64 > due / 2 && failed * 4 < calls.len(),
        "of {due} calls due too few were made, or too many failed"
    );
    let log = stage.gateway.process.log();
    let verdicts = verdicts(&log);
    let mut counts = BTreeMap::<&str, usize>::new();
    for call in &calls {
        let verdict = verdicts
            .get(call.id.as_str())
            .with_context(|| format!("no line says what became of {}", call.id))?;
        *counts.entry(verdict).or_default() += 1;
        if call.failed.is_some() {
            println!("{call}: {verdict}");
            ensure!(*verdict != "ok", "it is said to be well");
        }
    }
    println!("verdicts: {counts:?}");
    Ok(())
}

/// What the log says of each call, by its Call-ID.
fn verdicts(log: &str) -> HashMap<&str, &str> {
    let field = |line: &'_ str, name: &str| -> Option<(usize, usize)> {
        let from = line.find(name)? + name.len();
        Some((from, from + line[from..].find('"')?))
    };
    log.lines()
        .filter(|line| line.contains(" causeway::call: "))
        .filter_map(|line| {
            let (id, verdict) = (field(line, " call_id=\"")?, field(line, " verdict=\"")?);
            Some((&line[id.0..id.1], &line[verdict.0..verdict.1]))
        })
        .collect()
}

/// Calls are begun for so long; the lanes come back when the last of them is over.
async fn call_for(lanes: Vec<Lane>, time: Duration, calls: &mut Vec<Call>) -> Result<Vec<Lane>> {
    let (began, mut free, mut busy) = (Instant::now(), lanes, JoinSet::new());
    let mut clock = tokio::time::interval(Duration::from_secs(1) / RATE);
    while began.elapsed() < time {
        clock.tick().await;
        while let Some(done) = busy.try_join_next() {
            let (lane, more): (Lane, Vec<Call>) = done?;
            calls.extend(more);
            free.push(lane);
        }
        // All are in a call: the next one is begun when one is free.
        if !free.is_empty() {
            let mut lane = free.remove(0);
            busy.spawn(async move {
                let calls = lane.call().await;
                (lane, calls)
            });
        }
    }
    while let Some(done) = busy.join_next().await {
        let (lane, more) = done?;
        calls.extend(more);
        free.push(lane);
    }
    Ok(free)
}
