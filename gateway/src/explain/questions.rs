//! The answers to the proxy's questions, from the command line and the node's own store.

use std::net::SocketAddr;

use proxy::call_out::Choice;
use proxy::{Binding, Bindings, Facts, Holder, NextHop, Question, Room, Sender, device};
use sip::{NameAddr, Transport, Uri};

use super::input::Input;
use super::node::Imagined;
use super::options::{Credentials, Options};
use super::report::Step;
use super::words;
use crate::call_out::{self, Query};
use crate::engine;
use crate::registrar::Kind;

/// Who answers.
pub(super) struct Answers<'a> {
    node: &'a Imagined,
    input: &'a Input,
    options: &'a Options,
    /// What was asked and answered.
    pub(super) steps: Vec<Step>,
    /// An answer had to be waited for.
    pub(super) waited: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(node: &'a Imagined, input: &'a Input, options: &'a Options) -> Self {
        Self {
            node,
            input,
            options,
            steps: Vec::new(),
            waited: false,
        }
    }

    fn step(&mut self, what: &'static str, text: String) {
        self.steps.push(Step { what, text });
    }

    /// Answers one question; the same is not asked twice.
    pub(super) async fn answer(&mut self, question: &Question, facts: &mut Facts) {
        match question {
            Question::Sender => {
                let (sender, text) = sender(self.node, self.input, self.options, Kind::Proxy);
                self.step("sender", text);
                facts.sender = Some(sender);
            }
            Question::Bindings(aor) => facts.bindings = Some(self.bindings(aor)),
            Question::Contact(uri) => facts.bindings = Some(self.contact(uri)),
            Question::Place { peer } => {
                let peer = &self.node.site.peers.all()[*peer].name;
                let text = format!("a place among the calls of peer:{peer}; taken as granted here");
                self.step("place", text);
                facts.place = Some(Room::Granted);
            }
            Question::Address(asked) => {
                self.waited = true;
                let found = self.addresses(asked).await;
                facts.addresses.push((asked.clone(), found));
            }
            Question::CallOut(index) => {
                self.waited = true;
                facts.call_out = Some(self.call_out(*index));
            }
            Question::Holder(device) => {
                self.waited = true;
                let device = hex::encode(device.0);
                let text = format!("no other node is asked for device {device} here: none has it");
                self.step("holder", text);
                facts.holder = Some(Holder::Nobody);
            }
        }
    }

    async fn addresses(&mut self, asked: &NextHop) -> Vec<(Transport, SocketAddr)> {
        let host = &asked.host;
        let Some(resolver) = &self.node.resolver else {
            self.step(
                "address",
                format!("{host} has no address here: names are looked up only with --resolve"),
            );
            return Vec::new();
        };
        let found = match resolver.locate(asked).await {
            Ok(found) => found.targets,
            Err(error) => {
                self.step("address", format!("{host} could not be looked up: {error}"));
                return Vec::new();
            }
        };
        let each: Vec<String> = found
            .iter()
            .map(|at| format!("{} {}", at.transport.name(), at.address))
            .collect();
        self.step("address", format!("{host} is {}", each.join(", ")));
        found.iter().map(|at| (at.transport, at.address)).collect()
    }

    /// What `--call-out-answer` says, as if it had come.
    fn call_out(&mut self, index: usize) -> Option<Choice> {
        let site = &self.node.site;
        let name = site.call_outs.get(index).map_or("?", |asked| &asked.name);
        let (request, flow) = (&self.input.message, &self.input.flow);
        let query = Query::of(request, flow, site, self.node.section(flow.listener));
        let mut text = format!(
            "[call_out.{name}] would be told {}",
            words::text(&query.to_json())
        );
        let choice = match &self.options.call_out_answer {
            None => {
                text.push_str("; taken as failed (--call-out-answer says otherwise)");
                None
            }
            Some(answer) => match call_out::choice(answer.as_bytes(), request.uri(), site) {
                Ok(choice) => Some(choice),
                Err(error) => {
                    text = format!("{text}; its answer is wrong: {error}");
                    None
                }
            },
        };
        if choice.is_none() {
            let key = format!("call_out.{name}.on_failure");
            let written = self.node.written(&key);
            let then = if written.is_empty() {
                "\"reject 503\""
            } else {
                &written
            };
            text = format!("{text}: to {then}");
        }
        self.step("call-out", text);
        choice
    }

    fn bindings(&mut self, aor: &[u8]) -> Bindings {
        let name = words::text(aor);
        if !self.options.binding.is_empty() {
            let devices = self.given(aor);
            self.step(
                "bindings",
                format!(
                    "{name} is registered as --binding says: {}",
                    contacts(&devices)
                ),
            );
            return Bindings::Devices(devices);
        }
        let found = match &self.node.registrar {
            Some(registrar) => engine::bindings(&self.node.site, registrar, aor, engine::now()),
            None => Bindings::NoUser,
        };
        let text = match &found {
            Bindings::NoUser => format!("there is no user {name}"),
            Bindings::Devices(devices) if devices.is_empty() => {
                format!(
                    "{name} has registered no device in this node's store (--binding says otherwise)"
                )
            }
            Bindings::Devices(devices) => format!("{name} is registered: {}", contacts(devices)),
        };
        self.step("bindings", text);
        found
    }

    /// The devices of `--binding`.
    fn given(&self, aor: &[u8]) -> Vec<Binding> {
        let each = |(index, contact): (usize, &String)| {
            let path = self.options.path.get(index);
            Binding {
                contact: contact.clone().into_bytes(),
                path: path.map(|path| in_brackets(path)).into_iter().collect(),
                device: device::of(&self.node.site, aor, None, contact.as_bytes()),
                ..Binding::default()
            }
        };
        self.options.binding.iter().enumerate().map(each).collect()
    }

    fn contact(&mut self, uri: &[u8]) -> Bindings {
        let name = words::text(uri);
        let registrar = self.node.registrar.as_ref();
        let found = registrar.and_then(|registrar| registrar.find_contact(uri, engine::now()));
        match found {
            Some((aor, target)) => {
                self.step(
                    "bindings",
                    format!(
                        "{name} is a Contact that {} has registered",
                        words::text(&aor)
                    ),
                );
                Bindings::Devices(vec![engine::binding(&self.node.site, &aor, &target)])
            }
            None => {
                let is_given = self
                    .options
                    .binding
                    .iter()
                    .any(|given| given.as_bytes() == uri);
                let text = if is_given {
                    "is what --binding says"
                } else {
                    "is no Contact of a device here"
                };
                self.step("bindings", format!("{name} {text}"));
                if is_given {
                    Bindings::Devices(self.given(uri))
                } else {
                    Bindings::NoUser
                }
            }
        }
    }
}

/// What the sender's credentials are worth, and how that is known.
pub(super) fn sender(
    node: &Imagined,
    input: &Input,
    options: &Options,
    kind: Kind,
) -> (Sender, String) {
    let from = input
        .message
        .from()
        .and_then(|from| Uri::parse(from.uri).map(|uri| node.site.address_of_record(&uri)));
    let who = from.map_or_else(|| "nobody".to_owned(), |aor| words::text(&aor));
    let granted = |sender, words: &str| (sender, format!("{who} {words} (--sender says so)"));
    match options.sender {
        Credentials::Authenticated => granted(Sender::Authenticated, "is taken as authenticated"),
        Credentials::Unknown => granted(
            Sender::Unknown { stale: false },
            "shows no credentials that are good now",
        ),
        Credentials::Refused => granted(Sender::Refused, "shows credentials that are wrong"),
        Credentials::Check => {
            let Some(registrar) = &node.registrar else {
                return (Sender::Refused, "no domain is served here".to_owned());
            };
            let found =
                registrar.authenticate(&input.message, kind, input.flow.peer.ip(), engine::now());
            let sender = engine::sender(&found);
            let text = match sender {
                Sender::Authenticated => "has proved it",
                Sender::Unknown { stale: true } => "has the right password, but an old nonce",
                Sender::Unknown { stale: false } => {
                    "shows no credentials, or others than were asked for"
                }
                Sender::Refused => "shows wrong credentials, or speaks for somebody else",
            };
            (sender, format!("{who} {text}"))
        }
    }
}

fn contacts(devices: &[Binding]) -> String {
    let each: Vec<String> = devices
        .iter()
        .map(|device| words::text(&device.contact))
        .collect();
    each.join(", ")
}

/// A Path value, also where somebody left the brackets out.
fn in_brackets(value: &str) -> Vec<u8> {
    let is_whole = value.starts_with('<') && NameAddr::parse(value.as_bytes()).is_some();
    if is_whole {
        value.to_owned()
    } else {
        format!("<{value}>")
    }
    .into_bytes()
}
