//! What a phone does in a call that it is in.

use anyhow::{Context, Result, ensure};

use super::PATTERN;
use super::call::Call;
use super::message::Message;

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
        let number = early.header("RSeq").context("no RSeq")?;
        let more = format!("RAck: {number} {} INVITE\r\n", early.cseq().0);
        let answer = self.says("PRACK", &more, "").await?;
        ensure!(answer.status() == Some(200), "PRACK: {}", answer.text);
        Ok(early)
    }

    /// Hangs up; 200 or it is an error.
    pub async fn hangs_up(&mut self) -> Result<()> {
        let answer = self.says("BYE", "", "").await?;
        ensure!(answer.status() == Some(200), "BYE: {}", answer.text);
        Ok(())
    }
}
