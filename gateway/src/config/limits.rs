//! `[limits]` and `[timers]`: what a peer may cost, and how long things take.
use std::time::Duration;

use super::check::Checks;
use super::schema::section;
use super::unit::ByteSize;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// What a peer may cost. What is beyond is refused or closed, counted, and said in the log.
    pub struct Limits {
        /// The largest message that is read. Browsers' INVITEs have 2 to 6 KiB.
        pub message_size: ByteSize = ByteSize(64 << 10), within(ByteSize(4 << 10), ByteSize(1 << 20));
        /// The most header lines of a message.
        pub headers: usize = 256, within(32, 4096);
        /// Connections of all peers together. 0 is as many as open files allow.
        pub connections: u32 = 0, within(0, 4_000_000);
        /// Connections of one source address (IPv6: of one /64) that is not trusted; 0 is no limit. Everybody behind a NAT or an HTTP proxy is one source.
        pub connections_per_source: u32 = 4096, within(0, 4_000_000);
        /// TLS handshakes at once on each listener; who comes when all are taken waits in the kernel. They have a thread of their own, so that they hold up no call.
        pub handshakes: u32 = 1024, within(1, 65_536);
        /// How long a connection may take to be ready: TLS, and the head of an HTTP request. Too short, and phones on bad mobile links cannot connect.
        pub handshake_timeout: Duration = Duration::from_secs(10), within(Duration::from_secs(1), MINUTE);
        /// How long a connection that the node opens may take.
        pub connect_timeout: Duration = Duration::from_secs(5), within(Duration::from_millis(500), MINUTE);
        /// How long a TCP or TLS peer may take to its first message or keepalive.
        pub first_timeout: Duration = Duration::from_secs(30), within(Duration::from_secs(1), HOUR);
        /// How long a message may take from its first byte to its last on a stream.
        pub message_timeout: Duration = Duration::from_secs(20), within(Duration::from_secs(1), 5 * MINUTE);
        /// How long a TCP or TLS connection may be silent. Shorter than a registration, and a phone without keepalives cannot be called until it registers again.
        pub idle_timeout: Duration = Duration::from_secs(3660), within(Duration::from_secs(30), 24 * HOUR);
        /// How long a WebSocket may be silent before it is sent a ping. HTTP proxies commonly close after 60 s.
        pub ping_interval: Duration = Duration::from_secs(30), within(Duration::from_secs(5), HOUR);
        /// How long the answer to that ping may take.
        pub ping_timeout: Duration = Duration::from_secs(20), within(Duration::from_secs(1), MINUTE);
        /// Bytes that may wait for a peer that does not read; with more it is closed.
        pub outbox: ByteSize = ByteSize(1 << 20), within(ByteSize(16 << 10), ByteSize(64 << 20));
        /// Messages that may wait for it. Too few, and a burst closes a busy trunk.
        pub outbox_messages: u32 = 1024, within(16, 1_000_000);
        /// What is asked of the kernel for each UDP socket's receive buffer. Its own default holds 5 ms of a busy edge's datagrams.
        pub receive_buffer: ByteSize = ByteSize(4 << 20), within(ByteSize(64 << 10), ByteSize(1 << 30));
        /// Messages a second from one source address (IPv6: from one /64) that is not trusted; 0 is no limit. What is beyond is dropped. Everybody behind a NAT or an HTTP proxy is one source.
        pub messages_per_second: u32 = 200, within(0, 1_000_000);
        /// How many may come at once before `messages_per_second` counts: a page that reloads, an office that wakes up.
        pub burst: u32 = 1000, within(1, 10_000_000);
        /// How long a call is counted (for a peer's `calls`, `least calls`, the admin API) when nobody says that it is over: no BYE came, and it has no session timer (RFC 4028) or one that lasts longer. Short, and long calls are not counted any more, though they go on; long, and calls whose BYE was lost hold their places.
        pub call_age: Duration = Duration::from_secs(12 * 3600), within(MINUTE, 7 * 24 * HOUR);
        /// Messages of one call that may wait for RTPEngine or a look-up; beyond, requests get 503.
        pub waiting_per_call: u16 = 32, within(4, 1024);
    }
}

section! {
    /// How long things take (RFC 3261 §17, appendix A). The defaults are the RFC's; networks that need others are rare.
    pub struct Timers {
        /// The estimate of a round trip: the first retransmission comes after it.
        pub t1: Duration = Duration::from_millis(500), within(Duration::from_millis(50), Duration::from_secs(5));
        /// The longest time between two retransmissions.
        pub t2: Duration = Duration::from_secs(4), within(Duration::from_millis(200), Duration::from_secs(40));
        /// How long a message can live in the network.
        pub t4: Duration = Duration::from_secs(5), within(Duration::from_millis(100), MINUTE);
        /// How long a phone may ring since its last provisional response (timer C). RFC 3261 §16.6 asks for more than three minutes.
        pub timer_c: Duration = Duration::from_secs(185), within(Duration::from_secs(10), HOUR);
        /// How long a request in a call waits for a device whose connection is gone: a page that reloads comes back.
        pub device_wait: Duration = Duration::from_secs(8), within(Duration::ZERO, Duration::from_secs(30));
        /// How long a device whose connection closed, or that answers no ping any more, may stay away until its calls are ended with a BYE to both sides: a browser that crashed says nothing. 0 is off, else at least 10 s. Too short, and calls end though the phone only changed networks.
        pub device_gone: Duration = Duration::ZERO, within(Duration::ZERO, HOUR);
    }
}

impl Limits {
    pub(crate) fn check(&self, open_files: u32, longest: Duration, checks: &mut Checks<'_>) {
        self.check_files(open_files, checks);
        self.check_times(longest, checks);
        if self.outbox < self.message_size {
            let key = if checks.source.wrote("limits.outbox") {
                "limits.outbox"
            } else {
                "limits.message_size"
            };
            let message = "a message that may be read does not fit into the outbox of its receiver";
            let found = checks.source.error(key, message);
            checks.push(
                found.help(
                    "`outbox` at least `message_size`; the defaults are \"1MiB\" and \"64KiB\"",
                ),
            );
        }
        if self.messages_per_second > self.burst {
            let key = if checks.source.wrote("limits.burst") {
                "limits.burst"
            } else {
                "limits.messages_per_second"
            };
            let found = checks
                .source
                .error(key, "`burst` is less than what one second may bring");
            checks.push(found.help(format!(
                "at least `messages_per_second`, {}",
                self.messages_per_second
            )));
        }
    }

    fn check_files(&self, open_files: u32, checks: &mut Checks<'_>) {
        if self.connections <= open_files {
            return;
        }
        let written = checks.source.wrote("limits.connections");
        let key = if written {
            "limits.connections"
        } else {
            "node.open_files"
        };
        let message = format!(
            "{} connections do not fit into {open_files} open files",
            self.connections
        );
        let found = checks.source.error(key, message);
        let room = self.connections.saturating_add(1024);
        checks.push(found.help(format!(
            "`node.open_files = {room}`, or fewer `limits.connections`"
        )));
    }

    fn check_times(&self, longest: Duration, checks: &mut Checks<'_>) {
        let key = "limits.idle_timeout";
        if [
            self.handshake_timeout,
            self.message_timeout,
            self.first_timeout,
        ]
        .iter()
        .any(|time| *time > self.idle_timeout)
        {
            let found = checks.source.error_at_key(
                key,
                "a connection is closed as idle while it is not ready yet",
            );
            checks.push(found.help(
                "longer than `handshake_timeout`, `first_timeout` and `message_timeout`; the default is \"61m\"",
            ));
        } else if self.idle_timeout < longest {
            // RFC 5626 keepalives are not everybody's: many desk phones on TCP are silent between two REGISTERs.
            let place = if checks.source.wrote(key) {
                key
            } else {
                "registrar.max_expires"
            };
            let message = "a phone that sends no keepalive is cut off before it registers again";
            let found = checks.source.warning(place, message);
            checks.push(
                found.help("`limits.idle_timeout` a little longer than `registrar.max_expires`"),
            );
        }
    }
}

impl Timers {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        if self.t1 > self.t2 {
            let key = if checks.source.wrote("timers.t1") {
                "timers.t1"
            } else {
                "timers.t2"
            };
            let found = checks.source.error(
                key,
                "`t1` is longer than `t2`: the first retransmission would come after the last",
            );
            checks.push(found.help("the RFC's are \"500ms\" and \"4s\""));
        }
        if !self.device_gone.is_zero() && self.device_gone < Duration::from_secs(10) {
            let message =
                "calls end before a page that reloads, or a phone that changes networks, is back";
            let found = checks.source.error("timers.device_gone", message);
            checks.push(found.help("at least \"10s\", for example \"60s\"; 0 is off"));
        }
        if self.timer_c <= Duration::from_secs(180) {
            let found = checks.source.warning(
                "timers.timer_c",
                "timer C must be more than three minutes (RFC 3261 §16.6)",
            );
            checks.push(found.help("shorter ends calls that still ring; the default is \"185s\""));
        }
    }
}
