//! The captured scenarios, and what stands in for their edge's own values and their servers' addresses.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sip::{Edited, Header, Limits, Message, NameAddr, Uri};

/// A message of a capture.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) message: Message,
}

impl File {
    fn of(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // `001_reg1_to_edge_INVITE` and `01-jssip1-to-edge-INVITE`.
        let words: Vec<&str> = if name.contains("_to_") {
            name.split('_').collect()
        } else {
            name.split('-').collect()
        };
        let bytes = std::fs::read(path).unwrap();
        Self {
            from: words[1].to_owned(),
            to: words[3].to_owned(),
            message: Message::parse(bytes.into(), &Limits::default()).unwrap(),
            name,
        }
    }

    pub(crate) fn is_to_edge(&self) -> bool {
        self.to.starts_with("edge")
    }
}

/// Every folder of captured messages, in order.
pub(crate) fn scenarios() -> Vec<(String, Vec<File>)> {
    let root = causeway_tests::data::path("captured");
    let mut folders = vec![root];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        folders.extend(files.iter().filter(|path| path.is_dir()).cloned());
        files.retain(|path| path.extension().is_some_and(|extension| extension == "sip"));
        if !files.is_empty() {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, files.iter().map(|path| File::of(path)).collect()));
        }
    }
    found.sort_by(|one: &(String, Vec<File>), other| one.0.cmp(&other.0));
    found
}

pub(crate) fn branch(message: &Message, index: usize) -> Vec<u8> {
    let via = message
        .values(Header::Via)
        .nth(index)
        .and_then(sip::Via::parse);
    via.and_then(|via| via.branch.map(<[u8]>::to_vec))
        .unwrap_or_default()
}

/// The copy of a message that the capture's edge sent on, if it did.
pub(crate) fn copy_of<'f>(file: &File, files: &'f [File]) -> Option<&'f File> {
    let message = &file.message;
    let is_copy = |copy: &&File| {
        let same = copy.message.is_request() == message.is_request()
            && copy.message.method() == message.method();
        let edge = copy.from.starts_with("edge") && same;
        edge && if message.is_request() {
            branch(&copy.message, 1) == branch(message, 0)
        } else {
            copy.message.status() == message.status()
                && branch(&copy.message, 0) == branch(message, 1)
                && copy.message.to_tag() == message.to_tag()
        }
    };
    files.iter().find(is_copy)
}

/// What the node that runs put in the place of what the capture's edge had put there: by receiver's side, Call-ID and value.
#[derive(Default)]
pub(crate) struct Values(HashMap<Key, Option<Vec<u8>>>);

/// To the core, the Call-ID (empty for a Path), the value.
type Key = (bool, Vec<u8>, Vec<u8>);

/// The headers in which an edge names itself.
const NAMING: [Header<'static>; 4] = [
    Header::Via,
    Header::RecordRoute,
    Header::Route,
    Header::Path,
];

impl Values {
    /// A message went out in the capture and from our node, to this side: whatever names the edge in one does so in the other.
    pub(crate) fn learn(&mut self, to_core: bool, captured: &Message, ours: &Message) {
        let call = captured.call_id().to_vec();
        if captured.is_request() {
            let via = |message: &Message| message.values(Header::Via).next().map(<[u8]>::to_vec);
            if let (Some(theirs), ours @ Some(_)) = (via(captured), via(ours)) {
                self.0.insert((to_core, call.clone(), theirs), ours);
            }
        }
        for header in [Header::RecordRoute, Header::Path] {
            let theirs = edges(captured, header);
            let own: Vec<Vec<u8>> = ours
                .values(header)
                .filter(|value| host(value).is_some_and(|host| host.starts_with(b"127.0.0.1")))
                .map(<[u8]>::to_vec)
                .collect();
            let share = theirs.len().div_ceil(own.len().max(1));
            for (index, value) in theirs.into_iter().enumerate() {
                // An edge with two interfaces names both; ours names one.
                let stands_in = own
                    .get(index / share.max(1))
                    .filter(|_| index % share.max(1) == 0);
                let call = if header == Header::Path {
                    Vec::new()
                } else {
                    call.clone()
                };
                self.0.insert((to_core, call, value), stands_in.cloned());
            }
        }
    }

    /// The message as it would have been sent to our node.
    pub(crate) fn applied(&self, message: &Message, from_core: bool, server: &str) -> Vec<u8> {
        let mut edited = Edited::new(message.clone());
        for header in NAMING {
            let values: Vec<Vec<u8>> = message.values(header).map(<[u8]>::to_vec).collect();
            for (index, value) in values.iter().enumerate().rev() {
                // Ours sent to the server what the capture's edge, which was a registrar, sent to a device.
                let known =
                    |side: bool, call: &[u8]| self.0.get(&(side, call.to_vec(), value.clone()));
                let call = message.call_id();
                let found = known(from_core, call)
                    .or_else(|| known(from_core, b""))
                    .or_else(|| known(!from_core, call));
                match found {
                    Some(Some(ours)) => edited.replace_value(header, index, ours),
                    Some(None) => edited.remove_value(header, index),
                    None => {}
                }
            }
        }
        at_home(&edited.to_bytes(), server)
    }
}

fn host(value: &[u8]) -> Option<Vec<u8>> {
    let address = NameAddr::parse(value)?;
    Some(Uri::parse(address.uri)?.host.to_vec())
}

/// The values that name the capture's edge.
fn edges(message: &Message, header: Header<'static>) -> Vec<Vec<u8>> {
    let is_edge = |value: &&[u8]| {
        let host = host(value).unwrap_or_default();
        [&b"10.33.69.151"[..], b"10.33.69.161", b"203.0.113.10"].contains(&&host[..])
    };
    message
        .values(header)
        .filter(is_edge)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The capture's servers are our one server, wherever the head names them: nothing may leave loopback.
fn at_home(message: &[u8], server: &str) -> Vec<u8> {
    let at = message
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let (head, body) = message.split_at(at);
    let servers =
        regex::bytes::Regex::new(r"(10\.33\.69\.15[234](:\d+)?|203\.0\.113\.10:5090)").unwrap();
    [&servers.replace_all(head, server.as_bytes()), body].concat()
}
