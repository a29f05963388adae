//! What is found, as data: the shape of `--json`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::diff::Line;

/// What the node would do with one message.
#[derive(Serialize, Debug)]
pub(super) struct Report {
    /// What came.
    pub(super) message: Came,
    /// What is taken for granted.
    pub(super) assumed: Vec<String>,
    /// How the decision was come to, in its order.
    pub(super) steps: Vec<Step>,
    /// What each rule says; empty where none is asked.
    pub(super) rules: Vec<Rule>,
    /// `drop`, `reply`, `challenge`, `register`, `relay`, `start`, `await` or `pass_on`.
    pub(super) decision: &'static str,
    /// The same in a sentence.
    pub(super) verdict: String,
    /// The status of an answer of the node's own.
    pub(super) status: Option<u16>,
    /// The label of the counter for it.
    pub(super) reason: Option<&'static str>,
    /// The messages that would leave, in their order.
    pub(super) leaves: Vec<Leaving>,
    /// What RTPEngine would be told.
    pub(super) rtpengine: Vec<Told>,
    /// What may come after that.
    pub(super) later: Vec<String>,
}

/// The message.
#[derive(Serialize, Debug)]
pub(super) struct Came {
    /// The start line.
    pub(super) start: String,
    /// Its Call-ID.
    pub(super) call_id: String,
    /// Where it came from, as `--from` has it.
    pub(super) from: String,
    /// NAME of `[listen.NAME]`.
    pub(super) listener: String,
    /// The address on which it came.
    pub(super) to: String,
    /// Who that is: `devices` or `core`.
    pub(super) side: &'static str,
    /// Its length.
    pub(super) bytes: usize,
}

/// A step of the decision.
#[derive(Serialize, Debug)]
pub(super) struct Step {
    /// `admission`, `form`, `routes`, `token`, `sender`, `bindings`, `address`, `rule`, `member`, `transaction` …
    pub(super) what: &'static str,
    /// In words.
    pub(super) text: String,
}

/// What a rule says.
#[derive(Serialize, Debug)]
pub(super) struct Rule {
    /// Its place among the `[[route]]`, from 1.
    pub(super) number: usize,
    /// Its line in the configuration.
    pub(super) line: Option<usize>,
    /// Whether it matches.
    pub(super) matches: bool,
    /// What it asks for in vain.
    pub(super) misses: Vec<Miss>,
}

/// A condition that is not met.
#[derive(Serialize, Debug)]
pub(super) struct Miss {
    /// The key.
    pub(super) key: &'static str,
    /// What it says.
    pub(super) wants: String,
    /// What the message has.
    pub(super) has: String,
}

/// A command to RTPEngine.
#[derive(Serialize, Debug)]
pub(super) struct Told {
    /// Which one, by its address in the configuration.
    pub(super) rtpengine: String,
    /// In words.
    pub(super) when: &'static str,
    /// `offer`, `answer` or `delete`.
    pub(super) command: String,
    /// Its keys; of the SDP only the length.
    pub(super) keys: BTreeMap<String, serde_json::Value>,
}

/// What a message that leaves is.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// The request, passed on.
    Request,
    /// The response, passed on.
    Response,
    /// The final answer of the node itself.
    Answer,
    /// 100, which the node says when it has a transaction.
    Trying,
}

/// A message that would leave.
#[derive(Serialize, Debug)]
pub(super) struct Leaving {
    /// What it is.
    pub(super) what: What,
    /// Where it goes.
    pub(super) to: String,
    /// NAME of the `[listen.NAME]` from which it leaves.
    pub(super) listener: String,
    /// The address of that listener.
    pub(super) from: String,
    /// Its length in bytes.
    pub(super) length: usize,
    /// What a datagram may have, where that is limited.
    pub(super) budget: Option<usize>,
    /// What it lost to fit.
    pub(super) shortened: Option<Lost>,
    /// The lines that change.
    pub(super) diff: Vec<Line>,
    /// The message, as far as it is text.
    pub(super) message: String,
    /// The message in hexadecimal, where not all of it is text (UTF-8).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hex: Option<String>,
    /// The message.
    #[serde(skip)]
    pub(super) bytes: Bytes,
}

/// What a message lost to fit a datagram.
#[derive(Serialize, Debug)]
pub(super) struct Lost {
    /// Its length before.
    pub(super) before: usize,
    /// What was taken out, in this order.
    pub(super) spent: Vec<&'static str>,
    /// It is still too long, and leaves in fragments.
    pub(super) is_too_long: bool,
}

impl Report {
    pub(super) fn step(&mut self, what: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.steps.push(Step { what, text });
    }

    /// The message that goes on, or else the node's answer.
    pub(super) fn passed_on(&self) -> Option<&Leaving> {
        let mut leaves = self.leaves.iter();
        leaves.find(|leaving| leaving.what != What::Trying)
    }
}
