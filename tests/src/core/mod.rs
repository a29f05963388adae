//! A core that behaves as FreeSWITCH: every message that it sends is one that FreeSWITCH sent, with the headers and bodies in
//! their order, and only dialog, addresses and ports put in. What it hears it sends back.
//!
//! ```text
//! let mut call = core.calls("bob").await?;          // INVITE through the registrar, by fs_path
//! call.is_answered().await?;
//! call.updates_with_sdp().await?;
//! call.holds().await?;
//! let call = core.answers_with(Script::EarlyMedia).await?;   // whoever calls next
//! ```

mod captured;
mod echo;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use captured::{Captured, Session};
use echo::Echo;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::agent::{self, Beginning, Endpoint, Message, Opening, opening};

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
    /// 180, 183 with SDP, 200 with the same: `c1`.
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

/// One of its calls.
#[derive(Debug)]
pub struct Call {
    /// The dialog.
    pub dialog: agent::Call,
    own: SocketAddr,
    domain: String,
    session: Session,
    echo: Echo,
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

impl Call {
    fn captured(&self, name: &str) -> Result<Captured> {
        Captured::read(name, self.own, &self.domain)
    }

    /// How many packets of audio it has sent back.
    pub fn echoed(&self) -> u64 {
        self.echo.packets()
    }

    /// Answers the call that came in.
    pub async fn answers(&mut self, script: Script) -> Result<()> {
        self.responds("c2_echo/013_fs_to_reg2_INVITE-100", "100 Trying", true)?;
        match script {
            Script::Trying => return Ok(()),
            Script::AtOnce => self.responds("c2_echo/014_fs_to_reg2_INVITE-200", "200 OK", true)?,
            Script::EarlyMedia => {
                self.responds(
                    "c1_early_media_183/004_fs_to_reg2_INVITE-180",
                    "180 Ringing",
                    true,
                )?;
                self.responds(
                    "c1_early_media_183/007_fs_to_reg2_INVITE-183",
                    "183 Session Progress",
                    true,
                )?;
                self.responds(
                    "c1_early_media_183/010_fs_to_reg2_INVITE-200",
                    "200 OK",
                    true,
                )?;
            }
            Script::Prack => {
                self.responds(
                    "c3_prack/007_fs_to_reg2_INVITE-183",
                    "183 Session Progress",
                    true,
                )?;
                let prack = self.dialog.expects("PRACK").await?;
                let rack = prack.header("RAck").unwrap_or_default();
                ensure!(rack.starts_with("125359544 "), "RAck: {rack}");
                let captured = self.captured("c3_prack/013_fs_to_reg2_PRACK-200")?;
                self.dialog
                    .answers(&prack, "200 OK", &captured.head, "", "");
                self.responds("c3_prack/016_fs_to_reg2_INVITE-200", "200 OK", false)?;
            }
            Script::LateOffer => {
                ensure!(self.dialog.invite.body().is_empty(), "it made an offer");
                self.responds(
                    "f2_late_offer_from_device/004_fs_to_reg2_INVITE-200",
                    "200 OK",
                    true,
                )?;
                let ack = self.dialog.expects("ACK").await?;
                ensure!(
                    ack.body().contains("m=audio"),
                    "no answer in the ACK: {}",
                    ack.text
                );
                return Ok(());
            }
        }
        self.dialog.expects("ACK").await.map(drop)
    }

    /// One captured response to the INVITE that came in.
    fn responds(&self, name: &str, status: &str, with_body: bool) -> Result<()> {
        let captured = self.captured(name)?;
        let body = if with_body {
            captured.body(self.own, self.session)
        } else {
            String::new()
        };
        self.dialog
            .answers(&self.dialog.invite, status, &captured.head, "", &body);
        Ok(())
    }

    /// Waits until the device rings.
    pub async fn rings(&mut self) -> Result<Message> {
        self.dialog.progress(180).await
    }

    /// Waits until the call that it began was answered, and acknowledges; an offer that only the 200 brought is answered.
    pub async fn is_answered(&mut self) -> Result<Message> {
        let answer = self.dialog.outcome().await?;
        ensure!(
            answer.status() == Some(200),
            "not answered: {}",
            answer.text
        );
        if self.dialog.invite.body().is_empty() {
            let captured = self.captured("f4_offerless_invite_of_fs/019_fs_to_reg1_ACK")?;
            let body = captured.body(self.own, self.session);
            self.dialog.acknowledges(&answer, &captured.head, &body)?;
        } else {
            let captured = self.captured("h1_session_timer_fs_uac/010_fs_to_reg1_ACK")?;
            self.dialog.acknowledges(&answer, &captured.head, "")?;
        }
        Ok(answer)
    }

    /// Puts the device on hold: `e`.
    pub async fn holds(&mut self) -> Result<Message> {
        self.reinvites("e_hold_reinvite/010_fs_to_reg2_INVITE")
            .await
    }

    /// Takes it back.
    pub async fn resumes(&mut self) -> Result<Message> {
        self.reinvites("e_hold_reinvite/019_fs_to_reg2_INVITE")
            .await
    }

    /// Refreshes the session timer by a re-INVITE: `h1`.
    pub async fn refreshes(&mut self) -> Result<Message> {
        self.reinvites("h1_session_timer_fs_uac/013_fs_to_reg1_INVITE")
            .await
    }

    async fn reinvites(&mut self, name: &str) -> Result<Message> {
        let answer = self.sends(name, "INVITE").await?;
        ensure!(answer.status() == Some(200), "re-INVITE: {}", answer.text);
        let captured = self.captured("e_hold_reinvite/016_fs_to_reg2_ACK")?;
        self.dialog.acknowledges(&answer, &captured.head, "")?;
        Ok(answer)
    }

    /// Tells the device who it speaks with, by an UPDATE with SDP: `d1`.
    pub async fn updates_with_sdp(&mut self) -> Result<Message> {
        self.succeeds("d1_update_with_sdp/010_fs_to_reg2_UPDATE", "UPDATE")
            .await
    }

    /// Tells the device to take the call or to hold it, as a key on it would: `p3`.
    pub async fn notifies_talk(&mut self) -> Result<Message> {
        self.succeeds("p3_notify_talk_token/013_fs_to_reg1_NOTIFY", "NOTIFY")
            .await
    }

    /// Tells the device to call somebody else: `g2`. The NOTIFY that follows is for the test to [take](Self::takes).
    pub async fn refers(&mut self) -> Result<Message> {
        self.succeeds("g2_refer_deflect_token/010_fs_to_reg2_REFER", "REFER")
            .await
    }

    /// Hangs up: `b7`.
    pub async fn hangs_up(&mut self) -> Result<Message> {
        self.succeeds("b7_device_to_device/031_fs_to_reg1_BYE", "BYE")
            .await
    }

    async fn succeeds(&mut self, name: &str, method: &str) -> Result<Message> {
        let answer = self.sends(name, method).await?;
        ensure!(
            matches!(answer.status(), Some(200 | 202)),
            "{method}: {}",
            answer.text
        );
        Ok(answer)
    }

    /// A captured request in this dialog, and its final answer.
    async fn sends(&mut self, name: &str, method: &str) -> Result<Message> {
        let captured = self.captured(name)?;
        let body = captured.body(self.own, self.session);
        if !body.is_empty() {
            self.session.version += 1;
        }
        self.dialog
            .asks(
                &captured.head,
                method,
                "",
                &captured.body(self.own, self.session),
            )
            .await
    }

    /// Gives up before anybody answered: `i2`, with its Reason. Returns what the INVITE was answered with.
    pub async fn cancels(&mut self) -> Result<Message> {
        let captured = self.captured("i2_cancel_by_fs_timeout/007_fs_to_reg1_CANCEL")?;
        self.dialog.cancels(&captured.head).await?;
        self.dialog.outcome().await
    }

    /// Takes a request of the device with 200, answering an offer. Returns the request.
    pub async fn takes(&mut self, method: &str) -> Result<Message> {
        let captured = self.captured("c2_echo/014_fs_to_reg2_INVITE-200")?;
        let request = self.dialog.expects(method).await?;
        let offered = request.body().contains("m=audio");
        let (pattern, body) = match method {
            "INVITE" | "UPDATE" if offered => {
                self.session.version += 1;
                let body = captured.body(self.own, self.session);
                (captured.head, body)
            }
            "NOTIFY" => (
                self.captured("g2_refer_deflect_token/019_fs_to_reg2_NOTIFY-200")?
                    .head,
                String::new(),
            ),
            _ => (
                self.captured("c2_echo/023_fs_to_reg2_BYE-200")?.head,
                String::new(),
            ),
        };
        let body = answered_in_kind(body, request.body());
        self.dialog.answers(&request, "200 OK", &pattern, "", &body);
        if method == "INVITE" {
            self.dialog.expects("ACK").await?;
        }
        Ok(request)
    }
}

/// RFC 3264 §6.1: who is put on hold sends nothing.
fn answered_in_kind(mut body: String, offer: &str) -> String {
    if offer.contains("a=sendonly") {
        body.push_str("a=recvonly\r\n");
    } else if offer.contains("a=inactive") {
        body.push_str("a=inactive\r\n");
    }
    body
}
