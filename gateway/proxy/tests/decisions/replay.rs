//! Plays a capture through the decisions: each call in its order, with our own Via, Path and Record-Route in the place of
//! those that the edge of the capture had put there.
//!
//! What has to come of each message is a rule ([`Replay::request`], [`Replay::response`]); where a request goes on to, the
//! capture itself says: the copies that its edge sent. What ours does otherwise is in [`EXCEPTIONS`].

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use proxy::site::{Side, Site};
use proxy::{Bindings, Decision, Device, Facts, Flow, Sender, response::pass_on};
use sip::{Edited, Header, Message, Method, NameAddr, Transport, Uri};

use crate::kit::*;

/// A message, how ours decides, and why that is right although the capture's edge did otherwise.
pub(crate) const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "g1_refer_deflect/023_reg2_to_edge_BYE",
        "relay down flow",
        "the capture's edge went by the private host of the request-URI, and the BYE was lost",
    ),
    (
        "j1_options_by_device/001_caller_to_edge_OPTIONS",
        "start up udp 10.33.69.15",
        "in the edge role the domain is not ours but the registrars'",
    ),
    (
        "m1_wss_random_contact_natua/015_reg1_to_edge_ACK",
        "drop ack",
        "the registrar dropped our Route for its look-up by natua, which no Path of ours makes it do",
    ),
    (
        "m1_wss_random_contact_natua/017_reg1_to_edge_BYE",
        "403 not_served",
        "the same",
    ),
];

/// Calls whose caller asked for privacy.
const PRIVATE: [&str; 3] = [
    "k1_privacy_rpid",
    "k2_privacy_pai",
    "k4_privacy_rpid_stripped",
];

pub(crate) struct File {
    name: String,
    from: String,
    pub(crate) to: String,
    message: Message,
}

/// What was sent on of a request.
struct Sent {
    message: Message,
    source: Flow,
    towards: Flow,
}

pub(crate) struct Replay {
    edge: Edge,
    scenario: String,
    pub(crate) files: Vec<File>,
    /// By the branch that the capture's edge gave the copy.
    sent: HashMap<Vec<u8>, Sent>,
    /// What an INVITE was decided with, by its own branch: its CANCEL and ACK go the same way.
    pending: HashMap<Vec<u8>, (Facts, Message, Vec<u8>)>,
    /// Each side's copy of our Record-Route, by Call-ID, flow and the other side's tag: a fork makes several dialogs.
    copies: HashMap<(Vec<u8>, Flow, Vec<u8>), String>,
    /// The page that a user has open.
    pages: HashMap<String, String>,
    tally: BTreeMap<String, usize>,
}

pub(crate) fn is_edge(name: &str) -> bool {
    name.starts_with("edge")
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn branch(message: &Message, index: usize) -> Vec<u8> {
    let via = message
        .values(Header::Via)
        .nth(index)
        .and_then(sip::Via::parse);
    via.and_then(|via| via.branch.map(<[u8]>::to_vec))
        .unwrap_or_default()
}

/// The dialog of a request inside it, as its sender knows it.
fn dialog(request: &Message, from: &Flow) -> (Vec<u8>, Flow, Vec<u8>) {
    (
        request.call_id().to_vec(),
        *from,
        request.to_tag().unwrap_or_default().to_vec(),
    )
}

/// How a hop is written by [`way`].
fn hop(flow: &Flow) -> String {
    match (flow.connection, flow.listener.0 >= CORE) {
        // SIPp listens on several ports.
        (_, true) => format!("udp {}:", flow.peer.ip()),
        (Some(connection), _) => format!("connection {}", connection.bits()),
        (None, _) => format!("flow {}", flow.peer),
    }
}

impl Replay {
    pub(crate) fn new(site: Site, folder: &Path) -> Self {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let files = files
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "sip"))
            .map(|path| {
                let name = text(path.file_stem().unwrap().as_encoded_bytes());
                // `001_reg1_to_edge_INVITE` and `01-jssip1-to-edge-INVITE`.
                let words: Vec<&str> = if name.contains("_to_") {
                    name.split('_').collect()
                } else {
                    name.split('-').collect()
                };
                let (from, to) = (words[1].to_owned(), words[3].to_owned());
                let to = if words[3] == "edge" && words[4] == "priv" {
                    "edge".to_owned()
                } else {
                    to
                };
                File {
                    from,
                    to,
                    message: parse(&std::fs::read(path).unwrap()),
                    name,
                }
            });
        Self {
            files: files.collect(),
            edge: Edge::of(site),
            scenario: text(folder.file_name().unwrap().as_encoded_bytes()),
            sent: HashMap::new(),
            pending: HashMap::new(),
            copies: HashMap::new(),
            pages: HashMap::new(),
            tally: BTreeMap::new(),
        }
    }

    /// The flow of a peer by its name; a browser has one for each page, which is named by the host of its Via and Contact.
    fn flow_of(&mut self, name: &str, message: &Message, page: &[u8]) -> Flow {
        let server = match name {
            "reg1" => Some("10.33.69.152:5060"),
            "reg2" => Some("10.33.69.153:5060"),
            "core" => Some("203.0.113.10:5090"),
            _ => None,
        };
        if let Some(server) = server {
            return flow(CORE, Transport::Udp, server, None);
        }
        let transport = Transport::from_param(message.top_via().unwrap().transport).unwrap();
        let listener = self
            .edge
            .site
            .listeners
            .iter()
            .find(|listener| listener.side == Side::Device && listener.transport == transport);
        if page.ends_with(b".invalid") {
            self.pages.insert(name.to_owned(), text(page));
        }
        let page = self.pages.get(name).filter(|_| transport.is_websocket());
        let port = 1024 + hash(name) % 60000;
        let connection = transport
            .is_stream()
            .then(|| hash((name, page)) & 0xffff_ffff_ffff);
        let found = flow(
            listener.unwrap().id.0,
            transport,
            &format!("198.51.100.7:{port}"),
            connection,
        );
        if connection.is_some() && !self.edge.flows.connections.contains(&found) {
            self.edge.flows.connections.push(found);
        }
        found
    }

    /// The copies that the capture's edge sent on of a request: who got them, and what.
    fn copies_of(&mut self, request: &Message) -> Vec<(Flow, Message)> {
        let came = branch(request, 0);
        let is_copy = |file: &&File| {
            is_edge(&file.from)
                && file.message.is_request()
                && file.message.method() == request.method()
                && branch(&file.message, 1) == came
        };
        let copies: Vec<(String, Message)> = self
            .files
            .iter()
            .filter(is_copy)
            .map(|file| (file.to.clone(), file.message.clone()))
            .collect();
        let towards = |(name, copy): (String, Message)| {
            let host = Uri::parse(copy.uri())
                .map(|uri| uri.host.to_vec())
                .unwrap_or_default();
            (self.flow_of(&name, &copy, &host), copy)
        };
        copies.into_iter().map(towards).collect()
    }

    /// The status that the capture's edge gave a request by itself, if that was all that it did.
    fn answered(&self, request: &Message) -> Option<u16> {
        let is_answer = |file: &&File| {
            is_edge(&file.from) && !file.message.is_request() && file.message.status() >= 200
        };
        let same = |file: &&File| {
            branch(&file.message, 0) == branch(request, 0)
                && file.message.method() == request.method()
        };
        self.files
            .iter()
            .filter(is_answer)
            .find(same)
            .map(|file| file.message.status())
    }

    /// How many values from the first on name the edge, and whether one of them is a Path that the registrar stored.
    fn ours(&self, message: &Message, header: Header<'static>, skip: usize) -> (usize, bool) {
        let uris = message
            .values(header)
            .skip(skip)
            .map(|value| NameAddr::parse(value).unwrap().uri.to_vec());
        let ours: Vec<Vec<u8>> = uris
            .take_while(|uri| self.edge.site.names_us(&Uri::parse(uri).unwrap()))
            .collect();
        (
            ours.len(),
            ours.iter()
                .any(|uri| Uri::parse(uri).unwrap().user.is_some()),
        )
    }

    /// The request with what it would have of us: our copy of the Record-Route or our Path.
    fn with_our_routes(
        &self,
        request: &Message,
        from: &Flow,
        copies: &[(Flow, Message)],
    ) -> Message {
        let (count, is_path) = self.ours(request, Header::Route, 0);
        let ours = match (
            is_path,
            copies.first(),
            self.copies.get(&dialog(request, from)),
        ) {
            (true, Some((towards, _)), _) => self.edge.path(towards),
            (false, _, Some(copy)) => copy.clone(),
            _ => return request.clone(),
        };
        let mut edited = Edited::new(request.clone());
        for _ in 0..count {
            edited.remove_value(Header::Route, 0);
        }
        if count > 0 {
            edited.prepend(Header::Route, ours.as_bytes());
        }
        parse(&edited.to_bytes())
    }

    pub(crate) fn play(mut self) -> BTreeMap<String, usize> {
        for index in 0..self.files.len() {
            let File {
                name,
                from,
                to,
                message,
            } = &self.files[index];
            if !is_edge(to) {
                continue;
            }
            let (at, from, message) = (
                format!("{}/{name}", self.scenario),
                from.clone(),
                message.clone(),
            );
            if message.is_request() {
                let host = message.top_via().unwrap().host.to_vec();
                let flow = self.flow_of(&from, &message, &host);
                self.request(&at, &message, flow);
            } else {
                self.response(&at, &message);
            }
        }
        self.tally
    }

    fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    fn request(&mut self, at: &str, captured: &Message, from: Flow) {
        let copies = self.copies_of(captured);
        let request = self.with_our_routes(captured, &from, &copies);
        let from_core = from.listener.0 == CORE;
        let registrar = !self.edge.site.domains.is_empty();
        let method = request.method();
        // RFC 3261 §9.1, §17.1.1.3: these have the branch of their INVITE, and go its way.
        if let Some((facts, invite, sealed)) = self
            .pending
            .get(&branch(&request, 0))
            .filter(|_| matches!(method, Method::Ack | Method::Cancel))
        {
            let mut hop_by_hop = Edited::new(request.clone());
            hop_by_hop.remove(Header::Route);
            invite
                .values(Header::Route)
                .for_each(|route| hop_by_hop.append(Header::Route, route));
            let again = self
                .edge
                .sealed(&parse(&hop_by_hop.to_bytes()), &from, facts);
            assert_eq!(again.branch.as_bytes(), sealed, "{at}");
            return self.count("the branch of its INVITE");
        }
        if method == Method::Register {
            return self.register(at, &request, from);
        }
        if request.to_tag().is_none() && registrar && !from_core {
            if !self.is_let_in(at, &request, &from) {
                return;
            }
        } else if method == Method::Ack
            && copies.is_empty()
            && !self.copies.contains_key(&dialog(&request, &from))
        {
            return self.ack_to_us(at, &request, &from);
        }
        if copies.is_empty() && registrar && request.to_tag().is_none() {
            return self.answered_there(at, &request, &from);
        }
        let facts = self.found(&request, &copies);
        let says = self.edge.says_with(&request, &from, &facts);
        if let Some((_, want, why)) = EXCEPTIONS.iter().find(|(message, ..)| at == *message) {
            assert!(says.starts_with(want), "{at}: {says}; {why}");
            return self.count("otherwise than the capture, with a reason");
        }
        self.goes_to_the_same(at, &says, &request, &from, &copies);
        self.remember(&request, from, facts, copies);
    }

    /// Where the copies of the capture went, and with a transaction where one is due.
    fn goes_to_the_same(
        &mut self,
        at: &str,
        says: &str,
        request: &Message,
        from: &Flow,
        copies: &[(Flow, Message)],
    ) {
        assert!(
            !copies.is_empty(),
            "{at}: the capture's edge sent it nowhere, ours: {says}"
        );
        let up_to_any = !self.edge.site.domains.is_empty()
            || request.to_tag().is_some()
            || from.listener.0 == CORE;
        // SIGNALLING §9: the answers to a private caller's requests have to get his From back.
        let private = from.listener.0 == CORE && PRIVATE.iter().any(|call| at.starts_with(call));
        let verb = match request.method() {
            Method::Ack | Method::Cancel => "relay",
            _ if private => "start",
            _ if copies.len() > 1 || !up_to_any => "start",
            _ if copies[0].0.transport.is_stream() != from.transport.is_stream() => "start",
            _ => "relay",
        };
        assert!(says.starts_with(verb), "{at}: {verb}, not: {says}");
        for (towards, _) in copies {
            // The capture's dispatcher took turns; ours keeps a user with one registrar.
            let there = if up_to_any {
                says.contains(&hop(towards))
            } else {
                says.contains("udp 10.33.69.15")
            };
            assert!(there, "{at}: to {}, not: {says}", hop(towards));
        }
        let pass = match (from.listener.0 == CORE, copies[0].0.listener.0 == CORE) {
            (true, _) => "down",
            (false, true) => "up",
            (false, false) => "local",
        };
        assert!(
            says.contains(&format!("{verb} {pass}")),
            "{at}: {pass}, not: {says}"
        );
        let inside = if request.to_tag().is_some() {
            "inside a dialog"
        } else {
            "outside"
        };
        self.count(&format!("{inside}, {verb} {pass}"));
    }

    /// Looks at what is sent on, and keeps it for the answers.
    fn remember(
        &mut self,
        request: &Message,
        from: Flow,
        facts: Facts,
        copies: Vec<(Flow, Message)>,
    ) {
        let forwards = self.edge.forwards(request, &from, &facts);
        assert_eq!(forwards.len(), copies.len());
        let call = request.call_id().to_vec();
        for (forward, (towards, captured)) in forwards.iter().zip(copies) {
            let sealed = self.edge.seal(forward);
            let message = parse(&sealed.request.to_bytes());
            message.check().unwrap();
            assert_eq!(
                message.values(Header::Via).count(),
                request.values(Header::Via).count() + 1
            );
            // What does not fit a datagram is for the tables of the MTU.
            if sealed.shortened.is_none() {
                assert_eq!(message.body(), request.body());
            }
            if forward.record_route {
                let ours = text(message.values(Header::RecordRoute).next().unwrap());
                let other = request.from_tag().unwrap().to_vec();
                self.copies
                    .entry((call.clone(), towards, other))
                    .or_insert(ours);
            }
            if request.method() == Method::Invite {
                self.pending.insert(
                    branch(request, 0),
                    (facts.clone(), request.clone(), sealed.branch.into_bytes()),
                );
            }
            self.sent.insert(
                branch(&captured, 0),
                Sent {
                    message,
                    source: from,
                    towards,
                },
            );
        }
    }

    /// Our registrar's, or to one of the group: with our Path.
    fn register(&mut self, at: &str, request: &Message, from: Flow) {
        let copies = self.copies_of(request);
        let decision = self.edge.decide(request, &from, &nothing());
        let says = says(&decision);
        let path = self.edge.path(&from);
        let has_path = |edited: &Edited| {
            let first = text(edited.values(Header::Path).next().unwrap());
            assert!(
                first.trim_end_matches('>').trim_end_matches(";ob") == path.trim_end_matches('>'),
                "{at}: {first}"
            );
            let outbound =
                text(edited.header(Header::Contact).unwrap_or_default()).contains("reg-id=");
            assert_eq!(first.ends_with(";ob>"), outbound, "{at}");
            assert!(
                edited.values(Header::Supported).any(|tag| tag == b"path"),
                "{at}"
            );
        };
        match decision {
            Decision::Register(edited) => has_path(&edited),
            Decision::Start(forwards) => {
                assert!(says.starts_with("start up udp 10.33.69.15"), "{at}: {says}");
                has_path(&forwards[0].request);
                self.remember(request, from, nothing(), copies);
            }
            _ => panic!("{at}: {says}"),
        }
        self.count(if says == "register" {
            "to our registrar"
        } else {
            "REGISTER to a registrar"
        });
    }

    /// Whoever calls has to prove it; false if the capture has nothing more of this request.
    fn is_let_in(&mut self, at: &str, request: &Message, from: &Flow) -> bool {
        let says = self.edge.says(request, from);
        if says == "200 options" {
            assert_eq!(self.answered(request), Some(200), "{at}");
            self.count("OPTIONS to us");
            return false;
        }
        if request.method() == Method::Ack {
            self.ack_to_us(at, request, from);
            return false;
        }
        assert_eq!(says, "ask sender", "{at}");
        let unknown = Facts {
            sender: Some(Sender::Unknown { stale: false }),
            ..nothing()
        };
        assert_eq!(
            self.edge.says_with(request, from, &unknown),
            "challenge 407",
            "{at}"
        );
        if self.answered(request) == Some(407) {
            assert!(request.header(Header::ProxyAuthorization).is_none(), "{at}");
            self.count("challenged");
            return false;
        }
        true
    }

    /// What the capture's edge answered by itself (a user that its script has busy, events that it does not know, a Contact
    /// of nobody): ours asks its registrar, and says who is not there.
    fn answered_there(&mut self, at: &str, request: &Message, from: &Flow) {
        assert!(
            self.answered(request).is_some_and(|status| status >= 400),
            "{at}"
        );
        let asks = self.edge.says_with(request, from, &authenticated());
        let nobody = Facts {
            bindings: Some(Bindings::NoUser),
            ..authenticated()
        };
        let says = self.edge.says_with(request, from, &nobody);
        match asks.strip_prefix("ask ").unwrap().split(' ').next() {
            Some("bindings") => assert_eq!(says, "404 no_user", "{at}"),
            _ => assert_eq!(says, "403 not_served", "{at}"),
        }
        self.count("looked up, and not found");
    }

    /// The ACK to an answer that the edge gave by itself.
    fn ack_to_us(&mut self, at: &str, request: &Message, from: &Flow) {
        let tag = proxy::reply::own_tag(request);
        let to = text(request.header(Header::To).unwrap());
        let to = format!("{};tag={tag}", to.split(";tag=").next().unwrap());
        let mut ours = Edited::new(request.clone());
        ours.set(Header::To, to.as_bytes());
        assert_eq!(
            self.edge.says(&parse(&ours.to_bytes()), from),
            "drop ack",
            "{at}"
        );
        self.count("ACK to our own answer");
    }

    /// What the registrar would find: the devices that the capture's edge found.
    fn found(&self, request: &Message, copies: &[(Flow, Message)]) -> Facts {
        if request.to_tag().is_some() {
            return nothing();
        }
        let bindings = copies.iter().map(|(towards, copy)| {
            self.edge
                .binding(&text(copy.uri()), towards, Device([1, 2, 3, 4]))
        });
        let found: Vec<_> = bindings.collect();
        let bindings = if found.is_empty() {
            Bindings::NoUser
        } else {
            Bindings::Devices(found)
        };
        Facts {
            bindings: Some(bindings),
            ..authenticated()
        }
    }

    /// Every answer to what we sent goes back to where the request came from, with our Record-Route for that side.
    fn response(&mut self, at: &str, captured: &Message) {
        let Some(sent) = self.sent.get(&branch(captured, 0)) else {
            assert!(
                self.scenario.contains("options_keepalive"),
                "{at}: an answer to nothing that we sent"
            );
            return self.count("answers to the edge's own OPTIONS");
        };
        let mut edited = Edited::new(captured.clone());
        edited.remove(Header::Via);
        for via in sent.message.values(Header::Via) {
            edited.append(Header::Via, via);
        }
        let before = captured.values(Header::RecordRoute).take_while(|value| {
            let uri = NameAddr::parse(value).unwrap().uri.to_vec();
            !self.edge.site.names_us(&Uri::parse(&uri).unwrap())
        });
        let place = before.count();
        let (count, _) = self.ours(captured, Header::RecordRoute, place);
        let ours = sent.message.values(Header::RecordRoute).next();
        let has_ours = count > 0 && ours.is_some();
        for _ in 0..count {
            edited.remove_value(Header::RecordRoute, place);
        }
        if let (true, Some(ours)) = (has_ours, ours) {
            edited = Edited::new(parse(&edited.to_bytes()));
            insert(&mut edited, place, ours);
        }
        let response = parse(&edited.to_bytes());
        let onward = pass_on(&response, &sent.towards, &self.edge.context())
            .unwrap_or_else(|reason| panic!("{at}: {reason:?}"));
        assert_eq!(
            (onward.listener, onward.source),
            (sent.source.listener, sent.source.address()),
            "{at}"
        );
        assert_eq!(
            onward.response.values(Header::Via).count(),
            response.values(Header::Via).count() - 1,
            "{at}"
        );
        assert_eq!(onward.response.status(), response.status(), "{at}");
        let after: Vec<String> = onward
            .response
            .values(Header::RecordRoute)
            .map(text)
            .collect();
        let before = values(&response, Header::RecordRoute);
        let changes = has_ours && (101..300).contains(&response.status());
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before != after, changes && index == place, "{at}: {after}");
        }
        if changes {
            let key = (
                response.call_id().to_vec(),
                sent.source,
                response.to_tag().unwrap().to_vec(),
            );
            self.copies
                .entry(key)
                .or_insert_with(|| after[place].clone());
        }
        self.count(if changes {
            "answers with our Record-Route"
        } else {
            "answers without"
        });
    }
}

/// Puts a Record-Route value among the others.
fn insert(message: &mut Edited, place: usize, value: &[u8]) {
    let mut values: Vec<Vec<u8>> = message
        .values(Header::RecordRoute)
        .map(<[u8]>::to_vec)
        .collect();
    values.insert(place, value.to_vec());
    message.remove(Header::RecordRoute);
    values
        .iter()
        .for_each(|value| message.append(Header::RecordRoute, value));
}
