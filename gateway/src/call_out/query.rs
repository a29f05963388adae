//! What a call-out is told of a request.

use proxy::{Flow, Site};
use serde::Serialize;
use sip::{Header, Message, NameAddr};

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
        // As it is read: text of the caller's may look like a tag, and would cut off who he is.
        let from = match NameAddr::parse(self.from.as_bytes()) {
            Some(from) => [from.display, b"<", from.uri, b">"].concat(),
            None => self.from.clone().into_bytes(),
        };
        Self {
            call_id: String::new(),
            source_port: 0,
            from: String::from_utf8_lossy(&from).into_owned(),
            ..self.clone()
        }
        .to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_for_who_asked_and_for_nobody_else() {
        let key = |from: &str, call_id: &str| {
            let query = Query {
                method: "INVITE".to_owned(),
                request_uri: "sip:0900@example.com".to_owned(),
                from: from.to_owned(),
                to: "<sip:0900@example.com>".to_owned(),
                call_id: call_id.to_owned(),
                user_agent: None,
                source: "192.0.2.7".to_owned(),
                source_port: 5060,
                transport: "udp",
                listener: "public".to_owned(),
                peer: None,
            };
            query.key()
        };
        let alice = key("Alice <sip:alice@example.com>;tag=1", "a");
        for (why, from, same) in [
            (
                "her next call",
                "Alice <sip:alice@example.com>;TAG=2;x=y",
                true,
            ),
            ("another user", "Alice <sip:bob@example.com>;tag=1", false),
            ("another name", "Bob <sip:alice@example.com>;tag=1", false),
        ] {
            assert_eq!(key(from, "b") == alice, same, "{why}");
        }
        assert_ne!(
            key("\";tag=\" <sip:alice@example.com>;tag=1", "a"),
            key("\";tag=\" <sip:bob@example.com>;tag=1", "a"),
            "a name that looks like a tag cuts nobody off"
        );
    }
}
