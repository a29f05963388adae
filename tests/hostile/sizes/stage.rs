//! The stage in the namespace: an edge at the addresses of the capture with its RTPEngine, and the registrar behind it, a
//! socket that sees every byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, wait};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::message::{call_id, header, response, whole};

/// The edge, where devices and RTP reach it.
pub(super) const EDGE: &str = "10.33.69.151";
/// The edge, where the registrar reaches it.
pub(super) const EDGE_INSIDE: &str = "10.33.69.161";
pub(super) const REGISTRAR: &str = "10.33.69.152";
pub(super) const FREESWITCH: &str = "10.33.69.154";
/// The phone's NAT, from outside.
pub(super) const PHONE: &str = "82.10.18.109";
pub(super) const PHONE_PORT: u16 = 12202;

/// The default of `shorten`.
const SAVINGS: [&str; 10] = [
    "allow_events",
    "agent",
    "freeswitch",
    "disposition",
    "allow",
    "identity",
    "extensions",
    "sdp_foreign",
    "sdp_implied",
    "names",
];

pub(super) const SOON: Duration = Duration::from_secs(10);

/// The command that makes an address one of this namespace's own.
pub(super) fn local(address: &str) -> String {
    format!("ip address add {address}/32 dev lo;")
}

pub(super) fn public() -> SocketAddr {
    SocketAddr::new(EDGE.parse().unwrap(), 5060)
}

/// The edge as a relay to the registrar; `more` are keys of its public side.
fn config(engine: SocketAddr, admin: SocketAddr, more: &str) -> String {
    format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
         [listen.public]\nudp = \"{EDGE}:5060\"\n{more}\n\
         [listen.core]\nudp = \"{EDGE_INSIDE}:5060\"\ntrust = [\"{REGISTRAR}\"]\n\
         [media]\nrtpengine = \"{engine}\"\ndelete_delay = \"1s\"\n\
         [group.registrars]\nmembers = [\"sip:{REGISTRAR}\"]\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n"
    )
}

pub(super) struct Stage {
    gateway: Gateway,
    engine: RtpEngine,
    pub(super) figures: Figures,
    registrar: Arc<UdpSocket>,
    heard: UnboundedReceiver<String>,
    paths: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Stage {
    pub(super) async fn start(more: &str) -> Self {
        let engine = RtpEngine::start_at(&[EDGE.parse().unwrap()]).await.unwrap();
        let admin = ports::free_address();
        let registrar = Arc::new(UdpSocket::bind((REGISTRAR, 5060)).await.unwrap());
        let (told, heard) = unbounded_channel();
        let paths = Arc::new(Mutex::new(BTreeMap::new()));
        tokio::spawn(serve(registrar.clone(), told, paths.clone()));
        let gateway = Gateway::start(&config(engine.ng, admin, more))
            .await
            .unwrap();
        Stage {
            gateway,
            engine,
            figures: Figures { admin },
            registrar,
            heard,
            paths,
        }
    }

    /// The edge once more, with other keys of its public side.
    pub(super) async fn restart_with(&mut self, more: &str) {
        let config = config(self.engine.ng, self.figures.admin, more);
        self.gateway.restart_with(&config).await.unwrap();
    }

    /// The Path that a user registered with.
    pub(super) async fn path_of(&self, user: &str) -> String {
        let known = || self.paths.lock().unwrap().get(user).cloned();
        assert!(wait::until(SOON, || known().is_some()).await, "no Path");
        known().unwrap()
    }

    /// The registrar sends something to the edge.
    pub(super) async fn send(&self, message: &str) {
        let edge = (EDGE_INSIDE, 5060);
        let sent = self.registrar.send_to(message.as_bytes(), edge).await;
        sent.unwrap();
    }

    /// The next message of a call that begins so; what is sent again is passed over.
    pub(super) async fn hears(&mut self, begins: &str, call: &str) -> String {
        let wanted = async {
            loop {
                let message = self.heard.recv().await.unwrap();
                if message.starts_with(begins) && call_id(&message) == call {
                    return message;
                }
            }
        };
        timeout(SOON, wanted).await.expect(begins)
    }

    /// The ACK to a failure (RFC 3261 §17.1.1.3).
    pub(super) async fn acknowledge(&self, invite: &str, refused: &str) {
        let uri = invite.split(' ').nth(1).unwrap();
        let via = whole(invite, "Via").next().unwrap();
        let number = header(invite, "CSeq").unwrap().replace("INVITE", "ACK");
        let ack = format!(
            "ACK {uri} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number}\r\n\
             Content-Length: 0\r\n\r\n",
            header(invite, "From").unwrap(),
            header(refused, "To").unwrap(),
            call_id(invite)
        );
        self.send(&ack).await;
    }

    /// The ACK to a 2xx (RFC 3261 §13.2.2.4): to its Contact, along the edge's Record-Route.
    pub(super) async fn confirm(&self, accepted: &str) {
        let contact = header(accepted, "Contact").unwrap();
        let uri = contact.split(['<', '>']).nth(1).unwrap();
        let number = header(accepted, "CSeq").unwrap().replace("INVITE", "ACK");
        let ack = format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {REGISTRAR}:5060;branch=z9hG4bKack{}\r\nRoute: {}\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number}\r\nContent-Length: 0\r\n\r\n",
            number.replace(' ', ""),
            header(accepted, "Record-Route").unwrap(),
            header(accepted, "From").unwrap(),
            header(accepted, "To").unwrap(),
            call_id(accepted)
        );
        self.send(&ack).await;
    }
}

/// What an edge counts.
#[derive(Clone, Copy)]
pub(super) struct Figures {
    admin: SocketAddr,
}

impl Figures {
    pub(super) fn new(admin: SocketAddr) -> Self {
        Self { admin }
    }

    async fn status(self) -> serde_json::Value {
        let (_, body) = http::get(self.admin, "/status").await.unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// Messages that left in fragments.
    pub(super) async fn too_long(self) -> u64 {
        self.status().await["too_long"].as_u64().unwrap()
    }

    /// How often each saving was made so far.
    pub(super) async fn spent(self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.status().await["shortened"].clone()).unwrap()
    }

    /// The savings that were made since, in the order in which they are made.
    pub(super) async fn spent_since(self, before: &BTreeMap<String, u64>) -> String {
        let now = self.spent().await;
        let is_new = |name: &&str| now.get(*name) > before.get(*name);
        let names: Vec<&str> = SAVINGS.into_iter().filter(is_new).collect();
        names.join(" ")
    }
}

/// The registrar: grants every registration, lives for who asks, and passes on what else it hears.
async fn serve(
    socket: Arc<UdpSocket>,
    told: UnboundedSender<String>,
    paths: Arc<Mutex<BTreeMap<String, String>>>,
) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.starts_with("REGISTER ") {
            let (to, path) = (header(&message, "To"), header(&message, "Path"));
            let user = to.unwrap().split(['@', ':']).nth(1).unwrap().to_owned();
            paths.lock().unwrap().insert(user, path.unwrap().to_owned());
            let contact = header(&message, "Contact").unwrap();
            let granted = format!("Contact: {contact};expires=600\r\n");
            let answer = response(&message, "200 OK", &granted);
            socket.send_to(answer.as_bytes(), from).await.unwrap();
        } else if message.starts_with("OPTIONS ") {
            let answer = response(&message, "200 OK", "");
            socket.send_to(answer.as_bytes(), from).await.unwrap();
        } else if told.send(message).is_err() {
            return;
        }
    }
}
