//! `[media]`: the RTPEngines that carry the media, and how long signalling waits for them.
use std::time::Duration;

use super::address::HostPort;
use super::check::Checks;
use super::policy::MediaPolicy;
use super::schema::section;
use super::value::words;

section! {
    /// Which RTPEngines carry the media. Without any, media goes past the gateway and a browser cannot talk to a phone.
    pub struct Media {
        /// The ng control ports: `"host:port"`, or tables with a weight.
        pub rtpengine: Vec<RtpEngine> = Vec::new();
        /// How long an offer waits for an RTPEngine before the next one is asked. Too short, and a busy one is passed over; too long, and callers hear nothing.
        pub timeout: Duration = Duration::from_millis(500), within(Duration::from_millis(50), Duration::from_secs(10));
        /// When a request without an answer is sent again the first time: UDP loses some. Each wait is twice the one before.
        pub retransmit: Duration = Duration::from_millis(100), within(Duration::from_millis(20), Duration::from_secs(5));
        /// How often each RTPEngine is asked whether it lives.
        pub ping_interval: Duration = Duration::from_secs(1), within(Duration::from_millis(200), Duration::from_secs(60));
        /// Requests to one RTPEngine that may wait for an answer at once; beyond it the next one is asked. Half of them may be about calls that are over, for which nobody waits: too few, and the ports of calls that ended are given back late.
        pub in_flight: u16 = 1024, within(1, 10_000);
        /// How long RTPEngine keeps the ports of an INVITE that failed: a retry with credentials takes them back.
        pub delete_delay: Duration = Duration::from_secs(10), within(Duration::ZERO, Duration::from_secs(300));
        /// How long no packet may come from a side of a call until that is said, in the log and in the metrics; 0 is off, else at least 5 s. RTPEngine is asked about each call four times within it, and a side on hold need send nothing. Too short, and phones that send nothing while nobody speaks (without comfort noise) count as dead.
        pub silent_after: Duration = Duration::ZERO, within(Duration::ZERO, Duration::from_secs(3600));
        /// What becomes of such a call. `"report"`: nothing, it is only said. `"end"`: both sides get a BYE. Longer than what a network that changes hands takes, or calls end that would have gone on.
        pub silent: Silent = Silent::Report;
        /// What is wanted of the media of all legs.
        pub policy: MediaPolicy = MediaPolicy::default();
    }
}

words! {
    /// What becomes of a call in which a side is silent.
    pub enum Silent {
        /// It is said.
        Report = "report",
        /// It is ended.
        End = "end",
    }
}

section! {
    /// One RTPEngine.
    pub struct RtpEngine shorthand address {
        /// Host and port of its ng control socket (`listen-ng`).
        pub address: HostPort = HostPort::default(), required();
        /// Its share of the calls beside the others'. 0 gives it no new call: it is being drained.
        pub weight: u16 = 1, within(0, 1000);
    }
}

impl Media {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        self.policy.check("media.policy", checks);
        for (index, engine) in self.rtpengine.iter().enumerate() {
            let at = format!("media.rtpengine[{index}]");
            if self.rtpengine[..index]
                .iter()
                .any(|other| other.address == engine.address)
            {
                let found = checks
                    .source
                    .error(&at, format!("`{}` is given twice", engine.address));
                checks.push(
                    found.help(
                        "remove one; for a larger share use `{ address = \"…\", weight = 2 }`",
                    ),
                );
            }
            if engine.address.port == 0 {
                let found = checks.source.warning(&at, "nobody answers on port 0");
                checks
                    .push(found.help("the port of `listen-ng` in rtpengine.conf, 2223 by default"));
            }
        }
        if !self.rtpengine.is_empty() && self.rtpengine.iter().all(|engine| engine.weight == 0) {
            let found = checks.source.error(
                "media.rtpengine",
                "every RTPEngine has weight 0: no call gets media",
            );
            checks.push(found.help("give at least one a weight of 1"));
        }
        if !self.silent_after.is_zero() && self.silent_after < Duration::from_secs(5) {
            let message = "a call counts as dead after a pause that every phone makes";
            let found = checks.source.error("media.silent_after", message);
            checks.push(found.help("at least \"5s\", for example \"30s\"; 0 is off"));
        }
        if self.silent == Silent::End && self.silent_after.is_zero() {
            let message = "no call is ever found silent: `silent_after` is 0";
            let found = checks.source.error("media.silent", message);
            checks.push(found.help("for example `silent_after = \"30s\"` beside it"));
        }
        if !self.silent_after.is_zero() && self.rtpengine.is_empty() {
            let message = "without an RTPEngine nobody knows of packets";
            let found = checks.source.error("media.silent_after", message);
            checks.push(found.help("an `rtpengine`, or no `silent_after`"));
        }
        if self.retransmit >= self.timeout {
            let key = if checks.source.wrote("media.retransmit") {
                "media.retransmit"
            } else {
                "media.timeout"
            };
            let found = checks.source.error(
                key,
                "nothing is ever sent again: `retransmit` is not shorter than `timeout`",
            );
            checks.push(found.help("well within `timeout`, for example \"100ms\" in \"500ms\""));
        }
    }
}
