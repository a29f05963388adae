//! How a decision's parts are said.

use proxy::group::{Algorithm, By};
use proxy::mtu::Shortened;
use proxy::site::{Condition, Side};
use proxy::state::Keeping;
use proxy::token::{FlowAddress, Pass};
use proxy::{Flow, Hop};

use super::report::Lost;

/// Bytes as text for a terminal and for JSON.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Towards whom a listener faces.
pub(super) fn side(side: Side) -> &'static str {
    match side {
        Side::Device => "devices",
        Side::Core => "core",
    }
}

/// Why there is a transaction, or none.
pub(super) fn keeping(keeping: Keeping) -> &'static str {
    match keeping {
        Keeping::Ack => "without a transaction: nothing answers an ACK",
        Keeping::Cancel => "without a transaction: nobody here knows what it cancels",
        Keeping::SameKind => {
            "without a transaction: it leaves by the kind of transport that it came by, so whoever needs an answer repeats it"
        }
        Keeping::Fork => {
            "in a transaction: it goes to several devices, and the best answer goes back"
        }
        Keeping::FailOver => "in a transaction: another member may have to be asked",
        Keeping::Flow => "in a transaction: the device's edge may answer that its flow is gone",
        Keeping::Count => {
            "in a transaction: its member was chosen by a count, and the same request would not find it again"
        }
        Keeping::Limited => {
            "in a transaction: the peer's calls are counted, from their beginning to their end"
        }
        Keeping::OtherKind => {
            "in a transaction: one side is UDP and the other a stream, so only this node repeats what is lost"
        }
        Keeping::Opens => "in a transaction: the connection may have to be opened first",
        Keeping::Media => "in a transaction: RTPEngine has to be asked, or told of the end",
        Keeping::Redirects => "in a transaction: it may be redirected, and that is followed here",
        Keeping::Anonymous => "in a transaction: its responses have to get back the From that came",
    }
}

/// How a group chooses.
pub(super) fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rendezvous(By::AddressOfRecord) => {
            "rendezvous hashing of the From's address-of-record"
        }
        Algorithm::Rendezvous(By::CallId) => "rendezvous hashing of the Call-ID",
        Algorithm::Rendezvous(By::Source) => "rendezvous hashing of the source address",
        Algorithm::RoundRobin => {
            "round robin (whose turn it is, only the node knows: the first one's)"
        }
        Algorithm::LeastCalls => "least calls (how many there are, only the node knows: none)",
    }
}

/// Which way it passes.
pub(super) fn pass(pass: Pass) -> &'static str {
    match pass {
        Pass::Up => "from a device to the core",
        Pass::Down => "from the core to a device",
        Pass::Local => "between two devices",
        Pass::Through => "between two servers",
    }
}

/// A device's flow in a token.
pub(super) fn address(address: FlowAddress) -> String {
    match address {
        FlowAddress::Udp(peer) => format!("udp:{peer}"),
        FlowAddress::Connection(bits) => format!("connection {bits:012x}"),
    }
}

/// Where a message came from, or goes to.
pub(super) fn flow(flow: &Flow) -> String {
    let transport = flow.transport.name();
    match flow.connection {
        Some(connection) if flow.peer.port() == 0 => {
            format!("{transport} connection {:012x}", connection.bits())
        }
        _ => format!("{transport}:{}", flow.peer),
    }
}

/// Where a request goes.
pub(super) fn hop(hop: &Hop) -> String {
    match hop {
        Hop::Flow(to) => flow(to),
        Hop::Server { transport, address } => format!("{}:{address}", transport.name()),
    }
}

/// The key of a rule's condition.
pub(super) fn key(condition: Condition) -> &'static str {
    match condition {
        Condition::Side | Condition::Peer | Condition::Listener | Condition::Group => "from",
        Condition::Method => "method",
        Condition::Domain => "domain",
        Condition::User => "user",
        Condition::Prefix => "prefix",
        Condition::Regex => "regex",
    }
}

/// What a message lost to fit.
pub(super) fn lost(shortened: &Shortened) -> Lost {
    Lost {
        before: shortened.before,
        spent: shortened
            .spent
            .iter()
            .map(|saving| saving.label())
            .collect(),
        is_too_long: shortened.is_too_long(),
    }
}
