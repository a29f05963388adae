//! Where devices are now: device → newest flow, filled from REGISTERs that were answered 2xx, expiring with the binding
//! (SIGNALLING §5). Soft: losing it loses no call.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use proxy::token::FlowAddress;
use proxy::{ConnectionId, Device, Flow, Flows, ListenerId};
use sip::Transport;
use tokio::sync::Notify;

use crate::transport::Transports;

/// Devices that one node remembers at most: about 100 bytes each.
const DEVICES: usize = 2_000_000;
const SHARDS: usize = 64;

/// The index of a node.
pub(crate) struct DeviceIndex {
    transports: Arc<OnceLock<Transports>>,
    listeners: Vec<(Transport, std::net::SocketAddr)>,
    newest: DashMap<Device, (Flow, Instant)>,
    behind: DashMap<(ListenerId, FlowAddress), Device>,
    /// Told whenever a device appears at a new flow.
    pub(crate) appeared: Notify,
}

impl DeviceIndex {
    /// An empty index; `listeners` are what tokens number.
    pub(crate) fn new(transports: Arc<OnceLock<Transports>>, listeners: Vec<(Transport, std::net::SocketAddr)>) -> Self {
        Self {
            transports,
            listeners,
            newest: DashMap::with_shard_amount(SHARDS),
            behind: DashMap::with_shard_amount(SHARDS),
            appeared: Notify::new(),
        }
    }

    /// A device registered by this flow.
    pub(crate) fn learn(&self, device: Device, flow: Flow, expires: Duration) {
        if self.newest.len() >= DEVICES && !self.newest.contains_key(&device) {
            return;
        }
        let until = Instant::now() + expires;
        let before = self.newest.insert(device, (flow, until));
        if before.is_none_or(|(old, _)| old.address() != flow.address() || old.listener != flow.listener) {
            if let Some((old, _)) = before {
                self.behind.remove_if(&(old.listener, old.address()), |_, known| *known == device);
            }
            self.behind.insert((flow.listener, flow.address()), device);
            self.appeared.notify_waiters();
        }
    }

    /// A device removed its registration.
    pub(crate) fn forget(&self, device: Device) {
        if let Some((_, (flow, _))) = self.newest.remove(&device) {
            self.behind.remove(&(flow.listener, flow.address()));
        }
    }

    /// A connection closed: what registered by it is not there any more. True if a device did.
    pub(crate) fn closed(&self, flow: &Flow) -> bool {
        let Some((_, device)) = self.behind.remove(&(flow.listener, flow.address())) else { return false };
        self.newest.remove_if(&device, |_, (newest, _)| newest.address() == flow.address());
        true
    }

    /// Removes what has expired; called now and then.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.newest.retain(|_, (_, until)| *until > now);
        self.behind.retain(|_, device| self.newest.contains_key(device));
    }

    /// How many devices are known.
    pub(crate) fn len(&self) -> usize {
        self.newest.len()
    }
}

impl Flows for DeviceIndex {
    fn flow(&self, listener: ListenerId, address: FlowAddress) -> Option<Flow> {
        match address {
            FlowAddress::Connection(bits) => self.transports.get()?.connection(ConnectionId::from_bits(bits)),
            FlowAddress::Udp(peer) => {
                let (transport, local) = *self.listeners.get(usize::from(listener.0))?;
                (transport == Transport::Udp).then_some(Flow { listener, transport, local, peer, connection: None })
            }
        }
    }

    fn newest(&self, device: Device) -> Option<Flow> {
        let (flow, until) = *self.newest.get(&device)?;
        let transports = self.transports.get()?;
        let lives = flow.connection.is_none_or(|id| transports.connection(id).is_some());
        (until > Instant::now() && lives).then_some(flow)
    }

    fn device(&self, flow: &Flow) -> Option<Device> {
        self.behind.get(&(flow.listener, flow.address())).map(|device| *device)
    }
}
