//! `[call_out.NAME]`: who is asked over HTTP where a request goes.
use std::time::Duration;

use super::Config;
use super::check::Checks;
use super::reader::{Item, Reader};
use super::route::RouteTo;
use super::schema::{Setting, section};
use super::value::text;

section! {
    /// Somebody who is asked over HTTP where a request goes, by a rule with `to = "call-out:NAME"`: POST with what is known of the request as JSON, answered by 200 and JSON. The answer chooses among what is configured here, and never an address.
    pub struct CallOut {
        /// Where it listens: `http://` or `https://`.
        pub url: HttpUrl = HttpUrl::default(), required();
        /// How long an answer may take, the connection included. Too short, and a busy server counts as down; too long, and callers wait for a dead one.
        pub timeout: Duration = Duration::from_millis(500), within(Duration::from_millis(10), Duration::from_secs(10));
        /// How long an answer is good for requests that say the same (all but the Call-ID and the source's port). Zero asks each time.
        pub cache: Duration = Duration::ZERO, within(Duration::ZERO, Duration::from_secs(3600));
        /// Questions at once; what comes while they are all under way is a failure. Too few, and a busy hour fails; too many, and a slow server gets more than it can do.
        pub at_once: u16 = 64, within(1, 4096);
        /// Where a request goes when there is no good answer in time: `"reject STATUS"`, `"group:NAME"` or `"lookup"`.
        pub on_failure: RouteTo = RouteTo::Reject(503);
    }
}

/// An `http:` or `https:` URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpUrl(
    /// As it was written.
    pub String,
);

impl Setting for HttpUrl {
    fn kind() -> String {
        "an `http://` or `https://` URL".to_owned()
    }
    fn example() -> String {
        "\"http://127.0.0.1:8088/route\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let example = || format!("for example {}", Self::example());
        match reqwest::Url::parse(written) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                let message = format!("`{}` is not spoken here", url.scheme());
                reader.error(item, message, example());
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                let message = "a user and password in a URL end up in logs";
                reader.error(item, message.to_owned(), "admit this node by its address");
            }
            Ok(_) => return Some(Self(written.to_owned())),
            Err(error) => reader.error(
                item,
                format!("`{written}` is not a URL: {error}"),
                example(),
            ),
        }
        None
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl CallOut {
    pub(crate) fn check(&self, name: &str, config: &Config, checks: &mut Checks<'_>) {
        let at = format!("call_out.{name}");
        self.on_failure
            .check(&format!("{at}.on_failure"), config, checks);
        if let RouteTo::CallOut(_) = self.on_failure {
            let found = checks.source.error(
                &format!("{at}.on_failure"),
                "one call-out after another: a caller would wait for both",
            );
            checks.push(found.help("\"reject 503\", \"group:NAME\" or \"lookup\""));
        }
        let used = |to: &RouteTo| matches!(to, RouteTo::CallOut(to) if to == name);
        if !config.route.iter().any(|route| used(&route.to)) {
            let message = format!("no route asks the call-out `{name}`");
            let found = checks.source.warning_at_key(&at, message);
            checks.push(found.help(format!("add a [[route]] with `to = \"call-out:{name}\"`")));
        }
    }
}
