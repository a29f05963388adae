//! Many registered devices and who calls them, in one process.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::UdpSocket;

use crate::chain::{Chain, user};
use crate::load::{Outcome, TICK, WINDOW};
use crate::message::{self, Credentials};
use crate::peer::write_answer;
use crate::phones::{self, Phones};

/// With fewer, a device could be asked again before it has answered.
pub(crate) const FEWEST: u32 = 4 * WINDOW;
/// RFC 3261 §17.1.2: when a REGISTER is sent again the first time.
const T1: Duration = Duration::from_millis(500);
/// Nothing came back for this long: what is under way is lost. A call has a dozen steps, and a busy machine takes its time for each.
const LOST: Duration = Duration::from_secs(3);
/// A whole fill without progress for so long has failed.
const STUCK: Duration = Duration::from_secs(40);

/// What is done with devices that are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A REGISTER with credentials, and its 200.
    Refresh,
    /// INVITE to the registrar, 200 of the device, ACK, BYE, 200.
    Call,
}

impl Work {
    /// Messages that edge and registrar receive for one: the registrar is in no dialog.
    pub(crate) fn messages(self) -> u32 {
        match self {
            Work::Refresh => 3,
            Work::Call => 7,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Device {
    nonce: String,
    /// How often the nonce was used.
    count: u32,
    /// CSeq of its last REGISTER.
    number: u32,
}

/// The devices of one chain, and their caller.
pub(crate) struct Devices {
    edge: SocketAddrV4,
    registrar: SocketAddr,
    phones: Phones,
    caller: UdpSocket,
    devices: Vec<Device>,
    /// What is under way, by the number in its Call-ID: a device's, or a call's.
    pending: HashMap<u32, Stage>,
    next: u32,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    HungUp,
}

impl Devices {
    pub(crate) async fn of(chain: &Chain) -> Result<Self> {
        Ok(Devices {
            edge: match chain.public {
                SocketAddr::V4(edge) => edge,
                SocketAddr::V6(_) => bail!("an edge on IPv4 is needed"),
            },
            registrar: chain.inside,
            phones: Phones::bind().await?,
            caller: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            devices: Vec::new(),
            pending: HashMap::new(),
            next: 0,
            buffer: vec![0; 65_536],
        })
    }

    /// Registers more devices until there are `count`; for how long.
    pub(crate) async fn fill(&mut self, count: u32) -> Result<Duration> {
        let began = Instant::now();
        let mut next = u32::try_from(self.devices.len())?;
        self.devices.resize(count as usize, Device::default());
        let mut progress = Instant::now();
        let mut again = T1;
        while next < count || !self.pending.is_empty() {
            while next < count && self.pending.len() < WINDOW as usize {
                self.pending.insert(next, Stage::Asked);
                self.register(next).await?;
                next += 1;
            }
            if self.take_some().await? > 0 {
                progress = Instant::now();
                again = T1;
            } else if progress.elapsed() > again {
                // Each pause is twice the one before, as phones do it: else a busy machine would drown in what is sent again.
                again = again * 2 + T1;
                self.send_again().await?;
            }
            if progress.elapsed() > STUCK {
                bail!("{} devices get no answer", self.pending.len());
            }
        }
        Ok(began.elapsed())
    }

    /// As much as comes back, for `time`. Answers that come later are not counted.
    pub(crate) async fn run(&mut self, work: Work, time: Duration) -> Result<Outcome> {
        let began = Instant::now();
        let mut outcome = Outcome::default();
        let mut progress = Instant::now();
        while began.elapsed() < time {
            if progress.elapsed() > LOST {
                self.pending.clear();
                progress = Instant::now();
            }
            while self.pending.len() < WINDOW as usize {
                self.begin(work).await?;
                outcome.begun += 1;
            }
            let done = self.take_some().await?;
            outcome.done += done;
            if done > 0 {
                progress = Instant::now();
            }
        }
        outcome.time = began.elapsed();
        Ok(outcome)
    }

    /// Takes what is still on its way, so that the next run begins with quiet.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let mut quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(50) {
            if self.take_some().await? > 0 {
                quiet = Instant::now();
            }
        }
        self.pending.clear();
        Ok(())
    }

    async fn begin(&mut self, work: Work) -> Result<()> {
        self.next = self.next.wrapping_add(1);
        // A stride that has no factor in common with a count of devices visits all of them, far from each other.
        let device = u32::try_from(u64::from(self.next) * 7919 % self.devices.len() as u64)?;
        match work {
            Work::Refresh => {
                self.pending.insert(device, Stage::Asked);
                self.register(device).await
            }
            Work::Call => {
                self.pending.insert(self.next, Stage::Asked);
                let own = self.caller.local_addr()?;
                let invite = message::invite_to(&user(device), self.next, own);
                self.caller
                    .send_to(invite.as_bytes(), self.registrar)
                    .await?;
                Ok(())
            }
        }
    }

    async fn register(&mut self, device: u32) -> Result<()> {
        let own = self.phones.address(device);
        let state = &mut self.devices[device as usize];
        state.number += 1;
        let credentials = (!state.nonce.is_empty()).then(|| {
            state.count += 1;
            Credentials {
                nonce: &state.nonce,
                count: state.count,
            }
        });
        let request = message::register_of(&user(device), device, own, state.number, credentials);
        self.phones
            .send(device, request.as_bytes(), self.edge)
            .await
    }

    async fn send_again(&mut self) -> Result<()> {
        let devices: Vec<u32> = self.pending.keys().copied().collect();
        for device in devices {
            self.register(device).await?;
        }
        Ok(())
    }

    /// Takes what is there, waiting a little for it; how many ended well by it.
    async fn take_some(&mut self) -> Result<u32> {
        let ready = async {
            tokio::select! {
                ready = self.phones.socket.readable() => ready,
                ready = self.caller.readable() => ready,
            }
        };
        if let Ok(ready) = tokio::time::timeout(TICK, ready).await {
            ready?;
        }
        let mut done = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Ok(length) = self.phones.socket.try_recv(&mut buffer) {
            done += u32::from(self.phone_takes(&buffer[..length]).await?);
        }
        while let Ok(length) = self.caller.try_recv(&mut buffer) {
            done += u32::from(self.caller_takes(&buffer[..length]).await?);
        }
        self.buffer = buffer;
        Ok(done)
    }

    /// A device's answer to a call, or an answer to its REGISTER; whether it is registered by that.
    async fn phone_takes(&mut self, message: &[u8]) -> Result<bool> {
        // RFC 5626 §4.4.1: the edge keeps its mapping open.
        if message == b"\r\n\r\n" {
            return Ok(false);
        }
        let Some(answer) = message::answer(message) else {
            let text = std::str::from_utf8(message)?;
            let called = phones::called(text).context("a request to nobody")?;
            let own = self.phones.address(called).into();
            let mut answer = String::with_capacity(1024);
            if write_answer(text, own, "", &mut answer) {
                self.phones
                    .send(called, answer.as_bytes(), self.edge)
                    .await?;
            }
            return Ok(false);
        };
        let device = answer.number;
        match answer.status {
            401 if self.pending.contains_key(&device) => {
                let state = &mut self.devices[device as usize];
                let text = std::str::from_utf8(message)?;
                text.split("nonce=\"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next())
                    .context("a challenge without a nonce")?
                    .clone_into(&mut state.nonce);
                state.count = 0;
                self.register(device).await?;
                Ok(false)
            }
            200 => Ok(self.pending.remove(&device).is_some()),
            300.. if self.pending.contains_key(&device) => bail!(
                "what is measured answers {}",
                String::from_utf8_lossy(message)
            ),
            _ => Ok(false),
        }
    }

    /// An answer to the caller; whether a call has ended by it.
    async fn caller_takes(&mut self, message: &[u8]) -> Result<bool> {
        let Some(answer) = message::answer(message).filter(|answer| answer.status >= 200) else {
            return Ok(false);
        };
        let stage = self.pending.get(&answer.number).copied();
        match (stage, answer.status, answer.to_bye) {
            (Some(Stage::Asked), 200, false) => {
                self.pending.insert(answer.number, Stage::HungUp);
                let requests = message::ack_and_bye(message, "UDP", "bench");
                let [ack, bye] = requests.context("a 200 without a Contact")?;
                for request in [ack, bye] {
                    let hop = first_hop(&request).context("no next hop")?;
                    self.caller.send_to(request.as_bytes(), hop).await?;
                }
                Ok(false)
            }
            (Some(Stage::HungUp), 200, true) => Ok(self.pending.remove(&answer.number).is_some()),
            (Some(_), 300.., _) => bail!(
                "what is measured answers {}",
                String::from_utf8_lossy(message)
            ),
            _ => Ok(false),
        }
    }
}

/// The address in the top Route.
fn first_hop(request: &str) -> Option<SocketAddr> {
    let route = message::header(request, "Route").next()?;
    let host = route.split([':', ';', '>', '@']).collect::<Vec<_>>();
    let at = host
        .iter()
        .position(|word| word.parse::<Ipv4Addr>().is_ok())?;
    let port = host.get(at + 1).and_then(|word| word.parse().ok());
    Some(SocketAddr::new(
        host[at].parse().ok()?,
        port.unwrap_or(5060),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_hop_is_in_the_top_route() {
        for (route, want) in [
            ("<sip:token@127.0.0.1:7000;lr>", "127.0.0.1:7000"),
            ("<sip:127.0.0.1;lr=on>", "127.0.0.1:5060"),
        ] {
            let request = format!("BYE sip:x SIP/2.0\r\nRoute: {route}\r\n\r\n");
            assert_eq!(first_hop(&request), want.parse().ok());
        }
    }
}
