//! Where an agent sends and receives: what comes in is counted, told apart by Call-ID, and answered again when it comes again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_rustls::TlsConnector;

use super::message::Message;
use super::template::{self, Parts};
use super::wire::{self, Kind, Wire};

/// Nothing that must come takes longer.
pub(super) const SOON: Duration = Duration::from_secs(20);
/// The pattern of what is answered without asking anybody.
const PLAIN: &str =
    "SIP/2.0\r\nVia: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n";

/// A request out of any dialog that was known, and what follows it in its dialog.
pub(crate) type Opening = (Message, UnboundedReceiver<Message>);

/// A socket or connection with all its dialogs.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) kind: Kind,
    state: Mutex<State>,
    numbers: AtomicU64,
    openings: UnboundedSender<Opening>,
}

#[derive(Debug)]
struct State {
    own: SocketAddr,
    out: Option<UnboundedSender<(String, SocketAddr)>>,
    dialogs: HashMap<String, UnboundedSender<Message>>,
    /// Every message, those that came again counted once.
    received: Vec<Message>,
    /// What a request was answered with, for when it comes again.
    answers: HashMap<String, Option<(String, SocketAddr)>>,
    /// What a 2xx was acknowledged with.
    acks: HashMap<String, (String, SocketAddr)>,
}

impl Endpoint {
    /// A datagram socket.
    pub(crate) async fn datagrams(
        own: SocketAddr,
    ) -> Result<(Arc<Self>, UnboundedReceiver<Opening>)> {
        Ok(Self::over(Kind::Udp, wire::datagrams(own).await?))
    }

    /// A connection to a server.
    pub(super) async fn connection(
        kind: Kind,
        server: SocketAddr,
        trust: Option<&TlsConnector>,
    ) -> Result<(Arc<Self>, UnboundedReceiver<Opening>)> {
        Ok(Self::over(
            kind,
            wire::connection(kind, server, trust).await?,
        ))
    }

    fn over(kind: Kind, wire: Wire) -> (Arc<Self>, UnboundedReceiver<Opening>) {
        let (openings, receiver) = mpsc::unbounded_channel();
        let state = State {
            own: wire.own,
            out: None,
            dialogs: HashMap::new(),
            received: Vec::new(),
            answers: HashMap::new(),
            acks: HashMap::new(),
        };
        let endpoint = Arc::new(Endpoint {
            kind,
            state: Mutex::new(state),
            numbers: AtomicU64::new(0),
            openings,
        });
        endpoint.uses(wire);
        (endpoint, receiver)
    }

    fn uses(self: &Arc<Self>, mut wire: Wire) {
        {
            let mut state = self.state();
            state.own = wire.own;
            state.out = Some(wire.out);
        }
        // It ends with the wire, and the wire with the last who could send.
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(message) = wire.incoming.recv().await {
                let Some(endpoint) = weak.upgrade() else {
                    return;
                };
                endpoint.takes(message);
            }
        });
    }

    /// Closes the connection, as a network that went away or a page that is gone.
    pub(super) fn cut(&self) {
        self.state().out = None;
    }

    /// A new connection, or another socket, for the same dialogs.
    pub(super) async fn reconnects(
        self: &Arc<Self>,
        server: SocketAddr,
        trust: Option<&TlsConnector>,
    ) -> Result<()> {
        self.cut();
        let wire = match self.kind {
            Kind::Udp => wire::datagrams(SocketAddr::new(self.own().ip(), 0)).await?,
            kind => wire::connection(kind, server, trust).await?,
        };
        self.uses(wire);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its own address, of the newest connection.
    pub fn own(&self) -> SocketAddr {
        self.state().own
    }

    /// A text that it has not given before.
    pub(crate) fn fresh(&self) -> String {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        format!("{}x{number}", self.own().port())
    }

    /// A Via with a branch of its own.
    pub(super) fn via(&self) -> String {
        let host = match self.kind {
            Kind::Ws | Kind::Wss => "k3j2h1g0.invalid".to_owned(),
            _ => self.own().to_string(),
        };
        let (kind, fresh) = (self.kind.name(), self.fresh());
        format!("SIP/2.0/{kind} {host};rport;branch=z9hG4bK{fresh}")
    }

    pub(super) fn send(&self, text: &str, to: SocketAddr) {
        if let Some(out) = &self.state().out {
            let _ = out.send((text.to_owned(), to));
        }
    }

    /// Answers, and will again.
    pub(super) fn answers(&self, request: &Message, text: &str) {
        let answer = (text.to_owned(), request.from);
        self.state().answers.insert(request.key(), Some(answer));
        self.send(text, request.from);
    }

    /// Acknowledges a 2xx, and will again.
    pub(super) fn acknowledges(&self, answer: &Message, text: &str, to: SocketAddr) {
        let key = acknowledged(answer);
        self.state().acks.insert(key, (text.to_owned(), to));
        self.send(text, to);
    }

    /// What belongs to this Call-ID from now on.
    pub(super) fn follows(&self, call_id: &str) -> UnboundedReceiver<Message> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state().dialogs.insert(call_id.to_owned(), sender);
        receiver
    }

    /// Everything that it has received so far, what came again counted once.
    pub fn received(&self) -> Vec<Message> {
        self.state().received.clone()
    }

    /// How many requests of a method it has received.
    pub fn requests(&self, method: &str) -> usize {
        let start = format!("{method} ");
        let state = self.state();
        let all = state.received.iter();
        all.filter(|message| message.text.starts_with(&start))
            .count()
    }

    fn takes(&self, message: Message) {
        let is_response = message.status().is_some();
        let again = {
            let mut state = self.state();
            if is_response {
                state.acks.get(&acknowledged(&message)).cloned().map(Some)
            } else {
                state.answers.get(&message.key()).cloned().or_else(|| {
                    state.answers.insert(message.key(), None);
                    None
                })
            }
        };
        if let Some(again) = again {
            if let Some((text, to)) = again {
                self.send(&text, to);
            }
            return;
        }
        let dialog = {
            let mut state = self.state();
            state.received.push(message.clone());
            state.dialogs.get(message.call_id()).cloned()
        };
        if let Some(dialog) = dialog {
            let _ = dialog.send(message);
        } else if !is_response {
            self.opens(message);
        }
    }

    fn opens(&self, message: Message) {
        let status = match message.method() {
            "INVITE" if message.parameter("To", "tag").is_none() => {
                let receiver = self.follows(message.call_id());
                let _ = self.openings.send((message, receiver));
                return;
            }
            "OPTIONS" | "NOTIFY" => "200 OK",
            "ACK" => return,
            _ => "481 Call/Transaction Does Not Exist",
        };
        let to = message.header("To").unwrap_or_default().to_owned();
        let parts = Parts {
            cseq: message.header("CSeq").unwrap_or_default().to_owned(),
            ..template::answer(&message, format!("SIP/2.0 {status}"), &to)
        };
        self.answers(&message, &template::fill(PLAIN, &parts));
    }
}

/// Which 2xx is one that comes again; nothing is ever acknowledged under another key.
fn acknowledged(answer: &Message) -> String {
    let tag = answer.parameter("To", "tag").unwrap_or_default();
    let (number, method) = answer.cseq();
    let status = answer.status().unwrap_or(0) / 100;
    format!("{} {tag} {number} {method} {status}", answer.call_id())
}

/// The next call that comes in.
pub(crate) async fn opening(
    receiver: &tokio::sync::Mutex<UnboundedReceiver<Opening>>,
) -> Result<Opening> {
    let mut receiver = receiver.lock().await;
    let next = tokio::time::timeout(SOON, receiver.recv());
    next.await
        .context("nobody called")?
        .context("the endpoint is gone")
}
