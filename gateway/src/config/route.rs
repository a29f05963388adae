//! `[[route]]`: where requests go, the first rule that matches.
use std::collections::BTreeMap;

use super::Config;
use super::check::Checks;
use super::reader::{Item, Reader, nearest};
use super::schema::{Section, Setting, section};
use super::value::text;

section! {
    /// A rule: what comes `from` there and meets every condition goes `to` there. The first that matches is taken; what matches none is for users of this node's domains.
    pub struct Route {
        /// Where a request comes from: `"devices"`, `"edges"` (users behind the `edges` of a listener), `"peer:NAME"`, `"listener:NAME"` or `"group:NAME"`.
        pub from: RouteFrom = RouteFrom::Devices, required();
        /// Methods; left out, all.
        pub method: Vec<String> = Vec::new();
        /// The user of the request-URI, exactly.
        pub user: Option<String> = None;
        /// What the user of the request-URI begins with.
        pub prefix: Option<String> = None;
        /// A regular expression that matches somewhere in the user of the request-URI; `^` and `$` are its ends.
        pub regex: Option<Pattern> = None;
        /// The host of the request-URI.
        pub domain: Option<String> = None;
        /// Where it goes: `"lookup"` (the user's devices), `"group:NAME"`, `"reject 403"`, or `"call-out:NAME"`, who is asked.
        pub to: RouteTo = RouteTo::Lookup, required();
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteFrom {
    /// Any listener that faces devices, but not a peer.
    Devices,
    /// Any edge that a listener names.
    Edges,
    /// A peer, by its address.
    Peer(String),
    /// One listener by name.
    Listener(String),
    /// A member of a group, by its address.
    Group(String),
}

impl Setting for RouteFrom {
    fn kind() -> String {
        "`\"devices\"`, `\"edges\"`, `\"peer:NAME\"`, `\"listener:NAME\"` or `\"group:NAME\"`"
            .to_owned()
    }
    fn example() -> String {
        "\"devices\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        match written.split_once(':') {
            None if written == "devices" => return Some(Self::Devices),
            None if written == "edges" => return Some(Self::Edges),
            Some(("peer", name)) => return Some(Self::Peer(name.to_owned())),
            Some(("listener", name)) => return Some(Self::Listener(name.to_owned())),
            Some(("group", name)) => return Some(Self::Group(name.to_owned())),
            _ => {}
        }
        let help = match nearest(
            written,
            [
                "devices",
                "edges",
                "peer:NAME",
                "listener:NAME",
                "group:NAME",
            ],
        ) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if is_name(written) => format!(
                "a name says of what it is: \"listener:{written}\", \"group:{written}\" or \"peer:{written}\"; else \"devices\" or \"edges\""
            ),
            None => {
                "one of \"devices\", \"edges\", \"peer:NAME\", \"listener:NAME\", \"group:NAME\""
                    .to_owned()
            }
        };
        reader.error(item, format!("nothing comes from `{written}`"), help);
        None
    }
    fn show(&self) -> String {
        match self {
            Self::Devices => "\"devices\"".to_owned(),
            Self::Edges => "\"edges\"".to_owned(),
            Self::Peer(name) => format!("\"peer:{name}\""),
            Self::Listener(name) => format!("\"listener:{name}\""),
            Self::Group(name) => format!("\"group:{name}\""),
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTo {
    /// To the devices of the user.
    Lookup,
    /// To a member of a group.
    Group(String),
    /// Nowhere: answered with this status, 300 to 699.
    Reject(u16),
    /// Where a call-out says.
    CallOut(String),
}

impl Setting for RouteTo {
    fn kind() -> String {
        "`\"lookup\"`, `\"group:NAME\"`, `\"reject STATUS\"` or `\"call-out:NAME\"`".to_owned()
    }
    fn example() -> String {
        "\"lookup\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        if written == "lookup" {
            return Some(Self::Lookup);
        }
        if let Some(name) = written.strip_prefix("group:") {
            return Some(Self::Group(name.to_owned()));
        }
        if let Some(name) = written.strip_prefix("call-out:") {
            return Some(Self::CallOut(name.to_owned()));
        }
        if let Some(status) = written.strip_prefix("reject") {
            return match status.trim().parse() {
                Ok(status @ 300..=699) => Some(Self::Reject(status)),
                _ => {
                    reader.error(
                        item,
                        format!("`{written}` has no status that refuses"),
                        "300 to 699, for example \"reject 403\"",
                    );
                    None
                }
            };
        }
        let help = match nearest(
            written,
            ["lookup", "group:NAME", "reject 403", "call-out:NAME"],
        ) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if matches!(written, "devices" | "users") => {
                "\"lookup\" finds the devices of a domain's users; those of another registrar are found by their Path, which needs no rule"
                    .to_owned()
            }
            None if is_name(written) => {
                format!("\"group:{written}\" for a group; else \"lookup\", \"reject 403\" or \"call-out:NAME\"")
            }
            None => {
                "one of \"lookup\", \"group:NAME\", \"reject 403\", \"call-out:NAME\"".to_owned()
            }
        };
        reader.error(item, format!("nothing goes to `{written}`"), help);
        None
    }
    fn show(&self) -> String {
        match self {
            Self::Lookup => "\"lookup\"".to_owned(),
            Self::Group(name) => format!("\"group:{name}\""),
            Self::Reject(status) => format!("\"reject {status}\""),
            Self::CallOut(name) => format!("\"call-out:{name}\""),
        }
    }
}

impl RouteTo {
    /// What it names has to be there.
    pub(crate) fn check(&self, at: &str, config: &Config, checks: &mut Checks<'_>) {
        match self {
            Self::Group(name) => known(at, "group", name, &config.group, checks),
            Self::CallOut(name) => known(at, "call_out", name, &config.call_out, checks),
            Self::Lookup if config.domain.is_empty() => {
                let found = checks
                    .source
                    .error(at, "there is no domain whose users could be looked up");
                checks.push(found.help("add [domain.\"example.com\"] with its users"));
            }
            Self::Lookup | Self::Reject(_) => {}
        }
    }
}

/// Could be the name of a table.
fn is_name(written: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !written.is_empty() && written.bytes().all(of_name)
}

/// A regular expression, compiled.
#[derive(Debug, Clone)]
pub struct Pattern(
    /// Runs in time linear in its input, whatever a caller dials.
    pub regex::Regex,
);

impl Setting for Pattern {
    fn kind() -> String {
        "a regular expression".to_owned()
    }
    fn example() -> String {
        "'^\\+?49'".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        match regex::Regex::new(written) {
            Ok(regex) => Some(Self(regex)),
            Err(error) => {
                let text = error.to_string();
                let reason = text
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim()
                    .trim_start_matches("error: ");
                let help = format!("{reason}; for example {}", Self::example());
                reader.error(
                    item,
                    format!("`{written}` is not a regular expression"),
                    help,
                );
                None
            }
        }
    }
    fn show(&self) -> String {
        format!("'{}'", self.0.as_str())
    }
}

const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "PRACK",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "INFO",
    "REFER",
    "MESSAGE",
    "UPDATE",
];

impl Route {
    /// No condition beside where it comes from.
    fn takes_all(&self) -> bool {
        let conditions = [
            self.user.is_some(),
            self.prefix.is_some(),
            self.regex.is_some(),
            self.domain.is_some(),
        ];
        self.method.is_empty() && !conditions.contains(&true)
    }

    /// May take a REGISTER, whose request-URI has no user (RFC 3261 §10.2).
    pub(crate) fn takes_register(&self) -> bool {
        let of_users = self
            .regex
            .as_ref()
            .is_some_and(|pattern| !pattern.0.is_match(""))
            || self.user.as_ref().is_some_and(|user| !user.is_empty())
            || self
                .prefix
                .as_ref()
                .is_some_and(|prefix| !prefix.is_empty());
        let named = self.method.is_empty() || self.method.iter().any(|name| name == "REGISTER");
        named && !of_users && !matches!(self.from, RouteFrom::Group(_))
    }

    /// Takes all that come from there.
    pub(crate) fn takes_every_register(&self) -> bool {
        self.takes_register() && self.domain.is_none()
    }

    pub(crate) fn check(&self, index: usize, config: &Config, checks: &mut Checks<'_>) {
        let at = format!("route[{index}]");
        match &self.from {
            RouteFrom::Devices => {}
            RouteFrom::Edges => self.check_edges(&at, config, checks),
            RouteFrom::Peer(name) => {
                known(&format!("{at}.from"), "peer", name, &config.peer, checks)
            }
            RouteFrom::Listener(name) => known(
                &format!("{at}.from"),
                "listen",
                name,
                &config.listen,
                checks,
            ),
            RouteFrom::Group(name) => {
                known(&format!("{at}.from"), "group", name, &config.group, checks)
            }
        }
        self.to.check(&format!("{at}.to"), config, checks);
        self.check_methods(&at, checks);
        self.check_users(&at, checks);
        let earlier = config.route[..index]
            .iter()
            .position(|other| other.from == self.from && other.takes_all());
        if let Some(first) = earlier
            && let Some(span) = checks.source.value(&format!("route[{first}].from"))
        {
            let line = checks.source.file.position(span.start).0;
            let found = checks
                .source
                .warning(&format!("{at}.from"), "this rule is never reached");
            checks.push(found.help(format!(
                "the rule at line {line} takes everything from there: move it below"
            )));
        }
    }

    fn check_edges(&self, at: &str, config: &Config, checks: &mut Checks<'_>) {
        let names_edges = |(name, listen): (&String, &super::Listen)| {
            !listen.edges.is_empty() || checks.source.wrote(&format!("listen.{name}.edges"))
        };
        if !config.listen.iter().any(names_edges) {
            let found = checks
                .source
                .error(&format!("{at}.from"), "no listener names an edge");
            checks.push(found.help("add `edges = [\"10.33.69.151\"]`, the edge's address, to the listener that it reaches"));
        }
    }

    fn check_methods(&self, at: &str, checks: &mut Checks<'_>) {
        for (index, method) in self.method.iter().enumerate() {
            if METHODS.contains(&method.as_str()) {
                continue;
            }
            let place = format!("{at}.method[{index}]");
            // RFC 3261 §7.1: methods are case-sensitive, and any token may be one.
            let token = !method.is_empty()
                && method
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
            let near = nearest(method, METHODS);
            let found = match near {
                _ if !token => checks
                    .source
                    .error(&place, format!("`{method}` cannot be a method")),
                Some(near) if near.eq_ignore_ascii_case(method) => checks.source.error(
                    &place,
                    format!("`{method}` never comes: methods are written in capitals"),
                ),
                _ => checks
                    .source
                    .warning(&place, format!("`{method}` is no method that is known")),
            };
            checks.push(match near {
                Some(near) => found.help(format!("did you mean \"{near}\"?")),
                None => found.help(format!("one of {}", METHODS.join(", "))),
            });
        }
    }

    fn check_users(&self, at: &str, checks: &mut Checks<'_>) {
        let given = [
            ("user", self.user.is_some()),
            ("prefix", self.prefix.is_some()),
            ("regex", self.regex.is_some()),
        ];
        let given: Vec<&str> = given
            .into_iter()
            .filter(|(_, is)| *is)
            .map(|(key, _)| key)
            .collect();
        if let [first, second, ..] = given[..] {
            let found = checks.source.error_at_key(
                &format!("{at}.{second}"),
                format!("`{first}` and `{second}` both say what the user is"),
            );
            checks.push(found.help("keep one; a `regex` can say both"));
        }
        if let Some(domain) = &self.domain
            && !super::address::is_host_name(domain)
            && domain.parse::<std::net::IpAddr>().is_err()
        {
            let found = checks.source.error(
                &format!("{at}.domain"),
                format!("`{domain}` is not a domain"),
            );
            checks.push(
                found.help("the host of the request-URI, without user and port: \"example.com\""),
            );
        }
    }
}

/// Says so if there is no table of this name.
pub(crate) fn known<T: Section>(
    at: &str,
    kind: &str,
    name: &str,
    tables: &BTreeMap<String, T>,
    checks: &mut Checks<'_>,
) {
    if tables.contains_key(name) {
        return;
    }
    let found = checks
        .source
        .error(at, format!("there is no [{kind}.{name}]"));
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    let help = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("add [{kind}.{name}]"),
        None => format!("known: {}", names.join(", ")),
    };
    checks.push(found.help(help));
}
