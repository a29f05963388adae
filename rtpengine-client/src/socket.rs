//! The sockets towards a node: what is sent by them, and who reads them.
//!
//! Each runtime that makes requests has sockets of its own, so that an answer wakes the thread that waits for it and no other one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::{ClientConfig, Counters};
use crate::cookie::Cookie;
use crate::error::Error;
use crate::waiting::{Patience, Ticket, Waiting};

/// An answer, or the word that nobody listens.
const READ: Interest = Interest::READABLE.add(Interest::ERROR);
/// Datagrams that are read before other tasks have their turn.
const A_TURN: usize = 64;

/// A socket that is connected, so that the kernel lets in only what the node sends, and reports it unreachable.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Only to be read is waited for: the kernel reports every datagram that has left, which would wake the runtime once more
    /// for each. A buffer that is full loses a datagram as a network does.
    udp: AsyncFd<UdpSocket>,
    pub(crate) local: SocketAddr,
    waiting: Waiting,
    /// A request has come that is due before all others.
    earlier: Notify,
}

/// The sockets of one runtime. Their readers end with it, or with this.
#[derive(Debug)]
pub(crate) struct Sockets {
    runtime: Id,
    all: Vec<Arc<Socket>>,
    next: AtomicUsize,
    readers: Vec<JoinHandle<()>>,
}

impl Sockets {
    /// Opens them on the current runtime.
    pub(crate) fn open(config: &ClientConfig, counters: &Arc<Counters>) -> io::Result<Self> {
        let mut sockets = Self {
            runtime: Handle::current().id(),
            all: Vec::new(),
            next: AtomicUsize::new(0),
            readers: Vec::new(),
        };
        for _ in 0..config.sockets.max(1) {
            let socket = Arc::new(Socket::open(config)?);
            let reader = socket.clone().read(counters.clone());
            sockets.readers.push(tokio::spawn(reader));
            sockets.all.push(socket);
        }
        Ok(sockets)
    }

    /// Whether this runtime has them, and reads them: a number comes again when a runtime has ended.
    pub(crate) fn are_of(&self, runtime: Id) -> bool {
        self.runtime == runtime && self.readers.iter().all(|reader| !reader.is_finished())
    }

    /// Whether nobody reads them any more.
    pub(crate) fn are_over(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }

    /// Each in turn.
    pub(crate) fn next(&self) -> &Socket {
        &self.all[self.next.fetch_add(1, Relaxed) % self.all.len()]
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

impl Socket {
    fn open(config: &ClientConfig) -> io::Result<Self> {
        let any = match config.address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let udp = UdpSocket::bind((config.bind.unwrap_or(any), 0))?;
        udp.connect(config.address)?;
        udp.set_nonblocking(true)?;
        let local = udp.local_addr()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor may change; a socket's does not"
        )]
        let udp = AsyncFd::with_interest(udp, READ)?;
        Ok(Self {
            local,
            udp,
            waiting: Waiting::default(),
            earlier: Notify::new(),
        })
    }

    /// Sends a request, and again until the ticket has its end.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub(crate) fn ask(
        &self,
        cookie: Cookie,
        datagram: Bytes,
        patience: Patience,
    ) -> Result<Ticket<'_>, Error> {
        // Before it is sent: another thread may read its answer at once.
        let (ticket, is_earlier) =
            self.waiting
                .enter(cookie, datagram.clone(), patience, Instant::now());
        self.send(&datagram)?;
        if is_earlier {
            self.earlier.notify_one();
        }
        Ok(ticket)
    }

    /// Sends one datagram. A connected socket reports the refusal of an *earlier* datagram at the next send, which is then
    /// not sent; only a second refusal is about this node now.
    fn send(&self, datagram: &[u8]) -> Result<(), Error> {
        for last_try in [false, true] {
            match self.udp.get_ref().send(datagram) {
                Ok(_) => return Ok(()),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() != io::ErrorKind::ConnectionRefused => {
                    return Err(Error::Io(why));
                }
                Err(_) if last_try => break,
                Err(_) => {}
            }
        }
        Err(Error::Refused)
    }

    /// Reads for as long as the client and its runtime live, and sends again what is due.
    async fn read(self: Arc<Self>, counters: Arc<Counters>) {
        let mut buffer = vec![0; 65_536];
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        let mut looks = None;
        loop {
            tokio::select! {
                biased;
                ready = self.udp.ready(READ) => {
                    let Ok(mut ready) = ready else { return };
                    let mut read = 0;
                    while read < A_TURN
                        && let Ok(received) = ready.try_io(|udp| udp.get_ref().recv(&mut buffer))
                    {
                        match received {
                            Ok(length) => self.take(&buffer[..length], &counters),
                            Err(why) => self.failed(&why).await,
                        }
                        read += 1;
                    }
                    if read == A_TURN {
                        tokio::task::yield_now().await;
                    }
                }
                () = self.earlier.notified() => {
                    looks = self.waiting.looks();
                    looks.into_iter().for_each(|at| timer.as_mut().reset(at));
                }
                () = &mut timer, if looks.is_some() => {
                    let (next, sent) = self.waiting.look(Instant::now(), |datagram| self.send(datagram));
                    counters.retransmitted.fetch_add(sent, Relaxed);
                    looks = next;
                    looks.into_iter().for_each(|at| timer.as_mut().reset(at));
                }
            }
        }
    }

    fn take(&self, datagram: &[u8], counters: &Counters) {
        if !self.waiting.deliver(datagram) {
            counters.stray.fetch_add(1, Relaxed);
            tracing::debug!(
                bytes = datagram.len(),
                "an answer to no request of ours was dropped"
            );
        }
    }

    async fn failed(&self, why: &io::Error) {
        if why.kind() == io::ErrorKind::ConnectionRefused {
            return self.waiting.refuse();
        }
        tracing::debug!(%why, "an ng socket cannot be read");
        // Such errors may come without end; the waiting requests run into their timeouts.
        sleep(Duration::from_millis(10)).await;
    }
}
