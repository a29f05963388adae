//! The whole chain: devices, an edge with its RTPEngine, two Kamailio registrars that share their bindings, and a core that
//! behaves as FreeSWITCH.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use causeway_tests::agent::{self, Call, Device, Kind};
use causeway_tests::baresip::{self, Transport};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::core::{Call as CoreCall, Core, Script};
use causeway_tests::gateway::Gateway;
use causeway_tests::kamailio::{Kamailio, Settings};
use causeway_tests::relay::Relay;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, raw, scene, wait};
use tokio_rustls::TlsConnector;

use crate::device::{DOMAIN, PASSWORD};

/// How long RTPEngine may take to forget a call that has ended for both sides.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// What becomes of a call of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// It goes to the core.
    ToTheCore,
    /// The registrar looks the user up: a call passes the edge twice.
    Alone,
}

/// What is special about an edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    /// Between edge and registrars.
    pub(crate) transport: &'a str,
    /// With an RTPEngine; without one, bodies pass as they are.
    pub(crate) media: bool,
    /// More keys of the devices' side.
    pub(crate) public: &'a str,
    /// `NAME=VALUE` in its environment.
    pub(crate) environment: Option<&'a str>,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Self {
            transport: "udp",
            media: true,
            public: "",
            environment: None,
        }
    }
}

/// All of it, running.
pub(crate) struct Rig {
    pub(crate) registrars: [Kamailio; 2],
    pub(crate) edge: Gateway,
    pub(crate) engine: RtpEngine,
    /// Between the edge and it.
    pub(crate) relay: Relay,
    pub(crate) core: Core,
    /// Where the core reaches the edge.
    pub(crate) inner: SocketAddr,
    admin: SocketAddr,
    sip: SocketAddr,
    tls: SocketAddr,
    ws: SocketAddr,
    wss: SocketAddr,
    trust: TlsConnector,
}

impl Rig {
    /// With an RTPEngine, and UDP between edge and registrars.
    pub(crate) async fn start(calls: Calls) -> Result<Self> {
        Self::start_over("udp", calls, true).await
    }

    /// `transport` is between edge and registrars; without media, bodies pass as they are.
    pub(crate) async fn start_over(transport: &str, calls: Calls, media: bool) -> Result<Self> {
        let shape = Shape {
            transport,
            media,
            ..Shape::default()
        };
        Self::start_as(&shape, calls).await
    }

    /// The usual chain, with an edge of this shape.
    pub(crate) async fn start_as(shape: &Shape<'_>, calls: Calls) -> Result<Self> {
        let Shape {
            transport,
            media,
            public,
            environment,
        } = *shape;
        let [one, other, core, sip, inner, tls, ws, wss, admin] =
            [(); 9].map(|()| ports::free_address());
        let engine = RtpEngine::start_at(&[Ipv4Addr::LOCALHOST.into()]).await?;
        let relay = Relay::before(engine.ng).await?;
        let asked = format!(
            "[media]\nrtpengine = \"{}\"\ndelete_delay = \"1s\"\n",
            relay.address
        );
        let asked = if media { asked } else { String::new() };
        let registrars = [
            registrar("one", one, other, core, calls).await?,
            registrar("other", other, one, core, calls).await?,
        ];
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
             {asked}\
             [listen.public]\nudp = \"{sip}\"\ntcp = \"{sip}\"\ntls = \"{tls}\"\nws = \"{ws}\"\nwss = \"{wss}\"\npage = true\n{public}\n\
             [listen.public.certificate]\nchain = \"@FOLDER@/certificate.pem\"\nkey = \"@FOLDER@/key.pem\"\n\
             [listen.core]\nudp = \"{inner}\"\ntcp = \"{inner}\"\ntrust = [\"127.0.0.1\"]\n\
             [group.registrars]\nmembers = [\"sip:{one}\", \"sip:{other}\"]\ntransport = \"{transport}\"\n\
             probe = {{ interval = \"500ms\", timeout = \"500ms\", rise = 1, fall = 2 }}\n\
             [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n\
             [limits]\nmessages_per_second = 0\n"
        );
        let under = match environment {
            Some(variable) => vec!["env".to_owned(), variable.to_owned()],
            None => Vec::new(),
        };
        let edge = Gateway::start_under(under, &config).await?;
        let trust = raw::trusting(&edge.certificate())?;
        let rig = Rig {
            registrars,
            core: Core::start(core, one, DOMAIN).await?,
            edge,
            inner,
            admin,
            engine,
            relay,
            sip,
            tls,
            ws,
            wss,
            trust,
        };
        rig.registrars_know_each_other().await?;
        Ok(rig)
    }

    /// A binding that one of them takes is found through the other one.
    async fn registrars_know_each_other(&self) -> Result<()> {
        for (index, registrar) in self.registrars.iter().enumerate() {
            let user = format!("probe{index}");
            let account = agent::Account {
                server: registrar.address,
                ..self.account(&user, Kind::Udp)
            };
            // Path is for the edge to add; here nobody does, and the registrar takes the binding all the same.
            let mut device = Device::open(&account, None).await?;
            device.registers().await?;
            self.has(&user, 1).await?;
        }
        Ok(())
    }

    /// Waits until both registrars know so many bindings of a user: they tell each other a little later than the phone.
    pub(crate) async fn has(&self, user: &str, bindings: usize) -> Result<()> {
        for registrar in &self.registrars {
            let known = async || self.core.asks_for_bindings(user, registrar.address).await;
            let limit = Duration::from_secs(10);
            if !wait::until_async(limit, async || {
                known().await.is_ok_and(|all| all >= bindings)
            })
            .await
            {
                bail!(
                    "{} knows {:?} bindings of {user}",
                    registrar.address,
                    known().await
                );
            }
        }
        Ok(())
    }

    pub(crate) fn server(&self, kind: Kind) -> SocketAddr {
        match kind {
            Kind::Udp | Kind::Tcp => self.sip,
            Kind::Tls => self.tls,
            Kind::Ws => self.ws,
            Kind::Wss => self.wss,
        }
    }

    fn account<'a>(&self, user: &'a str, kind: Kind) -> agent::Account<'a> {
        agent::Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            kind,
            server: self.server(kind),
        }
    }

    /// A user's desk phone over this transport, which answers at once and speaks 440 Hz.
    pub(crate) fn desk<'a>(&self, user: &'a str, transport: Transport) -> baresip::Account<'a> {
        let is_tls = transport == Transport::Tls;
        let server = if is_tls { self.tls } else { self.sip };
        baresip::Account {
            transport,
            trust: is_tls.then(|| self.edge.certificate()),
            ..baresip::Account::new(user, DOMAIN, PASSWORD, server)
        }
    }

    /// The edge's page in a browser, its user signed in over WSS and registered.
    pub(crate) async fn page(&self, browser: &Browser, user: &str) -> Result<Page> {
        let page = browser
            .open(user, &format!("https://{}/", self.wss))
            .await?;
        scene::sign_in(&page, user, PASSWORD).await?;
        scene::registered(&page).await?;
        Ok(page)
    }

    /// How often both registrars together said 401 and 200 to REGISTERs of this user.
    pub(crate) fn challenges(&self, user: &str) -> (usize, usize) {
        let logs = self
            .registrars
            .each_ref()
            .map(|registrar| registrar.process.log());
        let count = |said: &str| {
            let line = format!("REGISTER of {user}: {said}");
            logs.iter().map(|log| log.matches(&line).count()).sum()
        };
        (count("401"), count("200"))
    }

    /// A figure of the edge's status: `transactions`, `connections` …
    pub(crate) async fn figure(&self, name: &str) -> Result<u64> {
        let (_, body) = http::get(self.admin, "/status").await?;
        let status: serde_json::Value = serde_json::from_str(&body)?;
        status[name]
            .as_u64()
            .with_context(|| format!("{name}? {body}"))
    }

    /// Waits until a figure of the edge's status `is_it`.
    pub(crate) async fn figure_is(&self, name: &str, is_it: impl Fn(u64) -> bool) -> Result<()> {
        let limit = Duration::from_secs(20);
        let reached = wait::until_async(limit, async || self.figure(name).await.is_ok_and(&is_it));
        if !reached.await {
            bail!("{name} stays {}", self.figure(name).await?);
        }
        Ok(())
    }

    /// Waits until the edge says of a registrar that it is `alive`, `dead` …
    pub(crate) async fn registrar_is(&self, address: SocketAddr, wanted: &str) -> Result<()> {
        let says = async || {
            let (_, body) = http::get(self.admin, "/status").await?;
            let status: serde_json::Value = serde_json::from_str(&body)?;
            let members = status["members"].as_array().context("no members")?;
            let mut found = members
                .iter()
                .filter(|known| known["address"] == address.to_string());
            anyhow::Ok(found.any(|known| known["state"] == wanted))
        };
        let limit = Duration::from_secs(20);
        if !wait::until_async(limit, async || says().await.is_ok_and(|says| says)).await {
            bail!("{address} is never {wanted}");
        }
        Ok(())
    }

    /// Waits until no session is at RTPEngine.
    pub(crate) async fn nothing_stays(&self) -> Result<()> {
        self.engine.empty_within(FORGOTTEN).await
    }

    /// With the end of the edge's log, if it failed.
    pub(crate) fn tells<T>(&self, result: Result<T>) -> Result<T> {
        result.with_context(|| format!("the edge's log ends:\n{}", self.edge.process.log_tail()))
    }

    /// A device calls the echo of the core, which answers at once.
    pub(crate) async fn talks(&self, device: &Device) -> Result<(Call, CoreCall)> {
        let offer = device.offer();
        let dial = async {
            let mut phone = device.calls("9196", &offer).await?;
            phone.is_answered("").await?;
            anyhow::Ok(phone)
        };
        tokio::try_join!(dial, self.core.answers_with(Script::AtOnce))
    }

    /// A phone of the test, not registered.
    pub(crate) async fn unregistered(&self, user: &str, kind: Kind) -> Result<Device> {
        Device::open(&self.account(user, kind), Some(&self.trust)).await
    }

    /// A phone of the test, registered with two REGISTERs, and known to both registrars.
    pub(crate) async fn device(&self, user: &str, kind: Kind) -> Result<Device> {
        let home = self.registrars[0].address;
        let before = self.core.asks_for_bindings(user, home).await?;
        let device = Device::registered(&self.account(user, kind), Some(&self.trust)).await?;
        self.has(user, before + 1).await?;
        Ok(device)
    }
}

pub(crate) async fn registrar(
    name: &str,
    own: SocketAddr,
    peer: SocketAddr,
    core: SocketAddr,
    calls: Calls,
) -> Result<Kamailio> {
    let define = if calls == Calls::Alone {
        "#!define ALONE"
    } else {
        ""
    };
    Kamailio::start(&Settings {
        config: "cluster",
        listen: vec![format!("udp:{own}"), format!("tcp:{own}")],
        domain: DOMAIN,
        fill: vec![
            ("NAME", name.to_owned()),
            ("PASSWORD", PASSWORD.to_owned()),
            ("OWN", own.to_string()),
            ("PEER", peer.to_string()),
            ("COREHOST", core.ip().to_string()),
            ("COREPORT", core.port().to_string()),
            ("DEFINE", define.to_owned()),
        ],
        ..Settings::default()
    })
    .await
}
