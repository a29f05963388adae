//! A core that behaves as FreeSWITCH: every message that it sends is one that FreeSWITCH sent, with the headers and bodies in
//! their order, and only dialog, addresses and ports put in. What it hears it sends back.
//!
//! ```text
//! let mut call = core.calls("bob").await?;          // INVITE through the registrar, by fs_path
//! call.is_answered().await?;
//! call.updates_with_sdp().await?;
//! call.holds().await?;
//! let call = core.answers_with(Script::AtOnce).await?;   // whoever calls next
//! ```

mod call;
mod captured;
mod echo;

pub use call::Call;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use captured::{Captured, Session};
use echo::Echo;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::agent::{self, Beginning, Endpoint, Opening, opening};

/// The pattern of what it only confirms.
const PLAIN: &str = "X\r\nVia: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\n\
                     User-Agent: FreeSWITCH-mod_sofia/1.11.1-release~64bit\r\nContent-Length: 0\r\n\r\n";

/// What it offers when it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Opus, G.722, G.711 in 1472 bytes: `b1`.
    Usual,
    /// G.711 alone: `b6`.
    Pcmu,
    /// The same audio encrypted and plain, on one port: `f1`.
    TwoLines,
    /// A session timer that it refreshes itself: `h1`.
    Timer,
    /// None; it answers the device's in its ACK: `f4`.
    Late,
}

/// How it answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// 100, then 200: `c2`.
    AtOnce,
    /// 180, then 183 with SDP, and not yet the 200 ([`Call::accepts`]): `c1`.
    EarlyMedia,
    /// 183 that must be acknowledged, then a 200 without SDP: `c3`.
    Prack,
    /// An offer of two lines in the 200, for an INVITE without one: `f2`.
    LateOffer,
    /// 100 and nothing more; the test goes on itself.
    Trying,
}

/// A running core.
#[derive(Debug)]
pub struct Core {
    endpoint: Arc<Endpoint>,
    openings: Mutex<UnboundedReceiver<Opening>>,
    registrar: SocketAddr,
    domain: String,
    sessions: AtomicU64,
}

impl Core {
    /// Listens at a UDP address; its calls to users go through `registrar`.
    pub async fn start(own: SocketAddr, registrar: SocketAddr, domain: &str) -> Result<Self> {
        let (endpoint, openings) = Endpoint::datagrams(own).await?;
        Ok(Core {
            endpoint,
            openings: Mutex::new(openings),
            registrar,
            domain: domain.to_owned(),
            sessions: AtomicU64::new(1_795_409_261),
        })
    }

    /// Where it listens, for counting.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Calls go through another registrar from now on.
    pub fn goes_through(&mut self, registrar: SocketAddr) {
        self.registrar = registrar;
    }

    /// Calls a user as `b1` does; returns when the INVITE is on its way.
    pub async fn calls(&self, user: &str) -> Result<Call> {
        self.calls_with(user, Offer::Usual).await
    }

    /// Calls a user.
    pub async fn calls_with(&self, user: &str, offer: Offer) -> Result<Call> {
        let name = match offer {
            Offer::Usual => "b1_invite_unstripped/001_fs_to_reg1_INVITE",
            Offer::Pcmu => "b6_invite_pcmu_only/001_fs_to_reg1_INVITE",
            Offer::TwoLines => "f1_offer_two_m_lines/001_fs_to_reg1_INVITE",
            Offer::Timer => "h1_session_timer_fs_uac/001_fs_to_reg1_INVITE",
            Offer::Late => "f4_offerless_invite_of_fs/004_fs_to_reg1_INVITE",
        };
        let own = self.endpoint.own();
        let captured = Captured::read(name, own, &self.domain)?;
        let uri = format!("sip:{user}@{}", self.domain);
        let from = captured.header("From").context("no From")?;
        let from = from.split(";tag=").next().unwrap_or_default();
        let contact = captured.header("Contact").context("no Contact")?;
        let fresh = self.endpoint.fresh();
        let beginning = Beginning {
            local: format!("{from};tag=fs{fresh}"),
            remote: format!("<{uri}>"),
            target: uri.clone(),
            // Its fs_path gives a Route without `lr`.
            routes: vec![format!("<sip:{}>", self.registrar)],
            contact: contact.to_owned(),
            number: 123_167_366,
        };
        let dialog = agent::Call::new(
            &self.endpoint,
            None,
            format!("fs-{fresh}"),
            beginning,
            PLAIN,
        );
        let mut call = self.call(dialog).await?;
        let body = if offer == Offer::Late {
            String::new()
        } else {
            captured.body(own, call.session)
        };
        call.dialog.invites(&captured.head, "", &body)?;
        Ok(call)
    }

    /// How many bindings of a user a registrar knows: it answers OPTIONS with their number for a phrase (`cluster.cfg`).
    pub async fn asks_for_bindings(&self, user: &str, registrar: SocketAddr) -> Result<usize> {
        let fresh = self.endpoint.fresh();
        let own = self.endpoint.own();
        let uri = format!("sip:{user}@{}", self.domain);
        let beginning = Beginning {
            local: format!("<sip:core@{own}>;tag={fresh}"),
            remote: format!("<{uri}>"),
            target: uri,
            routes: Vec::new(),
            contact: format!("<sip:core@{own}>"),
            number: 1,
        };
        let mut asking = agent::Call::new(
            &self.endpoint,
            Some(registrar),
            format!("asks-{fresh}"),
            beginning,
            PLAIN,
        );
        let answer = asking.asks(PLAIN, "OPTIONS", "", "").await?;
        let phrase = answer.start().rsplit(' ').next().unwrap_or_default();
        phrase.parse().with_context(|| answer.text.clone())
    }

    /// Answers the next call; returns when it is up.
    pub async fn answers_with(&self, script: Script) -> Result<Call> {
        let opening = opening(&self.openings).await.context("at the core")?;
        let user = opening.0.uri_of("To").unwrap_or_default();
        let user = user
            .trim_start_matches("sip:")
            .split('@')
            .next()
            .unwrap_or_default();
        let contact = format!("<sip:{user}@{};transport=udp>", self.endpoint.own());
        let dialog = agent::Call::incoming(&self.endpoint, None, opening, contact, PLAIN);
        let mut call = self.call(dialog).await?;
        call.answers(script).await?;
        Ok(call)
    }

    async fn call(&self, dialog: agent::Call) -> Result<Call> {
        let own = self.endpoint.own();
        let echo = Echo::open(own.ip()).await?;
        let id = self.sessions.fetch_add(10, Ordering::Relaxed);
        let session = Session {
            id,
            version: id + 1,
            port: echo.port,
        };
        Ok(Call {
            dialog,
            own,
            domain: self.domain.clone(),
            session,
            echo,
        })
    }
}
