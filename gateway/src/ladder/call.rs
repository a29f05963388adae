//! A call as people see it: its parties, and what passed between each of them and this node, step by step.

use std::collections::HashMap;
use std::net::SocketAddr;

use sdp::Session;
use serde_bencode::value::Value;
use sip::{Limits, Message, Method};

use super::edits::edits;
use super::filter::{cookie_of, user_of, value_of};
use super::line::{Line, Side};
use super::record::Kind;

/// Who took part, besides this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// A user where one is known, else what it is.
    pub name: String,
    /// Transport and address.
    pub address: String,
    /// Which side it is on.
    pub side: Side,
    key: (Side, SocketAddr, String),
}

/// How a step looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// A request, or a provisional answer.
    Plain,
    /// A success.
    Good,
    /// A refusal.
    Bad,
    /// Between this node and RTPEngine.
    Media,
}

/// One arrow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Microseconds since 1970.
    pub time: u64,
    /// Who, a place in [`Call::parties`].
    pub party: usize,
    /// It came to us.
    pub inwards: bool,
    /// What it is.
    pub label: String,
    /// What we changed on its way through, and what else is worth knowing.
    pub notes: Vec<String>,
    /// How it looks.
    pub tone: Tone,
    /// Which of the lines it was made from.
    pub line: usize,
}

/// A call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Call {
    /// Everybody but this node, in the order of their first word: RTPEngines last.
    pub parties: Vec<Party>,
    /// What passed.
    pub steps: Vec<Step>,
}

/// Of what a message is the other side's copy: request or not, its method or status, and CSeq.
type Copy = (bool, String, u32);

/// What is remembered while a call is read.
#[derive(Default)]
struct Reading {
    call: Call,
    /// What came, by what its copies look like.
    came: HashMap<Copy, Message>,
    commands: Commands,
    /// How often each datagram was seen.
    seen: HashMap<(Kind, SocketAddr, bytes::Bytes), usize>,
}

impl Call {
    /// Reads what passed of a call.
    pub fn of(lines: &[Line]) -> Self {
        let mut reading = Reading::default();
        for (place, line) in lines.iter().enumerate() {
            match line.kind.is_ng() {
                true => reading.ng(place, line),
                false => reading.sip(place, line),
            }
        }
        reading.call.engines_last();
        reading.call
    }

    /// Puts the RTPEngines behind everybody else.
    fn engines_last(&mut self) {
        let mut order: Vec<usize> = (0..self.parties.len()).collect();
        order.sort_by_key(|place| self.parties[*place].side == Side::RtpEngine);
        let parties = order
            .iter()
            .map(|place| self.parties[*place].clone())
            .collect();
        for step in &mut self.steps {
            step.party = order
                .iter()
                .position(|place| *place == step.party)
                .unwrap_or(0);
        }
        self.parties = parties;
    }
}

/// Reads a message of whatever length.
pub fn parsed(line: &Line) -> Option<Message> {
    let limits = Limits {
        message_bytes: usize::MAX,
        headers: usize::MAX,
    };
    Message::parse(line.bytes.clone(), &limits).ok()
}

impl Reading {
    fn party(&mut self, line: &Line, name: impl FnOnce() -> String) -> usize {
        let key = (line.side, line.peer, line.transport.clone());
        if let Some(place) = self.call.parties.iter().position(|party| party.key == key) {
            return place;
        }
        self.call.parties.push(Party {
            name: name(),
            address: format!("{} {}", line.transport, line.peer),
            side: line.side,
            key,
        });
        self.call.parties.len() - 1
    }

    fn sip(&mut self, place: usize, line: &Line) {
        let inwards = line.kind.is_inwards();
        let Some(message) = parsed(line) else {
            let party = self.party(line, || "?".to_owned());
            return self.call.steps.push(Step {
                time: line.time,
                party,
                inwards,
                label: format!("{} bytes that are no SIP", line.bytes.len()),
                notes: Vec::new(),
                tone: Tone::Bad,
                line: place,
            });
        };
        let party = self.party(line, || name_of(&message, line));
        let mut notes = Vec::new();
        let mut label = label(&message);
        let copy = copy_of(&message);
        if line.kind == Kind::Unsent {
            label.push_str(" NOT SENT");
            notes.push("the connection is gone, or takes no more".to_owned());
        } else {
            let times = self
                .seen
                .entry((line.kind, line.peer, line.bytes.clone()))
                .or_default();
            *times += 1;
            if *times > 1 {
                label.push_str(" again");
            } else if inwards {
                self.came.insert(copy, message.clone());
            } else if let Some(before) = self.came.get(&copy) {
                notes.extend(edits(before, &message));
            }
        }
        self.call.steps.push(Step {
            time: line.time,
            party,
            inwards,
            label,
            notes,
            tone: match (message.is_request(), message.status()) {
                _ if line.kind == Kind::Unsent => Tone::Bad,
                (false, 200..=299) => Tone::Good,
                (false, 300..) => Tone::Bad,
                _ => Tone::Plain,
            },
            line: place,
        });
    }

    fn ng(&mut self, place: usize, line: &Line) {
        let party = self.party(line, || "rtpengine".to_owned());
        let (label, tone) = self.commands.label(line);
        let again = line.datagrams.saturating_sub(1);
        let notes = match (line.kind, again) {
            (Kind::Command, _) | (_, 0) => Vec::new(),
            (_, again) => vec![format!("the command was sent {} times", again + 1)],
        };
        self.call.steps.push(Step {
            time: line.time,
            party,
            inwards: line.kind != Kind::Command,
            label,
            notes,
            tone,
            line: place,
        });
    }
}

/// Commands to RTPEngine that have no answer yet, by their cookies: the answer does not say what it answers.
#[derive(Debug, Default)]
pub struct Commands(HashMap<Vec<u8>, String>);

/// Commands that wait at most; no node has more in flight.
const WAITING: usize = 65_536;

impl Commands {
    /// What a command or an answer is, in few words, and how it looks.
    pub fn label(&mut self, line: &Line) -> (String, Tone) {
        let (cookie, rest) = cookie_of(&line.bytes);
        let text = |key: &str| match value_of(rest, key) {
            Some(Value::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        };
        if line.kind == Kind::Command {
            let (command, call_id) = (text("command"), text("call-id"));
            let pass = call_id.rsplit_once('/').map_or("", |(_, pass)| pass);
            let label = format!("{command} /{pass}");
            if self.0.len() >= WAITING {
                self.0.clear();
            }
            self.0.insert(cookie.to_vec(), command);
            return (label, Tone::Media);
        }
        let command = self.0.remove(cookie).unwrap_or_else(|| "answer".to_owned());
        let took = line.took as f64 / 1000.0;
        match (line.kind, text("result")) {
            (Kind::Silence, _) => {
                let why = String::from_utf8_lossy(rest);
                (format!("{command}: {why}"), Tone::Bad)
            }
            (_, result) if result == "error" => {
                let why = text("error-reason");
                (format!("{command}: {why} {took:.1} ms"), Tone::Bad)
            }
            (_, result) => (format!("{command} {result} {took:.1} ms"), Tone::Media),
        }
    }
}

fn copy_of(message: &Message) -> Copy {
    let number = message.cseq().map_or(0, |cseq| cseq.number);
    let what = match message.is_request() {
        true => String::from_utf8_lossy(message.method().as_bytes()).into_owned(),
        false => {
            let tag = String::from_utf8_lossy(message.to_tag().unwrap_or_default()).into_owned();
            format!("{} {tag}", message.status())
        }
    };
    (message.is_request(), what, number)
}

/// Whom a message comes from or goes to.
fn name_of(message: &Message, line: &Line) -> String {
    if line.side == Side::Core {
        return "core".to_owned();
    }
    // Of a response the other way round: who answers is the one who was called.
    let is_caller = line.kind.is_inwards() == message.is_request();
    let name = if is_caller {
        message.from()
    } else {
        message.to()
    };
    let user = name.map(|name| user_of(name.uri)).unwrap_or_default();
    if user.is_empty() {
        "device".to_owned()
    } else {
        user
    }
}

/// What a message is, in few words.
pub fn label(message: &Message) -> String {
    let mut label = if message.is_request() {
        let mut label = String::from_utf8_lossy(message.method().as_bytes()).into_owned();
        if message.method() == Method::Refer
            && let Some(target) = message
                .header(sip::Header::ReferTo)
                .and_then(sip::NameAddr::parse)
        {
            label.push_str(&format!(" to {}", user_of(target.uri)));
        }
        label
    } else {
        let reason = String::from_utf8_lossy(message.reason()).into_owned();
        let mut label = format!("{} {reason}", message.status());
        if let Some(cseq) = message.cseq()
            && !matches!(cseq.method, Method::Invite)
        {
            label.push_str(&format!(
                " ({})",
                String::from_utf8_lossy(cseq.method.as_bytes())
            ));
        }
        label
    };
    if message.has_sdp() {
        label.push_str(&match direction(message.body()) {
            Some(direction) => format!(" sdp {direction}"),
            None => " sdp".to_owned(),
        });
    }
    let proves = [sip::Header::Authorization, sip::Header::ProxyAuthorization];
    if message.is_request()
        && proves
            .into_iter()
            .any(|header| message.header(header).is_some())
    {
        label.push_str(" +auth");
    }
    label
}

/// The direction of the first m= line, where it is not the usual one.
fn direction(sdp: &[u8]) -> Option<&'static str> {
    let session = Session::parse(sdp).ok()?;
    let directions = ["sendonly", "recvonly", "inactive"];
    directions
        .into_iter()
        .find(|name| session.attribute_of(0, name).is_some())
}
