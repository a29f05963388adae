//! Another node: what its answers, and its silence, come to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use proxy::Hop;
use proxy::exchange::Speaker;
use sip::Transport;

use super::NodeState;

/// One address at which a node is asked.
pub(super) struct Peer {
    /// The number that the configuration gives it.
    pub(super) configured: Option<u16>,
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    alive: AtomicBool,
    /// Its number as it says, 0 before it has.
    node: AtomicU32,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    silences: u32,
    last: Option<Verdict>,
}

/// What an answer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// There was none.
    Silent,
    /// It is who it should be.
    Is(u16),
    /// It is this node itself, under a name that means all nodes.
    Ourselves,
    /// It has the number of this node.
    OurNumber,
    /// It has the number of the node at this other address.
    NumberOf(SocketAddr, u16),
    /// It says another number than the configuration.
    AnotherNumber(u16),
}

impl Peer {
    pub(super) fn new(configured: Option<u16>, address: SocketAddr, transport: Transport) -> Self {
        Self {
            configured,
            address,
            transport,
            alive: AtomicBool::new(false),
            node: AtomicU32::new(0),
            history: Mutex::default(),
        }
    }

    pub(super) fn hop(&self) -> Hop {
        Hop::Server {
            transport: self.transport,
            address: self.address,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    pub(super) fn node(&self) -> Option<u16> {
        self.configured.or_else(|| match self.node.load(Relaxed) {
            0 => None,
            node => u16::try_from(node).ok(),
        })
    }

    /// What an answer of `it` means, beside this node and the other peers.
    pub(super) fn judge<'p>(
        &self,
        me: Speaker,
        it: Speaker,
        mut others: impl Iterator<Item = &'p Peer>,
    ) -> Verdict {
        match self.configured {
            Some(configured) if configured != it.node => Verdict::AnotherNumber(it.node),
            None if it == me => Verdict::Ourselves,
            _ if it.node == me.node => Verdict::OurNumber,
            _ => match others.find(|peer| peer.is_alive() && peer.node() == Some(it.node)) {
                Some(other) => Verdict::NumberOf(other.address, it.node),
                None => Verdict::Is(it.node),
            },
        }
    }

    /// Takes it in, and says what a person has to know: once, until it changes.
    pub(super) fn note(&self, verdict: Verdict, our_number: u16, fall: u32) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if verdict == Verdict::Silent {
            history.silences = history.silences.saturating_add(1);
            let falls = history.silences >= fall && history.last != Some(Verdict::Silent);
            if falls {
                history.last = Some(Verdict::Silent);
                self.alive.store(false, Relaxed);
                tracing::warn!(node = ?self.node(), address = %self.address, "a node of the cluster does not answer");
            }
            return;
        }
        history.silences = 0;
        let is_new = history.last != Some(verdict);
        history.last = Some(verdict);
        if let Verdict::Is(node) = verdict {
            self.node.store(node.into(), Relaxed);
        }
        self.alive.store(matches!(verdict, Verdict::Is(_)), Relaxed);
        if is_new {
            self.say(verdict, our_number);
        }
    }

    fn say(&self, verdict: Verdict, our_number: u16) {
        let address = self.address;
        match verdict {
            Verdict::Is(node) => tracing::info!(node, %address, "a node of the cluster is there"),
            Verdict::Silent | Verdict::Ourselves => {}
            Verdict::OurNumber => tracing::error!(
                node = our_number,
                %address,
                "two nodes have one number: this one and the one at this address; it is not used until one has another `node.id`"
            ),
            Verdict::NumberOf(other, node) => tracing::error!(
                node,
                %address,
                %other,
                "two nodes have one number: those at these addresses; the first is not used until one has another `node.id`"
            ),
            Verdict::AnotherNumber(node) => tracing::error!(
                configured = ?self.configured,
                says = node,
                this_node = our_number,
                %address,
                "a node says another number than [cluster] gives it; it is not used until `node.id` there or `nodes` here is right"
            ),
        }
    }

    /// What is shown of it; nothing of ourselves.
    pub(super) fn state(&self) -> Option<NodeState> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match history.last {
            Some(Verdict::Ourselves) => return None,
            _ if self.is_alive() => "alive",
            None | Some(Verdict::Silent | Verdict::Is(_)) => "dead",
            Some(_) => "refused",
        };
        Some(NodeState {
            node: self.node(),
            address: self.address,
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Speaker = Speaker { node: 1, run: 11 };

    fn peer(configured: Option<u16>, last: u8) -> Peer {
        Peer::new(configured, ([10, 0, 0, last], 5060).into(), Transport::Udp)
    }

    fn alive(node: u16, last: u8) -> Peer {
        let peer = peer(None, last);
        peer.note(Verdict::Is(node), ME.node, 2);
        peer
    }

    #[test]
    fn two_nodes_with_one_number_are_found_out() {
        let third = alive(3, 3);
        let at = third.address;
        for (why, configured, it, want) in [
            ("who it should be", Some(2), (2, 22), Verdict::Is(2)),
            ("learnt by asking", None, (2, 22), Verdict::Is(2)),
            (
                "the name of all is ours too",
                None,
                (1, 11),
                Verdict::Ourselves,
            ),
            (
                "our number at another node",
                None,
                (1, 12),
                Verdict::OurNumber,
            ),
            (
                "the third's number",
                None,
                (3, 33),
                Verdict::NumberOf(at, 3),
            ),
            (
                "its node.id is wrong",
                Some(2),
                (1, 12),
                Verdict::AnotherNumber(1),
            ),
            (
                "ours is: this is us",
                Some(2),
                (1, 11),
                Verdict::AnotherNumber(1),
            ),
        ] {
            let it = Speaker {
                node: it.0,
                run: it.1,
            };
            let verdict = peer(configured, 2).judge(ME, it, [&third].into_iter());
            assert_eq!(verdict, want, "{why}");
        }
    }

    #[test]
    fn a_node_lives_from_its_first_answer_until_it_is_silent_twice() {
        let peer = peer(Some(2), 2);
        assert!(!peer.is_alive(), "nothing is known of it");
        for (verdict, alive) in [
            (Verdict::Is(2), true),
            (Verdict::Silent, true),
            (Verdict::Is(2), true),
            (Verdict::Silent, true),
            (Verdict::Silent, false),
            (Verdict::OurNumber, false),
            (Verdict::Is(2), true),
        ] {
            peer.note(verdict, ME.node, 2);
            assert_eq!(peer.is_alive(), alive, "after {verdict:?}");
        }
    }
}
