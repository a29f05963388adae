//! Where a test's calls take place: a gateway that is edge and registrar at once with listeners of every kind, beside an
//! RTPEngine of its own. Both stay after the test, for the check that comes after all of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use causeway_tests::baresip::{Account, Phone, Transport};
use causeway_tests::browser::{Browser, Kind, Page};
use causeway_tests::gateway::{Gateway, certificates, users};
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::scene::{DOMAIN, PASSWORD, registered, sign_in};
use causeway_tests::{http, linphone, ports};
use serde_json::Value;
use tokio::sync::OnceCell;

/// Who may register: pages, desk phones, and what SIPp plays.
const USERS: [&str; 6] = ["alice", "bob", "desk1", "desk2", "echo", "sipp"];
/// How long RTPEngine may take to forget a call after the call has ended for both sides.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Of RTPEngine's log, when a test has failed.
const LINES: usize = 30;

/// One Chromium for all tests, and one Firefox; each page has a context of its own in it.
#[derive(Debug, Default)]
pub(crate) struct SharedBrowser {
    chromium: OnceCell<Browser>,
    firefox: OnceCell<Browser>,
}

impl SharedBrowser {
    pub(crate) async fn get(&self) -> Result<&Browser> {
        self.kind(Kind::Chromium).await
    }

    pub(crate) async fn kind(&self, kind: Kind) -> Result<&Browser> {
        let cell = match kind {
            Kind::Chromium => &self.chromium,
            Kind::Firefox => &self.firefox,
        };
        cell.get_or_try_init(|| Browser::start_kind(kind)).await
    }
}

/// A gateway and its RTPEngine.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) gateway: Gateway,
    pub(crate) engine: RtpEngine,
    /// UDP and TCP.
    pub(crate) sip: SocketAddr,
    tls: SocketAddr,
    wss: SocketAddr,
    admin: SocketAddr,
    browser: Arc<SharedBrowser>,
}

impl Place {
    /// Starts both on one loopback address.
    pub(crate) async fn start(host: IpAddr, browser: Arc<SharedBrowser>) -> Result<Self> {
        Self::start_with(host, browser, "").await
    }

    /// The same with more configuration (whole sections of TOML).
    pub(crate) async fn start_with(
        host: IpAddr,
        browser: Arc<SharedBrowser>,
        more: &str,
    ) -> Result<Self> {
        let engine = RtpEngine::start_at(&[host]).await?;
        let [sip, tls, wss, admin] = [(); 4].map(|()| SocketAddr::new(host, ports::free()));
        let mut config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n\
             [admin]\nlisten = \"{admin}\"\n\
             [media]\nrtpengine = \"{}\"\n\
             [listen.phones]\nudp = \"{sip}\"\ntcp = \"{sip}\"\ntls = \"{tls}\"\n\
             {more}[listen.browsers]\nwss = \"{wss}\"\npage = true\n",
            engine.ng
        );
        config += &certificates(&["phones", "browsers"]);
        config += &users(DOMAIN, PASSWORD, USERS);
        let gateway = Gateway::start(&config).await?;
        Ok(Place {
            gateway,
            engine,
            sip,
            tls,
            wss,
            admin,
            browser,
        })
    }

    /// A user's desk phone over UDP, which answers at once and speaks 440 Hz.
    pub(crate) fn account<'a>(&self, user: &'a str) -> Account<'a> {
        Account::new(user, DOMAIN, PASSWORD, self.sip)
    }

    /// The same as linphone over TCP, which rings until it is told to answer and speaks 600 Hz.
    pub(crate) async fn linphone(&self, user: &str) -> Result<linphone::Phone> {
        let account = linphone::Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            server: self.sip,
            trust: None,
            tone: 600,
        };
        linphone::Phone::start_registered(&account).await
    }

    /// The same over this transport.
    pub(crate) fn account_over<'a>(&self, user: &'a str, transport: Transport) -> Account<'a> {
        let is_tls = transport == Transport::Tls;
        Account {
            transport,
            server: if is_tls { self.tls } else { self.sip },
            trust: is_tls.then(|| self.gateway.certificate()),
            ..self.account(user)
        }
    }

    /// A user's desk phone over this transport, registered.
    pub(crate) async fn phone(&self, user: &str, transport: Transport) -> Result<Phone> {
        Phone::start_registered(&self.account_over(user, transport)).await
    }

    /// The page over HTTPS, its user signed in over WSS and registered.
    pub(crate) async fn page(&self, user: &str) -> Result<Page> {
        self.page_at(user, "").await
    }

    /// The same with a query behind the address.
    pub(crate) async fn page_at(&self, user: &str, query: &str) -> Result<Page> {
        self.page_in(Kind::Chromium, user, query).await
    }

    /// The same in this browser.
    pub(crate) async fn page_in(&self, kind: Kind, user: &str, query: &str) -> Result<Page> {
        // The port tells this test's page from one of the same user in another test.
        let name = format!("{user}-{}", self.wss.port());
        let browser = self.browser.kind(kind).await?;
        let page = browser
            .open(&name, &format!("https://{}/{query}", self.wss))
            .await?;
        sign_in(&page, user, PASSWORD).await?;
        registered(&page).await?;
        Ok(page)
    }

    /// No call is left at RTPEngine.
    pub(crate) async fn engine_is_empty(&self) -> Result<()> {
        self.engine.empty_within(AT_ONCE).await
    }

    /// How many transactions the gateway holds.
    pub(crate) async fn transactions(&self) -> Result<u64> {
        let status = self.status().await?;
        status["transactions"]
            .as_u64()
            .context("/status does not count transactions")
    }

    /// How many SIP messages the gateway has received.
    pub(crate) async fn messages(&self) -> Result<u64> {
        let status = self.status().await?;
        let received = status["received"]
            .as_object()
            .context("/status does not count messages")?;
        let messages = received.values().filter_map(Value::as_u64).sum();
        ensure!(messages > 0, "/status counts no messages: {status}");
        Ok(messages)
    }

    async fn status(&self) -> Result<Value> {
        let (status, body) = http::get(self.admin, "/status").await?;
        if status != 200 {
            bail!("/status answers {status}");
        }
        serde_json::from_str(&body).context("/status is not JSON")
    }

    /// The ends of the logs of both.
    pub(crate) fn logs(&self) -> String {
        let engine = self.engine.process.log();
        // The gateway's ping each second and our own questions would leave no room for anything else.
        let engine: Vec<&str> = engine
            .lines()
            .filter(|line| !line.contains("'ping'") && !line.contains("'list'"))
            .collect();
        format!(
            "--- the end of the gateway's log\n{}\n--- the end of RTPEngine's log\n{}\n---",
            self.gateway.process.log_tail(),
            engine[engine.len().saturating_sub(LINES)..].join("\n")
        )
    }
}
