//! One RTPEngine node: requests go out over several sockets, all at once, and each gets its own answer or an error.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::answer;
use crate::bencode::Limits;
use crate::command::Request;
use crate::cookie::{Cookie, Waiting};
use crate::error::Error;

/// The longest payload of a UDP datagram over IPv4.
const LONGEST_DATAGRAM: usize = 65_507;

/// Who is told of each request that a client makes, its probes left out. Both are called on the caller's task and may not wait.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// A request is sent for the first time: this datagram, from and to these addresses.
    fn sent(&self, local: SocketAddr, node: SocketAddr, datagram: &[u8]);

    /// It has its answer (the dictionary), or is given up. `cookie`, with its space, began the datagram; `spent` says how long it
    /// took and how many datagrams.
    fn ended(
        &self,
        local: SocketAddr,
        node: SocketAddr,
        cookie: &[u8],
        end: Result<&[u8], &Error>,
        spent: (Duration, u32),
    );
}

/// How a [`Client`] behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The node's ng address (`--listen-ng`).
    pub address: SocketAddr,
    /// The local address to send from; chosen by the operating system if missing.
    pub bind: Option<IpAddr>,
    /// How many sockets are used in turn. RTPEngine spreads datagrams over its threads; several sockets keep one lost or
    /// late answer from filling the only receive buffer. At least 1; the default is 4.
    pub sockets: usize,
    /// How many requests may wait for an answer; one more is [`Error::Busy`] at once. At least 1; the default is 1,024. A
    /// node that is silent holds that many callers up for `timeout`, no more.
    pub in_flight: usize,
    /// When a request without an answer is sent again, with the same cookie. The default is 100 ms.
    pub first_wait: Duration,
    /// Each wait is twice the one before, up to this. The default is 800 ms.
    pub longest_wait: Duration,
    /// When it is given up. The default is 2 s: five datagrams.
    pub timeout: Duration,
    /// What an answer may have.
    pub limits: Limits,
    /// Who is told of the requests.
    pub watch: Option<Arc<dyn Watch>>,
}

impl ClientConfig {
    /// The defaults, for the node at `address`.
    pub fn new(address: SocketAddr) -> Self {
        ClientConfig {
            address,
            bind: None,
            sockets: 4,
            in_flight: 1024,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_millis(800),
            timeout: Duration::from_secs(2),
            limits: Limits::default(),
            watch: None,
        }
    }
}

/// What a client has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests sent, the first time.
    pub sent: u64,
    /// Requests sent again.
    pub retransmitted: u64,
    /// Requests that got an answer, errors of RTPEngine included.
    pub answered: u64,
    /// Requests given up.
    pub timed_out: u64,
    /// Requests ended because nobody listens.
    pub refused: u64,
    /// Requests not sent because too many were in flight.
    pub busy: u64,
    /// Datagrams dropped: answers that came late, twice, or to no request.
    pub stray: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    retransmitted: AtomicU64,
    answered: AtomicU64,
    timed_out: AtomicU64,
    refused: AtomicU64,
    busy: AtomicU64,
    stray: AtomicU64,
}

/// A socket that is connected, so that the kernel lets in only what the node sends, and reports it unreachable.
#[derive(Debug)]
struct Socket {
    udp: UdpSocket,
    local: SocketAddr,
    waiting: Waiting,
}

/// A client of one RTPEngine node. Share it with [`Arc`]; all methods take `&self`, and requests are pipelined.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    sockets: Vec<Arc<Socket>>,
    readers: Vec<JoinHandle<()>>,
    next_socket: AtomicUsize,
    in_flight: AtomicUsize,
    counters: Arc<Counters>,
}

impl Client {
    /// Opens the sockets and starts a reader for each on the current runtime. Nothing is sent yet.
    ///
    /// # Errors
    /// When a socket cannot be opened, bound or connected.
    pub async fn connect(config: ClientConfig) -> io::Result<Client> {
        let any = match config.address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let counters = Arc::new(Counters::default());
        let mut sockets = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..config.sockets.max(1) {
            let udp = UdpSocket::bind((config.bind.unwrap_or(any), 0)).await?;
            udp.connect(config.address).await?;
            let socket = Arc::new(Socket {
                local: udp.local_addr()?,
                udp,
                waiting: Waiting::default(),
            });
            readers.push(tokio::spawn(read(socket.clone(), counters.clone())));
            sockets.push(socket);
        }
        Ok(Client {
            config,
            sockets,
            readers,
            next_socket: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            counters,
        })
    }

    /// The node's address.
    pub fn address(&self) -> SocketAddr {
        self.config.address
    }

    /// Sends a request and waits for its answer, [`ClientConfig::timeout`] at most. To drop the future is to give the
    /// request up; what was sent is sent.
    ///
    /// # Errors
    /// See [`Error`]. After a timeout RTPEngine may have carried the request out.
    pub async fn request<R: Request>(&self, request: &R) -> Result<R::Answer, Error> {
        self.request_within(request, self.config.timeout).await
    }

    /// [`Client::request`] with a time of its own.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request_within<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Answer, Error> {
        let dictionary = request.encode();
        let _permit = self.permit()?;
        let watch = self.config.watch.as_deref();
        let answer = self.exchange(&dictionary, timeout, watch).await?;
        answer::read(&answer, &self.config.limits)
    }

    /// A request that is sent even when the client is busy: a node whose queue is full has to be probed all the more.
    pub(crate) async fn probe<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Answer, Error> {
        let answer = self.exchange(&request.encode(), timeout, None).await?;
        answer::read(&answer, &self.config.limits)
    }

    /// How many requests wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// What was counted until now.
    pub fn counts(&self) -> Counts {
        let counters = &self.counters;
        Counts {
            sent: counters.sent.load(Relaxed),
            retransmitted: counters.retransmitted.load(Relaxed),
            answered: counters.answered.load(Relaxed),
            timed_out: counters.timed_out.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            busy: counters.busy.load(Relaxed),
            stray: counters.stray.load(Relaxed),
        }
    }

    fn permit(&self) -> Result<Permit<'_>, Error> {
        let limit = self.config.in_flight.max(1);
        let permit = Permit(&self.in_flight);
        if self.in_flight.fetch_add(1, Relaxed) >= limit {
            self.counters.busy.fetch_add(1, Relaxed);
            return Err(Error::Busy { limit });
        }
        Ok(permit)
    }

    async fn exchange(
        &self,
        dictionary: &[u8],
        timeout: Duration,
        watch: Option<&dyn Watch>,
    ) -> Result<Bytes, Error> {
        let cookie = Cookie::random()?;
        let datagram = cookie.before(dictionary);
        if datagram.len() > LONGEST_DATAGRAM {
            return Err(Error::TooLarge {
                bytes: datagram.len(),
                limit: LONGEST_DATAGRAM,
            });
        }
        let socket = &self.sockets[self.next_socket.fetch_add(1, Relaxed) % self.sockets.len()];
        let began = Instant::now();
        let mut sent = 0;
        let ends = (socket.local, self.config.address);
        if let Some(watch) = watch {
            watch.sent(ends.0, ends.1, &datagram);
        }
        let end = self
            .carry(socket, cookie, &datagram, timeout, &mut sent)
            .await;
        if let Some(watch) = watch {
            let cookie = &datagram[..datagram.len() - dictionary.len()];
            let outcome = end.as_deref();
            watch.ended(ends.0, ends.1, cookie, outcome, (began.elapsed(), sent));
        }
        end
    }

    /// Sends a datagram until it is answered or time is up, and counts how often.
    async fn carry(
        &self,
        socket: &Socket,
        cookie: Cookie,
        datagram: &[u8],
        timeout: Duration,
        sent: &mut u32,
    ) -> Result<Bytes, Error> {
        let mut ticket = socket.waiting.enter(cookie);
        let deadline = Instant::now() + timeout;
        let mut wait = self.config.first_wait;
        loop {
            match timeout_at(deadline, send(&socket.udp, datagram)).await {
                Ok(result) => result.inspect_err(|why| self.count_failure(why))?,
                Err(_) => return Err(self.timed_out(timeout, *sent)),
            }
            let counter = if *sent == 0 {
                &self.counters.sent
            } else {
                &self.counters.retransmitted
            };
            counter.fetch_add(1, Relaxed);
            *sent += 1;

            let next = (Instant::now() + wait).min(deadline);
            match timeout_at(next, &mut ticket.outcome).await {
                Ok(Ok(outcome)) => {
                    match &outcome {
                        Ok(_) => _ = self.counters.answered.fetch_add(1, Relaxed),
                        Err(why) => self.count_failure(why),
                    }
                    return outcome;
                }
                // The sender lives in the table until it is used, so this says: the table was emptied. It is an end.
                Ok(Err(_)) => return Err(Error::Refused),
                Err(_) if next >= deadline => return Err(self.timed_out(timeout, *sent)),
                Err(_) => wait = (wait * 2).min(self.config.longest_wait),
            }
        }
    }

    fn timed_out(&self, after: Duration, sent: u32) -> Error {
        self.counters.timed_out.fetch_add(1, Relaxed);
        Error::Timeout { after, sent }
    }

    fn count_failure(&self, why: &Error) {
        if matches!(why, Error::Refused) {
            self.counters.refused.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// One of the places in flight, given back when dropped.
struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Sends one datagram. A connected socket reports the refusal of an *earlier* datagram at the next send, which is then
/// not sent; only a second refusal is about this node now.
async fn send(socket: &UdpSocket, datagram: &[u8]) -> Result<(), Error> {
    for last_try in [false, true] {
        match socket.send(datagram).await {
            Ok(_) => return Ok(()),
            Err(why) if why.kind() != io::ErrorKind::ConnectionRefused => {
                return Err(Error::Io(why));
            }
            Err(_) if last_try => break,
            Err(_) => {}
        }
    }
    Err(Error::Refused)
}

/// Reads one socket for as long as the client lives.
async fn read(socket: Arc<Socket>, counters: Arc<Counters>) {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.udp.recv(&mut buffer).await {
            Ok(length) => {
                if !socket.waiting.deliver(&buffer[..length]) {
                    counters.stray.fetch_add(1, Relaxed);
                    tracing::debug!(
                        bytes = length,
                        "an answer to no request of ours was dropped"
                    );
                }
            }
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => socket.waiting.refuse(),
            Err(why) => {
                tracing::debug!(%why, "an ng socket cannot be read");
                // Such errors may come without end; the waiting requests run into their timeouts.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
