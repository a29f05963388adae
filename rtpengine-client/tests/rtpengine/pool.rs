//! The pool against real RTPEngines that die and come back.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::engine::{PATIENCE, RtpEngine, free_port};
use rtpengine_client::command::{Offer, Query};
use rtpengine_client::{Error, NodeId, Pool, PoolConfig, State};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
const HALF_A_SECOND: Duration = Duration::from_millis(500);

fn hasty(config: PoolConfig) -> PoolConfig {
    let (probe_interval, probe_timeout) = (Duration::from_millis(100), Duration::from_millis(300));
    PoolConfig {
        probe_interval,
        probe_timeout,
        ..config
    }
}

/// Waits for a probe after which `met` holds.
async fn until(pool: &Pool, what: &str, mut met: impl FnMut() -> bool) {
    let mut probes = pool.probes();
    let wait = async {
        while !met() {
            probes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

/// A Call-ID whose first choice is this node.
fn call_of(pool: &Pool, id: NodeId) -> String {
    (0..1000)
        .map(|n| format!("call-{n}"))
        .find(|call_id| pool.choose(call_id.as_bytes()) == Some(id))
        .unwrap()
}

#[tokio::test]
async fn calls_leave_a_node_that_died_and_only_its_own_do() {
    let (mut first, second) = (RtpEngine::start().await, RtpEngine::start().await);
    let pool = Pool::start(hasty(PoolConfig::new([first.address, second.address])))
        .await
        .unwrap();
    let (one, two) = (
        pool.node(NodeId(0)).unwrap().clone(),
        pool.node(NodeId(1)).unwrap().clone(),
    );
    until(&pool, "both are up", || {
        one.state() == State::Up && two.state() == State::Up
    })
    .await;

    let ours = call_of(&pool, NodeId(0));
    let theirs = call_of(&pool, NodeId(1));
    let offer = Offer::new(ours.as_str(), "a", SDP);
    let (id, answer) = pool
        .request(ours.as_bytes(), &offer, HALF_A_SECOND)
        .await
        .unwrap();
    assert_eq!(id, NodeId(0));
    assert!(answer.sdp.is_some());

    // Dead, and not yet known to be: the request itself moves on.
    first.kill();
    let begun = Instant::now();
    let (id, _) = pool
        .request(ours.as_bytes(), &offer, HALF_A_SECOND)
        .await
        .unwrap();
    assert_eq!(id, NodeId(1));
    assert!(begun.elapsed() < 2 * HALF_A_SECOND, "{:?}", begun.elapsed());

    until(&pool, "it is down", || one.state() == State::Down).await;
    assert_eq!(pool.choose(ours.as_bytes()), Some(NodeId(1)));
    assert_eq!(pool.choose(theirs.as_bytes()), Some(NodeId(1)));
    assert!(pool.alive(NodeId(0), None).is_none());
    drop(second);
    until(&pool, "both are down", || two.state() == State::Down).await;
    assert!(matches!(
        pool.request(ours.as_bytes(), &offer, HALF_A_SECOND).await,
        Err(Error::NoNode)
    ));

    let _again = RtpEngine::start_with(one.client().address().port(), &[]).await;
    until(&pool, "it is up again", || one.state() == State::Up).await;
    assert_eq!(pool.choose(ours.as_bytes()), Some(NodeId(0)));
}

#[tokio::test]
async fn a_silent_node_costs_its_time_once_and_is_down_then() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let engine = RtpEngine::start().await;
    let pool = Pool::start(hasty(PoolConfig::new([
        silent.local_addr().unwrap(),
        engine.address,
    ])))
    .await
    .unwrap();
    let call_id = call_of(&pool, NodeId(0));
    let begun = Instant::now();
    let timeout = Duration::from_millis(150);
    let (id, _) = pool
        .request(call_id.as_bytes(), &Offer::new("c", "a", SDP), timeout)
        .await
        .unwrap();
    assert_eq!(id, NodeId(1));
    assert!(begun.elapsed() >= timeout);
    let node = pool.node(NodeId(0)).unwrap();
    until(&pool, "it is down", || node.state() == State::Down).await;
    assert_eq!(pool.choose(call_id.as_bytes()), Some(NodeId(1)));
}

#[tokio::test]
async fn a_restarted_node_is_another_generation() {
    let mut engine = RtpEngine::start().await;
    let pool = Pool::start(hasty(PoolConfig::new([engine.address])))
        .await
        .unwrap();
    let node = pool.node(NodeId(0)).unwrap().clone();
    until(&pool, "its start is known", || node.generation().is_some()).await;
    let before = node.generation().unwrap();
    assert!(pool.alive(NodeId(0), Some(before)).is_some());

    // Another client, which comes later, agrees.
    let other = Pool::start(hasty(PoolConfig::new([engine.address])))
        .await
        .unwrap();
    let same = other.node(NodeId(0)).unwrap();
    until(&other, "its start is known", || same.generation().is_some()).await;
    assert!(same.is_generation(before) && node.is_generation(same.generation().unwrap()));

    // A generation is four seconds of start time. The former process has to live longer than that.
    engine.has_run(6).await;
    engine.kill();
    let _again = RtpEngine::start_with(engine.address.port(), &[]).await;
    for (pool, node) in [(&pool, &node), (&other, same)] {
        until(pool, "the restart is seen", || node.restarts() == 1).await;
        assert!(
            pool.alive(NodeId(0), Some(before)).is_none(),
            "{before:?}, now {:?}",
            node.generation()
        );
        assert!(pool.alive(NodeId(0), node.generation()).is_some());
    }
    // It goes on as the same process.
    let probes = *pool.probes().borrow();
    until(&pool, "twenty probes more", || {
        *pool.probes().borrow() > probes + 20
    })
    .await;
    assert_eq!(node.restarts(), 1);
}

#[tokio::test]
async fn a_request_that_meets_an_unknown_call_has_the_uptime_looked_at() {
    let mut engine = RtpEngine::start().await;
    // Without that, the uptime would be asked for once in 10,000 probes, and no probe is lost.
    let config = PoolConfig {
        probe_interval: Duration::from_secs(5),
        uptime_every: 10_000,
        ..PoolConfig::new([engine.address])
    };
    let pool = Pool::start(config).await.unwrap();
    let node = pool.node(NodeId(0)).unwrap().clone();
    until(&pool, "its start is known", || node.generation().is_some()).await;
    engine.has_run(4).await;
    engine.kill();
    let _again = RtpEngine::start_with(engine.address.port(), &[]).await;
    assert!(
        node.request(&Query::new("lost"), HALF_A_SECOND)
            .await
            .is_err()
    );
    until(&pool, "the restart is seen", || node.restarts() == 1).await;
}

#[tokio::test]
async fn a_node_that_was_down_has_its_uptime_looked_at() {
    let mut engine = RtpEngine::start().await;
    let config = PoolConfig {
        uptime_every: 10_000,
        ..hasty(PoolConfig::new([engine.address]))
    };
    let pool = Pool::start(config).await.unwrap();
    let node = pool.node(NodeId(0)).unwrap().clone();
    until(&pool, "its start is known", || node.generation().is_some()).await;
    engine.has_run(4).await;
    engine.kill();
    until(&pool, "it is down", || node.state() == State::Down).await;
    let _again = RtpEngine::start_with(engine.address.port(), &[]).await;
    until(&pool, "the restart is seen", || node.restarts() == 1).await;
}

#[tokio::test]
async fn a_drained_node_gets_no_new_calls_and_keeps_its_own() {
    let pool = Pool::start(PoolConfig::new(
        (0..3).map(|_| ([127, 0, 0, 1], free_port()).into()),
    ))
    .await
    .unwrap();
    let call_id = call_of(&pool, NodeId(1));
    let node = pool.node(NodeId(1)).unwrap();
    node.set_drained(true);
    let next = pool.choose(call_id.as_bytes()).unwrap();
    assert_ne!(next, NodeId(1));
    assert_ne!(
        pool.choose_except(call_id.as_bytes(), &[next]),
        Some(NodeId(1))
    );
    assert_eq!(
        pool.choose_except(call_id.as_bytes(), &[NodeId(0), NodeId(2)]),
        None
    );
    assert!(pool.alive(NodeId(1), None).is_some());
    node.set_drained(false);
    assert_eq!(pool.choose(call_id.as_bytes()), Some(NodeId(1)));
}

#[tokio::test]
async fn two_nodes_with_one_number_are_refused() {
    let mut config = PoolConfig::new((0..2).map(|_| ([127, 0, 0, 1], free_port()).into()));
    config.nodes[1].id = NodeId(0);
    assert!(Pool::start(config).await.is_err());
}
