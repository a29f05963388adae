//! Every captured message through a node that runs, and through `explain`: byte for byte the same.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde_json::Value;
use sip::{Header, Limits, Message, Method};

use crate::capture::{File, Values, copy_of, scenarios};
use crate::stage::{Sent, Stage};

struct Replay {
    stage: Stage,
    /// The REGISTERs that were answered 200, each device's last, in their order.
    registered: Vec<(String, Vec<u8>)>,
    /// By Call-ID: the last REGISTER that was sent, and whose it is.
    pending: HashMap<Vec<u8>, (String, Vec<u8>)>,
    same: BTreeMap<String, usize>,
    others: BTreeMap<String, usize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_every_captured_message_explain_says_what_the_node_sends() {
    let mut replay = Replay {
        stage: Stage::set().await,
        registered: Vec::new(),
        pending: HashMap::new(),
        same: BTreeMap::new(),
        others: BTreeMap::new(),
    };
    let mut messages = 0;
    for (scenario, files) in scenarios() {
        let mut values = Values::default();
        replay.stage.clear();
        replay.registered.clear();
        for file in files.iter().filter(|file| file.is_to_edge()) {
            messages += 1;
            replay.play(&scenario, file, &files, &mut values).await;
        }
    }
    let same: usize = replay.same.values().sum();
    let others: usize = replay.others.values().sum();
    println!("{messages} messages, {same} alike: {:#?}", replay.same);
    println!("{others} not compared: {:#?}", replay.others);
    assert_eq!(same + others, messages);
    assert!(same >= 1200, "{same}");
    for (kind, at_least) in [("relay", 420), ("pass_on", 260), ("reply", 150)] {
        assert!(replay.same[kind] >= at_least, "{kind}: {:?}", replay.same);
    }
}

impl Replay {
    async fn play(&mut self, scenario: &str, file: &File, files: &[File], values: &mut Values) {
        let device =
            (!["reg1", "reg2", "core"].contains(&&file.from[..])).then_some(&file.from[..]);
        if let Some(name) = device {
            self.stage.device(name).await;
        }
        let server = self.stage.server.local_addr().unwrap().to_string();
        let bytes = values.applied(&file.message, device.is_none(), &server);
        let explained = self.stage.explained(device, &bytes, &self.registered).await;
        let wanted = leaves(&explained);
        if let Some(away) = wanted.keys().find(|to| !to.ip().is_loopback()) {
            *self
                .others
                .entry(format!("to {}, away from loopback", away.ip()))
                .or_default() += 1;
            return;
        }
        let awaited = wanted.values().map(Vec::len).sum();
        let found = self.stage.lives(device, &bytes, awaited).await;
        let kind = explained["decision"].as_str().unwrap().to_owned();
        assert!(
            found == wanted,
            "{scenario}/{}:\n{}\nexplain: {wanted:#?}\nlive: {found:#?}",
            file.name,
            String::from_utf8_lossy(&bytes)
        );
        *self.same.entry(kind).or_default() += 1;
        self.learn(file, files, device, bytes, &found, values);
    }

    /// What the node put into the message, and who is registered now.
    fn learn(
        &mut self,
        file: &File,
        files: &[File],
        device: Option<&str>,
        sent: Vec<u8>,
        found: &Sent,
        values: &mut Values,
    ) {
        let server = self.stage.server.local_addr().unwrap();
        let message = &file.message;
        let went = found.iter().find_map(|(to, all)| {
            let is_it = |text: &&Bytes| text.starts_with(b"SIP/2.0") != message.is_request();
            let text = all.iter().find(is_it)?;
            let ours = Message::parse(text.clone(), &Limits::default()).ok()?;
            Some((*to, ours))
        });
        let Some((to, ours)) = went else { return };
        if let Some(copy) = copy_of(file, files) {
            values.learn(to == server, &copy.message, &ours);
        }
        if message.method() == Method::Register {
            self.note_registration(message, device, sent);
        }
    }

    /// A REGISTER waits for its answer, which says who is registered.
    fn note_registration(&mut self, message: &Message, device: Option<&str>, sent: Vec<u8>) {
        let call = message.call_id().to_vec();
        if let Some(name) = device {
            self.pending.insert(call, (name.to_owned(), sent));
            return;
        }
        let Some((name, register)) = self.pending.get(&call).cloned() else {
            return;
        };
        if message.status() == 200 {
            self.registered.retain(|(known, _)| *known != name);
            if message.header(Header::Contact).is_some() {
                self.registered.push((name, register));
            }
        }
    }
}

/// What `explain` says that leaves, by receiver.
fn leaves(explained: &Value) -> Sent {
    let mut all = Sent::new();
    for leaving in explained["leaves"].as_array().unwrap() {
        let to = leaving["to"]
            .as_str()
            .unwrap()
            .strip_prefix("udp:")
            .unwrap();
        let text = leaving["message"].as_str().unwrap();
        let bytes = match leaving["hex"].as_str() {
            Some(hex) => hex::decode(hex).unwrap().into(),
            None => Bytes::copy_from_slice(text.as_bytes()),
        };
        assert_eq!(leaving["length"], bytes.len());
        all.entry(to.parse().unwrap()).or_default().push(bytes);
    }
    all
}
