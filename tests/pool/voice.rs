//! A voice: RTP of one party, 50 packets a second, until it falls silent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use causeway_tests::wait;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A socket for media, and what it heard.
pub(crate) struct Voice {
    socket: Arc<UdpSocket>,
    heard: Arc<AtomicU64>,
    speaks: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Voice {
    pub(crate) async fn new() -> Self {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let heard = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let (hears, count) = (socket.clone(), heard.clone());
        tasks.spawn(async move {
            let mut packet = [0; 2048];
            while let Ok(length) = hears.recv(&mut packet).await {
                // Version 2, and PCMU.
                if length > 12 && packet[0] & 0xc0 == 0x80 && packet[1] & 0x7f == 0 {
                    count.fetch_add(1, Relaxed);
                }
            }
        });
        Voice {
            socket,
            heard,
            speaks: Arc::new(AtomicBool::new(false)),
            tasks,
        }
    }

    /// What it says of itself.
    pub(crate) fn sdp(&self, direction: &str) -> String {
        let port = self.socket.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 7 {port} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
             a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na={direction}\r\n"
        )
    }

    /// Speaks to the address in this SDP until it is told to stop.
    pub(crate) fn speaks_to(&mut self, sdp: &str) {
        let line = sdp
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))
            .unwrap();
        let port: u16 = line.split(' ').next().unwrap().parse().unwrap();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.speaks.store(true, Relaxed);
        let (socket, speaks) = (self.socket.clone(), self.speaks.clone());
        self.tasks.spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(20));
            let mut packet = [0xff; 172];
            packet[..2].copy_from_slice(&[0x80, 0]);
            packet[8..12].copy_from_slice(&port.to_be_bytes().repeat(2));
            for sequence in 0_u16.. {
                every.tick().await;
                if !speaks.load(Relaxed) {
                    return;
                }
                packet[2..4].copy_from_slice(&sequence.to_be_bytes());
                packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
                // Nobody may listen any more.
                let _ = socket.send_to(&packet, to).await;
            }
        });
    }

    /// From here on it says nothing.
    pub(crate) fn falls_silent(&self) {
        self.speaks.store(false, Relaxed);
    }

    /// Packets that it has heard.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// Waits until it has heard so many more.
    pub(crate) async fn hears(&self, more: u64) {
        let goal = self.heard() + more;
        let hears = wait::until(Duration::from_secs(20), || self.heard() >= goal).await;
        assert!(hears, "{} of {goal} packets", self.heard());
    }
}
