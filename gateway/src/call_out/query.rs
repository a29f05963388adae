//! What a call-out is told of a request.

use proxy::{Flow, Site};
use serde::Serialize;
use sip::{Header, Message};

/// The JSON object that is sent. What is no UTF-8 in the request is replaced.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The method.
    pub method: String,
    /// The request-URI.
    pub request_uri: String,
    /// The value of From.
    pub from: String,
    /// The value of To.
    pub to: String,
    /// The Call-ID.
    pub call_id: String,
    /// The value of User-Agent.
    pub user_agent: Option<String>,
    /// The address that the request came from.
    pub source: String,
    /// The port there.
    pub source_port: u16,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    pub transport: &'static str,
    /// NAME of the `[listen.NAME]` by which it came.
    pub listener: String,
    /// NAME of the `[peer.NAME]` that it came from.
    pub peer: Option<String>,
}

impl Query {
    /// What is said of this request, which came by this flow to `[listen.LISTENER]`.
    pub fn of(request: &Message, flow: &Flow, site: &Site, listener: &str) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let header = |header| request.header(header).map(text);
        Self {
            method: text(request.method().as_bytes()),
            request_uri: text(request.uri()),
            from: header(Header::From).unwrap_or_default(),
            to: header(Header::To).unwrap_or_default(),
            call_id: text(request.call_id()),
            user_agent: header(Header::UserAgent),
            source: flow.peer.ip().to_canonical().to_string(),
            source_port: flow.peer.port(),
            transport: match flow.transport {
                sip::Transport::Udp => "udp",
                sip::Transport::Tcp => "tcp",
                sip::Transport::Tls => "tls",
                sip::Transport::Ws => "ws",
                sip::Transport::Wss => "wss",
            },
            listener: listener.to_owned(),
            peer: site.peer(flow).map(|peer| peer.name.clone()),
        }
    }

    /// The object's text.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and numbers alone: there is nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What the answer may depend on: all but what is another one for each call. From has a tag of its own.
    pub(super) fn key(&self) -> Vec<u8> {
        let without_tag = |value: &str| value.split(";tag=").next().unwrap_or_default().to_owned();
        Self {
            call_id: String::new(),
            source_port: 0,
            from: without_tag(&self.from),
            ..self.clone()
        }
        .to_json()
    }
}
