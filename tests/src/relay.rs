//! A bad network between the gateway and an RTPEngine: a UDP relay that passes ng commands on, and loses, doubles, delays or
//! swallows them when it is told to.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use causeway_tests::{relay::Relay, rtpengine::RtpEngine};
//!
//! let engine = RtpEngine::start().await?;
//! let relay = Relay::before(engine.ng).await?;   // the gateway is told relay.address
//! relay.delays("delete", Duration::from_secs(5));
//! relay.loses(0.1);
//! relay.passes();
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::draw::Draw;

/// Every draw of a relay comes from this.
const SEED: u64 = 0x5eed_0f1e_55e5;

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it takes ng commands.
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    lost: f64,
    doubled: f64,
    swallows: bool,
    delays: HashMap<String, Duration>,
    delays_next: HashMap<String, Duration>,
    /// Which command a cookie belongs to, of those whose answers are delayed.
    delayed: HashMap<Vec<u8>, Duration>,
    seen: HashMap<String, usize>,
    random: Draw,
}

impl Relay {
    /// Starts one in front of the RTPEngine whose commands are taken at `engine`.
    pub async fn before(engine: SocketAddr) -> Result<Self> {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = front.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared {
            lost: 0.0,
            doubled: 0.0,
            swallows: false,
            delays: HashMap::new(),
            delays_next: HashMap::new(),
            delayed: HashMap::new(),
            seen: HashMap::new(),
            random: Draw::new(SEED),
        }));
        let mut task = JoinSet::new();
        task.spawn(commands(front, engine, shared.clone()));
        Ok(Relay {
            address,
            shared,
            _task: task,
        })
    }

    /// From here on everything passes as it comes.
    pub fn passes(&self) {
        let mut shared = lock(&self.shared);
        (shared.lost, shared.doubled, shared.swallows) = (0.0, 0.0, false);
        shared.delays.clear();
    }

    /// From here on this share of the packets is lost, in either direction.
    pub fn loses(&self, share: f64) {
        lock(&self.shared).lost = share;
    }

    /// From here on this share of the packets comes twice.
    pub fn doubles(&self, share: f64) {
        lock(&self.shared).doubled = share;
    }

    /// From here on nothing passes: a black hole, and nobody says so.
    pub fn swallows(&self) {
        lock(&self.shared).swallows = true;
    }

    /// From here on the answers to this command come that much later.
    pub fn delays(&self, command: &str, by: Duration) {
        lock(&self.shared).delays.insert(command.to_owned(), by);
    }

    /// The answer to the next one of this command comes that much later.
    pub fn delays_next(&self, command: &str, by: Duration) {
        let mut shared = lock(&self.shared);
        shared.delays_next.insert(command.to_owned(), by);
    }

    /// How often this command came, repetitions and swallowed ones included.
    pub fn seen(&self, command: &str) -> usize {
        lock(&self.shared).seen.get(command).copied().unwrap_or(0)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// How many times a packet passes.
    fn copies(&mut self) -> usize {
        if self.swallows || self.random.share() < self.lost {
            return 0;
        }
        1 + usize::from(self.random.share() < self.doubled)
    }
}

async fn commands(front: Arc<UdpSocket>, engine: SocketAddr, shared: Arc<Mutex<Shared>>) {
    let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answering = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((length, from)) = front.recv_from(&mut buffer).await else {
            continue;
        };
        let packet = &buffer[..length];
        let copies = {
            let mut shared = lock(&shared);
            if let Some((cookie, command)) = command_of(packet) {
                let next = shared.delays_next.remove(&command);
                if let Some(by) = next.or_else(|| shared.delays.get(&command).copied()) {
                    shared.delayed.insert(cookie, by);
                }
                *shared.seen.entry(command).or_default() += 1;
            }
            shared.copies()
        };
        let back = match backs.get(&from) {
            Some(back) => back.clone(),
            None => {
                let Ok(back) = UdpSocket::bind("127.0.0.1:0").await else {
                    continue;
                };
                if back.connect(engine).await.is_err() {
                    continue;
                }
                let back = Arc::new(back);
                answering.spawn(answers(back.clone(), front.clone(), from, shared.clone()));
                backs.insert(from, back.clone());
                back
            }
        };
        for _ in 0..copies {
            let _ = back.send(packet).await;
        }
    }
}

async fn answers(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    to: SocketAddr,
    shared: Arc<Mutex<Shared>>,
) {
    let mut late = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    loop {
        // An error is the word of a port where nobody listens: the gateway hears nothing, as behind a firewall.
        let Ok(length) = back.recv(&mut buffer).await else {
            continue;
        };
        let packet = &buffer[..length];
        let (copies, delay) = {
            let mut shared = lock(&shared);
            let cookie = packet.split(|byte| *byte == b' ').next();
            let delay = cookie.and_then(|cookie| shared.delayed.remove(cookie));
            (shared.copies(), delay)
        };
        for _ in 0..copies {
            match delay {
                None => drop(front.send_to(packet, to).await),
                Some(delay) => {
                    let (front, packet) = (front.clone(), packet.to_vec());
                    late.spawn(async move {
                        tokio::time::sleep(delay).await;
                        let _ = front.send_to(&packet, to).await;
                    });
                }
            }
        }
        while late.try_join_next().is_some() {}
    }
}

/// The cookie and the command of a packet, `<cookie> d…7:command5:offer…`.
fn command_of(packet: &[u8]) -> Option<(Vec<u8>, String)> {
    let space = packet.iter().position(|byte| *byte == b' ')?;
    let text = String::from_utf8_lossy(&packet[space + 1..]);
    let (length, rest) = text.split_once("7:command")?.1.split_once(':')?;
    let command = rest.get(..length.parse().ok()?)?;
    Some((packet[..space].to_vec(), command.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_by_its_name() {
        let packet = b"1_2 d7:call-id1:a7:command6:delete8:from-tag1:be";
        assert_eq!(
            command_of(packet),
            Some((b"1_2".to_vec(), "delete".to_owned()))
        );
        assert_eq!(command_of(b"1_2 d6:result2:oke"), None);
    }
}
