//! A browser that changes its network in a call, as a telephone does that leaves the house: its address is gone, and with it the
//! WebSocket and the way of the media. A namespace of its own has two cables to the gateway's, one of them plugged in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use causeway_tests::baresip::{Account, Phone};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::gateway::{Gateway, certificates, users};
use causeway_tests::process::Process;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::scene::{DOMAIN, PASSWORD, dial, registered, sign_in};
use causeway_tests::sound::{beeps, page_and_phone_talk};
use causeway_tests::{namespace, ports, wait};
use serde_json::json;

/// Where gateway and RTPEngine are.
const EDGE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SOON: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(120);

/// The networks that the browser may be in.
#[derive(Clone, Copy)]
struct Network {
    name: &'static str,
    /// Of its addresses `.1` is the gateway's, `.2` the browser's.
    subnet: &'static str,
}

const HOUSE: Network = Network {
    name: "house",
    subnet: "192.0.2",
};
const STREET: Network = Network {
    name: "street",
    subnet: "203.0.113",
};

/// The namespace of the browser.
struct Elsewhere {
    process: Process,
}

impl Elsewhere {
    async fn build() -> Self {
        let folder = Process::folder("elsewhere").unwrap();
        let arguments = ["--net", "sleep", "infinity"];
        let process = Process::start("elsewhere", folder, Path::new("unshare"), &arguments);
        let elsewhere = Elsewhere {
            process: process.unwrap(),
        };
        let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).unwrap();
        let id = elsewhere.process.id().to_string();
        assert!(wait::until(SOON, || namespace(&id) != namespace("self")).await);
        for Network { name, subnet } in [HOUSE, STREET] {
            run(&format!(
                "ip link add to-{name} type veth peer name {name} netns {id}; \
                 ip address add {subnet}.1/24 dev to-{name}; ip link set to-{name} up"
            ));
        }
        elsewhere.inside("ip link set lo up");
        elsewhere.enters(HOUSE);
        elsewhere
    }

    fn inside(&self, script: &str) {
        let id = self.process.id();
        run(&format!("nsenter --target {id} --net sh -ec '{script}'"));
    }

    fn enters(&self, Network { name, subnet }: Network) {
        self.inside(&format!(
            "ip link set {name} up; ip address add {subnet}.2/24 dev {name}; ip route replace default via {subnet}.1"
        ));
    }

    fn leaves(&self, Network { name, .. }: Network) {
        self.inside(&format!(
            "ip address flush dev {name}; ip link set {name} down"
        ));
    }

    /// One network is there, then the other one no more.
    fn changes(&self, from: Network, to: Network) {
        self.enters(to);
        self.leaves(from);
        self.inside(&format!("ip route replace default via {}.1", to.subnet));
    }
}

fn run(script: &str) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new("sh");
    let done = command.env("PATH", path).args(["-ec", script]).output();
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}: {said}");
}

#[tokio::test]
async fn a_browser_changes_its_network_and_its_calls_go_on() {
    let setup = format!("ip address add {EDGE}/32 dev lo");
    namespace::play("network::plays", &setup, "without audio", LIMIT)
        .await
        .unwrap();
}

/// The way that the media of a page's call goes: its own address.
const OWN_ADDRESS: &str = "window.causeway.session()?.connection.getStats().then((report) => { \
     const rows = [...report.values()]; \
     const chosen = rows.find((row) => row.type === 'transport')?.selectedCandidatePairId; \
     const pair = rows.find((row) => row.id === chosen); \
     return rows.find((row) => row.id === pair?.localCandidateId)?.address ?? ''; })";

#[tokio::test]
#[ignore = "needs a namespace of its own: a_browser_changes_its_network_and_its_calls_go_on plays it in one"]
async fn plays() {
    namespace::must_be_inside();
    let elsewhere = Elsewhere::build().await;
    let engine = RtpEngine::start_at(&[EDGE.into()]).await.unwrap();
    let at = |host: IpAddr| SocketAddr::new(host, ports::free());
    let (sip, wss) = (at(Ipv4Addr::LOCALHOST.into()), at(EDGE.into()));
    let mut config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n[media]\nrtpengine = \"{}\"\n\
         [listen.phones]\nudp = \"{sip}\"\n[listen.browsers]\nwss = \"{wss}\"\npage = true\n",
        engine.ng
    );
    config += &certificates(&["browsers"]);
    config += &users(DOMAIN, PASSWORD, ["alice", "desk"]);
    let _gateway = Gateway::start(&config).await.unwrap();
    let account = Account::new("desk", DOMAIN, PASSWORD, sip);
    let mut phone = Phone::start_registered(&account).await.unwrap();
    let browser = Browser::start_beside(elsewhere.process.id()).await.unwrap();
    let page = browser.open("alice", &format!("https://{wss}/")).await;
    let page = page.unwrap();
    sign_in(&page, "alice", PASSWORD).await.unwrap();
    registered(&page).await.unwrap();

    talks_on(
        &page,
        &mut phone,
        || elsewhere.changes(HOUSE, STREET),
        STREET,
    )
    .await;
    page.click("call-hangup").await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    page.state(&["ended"]).await.unwrap();

    talks_on(
        &page,
        &mut phone,
        || elsewhere.changes(STREET, HOUSE),
        HOUSE,
    )
    .await;
    phone.hang_up().await.unwrap();
    page.state(&["ended"]).await.unwrap();
    engine.empty_within(SOON).await.unwrap();
}

/// A call of the page whose audio goes on after its network has changed, by the new one.
async fn talks_on(page: &Page, phone: &mut Phone, changes: impl Fn(), to: Network) {
    dial(page, "desk").await.unwrap();
    phone.event("CALL_ESTABLISHED").await.unwrap();
    page.state(&["up"]).await.unwrap();
    page_and_phone_talk(page, phone, beeps(phone))
        .await
        .unwrap();
    let began = Instant::now();
    let goes_by = format!(
        "{OWN_ADDRESS}.then((address) => address === '{}.2')",
        to.subnet
    );
    changes();
    let wait = json!({ "expression": goes_by, "timeout": 30_000 });
    page.command("waitFor", wait).await.unwrap();
    page_and_phone_talk(page, phone, beeps(phone))
        .await
        .unwrap();
    let took = began.elapsed().as_secs_f32();
    println!(
        "without audio, and proven again: {took:.1} s after the network was another ({})",
        to.name
    );
    registered(page).await.unwrap();
}
