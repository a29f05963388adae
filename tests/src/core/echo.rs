//! Audio that comes back: every packet is returned to where it came from, unless the call is held.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A socket that echoes until it is dropped.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) port: u16,
    /// By payload type.
    packets: Arc<Mutex<BTreeMap<u8, u64>>>,
    is_quiet: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Echo {
    pub(super) async fn open(host: IpAddr) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(host, 0)).await?;
        let port = socket.local_addr()?.port();
        let packets = Arc::new(Mutex::new(BTreeMap::new()));
        let is_quiet = Arc::new(AtomicBool::new(false));
        let (counter, quiet) = (packets.clone(), is_quiet.clone());
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 2048];
            loop {
                if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    if length < 12 {
                        continue;
                    }
                    let kind = buffer[1] & 127;
                    {
                        let mut counts = counter.lock().unwrap_or_else(PoisonError::into_inner);
                        *counts.entry(kind).or_default() += 1;
                    }
                    if !quiet.load(Ordering::Relaxed) {
                        let _ = socket.send_to(&buffer[..length], from).await;
                    }
                }
            }
        });
        Ok(Echo {
            port,
            packets,
            is_quiet,
            task,
        })
    }

    /// What came, by payload type.
    pub(super) fn packets(&self) -> BTreeMap<u8, u64> {
        let packets = self.packets.lock();
        packets.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends nothing back, or does again.
    pub(super) fn is_quiet(&self, quiet: bool) {
        self.is_quiet.store(quiet, Ordering::Relaxed);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}
