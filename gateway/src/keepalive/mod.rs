//! Keeps the NAT mappings of devices on UDP open, and finds out which of them are there (SIGNALLING §5).
//!
//! Only who registered is pinged, at the flow that the index knows: by an empty line, which keeps a mapping open, or by an
//! OPTIONS, whose answer also proves life. Connections have pings of their own (WebSocket), or the client sends them (RFC 5626
//! §4.4.1). When it is whose turn is in [`round`]; what an OPTIONS is, in [`options`].

mod life;
mod options;
mod round;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use proxy::{Device, ListenerId};

use life::Life;
pub(crate) use life::Turn;
pub(crate) use options::{Answer, answer_of, request};
use round::Round;
pub(crate) use round::TICK;

/// What a device on UDP is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ping {
    /// An empty line twice, which no device answers.
    Crlf,
    /// A request, which it answers.
    Options,
}

/// How the devices of a listener are pinged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// With what.
    pub ping: Ping,
    /// How often each of them.
    pub interval: Duration,
    /// OPTIONS without an answer, in a row, after which the flow is dead.
    pub fall: u16,
    /// Pings a second at most; with more devices the interval grows.
    pub rate: u32,
}

/// What is pinged at a node.
pub(crate) struct Keepalive {
    /// By the listener's number; `None` where nobody is pinged.
    listeners: Vec<Option<(Rules, Mutex<Round>)>>,
    /// Devices that are asked by OPTIONS.
    lives: DashMap<Device, Life>,
}

impl Keepalive {
    /// Nobody is pinged yet; `rules` are in the order of the listeners.
    pub(crate) fn new(rules: Vec<Option<Rules>>) -> Self {
        let listener = |rules: Rules| (rules, Mutex::new(Round::new(rules.interval, rules.rate)));
        Self {
            listeners: rules.into_iter().map(|rules| rules.map(listener)).collect(),
            lives: DashMap::new(),
        }
    }

    /// True if anybody may have to be pinged.
    pub(crate) fn has_work(&self) -> bool {
        self.listeners.iter().any(Option::is_some)
    }

    fn of(&self, listener: ListenerId) -> Option<(Rules, MutexGuard<'_, Round>)> {
        let (rules, round) = self.listeners.get(usize::from(listener.0))?.as_ref()?;
        Some((*rules, round.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A device registered by a datagram to this listener; `contact` is its URI.
    pub(crate) fn begin(
        &self,
        device: Device,
        listener: ListenerId,
        contact: impl FnOnce() -> Option<Vec<u8>>,
    ) {
        let Some((rules, mut round)) = self.of(listener) else {
            return;
        };
        round.add(device);
        drop(round);
        if rules.ping == Ping::Options
            && let Some(contact) = contact()
        {
            // It has just been heard of.
            self.lives.insert(device, Life::new(&contact));
        }
    }

    /// Whose turn it is at this moment, by listener. [`keep`](Self::keep) or [`end`](Self::end) says how it goes on.
    pub(crate) fn due(&self) -> Vec<(ListenerId, Rules, Vec<Device>)> {
        let mut due = Vec::new();
        for id in (0..self.listeners.len()).filter_map(|id| u8::try_from(id).ok()) {
            if let Some((rules, mut round)) = self.of(ListenerId(id)) {
                let devices = round.tick();
                if !devices.is_empty() {
                    due.push((ListenerId(id), rules, devices));
                }
            }
        }
        due
    }

    /// It is pinged again after the interval.
    pub(crate) fn keep(&self, device: Device, listener: ListenerId) {
        if let Some((_, mut round)) = self.of(listener) {
            round.keep(device);
        }
    }

    /// It is not registered by this listener any more.
    pub(crate) fn end(&self, device: Device, listener: ListenerId) {
        if let Some((_, mut round)) = self.of(listener) {
            round.end(device);
        }
        self.lives.remove(&device);
    }

    /// It is a device's turn; `random` is what its answer has to bring back.
    pub(crate) fn ask(&self, device: Device, rules: &Rules, random: u64) -> Turn {
        match (rules.ping, self.lives.get_mut(&device)) {
            (Ping::Options, Some(mut life)) => life.turn(random, rules.fall),
            _ => Turn::Crlf,
        }
    }

    /// An OPTIONS was answered.
    pub(crate) fn answered(&self, answer: Answer) {
        if let Some(mut life) = self.lives.get_mut(&answer.device) {
            life.answered(answer.random);
        }
    }
}
