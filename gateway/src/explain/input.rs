//! The message that is explained.

use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use proxy::{ConnectionId, Flow};
use sip::{Message, ParseError};

use super::node::Imagined;
use super::options::Options;

/// A connection is named by bits that nobody knows beforehand.
const SOME_CONNECTION: u64 = 1;

/// The message and how it came.
pub(super) struct Input {
    /// The message.
    pub(super) message: Message,
    /// How it came.
    pub(super) flow: Flow,
    /// Its lines ended with LF alone.
    pub(super) had_bare_lines: bool,
}

impl Input {
    /// Reads the message that the options name.
    pub(super) fn read(options: &Options, node: &Imagined) -> anyhow::Result<Self> {
        let (name, bytes) = bytes_of(&options.message)?;
        let (bytes, had_bare_lines) = with_line_ends(bytes);
        let message = parse(&name, bytes, &node.limits)?;
        Ok(Self {
            message,
            flow: node.flow(options)?,
            had_bare_lines,
        })
    }
}

/// Reads a message of a file, for example that of `--registered`.
pub(super) fn message_of(path: &Path, limits: &sip::Limits) -> anyhow::Result<Message> {
    let (name, bytes) = bytes_of(path)?;
    parse(&name, with_line_ends(bytes).0, limits)
}

fn bytes_of(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("standard input")?;
        return Ok(("standard input".to_owned(), bytes));
    }
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the message, {name}"))?;
    Ok((name, bytes))
}

/// What was copied as text has lost its CRs.
fn with_line_ends(bytes: Vec<u8>) -> (Vec<u8>, bool) {
    if bytes.contains(&b'\r') || !bytes.contains(&b'\n') {
        return (bytes, false);
    }
    let mut whole = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if byte == b'\n' {
            whole.push(b'\r');
        }
        whole.push(byte);
    }
    (whole, true)
}

fn parse(name: &str, bytes: Vec<u8>, limits: &sip::Limits) -> anyhow::Result<Message> {
    let first = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let first = String::from_utf8_lossy(first.unwrap_or_default()).into_owned();
    let length = bytes.len();
    match Message::parse(Bytes::from(bytes), limits) {
        Ok(message) => Ok(message),
        Err(error @ ParseError::StartLine) => bail!(
            "{name}, line 1: {error}: {first:?} (the node drops it; right would be \"INVITE sip:bob@example.com SIP/2.0\" \
             or \"SIP/2.0 200 OK\")"
        ),
        Err(ParseError::Empty) => {
            bail!("{name}: nothing but line ends: a keepalive, which the node answers or drops")
        }
        Err(error @ (ParseError::TooLong { .. } | ParseError::TooManyHeaders { .. })) => {
            bail!("{name}: {error} (it has {length} bytes): the node drops it; see [limits]")
        }
    }
}

/// The flow of a connection that is not there.
pub(super) fn connection() -> ConnectionId {
    ConnectionId::from_bits(SOME_CONNECTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_lost_their_cr_get_it_back_and_others_stay() {
        for (given, want) in [
            (&b"a\nb\n\n"[..], &b"a\r\nb\r\n\r\n"[..]),
            (b"a\r\nb\n", b"a\r\nb\n"),
            (b"a", b"a"),
        ] {
            assert_eq!(with_line_ends(given.to_vec()).0, want);
        }
    }

    #[test]
    fn what_is_no_message_is_said_with_its_place() {
        let limits = sip::Limits {
            message_bytes: 60,
            headers: 1,
        };
        for (bytes, want) in [
            (
                "HELLO\r\n\r\n",
                "x.sip, line 1: the first line is no start line",
            ),
            ("\r\n\r\n", "a keepalive"),
            (
                "OPTIONS sip:a SIP/2.0\r\nTo: <sip:a>\r\nFrom: <sip:b>\r\n\r\n",
                "more than 1 header lines",
            ),
            (
                "OPTIONS sip:a SIP/2.0\r\nTo: <sip:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>\r\n\r\n",
                "longer than 60 bytes",
            ),
        ] {
            let error = parse("x.sip", bytes.into(), &limits)
                .unwrap_err()
                .to_string();
            assert!(error.contains(want), "{bytes:?}: {error}");
        }
    }
}
