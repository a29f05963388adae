//! baresip's control port (`ctrl_tcp`): a netstring (`LENGTH:JSON,`) a command, answer or event.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Something that happened to the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which: `CALL_ESTABLISHED`, `REGISTER_FAIL` and so on.
    pub kind: String,
    /// What baresip says about it: a status and reason, a key.
    pub parameter: String,
    /// The other side of the call, if it is about one.
    pub peer: String,
}

#[derive(Debug)]
pub(super) struct Control {
    stream: TcpStream,
    read: Vec<u8>,
    events: VecDeque<Event>,
    answers: VecDeque<Value>,
    commands: u64,
}

impl Control {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .context("baresip's control port")?;
        Ok(Control {
            stream,
            read: Vec::new(),
            events: VecDeque::new(),
            answers: VecDeque::new(),
            commands: 0,
        })
    }

    /// Sends a command and waits for its own answer.
    pub(super) async fn command(
        &mut self,
        name: &str,
        parameters: &str,
        limit: Duration,
    ) -> Result<String> {
        self.commands += 1;
        let token = self.commands.to_string();
        let order = json!({ "command": name, "params": parameters, "token": token }).to_string();
        self.stream
            .write_all(format!("{}:{order},", order.len()).as_bytes())
            .await?;
        let until = Instant::now() + limit;
        loop {
            while let Some(answer) = self.answers.pop_front() {
                if answer["token"] != token.as_str() {
                    continue;
                }
                let said = answer["data"].as_str().unwrap_or_default().to_owned();
                if answer["ok"] != true {
                    bail!("baresip refused {name} {parameters}: {said}");
                }
                return Ok(said);
            }
            timeout_at(until, self.receive())
                .await
                .with_context(|| format!("baresip did not answer {name}"))??;
        }
    }

    /// The next event of one of these kinds; others before it are passed over.
    pub(super) async fn event(&mut self, kinds: &[&str], limit: Duration) -> Result<Event> {
        let until = Instant::now() + limit;
        let mut passed = Vec::new();
        loop {
            while let Some(event) = self.events.pop_front() {
                if kinds.contains(&event.kind.as_str()) {
                    return Ok(event);
                }
                passed.push(event.kind);
            }
            let waited = timeout_at(until, self.receive()).await;
            waited.with_context(|| {
                format!(
                    "no {} within {limit:?}, only {passed:?}",
                    kinds.join(" or ")
                )
            })??;
        }
    }

    /// Reads until at least one more netstring is in.
    async fn receive(&mut self) -> Result<()> {
        loop {
            if let Some(value) = take_netstring(&mut self.read)? {
                if value["event"] == true {
                    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                    self.events.push_back(Event {
                        kind: text("type"),
                        parameter: text("param"),
                        peer: text("peeruri"),
                    });
                } else {
                    self.answers.push_back(value);
                }
                return Ok(());
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("baresip closed its control port");
            }
        }
    }
}

/// Takes one whole netstring off the front of what was read.
fn take_netstring(read: &mut Vec<u8>) -> Result<Option<Value>> {
    let Some(colon) = read.iter().position(|byte| *byte == b':') else {
        return Ok(None);
    };
    let length: usize = std::str::from_utf8(&read[..colon])?
        .parse()
        .context("no netstring")?;
    let end = colon + 1 + length;
    if read.len() <= end {
        return Ok(None);
    }
    let value = serde_json::from_slice(&read[colon + 1..end])?;
    read.drain(..=end);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netstrings_are_taken_one_by_one_and_only_when_whole() {
        let mut read = b"8:{\"a\": 1},8:{\"b\"".to_vec();
        assert_eq!(take_netstring(&mut read).unwrap().unwrap()["a"], 1);
        assert!(take_netstring(&mut read).unwrap().is_none());
        read.extend_from_slice(b": 2},");
        assert_eq!(take_netstring(&mut read).unwrap().unwrap()["b"], 2);
        assert!(read.is_empty());
    }
}
