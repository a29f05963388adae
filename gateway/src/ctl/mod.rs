//! `causeway ctl`: tells a node that runs what to do, and shows how it is. It talks to the admin API as anybody could.

mod call;
mod http;
mod table;
mod trace;

use std::net::SocketAddr;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Which node, and what.
#[derive(Args)]
pub struct Options {
    /// The node's admin API: its `admin.listen`.
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9090",
        value_parser = address
    )]
    admin: SocketAddr,
    #[command(subcommand)]
    command: Command,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| "an address with its port, for example 127.0.0.1:9090".to_owned();
    text.parse().map_err(wrong)
}

#[derive(Subcommand)]
enum Command {
    /// Show the members of all groups: whether they live, whether they get anything new, their calls and deaths; and the RTPEngines.
    Status {
        /// Everything that the node says of itself, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show calls that are up: since when, the peer that began each, and the member that has it. Or those that are over, and what became of each.
    Calls {
        /// Those that are over, the newest first: a verdict for each, and in words what went wrong.
        #[arg(long)]
        ended: bool,
        /// How many of those.
        #[arg(long, value_name = "NUMBER", default_value_t = 50, requires = "ended")]
        limit: u32,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draw a call: who said what to whom, when, and what was changed on the way.
    ///
    /// ID is a Call-ID or how it begins. The node has the calls of the last minutes or hours (`[trace] memory`), pending ones too.
    Call(call::Options),
    /// Show messages as they pass, until Ctrl-C: all of them, or the whole calls of a user, a number or an address.
    Trace(trace::Options),
    /// Give a member, or an RTPEngine (`drain media ADDRESS:PORT`), nothing new; its dialogs and what is pending go on.
    ///
    /// Until `undrain` or the node's next start; `drain = true` in the configuration, or `weight = 0` of an RTPEngine, is for longer.
    /// All servers of the name, if MEMBER is one.
    Drain(Member),
    /// Let a member, or an RTPEngine, serve again.
    Undrain(Member),
}

#[derive(Args)]
struct Member {
    /// The group's name; `media` for the RTPEngines.
    group: String,
    /// The member's URI or host as configured, or one server as `status` shows it: `host:port` or its address. An RTPEngine's
    /// `host:port` as configured, or its address.
    member: String,
}

/// Does it; what is to be printed.
///
/// # Errors
/// When the node cannot be reached or says no, in words for people.
pub fn run(options: &Options) -> anyhow::Result<String> {
    match &options.command {
        Command::Status { json: true } => Ok(http::get(options.admin, "/status")?),
        Command::Status { json: false } => {
            let text = http::get(options.admin, "/status")?;
            let status: Value = serde_json::from_str(&text).context("the answer is no JSON")?;
            Ok(table::members(&status) + &table::media(&status))
        }
        Command::Calls {
            ended: true,
            limit,
            json,
        } => {
            let text = http::get(options.admin, &format!("/calls/ended?limit={limit}"))?;
            if *json {
                return Ok(text);
            }
            let calls: Value = serde_json::from_str(&text).context("the answer is no JSON")?;
            Ok(table::ended(&calls))
        }
        Command::Calls { json: true, .. } => Ok(http::get(options.admin, "/calls")?),
        Command::Calls { json: false, .. } => {
            let text = http::get(options.admin, "/calls")?;
            let calls: Value = serde_json::from_str(&text).context("the answer is no JSON")?;
            Ok(table::calls(&calls))
        }
        Command::Call(asked) => call::run(options.admin, asked),
        Command::Trace(asked) => trace::run(options.admin, asked).map(|()| String::new()),
        Command::Drain(member) => order(options.admin, "/drain", member),
        Command::Undrain(member) => order(options.admin, "/undrain", member),
    }
}

fn order(admin: SocketAddr, path: &str, member: &Member) -> anyhow::Result<String> {
    // `causeway check` lets no group have this name.
    let body = match member.group.as_str() {
        "media" => json!({ "media": member.member }),
        group => json!({ "group": group, "member": member.member }),
    };
    let answer = http::post(admin, path, &body.to_string())?;
    let done: Value = serde_json::from_str(&answer).context("the answer is no JSON")?;
    let Some(members) = done["members"].as_array() else {
        bail!("the answer names nobody: {answer}");
    };
    let now = match done["drained"].as_bool() {
        Some(true) => "gets nothing new",
        _ => "serves again",
    };
    let lines = members
        .iter()
        .filter_map(Value::as_str)
        .map(|name| format!("{name} of {} {now}\n", member.group));
    Ok(lines.collect())
}
