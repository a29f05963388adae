//! The gateway under siege, and one who goes on using it.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::prober::{Asking, Prober};
use causeway_tests::{http, ports, raw, wait};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use tokio_rustls::TlsConnector;

/// One siege at a time: latencies are printed.
pub(crate) static TURN: Mutex<()> = Mutex::const_new(());

/// Where the quiet user sits.
const QUIET: &str = "127.0.0.9:0";

/// A gateway on all transports, and its quiet user.
pub(crate) struct Siege {
    pub(crate) gateway: Gateway,
    pub(crate) sip: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) ws: SocketAddr,
    pub(crate) wss: SocketAddr,
    pub(crate) client: TlsConnector,
    admin: SocketAddr,
    asking: Option<Asking>,
    memory: u64,
    what: &'static str,
    _turn: MutexGuard<'static, ()>,
}

impl Siege {
    /// Starts the gateway with these `[limits]`, and a user who asks until [`end`](Self::end).
    pub(crate) async fn begin(what: &'static str, limits: &str) -> Self {
        Self::begin_with(what, &format!("[limits]\n{limits}\n")).await
    }

    /// The same with whole sections of configuration.
    pub(crate) async fn begin_with(what: &'static str, more: &str) -> Self {
        let turn = TURN.lock().await;
        let [sip, tls, ws, wss, admin] = std::array::from_fn(|_| ports::free_address());
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n\
             [listen.public]\nudp = \"{sip}\"\ntcp = \"{sip}\"\ntls = \"{tls}\"\nws = \"{ws}\"\nwss = \"{wss}\"\n\
             [listen.public.certificate]\nchain = \"@FOLDER@/certificate.pem\"\nkey = \"@FOLDER@/key.pem\"\n\
             [admin]\nlisten = \"{admin}\"\n\
             [domain.\"hostile.test\"]\nusers = [{{ name = \"prober\", password = \"correct horse\" }}]\n{more}"
        );
        let gateway = Gateway::start(&config).await.unwrap();
        let client = raw::trusting(&gateway.certificate()).unwrap();
        let mut quiet = Prober::new(QUIET, sip).await.unwrap();
        // Everything is paged in and warm before it counts.
        for _ in 0..20 {
            quiet.ask("OPTIONS").await.unwrap();
        }
        let memory = gateway.process.memory();
        let asking = quiet.begin();
        Siege {
            gateway,
            sip,
            tls,
            ws,
            wss,
            client,
            admin,
            asking: Some(asking),
            memory,
            what,
            _turn: turn,
        }
    }

    /// The gateway's figures.
    pub(crate) async fn figures(&self) -> Value {
        let (status, body) = http::get(self.admin, "/status").await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// One of the figures, 0 if nothing was counted: `dropped/outbox_full`.
    pub(crate) async fn figure(&self, path: &str) -> u64 {
        self.figures()
            .await
            .pointer(&format!("/{path}"))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }

    /// Waits until a figure is at least so much.
    pub(crate) async fn reaches(&self, path: &str, least: u64) {
        let reached = wait::until_async(Duration::from_secs(30), || async {
            self.figure(path).await >= least
        })
        .await;
        assert!(
            reached,
            "{}: {path} is {} and not {least}",
            self.what,
            self.figure(path).await
        );
    }

    /// Waits until a line of the log contains all of `words`.
    pub(crate) async fn logged(&self, words: &[&str]) {
        let has = || {
            self.gateway
                .process
                .log()
                .lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        };
        assert!(
            wait::until(Duration::from_secs(30), has).await,
            "{}: no line with {words:?}",
            self.what
        );
    }

    /// Bytes of memory more than before.
    pub(crate) fn grown(&self) -> u64 {
        self.gateway.process.memory().saturating_sub(self.memory)
    }

    /// The quiet user does not ask meanwhile, only before and afterwards: what comes has no limit.
    pub(crate) async fn rest(&mut self) {
        if let Some(asking) = self.asking.take() {
            asking.end().await.unwrap();
        }
    }

    /// The quiet user was answered all the time, and memory grew by `most` bytes at most.
    pub(crate) async fn end(mut self, most: u64) {
        let grown = self.grown();
        let asking = match self.asking.take() {
            Some(asking) => asking,
            None => Prober::new(QUIET, self.sip).await.unwrap().begin(),
        };
        let latency = asking.end().await.unwrap();
        println!(
            "{:<34} {latency}; memory {:.1} MiB + {:.1}",
            self.what,
            mib(self.memory),
            mib(grown)
        );
        assert!(latency.answers() > 0);
        assert!(
            grown <= most,
            "{}: memory grew by {:.1} MiB",
            self.what,
            mib(grown)
        );
        assert!(
            self.gateway.process.status().is_none(),
            "{}: the gateway has ended",
            self.what
        );
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
