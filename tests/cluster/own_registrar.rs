//! Causeway in both places: edges that know nobody, and a registrar behind them that no device reaches. The media is the
//! edge's alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use causeway_tests::baresip::{Account, Phone};
use causeway_tests::gateway::Gateway;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, wait};

use crate::device::{DOMAIN, PASSWORD};

const SOON: Duration = Duration::from_secs(10);
/// Where an edge, a registrar and the core are: trust goes by address.
const EDGE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const REGISTRAR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// An edge, where devices reach it, and the registrar behind it.
struct Stage {
    _edge: Gateway,
    _registrar: Gateway,
    engine: RtpEngine,
    public: SocketAddr,
    /// The registrar's admin API.
    admin: SocketAddr,
}

fn at(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, ports::free())
}

impl Stage {
    async fn set() -> Self {
        let engine = RtpEngine::start().await.unwrap();
        let (public, edge_core, registrar_core) = (at(EDGE), at(EDGE), at(REGISTRAR));
        let admin = ports::free_address();
        let users: String = ["alice", "bob"]
            .iter()
            .map(|user| {
                format!(
                    "[[domain.\"{DOMAIN}\".users]]\nname = \"{user}\"\npassword = \"{PASSWORD}\"\n"
                )
            })
            .collect();
        let registrar = format!(
            "[node]\nid = 2\nroles = [\"registrar\"]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
             [listen.core]\nudp = \"{registrar_core}\"\nedges = [\"{EDGE}\"]\n{users}"
        );
        let edge = format!(
            "[node]\nid = 1\nroles = [\"edge\"]\ndata_dir = \"@FOLDER@/data\"\n\
             [listen.public]\nudp = \"{public}\"\ntcp = \"{public}\"\n\
             [listen.core]\nudp = \"{edge_core}\"\ntrust = [\"{REGISTRAR}\"]\n\
             [media]\nrtpengine = \"{}\"\ndelete_delay = \"1s\"\n\
             [group.registrars]\nmembers = [\"sip:{registrar_core}\"]\n\
             [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n",
            engine.ng
        );
        Stage {
            _registrar: Gateway::start(&registrar).await.unwrap(),
            _edge: Gateway::start(&edge).await.unwrap(),
            engine,
            public,
            admin,
        }
    }

    fn account<'a>(&self, user: &'a str) -> Account<'a> {
        Account::new(user, DOMAIN, PASSWORD, self.public)
    }

    /// Waits until the registrar holds so many bindings.
    async fn holds(&self, wanted: u64) {
        let bindings = || async {
            let (_, body) = http::get(self.admin, "/status").await.unwrap();
            let status: serde_json::Value = serde_json::from_str(&body).unwrap();
            status["bindings"].as_u64().unwrap()
        };
        let holds = wait::until_async(SOON, || async { bindings().await == wanted }).await;
        assert!(holds, "{} bindings instead of {wanted}", bindings().await);
    }
}

#[tokio::test]
async fn phones_behind_an_edge_register_at_a_registrar_of_ours_and_call_each_other() {
    let stage = Stage::set().await;
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
    let stage = Stage::set().await;
    let account = Account {
        password: "wrong",
        ..stage.account("alice")
    };
    let mut phone = Phone::start(&account).await.unwrap();
    let refused = phone.registered().await.unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    stage.holds(0).await;
}
