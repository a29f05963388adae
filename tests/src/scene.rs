//! The usual scene: a gateway that is edge and registrar at once, beside an RTPEngine; desk phones and softphone pages of
//! its users. What a test does in it reads as a story.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::agent::{self, Device, Kind};
use crate::baresip::Account;
use crate::browser::{Browser, Page};
use crate::gateway::{Gateway, users};
use crate::rtpengine::RtpEngine;
use crate::{http, ports, wait};

/// The domain of all users.
pub const DOMAIN: &str = "kit.test";
/// The password of all users.
pub const PASSWORD: &str = "secret";
/// Users that every scene has.
const USERS: [&str; 6] = ["alice", "bob", "carol", "desk1", "desk2", "echo"];

/// A gateway with its RTPEngine.
#[derive(Debug)]
pub struct Scene {
    /// The gateway; its ports stay over a restart.
    pub gateway: Gateway,
    /// Its only RTPEngine, or the first one.
    pub engine: RtpEngine,
    /// The others, where the scene has several.
    pub engines: Vec<RtpEngine>,
    /// Where phones register, UDP and TCP.
    pub sip: SocketAddr,
    /// Where the page is, plain HTTP: on loopback that is a secure context.
    pub web: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
}

impl Scene {
    /// Starts both with the usual users and the times of the RFC.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[], "").await
    }

    /// Starts both, with more users and more configuration (whole sections of TOML).
    pub async fn start_with(more_users: &[String], more: &str) -> Result<Self> {
        Self::start_beside(1, more_users, more).await
    }

    /// As [`start_with`](Self::start_with), with so many RTPEngines.
    pub async fn start_beside(engines: usize, more_users: &[String], more: &str) -> Result<Self> {
        // RTPEngine tidies nothing up by itself meanwhile: what the gateway forgets stays to be seen.
        let tidy = ["--timeout=3600", "--silent-timeout=3600"];
        let engine = RtpEngine::start_with(&tidy).await?;
        let mut others = Vec::new();
        for _ in 1..engines {
            others.push(RtpEngine::start_with(&tidy).await?);
        }
        let nodes: Vec<String> = [&engine]
            .into_iter()
            .chain(&others)
            .map(|engine| format!("\"{}\"", engine.ng))
            .collect();
        let (sip, web, admin) = (
            ports::free_address(),
            ports::free_address(),
            ports::free_address(),
        );
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n\
             [listen.public]\nudp = \"{sip}\"\ntcp = \"{sip}\"\nws = \"{web}\"\npage = true\n\
             [admin]\nlisten = \"{admin}\"\n\
             [media]\nrtpengine = [{}]\ndelete_delay = \"1s\"\n\
             {more}\n{}{}",
            nodes.join(", "),
            users(DOMAIN, PASSWORD, USERS),
            users(DOMAIN, PASSWORD, more_users)
        );
        let gateway = Gateway::start(&config).await?;
        Ok(Scene {
            gateway,
            engine,
            engines: others,
            sip,
            web,
            admin,
        })
    }

    /// A user's desk phone, for [`Phone::start_registered`](crate::baresip::Phone::start_registered); it answers at once and speaks 440 Hz over UDP.
    pub fn account<'a>(&self, user: &'a str) -> Account<'a> {
        Account::new(user, DOMAIN, PASSWORD, self.sip)
    }

    /// How a user's phone registers that is a part of the test.
    pub fn agent<'a>(&self, user: &'a str, kind: Kind) -> agent::Account<'a> {
        agent::Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            kind,
            server: match kind {
                Kind::Ws | Kind::Wss => self.web,
                Kind::Udp | Kind::Tcp | Kind::Tls => self.sip,
            },
        }
    }

    /// A phone that is a part of the test, registered: over a WebSocket what a browser says, without its media.
    pub async fn device(&self, user: &str, kind: Kind) -> Result<Device> {
        Device::registered(&self.agent(user, kind), None).await
    }

    /// Opens the page and signs a user in; returns when it is registered.
    pub async fn page(&self, browser: &Browser, user: &str) -> Result<Page> {
        let page = browser.open(user, &format!("http://{}/", self.web)).await?;
        self.sign_in(&page, user, PASSWORD).await?;
        registered(&page).await?;
        Ok(page)
    }

    /// Fills in the account form and sends it off. It does not wait.
    pub async fn sign_in(&self, page: &Page, user: &str, password: &str) -> Result<()> {
        sign_in(page, user, password).await
    }

    /// What the gateway says of itself: `transactions`, `bindings`, `connections` …
    pub async fn status(&self) -> Result<Value> {
        let (status, body) = http::get(self.admin, "/status").await?;
        if status != 200 {
            bail!("/status answers {status}");
        }
        serde_json::from_str(&body).context("/status is not JSON")
    }

    /// One figure of [`status`](Self::status); 0 if the gateway does not answer.
    pub async fn figure(&self, name: &str) -> u64 {
        self.status()
            .await
            .ok()
            .and_then(|status| status[name].as_u64())
            .unwrap_or(0)
    }

    /// Waits until no session is at RTPEngine and no transaction in the gateway.
    pub async fn nothing_stays(&self, limit: Duration) -> Result<()> {
        self.engine.empty_within(limit).await?;
        let gone = wait::until_async(limit, || async {
            self.status()
                .await
                .is_ok_and(|status| status["transactions"] == 0)
        });
        if !gone.await {
            bail!(
                "after {limit:?} the gateway still says {}",
                self.status().await?
            );
        }
        Ok(())
    }
}

/// Fills in a page's account form and sends it off. It does not wait.
pub async fn sign_in(page: &Page, user: &str, password: &str) -> Result<()> {
    page.wait_for("document.querySelector('#account').open")
        .await?;
    for (field, value) in [
        ("account-user", user),
        ("account-password", password),
        ("account-domain", DOMAIN),
    ] {
        page.fill(field, value).await?;
    }
    page.click("account-submit").await
}

/// Waits until a page's user is registered.
pub async fn registered(page: &Page) -> Result<()> {
    line(page, "registered").await
}

/// Waits until a page's line is in a state: `registered`, `retrying`, `refused` …
pub async fn line(page: &Page, state: &str) -> Result<()> {
    page.command(
        "waitState",
        serde_json::json!({ "state": state, "attribute": "data-line" }),
    )
    .await
    .map(drop)
}

/// Calls somebody from a page, as a person would; returns when the page shows that call instead of the one before.
pub async fn dial(page: &Page, target: &str) -> Result<()> {
    let newest = "(window.causeway.calls()[0]?.id ?? 0)";
    let before = page.eval(newest).await?;
    page.fill("dial-input", target).await?;
    page.click("dial-call").await?;
    page.wait_for(&format!("{newest} > {before}"))
        .await
        .map(drop)
}

/// Waits until a page says who holds its call: `local`, `remote`, `none`.
pub async fn hold_is(page: &Page, who: &str) -> Result<()> {
    let expression =
        format!("document.querySelector('[data-testid=call]').dataset.hold === '{who}'");
    page.wait_for(&expression).await.map(drop)
}

/// Waits until a page's call has sent and received `packets` of audio more than by now (50 are a second).
pub async fn audio_flows(page: &Page, packets: u64) -> Result<()> {
    let figures = page.stats().await?;
    let goal = |name: &str| figures[name].as_u64().unwrap_or(0) + packets;
    let expression = format!(
        "window.causeway.stats().then((now) => now.received >= {} && now.sent >= {})",
        goal("received"),
        goal("sent")
    );
    page.wait_for(&expression).await.map(drop)
}
