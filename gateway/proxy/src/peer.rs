//! Peers that are known by their address: a PBX or a carrier that speaks to a listener which faces devices. Whoever has the
//! address is the peer, so he is asked for no password; nothing else of him is trusted unless the configuration says so.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::flow::ListenerId;

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// As the configuration names it.
    pub name: String,
    /// Where it may come from.
    pub networks: Vec<IpNet>,
    /// At which listeners its addresses mean it.
    pub listeners: Vec<ListenerId>,
    /// By which of them it is admitted: those whose transport it may use. At the others its addresses mean nobody.
    pub admitted: Vec<ListenerId>,
    /// What it asserts of a caller's identity is believed (RFC 3325 §5).
    pub identity: bool,
    /// It may also send REGISTER, as a device does.
    pub registers: bool,
    /// Its calls are counted: each asks for its place first.
    pub limited: bool,
}

/// All of them, found by the most specific of their networks.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    all: Vec<Peer>,
    /// The longest prefixes first.
    networks: Vec<(IpNet, usize)>,
}

impl Peers {
    /// Peers by their index.
    pub fn new(all: Vec<Peer>) -> Self {
        let each = all.iter().enumerate();
        let mut networks: Vec<(IpNet, usize)> = each
            .flat_map(|(index, peer)| peer.networks.iter().map(move |net| (*net, index)))
            .collect();
        networks.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        Self { all, networks }
    }

    /// All of them, in the order of their indexes.
    pub fn all(&self) -> &[Peer] {
        &self.all
    }

    /// The index of the peer that an address means at a listener. A network that is written more specifically wins, also where
    /// its peer is not admitted by this transport: then the address means nobody.
    pub fn of(&self, listener: ListenerId, address: IpAddr) -> Option<usize> {
        if self.networks.is_empty() {
            return None;
        }
        let address = address.to_canonical();
        let means = |(net, index): &&(IpNet, usize)| {
            net.contains(&address) && self.all[*index].listeners.contains(&listener)
        };
        let (_, index) = *self.networks.iter().find(means)?;
        self.all[index]
            .admitted
            .contains(&listener)
            .then_some(index)
    }
}
