//! The audio of one call: a task that sends a tone every 20 ms and counts what comes.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::cipher::Ciphers;
use super::description::{Codec, EVENTS, Line, Own, Profile};
use super::packet::{self, Packet, Stream};
use super::tone::{self, Law};
use super::webrtc::Webrtc;
use super::{Flaw, Heard};

const TICK: Duration = Duration::from_millis(20);
/// Packets of a digit: while it is pressed, then its end three times (RFC 4733 §2.5.1.4), then a pause.
const PRESSED: u32 = 5;
const ENDS: u32 = 3;
const PAUSE: u32 = 5;
/// 20 ms of Opus in which nothing is said (RFC 6716: full band, CELT, one frame).
const OPUS: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// A running call's audio; it ends when dropped.
pub(super) struct Media {
    state: Arc<Mutex<State>>,
    sockets: [Arc<UdpSocket>; 2],
    task: JoinHandle<()>,
}

struct State {
    tone: u32,
    /// Which of the two sockets is in use.
    socket: usize,
    webrtc: Option<Webrtc>,
    ciphers: Option<Ciphers>,
    keys: Option<(String, String)>,
    agreed: Option<Agreed>,
    stream: Stream,
    heard: Heard,
    last_event: Option<u32>,
    digits: VecDeque<char>,
    pressed: u32,
    flaw: Option<Flaw>,
}

/// What offer and answer have agreed on.
#[derive(Clone, Debug)]
struct Agreed {
    to: SocketAddr,
    sends: bool,
    codec: Codec,
    kind: u8,
    events: Option<u8>,
    /// What may come, by payload type.
    kinds: BTreeMap<u8, String>,
}

impl Media {
    /// Two sockets, the second for when the phone moves, and nothing sent yet.
    pub(super) async fn open(host: IpAddr, tone: u32) -> Result<Self> {
        let open = async || anyhow::Ok(Arc::new(UdpSocket::bind(SocketAddr::new(host, 0)).await?));
        let sockets = [open().await?, open().await?];
        let source = u32::from(sockets[0].local_addr()?.port()) << 8 | tone & 255;
        let state = State {
            tone,
            socket: 0,
            webrtc: None,
            ciphers: None,
            keys: None,
            agreed: None,
            stream: Stream {
                source,
                sequence: 1,
                timestamp: 0,
            },
            heard: Heard::default(),
            last_event: None,
            digits: VecDeque::new(),
            pressed: 0,
            flaw: None,
        };
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(run(state.clone(), sockets.clone()));
        Ok(Media {
            state,
            sockets,
            task,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it receives, and where it would if it moved.
    pub(super) fn addresses(&self) -> Result<(SocketAddr, SocketAddr)> {
        let used = self.state().socket;
        Ok((
            self.sockets[used].local_addr()?,
            self.sockets[1 - used].local_addr()?,
        ))
    }

    /// This goes wrong from now on.
    pub(super) fn fails(&self, flaw: Flaw) {
        self.state().flaw = Some(flaw);
    }

    /// ICE and DTLS from now on.
    pub(super) fn protects(&self, webrtc: Webrtc) {
        self.state().webrtc = Some(webrtc);
    }

    /// Offer and answer are done: `line` is what they said; `kinds` are the payload types that we named.
    pub(super) fn agrees(
        &self,
        own: &Own,
        line: &Line,
        kinds: &[(u8, String)],
        they_answered: bool,
    ) -> Result<()> {
        let name = |map: &str| map.split('/').next().unwrap_or_default().to_uppercase();
        let chosen = line.formats.iter().find_map(|(kind, map)| {
            let codec = own.codecs.iter().find(|codec| codec.name() == name(map))?;
            Some((*kind, *codec))
        });
        let (kind, codec) = chosen.with_context(|| format!("no codec in {:?}", line.formats))?;
        let rate = if codec == Codec::Opus {
            "48000"
        } else {
            "8000"
        };
        let event = |(_, map): &&(u8, String)| name(map) == EVENTS && map.ends_with(rate);
        let agreed = Agreed {
            to: line.at,
            sends: own.direction.sends && line.direction.receives && !line.is_held(),
            codec,
            kind,
            events: line.formats.iter().find(event).map(|(kind, _)| *kind),
            kinds: kinds.iter().map(|(kind, map)| (*kind, name(map))).collect(),
        };
        let mut state = self.state();
        if self.sockets[1 - state.socket].local_addr()?.port() == own.at.port() {
            state.socket = 1 - state.socket;
        }
        match own.profile {
            Profile::Avp => {}
            Profile::Sdes => {
                let (_, theirs) = line.key.as_ref().context("no key")?;
                let keys = (own.key.clone(), theirs.clone());
                if state.keys.as_ref() != Some(&keys) {
                    state.ciphers = Some(Ciphers::from_sdp(&keys.0, &keys.1)?);
                    state.keys = Some(keys);
                }
            }
            Profile::Webrtc => {
                let webrtc = state.webrtc.as_mut().context("no ICE")?;
                let begins = own.setup.begins(line, they_answered);
                webrtc.agrees(&own.ice, line, begins, Instant::now())?;
            }
        }
        codec.name().clone_into(&mut state.heard.codec);
        state.agreed = Some(agreed);
        Ok(())
    }

    /// What came so far.
    pub(super) fn heard(&self) -> Result<Heard> {
        let state = self.state();
        let broken = state
            .webrtc
            .as_ref()
            .and_then(|webrtc| webrtc.broken.clone());
        if let Some(broken) = broken {
            anyhow::bail!("{broken}");
        }
        let mut heard = state.heard.clone();
        if state
            .agreed
            .as_ref()
            .is_some_and(|agreed| agreed.codec == Codec::Opus)
        {
            heard.tones = None;
        }
        Ok(heard)
    }

    /// The tone that others can hear of it now.
    pub(super) fn tone(&self) -> Option<u32> {
        let state = self.state();
        let agreed = state.agreed.as_ref()?;
        (agreed.sends && agreed.codec != Codec::Opus).then_some(state.tone)
    }

    /// The codec that it speaks.
    pub(super) fn codec(&self) -> Option<Codec> {
        self.state().agreed.as_ref().map(|agreed| agreed.codec)
    }

    /// Presses digits; says whether the other takes any.
    pub(super) fn presses(&self, digits: &str) -> bool {
        let mut state = self.state();
        state.digits.extend(digits.chars());
        state
            .agreed
            .as_ref()
            .is_some_and(|agreed| agreed.events.is_some())
    }

    /// Whether all digits are out.
    pub(super) fn is_done(&self) -> bool {
        self.state().digits.is_empty()
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(state: Arc<Mutex<State>>, sockets: [Arc<UdpSocket>; 2]) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut first, mut second) = ([0; 2048], [0; 2048]);
    loop {
        let came = tokio::select! {
            _ = ticks.tick() => None,
            Ok((length, from)) = sockets[0].recv_from(&mut first) => Some((0, &first[..length], from)),
            Ok((length, from)) = sockets[1].recv_from(&mut second) => Some((1, &second[..length], from)),
        };
        let (used, out) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut out = Vec::new();
            match came {
                None => state.speaks(&mut out),
                Some((_, bytes, _)) if !state.passes(bytes, false) => {}
                Some((socket, bytes, from)) if socket == state.socket => state.takes(bytes, from),
                // Where it does not say that it is, nothing counts.
                Some(_) => {}
            }
            if let Some(webrtc) = &mut state.webrtc {
                out.extend(webrtc.sends(Instant::now()));
            }
            out.retain(|(_, bytes)| state.passes(bytes, true));
            (state.socket, out)
        };
        for (to, bytes) in out {
            let _ = sockets[used].send_to(&bytes, to).await;
        }
    }
}

impl State {
    fn passes(&self, bytes: &[u8], is_sent: bool) -> bool {
        self.flaw.is_none_or(|flaw| flaw.passes(bytes, is_sent))
    }

    fn takes(&mut self, bytes: &[u8], from: SocketAddr) {
        if let Some(webrtc) = &mut self.webrtc
            && bytes.first().is_some_and(|first| *first < 128)
        {
            webrtc.takes(bytes, from, Instant::now());
            return;
        }
        if packet::is_rtcp(bytes) {
            return;
        }
        let plain = match (&mut self.webrtc, &mut self.ciphers) {
            (Some(webrtc), _) => webrtc
                .ciphers
                .as_mut()
                .and_then(|ciphers| ciphers.decrypt(bytes)),
            (None, Some(ciphers)) => ciphers.decrypt(bytes),
            (None, None) => Some(bytes.to_vec()),
        };
        if let Some(packet) = plain.as_deref().and_then(Packet::read) {
            self.counts(packet);
        }
    }

    fn counts(&mut self, packet: Packet<'_>) {
        let named = self
            .agreed
            .as_ref()
            .and_then(|agreed| agreed.kinds.get(&packet.kind));
        let name = named
            .cloned()
            .unwrap_or_else(|| format!("?{}", packet.kind));
        if name == EVENTS {
            if let Some((digit, true)) = packet::digit(packet.payload)
                && self.last_event.replace(packet.timestamp) != Some(packet.timestamp)
            {
                self.heard.digits.push(digit);
            }
            return;
        }
        let law = match name.as_str() {
            "PCMU" => Some(Law::Mu),
            "PCMA" => Some(Law::A),
            _ => None,
        };
        let tones = self.heard.tones.get_or_insert_default();
        if let Some(tone) = law.and_then(|law| law.recognise(packet.payload)) {
            *tones.entry(tone).or_default() += 1;
        }
        *self.heard.packets.entry(name).or_default() += 1;
    }

    /// A packet, every 20 ms.
    fn speaks(&mut self, out: &mut Vec<(SocketAddr, Vec<u8>)>) {
        let Some(agreed) = &self.agreed else { return };
        let step = if agreed.codec == Codec::Opus {
            6 * tone::SAMPLES
        } else {
            tone::SAMPLES
        };
        let now = self.stream.timestamp;
        self.stream.timestamp = now.wrapping_add(step);
        let to = match &self.webrtc {
            Some(webrtc) => webrtc.way,
            None => Some(agreed.to),
        };
        let (Some(to), true) = (to, agreed.sends) else {
            return;
        };
        let packet = match (self.digits.front().copied(), agreed.events) {
            (Some(digit), Some(kind)) => {
                self.pressed += 1;
                let count = self.pressed;
                if count > PRESSED + ENDS {
                    if count == PRESSED + ENDS + PAUSE {
                        self.pressed = 0;
                        self.digits.pop_front();
                    }
                    return;
                }
                // RFC 4733 §2.5.1.2: all packets of a digit bear the time of its beginning.
                let begin = now.wrapping_sub(step * (count - 1));
                let duration = step * count.min(PRESSED);
                let body = packet::event(digit, count > PRESSED, duration.min(65_535) as u16);
                self.stream.packet(kind, count == 1, begin, &body)
            }
            _ => {
                let payload = match agreed.codec {
                    Codec::Pcmu => Law::Mu.packet(self.tone, now),
                    Codec::Pcma => Law::A.packet(self.tone, now),
                    Codec::Opus => OPUS.to_vec(),
                };
                self.stream.packet(agreed.kind, false, now, &payload)
            }
        };
        let sealed = match (&mut self.webrtc, &mut self.ciphers) {
            (Some(webrtc), _) => webrtc
                .ciphers
                .as_mut()
                .and_then(|ciphers| ciphers.encrypt(&packet)),
            (None, Some(ciphers)) => ciphers.encrypt(&packet),
            (None, None) => Some(packet),
        };
        out.extend(sealed.map(|packet| (to, packet)));
    }
}
