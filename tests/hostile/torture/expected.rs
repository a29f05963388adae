//! What `expect.json` says that an edge does with a message, and whether it did.

use causeway_tests::data;
use serde_json::Value;

/// All messages.
pub(crate) struct Expectations {
    pub(crate) messages: Vec<Message>,
}

/// One message, and what is expected of it.
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Branch, sent-by and method: a second message that has the same looks like a retransmission of the first.
    pub(crate) transaction: String,
    entry: Value,
}

/// What came of a message.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Status codes in the order of their coming, each with the response.
    pub(crate) responses: Vec<(u16, String)>,
    /// What the server behind the gateway got.
    pub(crate) forwarded: Vec<String>,
    /// The connection was closed; `None` for UDP.
    pub(crate) closed: Option<bool>,
}

impl Seen {
    /// The final status.
    pub(crate) fn status(&self) -> Option<u16> {
        self.responses
            .iter()
            .map(|(status, _)| *status)
            .find(|status| *status >= 200)
    }

    /// Something came of it that needs no more waiting.
    pub(crate) fn is_over(&self) -> bool {
        self.status().is_some()
    }

    /// In a word, for the table.
    pub(crate) fn summary(&self) -> String {
        match (self.status(), self.forwarded.is_empty()) {
            (Some(status), true) => status.to_string(),
            (Some(status), false) => format!("{status} of the server"),
            (None, false) => "forwarded".to_owned(),
            (None, true) => "silence".to_owned(),
        }
    }
}

impl Expectations {
    pub(crate) fn read() -> Self {
        let whole: Value =
            serde_json::from_str(&data::read_text("torture/expect.json").unwrap()).unwrap();
        let messages = whole["messages"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, entry)| {
                let parse = &entry["parse"];
                let via = &parse["top_via"];
                Message {
                    name: name.clone(),
                    bytes: data::read(&format!("torture/{}", entry["file"].as_str().unwrap()))
                        .unwrap(),
                    transaction: format!(
                        "{} {} {} {}",
                        via["branch"], via["host"], via["port"], parse["method"]
                    ),
                    entry: entry.clone(),
                }
            });
        Self {
            messages: messages.collect(),
        }
    }
}

impl Message {
    /// What is expected where it is sent over a stream, or with its boundaries known.
    pub(crate) fn edge(&self, stream: bool) -> Edge<'_> {
        let edge = &self.entry["edge"];
        let of_stream = edge.get("stream").filter(|_| stream);
        Edge {
            edge: of_stream.unwrap_or(&edge["datagram"]),
            check: &self.entry["forwarded_check"],
        }
    }

    /// A WebSocket's text frame cannot carry it.
    pub(crate) fn is_binary(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_err()
    }
}

/// What is expected.
pub(crate) struct Edge<'a> {
    edge: &'a Value,
    check: &'a Value,
}

impl Edge<'_> {
    fn word(&self) -> &str {
        self.edge["do"].as_str().unwrap()
    }

    /// A final answer or a forwarded copy must come, so that it is worth waiting for.
    pub(crate) fn wants_something(&self) -> bool {
        !matches!(self.word(), "drop" | "close" | "wait-close")
            && self.edge.get("tolerated").is_none()
    }

    /// The connection must be closed, so that it is worth waiting for.
    pub(crate) fn wants_close(&self) -> bool {
        matches!(self.word(), "close" | "wait-close") || self.edge["then"] == "close"
    }

    /// How many copies must reach the server: what our server answered itself, and what was not answered at all.
    pub(crate) fn copies(&self, status: Option<u16>) -> usize {
        match self.edge["second_message"] == "processed" {
            true => 2,
            false => usize::from(
                self.wants_something()
                    && self.word() != "answer"
                    && matches!(status, None | Some(480)),
            ),
        }
    }

    fn lists(&self, key: &str, status: u16) -> bool {
        self.edge[key]
            .as_array()
            .is_some_and(|codes| codes.iter().any(|code| *code == status))
    }

    /// Whether what was seen is right.
    pub(crate) fn judge(&self, seen: &Seen) -> Result<(), String> {
        let (status, forwarded) = (seen.status(), !seen.forwarded.is_empty());
        let silence_is_fine = self.edge["tolerated"]
            .as_array()
            .is_some_and(|words| words.iter().any(|word| word == "none"));
        match (self.word(), status) {
            ("process", Some(status)) if self.lists("never", status) => {
                return Err(format!("{status} means not understood"));
            }
            ("process" | "answer-or-process", Some(_)) => {}
            ("process" | "answer-or-process", None) if forwarded || silence_is_fine => {}
            ("process" | "answer-or-process", None) => {
                return Err("neither answered nor forwarded".to_owned());
            }
            ("answer", _) if forwarded => {
                return Err("forwarded, where it is to be refused".to_owned());
            }
            ("answer", Some(status)) if self.lists("codes", status) => self.header(seen)?,
            ("answer", None) if silence_is_fine => {}
            ("drop", None) if !forwarded && seen.responses.is_empty() => {}
            ("close", None) if !forwarded => {}
            ("close", Some(status)) if self.lists("codes", status) && !forwarded => {}
            ("wait-close", None) if !forwarded => {}
            (word, status) => return Err(format!("{word} {}, not {status:?}", self.edge["codes"])),
        }
        if self.wants_close() && seen.closed == Some(false) {
            return Err("the connection is still open".to_owned());
        }
        seen.forwarded
            .iter()
            .try_for_each(|copy| self.forwarded(copy))
    }

    /// The answer names all of one of the lists in the header.
    fn header(&self, seen: &Seen) -> Result<(), String> {
        let Some(header) = self.edge["header"].as_str() else {
            return Ok(());
        };
        let line = |text: &str| {
            text.lines()
                .find(|line| line.starts_with(&format!("{header}:")))
                .map(str::to_owned)
        };
        let written = seen
            .responses
            .iter()
            .find_map(|(_, text)| line(text))
            .unwrap_or_default();
        let has_all = |list: &Value| {
            list.as_array().is_some_and(|names| {
                names
                    .iter()
                    .all(|name| written.contains(name.as_str().unwrap_or("?")))
            })
        };
        match self.edge["lists"]
            .as_array()
            .is_some_and(|lists| lists.iter().any(has_all))
        {
            true => Ok(()),
            false => Err(format!(
                "{header} is {written:?}, not one of {}",
                self.edge["lists"]
            )),
        }
    }

    /// What the forwarded copy must keep and lose.
    fn forwarded(&self, copy: &str) -> Result<(), String> {
        // On a stream what follows the message is the next one, and may well be forwarded.
        let second = self.edge["second_message"] == "processed";
        for (key, want) in [("always", true), ("never", false)]
            .into_iter()
            .filter(|_| !second)
        {
            for pattern in self.check[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                if regex::Regex::new(pattern).unwrap().is_match(copy) != want {
                    return Err(format!(
                        "the forwarded copy must {key} match {pattern}:\n{copy}"
                    ));
                }
            }
        }
        Ok(())
    }
}
