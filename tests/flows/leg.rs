//! A phone with RTP: its signalling is an agent's, its media a socket of the test that sends what it is told to and counts what
//! comes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Device, Kind};
use causeway_tests::scene::Scene;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

/// Audio is there at once, or it never comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Packets that make a stream.
const STREAM: usize = 5;
const PACE: Duration = Duration::from_millis(10);

/// PCMU.
pub(crate) const PCMU: u8 = 0;

/// One RTP socket.
pub(crate) struct Leg {
    socket: UdpSocket,
    pub(crate) port: u16,
    /// Where it sends.
    pub(crate) to: Option<SocketAddr>,
    /// What it sends.
    pub(crate) payload: u8,
}

impl Leg {
    pub(crate) async fn open() -> Result<Self> {
        Self::open_at(Ipv4Addr::LOCALHOST.into()).await
    }

    pub(crate) async fn open_at(host: IpAddr) -> Result<Self> {
        let socket = UdpSocket::bind((host, 0)).await?;
        let port = socket.local_addr()?.port();
        Ok(Leg {
            socket,
            port,
            to: None,
            payload: PCMU,
        })
    }

    /// Plain audio at this socket, with PCMU, PCMA and keys.
    pub(crate) fn sdp(&self, direction: &str) -> String {
        self.sdp_of("0 8 101", direction)
    }

    /// The same with these payload types.
    pub(crate) fn sdp_of(&self, formats: &str, direction: &str) -> String {
        let sdp = audio(self.port, formats, direction);
        match self.socket.local_addr() {
            Ok(SocketAddr::V6(_)) => sdp.replace("IP4 127.0.0.1", "IP6 ::1"),
            _ => sdp,
        }
    }

    /// Sends to where a description says that its peer receives audio.
    pub(crate) fn follows(&mut self, sdp: &str) -> Result<()> {
        let port = port_of(sdp, 0).context("no audio in the description")?;
        ensure!(port != 0, "audio was rejected: {sdp}");
        let connection = sdp.lines().find_map(|line| line.strip_prefix("c=IN IP"));
        let host: IpAddr = connection
            .and_then(|line| line.get(2..)?.parse().ok())
            .context("no address in the description")?;
        self.to = Some(SocketAddr::new(host, port));
        Ok(())
    }

    /// It is another socket from now on, and sends to where this description says.
    pub(crate) fn moves_to(&mut self, other: Leg, sdp: &str) -> Result<()> {
        *self = other;
        self.follows(sdp)
    }

    async fn send(&self, number: u16) {
        let Some(to) = self.to else { return };
        let mut packet = vec![0x80, self.payload];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend(u32::from(self.port).to_be_bytes());
        match self.payload {
            // RFC 6716 §3.1: 20 ms of silence in Opus.
            96.. => packet.extend([0xf8, 0xff, 0xfe]),
            _ => packet.extend([0xd5; 160]),
        }
        let _ = self.socket.send_to(&packet, to).await;
    }

    /// Counts by payload type what is here already.
    async fn take(&self, counted: &mut BTreeMap<u8, usize>) {
        let mut buffer = [0; 2048];
        while let Ok(Ok(length)) =
            timeout(Duration::from_millis(1), self.socket.recv(&mut buffer)).await
        {
            // RFC 5761 §4: what would be RTCP.
            if length > 12 && !(200..=204).contains(&buffer[1]) {
                *counted.entry(buffer[1] & 0x7f).or_default() += 1;
            }
        }
    }
}

/// First one speaks and the other one is silent, then the other way round: RTPEngine sends to where packets come from, and who
/// speaks would so mend within seconds what was wrong.
pub(crate) async fn talk(one: &Leg, other: &Leg) -> Result<()> {
    speaks(one, other, one.payload).await?;
    speaks(other, one, other.payload).await
}

/// One speaks until the other one has heard a stream of this payload type.
pub(crate) async fn speaks(one: &Leg, other: &Leg, heard_as: u8) -> Result<()> {
    let mut counted = BTreeMap::new();
    other.take(&mut counted).await;
    counted.clear();
    speaks_on(one, other, heard_as, &mut counted).await
}

async fn speaks_on(
    one: &Leg,
    other: &Leg,
    heard_as: u8,
    counted: &mut BTreeMap<u8, usize>,
) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut number = 0_u16;
    while counted.get(&heard_as).is_none_or(|count| *count < STREAM) {
        ensure!(
            Instant::now() < until,
            "{number} packets from {} to {:?}; port {} heard {counted:?} and waits for {heard_as}",
            one.port,
            one.to,
            other.port
        );
        number = number.wrapping_add(1);
        one.send(number).await;
        sleep(PACE).await;
        other.take(counted).await;
    }
    Ok(())
}

/// What one says does not reach the other any more: a third, who is heard, shows that the way is open.
pub(crate) async fn is_unheard(one: &mut Leg, other: &Leg, third: &Leg) -> Result<()> {
    const ANOTHER: u8 = 8;
    one.payload = ANOTHER;
    let until = Instant::now() + PATIENCE;
    loop {
        let mut counted = BTreeMap::new();
        other.take(&mut counted).await;
        counted.clear();
        for number in 0..STREAM as u16 {
            one.send(number).await;
        }
        speaks_on(third, other, third.payload, &mut counted).await?;
        if !counted.contains_key(&ANOTHER) {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "port {} still hears {}: {counted:?}",
            other.port,
            one.port
        );
    }
}

/// A description of plain audio.
pub(crate) fn audio(port: u16, formats: &str, direction: &str) -> String {
    format!(
        "v=0\r\no=- 4397 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n"
    )
}

/// The port of an m= line.
pub(crate) fn port_of(sdp: &str, index: usize) -> Option<u16> {
    let line = sdp
        .lines()
        .filter(|line| line.starts_with("m="))
        .nth(index)?;
    line.split(' ').nth(1)?.parse().ok()
}

/// Two phones of one user. One that refuses over a datagram keeps its transaction for 32 s (RFC 3261 §17.1.1.2, timer D).
pub(crate) async fn phones(scene: &Scene, user: &str, kind: Kind) -> Result<[Device; 2]> {
    let account = scene.agent(user, kind);
    let own = async |instance| {
        let mut device = Device::open(&account, None).await?.as_flow(instance, 1);
        let registered = device.registers().await?;
        ensure!(registered.status == 200, "{registered:?}");
        anyhow::Ok(device)
    };
    Ok([own(1).await?, own(2).await?])
}
