//! The command line of `causeway explain`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use sip::Transport;

const EXAMPLES: &str = "\
Examples:
  What becomes of an INVITE that a phone sends:
    causeway explain causeway.toml invite.sip --from udp:203.0.113.7:12345

  The same with the first registrar dead, and for a machine:
    causeway explain causeway.toml invite.sip --from udp:203.0.113.7:12345 --dead registrars/1 --json

  A call for a user whose phone is not registered in this node's store:
    causeway explain causeway.toml invite.sip --from udp:203.0.113.7:12345 \\
        --binding 'sip:bob@192.168.1.9:5060'

  How many bytes would leave, from a capture on standard input:
    causeway explain causeway.toml - --from udp:10.33.69.152:5060 --bytes < invite.sip | wc -c

Nothing is sent, asked of a name server (but with --resolve) or written (but with --output). The node may run meanwhile.
Exits with 0 when the message could be explained, whatever becomes of it, and with 1 when not.";

/// What is explained, and what is to be taken for granted.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The configuration (TOML).
    pub file: PathBuf,
    /// The message, one request or response; `-`, or nothing, for standard input. A file without any CR is read as if its
    /// lines ended with CRLF.
    #[arg(default_value = "-")]
    pub message: PathBuf,
    /// Where it came from: udp, tcp, tls, ws or wss, then the address as this node sees it (behind NAT the NAT's).
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub from: Source,
    /// The listener that received it, the NAME of [listen.NAME], where several speak the transport of --from.
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// The address on which it was received, where that does not say it either.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub to: Option<SocketAddr>,
    /// A member that is dead, by the name of its group and its place in `members` (from 1) or its host. All others are taken as
    /// alive. May be repeated.
    #[arg(long, value_name = "GROUP/MEMBER")]
    pub dead: Vec<String>,
    /// What the sender's credentials are worth, where the node would ask.
    #[arg(long, value_enum, default_value_t = Credentials::Authenticated)]
    pub sender: Credentials,
    /// A Contact that the called user has registered, instead of those in the node's store. May be repeated, each with its own
    /// --path.
    #[arg(long, value_name = "URI")]
    pub binding: Vec<String>,
    /// The Path of the --binding in the same place, as the registrar keeps it.
    #[arg(long, value_name = "VALUE", requires = "binding")]
    pub path: Vec<String>,
    /// What a call-out answers, where one would be asked: '{"to": "group:carriers", "user": "+4930123"}'. Without it, it fails.
    #[arg(long, value_name = "JSON")]
    pub call_out_answer: Option<String>,
    /// A REGISTER that --from, or the device at that address, had sent, and that was answered 200: then the node knows which device is
    /// there. May be repeated, in the order in which they came.
    #[arg(long, value_name = "[TRANSPORT:ADDRESS:PORT=]FILE")]
    pub registered: Vec<Registered>,
    /// Ask DNS for the names of members and of next hops. Without it a name has no address.
    #[arg(long)]
    pub resolve: bool,
    /// Write the report as JSON.
    #[arg(long, conflicts_with = "bytes")]
    pub json: bool,
    /// Write nothing but the message that would leave, byte for byte; of several copies the first. Nothing if none would.
    #[arg(long)]
    pub bytes: bool,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `udp:203.0.113.7:12345`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// What is spoken.
    pub transport: Transport,
    /// The peer.
    pub address: SocketAddr,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "for example udp:203.0.113.7:12345 or wss:[2001:db8::7]:40000";
        let (transport, address) = text
            .split_once(':')
            .ok_or_else(|| format!("no transport and address: {FORM}"))?;
        let transport = Transport::from_param(transport.as_bytes())
            .ok_or_else(|| format!("`{transport}` is none of udp, tcp, tls, ws, wss: {FORM}"))?;
        let address = address
            .parse()
            .map_err(|_| format!("`{address}` is no address with a port: {FORM}"))?;
        Ok(Self { transport, address })
    }
}

/// `udp:203.0.113.7:12345=register.sip`, or the file alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Who had sent it; `None` for who sends the message.
    pub by: Option<Source>,
    /// The REGISTER.
    pub file: PathBuf,
}

impl FromStr for Registered {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let given = text
            .split_once('=')
            .and_then(|(by, file)| Some((by.parse().ok()?, file)));
        Ok(match given {
            Some((by, file)) => Self {
                by: Some(by),
                file: file.into(),
            },
            None => Self {
                by: None,
                file: text.into(),
            },
        })
    }
}

/// What the sender's credentials are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Credentials {
    /// Right.
    Authenticated,
    /// None, or too old: the node asks for them.
    Unknown,
    /// Wrong, or somebody else's.
    Refused,
    /// What the node finds when it checks those of the message now.
    Check,
}
