//! Many connections.

use std::time::Duration;

use causeway_tests::raw;

use crate::siege::Siege;

const MIB: u64 = 1 << 20;
const OWN: &str = "127.0.0.66";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_cost_little_and_hold_nobody_up() {
    let siege = Siege::begin("1,000 idle connections", "").await;
    let mut idle: Vec<Box<dyn raw::Stream>> = Vec::new();
    let mut pages = Vec::new();
    for _ in 0..250 {
        idle.push(Box::new(raw::tcp(OWN, siege.sip).await.unwrap()));
        idle.push(raw::tls(OWN, siege.tls, &siege.client).await.unwrap());
        pages.push(
            raw::websocket(raw::tcp(OWN, siege.ws).await.unwrap())
                .await
                .map(drop_nothing)
                .unwrap(),
        );
        pages.push(
            raw::websocket(raw::tls(OWN, siege.wss, &siege.client).await.unwrap())
                .await
                .map(drop_nothing)
                .unwrap(),
        );
    }
    siege.reaches("connections", 1000).await;
    println!("{:<34} {} KiB each", "", siege.grown() / 1024 / 1000);
    drop((idle, pages));
    siege.end(64 * MIB).await;
}

/// A WebSocket whose type does not matter: it is only held.
fn drop_nothing<T: Send + 'static>(socket: T) -> Box<dyn std::any::Any + Send> {
    Box::new(socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_source_has_so_many_connections_and_another_is_not_held_up() {
    let siege = Siege::begin(
        "too many connections of a source",
        "connections_per_source = 100",
    )
    .await;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(raw::tcp(OWN, siege.sip).await.unwrap());
    }
    siege.reaches("refused/too_many_connections", 200).await;
    siege
        .logged(&["refused", "limits.connections_per_source", OWN])
        .await;
    assert_eq!(siege.figure("connections").await, 100);
    let mut other = raw::tls("127.0.0.67", siege.tls, &siege.client)
        .await
        .unwrap();
    raw::write(&mut other, b"\r\n\r\n").await;
    drop(held);
    // The places come back.
    let back = || async { raw::tls(OWN, siege.tls, &siege.client).await.is_ok() };
    assert!(causeway_tests::wait::until_async(Duration::from_secs(10), back).await);
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_tls_handshakes_at_once_all_succeed() {
    let siege = Siege::begin("200 TLS handshakes at once", "").await;
    let mut dialling = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (to, client) = (
            if n % 2 == 0 { siege.tls } else { siege.wss },
            siege.client.clone(),
        );
        dialling.spawn(async move { raw::tls(OWN, to, &client).await });
    }
    let mut streams = Vec::new();
    while let Some(stream) = dialling.join_next().await {
        streams.push(stream.unwrap().unwrap());
    }
    assert_eq!(streams.len(), 200);
    siege.end(64 * MIB).await;
}
