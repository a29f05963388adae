//! The configuration: one TOML file, typed, with all mistakes of it said at once.
//!
//! [`load`] reads and checks what the file and those that it names can tell; [`probe`] asks the machine (is the
//! address ours, is the port free, does the name resolve); [`check`] does both and prints. A section is a file here,
//! declared by `section!` of `schema.rs`: struct, defaults, reader and documentation come from one block, so a new key
//! is one field. `docs/configuration.md` is made from the same blocks by [`markdown`]; a test fails when it, or
//! `deploy/causeway.toml`, lacks a key.
mod address;
mod admin;
mod advertise;
mod call_out;
mod calls;
mod certificate;
mod check;
mod cluster;
mod diagnostic;
mod dns;
mod documentation;
mod domain;
mod group;
mod keepalive;
mod limits;
mod listen;
mod log;
mod machine;
mod media;
mod member;
mod node;
mod origin;
mod peer;
mod policy;
mod reader;
mod registrar;
mod role;
mod route;
mod saving;
mod schema;
mod secret;
mod source;
#[cfg(test)]
mod tests;
mod trace;
mod transport;
mod turn;
mod unit;
mod user;
mod value;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use address::HostPort;
pub use admin::Admin;
pub use advertise::Advertise;
pub use call_out::{CallOut, HttpUrl};
pub use calls::Calls;
pub use certificate::{Certificate, CertificateError};
pub use cluster::{Cluster, ClusterNode, NodeProbe};
pub use diagnostic::{Diagnostic, Diagnostics, File, Severity};
pub use dns::Dns;
pub use documentation::markdown;
pub use domain::{Algorithm, Auth, Credential, Domain, UsersFile};
pub use group::Algorithm as Balance;
pub use group::Contact as ContactStyle;
pub use group::{Answers, Group, Probe, Redirects};
pub use keepalive::{Keepalive, Ping};
pub use limits::{Limits, Timers};
pub use listen::Listen;
pub use log::{Format, Level, Log};
pub use machine::probe;
pub use media::{Media, RtpEngine, Silent};
pub use member::{Member, MemberUri};
pub use node::Node;
pub use origin::Origin;
pub use peer::Peer;
pub use policy::{
    AnchorWord, CodecName, Codecs, DtmfWord, FamilyWord, LegMedia, MediaPolicy, Profile,
};
pub use registrar::Registrar;
pub use role::Role;
pub use route::{Pattern, Route, RouteFrom, RouteTo};
pub use secret::Secret;
pub use source::{Source, Surroundings};
pub use trace::{Collector, Hep, Secrets, Trace};
pub use turn::{IceUrl, Turn};
pub use unit::ByteSize;
pub use user::User;

use reader::Reader;
use schema::section;

section! {
    /// The whole file.
    pub struct Config {
        /// What this node is and may use.
        pub node: Node = Node::default();
        /// The other edges in front of the same core.
        pub cluster: Cluster = Cluster::default();
        /// The sockets of one side: `[listen.public]` towards devices, `[listen.core]` towards registrars and gateways; the names are yours.
        pub listen: BTreeMap<String, Listen> = BTreeMap::new();
        /// A domain whose users register here.
        pub domain: BTreeMap<String, Domain> = BTreeMap::new();
        /// How long and how many bindings are kept.
        pub registrar: Registrar = Registrar::default();
        /// Which RTPEngines carry the media.
        pub media: Media = Media::default();
        /// STUN and TURN servers that the demo page is told of.
        pub turn: Turn = Turn::default();
        /// Servers that can stand in for each other.
        pub group: BTreeMap<String, Group> = BTreeMap::new();
        /// Who is asked for names.
        pub dns: Dns = Dns::default();
        /// Who is known by his address where devices come in.
        pub peer: BTreeMap<String, Peer> = BTreeMap::new();
        /// Who is asked over HTTP where a request goes.
        pub call_out: BTreeMap<String, CallOut> = BTreeMap::new();
        /// Where requests go, the first rule that matches.
        pub route: Vec<Route> = Vec::new();
        /// What a peer may cost.
        pub limits: Limits = Limits::default();
        /// How long things take.
        pub timers: Timers = Timers::default();
        /// What is kept of calls that are over.
        pub calls: Calls = Calls::default();
        /// What is said, and how.
        pub log: Log = Log::default();
        /// Metrics and the admin API.
        pub admin: Admin = Admin::default();
        /// What passed lately.
        pub trace: Trace = Trace::default();
    }
}

/// A configuration that can be run, and what a careful operator wants to know of it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where each key stands, for what is found later.
    pub source: Source,
    /// What is not wrong enough to keep the node from starting.
    pub warnings: Diagnostics,
}

/// Reads and checks a file. The error is everything that is wrong, warnings included, in the order of the file.
pub fn load(path: &Path, around: &Surroundings<'_>) -> Result<Loaded, Diagnostics> {
    load_text(path, read_file(path)?, around)
}

fn read_file(path: &Path) -> Result<String, Diagnostics> {
    std::fs::read_to_string(path).map_err(|error| {
        let file = Arc::new(File {
            path: path.to_owned(),
            text: String::new(),
        });
        let mut found = Diagnostics::default();
        let message = format!("cannot read {}: {}", path.display(), node::plain(&error));
        let help = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::InvalidData => node::advice(&error, path),
            _ => "name a TOML file; deploy/causeway.toml is one to start from".to_owned(),
        };
        found.push(Diagnostic::error(&file, None, message).help(help));
        found
    })
}

/// Reads and checks the text of a file that stands, or would stand, at `path`.
pub fn load_text(
    path: &Path,
    text: String,
    around: &Surroundings<'_>,
) -> Result<Loaded, Diagnostics> {
    let Read {
        config,
        source,
        found,
        ..
    } = read_text(path, text, around);
    if found.errors() > 0 {
        Err(found)
    } else {
        Ok(Loaded {
            config,
            source,
            warnings: found,
        })
    }
}

/// What could be read, good or not.
struct Read {
    config: Config,
    source: Source,
    found: Diagnostics,
    /// Whether the file is TOML at all.
    well_formed: bool,
}

fn read_text(path: &Path, text: String, around: &Surroundings<'_>) -> Read {
    let file = Arc::new(File {
        path: path.to_owned(),
        text,
    });
    let mut reader = Reader::new(file, around);
    let (mut config, well_formed) = reader.read::<Config>();
    let Reader {
        mut source,
        mut found,
        ..
    } = reader;
    // In a file with broken syntax something seems missing that only could not be read.
    if well_formed {
        found.extend_unless_known(check::check(&mut config, &source, around));
    }
    source.redact(&mut found);
    found.sort();
    Read {
        config,
        source,
        found,
        well_formed,
    }
}

/// What `causeway check` found.
#[derive(Debug)]
pub struct Report {
    /// Everything, in the order of the file.
    pub found: Diagnostics,
    path: String,
}

impl Report {
    /// 0 if the node would start (warnings or not), else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.found.errors() > 0)
    }

    /// What to print: every mistake, then a line that sums up.
    pub fn render(&self, colour: bool) -> String {
        let count = |number: usize, word: &str| {
            format!("{number} {word}{}", if number == 1 { "" } else { "s" })
        };
        let (errors, warnings) = (self.found.errors(), self.found.warnings());
        let verdict = match (errors, warnings) {
            (0, 0) => "ok".to_owned(),
            (0, _) => format!("ok, with {}", count(warnings, "warning")),
            (_, 0) => count(errors, "error"),
            _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        let gap = if self.found.is_empty() { "" } else { "\n\n" };
        format!(
            "{}{gap}{}: {verdict}\n",
            self.found.render(colour),
            self.path
        )
    }
}

/// All that can be said of a file without starting: what it says, and whether this machine can do it.
pub fn check(path: &Path) -> Report {
    let env = |name: &str| std::env::var(name).ok();
    let around = Surroundings {
        env: &env,
        now: SystemTime::now(),
    };
    let found = match read_file(path) {
        Ok(text) => {
            let mut read = read_text(path, text, &around);
            // Mistakes or not: whoever mends the file wants to know of the port in use as well, and not an hour later.
            if read.well_formed {
                let machine = probe(&read.config, &read.source);
                read.found.extend_unless_known(machine);
                read.found.sort();
            }
            read.found
        }
        Err(found) => found,
    };
    Report {
        found,
        path: path.display().to_string(),
    }
}
