//! Causeway in both places: edges that know nobody, and a registrar behind them that no device reaches. The media is the
//! edge's alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use causeway_tests::agent::{self, Device, Kind};
use causeway_tests::baresip::{Account, Phone};
use causeway_tests::certificate::write_secret;
use causeway_tests::core::{Core, Offer, Script};
use causeway_tests::gateway::{Gateway, users};
use causeway_tests::process::Process;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, wait};

use crate::device::{DOMAIN, PASSWORD};

const SOON: Duration = Duration::from_secs(10);
/// Where edges, the registrar and the core are: trust goes by address.
pub(crate) const EDGES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
/// Where the edges speak to the registrar, each by an address of its own.
const INSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5)),
];
const REGISTRAR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const CORE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

pub(crate) fn at(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, ports::free())
}

/// An edge, and where it is reached.
pub(crate) struct Edge {
    gateway: Gateway,
    pub(crate) sip: SocketAddr,
    ws: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Edges, and the registrar behind them, with the core.
pub(crate) struct Stage {
    pub(crate) edges: Vec<Edge>,
    registrar: Gateway,
    engine: RtpEngine,
    pub(crate) core: Core,
    /// The registrar's admin API.
    admin: SocketAddr,
    _keys: tempfile::TempDir,
}

impl Stage {
    async fn set(edges: u16) -> Self {
        Self::set_with(edges, "").await
    }

    /// `more` are keys of the edges' side towards devices.
    pub(crate) async fn set_with(edges: u16, more: &str) -> Self {
        let keys = Process::folder("keys").unwrap();
        let key = keys.path().join("cluster.key");
        write_secret(&key, format!("0 {} 0 0\n", "5a".repeat(32)).as_bytes()).unwrap();
        let node = |id: u16, role: &str| {
            format!(
                "[node]\nid = {id}\nroles = [\"{role}\"]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\nkey_file = \"{}\"\n",
                key.display()
            )
        };
        let engine = RtpEngine::start().await.unwrap();
        let (registrar_core, core, admin) = (at(REGISTRAR), at(CORE), at(EDGES));
        let users = users(DOMAIN, PASSWORD, ["alice", "bob"]);
        let registrar = format!(
            "{}[admin]\nlisten = \"{admin}\"\n\
             [listen.core]\nudp = \"{registrar_core}\"\ntrust = [\"{CORE}\"]\nedges = [\"{}\", \"{}\"]\n\
             [group.core]\nmembers = [\"sip:{core}\"]\nprobe = {{ interval = \"10m\", fall = 100 }}\n\
             [[route]]\nfrom = \"edges\"\nprefix = \"9\"\nto = \"group:core\"\n{users}",
            node(100, "registrar"),
            INSIDE[0],
            INSIDE[1]
        );
        let registrar = Gateway::start(&registrar).await.unwrap();
        let mut all = Vec::new();
        for (id, inside) in (1..=edges).zip(INSIDE) {
            let (sip, ws, inner, admin) = (at(EDGES), at(EDGES), at(inside), at(EDGES));
            let config = format!(
                "{}[admin]\nlisten = \"{admin}\"\n\
                 [listen.public]\nudp = \"{sip}\"\ntcp = \"{sip}\"\nws = \"{ws}\"\n{more}\
                 [listen.core]\nudp = \"{inner}\"\ntrust = [\"{REGISTRAR}\"]\n\
                 [media]\nrtpengine = \"{}\"\ndelete_delay = \"1s\"\n\
                 [group.registrars]\nmembers = [\"sip:{registrar_core}\"]\n\
                 [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n",
                node(id, "edge"),
                engine.ng
            );
            let gateway = Gateway::start(&config).await.unwrap();
            all.push(Edge {
                gateway,
                sip,
                ws,
                admin,
            });
        }
        Stage {
            edges: all,
            registrar,
            engine,
            core: Core::start(core, registrar_core, DOMAIN).await.unwrap(),
            admin,
            _keys: keys,
        }
    }

    fn account<'a>(&self, user: &'a str) -> Account<'a> {
        Account::new(user, DOMAIN, PASSWORD, self.edges[0].sip)
    }

    /// A device of the test's own, not registered.
    pub(crate) async fn device(&self, user: &str, kind: Kind, edge: usize) -> Device {
        let edge = &self.edges[edge];
        let server = if kind == Kind::Ws { edge.ws } else { edge.sip };
        let account = agent::Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            kind,
            server,
        };
        Device::open(&account, None).await.unwrap()
    }

    /// Waits until the registrar holds so many bindings.
    pub(crate) async fn holds(&self, wanted: u64) {
        becomes(self.admin, "bindings", wanted).await;
    }

    /// With the ends of the logs, if it failed.
    pub(crate) fn tells<T>(&self, result: anyhow::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            let logs: String = self
                .edges
                .iter()
                .map(|edge| &edge.gateway)
                .chain([&self.registrar])
                .map(|gateway| gateway.process.log_tail())
                .collect();
            panic!("{error:?}\n{logs}")
        })
    }
}

/// Waits until a figure of a node's status is this.
pub(crate) async fn becomes(admin: SocketAddr, name: &str, wanted: u64) {
    let figure = || async {
        let (_, body) = http::get(admin, "/status").await.unwrap();
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        status[name].as_u64().unwrap()
    };
    let is = wait::until_async(SOON, || async { figure().await == wanted }).await;
    assert!(is, "{name}: {} instead of {wanted}", figure().await);
}

/// Registers, with two REGISTERs.
pub(crate) async fn registers(device: &mut Device) {
    let registered = device.registers().await.unwrap();
    assert_eq!(
        (registered.status, registered.requests),
        (200, 2),
        "{registered:?}"
    );
}

#[tokio::test]
async fn phones_behind_an_edge_register_at_a_registrar_of_ours_and_call_each_other() {
    let stage = Stage::set(1).await;
    let mut alice = Phone::start_registered(&stage.account("alice"))
        .await
        .unwrap();
    let account = Account {
        tone: 700,
        ..stage.account("bob")
    };
    let mut bob = Phone::start_registered(&account).await.unwrap();
    stage.holds(2).await;

    alice.dial(&format!("sip:bob@{DOMAIN}")).await.unwrap();
    alice.event("CALL_ESTABLISHED").await.unwrap();
    bob.event("CALL_ESTABLISHED").await.unwrap();
    alice.hears(700, 1.0).await.unwrap();
    bob.hears(440, 1.0).await.unwrap();
    alice.hold().await.unwrap();
    alice.receives_no_more().await.unwrap();
    alice.resume().await.unwrap();
    alice.receives_more(25).await.unwrap();
    bob.hang_up().await.unwrap();
    alice.event("CALL_CLOSED").await.unwrap();
    stage.engine.empty_within(SOON).await.unwrap();

    bob.dial(&format!("sip:alice@{DOMAIN}")).await.unwrap();
    bob.event("CALL_ESTABLISHED").await.unwrap();
    alice.event("CALL_ESTABLISHED").await.unwrap();
    bob.receives_more(50).await.unwrap();
    bob.hang_up().await.unwrap();
    alice.event("CALL_CLOSED").await.unwrap();
    stage.engine.empty_within(SOON).await.unwrap();

    // It says farewell to its registrar first.
    alice.command("quit", "").await.unwrap();
    stage.holds(1).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_through_the_edge() {
    let stage = Stage::set(1).await;
    let account = Account {
        password: "wrong",
        ..stage.account("alice")
    };
    let mut phone = Phone::start(&account).await.unwrap();
    let refused = phone.registered().await.unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    stage.holds(0).await;
}

#[tokio::test]
async fn users_behind_an_edge_prove_who_they_are_and_the_core_need_not() {
    let stage = Stage::set(1).await;
    let mut browser = stage.device("alice", Kind::Ws, 0).await;
    registers(&mut browser).await;
    let answer = browser.answer();

    let mut core = stage.core.calls("alice").await.unwrap();
    let mut taken = stage.tells(browser.called().await);
    taken.rings();
    stage.tells(core.rings().await);
    stage.tells(tokio::try_join!(taken.accepts(&answer), core.is_answered()));
    stage.tells(tokio::try_join!(
        taken.takes("UPDATE", &answer),
        core.updates_with_sdp()
    ));
    stage.tells(tokio::try_join!(taken.hangs_up(), core.takes("BYE")));
    stage.engine.empty_within(SOON).await.unwrap();

    // The other way; the kit insists on a 407.
    let (call, up) = tokio::join!(
        async {
            let mut call = browser.calls("9196", &browser.offer()).await?;
            call.is_answered("").await?;
            anyhow::Ok(call)
        },
        stage.core.answers_with(Script::AtOnce)
    );
    let (mut call, mut core) = (stage.tells(call), stage.tells(up));
    stage.tells(tokio::try_join!(call.hangs_up(), core.takes("BYE")));
    stage.engine.empty_within(SOON).await.unwrap();

    let away = browser.registers_for(0).await.unwrap();
    assert_eq!(away.status, 200, "{away:?}");
    stage.holds(0).await;
    let mut core = stage.core.calls("alice").await.unwrap();
    assert_eq!(core.dialog.outcome().await.unwrap().status(), Some(480));
}

#[tokio::test]
async fn a_nonce_of_one_edge_is_good_at_the_next() {
    let stage = Stage::set(2).await;
    let mut phone = stage.device("alice", Kind::Udp, 0).await;
    let servers = [stage.edges[0].sip, stage.edges[1].sip];
    let registered = phone.registers_at(&servers).await.unwrap();
    assert_eq!(
        (registered.status, registered.requests),
        (200, 2),
        "{registered:?}"
    );
}

#[tokio::test]
async fn the_next_flow_of_a_device_rings_and_the_dead_one_is_forgotten() {
    let stage = Stage::set(2).await;
    let [mut first, mut newest] = [
        stage.device("alice", Kind::Ws, 0).await.as_flow(7, 1),
        stage.device("alice", Kind::Ws, 1).await.as_flow(7, 2),
    ];
    registers(&mut first).await;
    registers(&mut newest).await;
    stage.holds(2).await;

    // One flow of a device rings, the newest.
    let mut core = stage.core.calls_with("alice", Offer::Pcmu).await.unwrap();
    let mut taken = stage.tells(newest.called().await);
    let answer = newest.answer();
    stage.tells(tokio::try_join!(taken.accepts(&answer), core.is_answered()));
    stage.tells(tokio::try_join!(taken.hangs_up(), core.takes("BYE")));
    assert_eq!(first.endpoint().requests("INVITE"), 0);

    newest.cuts_the_connection();
    becomes(stage.edges[1].admin, "connections", 0).await;
    let began = Instant::now();
    let mut core = stage.core.calls_with("alice", Offer::Pcmu).await.unwrap();
    let mut taken = stage.tells(first.called().await);
    println!(
        "the newest flow is gone: the other one rang after {:?}",
        began.elapsed()
    );
    stage.holds(1).await;
    let answer = first.answer();
    stage.tells(tokio::try_join!(taken.accepts(&answer), core.is_answered()));
    stage.tells(tokio::try_join!(taken.hangs_up(), core.takes("BYE")));
    stage.engine.empty_within(SOON).await.unwrap();

    first.cuts_the_connection();
    becomes(stage.edges[0].admin, "connections", 0).await;
    let began = Instant::now();
    let mut core = stage.core.calls_with("alice", Offer::Pcmu).await.unwrap();
    let refused = stage.tells(core.dialog.outcome().await);
    println!("no flow is left: 480 after {:?}", began.elapsed());
    assert_eq!(refused.status(), Some(480), "{}", refused.text);
    stage.holds(0).await;
}
