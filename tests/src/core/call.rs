//! What FreeSWITCH does with a call: each act is a message that it was seen to send, named by its folder in the captures.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::Script;
use super::captured::{Captured, Session};
use super::echo::Echo;
use crate::agent::{self, Message};

/// Its re-INVITE with the whole of what it has.
const RESUME: &str = "e_hold_reinvite/019_fs_to_reg2_INVITE";

/// One of its calls.
#[derive(Debug)]
pub struct Call {
    /// The dialog.
    pub dialog: agent::Call,
    pub(super) own: SocketAddr,
    pub(super) domain: String,
    pub(super) session: Session,
    pub(super) echo: Echo,
}

impl Call {
    fn captured(&self, name: &str) -> Result<Captured> {
        Captured::read(name, self.own, &self.domain)
    }

    /// How many packets of audio it has sent back.
    pub fn echoed(&self) -> u64 {
        self.echo.packets().values().sum()
    }

    /// The same by payload type.
    pub fn echoed_by_kind(&self) -> BTreeMap<u8, u64> {
        self.echo.packets()
    }

    /// The device rings, or there is a tone of ours before anybody answers: `c1`.
    pub fn progresses(&self, with_audio: bool) -> Result<()> {
        if with_audio {
            let early = "c1_early_media_183/007_fs_to_reg2_INVITE-183";
            return self.responds(early, "183 Session Progress", true);
        }
        let rings = "c1_early_media_183/004_fs_to_reg2_INVITE-180";
        self.responds(rings, "180 Ringing", false)
    }

    /// Answers what rings: `c1`; an INVITE without an offer gets one of two lines: `f2`.
    pub async fn picks_up(&mut self) -> Result<()> {
        if self.dialog.invite.body().is_empty() {
            return self.answers(Script::LateOffer).await;
        }
        self.responds("c2_echo/014_fs_to_reg2_INVITE-200", "200 OK", true)?;
        self.dialog.expects("ACK").await.map(drop)
    }

    /// A re-INVITE from another port, which is refused with this status: what the call had goes on.
    pub async fn is_refused(&mut self, status: u16) -> Result<()> {
        let spare = Echo::open(self.own.ip()).await?;
        // RTPEngine would learn where it is from what comes back, for good.
        spare.is_quiet(true);
        let port = std::mem::replace(&mut self.session.port, spare.port);
        let answer = self.sends(RESUME, "INVITE").await;
        self.session.port = port;
        let answer = answer?;
        ensure!(answer.status() == Some(status), "refused: {}", answer.text);
        Ok(())
    }

    /// A re-INVITE that gives another port, and is taken.
    pub async fn moves(&mut self) -> Result<()> {
        let spare = Echo::open(self.own.ip()).await?;
        self.session.port = spare.port;
        self.reinvites(RESUME).await?;
        self.echo = spare;
        Ok(())
    }

    /// A re-INVITE that does not wait for its answer.
    pub fn begins_reinvite(&mut self) -> Result<agent::Sent> {
        let captured = self.captured(RESUME)?;
        self.session.version += 1;
        let body = captured.body(self.own, self.session);
        self.dialog.sends_as(&captured.head, "INVITE", &body)
    }

    /// Takes a re-INVITE without an offer: its 200 has one, and the ACK answers it.
    pub async fn takes_late(&mut self) -> Result<()> {
        let captured = self.captured("c2_echo/014_fs_to_reg2_INVITE-200")?;
        let request = self.dialog.expects("INVITE").await?;
        ensure!(request.body().is_empty(), "an offer: {}", request.text);
        self.session.version += 1;
        let body = captured.body(self.own, self.session);
        self.dialog
            .answers(&request, "200 OK", &captured.head, "", &body);
        let ack = self.dialog.expects("ACK").await?;
        ensure!(ack.body().contains("m=audio"), "no answer: {}", ack.text);
        Ok(())
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
                return Ok(());
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

    /// Answers the call that rings with audio, and is acknowledged.
    pub async fn accepts(&mut self) -> Result<()> {
        self.responds(
            "c1_early_media_183/010_fs_to_reg2_INVITE-200",
            "200 OK",
            true,
        )?;
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
        self.reinvites(RESUME).await
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
        if offered {
            self.echo.is_quiet(is_held(request.body()));
        }
        self.dialog.answers(&request, "200 OK", &pattern, "", &body);
        if method == "INVITE" {
            self.dialog.expects("ACK").await?;
        }
        Ok(request)
    }
}

/// Whether who is offered this sends nothing any more, in any spelling.
fn is_held(offer: &str) -> bool {
    let marks = ["a=sendonly", "a=inactive", "c=IN IP4 0.0.0.0"];
    marks.iter().any(|mark| offer.contains(mark))
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
