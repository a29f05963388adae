//! A quiet user who asks all the time: OPTIONS and REGISTER over UDP from an address of its own, and how long each answer
//! took. What makes it wait is what others do to the gateway.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(10);
/// T1 of RFC 3261 §17: when a question is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a question is asked before it counts as not answered: for 64·T1.
const TIMES: u32 = 64;

/// One who asks.
pub struct Prober {
    socket: UdpSocket,
    gateway: SocketAddr,
    number: u64,
}

impl Prober {
    /// Asks from `own` (port 0: any).
    pub async fn new(own: &str, gateway: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(own)
            .await
            .with_context(|| format!("cannot bind {own}"))?;
        Ok(Prober {
            socket,
            gateway,
            number: 0,
        })
    }

    /// Asks once, and again as a client transaction does; the status, how long it took from the first time on, and how
    /// often it was asked again.
    pub async fn ask(&mut self, method: &str) -> Result<(u16, Duration, u32)> {
        self.number += 1;
        let id = format!("prober-{}-{}", std::process::id(), self.number);
        let request = request(method, self.gateway, self.socket.local_addr()?, &id);
        let began = Instant::now();
        for again in 0..TIMES {
            self.socket
                .send_to(request.as_bytes(), self.gateway)
                .await?;
            if let Ok(status) = tokio::time::timeout(AGAIN, self.answer(&id)).await {
                return Ok((status?, began.elapsed(), again));
            }
        }
        bail!("{method} was asked {TIMES} times and not answered")
    }

    async fn answer(&self, id: &str) -> Result<u16> {
        let mut buffer = [0; 8192];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            let text = String::from_utf8_lossy(&buffer[..length]);
            // An answer to an earlier question may come late.
            if text.contains(id)
                && let Some(status) = text
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok())
                && status >= 200
            {
                return Ok(status);
            }
        }
    }

    /// Asks for ever, OPTIONS and REGISTER in turn, until [`Asking::end`].
    pub fn begin(mut self) -> Asking {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut latency = Latency::default();
            while latency.took.is_empty() || !stopped.load(Ordering::Relaxed) {
                for (method, want) in [("OPTIONS", 200), ("REGISTER", 401)] {
                    let (status, took, again) = self.ask(method).await?;
                    if status != want {
                        bail!("{method} was answered with {status}, not {want}");
                    }
                    latency.took.push(took);
                    latency.again += again;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Ok(latency)
        });
        Asking { stop, task }
    }
}

/// A prober at work.
pub struct Asking {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<Latency>>,
}

impl Asking {
    /// Ends it: an error if a question was not answered, or wrongly.
    pub async fn end(self) -> Result<Latency> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

/// How long answers took.
#[derive(Debug, Default)]
pub struct Latency {
    took: Vec<Duration>,
    again: u32,
}

impl Latency {
    /// How many were answered.
    pub fn answers(&self) -> usize {
        self.took.len()
    }

    /// The time within which this share of them was.
    pub fn within(&self, share: f64) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort();
        let place = (share * sorted.len() as f64) as usize;
        sorted
            .get(place.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, most) = (self.within(0.5), self.within(0.99), self.within(1.0));
        write!(
            f,
            "{} answers: p50 {p50:.1?}, p99 {p99:.1?}, longest {most:.1?}, {} retransmissions",
            self.answers(),
            self.again
        )
    }
}

/// An OPTIONS to the gateway itself, or a REGISTER without credentials for `prober@hostile.test`.
fn request(method: &str, gateway: SocketAddr, own: SocketAddr, id: &str) -> String {
    let (uri, user) = match method {
        "REGISTER" => ("sip:hostile.test".to_owned(), "sip:prober@hostile.test"),
        _ => (format!("sip:{gateway}"), "sip:prober@elsewhere.test"),
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
         From: <{user}>;tag=p\r\nTo: <{user}>\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:prober@{own}>\r\nContent-Length: 0\r\n\r\n"
    )
}
