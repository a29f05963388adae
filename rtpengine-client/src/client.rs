//! One RTPEngine node: requests go out over several sockets, all at once, and each gets its own answer or an error.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::answer;
use crate::bencode::Limits;
use crate::command::Request;
use crate::cookie::Cookie;
use crate::error::Error;
use crate::socket::{Socket, Sockets};
use crate::waiting::{End, Patience};

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
    /// How many sockets each runtime uses in turn. RTPEngine spreads datagrams over its threads; several sockets keep one lost or
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
pub(crate) struct Counters {
    sent: AtomicU64,
    pub(crate) retransmitted: AtomicU64,
    answered: AtomicU64,
    timed_out: AtomicU64,
    refused: AtomicU64,
    busy: AtomicU64,
    pub(crate) stray: AtomicU64,
}

/// A client of one RTPEngine node. Share it with [`Arc`]; all methods take `&self`, and requests are pipelined.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    /// Those of each runtime that has made requests.
    sockets: RwLock<Vec<Arc<Sockets>>>,
    in_flight: AtomicUsize,
    counters: Arc<Counters>,
}

impl Client {
    /// Opens the sockets and starts a reader for each on the current runtime. Nothing is sent yet. A request that is made on another
    /// runtime opens others for that one.
    ///
    /// # Errors
    /// When a socket cannot be opened, bound or connected.
    pub async fn connect(config: ClientConfig) -> io::Result<Client> {
        let counters = Arc::new(Counters::default());
        let sockets = Sockets::open(&config, &counters)?;
        Ok(Client {
            config,
            sockets: RwLock::new(vec![Arc::new(sockets)]),
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

    /// The sockets of the current runtime.
    fn sockets(&self) -> io::Result<Arc<Sockets>> {
        let runtime = Handle::current().id();
        let known = |all: &[Arc<Sockets>]| {
            let mut known = all.iter();
            known.find(|sockets| sockets.are_of(runtime)).cloned()
        };
        // What is inside is whole between two statements.
        let all = self.sockets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sockets) = known(&all) {
            return Ok(sockets);
        }
        drop(all);
        let mut all = self.sockets.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread of the same runtime was faster.
        if let Some(sockets) = known(&all) {
            return Ok(sockets);
        }
        all.retain(|sockets| !sockets.are_over());
        let sockets = Arc::new(Sockets::open(&self.config, &self.counters)?);
        all.push(sockets.clone());
        Ok(sockets)
    }

    async fn exchange(
        &self,
        dictionary: &[u8],
        timeout: Duration,
        watch: Option<&dyn Watch>,
    ) -> Result<Bytes, Error> {
        let cookie = Cookie::random()?;
        let datagram = Bytes::from(cookie.before(dictionary));
        if datagram.len() > LONGEST_DATAGRAM {
            return Err(Error::TooLarge {
                bytes: datagram.len(),
                limit: LONGEST_DATAGRAM,
            });
        }
        let sockets = self.sockets()?;
        let socket = sockets.next();
        let began = Instant::now();
        let ends = (socket.local, self.config.address);
        if let Some(watch) = watch {
            watch.sent(ends.0, ends.1, &datagram);
        }
        let end = self.carry(socket, cookie, datagram.clone(), timeout).await;
        match &end.outcome {
            Ok(_) => _ = self.counters.answered.fetch_add(1, Relaxed),
            Err(why) => self.count_failure(why),
        }
        if let Some(watch) = watch {
            let cookie = &datagram[..datagram.len() - dictionary.len()];
            let outcome = end.outcome.as_deref();
            watch.ended(ends.0, ends.1, cookie, outcome, (began.elapsed(), end.sent));
        }
        end.outcome
    }

    /// Sends a datagram until it is answered or time is up.
    async fn carry(
        &self,
        socket: &Socket,
        cookie: Cookie,
        datagram: Bytes,
        timeout: Duration,
    ) -> End {
        let patience = Patience {
            first: self.config.first_wait,
            longest: self.config.longest_wait,
            in_all: timeout,
        };
        let mut ticket = match socket.ask(cookie, datagram, patience) {
            Ok(ticket) => ticket,
            Err(why) => {
                return End {
                    outcome: Err(why),
                    sent: 0,
                };
            }
        };
        self.counters.sent.fetch_add(1, Relaxed);
        match (&mut ticket.end).await {
            Ok(end) => end,
            // The sender lives in the table until it is used, so this says: the table was emptied. It is an end.
            Err(_) => End {
                outcome: Err(Error::Refused),
                sent: 1,
            },
        }
    }

    fn count_failure(&self, why: &Error) {
        match why {
            Error::Refused => _ = self.counters.refused.fetch_add(1, Relaxed),
            Error::Timeout { .. } => _ = self.counters.timed_out.fetch_add(1, Relaxed),
            _ => {}
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
