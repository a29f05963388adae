//! Messages as the tables write them.

use sip::{Header, Limits, Message, NameAddr, Uri};

use crate::kit::CALL;

/// A message being written.
#[derive(Clone)]
pub(crate) struct Draft {
    start: String,
    lines: Vec<(String, String)>,
    body: String,
}

/// A request of alice to bob.
pub(crate) fn request(method: &str, uri: &str) -> Draft {
    let lines = [
        (
            "Via",
            "SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKalice1;rport",
        ),
        ("Max-Forwards", "70"),
        ("From", "<sip:alice@example.test>;tag=alice"),
        ("To", "<sip:bob@example.test>"),
        ("Call-ID", CALL),
        ("CSeq", &format!("1 {method}")),
        ("Contact", "<sip:alice@192.168.1.9:5060>"),
    ];
    let lines = lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    Draft {
        start: format!("{method} {uri} SIP/2.0"),
        lines,
        body: String::new(),
    }
}

pub(crate) fn invite() -> Draft {
    request("INVITE", "sip:bob@example.test")
}

/// A request inside a dialog, to a Contact that only the other side's NAT could reach.
pub(crate) fn inside(method: &str, route: &str) -> Draft {
    request(method, "sip:bob@192.168.77.5:5060")
        .tagged("bob")
        .with("Route", route)
}

/// The response to a message that we sent on.
pub(crate) fn response_to(message: &Message, status: u16) -> Draft {
    let mut lines = Vec::new();
    for header in [
        Header::Via,
        Header::RecordRoute,
        Header::From,
        Header::To,
        Header::CallId,
        Header::CSeq,
    ] {
        for line in message.lines(header) {
            let line = String::from_utf8_lossy(line).into_owned();
            let name = String::from_utf8_lossy(header.name()).into_owned();
            let line = if header == Header::To && !line.contains("tag=") {
                format!("{line};tag=bob")
            } else {
                line
            };
            lines.push((name, line));
        }
    }
    lines.push((
        "Contact".to_owned(),
        "<sip:bob@192.168.77.5:5060>".to_owned(),
    ));
    Draft {
        start: format!("SIP/2.0 {status} Whatever"),
        lines,
        body: String::new(),
    }
}

impl Draft {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.lines.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    pub(crate) fn route(self, value: &str) -> Self {
        self.with("Route", value)
    }

    pub(crate) fn tagged(self, tag: &str) -> Self {
        self.set("To", &format!("<sip:bob@example.test>;tag={tag}"))
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        let (_, rest) = self.start.split_once(' ').expect("a request line");
        self.start = format!("{method} {rest}");
        self
    }

    pub(crate) fn sdp(mut self) -> Self {
        self.body = "v=0\r\no=- 1 1 IN IP4 192.168.1.9\r\ns=-\r\nc=IN IP4 192.168.1.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned();
        self.with("Content-Type", "application/sdp")
    }

    pub(crate) fn build(&self) -> Message {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.lines {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
        parse(text.as_bytes())
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Message {
    Message::parse(bytes.to_vec().into(), &Limits::default()).expect("a SIP message")
}

/// All values of a header, commas apart.
pub(crate) fn values(message: &Message, header: Header<'_>) -> Vec<String> {
    message
        .values(header)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// The user part of a Route or Record-Route value: its token.
pub(crate) fn token_of(value: &str) -> String {
    let uri = NameAddr::parse(value.as_bytes())
        .expect("a name-addr")
        .uri
        .to_vec();
    String::from_utf8_lossy(
        Uri::parse(&uri)
            .and_then(|uri| uri.user)
            .unwrap_or_default(),
    )
    .into_owned()
}
