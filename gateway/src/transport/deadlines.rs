//! When a connection is pinged and when it is given up: pure, the time is an argument.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::error::CloseReason;

/// How long a peer may take for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// A TLS handshake, from accept to its end. Default 10 s; too short, and phones on bad mobile links cannot connect.
    pub handshake: Duration,
    /// An HTTP request's head on a WS or WSS port, and the wait for the next one. Default 10 s.
    pub http: Duration,
    /// Opening a connection of ours, its TLS handshake included. Default 5 s.
    pub connect: Duration,
    /// A message once begun, or a WebSocket message. Dribbling bytes does not lengthen it. Default 20 s.
    pub message: Duration,
    /// A TCP or TLS peer's first message or keepalive. Default 30 s; not used for WebSockets, whose ping shows that
    /// a page is there.
    pub first: Duration,
    /// Nothing heard on TCP or TLS. Default 3,660 s: longer than the longest registration, for a phone that sends no
    /// keepalive must stay reachable until it registers again. A vanished peer is found by TCP's own keepalive.
    pub idle: Duration,
    /// Nothing heard on a WebSocket: then a ping is sent. Default 30 s, below the 60 s of common HTTP proxies.
    pub ping: Duration,
    /// No answer to that ping: closed. Default 20 s.
    pub pong: Duration,
    /// Sending what is left, and the farewell, at the end of a connection. Default 2 s.
    pub farewell: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            http: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            message: Duration::from_secs(20),
            first: Duration::from_secs(30),
            idle: Duration::from_secs(3660),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(20),
            farewell: Duration::from_secs(2),
        }
    }
}

/// What is due on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// A WebSocket ping.
    Ping,
    /// The end.
    Close(CloseReason),
}

/// What is known of a connection's life.
#[derive(Debug)]
pub(super) struct Deadlines {
    opened: Instant,
    heard: Instant,
    half_since: Option<Instant>,
    pinged: bool,
    must_speak: bool,
    is_websocket: bool,
}

impl Deadlines {
    /// `must_speak`: it was accepted, and no message came yet.
    pub(super) fn new(now: Instant, is_websocket: bool, must_speak: bool) -> Self {
        Self {
            opened: now,
            heard: now,
            half_since: None,
            pinged: false,
            must_speak,
            is_websocket,
        }
    }

    /// Bytes came; `half`: a message is begun and not ended; `spoke`: a whole message or keepalive was among them.
    pub(super) fn heard(&mut self, now: Instant, half: bool, spoke: bool) {
        self.heard = now;
        self.pinged = false;
        self.must_speak &= !spoke;
        self.half_since = match self.half_since {
            // What is half now is another message than the one that was half before.
            _ if half && spoke => Some(now),
            Some(since) if half => Some(since),
            None if half => Some(now),
            _ => None,
        };
    }

    /// The ping that was due is sent.
    pub(super) fn pinged(&mut self) {
        self.pinged = true;
    }

    /// What comes next, and when.
    pub(super) fn next(&self, timeouts: &Timeouts) -> (Instant, Due) {
        let mut next = match (self.is_websocket, self.pinged) {
            (false, _) => (self.heard + timeouts.idle, Due::Close(CloseReason::Idle)),
            (true, false) => (self.heard + timeouts.ping, Due::Ping),
            (true, true) => (
                self.heard + timeouts.ping + timeouts.pong,
                Due::Close(CloseReason::NoPong),
            ),
        };
        let mut earlier = |at, reason| {
            if at < next.0 {
                next = (at, Due::Close(reason));
            }
        };
        if let Some(since) = self.half_since {
            earlier(since + timeouts.message, CloseReason::HalfMessage);
        }
        if self.must_speak && !self.is_websocket {
            earlier(self.opened + timeouts.first, CloseReason::Silent);
        }
        next
    }

    /// Ready with what is due. `timer` is the connection's only one and moves lazily: hearing something makes the end
    /// later and costs nothing here.
    pub(super) fn poll_due(
        &self,
        mut timer: Pin<&mut Sleep>,
        timeouts: &Timeouts,
        cx: &mut Context<'_>,
    ) -> Poll<Due> {
        let (at, _) = self.next(timeouts);
        if at < timer.deadline() {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let (at, due) = self.next(timeouts);
            if at <= Instant::now() {
                return Poll::Ready(due);
            }
            timer.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timeouts = Timeouts {
        handshake: Duration::from_secs(1),
        http: Duration::from_secs(1),
        connect: Duration::from_secs(1),
        message: Duration::from_secs(20),
        first: Duration::from_secs(30),
        idle: Duration::from_secs(1000),
        ping: Duration::from_secs(40),
        pong: Duration::from_secs(5),
        farewell: Duration::from_secs(1),
    };

    #[test]
    fn each_way_of_holding_a_connection_has_its_end() {
        let close = Due::Close;
        for (why, websocket, heard, want) in [
            (
                "opened and silent",
                false,
                &[][..],
                (30, close(CloseReason::Silent)),
            ),
            (
                "spoke, then idle",
                false,
                &[(1, false, true)],
                (1001, close(CloseReason::Idle)),
            ),
            (
                "half a message",
                false,
                &[(1, true, false)],
                (21, close(CloseReason::HalfMessage)),
            ),
            (
                "dribbling does not lengthen it",
                false,
                &[(1, true, false), (19, true, false)],
                (21, close(CloseReason::HalfMessage)),
            ),
            (
                "a whole message and half of the next",
                false,
                &[(1, true, false), (19, true, true)],
                (39, close(CloseReason::HalfMessage)),
            ),
            (
                "a message ended in time",
                false,
                &[(1, true, false), (2, false, true)],
                (1002, close(CloseReason::Idle)),
            ),
            (
                "a silent page is pinged, not closed",
                true,
                &[],
                (40, Due::Ping),
            ),
            (
                "half a frame",
                true,
                &[(1, true, false)],
                (21, close(CloseReason::HalfMessage)),
            ),
        ] {
            let start = Instant::now();
            let mut deadlines = Deadlines::new(start, websocket, true);
            for &(second, half, spoke) in heard {
                deadlines.heard(start + Duration::from_secs(second), half, spoke);
            }
            let (at, due) = deadlines.next(&T);
            assert_eq!(((at - start).as_secs(), due), want, "{why}");
        }
    }

    #[test]
    fn a_ping_without_an_answer_ends_a_websocket_and_an_answer_keeps_it() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut deadlines = Deadlines::new(start, true, true);
        assert_eq!(deadlines.next(&T), (at(40), Due::Ping));
        deadlines.pinged();
        assert_eq!(
            deadlines.next(&T),
            (at(45), Due::Close(CloseReason::NoPong))
        );
        deadlines.heard(at(44), false, true);
        assert_eq!(deadlines.next(&T), (at(84), Due::Ping));
    }
}
