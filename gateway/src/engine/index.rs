//! Where devices are now: device → newest flow, filled from REGISTERs that were answered 2xx, expiring with the binding
//! (SIGNALLING §5). Soft: losing it loses no call.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use proxy::path::PathStyle;
use proxy::site::Listener;
use proxy::token::FlowAddress;
use proxy::{ConnectionId, Device, Flow, Flows, ListenerId};
use sip::Transport;
use tokio::sync::Notify;

use crate::transport::Transports;

/// Devices that one node remembers at most: about 100 bytes each.
const DEVICES: usize = 2_000_000;
const SHARDS: usize = 64;
/// A device that lost its connection may come back within this time without registering again: SIP.js does not.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);
/// So long a registrar may go on asking for a flow that is dead: as long as registrations are.
const DEAD_FOR: Duration = Duration::from_secs(3600);
/// Nobody is registered for longer, whatever an answer says: a clock does not go as far as a header does.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// For how long a device is known that spoke in a dialog and never registered here: it came from another node. Within this
/// time its registration has to be refreshed, and that comes by here too.
const VISITS: Duration = Duration::from_secs(3600);

/// What is known of a device.
#[derive(Clone, Copy)]
struct Known {
    flow: Flow,
    until: Instant,
    /// Its whole name, if it registered here.
    whole: Option<u64>,
    /// Another living device has the same short name, so nobody can say whose the newest flow is.
    shared: bool,
}

/// The index of a node.
pub(crate) struct DeviceIndex {
    transports: Arc<OnceLock<Transports>>,
    listeners: Vec<(Transport, SocketAddr)>,
    /// Listeners whose devices are also found by their address ([`PathStyle::Received`]).
    by_address: Vec<ListenerId>,
    /// Connections of their devices.
    connections: DashMap<(Transport, SocketAddr), Flow>,
    newest: DashMap<Device, Known>,
    /// Who has left: its connection closed, or it answers no more. Known for as long as a registration lasts, at a connection
    /// for as long as it may take to come back.
    away: DashMap<Device, Known>,
    behind: DashMap<(ListenerId, FlowAddress), Device>,
    /// Connections that closed, and which device was behind.
    gone: Mutex<VecDeque<(Instant, Flow, Device)>>,
    /// Datagrams' flows whose device answers no more, and when that was seen. A flow has no end of its own there.
    dead: DashMap<(ListenerId, FlowAddress), Instant>,
    /// Whether there may be any: asked for every message.
    any_dead: AtomicBool,
    /// Told whenever a device appears at a new flow.
    pub(crate) appeared: Notify,
}

impl DeviceIndex {
    /// An empty index; `listeners` are what tokens number.
    pub(crate) fn new(transports: Arc<OnceLock<Transports>>, listeners: &[Listener]) -> Self {
        let by_address = listeners.iter().filter(|l| l.path == PathStyle::Received);
        Self {
            transports,
            listeners: listeners.iter().map(|l| (l.transport, l.bind)).collect(),
            by_address: by_address.map(|listener| listener.id).collect(),
            connections: DashMap::new(),
            newest: DashMap::with_shard_amount(SHARDS),
            away: DashMap::with_shard_amount(SHARDS),
            behind: DashMap::with_shard_amount(SHARDS),
            gone: Mutex::default(),
            dead: DashMap::new(),
            any_dead: AtomicBool::new(false),
            appeared: Notify::new(),
        }
    }

    /// A device registered by this flow: its whole name ([`proxy::device::whole`]).
    pub(crate) fn learn(&self, whole: u64, flow: Flow, expires: Duration) {
        let device = Device::from(whole);
        self.is_heard(&flow);
        let now = Instant::now();
        let mut known = Known {
            flow,
            until: now + expires.min(LONGEST),
            whole: Some(whole),
            shared: false,
        };
        if let Some(mut other) = self
            .newest
            .get_mut(&device)
            .filter(|other| other.until > now)
        {
            known.shared = other.shared || other.whole.is_some_and(|other| other != whole);
            if known.shared {
                (other.shared, other.until) = (true, other.until.max(known.until));
                return;
            }
        }
        self.note(device, known);
    }

    /// A device spoke inside a dialog by this flow ([`proxy::decision::Forward::moved`]). That is no registration: who was
    /// registered is known no longer than before.
    pub(crate) fn moved(&self, device: Device, flow: Flow) {
        self.is_heard(&flow);
        let known = match self.known(device) {
            Some(known) if known.shared => return,
            Some(known) => Known { flow, ..known },
            None => Known {
                flow,
                until: Instant::now() + VISITS,
                whole: None,
                shared: false,
            },
        };
        self.note(device, known);
    }

    /// What is known of a device, present or away.
    fn known(&self, device: Device) -> Option<Known> {
        let of = |map: &DashMap<Device, Known>| map.get(&device).map(|known| *known);
        let known = of(&self.newest).or_else(|| of(&self.away))?;
        (known.until > Instant::now()).then_some(known)
    }

    /// A flow that was dead is not.
    fn is_heard(&self, flow: &Flow) {
        if self.any_dead.load(Ordering::Relaxed) {
            self.dead.remove(&(flow.listener, flow.address()));
        }
    }

    fn note(&self, device: Device, known: Known) {
        let flow = known.flow;
        if self.newest.len() >= DEVICES && !self.newest.contains_key(&device) {
            return;
        }
        let before = self.newest.insert(device, known).map(|before| before.flow);
        if before.is_none_or(|old| old.address() != flow.address() || old.listener != flow.listener)
        {
            if let Some(old) = before {
                self.behind
                    .remove_if(&(old.listener, old.address()), |_, known| *known == device);
            }
            self.away.remove(&device);
            self.behind.insert((flow.listener, flow.address()), device);
            if flow.connection.is_some() && self.by_address.contains(&flow.listener) {
                self.connections.insert((flow.transport, flow.peer), flow);
            }
            self.appeared.notify_waiters();
        }
    }

    /// A device removed its registration.
    pub(crate) fn forget(&self, device: Device) {
        self.away.remove(&device);
        if let Some((_, Known { flow, .. })) = self.newest.remove(&device) {
            self.behind.remove(&(flow.listener, flow.address()));
        }
    }

    /// A device is not at this flow any more. Its name and how long it is registered are kept, since it may come back and not
    /// say them.
    fn left(&self, device: Device, flow: &Flow) {
        let here = |_: &Device, known: &Known| known.flow.address() == flow.address();
        if let Some((_, known)) = self.newest.remove_if(&device, here)
            && self.away.len() < DEVICES
        {
            self.away.insert(device, known);
        }
    }

    /// A device does not answer any more at this flow of datagrams: what is for the flow fails until it registers again, or
    /// speaks in a dialog.
    pub(crate) fn died(&self, device: Device, flow: &Flow) {
        self.behind.remove(&(flow.listener, flow.address()));
        self.left(device, flow);
        if self.dead.len() < DEVICES {
            self.dead
                .insert((flow.listener, flow.address()), Instant::now());
            self.any_dead.store(true, Ordering::Relaxed);
        }
    }

    /// A connection closed: what registered by it is not there any more, for now.
    pub(crate) fn closed(&self, flow: &Flow) {
        if !self.by_address.is_empty() {
            self.connections
                .remove_if(&(flow.transport, flow.peer), |_, known| known == flow);
        }
        let Some((_, device)) = self.behind.remove(&(flow.listener, flow.address())) else {
            return;
        };
        self.left(device, flow);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.len() < DEVICES {
            gone.push_back((Instant::now(), *flow, device));
        }
    }

    /// Removes what has expired; called now and then. The flows whose device did not come back in time.
    pub(crate) fn sweep(&self, now: Instant) -> Vec<Flow> {
        self.newest.retain(|_, known| known.until > now);
        self.away.retain(|_, known| known.until > now);
        self.connections.retain(|_, flow| self.lives(flow));
        if self.any_dead.load(Ordering::Relaxed) {
            self.dead.retain(|_, since| *since + DEAD_FOR > now);
            self.any_dead
                .store(!self.dead.is_empty(), Ordering::Relaxed);
        }
        self.behind
            .retain(|_, device| self.newest.contains_key(device));
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lost = Vec::new();
        while gone
            .front()
            .is_some_and(|(since, ..)| *since + COMES_BACK_WITHIN < now)
        {
            let Some((_, flow, device)) = gone.pop_front() else {
                break;
            };
            self.away.remove_if(&device, |_, known| known.flow == flow);
            if !self.newest.contains_key(&device) {
                lost.push(flow);
            }
        }
        lost
    }

    /// A connection can close while its device is being noted.
    fn lives(&self, flow: &Flow) -> bool {
        self.transports.get().is_some_and(|transports| {
            flow.connection
                .is_none_or(|id| transports.connection(id).is_some())
        })
    }

    /// How many devices are known.
    pub(crate) fn len(&self) -> usize {
        self.newest.len()
    }
}

impl DeviceIndex {
    /// The flow that a request came by, for its answer: whoever asks is there.
    pub(crate) fn back(&self, listener: ListenerId, address: FlowAddress) -> Option<Flow> {
        match address {
            FlowAddress::Connection(bits) => self
                .transports
                .get()?
                .connection(ConnectionId::from_bits(bits)),
            FlowAddress::Udp(peer) => {
                let (transport, local) = *self.listeners.get(usize::from(listener.0))?;
                (transport == Transport::Udp).then_some(Flow {
                    listener,
                    transport,
                    local,
                    peer,
                    connection: None,
                })
            }
        }
    }
}

impl Flows for DeviceIndex {
    fn flow(&self, listener: ListenerId, address: FlowAddress) -> Option<Flow> {
        let is_dead =
            self.any_dead.load(Ordering::Relaxed) && self.dead.contains_key(&(listener, address));
        self.back(listener, address).filter(|_| !is_dead)
    }

    fn newest(&self, device: Device) -> Option<Flow> {
        let Known {
            flow,
            until,
            shared,
            ..
        } = *self.newest.get(&device)?;
        (until > Instant::now() && self.lives(&flow) && !shared).then_some(flow)
    }

    fn last(&self, device: Device) -> Option<Flow> {
        let known = self.known(device).filter(|known| !known.shared)?;
        Some(known.flow)
    }

    fn connection_from(&self, transport: Transport, peer: SocketAddr) -> Option<Flow> {
        let known = *self.connections.get(&(transport, peer))?;
        self.transports.get()?.connection(known.connection?)
    }

    fn device(&self, flow: &Flow) -> Option<Device> {
        self.behind
            .get(&(flow.listener, flow.address()))
            .map(|device| *device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u64 = 0x0102_0304_0506_0708;

    fn connection(bits: u64) -> Flow {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5060));
        let connection = Some(ConnectionId::from_bits(bits));
        Flow {
            listener: ListenerId(0),
            transport: Transport::Ws,
            local: address,
            peer: address,
            connection,
        }
    }

    #[test]
    fn a_flow_is_lost_when_its_device_does_not_come_back() {
        let index = DeviceIndex::new(Arc::default(), &[]);
        let hour = Duration::from_secs(3600);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        index.learn(WHOLE, connection(1), hour);
        index.closed(&connection(1));
        assert_eq!(index.sweep(later(30)), [], "it may still come");
        assert_eq!(index.sweep(later(61)), [connection(1)]);
        assert_eq!(index.sweep(later(62)), [], "told once");

        index.learn(WHOLE, connection(2), hour);
        index.closed(&connection(2));
        index.learn(WHOLE, connection(3), hour);
        assert_eq!(index.sweep(later(61)), [], "it came by another connection");
        assert_eq!(index.device(&connection(3)), Some(Device::from(WHOLE)));
    }

    #[test]
    fn a_device_is_forgotten_when_its_binding_expires() {
        let index = DeviceIndex::new(Arc::default(), &[]);
        index.learn(WHOLE, connection(1), Duration::from_secs(60));
        index.sweep(Instant::now() + Duration::from_secs(59));
        assert_eq!(index.len(), 1);
        index.sweep(Instant::now() + Duration::from_secs(61));
        assert_eq!((index.len(), index.device(&connection(1))), (0, None));
    }

    #[test]
    fn a_device_may_be_said_to_be_registered_for_ever() {
        let index = DeviceIndex::new(Arc::default(), &[]);
        index.learn(WHOLE, connection(1), Duration::from_secs(u64::MAX));
        index.sweep(Instant::now() + LONGEST / 2);
        assert_eq!(index.len(), 1);
        index.sweep(Instant::now() + LONGEST + Duration::from_secs(1));
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_device_that_moved_is_who_it_was_and_no_longer_than_before() {
        let index = DeviceIndex::new(Arc::default(), &[]);
        let device = Device::from(WHOLE);
        let known = |index: &DeviceIndex| {
            let known = *index.newest.get(&device).unwrap();
            (known.flow, known.whole, known.until)
        };
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        index.learn(WHOLE, connection(1), Duration::from_secs(300));
        let (.., until) = known(&index);
        index.closed(&connection(1));
        index.moved(device, connection(2));
        assert_eq!(known(&index), (connection(2), Some(WHOLE), until));
        assert_eq!(index.device(&connection(2)), Some(device));
        assert_eq!(index.sweep(later(61)), [], "it came back");
        index.sweep(later(301));
        assert_eq!(index.len(), 0, "its registration was not refreshed");

        index.moved(device, connection(3));
        let (flow, whole, until) = known(&index);
        assert_eq!((flow, whole), (connection(3), None), "from another node");
        assert!(until <= later(3600), "until it registers again");
        index.learn(WHOLE, connection(3), Duration::from_secs(60));
        let (_, whole, until) = known(&index);
        assert_eq!(whole, Some(WHOLE), "now it has");
        assert!(until <= later(60));

        index.learn(WHOLE + 1, connection(4), Duration::from_secs(60));
        index.moved(device, connection(5));
        assert_eq!(
            known(&index).0,
            connection(3),
            "of two devices with that name nobody knows which one"
        );
    }

    #[test]
    fn a_silent_phone_is_known_until_it_speaks_or_its_registration_ends() {
        let index = DeviceIndex::new(Arc::default(), &[]);
        let device = Device::from(WHOLE);
        let port = |port| Flow {
            transport: Transport::Udp,
            peer: SocketAddr::from(([127, 0, 0, 1], port)),
            connection: None,
            ..connection(0)
        };
        let is_dead = |flow: &Flow| index.dead.contains_key(&(flow.listener, flow.address()));
        index.learn(WHOLE, port(5060), Duration::from_secs(300));
        index.died(device, &port(5060));
        assert_eq!((index.len(), index.device(&port(5060))), (0, None));
        assert_eq!(index.last(device), Some(port(5060)));
        index.moved(device, port(5060));
        assert_eq!((index.len(), is_dead(&port(5060))), (1, false));

        index.died(device, &port(5060));
        index.moved(device, port(5061));
        assert_eq!(
            (index.len(), is_dead(&port(5060))),
            (1, true),
            "its old port"
        );
        index.died(device, &port(5061));
        index.sweep(Instant::now() + Duration::from_secs(301));
        assert_eq!((index.last(device), index.away.len()), (None, 0));
    }

    #[test]
    fn two_devices_of_one_short_name_are_found_by_their_paths_and_not_by_each_others_flow() {
        let index = DeviceIndex::new(Arc::default(), &[]);
        let hour = Duration::from_secs(3600);
        let shared = |index: &DeviceIndex| {
            index
                .newest
                .get(&Device::from(WHOLE))
                .map(|known| (known.flow, known.shared))
        };
        index.learn(WHOLE, connection(1), hour);
        index.learn(WHOLE, connection(2), hour);
        assert_eq!(
            shared(&index),
            Some((connection(2), false)),
            "a device that moved"
        );
        index.learn(WHOLE + 1, connection(3), hour);
        assert_eq!(shared(&index), Some((connection(2), true)), "somebody else");
        index.learn(WHOLE, connection(4), hour);
        assert_eq!(
            shared(&index).map(|(_, shared)| shared),
            Some(true),
            "still two of them"
        );
        index.sweep(Instant::now() + Duration::from_secs(3601));
        index.learn(WHOLE, connection(5), hour);
        assert_eq!(
            shared(&index),
            Some((connection(5), false)),
            "the other one is gone"
        );
    }
}
