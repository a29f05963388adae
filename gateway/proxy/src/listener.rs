//! A place where we receive, and the names of it that stand in Via, Contact, Path and Record-Route.

use std::net::SocketAddr;

use ipnet::IpNet;
use sip::Transport;

use crate::flow::ListenerId;
use crate::mtu::Mtu;
use crate::path::PathStyle;
use crate::side::Side;
#[cfg(doc)]
use crate::site::Site;

/// A place where we receive, and how others name it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its number, which tokens carry.
    pub id: ListenerId,
    /// Towards whom it faces.
    pub side: Side,
    /// Networks of the core on a listener that faces devices: who speaks from there is no device ([`Site::side_of`]).
    pub core: Vec<IpNet>,
    /// What is spoken there.
    pub transport: Transport,
    /// Where it is bound.
    pub bind: SocketAddr,
    /// The host that Via, Path and Record-Route name: an address (IPv6 without brackets) or a name.
    pub host: String,
    /// The port that they name.
    pub port: u16,
    /// What its datagrams may be.
    pub mtu: Mtu,
    /// Networks of edges, where we are the registrar behind them: trusted, but what they send is of users.
    pub edges: Vec<IpNet>,
    /// What the Path of its devices says.
    pub path: PathStyle,
    /// Its devices do not see the core's addresses ([`crate::hiding`]).
    pub hides: bool,
}

impl Listener {
    /// A listener that is named by the address at which it is bound, and asked for nothing more.
    pub fn new(id: ListenerId, side: Side, transport: Transport, bind: SocketAddr) -> Self {
        Self {
            id,
            side,
            core: Vec::new(),
            transport,
            bind,
            host: bind.ip().to_string(),
            port: bind.port(),
            mtu: Mtu::default(),
            edges: Vec::new(),
            path: PathStyle::default(),
            hides: false,
        }
    }

    /// `host:port` as a URI and a Via have it: IPv6 in brackets, the transport's default port left out.
    pub fn sent_by(&self) -> String {
        let mut text = String::with_capacity(self.host.len() + 8);
        self.name().write_sent_by(&mut text);
        text
    }

    /// The Path or Record-Route value that names this listener, in angle brackets; `write_token` writes its user part, and
    /// `more` are further URI parameters.
    pub fn route(&self, write_token: impl FnOnce(&mut String), more: &str) -> String {
        self.name().route(write_token, more)
    }

    /// Its own name.
    pub(crate) fn name(&self) -> Name<'_> {
        Name {
            host: &self.host,
            port: self.port,
            transport: self.transport,
        }
    }
}

/// What a listener is called: by its own name, or by one that it shares with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    /// As [`Listener::host`].
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) transport: Transport,
}

impl Name<'_> {
    /// `host:port`, behind what is there: IPv6 in brackets, the transport's default port left out.
    pub(crate) fn write_sent_by(&self, to: &mut String) {
        // Only an IPv6 address has a colon.
        if self.host.contains(':') {
            to.push('[');
            to.push_str(self.host);
            to.push(']');
        } else {
            to.push_str(self.host);
        }
        if self.port != self.transport.default_port() {
            to.push(':');
            write_number(to, self.port.into());
        }
    }

    /// A URI for a Contact, without angle brackets; `write_user` writes its user part.
    pub(crate) fn uri(&self, write_user: impl FnOnce(&mut String)) -> String {
        let mut text = String::with_capacity(160);
        self.write_uri(&mut text, write_user);
        text
    }

    /// As [`Listener::route`].
    pub(crate) fn route(&self, write_token: impl FnOnce(&mut String), more: &str) -> String {
        let mut text = String::with_capacity(128);
        text.push('<');
        self.write_uri(&mut text, write_token);
        text.push_str(";lr");
        text.push_str(more);
        text.push('>');
        text
    }

    fn write_uri(&self, to: &mut String, write_user: impl FnOnce(&mut String)) {
        to.push_str("sip:");
        write_user(to);
        to.push('@');
        self.write_sent_by(to);
        if self.transport != Transport::Udp {
            to.push_str(";transport=");
            to.push_str(self.transport.uri_param());
        }
    }
}

/// Decimal digits, without the machinery of `format!`: this is on the way of every message.
pub(crate) fn write_number(to: &mut String, number: u32) {
    if number >= 10 {
        write_number(to, number / 10);
    }
    to.push(char::from(b'0' + (number % 10) as u8));
}
