//! The timers of RFC 3261 table 4 and RFC 6026.

use std::time::Duration;

/// Every timer of a transaction, and what its firing means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// INVITE client, datagrams: no response yet, the INVITE is sent again (§17.1.1.2). Doubles each time.
    A,
    /// INVITE client: no response at all, or none that is final after a CANCEL (§17.1.1.2, §9.1).
    B,
    /// INVITE client in a proxy: it rings for too long; cancelled (§16.6 step 11, §16.8).
    C,
    /// INVITE client, datagrams: no more retransmissions of a final response come, none need an ACK (§17.1.1.2).
    D,
    /// Non-INVITE client, datagrams: no final response yet, the request is sent again (§17.1.2.2). Doubles up to T2.
    E,
    /// Non-INVITE client: no final response at all (§17.1.2.2).
    F,
    /// INVITE server, datagrams: no ACK yet, the final response is sent again (§17.2.1). Doubles up to T2.
    G,
    /// INVITE server: no ACK at all (§17.2.1).
    H,
    /// INVITE server, datagrams: no more retransmissions of the ACK come (§17.2.1).
    I,
    /// Non-INVITE server, datagrams: no more retransmissions of the request come (§17.2.2).
    J,
    /// Non-INVITE client, datagrams: no more retransmissions of the final response come (§17.1.2.2).
    K,
    /// INVITE server: no more retransmissions of an INVITE come that was accepted (RFC 6026 §7.1).
    L,
    /// INVITE client: no more 2xx come, of this branch or another (RFC 6026 §7.2).
    M,
}

/// The times of transactions over one kind of transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timers {
    /// An estimate of the round-trip time, 500 ms. Shorter breaks slow mobile links; longer delays repair.
    pub t1: Duration,
    /// The longest time between two retransmissions, 4 s.
    pub t2: Duration,
    /// The longest time that a message stays in the network, 5 s.
    pub t4: Duration,
    /// How long a callee may ring after its last sign of life, 185 s; §16.6 step 11 demands more than three minutes.
    pub timer_c: Duration,
    /// How long the answer to a non-INVITE is kept for its retransmissions over datagrams, 5 s, counted anew from each
    /// of them. The RFC's 64·T1 from the answer keeps six times as many transactions; retransmissions are T2 apart at
    /// most, so that a longer silence means that the answer has arrived.
    pub timer_j: Duration,
    /// The transport delivers or says that it cannot: nothing is sent again and nothing lingers for retransmissions.
    pub is_reliable: bool,
}

impl Default for Timers {
    /// The values of RFC 3261 §17.1.1.1, over datagrams.
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(185),
            timer_j: Duration::from_secs(5),
            is_reliable: false,
        }
    }
}

impl Timers {
    /// The same times over a transport that is reliable (a stream) or not: A, E and G never run, and D, I, J and K are
    /// zero (RFC 3261 §17).
    pub fn reliable(self, is_reliable: bool) -> Self {
        Self {
            is_reliable,
            ..self
        }
    }

    /// 64·T1, 32 s: Timer B, F, H, L and M.
    pub fn transaction_timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D, at least 32 s over datagrams.
    pub(super) fn timer_d(&self) -> Option<Duration> {
        let least = Duration::from_secs(32);
        self.lingering(self.transaction_timeout().max(least))
    }

    /// Timer I.
    pub(super) fn timer_i(&self) -> Option<Duration> {
        self.lingering(self.t4)
    }

    /// Timer J.
    pub(super) fn timer_j(&self) -> Option<Duration> {
        self.lingering(self.timer_j)
    }

    /// Timer K.
    pub(super) fn timer_k(&self) -> Option<Duration> {
        self.lingering(self.t4)
    }

    fn lingering(&self, duration: Duration) -> Option<Duration> {
        (!self.is_reliable && !duration.is_zero()).then_some(duration)
    }
}
