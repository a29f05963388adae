//! The answering side of a call: what is expected, and how it is answered.

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::call::Call;
use super::endpoint::SOON;
use super::message::Message;
use super::template::{self, Parts, fill};

impl Call {
    /// The next request of this method.
    pub async fn expects(&mut self, method: &str) -> Result<Message> {
        let start = format!("{method} ");
        let is_it = |message: &Message| message.text.starts_with(&start);
        let request = self.next(method, Instant::now() + SOON, is_it).await?;
        // RFC 3261 §12.2.2: a request that refreshes the target.
        if matches!(method, "INVITE" | "UPDATE")
            && let Some(target) = request.uri_of("Contact")
        {
            self.target = target.to_owned();
        }
        Ok(request)
    }

    /// Answers a request after a pattern.
    pub fn answers(&self, request: &Message, status: &str, pattern: &str, more: &str, body: &str) {
        let to = if request.parameter("To", "tag").is_some() {
            request.header("To").unwrap_or_default()
        } else {
            &self.local
        };
        let parts = Parts {
            contact: &self.contact,
            more,
            body,
            ..template::answer(request, format!("SIP/2.0 {status}"), to)
        };
        self.endpoint.answers(request, &fill(pattern, &parts));
    }

    /// The device rings.
    pub fn rings(&self) {
        self.answers(&self.invite, "180 Ringing", self.pattern, "", "");
    }

    /// Answers the call that came in; returns the ACK.
    pub async fn accepts(&mut self, body: &str) -> Result<Message> {
        let invite = self.invite.clone();
        self.answers(&invite, "200 OK", self.pattern, "", body);
        self.expects("ACK").await
    }

    /// Refuses the call that came in; returns the ACK.
    pub async fn refuses(&mut self, status: &str) -> Result<Message> {
        let invite = self.invite.clone();
        self.answers(&invite, status, self.pattern, "", "");
        self.expects("ACK").await
    }

    /// The caller, or the fork, takes back what came in: 200 to the CANCEL, and 487 (RFC 3261 §9.2). Returns the CANCEL.
    pub async fn is_cancelled(&mut self) -> Result<Message> {
        let cancel = self.takes("CANCEL", "").await?;
        self.refuses("487 Request Terminated").await?;
        Ok(cancel)
    }

    /// Takes a request in the dialog with 200; an INVITE is answered with `body`, and so is what carried an offer. Returns the
    /// request.
    pub async fn takes(&mut self, method: &str, body: &str) -> Result<Message> {
        let request = self.expects(method).await?;
        let offered = !request.body().is_empty() && method != "NOTIFY";
        let body = if method == "INVITE" || offered {
            body
        } else {
            ""
        };
        let status = if method == "REFER" {
            "202 Accepted"
        } else {
            "200 OK"
        };
        self.answers(&request, status, self.pattern, "", body);
        if method == "INVITE" {
            let ack = self.expects("ACK").await?;
            ensure!(
                ack.cseq().0 == request.cseq().0,
                "an ACK of another INVITE: {}",
                ack.text
            );
        }
        Ok(request)
    }

    /// How many requests of this method came in this call and to this endpoint.
    pub fn requests(&self, method: &str) -> usize {
        let start = format!("{method} ");
        let all = self.endpoint.received();
        let mine = all
            .iter()
            .filter(|message| message.call_id() == self.call_id);
        mine.filter(|message| message.text.starts_with(&start))
            .count()
    }
}
