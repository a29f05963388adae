//! Two Kamailio registrars behind one edge, each with nonces of its own: who was challenged by one has to answer that one
//! (SIGNALLING §6), and one that is killed takes nobody along.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_tests::agent::{Account, Device, Kind, Registered};
use causeway_tests::gateway::Gateway;
use causeway_tests::kamailio::{Kamailio, Settings};
use causeway_tests::{http, ports, wait};

use crate::device::{DOMAIN, PASSWORD};

const USERS: usize = 24;

async fn registrar(name: &str, port: u16) -> Kamailio {
    Kamailio::start(&Settings {
        config: "member",
        listen: vec![
            format!("udp:127.0.0.1:{port}"),
            format!("tcp:127.0.0.1:{port}"),
        ],
        domain: DOMAIN,
        fill: vec![("NAME", name.to_owned()), ("PASSWORD", PASSWORD.to_owned())],
        ..Settings::default()
    })
    .await
    .unwrap()
}

/// The edge, its public side and its admin API.
async fn edge(members: [SocketAddr; 2], transport: &str) -> (Gateway, SocketAddr, SocketAddr) {
    let [public, core, admin] = [(); 3].map(|()| ports::free_address());
    let [one, other] = members;
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[listen.public]\nudp = \"{public}\"\n\
         [listen.core]\nudp = \"{core}\"\ntcp = \"{core}\"\ntrust = [\"127.0.0.1\"]\n\
         [group.registrars]\nmembers = [\"sip:{one}\", \"sip:{other}\"]\ntransport = \"{transport}\"\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n"
    );
    (Gateway::start(&config).await.unwrap(), public, admin)
}

/// What the edge says of the member at this address: `alive`, `dead` …
async fn state(admin: SocketAddr, member: SocketAddr) -> String {
    let (_, body) = http::get(admin, "/status").await.unwrap();
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    let members = status["members"].as_array().unwrap();
    let found = members
        .iter()
        .find(|known| known["address"] == member.to_string());
    found.unwrap()["state"].as_str().unwrap().to_owned()
}

async fn becomes(admin: SocketAddr, member: SocketAddr, wanted: &str) {
    let limit = Duration::from_secs(20);
    assert!(
        wait::until_async(limit, || async { state(admin, member).await == wanted }).await,
        "never {wanted}"
    );
}

/// All at once.
async fn all_register(devices: &mut [Device], server: SocketAddr) -> Vec<Registered> {
    let each = devices
        .iter_mut()
        .map(|device| async move { device.registers_at(&[server]).await.unwrap() });
    futures_util::future::join_all(each).await
}

fn slowest(all: &[Registered]) -> Duration {
    all.iter().map(|one| one.took).max().unwrap_or_default()
}

async fn devices(server: SocketAddr) -> Vec<Device> {
    let mut devices = Vec::new();
    for number in 0..USERS {
        devices.push(device(&format!("user{number}"), server).await);
    }
    devices
}

async fn device(user: &str, server: SocketAddr) -> Device {
    let account = Account {
        user,
        domain: DOMAIN,
        password: PASSWORD,
        kind: Kind::Udp,
        server,
    };
    Device::open(&account, None).await.unwrap()
}

/// Everybody is registered with two REGISTERs, by one and the same registrar each; the names of those.
fn with_two(why: &str, all: &[Registered]) -> Vec<String> {
    for one in all {
        assert_eq!((one.status, one.requests), (200, 2), "{why}: {one:?}");
        assert_eq!(one.servers[0], one.servers[1], "{why}: {one:?}");
    }
    all.iter().map(|one| one.servers[0].clone()).collect()
}

#[tokio::test]
async fn the_registrar_that_challenged_gets_the_answer_and_a_dead_one_takes_nobody_along() {
    let ports = [ports::free(), ports::free()];
    let mut one = registrar("one", ports[0]).await;
    let other = registrar("other", ports[1]).await;
    let (gateway, public, admin) = edge([one.address, other.address], "udp").await;
    let mut devices = devices(public).await;

    let homes = with_two("at first", &all_register(&mut devices, public).await);
    let at_one = homes.iter().filter(|name| *name == "one").count();
    assert!(
        (1..USERS).contains(&at_one),
        "both have users: {at_one} of {USERS}"
    );

    // Without affinity, as round robin would have it: each registrar challenges what the other one's nonce answers.
    let mut stray = device("stray", public).await;
    let looped = stray
        .registers_at(&[one.address, other.address])
        .await
        .unwrap();
    assert_eq!((looped.status, looped.requests), (401, 6), "{looped:?}");

    one.process.kill();
    let killed = Instant::now();
    let after = all_register(&mut devices, public).await;
    println!(
        "killed: {at_one} of {USERS} users had to move; the slowest was registered after {:?}",
        slowest(&after)
    );
    for registered in &after {
        assert_eq!(registered.status, 200, "{registered:?}");
        assert_eq!(registered.servers.last().unwrap(), "other");
    }
    becomes(admin, one.address, "dead").await;
    println!(
        "killed: the edge knew it after {:?} at most",
        killed.elapsed()
    );
    let known = all_register(&mut devices, public).await;
    println!(
        "known dead: the slowest was registered after {:?}",
        slowest(&known)
    );
    with_two("known dead", &known);

    // It comes back, and its users with it.
    let one = registrar("one", ports[0]).await;
    becomes(admin, one.address, "alive").await;
    assert_eq!(
        with_two("risen", &all_register(&mut devices, public).await),
        homes
    );
    drop((gateway, other));
}

#[tokio::test]
async fn a_refused_connection_costs_nothing() {
    let ports = [ports::free(), ports::free()];
    let mut one = registrar("one", ports[0]).await;
    let other = registrar("other", ports[1]).await;
    let (gateway, public, _) = edge([one.address, other.address], "tcp").await;
    let mut devices = devices(public).await;
    let homes = with_two("at first", &all_register(&mut devices, public).await);
    assert!(homes.iter().any(|name| name == "one"));
    one.process.kill();
    let after = all_register(&mut devices, public).await;
    println!(
        "refused: the slowest was registered after {:?}",
        slowest(&after)
    );
    for registered in &after {
        assert_eq!(
            (registered.status, registered.requests),
            (200, 2),
            "{registered:?}"
        );
    }
    drop((gateway, other));
}
