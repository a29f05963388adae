//! A message that came in, as text, and how a test asks it.

use std::net::SocketAddr;

/// A message and who sent it.
#[derive(Clone, Debug)]
pub struct Message {
    /// All of it.
    pub text: String,
    /// Its source; of a connection, the other end.
    pub from: SocketAddr,
}

impl Message {
    /// The first line.
    pub fn start(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        let rest = self.start().strip_prefix("SIP/2.0 ")?;
        rest.split(' ').next()?.parse().ok()
    }

    /// The method: a request's own, or that of a response's CSeq.
    pub fn method(&self) -> &str {
        self.cseq().1
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> (u32, &str) {
        let value = self.header("CSeq").unwrap_or_default();
        let (number, method) = value.split_once(' ').unwrap_or_default();
        (number.trim().parse().unwrap_or(0), method.trim())
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    /// The first value of a header, by its long name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines_of(name).next()
    }

    /// All values of a header, a comma between two counted as a new line; for headers whose values hold no quoted comma.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.lines_of(name);
        lines
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .collect()
    }

    fn lines_of<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m str> {
        let compact = compact(name);
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().skip(1).filter_map(move |line| {
            let (own, value) = line.split_once(':')?;
            let own = own.trim();
            (own.eq_ignore_ascii_case(name) || Some(own) == compact).then_some(value.trim())
        })
    }

    /// What follows the headers.
    pub fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    /// A parameter behind the address of From, To or Contact.
    pub fn parameter(&self, header: &str, name: &str) -> Option<&str> {
        let value = self.header(header)?;
        let parameters = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
        parameters.split(';').find_map(|parameter| {
            let (own, value) = parameter.split_once('=')?;
            (own.trim() == name).then_some(value.trim())
        })
    }

    /// The URI of the first value of a header, with angle brackets or without.
    pub fn uri_of(&self, header: &str) -> Option<&str> {
        let value = self.header(header)?;
        match value.split_once('<') {
            Some((_, rest)) => rest.split('>').next(),
            // RFC 3261 §20.10: without brackets, what is behind a semicolon belongs to the header.
            None => value.split(';').next(),
        }
    }

    /// What tells a retransmission from another request: RFC 3261 §17.2.3.
    pub(super) fn key(&self) -> String {
        let via = self.header("Via").unwrap_or_default();
        let branch = via.split("branch=").nth(1).unwrap_or_default();
        let branch = branch.split([';', ',']).next().unwrap_or_default();
        format!(
            "{branch} {}",
            self.start().split(' ').next().unwrap_or_default()
        )
    }
}

/// RFC 3261 §7.3.3: a phone that has to save bytes, or an edge that did it for it.
pub fn compact(name: &str) -> Option<&'static str> {
    Some(match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        "Supported" => "k",
        "Content-Length" => "l",
        "Content-Type" => "c",
        "Refer-To" => "r",
        "Event" => "o",
        "Session-Expires" => "x",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_asked_by_long_names_whatever_it_wrote() {
        let text = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bKx;rport\r\nt: \"a, b\" <sip:b@c;x=1>;tag=t\r\n\
                    Record-Route: <sip:one;lr>, <sip:two;lr>\r\nCSeq: 7 INVITE\r\n\r\nbody";
        let from = SocketAddr::from(([127, 0, 0, 1], 5060));
        let message = Message {
            text: text.to_owned(),
            from,
        };
        assert_eq!(message.status(), Some(200));
        assert_eq!(message.cseq(), (7, "INVITE"));
        assert_eq!(message.parameter("To", "tag"), Some("t"));
        assert_eq!(message.uri_of("To"), Some("sip:b@c;x=1"));
        assert_eq!(message.values("Record-Route").len(), 2);
        assert_eq!(message.body(), "body");
        assert_eq!(message.key(), "z9hG4bKx SIP/2.0");
        // linphone writes its To so.
        let bare = Message {
            text: message.text.replace("\"a, b\" <sip:b@c;x=1>", "sip:b@c"),
            from,
        };
        assert_eq!(bare.uri_of("To"), Some("sip:b@c"));
    }
}
