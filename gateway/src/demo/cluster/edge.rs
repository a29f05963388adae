//! The two edges: the configuration of each in a file, run as anybody would run it, with the demo's accounts for its page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::part::{Part, Ready};
use super::plan::{DOMAIN, Plan};
use crate::demo::accounts::{Kind, write_private};
use crate::demo::demo_json;

/// The edge of this index (0 or 1).
pub(super) fn part(
    plan: &Plan,
    index: usize,
    name: &'static str,
    program: PathBuf,
) -> anyhow::Result<Part> {
    let file = |end: &str| plan.folder.join(format!("edge-{}{end}", index + 1));
    let (config, demo) = (file(".toml"), file(".json"));
    std::fs::write(&config, configuration(plan, index, &file(""))?)?;
    write_private(&demo, page(plan, index).to_string().as_bytes())?;
    let arguments = ["run", "--demo"].map(str::to_owned).into_iter();
    let files = [demo, config].map(|path| path.display().to_string());
    Ok(Part::new(
        name,
        file(".log"),
        (program, arguments.chain(files).collect()),
        Ready::Says("\nready\n"),
    ))
}

fn configuration(plan: &Plan, index: usize, data: &Path) -> anyhow::Result<String> {
    let edge = &plan.edges[index];
    let [one, other] = &plan.edges;
    let [first, second] = plan.registrars;
    // A string of JSON is one of TOML.
    let [key, data] = [&plan.folder.join("cluster.key"), data]
        .map(|path| serde_json::Value::from(path.display().to_string()));
    let mut text = String::new();
    writeln!(
        text,
        "\
# Edge {number} of `causeway demo --cluster`, written anew at each start.
[node]
id = {number}
key_file = {key}
data_dir = {data}
workers = 1
open_files = 1024

[cluster]
nodes = [{{ id = 1, address = \"sip:{}\" }}, {{ id = 2, address = \"sip:{}\" }}]

[admin]
listen = \"{}\"

[listen.phones]
udp = \"{phones}\"
tcp = \"{phones}\"

# Both edges have the same name here, as they would behind one balancer: a page goes on at either.
[listen.pages]
ws = \"{}\"
advertise = \"pages.{DOMAIN}:8081\"
origins = [\"http://localhost:{}\", \"http://localhost:{}\"]
page = true

[listen.core]
udp = \"{}\"
trust = [\"{}\", \"{}\", \"{}\", \"{}\"]

[media]
rtpengine = \"{}\"

[group.registrars]
members = [\"sip:{first}\", \"sip:{second}\"]
transport = \"udp\"
probe = {{ interval = \"1s\", timeout = \"500ms\", rise = 1, fall = 2 }}

[[route]]
from = \"devices\"
to = \"group:registrars\"",
        one.inner,
        other.inner,
        edge.admin,
        edge.pages,
        one.pages.port(),
        other.pages.port(),
        edge.inner,
        one.inner.ip(),
        other.inner.ip(),
        first.ip(),
        second.ip(),
        plan.ng,
        number = index + 1,
        phones = edge.phones,
    )?;
    Ok(text)
}

/// What the page of this edge asks for: the other edge as the second way in, and another user first, so that two pages are two
/// people.
fn page(plan: &Plan, index: usize) -> serde_json::Value {
    let mut accounts = plan.accounts.clone();
    if index == 1 {
        let pages = accounts
            .iter()
            .filter(|account| account.kind == Kind::Browser);
        let count = pages.count();
        accounts[..count].reverse();
    }
    let mut json = demo_json(DOMAIN, &accounts);
    let other = &plan.edges[1 - index];
    json["spare"] = vec![format!("ws://localhost:{}/sip", other.pages.port())].into();
    json
}
