//! `[registrar]`: how long and how many bindings are kept, and where.
use std::path::PathBuf;
use std::time::Duration;

use super::check::Checks;
use super::schema::section;

const DAY: Duration = Duration::from_secs(86_400);

section! {
    /// The embedded registrar (RFC 3261 §10).
    pub struct Registrar {
        /// The shortest registration that is granted; a device that asks for less is told so with 423. Too short, and phones do little else than register.
        pub min_expires: Duration = Duration::from_secs(60), within(Duration::from_secs(10), DAY);
        /// The longest that is granted; who asks for more gets this. Too long, and a phone that vanished rings in vain.
        pub max_expires: Duration = Duration::from_secs(3600), within(Duration::from_secs(10), 30 * DAY);
        /// What a device gets that does not ask.
        pub default_expires: Duration = Duration::from_secs(600), within(Duration::from_secs(10), 30 * DAY);
        /// How many devices one user may have. Each page reload leaves one behind until it expires.
        pub bindings: u16 = 20, within(1, 1000);
        /// How long a nonce is good. Nonces carry their own signed time, so any node verifies them.
        pub nonce_lifetime: Duration = Duration::from_secs(300), within(Duration::from_secs(5), DAY);
        /// How often a device that uses outbound should prove that its flow lives (RFC 5626 §5.4). Longer than a NAT remembers a UDP flow, and calls no longer arrive.
        pub flow_timer: Duration = Duration::from_secs(120), within(Duration::from_secs(10), Duration::from_secs(3600));
        /// The SQLite file of bindings. Left out: `registrar.sqlite` in `node.data_dir`.
        pub store: Option<PathBuf> = None;
    }
}

impl Registrar {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        let (min, default, max) = (self.min_expires, self.default_expires, self.max_expires);
        let blame = |keys: [&str; 2], checks: &Checks<'_>| {
            let written = keys
                .iter()
                .find(|key| checks.source.wrote(&format!("registrar.{key}")));
            format!("registrar.{}", written.unwrap_or(&keys[0]))
        };
        let seconds = |duration: Duration| format!("\"{}s\"", duration.as_secs());
        if min > max {
            let place = blame(["min_expires", "max_expires"], checks);
            let message = format!(
                "`min_expires` ({}) is longer than `max_expires` ({})",
                seconds(min),
                seconds(max)
            );
            let found = checks.source.error(&place, message);
            checks
                .push(found.help("no device could register; the defaults are \"60s\" and \"1h\""));
        } else if default < min || default > max {
            let place = blame(["default_expires", "min_expires"], checks);
            let message = format!("`default_expires` ({}) is not granted", seconds(default));
            let found = checks.source.error(&place, message);
            checks.push(found.help(format!(
                "from `min_expires` ({}) to `max_expires` ({})",
                seconds(min),
                seconds(max)
            )));
        }
    }
}
