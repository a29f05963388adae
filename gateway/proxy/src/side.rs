//! Towards whom we face: trust follows the listener and its access lists, never a header (DESIGN §9).
//!
//! A listener faces one side, or both: a single-homed edge has one address for devices and for the core, and there the source
//! says which it is.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use sip::Transport;

use crate::decision::{Context, Hop};
use crate::flow::{Flow, ListenerId};
use crate::site::{Group, Listener, Site};
use crate::token::{FlowAddress, ViaToken};

/// Who speaks to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Browsers, softphones, desk phones: hostile.
    Device,
    /// Registrars and the core: trusted by access list.
    Core,
}

/// True for an address of one of these networks; an IPv4 address that IPv6 maps is itself.
pub(crate) fn within(networks: &[IpNet], address: IpAddr) -> bool {
    let ip = address.to_canonical();
    networks.iter().any(|net| net.contains(&ip))
}

impl Listener {
    /// The side of whoever speaks to this listener from `peer`.
    pub fn side_of(&self, peer: SocketAddr) -> Side {
        // What comes from ourselves a device may have caused: it is no more trusted than he is.
        if self.side == Side::Core || within(&self.core, peer.ip()) && peer != self.bind {
            Side::Core
        } else {
            Side::Device
        }
    }

    /// True where the core can speak to us, alone or beside devices.
    pub fn faces_core(&self) -> bool {
        self.side == Side::Core || !self.core.is_empty()
    }
}

impl Site {
    /// Who is at the other end of a flow; what we do not know counts as hostile.
    pub fn side_of(&self, flow: &Flow) -> Side {
        self.listener(flow.listener)
            .map_or(Side::Device, |listener| listener.side_of(flow.peer))
    }

    /// The listener in whose name a request leaves for `hop`: one that faces the core, before any other.
    pub fn leaving_by(&self, hop: &Hop) -> Option<&Listener> {
        let (transport, to) = match hop {
            Hop::Flow(flow) => return self.listener(flow.listener),
            Hop::Server { transport, address } => (*transport, *address),
        };
        if let Some((listener, _)) = self.listener_of_group(transport, to) {
            return Some(listener);
        }
        let family = |listener: &&Listener| listener.bind.is_ipv4() == to.is_ipv4();
        let any_towards_core = || {
            let mut core = self
                .listeners
                .iter()
                .filter(|l| l.side_of(to) == Side::Core);
            core.find(family)
        };
        self.listener_towards(Side::Core, transport, to)
            .or_else(any_towards_core)
            .or_else(|| self.listener_towards(Side::Device, transport, to))
            .or_else(|| self.listeners.iter().find(family))
    }

    /// The listener of the group that has a member of this address and names its listeners, and whether the member is outside:
    /// one of its transport, before any of its address family.
    fn listener_of_group(&self, transport: Transport, to: SocketAddr) -> Option<(&Listener, bool)> {
        let mut naming = self
            .groups
            .iter()
            .filter(|group| !group.listeners.is_empty());
        let group = naming.find(|group| group.has(to))?;
        let named = || {
            let all = group.listeners.iter().filter_map(|id| self.listener(*id));
            all.filter(|listener| listener.bind.is_ipv4() == to.is_ipv4())
        };
        let listener = named()
            .find(|listener| listener.transport == transport)
            .or_else(|| named().next())?;
        Some((listener, self.is_outside(group, to)))
    }

    /// True for a member of a group outside, unless its address is the core's.
    pub(crate) fn is_outside(&self, group: &Group, address: SocketAddr) -> bool {
        group.outside && !within(&self.core, address.ip())
    }

    /// True for what leaves towards devices or a member outside; the core is inside.
    pub(crate) fn leads_outside(&self, hop: &Hop) -> bool {
        match hop {
            Hop::Flow(_) => true,
            Hop::Server { transport, address } => self
                .listener_of_group(*transport, *address)
                .is_some_and(|(_, outside)| outside),
        }
    }

    /// True for what may be told who a caller is that asks for privacy (RFC 3325 §7): the core, and a peer that is believed.
    pub(crate) fn confides_in(&self, hop: &Hop) -> bool {
        match hop {
            Hop::Flow(flow) => self.believes(flow),
            Hop::Server { transport, address } => {
                match self.listener_of_group(*transport, *address) {
                    Some((listener, true)) => {
                        let peer = self.peers.of(listener.id, address.ip());
                        peer.is_some_and(|index| self.peers.all()[index].identity)
                    }
                    _ => true,
                }
            }
        }
    }

    /// The first listener to whom `to` is of this side, that speaks `transport` in the address family of `to`.
    pub fn listener_towards(
        &self,
        side: Side,
        transport: Transport,
        to: SocketAddr,
    ) -> Option<&Listener> {
        self.listeners.iter().find(|listener| {
            listener.side_of(to) == side
                && listener.transport == transport
                && listener.bind.is_ipv4() == to.is_ipv4()
        })
    }
}

/// Who sent the request that our Via was put on. A connection is asked for its peer only where a listener has both sides; one
/// that is gone was a device's, and nothing is sent to it any more.
pub(crate) fn side_of_source(via: &ViaToken, context: &Context<'_>) -> Side {
    let id = ListenerId(via.listener);
    let Some(listener) = context.site.listener(id) else {
        return Side::Device;
    };
    if listener.core.is_empty() {
        return listener.side;
    }
    let peer = match via.source {
        FlowAddress::Udp(peer) => Some(peer),
        FlowAddress::Connection(_) => context.flows.flow(id, via.source).map(|flow| flow.peer),
    };
    peer.map_or(Side::Device, |peer| listener.side_of(peer))
}
