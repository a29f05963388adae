//! Media trouble is no signalling trouble: an RTPEngine in a black hole while a thousand calls end, and one whose answers to `delete`
//! are late (MEDIA.md §5). How long a BYE and a REGISTER wait is printed next to how long they wait without trouble.

use std::time::{Duration, Instant};

use causeway_tests::agent::{Call, Device};
use causeway_tests::prober::Prober;
use tokio::task::JoinSet;

use crate::stage::{Stage, call};

/// Calls that end while one RTPEngine is in a black hole.
const CALLS: usize = 1000;
/// Calls that end without trouble, and with late answers.
const FEWER: usize = 250;
/// BYEs in a second.
const RATE: u32 = 200;
const SOON: Duration = Duration::from_secs(60);

/// Calls that are up, the called side taking its BYE by itself.
async fn up(alice: &Device, bob: &Device, count: usize) -> (Vec<Call>, JoinSet<()>) {
    let (mut calls, mut taking) = (Vec::new(), JoinSet::new());
    for _ in 0..count {
        let (caller, mut called, _) = call(alice, bob, &[alice.offer(), bob.answer()]).await;
        calls.push(caller);
        taking.spawn(async move { drop(called.takes("BYE", "").await.unwrap()) });
    }
    (calls, taking)
}

/// All of them hang up, so many in a second: how long each BYE took, and how long REGISTERs took meanwhile, within which 99 % lie.
async fn end(stage: &Stage, (calls, mut taking): (Vec<Call>, JoinSet<()>)) -> (Duration, Duration) {
    let asking = Prober::new("127.0.0.1:0", stage.sip).await.unwrap().begin();
    let mut ending = JoinSet::new();
    let mut every = tokio::time::interval(Duration::from_secs(1) / RATE);
    for mut call in calls {
        every.tick().await;
        ending.spawn(async move {
            let began = Instant::now();
            call.hangs_up().await.unwrap();
            began.elapsed()
        });
    }
    let mut took: Vec<Duration> = ending.join_all().await;
    while let Some(taken) = taking.join_next().await {
        taken.unwrap();
    }
    took.sort_unstable();
    let registers = asking.end().await.unwrap();
    (took[took.len() * 99 / 100], registers.within(0.99))
}

/// More ports than the kit gives an RTPEngine: four for each call.
fn ports(first: u16) -> [String; 2] {
    [
        format!("--port-min={first}"),
        format!("--port-max={}", first + 3999),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_end_as_fast_with_an_rtpengine_in_a_black_hole() {
    let (one, other) = (ports(2000), ports(6000));
    let stage = Stage::set([&[&one[0], &one[1]], &[&other[0], &other[1]]]).await;
    let (alice, bob) = (stage.phone("alice").await, stage.phone("bob").await);
    let calls = up(&alice, &bob, FEWER).await;
    let before = end(&stage, calls).await;

    let calls = up(&alice, &bob, FEWER).await;
    for relay in &stage.relays {
        relay.delays("delete", Duration::from_secs(5));
    }
    let late = end(&stage, calls).await;
    for relay in &stage.relays {
        relay.passes();
    }

    let calls = up(&alice, &bob, CALLS).await;
    let lost = calls.0.len();
    stage.relays[0].swallows();
    let swallowed = end(&stage, calls).await;
    let waiting = stage.nodes().await[0]["deletes_waiting"].as_u64().unwrap();
    assert!(waiting > 100, "{waiting} of {lost} wait for the silent one");
    assert!(stage.nodes().await[0]["in_flight"].as_u64().unwrap() <= 1024);

    // New calls go to the other one.
    let mut setup = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        let (mut caller, mut called, _) = call(&alice, &bob, &[alice.offer(), bob.answer()]).await;
        setup = setup.max(began.elapsed());
        let (hung_up, taken) = tokio::join!(caller.hangs_up(), called.takes("BYE", ""));
        hung_up.unwrap();
        taken.unwrap();
    }

    for (what, (bye, register)) in [
        ("no trouble", before),
        ("delete 5 s late", late),
        ("a black hole", swallowed),
    ] {
        println!("{what:>16}: p99 of BYE {bye:>8.1?}, of REGISTER {register:>8.1?}");
    }
    let added = |(bye, register): (Duration, Duration)| {
        (
            bye.saturating_sub(before.0),
            register.saturating_sub(before.1),
        )
    };
    println!(
        "           added: {:.1?} and {:.1?} (aim: < 20 ms)",
        added(late),
        added(swallowed)
    );
    println!("       new calls: within {setup:.1?} (aim: < 1 s)");

    // It comes back, and is told what has ended meanwhile.
    stage.relays[0].passes();
    for (node, engine) in stage.engines.iter().enumerate() {
        engine.empty_within(SOON).await.unwrap();
        stage.says(node, "deletes_waiting", 0).await;
        assert_eq!(stage.nodes().await[node]["deletes_dropped"], 0);
    }
}
