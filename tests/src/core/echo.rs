//! Audio that comes back: every packet is returned to where it came from.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A socket that echoes until it is dropped.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) port: u16,
    packets: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Echo {
    pub(super) async fn open(host: IpAddr) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(host, 0)).await?;
        let port = socket.local_addr()?.port();
        let packets = Arc::new(AtomicU64::new(0));
        let counter = packets.clone();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 2048];
            loop {
                if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let _ = socket.send_to(&buffer[..length], from).await;
                }
            }
        });
        Ok(Echo {
            port,
            packets,
            task,
        })
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}
