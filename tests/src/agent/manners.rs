//! What a phone does in a call that it is in.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::PATTERN;
use super::call::Call;
use super::message::Message;

/// A request that is on its way.
#[derive(Debug)]
pub struct Sent {
    text: String,
    to: SocketAddr,
}

impl Call {
    /// Sends a request in the dialog as a phone writes it, and waits for its final answer; acknowledges a 2xx to an INVITE.
    pub async fn says(&mut self, method: &str, more: &str, body: &str) -> Result<Message> {
        let answer = self.asks(PATTERN, method, more, body).await?;
        if method == "INVITE" && answer.status() < Some(300) {
            self.acknowledges(&answer, PATTERN, "")?;
        }
        Ok(answer)
    }

    /// Waits until the call that it began was answered, and acknowledges; `body` answers an offer that only the 200 brought.
    pub async fn is_answered(&mut self, body: &str) -> Result<Message> {
        let answer = self.outcome().await?;
        ensure!(
            answer.status() == Some(200),
            "not answered: {}",
            answer.text
        );
        self.acknowledges(&answer, PATTERN, body)?;
        Ok(answer)
    }

    /// Acknowledges the next 183 that must be: RFC 3262 §4.
    pub async fn acknowledges_early(&mut self) -> Result<Message> {
        let early = self.progress(183).await?;
        self.pracks(&early, "").await?;
        Ok(early)
    }

    /// PRACK of a provisional answer, with an answer to its offer, or with a new offer (RFC 3262 §5); 200 or it is an error.
    pub async fn pracks(&mut self, early: &Message, body: &str) -> Result<Message> {
        let number = early.header("RSeq").context("no RSeq")?;
        let more = format!("RAck: {number} {} INVITE\r\n", early.cseq().0);
        let answer = self.says("PRACK", &more, body).await?;
        ensure!(answer.status() == Some(200), "PRACK: {}", answer.text);
        Ok(answer)
    }

    /// Sends a request in the dialog and does not wait; [`answer_to`](Self::answer_to) does.
    pub fn sends(&mut self, method: &str, body: &str) -> Result<Sent> {
        self.sends_as(PATTERN, method, body)
    }

    /// The same after a pattern.
    pub fn sends_as(&mut self, pattern: &str, method: &str, body: &str) -> Result<Sent> {
        let text = self.request(pattern, method, "", body);
        let to = self.hop()?;
        self.endpoint.send(&text, to);
        Ok(Sent { text, to })
    }

    /// The final answer to what was sent. A 2xx to an INVITE is for the caller to [acknowledge](Self::acknowledges).
    pub async fn answer_to(&mut self, sent: &Sent) -> Result<Message> {
        self.finally(&sent.text, sent.to).await
    }

    /// Acknowledges a 2xx to an INVITE as a phone writes it.
    pub fn confirms_it(&mut self, answer: &Message, body: &str) -> Result<()> {
        self.acknowledges(answer, PATTERN, body)
    }

    /// Answers a request as a phone writes it.
    pub fn replies(&self, request: &Message, status: &str, body: &str) {
        self.answers(request, status, self.pattern, "", body);
    }

    /// Sends a CANCEL of the call that it began; the answer to the CANCEL.
    pub async fn gives_up(&mut self) -> Result<Message> {
        self.cancels(PATTERN).await
    }

    /// Takes the call back that it began and nobody answered; 487 or it is an error.
    pub async fn takes_back(&mut self) -> Result<()> {
        let answer = self.gives_up().await?;
        ensure!(answer.status() == Some(200), "CANCEL: {}", answer.text);
        let outcome = self.outcome().await?;
        ensure!(
            outcome.status() == Some(487),
            "after CANCEL: {}",
            outcome.text
        );
        Ok(())
    }

    /// Hangs up; 200 or it is an error.
    pub async fn hangs_up(&mut self) -> Result<()> {
        let answer = self.says("BYE", "", "").await?;
        ensure!(answer.status() == Some(200), "BYE: {}", answer.text);
        Ok(())
    }
}
