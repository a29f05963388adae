//! Random edits against a naive model, random bytes, random cuts of a stream.

#![expect(clippy::unwrap_used, reason = "a test may")]

use bytes::Bytes;
use proptest::prelude::*;
use sip::digest::Credentials;
use sip::{CSeq, Edited, Frame, Framer, Header, Limits, Message, NameAddr, Uri, Via};

/// Names of all kinds: lists and others, with a compact form and without, unknown.
const NAMES: [&str; 12] = [
    "Via",
    "v",
    "Route",
    "Contact",
    "m",
    "Supported",
    "To",
    "Subject",
    "X-Thing",
    "x-thing",
    "Content-Type",
    "CSeq",
];

/// A message as a list of lines, and its edits as anybody would write them who does not care for speed.
#[derive(Clone, Debug)]
struct Model {
    uri: String,
    lines: Vec<(String, String)>,
    body: String,
}

#[derive(Clone, Debug)]
enum Edit {
    Set(usize, String),
    Remove(usize),
    RemoveValue(usize, usize),
    ReplaceValue(usize, usize, String),
    Prepend(usize, String),
    Append(usize, String),
    RemoveWhere(usize, String),
    Uri(String),
    Body(String),
}

fn same(a: &str, b: &str) -> bool {
    Header::from(a.as_bytes()) == Header::from(b.as_bytes())
}

/// The name under which a new line is written.
fn written(name: &str) -> String {
    String::from_utf8(Header::from(name.as_bytes()).name().to_vec()).unwrap()
}

fn is_list(name: &str) -> bool {
    ["Via", "Route", "Contact", "Supported"]
        .iter()
        .any(|list| same(list, name))
}

/// The parts of a line between its commas, empty ones left out; the model's values have no quotes and brackets.
fn parts(name: &str, value: &str) -> Vec<String> {
    match is_list(name) {
        true => value
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        false => vec![value.to_owned()],
    }
}

impl Model {
    fn received(&self) -> Bytes {
        let mut text = format!("INVITE {} SIP/2.0\r\n", self.uri);
        for (name, value) in &self.lines {
            text += &format!("{name}: {value}\r\n");
        }
        Bytes::from(format!(
            "{text}Content-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        ))
    }

    fn at(&self, name: &str) -> Vec<usize> {
        (0..self.lines.len())
            .filter(|at| same(&self.lines[*at].0, name))
            .collect()
    }

    /// The line and the place in it of the n-th value.
    fn locate(&self, name: &str, mut index: usize) -> Option<(usize, usize)> {
        for at in self.at(name) {
            let count = parts(name, &self.lines[at].1).len();
            if index < count {
                return Some((at, index));
            }
            index -= count;
        }
        None
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Set(name, value) => {
                let name = NAMES[*name];
                let Some(first) = self.at(name).first().copied() else {
                    return self.apply(&Edit::Append(
                        NAMES.iter().position(|other| *other == name).unwrap(),
                        value.clone(),
                    ));
                };
                self.lines[first].1 = value.clone();
                for at in self.at(name).into_iter().skip(1).rev() {
                    self.lines.remove(at);
                }
            }
            Edit::Remove(name) => self.lines.retain(|line| !same(&line.0, NAMES[*name])),
            Edit::RemoveValue(name, index) => {
                let name = NAMES[*name];
                if let Some((at, place)) = self.locate(name, *index) {
                    let mut parts = parts(name, &self.lines[at].1);
                    parts.remove(place);
                    if parts.is_empty() {
                        self.lines.remove(at);
                    } else {
                        self.lines[at].1 = parts.join(",");
                    }
                }
            }
            Edit::ReplaceValue(name, index, value) => {
                let name = NAMES[*name];
                if let Some((at, place)) = self.locate(name, *index) {
                    let mut parts = parts(name, &self.lines[at].1);
                    parts[place] = value.clone();
                    self.lines[at].1 = parts.join(",");
                }
            }
            Edit::Prepend(name, value) => {
                let at = self.at(NAMES[*name]).first().copied().unwrap_or(0);
                self.lines
                    .insert(at, (written(NAMES[*name]), value.clone()));
            }
            Edit::Append(name, value) => {
                let at = self
                    .at(NAMES[*name])
                    .last()
                    .map_or(self.lines.len(), |last| last + 1);
                self.lines
                    .insert(at, (written(NAMES[*name]), value.clone()));
            }
            Edit::RemoveWhere(name, value) => {
                self.lines.retain(|line| {
                    !(same(&line.0, NAMES[*name]) && line.1.contains(value.as_str()))
                });
            }
            Edit::Uri(uri) => self.uri = uri.clone(),
            Edit::Body(body) => self.body = body.clone(),
        }
    }
}

fn apply(edited: &mut Edited, edit: &Edit) {
    let header = |name: &usize| Header::from(NAMES[*name].as_bytes());
    match edit {
        Edit::Set(name, value) => edited.set(header(name), value.as_bytes()),
        Edit::Remove(name) => edited.remove(header(name)),
        Edit::RemoveValue(name, index) => edited.remove_value(header(name), *index),
        Edit::ReplaceValue(name, index, value) => {
            edited.replace_value(header(name), *index, value.as_bytes())
        }
        Edit::Prepend(name, value) => edited.prepend(header(name), value.as_bytes()),
        Edit::Append(name, value) => edited.append(header(name), value.as_bytes()),
        Edit::RemoveWhere(name, value) => {
            let wanted = header(name);
            edited.remove_lines_where(|header, line| {
                header == wanted && String::from_utf8_lossy(line).contains(value.as_str())
            });
        }
        Edit::Uri(uri) => edited.set_uri(uri.as_bytes()),
        Edit::Body(body) => edited.set_body(Bytes::from(body.clone())),
    }
}

/// Values as they are compared: blanks round commas are no difference.
fn plain(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(",")
}

fn assert_same(edited: &Edited, model: &Model) {
    let lines: Vec<(String, String)> = edited
        .all_lines()
        .filter(|(header, _)| *header != Header::ContentLength)
        .map(|(header, value)| (header.to_string(), plain(value)))
        .collect();
    let want: Vec<(String, String)> = model
        .lines
        .iter()
        .map(|(name, value)| (written(name), plain(value.as_bytes())))
        .collect();
    assert_eq!(lines, want);
    assert_eq!(edited.uri(), model.uri.as_bytes());
    assert_eq!(edited.body(), model.body.as_bytes());
    for name in NAMES {
        let header = Header::from(name.as_bytes());
        let values: Vec<String> = edited
            .values(header)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        let want: Vec<String> = model
            .at(name)
            .into_iter()
            .flat_map(|at| parts(name, &model.lines[at].1))
            .collect();
        assert_eq!(values, want, "{name}");
        assert_eq!(edited.header(header), edited.lines(header).next());
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[a-z]{1,4}(, ?[a-z]{1,4}){1,3}",
        "[a-z]{1,3} ,,[a-z]{1,3},",
    ]
}

fn single() -> impl Strategy<Value = String> {
    "[a-z]{1,6}"
}

fn model() -> impl Strategy<Value = Model> {
    let line = (0..NAMES.len(), value()).prop_map(|(name, value)| (NAMES[name].to_owned(), value));
    (
        "sip:[a-z]{1,5}@[a-z]{1,5}",
        prop::collection::vec(line, 0..80),
        "[a-z]{0,12}",
    )
        .prop_map(|(uri, lines, body)| Model { uri, lines, body })
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| Edit::Set(name, value)),
        name().prop_map(Edit::Remove),
        (name(), 0..6usize).prop_map(|(name, index)| Edit::RemoveValue(name, index)),
        (name(), 0..6usize, single())
            .prop_map(|(name, index, value)| Edit::ReplaceValue(name, index, value)),
        (name(), value()).prop_map(|(name, value)| Edit::Prepend(name, value)),
        (name(), value()).prop_map(|(name, value)| Edit::Append(name, value)),
        (name(), "[a-z]").prop_map(|(name, value)| Edit::RemoveWhere(name, value)),
        "sip:[a-z]{1,9}".prop_map(Edit::Uri),
        "[a-z]{0,20}".prop_map(Edit::Body),
    ]
}

proptest! {
    #[test]
    fn edits_do_what_they_would_to_a_plain_list(mut model in model(), edits in prop::collection::vec(edit(), 0..24)) {
        let message = Message::parse(model.received(), &Limits::default()).unwrap();
        let mut edited = Edited::new(message);
        assert_same(&edited, &model);
        for edit in &edits {
            apply(&mut edited, edit);
            model.apply(edit);
            assert_same(&edited, &model);
        }
        let bytes = edited.to_bytes();
        prop_assert_eq!(bytes.len(), edited.len());
        // What leaves is read by the next element as what was meant.
        let again = Message::parse(bytes.clone(), &Limits::default()).unwrap();
let length = model.body.len().to_string();
        prop_assert_eq!(again.header(Header::ContentLength), Some(length.as_bytes()));
        prop_assert_eq!(again.bytes().len(), bytes.len());
        assert_same(&Edited::new(again), &model);
        edited.compact_names();
        let compact = edited.to_bytes();
        prop_assert_eq!(compact.len(), edited.len());
        prop_assert!(compact.len() <= bytes.len());
        assert_same(&Edited::new(Message::parse(compact, &Limits::default()).unwrap()), &model);
    }

    #[test]
    fn a_value_never_makes_a_header_of_its_own(value in "[a-z\r\n: ]{0,30}", name in 0..NAMES.len()) {
        let message = Message::parse(Bytes::from_static(b"INVITE sip:h SIP/2.0\r\nVia: x\r\n\r\n"), &Limits::default()).unwrap();
        let mut edited = Edited::new(message);
        edited.append(Header::from(NAMES[name].as_bytes()), value.as_bytes());
        edited.set_uri(value.as_bytes());
        let again = Message::parse(edited.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(again.all_lines().count(), 3);
        prop_assert!(!again.bytes()[..again.bytes().len() - 4].windows(4).any(|end| end == b"\r\n\r\n"));
    }

    #[test]
    fn no_bytes_make_anything_panic(bytes in sip_like()) {
        if let Ok(message) = Message::parse(bytes.clone().into(), &Limits { message_bytes: 4096, headers: 20 }) {
            let _ = message.check();
            read_all(&message);
            let mut edited = Edited::new(message);
            prop_assert_eq!(edited.to_bytes().len(), edited.len());
            edited.prepend(Header::Via, b"SIP/2.0/UDP h");
            edited.remove_value(Header::Contact, 0);
            edited.replace_value(Header::Supported, 1, b"x");
            edited.set(Header::To, b"y");
            edited.compact_names();
            prop_assert_eq!(edited.to_bytes().len(), edited.len());
        }
        for value in bytes.split(|byte| *byte == b'\n') {
            let _ = (Via::parse(value), Uri::parse(value), NameAddr::parse(value), CSeq::parse(value));
            let _ = sip::via::stamp_received(value, "192.0.2.1:5060".parse().unwrap());
            let _ = Credentials::parse(value).map(|credentials| credentials.verify("", sip::Method::Invite));
        }
    }

    #[test]
    fn what_passed_the_check_reads_the_same_when_it_leaves(lines in prop::collection::vec(prop::sample::select(LINES.to_vec()), 0..12), rest in sip_like()) {
        let bytes = [GOOD.as_bytes(), lines.concat().as_bytes(), b"\r\n", &rest].concat();
        let message = Message::parse(bytes.into(), &Limits::default()).unwrap();
        if message.check().is_err() {
            prop_assert!(lines.iter().any(|line| line.contains("twice") || line.starts_with('l')), "{:?}", message.check());
            return Ok(());
        }
        let again = Message::parse(Edited::new(message.clone()).to_bytes(), &Limits::default()).unwrap();
        prop_assert!(again.check().is_ok());
        prop_assert_eq!(again.start(), message.start());
        prop_assert_eq!(again.body(), message.body());
        let lines = |message: &Message| -> Vec<(Vec<u8>, Vec<u8>)> {
            message.all_lines().map(|(header, value)| (header.name().to_vec(), value.to_vec())).collect()
        };
        prop_assert!(lines(&again).starts_with(&lines(&message)));
    }

    #[test]
    fn a_stream_gives_the_same_messages_however_it_is_cut(
        bodies in prop::collection::vec(("[a-z\r\n]{0,40}", 0..3usize), 1..6),
        cuts in prop::collection::vec(1..30usize, 1..20),
    ) {
        let mut stream = Vec::new();
        let mut want = Vec::new();
        let mut pings = 0;
        for (body, keepalives) in &bodies {
            let message = format!("OPTIONS sip:h SIP/2.0\r\nl \r\n : {}\r\nVia: x\r\n\r\n{body}", body.len());
            let message = message.replace("l \r\n :", "l :\r\n ");
            stream.extend_from_slice("\r\n\r\n".repeat(*keepalives).as_bytes());
            pings += keepalives;
            stream.extend_from_slice(message.as_bytes());
            want.push(Bytes::from(message));
        }
        let mut framer = Framer::new(&Limits::default());
        let (mut messages, mut got_pings) = (Vec::new(), 0);
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            framer.push(piece);
            while let Some(frame) = framer.next().unwrap() {
                match frame {
                    Frame::Message(message) => messages.push(message),
                    Frame::Ping => got_pings += 1,
                    Frame::Pong => {}
                }
            }
        }
        prop_assert_eq!(messages, want);
        prop_assert_eq!(got_pings, pings);
        prop_assert!(framer.is_idle());
    }

    #[test]
    fn no_stream_makes_the_framer_panic_or_hoard(bytes in sip_like(), cut in 1..64usize) {
        let mut framer = Framer::new(&Limits { message_bytes: 512, headers: 20 });
        for piece in bytes.chunks(cut) {
            framer.push(piece);
            while let Ok(Some(frame)) = framer.next() {
                if let Frame::Message(message) = frame {
                    prop_assert!(message.len() <= 512);
                }
            }
            if framer.next().is_err() {
                break;
            }
            prop_assert!(framer.capacity() <= 4 * 1024);
        }
    }
}

/// Bytes that get far: pieces of real messages in any order, and some of no meaning.
fn sip_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..40)).prop_map(|(good, pieces)| {
        let start: &[u8] = if good { GOOD.as_bytes() } else { b"" };
        [start.to_vec(), pieces.concat()].concat()
    })
}

const GOOD: &str = "BYE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:a@h>;tag=1\r\nt: sip:b@h\r\ni: c\r\nCSeq: 1 BYE\r\n";

/// Good lines; `l` may say more than there is, and what says so may stand once only.
const LINES: [&str; 9] = [
    "v : SIP/2.0/TCP x\r\n",
    "l: 3\r\n",
    "Supported: a,\r\n\tb,,\r\n",
    "X-Unknown: \u{fc}\0\r\n",
    "X-Empty:\r\n",
    "m:\r\n <sip:a@h>\r\n",
    "Event: twice\r\n",
    "Subject: \"\\\r\n",
    "Contact: \"<\r\n",
];

const PIECES: [&str; 36] = [
    "INVITE sip:a@h SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "<",
    ">",
    "\"",
    "\\",
    "=",
    "%",
    "@",
    "Via: ",
    "Via:SIP / 2.0 / UDP [::1] : 5060 ;branch=",
    "v",
    "Contact: *",
    "m: <sip:a@h",
    "To: \"a\\\" <",
    "From",
    "l: 5",
    "Content-Length: 0",
    "CSeq: 1 BYE\r\n",
    "Supported: a, b,,\r\n",
    "Digest username=\"a\\",
    "Authorization: Digest ",
    "response=\"x\", nc=00000001",
    "sip:a:b@[::1]:5060;lr?x=y",
    "X-Unknown: \u{fc}\0",
    "Call-ID: x\r\n",
    "Max-Forwards: 70\r\n",
];

fn read_all(message: &Message) {
    let _ = (
        message.start(),
        message.top_via(),
        message.from(),
        message.to(),
        message.cseq(),
        message.has_sdp(),
    );
    let _ = (
        message.from_tag(),
        message.to_tag(),
        message.max_forwards(),
        message.method(),
        message.version(),
    );
    for (header, value) in message.all_lines() {
        assert!(message.header(header).is_some());
        let _ = (
            message.values(header).count(),
            header.compact(),
            NameAddr::parse(value),
            Via::parse(value),
            Uri::parse(value),
        );
    }
}
