//! `causeway explain`: what the node of a configuration would do with a message, and why, without sending anything.
//!
//! It is the node without sockets: the same site, keys and users, the same pure functions ([`proxy::decide`],
//! [`proxy::forward::seal`], [`proxy::response::pass_on`]), and answers to their questions from the command line instead of the
//! network. What it cannot know, it takes for granted and says so.
//!
//! - [`options`]: the command line; [`input`]: the message;
//! - [`node`]: the node as it would be;
//! - [`request`], [`response`]: what becomes of each; [`questions`]: what the node would have to find out;
//! - [`media`]: what RTPEngine would be told;
//! - [`report`]: what is found, as data (`--json`); [`words`] and [`text`]: for people; [`diff`]: which lines change.

mod diff;
mod input;
mod media;
mod node;
mod options;
mod questions;
mod report;
mod request;
mod response;
mod text;
mod words;

use std::io::{IsTerminal, Write};

use anyhow::Context as _;

pub use options::Options;

use input::Input;
use node::Imagined;
use report::Report;

/// Explains one message as the options say.
///
/// # Errors
/// Names the file, line or value that is wrong.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let node = Imagined::of(options).await?;
    let input = Input::read(options, &node)?;
    let report = if input.message.is_request() {
        request::explain(&node, &input, options).await
    } else {
        response::explain(&node, &input)
    };
    write(&report, options)
}

/// Writes what was asked for to where it was asked for.
fn write(report: &Report, options: &Options) -> anyhow::Result<()> {
    let to_terminal = options.output.is_none() && std::io::stdout().is_terminal();
    let bytes = if options.bytes {
        let leaving = report.passed_on();
        if leaving.is_none() {
            eprintln!("causeway: nothing leaves: {}", report.verdict);
        }
        leaving.map_or_else(Vec::new, |leaving| leaving.bytes.to_vec())
    } else if options.json {
        let mut text = serde_json::to_string_pretty(report).context("the report")?;
        text.push('\n');
        text.into_bytes()
    } else {
        text::render(report, to_terminal).into_bytes()
    };
    match &options.output {
        Some(path) => {
            std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
        }
        None => match std::io::stdout().write_all(&bytes) {
            // Who reads only the beginning (`| head`) has read enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("standard output"),
        },
    }
}
