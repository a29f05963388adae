//! `[turn]`: a TURN server for browsers that reach RTPEngine by no other way.
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::address::split_host_port;
use super::check::Checks;
use super::reader::{Item, Reader, nearest};
use super::schema::{Setting, section};
use super::secret::Secret;
use super::value::text;

section! {
    /// STUN and TURN servers that the demo page is told of. Whoever can load the page gets credentials for the TURN servers, good for `lifetime` and no longer.
    pub struct Turn {
        /// Their URIs (RFC 7064, RFC 7065), for example `"turn:turn.example.com:3478?transport=udp"`.
        pub urls: Vec<IceUrl> = Vec::new();
        /// A file whose first line is the secret that is shared with the TURN servers (`static-auth-secret` of coturn, with `use-auth-secret`); readable by its owner alone.
        pub secret_file: Option<PathBuf> = None;
        /// How long credentials are good. Too short, and a call that changes networks late finds no relay; too long, and who copied them relays for long.
        pub lifetime: Duration = Duration::from_secs(12 * 3600), within(Duration::from_secs(60), Duration::from_secs(7 * 86_400));
    }
}

/// A `stun:`, `stuns:`, `turn:` or `turns:` URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUrl(
    /// As it was written.
    pub String,
);

const SCHEMES: [&str; 4] = ["stun", "stuns", "turn", "turns"];

impl IceUrl {
    /// True for a server that asks for credentials.
    pub fn is_turn(&self) -> bool {
        self.0.starts_with("turn")
    }
}

impl Setting for IceUrl {
    fn kind() -> String {
        "a STUN or TURN URI".to_owned()
    }
    fn example() -> String {
        "\"turn:turn.example.com:3478?transport=udp\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        match fault(written) {
            None => Some(Self(written.to_owned())),
            Some((message, help)) => {
                reader.error(item, message, help);
                None
            }
        }
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// What is wrong with a URI: a browser says only that it is invalid, and makes no call at all.
fn fault(written: &str) -> Option<(String, String)> {
    let Some((scheme, rest)) = written.split_once(':').filter(|(s, _)| SCHEMES.contains(s)) else {
        let scheme = written.split(':').next().unwrap_or_default();
        let help = match nearest(scheme, SCHEMES) {
            Some(near) if written.contains(':') => format!("did you mean `{near}:`?"),
            _ => format!("for example {}", IceUrl::example()),
        };
        return Some((format!("`{written}` is not a STUN or TURN URI"), help));
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    if place.starts_with("//") {
        let bare = place.trim_start_matches('/');
        return Some((
            format!("`{written}` has slashes, which these URIs do not"),
            format!("\"{scheme}:{bare}\""),
        ));
    }
    if let Err(found) = split_host_port(place) {
        return Some((found.message, IceUrl::example()));
    }
    match query {
        None | Some("transport=udp" | "transport=tcp") if scheme.starts_with("turn") => None,
        None => None,
        Some(query) if scheme.starts_with("turn") => Some((
            format!("`{query}` says nothing of a TURN server"),
            "`?transport=udp` or `?transport=tcp`".to_owned(),
        )),
        Some(_) => Some((
            format!("`{scheme}:` takes nothing behind `?`"),
            format!("\"{scheme}:{place}\""),
        )),
    }
}

impl Turn {
    /// What is shared with the TURN servers: the file's first line, empty without a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn secret(&self) -> std::io::Result<Secret> {
        let text = match &self.secret_file {
            Some(path) => std::fs::read_to_string(path)?,
            None => String::new(),
        };
        Ok(Secret::new(
            text.lines().next().unwrap_or_default().to_owned(),
        ))
    }

    pub(crate) fn check(&self, config: &Config, checks: &mut Checks<'_>) {
        if let Some(path) = &self.secret_file {
            let Some(text) = checks.secret_file("turn.secret_file", path) else {
                return;
            };
            if text.lines().next().is_none_or(str::is_empty) {
                let message = format!("the first line of {} is empty", path.display());
                let found = checks.source.error("turn.secret_file", message);
                return checks.push(found.help("the same as coturn's `static-auth-secret`"));
            }
        }
        let first = self.urls.iter().position(IceUrl::is_turn);
        match (first, &self.secret_file) {
            (Some(index), None) if !checks.source.wrote("turn.secret_file") => {
                let at = format!("turn.urls[{index}]");
                let message = format!("`{}` wants credentials", self.urls[index].0);
                let found = checks.source.error(&at, message);
                return checks.push(found.help(
                    "add `secret_file`, the file with coturn's `static-auth-secret`, to [turn]",
                ));
            }
            (None, Some(_)) if !checks.source.wrote("turn.urls") => {
                let found = checks
                    .source
                    .warning_at_key("turn.secret_file", "no TURN server uses this secret");
                checks.push(found.help(format!("add `urls = [{}]`", IceUrl::example())));
            }
            _ => {}
        }
        if !self.urls.is_empty() && !config.listen.values().any(|listen| listen.page) {
            let message = "no listener serves the page, which alone is told of these servers";
            let found = checks.source.warning_at_key("turn.urls", message);
            checks.push(found.help("add `page = true` to a listener with `wss`"));
        }
    }
}
