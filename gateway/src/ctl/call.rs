//! `causeway ctl call`: one call as a picture.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::http;
use super::trace::{as_json, packets, quoted};
use crate::ladder::call::{Call, parsed};
use crate::ladder::diagram::{self, Style, escaped};
use crate::ladder::line::{Line, Said};
use crate::ladder::{clock, filter, pcap};

/// Calls that are named when it is not clear which is meant.
const NAMED: usize = 10;

/// Which call, and how it is shown.
#[derive(Args)]
pub(super) struct Options {
    /// The Call-ID, or how it begins; without it, the newest calls are listed.
    id: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Each message whole, below the picture.
    #[arg(long)]
    bytes: bool,
    /// Write packets for Wireshark or sngrep into FILE; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Draw without anything beyond ASCII; so it is anyway where the locale knows no UTF-8.
    #[arg(long)]
    ascii: bool,
    /// Columns to draw in; those of the terminal by default.
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,
}

/// What is to be printed of a call.
///
/// # Errors
/// When the node cannot be reached, or it is not clear which call is meant: then those that could be are named.
pub(super) fn run(admin: SocketAddr, options: &Options) -> anyhow::Result<String> {
    let Some(id) = &options.id else {
        let newest = newest(admin)?;
        return Ok(if newest.is_empty() {
            "no calls\n".to_owned()
        } else {
            newest
        });
    };
    let (lines, lost) = passed(admin, &format!("&call-id={}", quoted(id)))?;
    let calls = filter::calls_of(&lines);
    let call_id = match calls[..] {
        [one] => one.to_owned(),
        // Who writes it whole means that one, though another one begins alike.
        _ if calls.contains(&id.as_str()) => id.clone(),
        [] => bail!("{}", nobody(id, &newest(admin)?)),
        _ => bail!("{}", several(id, &lines, &calls)),
    };
    let lines: Vec<Line> = lines
        .into_iter()
        .filter(|line| line.call_id == call_id)
        .collect();
    if lost > 0 {
        eprintln!("causeway: {lost} messages were gone before they could be read");
    }
    if let Some(path) = &options.pcap {
        let mut file = packets(path)?;
        for packet in lines.iter().filter_map(pcap::packet) {
            file.write_all(&packet)?;
        }
        file.flush()?;
        return Ok(String::new());
    }
    let call = Call::of(&lines);
    let records = records(admin, &call_id)?;
    if options.json {
        let mut whole = whole(&call_id, &call, &lines, options.bytes);
        whole["records"] = records;
        return Ok(format!("{whole}\n"));
    }
    let style = options.style();
    let first = lines.first().map_or(0, |line| line.time);
    let picture = diagram::draw(&call, &lines, style);
    Ok(format!(
        "Call-ID {}, {} UTC\n\n{picture}{}",
        escaped(&call_id),
        clock::day(first),
        verdicts(&records, style)
    ))
}

impl Options {
    fn style(&self) -> Style {
        let (terminal, out) = (terminal_size::terminal_size(), std::io::stdout());
        let columns = terminal.map(|(width, _)| usize::from(width.0));
        Style {
            width: self.width.or(columns).unwrap_or(120).clamp(60, 400),
            ascii: self.ascii || !speaks_utf8(&|name| std::env::var(name).ok()),
            colour: out.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            bytes: self.bytes,
        }
    }
}

/// What the locale says of its letters: the first of these that is set counts. Where none is, a terminal of today is taken to know them.
fn speaks_utf8(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env);
    let first = set.into_iter().find(|value| !value.is_empty());
    first.is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// What passed and is still known.
fn passed(admin: SocketAddr, asked: &str) -> anyhow::Result<(Vec<Line>, u64)> {
    let (mut lines, mut lost) = (Vec::new(), 0);
    http::lines(admin, &format!("/trace?follow=no{asked}"), |text| {
        match Said::read(text).context("the answer is no trace")? {
            Said::Line(line) => lines.push(*line),
            Said::Lost(count) => lost += count,
            Said::Nothing => {}
        }
        Ok(())
    })?;
    Ok((lines, lost))
}

/// What became of the call; nothing while it goes on.
fn records(admin: SocketAddr, call_id: &str) -> anyhow::Result<Value> {
    let text = http::get(admin, &format!("/calls/ended?call-id={}", quoted(call_id)))?;
    let mut said: Value = serde_json::from_str(&text).context("the answer is no JSON")?;
    Ok(said["calls"].take())
}

/// The verdicts of records, and what they rest on, below the picture.
fn verdicts(records: &Value, style: Style) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut said = String::new();
    for record in records.as_array().into_iter().flatten() {
        let (code, words) = (text(&record["verdict"]), text(&record["words"]));
        said.push('\n');
        said.push_str(&style.paragraph(&format!("{code}: {words}"), 0));
        for what in ["evidence", "caller", "called"] {
            let Some(figures) = record[what]
                .as_object()
                .filter(|figures| !figures.is_empty())
            else {
                continue;
            };
            let pair = |(key, value): (&String, &Value)| format!("{key} {}", text(value));
            let figures: Vec<String> = figures.iter().map(pair).collect();
            said.push_str(&style.paragraph(&format!("{what}: {}", figures.join(", ")), 2));
        }
    }
    said
}

/// The newest calls, one a line.
fn newest(admin: SocketAddr) -> anyhow::Result<String> {
    let (lines, _) = passed(admin, "&method=INVITE")?;
    let calls = filter::calls_of(&lines);
    let from = calls.len().saturating_sub(NAMED);
    Ok(calls[from..]
        .iter()
        .map(|call_id| named(call_id, &lines))
        .collect())
}

fn named(call_id: &str, lines: &[Line]) -> String {
    let Some(first) = lines.iter().find(|line| line.call_id == call_id) else {
        return String::new();
    };
    let parties = parsed(first).map(|message| {
        let user = |name: Option<sip::NameAddr<'_>>| {
            name.map(|name| String::from_utf8_lossy(name.uri).into_owned())
                .unwrap_or_default()
        };
        format!(
            "{} to {}",
            escaped(&user(message.from())),
            escaped(&user(message.to()))
        )
    });
    format!(
        "  {} {}  {}\n",
        clock::time(first.time),
        escaped(call_id),
        parties.unwrap_or_default()
    )
}

fn nobody(id: &str, newest: &str) -> String {
    match newest {
        "" => format!(
            "no call {id:?} is known, nor any other: none was made, or `[trace] memory` is too small"
        ),
        _ => format!("no call {id:?} is known; the newest are\n{newest}"),
    }
}

fn several(id: &str, lines: &[Line], calls: &[&str]) -> String {
    let named: String = calls
        .iter()
        .take(NAMED)
        .map(|call_id| named(call_id, lines))
        .collect();
    let rest = match calls.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    };
    format!("{id:?} begins {} calls:\n{named}{rest}", calls.len())
}

/// A call for machines.
fn whole(call_id: &str, call: &Call, lines: &[Line], bytes: bool) -> Value {
    let parties: Vec<Value> = call
        .parties
        .iter()
        .map(|party| json!({ "name": party.name, "address": party.address, "side": party.side }))
        .collect();
    let steps: Vec<Value> = call
        .steps
        .iter()
        .filter_map(|step| {
            let mut value = as_json(lines.get(step.line)?, &step.label, bytes);
            value["party"] = json!(step.party);
            value["notes"] = json!(step.notes);
            Some(value)
        })
        .collect();
    json!({ "call_id": call_id, "parties": parties, "steps": steps })
}
