//! The core behind the registrars: it answers numbers and names with real audio, for whoever the registrars let through, and calls
//! users when the reader says so.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::HeadersExt;
use rsip::{Method, Request, Response, SipMessage};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::caller::{Outgoing, Step};
use crate::demo::answer::{Answer, Calls};

/// Who answers here, and how.
pub(super) const NUMBERS: [(&str, Answer); 4] = [
    ("9196", Answer::Echo),
    ("echo", Answer::Echo),
    ("9198", Answer::Tone),
    ("tone", Answer::Tone),
];

/// How often an INVITE is repeated (RFC 3261 §17.1.1.1, T1).
const REPEAT: Duration = Duration::from_millis(500);

/// What the reader wants of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Call this user.
    Call(String),
    /// End all calls that were made so.
    HangUp,
}

/// The running core; it ends with this value.
pub(super) struct Core {
    task: JoinHandle<()>,
    orders: mpsc::Sender<Order>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Core {
    /// Starts it for these registrars; nobody else is heard.
    pub(super) async fn start(
        address: SocketAddr,
        registrars: [SocketAddr; 2],
    ) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let (orders, asked) = mpsc::channel(8);
        let worker = Worker {
            socket,
            address,
            registrars,
            calls: Calls::at(address),
            outgoing: Vec::new(),
        };
        let task = tokio::spawn(worker.run(asked));
        Ok(Self { task, orders })
    }

    /// Has it do something; what comes of it is printed.
    pub(super) async fn order(&self, order: Order) {
        // It ends only with us.
        let _ = self.orders.send(order).await;
    }
}

struct Worker {
    socket: UdpSocket,
    address: SocketAddr,
    registrars: [SocketAddr; 2],
    calls: Calls,
    outgoing: Vec<Outgoing>,
}

impl Worker {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut buffer = vec![0; 65_535];
        let mut repeat = tokio::time::interval(REPEAT);
        loop {
            let done = tokio::select! {
                Ok((length, from)) = self.socket.recv_from(&mut buffer) => {
                    match SipMessage::try_from(&buffer[..length]) {
                        Ok(_) if !self.registrars.contains(&from) => Ok(()),
                        Ok(SipMessage::Request(request)) => self.request(&request, from).await,
                        Ok(SipMessage::Response(response)) => self.response(&response, from).await,
                        Err(_) => Ok(()),
                    }
                }
                Some(order) = orders.recv() => self.obey(order).await,
                _ = repeat.tick(), if !self.outgoing.is_empty() => self.repeat().await,
            };
            if let Err(error) = done {
                tracing::debug!(?error, "the core could not go on");
            }
        }
    }

    async fn request(&mut self, request: &Request, from: SocketAddr) -> anyhow::Result<()> {
        let called = request.uri.user().unwrap_or_default().to_owned();
        let known = NUMBERS.iter().find(|(user, _)| *user == called);
        let answer = known.map(|(_, answer)| *answer);
        if request.method == Method::Bye {
            let call_id = request.call_id_header()?.value();
            self.outgoing.retain(|call| call.call_id != call_id);
        }
        if let Some(bytes) = self.calls.respond(request, &called, answer).await? {
            self.socket.send_to(&bytes, from).await?;
        }
        Ok(())
    }

    async fn response(&mut self, response: &Response, from: SocketAddr) -> anyhow::Result<()> {
        if response.cseq_header()?.typed()?.method != Method::Invite {
            return Ok(());
        }
        let call_id = response.call_id_header()?.value();
        let mut calls = self.outgoing.iter_mut();
        let Some(index) = calls.position(|call| call.call_id == call_id) else {
            return Ok(());
        };
        let Step {
            send,
            tell,
            is_over,
        } = self.outgoing[index].answered(response, &mut self.calls)?;
        if is_over {
            self.outgoing.swap_remove(index);
        }
        if let Some(tell) = tell {
            println!("{tell}");
        }
        if let Some(send) = send {
            self.socket.send_to(send.as_bytes(), from).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Call(user) => {
                self.outgoing
                    .push(Outgoing::new(&user, self.address, 0).await?);
                self.repeat().await
            }
            Order::HangUp => {
                for call in std::mem::take(&mut self.outgoing) {
                    match call.bye()? {
                        Some(bye) => {
                            self.calls.end(&call.call_id);
                            let registrar = self.registrars[call.registrar];
                            self.socket.send_to(bye.as_bytes(), registrar).await?;
                            println!("the core has hung up on {}", call.user);
                        }
                        None => {
                            println!(
                                "{} still rings: `hangup` is for a call that is up",
                                call.user
                            );
                            self.outgoing.push(call);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// INVITEs that nobody has answered, again; of a registrar that is silent, to the other one, as a call of its own.
    async fn repeat(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for index in 0..self.outgoing.len() {
            let call = &self.outgoing[index];
            if call.is_in_vain(now) && call.registrar == 0 {
                self.outgoing[index] = Outgoing::new(&call.user, self.address, 1).await?;
            }
            let call = &self.outgoing[index];
            if let Some(invite) = call.invite() {
                let registrar = self.registrars[call.registrar];
                self.socket.send_to(invite.as_bytes(), registrar).await?;
            }
        }
        let given_up = |call: &Outgoing| call.is_in_vain(now) && call.registrar == 1;
        for call in self.outgoing.iter().filter(|call| given_up(call)) {
            println!("no registrar answers the core's call to {}", call.user);
        }
        self.outgoing.retain(|call| !given_up(call));
        Ok(())
    }
}
