//! Two edges in front of one core, each on a machine of its own (a network namespace) with addresses that move: a request for
//! the other one's connection is handed to it, and one that is killed ends no call.
//!
//! ```text
//! here      10.7.0.1                phones, browsers, two Kamailios, the core
//! edge 1    10.7.0.11   holds 10.7.0.10 (devices) and 10.7.0.100 (core) at first
//! edge 2    10.7.0.12   takes both over
//! ```

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use causeway_tests::agent::{Account, Call, Device, Kind};
use causeway_tests::certificate::write_secret;
use causeway_tests::core::{Call as CoreCall, Core, Script};
use causeway_tests::gateway::Gateway;
use causeway_tests::kamailio::Kamailio;
use causeway_tests::process::Process;
use causeway_tests::{http, namespace, ports, wait};

use crate::device::{DOMAIN, PASSWORD};
use crate::rig::{Calls, registrar};

/// Phones of each kind.
const PHONES: usize = 6;
const LIMIT: Duration = Duration::from_secs(180);
const PUBLIC: &str = "10.7.0.10";
const CORE: &str = "10.7.0.100";
/// Two machines on one switch. Each lives as long as a process in its namespace.
const MACHINES: &str = r#"
ip link add switch type bridge; ip addr add 10.7.0.1/24 dev switch; ip link set switch up
machine() {
  unshare --net sleep 300 & pid=$!
  until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
  ip link add port$1 type veth peer name inside$1
  ip link set inside$1 netns $pid; ip link set port$1 master switch up
  nsenter -t $pid -n sh -c "ip link set inside$1 name eth0; ip link set lo up; ip link set eth0 up; ip addr add 10.7.0.1$1/24 dev eth0"
}
machine 1; export MACHINE_1=$pid; machine 2; export MACHINE_2=$pid
"#;

#[tokio::test]
async fn an_edge_that_is_killed_ends_no_call() {
    let inner = "edges::inside";
    namespace::play(inner, MACHINES, "edges: ", LIMIT)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "runs in a network namespace, started by the test above"]
async fn inside() -> Result<()> {
    namespace::must_be_inside();
    let mut site = Site::start().await?;
    site.handed_over().await?;
    site.found_at_the_other_one().await?;
    site.found_by_what_it_says().await?;
    site.killed().await
}

struct Site {
    edges: [Gateway; 2],
    core: Core,
    registrars: [Kamailio; 2],
    _keys: tempfile::TempDir,
}

/// A call that is up, seen from both sides.
struct Up {
    phone: Call,
    core: CoreCall,
}

/// Runs `ip` on a machine.
fn ip(machine: usize, arguments: &[&str]) -> Result<()> {
    let done = Command::new("nsenter")
        .args(["-t", &pid(machine)?, "-n", "ip"])
        .args(arguments)
        .output()?;
    ensure!(
        done.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

fn pid(machine: usize) -> Result<String> {
    std::env::var(format!("MACHINE_{machine}")).context("no machine")
}

async fn edge(number: usize, keys: &str, members: [SocketAddr; 2]) -> Result<Gateway> {
    let own = format!("10.7.0.1{number}");
    let [one, other] = members;
    let config = format!(
        "[node]\nid = {number}\nkey_file = \"{keys}\"\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n\
         [cluster]\nnodes = [{{ id = 1, address = \"sip:10.7.0.11:5060\" }}, {{ id = 2, address = \"sip:10.7.0.12:5060\" }}]\n\
         shared_core = \"{CORE}\"\nshared_public = [\"{PUBLIC}\"]\n\
         [admin]\nlisten = \"{own}:9090\"\n\
         [listen.core]\nudp = [\"{own}:5060\", \"{CORE}:5060\"]\ntrust = [\"10.7.0.0/24\"]\n\
         [listen.public]\nudp = \"{PUBLIC}:5070\"\nws = [\"{PUBLIC}:8080\", \"{own}:8080\"]\n\
         [group.registrars]\nmembers = [\"sip:{one}\", \"sip:{other}\"]\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n\
         [limits]\nmessages_per_second = 0\n"
    );
    let under = ["nsenter", "-t", &pid(number)?, "-n"].map(str::to_owned);
    Gateway::start_under(under.into(), &config).await
}

impl Site {
    async fn start() -> Result<Self> {
        for address in [PUBLIC, CORE] {
            ip(1, &["addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
        }
        let here = |port| SocketAddr::from(([10, 7, 0, 1], port));
        let [one, other, core] = [(); 3].map(|()| here(ports::free()));
        let registrars = [
            registrar("one", one, other, core, Calls::ToTheCore).await?,
            registrar("other", other, one, core, Calls::ToTheCore).await?,
        ];
        let folder = Process::folder("keys")?;
        let file = folder.path().join("cluster.key");
        write_secret(&file, format!("0 {} 0 0\n", "5a".repeat(32)).as_bytes())?;
        let keys = file.to_str().context("a strange folder")?;
        let site = Site {
            edges: [
                edge(1, keys, [one, other]).await?,
                edge(2, keys, [one, other]).await?,
            ],
            core: Core::start(core, one, DOMAIN).await?,
            registrars,
            _keys: folder,
        };
        for number in [1, 2] {
            site.sees_the_other(number, "alive").await?;
        }
        Ok(site)
    }

    /// Waits until an edge says so of the other one; how long that took.
    async fn sees_the_other(&self, number: usize, wanted: &str) -> Result<Duration> {
        let began = Instant::now();
        let admin = SocketAddr::from(([10, 7, 0, 10 + u8::try_from(number)?], 9090));
        let says = async || {
            let (_, body) = http::get(admin, "/status").await?;
            let status: serde_json::Value = serde_json::from_str(&body)?;
            anyhow::Ok(status["nodes"][0]["state"] == wanted)
        };
        if !wait::until_async(LIMIT, async || says().await.is_ok_and(|says| says)).await {
            bail!("edge {number} never sees the other one {wanted}");
        }
        Ok(began.elapsed())
    }

    async fn device(&self, user: &str, kind: Kind, server: &str) -> Result<Device> {
        let account = Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            kind,
            server: server.parse()?,
        };
        let device = Device::registered(&account, None).await?;
        self.is_known(user).await?;
        Ok(device)
    }

    /// Both registrars know the user: they tell each other a little later than the phone.
    async fn is_known(&self, user: &str) -> Result<()> {
        for registrar in &self.registrars {
            let known = async || self.core.asks_for_bindings(user, registrar.address).await;
            let knows = async || known().await.is_ok_and(|count| count > 0);
            ensure!(wait::until_async(LIMIT, knows).await, "{user} is not known");
        }
        Ok(())
    }

    async fn core_calls(&self, device: &Device) -> Result<Up> {
        let mut core = self.core.calls(&device.user).await?;
        let mut phone = device.called().await?;
        let answer = device.answer();
        tokio::try_join!(phone.accepts(&answer), core.is_answered())?;
        Ok(Up { phone, core })
    }

    async fn device_calls(&self, device: &Device) -> Result<Up> {
        let dial = async {
            let mut phone = device.calls("9196", &device.offer()).await?;
            phone.is_answered("").await?;
            anyhow::Ok(phone)
        };
        let (phone, core) = tokio::try_join!(dial, self.core.answers_with(Script::AtOnce))?;
        Ok(Up { phone, core })
    }

    /// SIGNALLING §5: the browser is at edge 2, the core's requests arrive at the shared address, which edge 1 has.
    async fn handed_over(&self) -> Result<()> {
        let device = self.device("elsewhere", Kind::Ws, "10.7.0.12:8080").await?;
        for mut up in [
            self.core_calls(&device).await?,
            self.device_calls(&device).await?,
        ] {
            up.core_holds(&device).await?;
            tokio::try_join!(up.phone.takes("BYE", ""), up.core.hangs_up())?;
        }
        println!(
            "edges: 2 calls of a browser at the edge that has not the shared address: held, resumed, hung up by the core"
        );
        Ok(())
    }

    /// A browser comes back to the other edge while both live: no index but that one's knows.
    async fn found_at_the_other_one(&self) -> Result<()> {
        let mut device = self.device("mover", Kind::Ws, "10.7.0.10:8080").await?;
        let mut up = self.core_calls(&device).await?;
        device.cuts_the_connection();
        device.goes_to("10.7.0.12:8080".parse()?);
        device.reconnects().await?;
        ensure!(
            device.registers().await?.status == 200,
            "not registered again"
        );
        let began = Instant::now();
        up.core_holds(&device).await?;
        println!(
            "edges: a browser that moved to the other edge: held and resumed by the core in {:?}",
            began.elapsed()
        );
        tokio::try_join!(up.phone.takes("BYE", ""), up.core.hangs_up())?;
        Ok(())
    }

    /// It comes back to the other edge, does not register, and says something in its call.
    async fn found_by_what_it_says(&self) -> Result<()> {
        let mut device = self.device("silent", Kind::Ws, "10.7.0.10:8080").await?;
        let mut up = self.core_calls(&device).await?;
        device.cuts_the_connection();
        device.goes_to("10.7.0.12:8080".parse()?);
        device.reconnects().await?;
        tokio::try_join!(up.phone.says("INFO", "", ""), up.core.takes("INFO"))?;
        up.core_holds(&device).await?;
        println!(
            "edges: a browser that moved to the other edge and did not register: held and resumed by the core"
        );
        tokio::try_join!(up.phone.takes("BYE", ""), up.core.hangs_up())?;
        Ok(())
    }

    async fn killed(&mut self) -> Result<()> {
        let mut desks = Vec::new();
        let mut pages = Vec::new();
        for number in 0..PHONES {
            let desk = self
                .device(&format!("desk{number}"), Kind::Udp, "10.7.0.10:5070")
                .await?;
            let page = self
                .device(&format!("page{number}"), Kind::Ws, "10.7.0.10:8080")
                .await?;
            let (of_desk, of_page) = match number % 2 {
                0 => (self.core_calls(&desk).await?, self.core_calls(&page).await?),
                _ => (
                    self.device_calls(&desk).await?,
                    self.device_calls(&page).await?,
                ),
            };
            desks.push((desk, of_desk));
            pages.push((page, of_page));
        }

        self.edges[0].kill();
        for address in [PUBLIC, CORE] {
            let address = format!("{address}/24");
            ip(1, &["addr", "del", &address, "dev", "eth0"])?;
            ip(2, &["addr", "add", &address, "dev", "eth0"])?;
        }
        // What keepalived says to the neighbours by itself.
        let flushed = Command::new("ip")
            .args(["neigh", "flush", "dev", "switch"])
            .status()?;
        ensure!(flushed.success(), "the neighbours are not told");
        let moved = Instant::now();

        // RFC 5626 is no help here: nobody registers again.
        let mut slowest = Duration::ZERO;
        for (desk, _) in &desks {
            let began = Instant::now();
            let mut up = self.core_calls(desk).await?;
            slowest = slowest.max(began.elapsed());
            up.phone.hangs_up_with(&mut up.core).await?;
        }
        println!(
            "edges: {PHONES} of {PHONES} UDP phones rang at the next INVITE, the slowest call was up after {slowest:?}"
        );
        for (number, (desk, up)) in desks.iter_mut().enumerate() {
            up.goes_on(desk, number).await?;
        }
        println!(
            "edges: {PHONES} of {PHONES} calls of UDP phones held and resumed by both sides and hung up"
        );
        println!(
            "edges: the other edge was known dead after {:?}",
            self.sees_the_other(2, "dead").await?.max(moved.elapsed())
        );

        // The core hangs up while the page is still away.
        let (mut page, mut up) = pages.pop().context("no page")?;
        page.cuts_the_connection();
        let began = Instant::now();
        let Up { phone, core } = &mut up;
        let comes_back = async {
            page.reconnects().await?;
            ensure!(
                page.registers().await?.status == 200,
                "not registered again"
            );
            phone.takes("BYE", "").await
        };
        tokio::try_join!(core.hangs_up(), comes_back)?;
        println!(
            "edges: a BYE of the core waited for a page that came back: {:?}",
            began.elapsed()
        );

        for (number, (page, up)) in pages.iter_mut().enumerate() {
            page.reconnects().await?;
            ensure!(
                page.registers().await?.status == 200,
                "not registered again"
            );
            up.goes_on(page, number).await?;
            self.is_known(&page.user).await?;
            let began = Instant::now();
            let mut again = self.core_calls(page).await?;
            slowest = slowest.max(began.elapsed());
            again.phone.hangs_up_with(&mut again.core).await?;
        }
        println!(
            "edges: {0} of {0} calls of browsers held and resumed by both sides and hung up, and each rang again",
            pages.len()
        );
        Ok(())
    }
}

trait Ends {
    async fn hangs_up_with(&mut self, core: &mut CoreCall) -> Result<()>;
}

impl Ends for Call {
    /// The phone hangs up, and the core hears it.
    async fn hangs_up_with(&mut self, core: &mut CoreCall) -> Result<()> {
        tokio::try_join!(self.hangs_up(), core.takes("BYE"))?;
        Ok(())
    }
}

impl Up {
    async fn core_holds(&mut self, device: &Device) -> Result<()> {
        let (held, answer) = (device.sdp("recvonly", "active"), device.answer());
        tokio::try_join!(self.phone.takes("INVITE", &held), self.core.holds())?;
        tokio::try_join!(self.phone.takes("INVITE", &answer), self.core.resumes())?;
        Ok(())
    }

    /// Holds and resumes from either side; one of them hangs up.
    async fn goes_on(&mut self, device: &Device, number: usize) -> Result<()> {
        for direction in ["sendonly", "sendrecv"] {
            let offer = device.sdp(direction, "actpass");
            let asked = self.phone.says("INVITE", "", &offer);
            let (answer, _) = tokio::try_join!(asked, self.core.takes("INVITE"))?;
            ensure!(
                answer.status() == Some(200),
                "{}: {}",
                device.user,
                answer.text
            );
        }
        self.core_holds(device).await?;
        if number.is_multiple_of(2) {
            self.phone.hangs_up_with(&mut self.core).await
        } else {
            tokio::try_join!(self.phone.takes("BYE", ""), self.core.hangs_up())?;
            Ok(())
        }
    }
}
