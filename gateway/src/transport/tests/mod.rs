//! Real sockets on loopback, every port drawn by the kernel: a node whose handler is the test's own.

mod connect;
mod datagrams;
mod secure;
mod streams;
mod websockets;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use proxy::flow::{Flow, ListenerId};
use sip::Transport;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::{CloseReason, Handler, Listener, Settings, Ticket, Transports};

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

/// What a handler saw.
#[derive(Debug, PartialEq)]
enum Event {
    Message(Flow, Bytes),
    Opened(Flow),
    Closed(Flow, CloseReason),
    Keepalive(Flow),
}

/// Sends every message back, except those that begin with `QUIET`; panics over `PANIC`; admits all but 127.0.0.66.
struct Echo {
    transports: OnceLock<Transports>,
    events: UnboundedSender<Event>,
    /// Held once for itself and once for each connection.
    tickets: Arc<()>,
}

impl Handler for Echo {
    fn message(&self, flow: &Flow, bytes: Bytes) {
        assert!(!bytes.starts_with(b"PANIC"), "the test wants it");
        if !bytes.starts_with(b"QUIET") {
            let _ = self.transports.wait().send(flow, bytes.clone());
        }
        let _ = self.events.send(Event::Message(*flow, bytes));
    }

    fn opened(&self, flow: &Flow) {
        let _ = self.events.send(Event::Opened(*flow));
    }

    fn closed(&self, flow: &Flow, why: &CloseReason) {
        let _ = self.events.send(Event::Closed(*flow, why.clone()));
    }

    fn admit(&self, _: ListenerId, peer: IpAddr) -> bool {
        peer != IpAddr::from([127, 0, 0, 66])
    }

    fn admit_connection(&self, _: ListenerId, peer: IpAddr) -> Option<Ticket> {
        let ticket = Ticket(Some(Box::new(self.tickets.clone())));
        (peer != IpAddr::from([127, 0, 0, 66])).then_some(ticket)
    }

    fn keepalive(&self, flow: &Flow) {
        let _ = self.events.send(Event::Keepalive(*flow));
    }
}

/// Running transports.
struct Node {
    transports: Transports,
    tickets: Arc<()>,
    events: UnboundedReceiver<Event>,
}

impl Node {
    fn start(listeners: Vec<Listener>, settings: Settings) -> Self {
        let (sender, events) = unbounded_channel();
        let tickets = Arc::new(());
        let echo = Arc::new(Echo {
            transports: OnceLock::new(),
            events: sender,
            tickets: tickets.clone(),
        });
        let transports = Transports::start(listeners, settings, echo.clone()).unwrap();
        assert!(echo.transports.set(transports.clone()).is_ok());
        Self {
            transports,
            tickets,
            events,
        }
    }

    /// One listener, number 0, two workers.
    fn one(transport: Transport, bind: &str) -> Self {
        Self::start(vec![listener(0, transport, bind)], settings())
    }

    fn address(&self, listener: u8) -> SocketAddr {
        self.transports.bound(ListenerId(listener)).unwrap()
    }

    async fn event(&mut self) -> Event {
        soon(self.events.recv()).await.unwrap()
    }

    /// The next close, whatever else happens before it.
    async fn closed(&mut self) -> CloseReason {
        loop {
            if let Event::Closed(_, reason) = self.event().await {
                return reason;
            }
        }
    }

    /// The next message, whatever else happens before it.
    async fn message(&mut self) -> (Flow, Bytes) {
        loop {
            if let Event::Message(flow, bytes) = self.event().await {
                return (flow, bytes);
            }
        }
    }
}

fn settings() -> Settings {
    Settings {
        workers: 2,
        ..Settings::default()
    }
}

fn listener(id: u8, transport: Transport, bind: &str) -> Listener {
    Listener::new(ListenerId(id), transport, bind.parse().unwrap())
}

/// A message with a body of so many bytes; `start` is its first word.
fn message(start: &str, body: usize) -> Vec<u8> {
    let head = format!(
        "{start} sip:a@example.com SIP/2.0\r\nCall-ID: 1\r\nContent-Length: {body}\r\n\r\n"
    );
    [head.into_bytes(), vec![b'x'; body]].concat()
}

/// No test hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future)
        .await
        .expect("it takes too long")
}
