//! A phone that is a part of the test: SIP over any of the five transports, one call after the other or many at once, every
//! message counted where it arrives. It has no audio of its own.
//!
//! A [`Device`] registers, calls and is called; a [`Call`] does what the test says, in the test's order.

mod answers;
mod call;
mod digest;
mod endpoint;
mod manners;
mod message;
mod sdp;
mod template;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_rustls::TlsConnector;

pub use call::{Beginning, Call};
pub use endpoint::Endpoint;
pub(crate) use endpoint::Opening;
pub(crate) use endpoint::opening;
pub use manners::Sent;
pub use message::{Message, compact};
pub use template::{Parts, fill};
pub use wire::Kind;

/// How a phone writes its messages.
const PATTERN: &str = "X\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\n\
                       Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY\r\nSupported: timer, replaces\r\n\
                       User-Agent: Yealink SIP-T46U\r\nContent-Type: application/sdp\r\nContent-Length: 0\r\n\r\n";
/// A phone that is challenged more often than this gives up.
const ATTEMPTS: usize = 6;

/// A user, and where its server is.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    /// User part.
    pub user: &'a str,
    /// Domain of all users.
    pub domain: &'a str,
    /// For digest.
    pub password: &'a str,
    /// The transport.
    pub kind: Kind,
    /// Where its requests go.
    pub server: SocketAddr,
}

/// A phone.
pub struct Device {
    endpoint: Arc<Endpoint>,
    openings: Mutex<UnboundedReceiver<Opening>>,
    /// User part of its address.
    pub user: String,
    domain: String,
    password: String,
    server: SocketAddr,
    trust: Option<TlsConnector>,
    contact_user: String,
    /// Its instance-id, and which of the instance's flows this one is.
    flow: Option<(u64, u32)>,
    registrations: u32,
    register_call: String,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over {:?}", self.user, self.endpoint.kind)
    }
}

/// How a registration went.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The last status.
    pub status: u16,
    /// REGISTERs, without those that were only sent again.
    pub requests: u32,
    /// What the servers that answered call themselves.
    pub servers: Vec<String>,
    /// From the first REGISTER to the last answer.
    pub took: Duration,
}

impl Device {
    /// A phone with a socket or connection, not registered. TLS and WSS need somebody to trust.
    pub async fn open(account: &Account<'_>, trust: Option<&TlsConnector>) -> Result<Self> {
        let (endpoint, openings) = match account.kind {
            Kind::Udp => {
                let own = wire::own_towards(account.server)?;
                Endpoint::datagrams(SocketAddr::new(own, 0)).await?
            }
            kind => Endpoint::connection(kind, account.server, trust).await?,
        };
        let fresh = endpoint.fresh();
        // A browser's Contact names nothing that anybody could look up.
        let contact_user = match account.kind {
            Kind::Ws | Kind::Wss => format!("k3j2h1g{fresh}"),
            _ => account.user.to_owned(),
        };
        Ok(Device {
            openings: Mutex::new(openings),
            user: account.user.to_owned(),
            domain: account.domain.to_owned(),
            password: account.password.to_owned(),
            server: account.server,
            trust: trust.cloned(),
            contact_user,
            flow: None,
            registrations: 0,
            register_call: format!("reg-{}-{fresh}", account.user),
            endpoint,
        })
    }

    /// Opens and registers; two REGISTERs, or it is an error.
    pub async fn registered(account: &Account<'_>, trust: Option<&TlsConnector>) -> Result<Self> {
        let mut device = Self::open(account, trust).await?;
        let registered = device.registers().await?;
        ensure!(
            (registered.status, registered.requests) == (200, 2),
            "{} over {:?}: {registered:?}",
            account.user,
            account.kind
        );
        Ok(device)
    }

    /// It is one of several flows of a device (RFC 5626 §4.2), which share the instance-id.
    pub fn as_flow(mut self, instance: u64, reg_id: u32) -> Self {
        self.flow = Some((instance, reg_id));
        self
    }

    /// Where it receives, for counting.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its connection is gone; what it is, it stays.
    pub fn cuts_the_connection(&self) {
        self.endpoint.cut();
    }

    /// Its requests go to another server from now on.
    pub fn goes_to(&mut self, server: SocketAddr) {
        self.server = server;
    }

    /// A new connection, or the next port of its NAT; it does not register by itself.
    pub async fn reconnects(&self) -> Result<()> {
        self.endpoint
            .reconnects(self.server, self.trust.as_ref())
            .await
    }

    fn aor(&self) -> String {
        format!("sip:{}@{}", self.user, self.domain)
    }

    fn contact(&self) -> String {
        let own = self.endpoint.own();
        match self.endpoint.kind {
            Kind::Udp => format!("<sip:{}@{own}>", self.user),
            Kind::Tcp => format!("<sip:{}@{own};transport=tcp>", self.user),
            Kind::Tls => format!("<sip:{}@{own};transport=tls>", self.user),
            Kind::Ws | Kind::Wss => {
                format!("<sip:{0}@{0}.invalid;transport=ws>", self.contact_user)
            }
        }
    }

    /// What stays when page or phone get another address: RFC 5626 §4.1.
    fn instance(&self) -> String {
        let digits = self.contact_user.bytes().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let (instance, reg_id) = match self.flow {
            Some((instance, reg_id)) => (instance, format!(";reg-id={reg_id}")),
            None => (digits, String::new()),
        };
        format!(
            "+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-{:012x}>\"{reg_id}",
            instance & 0xffff_ffff_ffff
        )
    }

    /// Registers, answering challenges.
    pub async fn registers(&mut self) -> Result<Registered> {
        self.register(600, &[self.server]).await
    }

    /// Registers for so many seconds; 0 takes the registration back.
    pub async fn registers_for(&mut self, seconds: u32) -> Result<Registered> {
        self.register(seconds, &[self.server]).await
    }

    /// Registers over UDP; the first request goes to the first server, the next to the next, and so on.
    pub async fn registers_at(&mut self, servers: &[SocketAddr]) -> Result<Registered> {
        self.register(600, servers).await
    }

    async fn register(&mut self, seconds: u32, servers: &[SocketAddr]) -> Result<Registered> {
        let began = Instant::now();
        let uri = format!("sip:{}", self.domain);
        let aor = self.aor();
        let contact = format!("{};expires={seconds};{}", self.contact(), self.instance());
        let beginning = Beginning {
            local: format!("<{aor}>;tag={}", self.endpoint.fresh()),
            remote: format!("<{aor}>"),
            target: uri.clone(),
            routes: Vec::new(),
            contact,
            number: self.registrations,
        };
        let mut call = Call::new(
            &self.endpoint,
            Some(self.server),
            self.register_call.clone(),
            beginning,
            PATTERN,
        );
        let mut registered = Registered {
            status: 0,
            requests: 0,
            servers: Vec::new(),
            took: Duration::ZERO,
        };
        let outbound = match self.flow {
            Some(_) => "Supported: outbound, path\r\n",
            None => "",
        };
        let mut more = outbound.to_owned();
        for server in servers.iter().cycle().take(ATTEMPTS) {
            call.proxy = Some(*server);
            let answer = call.asks(PATTERN, "REGISTER", &more, "").await?;
            registered.requests += 1;
            registered.status = answer.status().context("no status")?;
            registered
                .servers
                .push(answer.header("Server").unwrap_or_default().to_owned());
            if registered.status != 401 {
                break;
            }
            let credentials =
                digest::credentials(&answer, &self.user, &self.password, "REGISTER", &uri)?;
            more = format!("{outbound}{credentials}");
        }
        self.registrations = call.number;
        registered.took = began.elapsed();
        Ok(registered)
    }

    /// Calls a user or number of its domain; returns when the INVITE with credentials is on its way.
    pub async fn calls(&self, user: &str, body: &str) -> Result<Call> {
        self.calls_with(user, "", body).await
    }

    /// Calls with more header lines.
    pub async fn calls_with(&self, user: &str, more: &str, body: &str) -> Result<Call> {
        let uri = format!("sip:{user}@{}", self.domain);
        let mut call = self.new_call(&uri);
        self.invites(&mut call, &uri, more, body).await?;
        Ok(call)
    }

    /// The same call to somebody else, or to the same one otherwise, after an answer that asks for that: Call-ID, From and To stay
    /// (RFC 3261 §8.1.3.4).
    pub async fn calls_instead(
        &self,
        call: &mut Call,
        user: &str,
        more: &str,
        body: &str,
    ) -> Result<()> {
        let uri = format!("sip:{user}@{}", self.domain);
        self.invites(call, &uri, more, body).await
    }

    async fn invites(&self, call: &mut Call, uri: &str, more: &str, body: &str) -> Result<()> {
        call.begins_anew(uri);
        call.invites(PATTERN, more, body)?;
        let challenge = call.outcome().await?;
        ensure!(
            challenge.status() == Some(407),
            "no 407 but {}",
            challenge.text
        );
        let credentials =
            digest::credentials(&challenge, &self.user, &self.password, "INVITE", uri)?;
        call.begins_anew(uri);
        call.invites(PATTERN, &format!("{credentials}{more}"), body)
    }

    fn new_call(&self, uri: &str) -> Call {
        let fresh = self.endpoint.fresh();
        let beginning = Beginning {
            local: format!("<{}>;tag={fresh}", self.aor()),
            remote: format!("<{uri}>"),
            target: uri.to_owned(),
            routes: Vec::new(),
            contact: self.contact(),
            number: 0,
        };
        let call_id = format!("{}-{fresh}", self.user);
        Call::new(
            &self.endpoint,
            Some(self.server),
            call_id,
            beginning,
            PATTERN,
        )
    }

    /// The next call that comes in.
    pub async fn called(&self) -> Result<Call> {
        let opening = opening(&self.openings).await.with_context(|| self.aor())?;
        Ok(Call::incoming(
            &self.endpoint,
            Some(self.server),
            opening,
            self.contact(),
            PATTERN,
        ))
    }
}
