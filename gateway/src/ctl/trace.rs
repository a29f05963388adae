//! `causeway ctl trace`: what passes, as it passes.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::http;
use crate::ladder::call::{Commands, label, parsed};
use crate::ladder::diagram::{escaped, indented};
use crate::ladder::filter::Source;
use crate::ladder::line::{Line, Said};
use crate::ladder::{Kind, clock, pcap};

/// What is shown of what passes.
#[derive(Args)]
pub(super) struct Options {
    /// Whole calls of this user: From, To or the request-URI.
    #[arg(long)]
    user: Option<String>,
    /// Whole calls of this number, compared by its digits from the end.
    #[arg(long)]
    number: Option<String>,
    /// The Call-ID, or how it begins.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    /// Whole calls of this address, with or without a port.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<Source>,
    /// Requests of this method, and their responses.
    #[arg(long)]
    method: Option<String>,
    /// What passed already, first.
    #[arg(long)]
    all: bool,
    /// End with what is there, in place of waiting for more.
    #[arg(long)]
    no_follow: bool,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
    /// Each message whole.
    #[arg(long)]
    bytes: bool,
    /// Write packets for Wireshark or sngrep into FILE; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

impl Options {
    fn path(&self) -> String {
        let source = self.source.map(|source| source.to_string());
        let asked = [
            ("user", &self.user),
            ("number", &self.number),
            ("call-id", &self.call_id),
            ("source", &source),
            ("method", &self.method),
        ];
        let mut path = format!(
            "/trace?follow={}&from={}",
            if self.no_follow { "no" } else { "yes" },
            if self.all || self.no_follow {
                "oldest"
            } else {
                "now"
            }
        );
        for (key, value) in asked {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", quoted(value)));
            }
        }
        path
    }
}

/// A value as it stands in a query.
pub(super) fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte);
    let each = value.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

/// Shows what passes until the node ends, or whoever reads.
///
/// # Errors
/// When the node cannot be reached or says no, or the file cannot be written.
pub(super) fn run(admin: SocketAddr, options: &Options) -> anyhow::Result<()> {
    let mut packets = options.pcap.as_deref().map(packets).transpose()?;
    let mut out = io::stdout().lock();
    let mut commands = Commands::default();
    let shown = http::lines(admin, &options.path(), |text| {
        let line = match Said::read(text)? {
            Said::Line(line) => line,
            Said::Nothing => return Ok(()),
            Said::Lost(count) => {
                eprintln!("causeway: {count} messages were gone before they could be read");
                return Ok(());
            }
        };
        if let Some(packets) = &mut packets {
            if let Some(packet) = pcap::packet(&line) {
                packets.write_all(&packet)?;
                packets.flush()?;
            }
        } else if options.json {
            let what = what(&line, &mut commands);
            writeln!(out, "{}", as_json(&line, &what, options.bytes))?;
        } else {
            let what = what(&line, &mut commands);
            write!(out, "{}", as_text(&line, &what, options.bytes))?;
        }
        Ok(())
    });
    match shown {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Ok(()) if !options.no_follow => anyhow::bail!("the node has ended"),
        other => other,
    }
}

/// Whoever read what we write has had enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A capture file with its first bytes.
pub(super) fn packets(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    let mut file: Box<dyn Write> = if path == Path::new("-") {
        anyhow::ensure!(
            !io::stdout().is_terminal(),
            "packets are not for a terminal: --pcap FILE, or `| sngrep -I -`"
        );
        Box::new(io::stdout())
    } else {
        let file = File::create(path);
        Box::new(file.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?)
    };
    file.write_all(&pcap::header())?;
    file.flush()?;
    Ok(file)
}

/// What a line is about, in few words.
fn what(line: &Line, commands: &mut Commands) -> String {
    if line.kind.is_ng() {
        return commands.label(line).0;
    }
    let words = parsed(line).map(|message| label(&message));
    let words = words.unwrap_or_else(|| format!("{} bytes that are no SIP", line.bytes.len()));
    match line.kind {
        Kind::Unsent => format!("{words} NOT SENT"),
        _ => words,
    }
}

fn as_text(line: &Line, what: &str, bytes: bool) -> String {
    let arrow = if line.kind.is_inwards() { "<-" } else { "->" };
    let peer = format!("{} {}", line.transport, line.peer);
    let mut text = format!(
        "{} {arrow} {peer:<26} {:<34} {}\n",
        clock::time(line.time),
        escaped(what),
        escaped(&line.call_id)
    );
    if bytes {
        text.push_str(&indented(&line.bytes));
        text.push_str("\n\n");
    }
    text
}

/// A line for machines: what is said in words besides, and the bytes as text only if asked for.
pub(super) fn as_json(line: &Line, what: &str, bytes: bool) -> Value {
    let mut value = json!(line);
    value["what"] = json!(what);
    if let Some(object) = value.as_object_mut() {
        object.remove("bytes");
    }
    if bytes {
        value["text"] = json!(String::from_utf8_lossy(&line.bytes));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_in_a_query_whatever_is_in_it() {
        for (value, want) in [
            ("alice", "alice"),
            ("a b&c=d", "a%20b%26c%3Dd"),
            ("+49", "%2B49"),
            ("[2001:db8::1]:5060", "%5B2001:db8::1%5D:5060"),
            ("ä", "%C3%A4"),
        ] {
            assert_eq!(quoted(value), want);
            let back = sip::uri::decode(want.as_bytes()).into_owned();
            assert_eq!(back, value.as_bytes());
        }
    }
}
