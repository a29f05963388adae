//! Messages after a pattern: a captured message, or one written down here, whose headers stay as they are and in their order;
//! only what makes it part of this very dialog is put in.

use super::message::Message;

/// What differs from one dialog to the next.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    /// The first line.
    pub start: String,
    /// Via, topmost first.
    pub via: Vec<String>,
    /// Record-Route, topmost first.
    pub record_route: Vec<String>,
    /// Route, topmost first.
    pub routes: &'a [String],
    /// From.
    pub from: &'a str,
    /// To.
    pub to: &'a str,
    /// Call-ID.
    pub call_id: &'a str,
    /// CSeq.
    pub cseq: String,
    /// Contact, where the pattern has one.
    pub contact: &'a str,
    /// More header lines, each with its end.
    pub more: &'a str,
    /// The body.
    pub body: &'a str,
}

/// The message.
pub fn fill(pattern: &str, parts: &Parts<'_>) -> String {
    let head = pattern.split("\r\n\r\n").next().unwrap_or_default();
    let mut text = format!("{}\r\n", parts.start);
    let mut line = |name: &str, value: &str| {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    };
    let mut ways_are_written = false;
    for header in head.lines().skip(1) {
        let Some((name, value)) = header.split_once(": ") else {
            continue;
        };
        match name {
            "Via" if ways_are_written => {}
            "Via" => {
                ways_are_written = true;
                parts.via.iter().for_each(|way| line("Via", way));
                parts
                    .record_route
                    .iter()
                    .for_each(|way| line("Record-Route", way));
                parts.routes.iter().for_each(|way| line("Route", way));
            }
            "Route" | "Record-Route" | "Authorization" | "Proxy-Authorization" => {}
            "From" => line(name, parts.from),
            "To" => line(name, parts.to),
            "Call-ID" => line(name, parts.call_id),
            "CSeq" => line(name, &parts.cseq),
            "Contact" => line(name, parts.contact),
            "Content-Length" => line(name, &parts.body.len().to_string()),
            "Content-Type" | "Content-Disposition" if parts.body.is_empty() => {}
            _ => line(name, value),
        }
    }
    text.push_str(parts.more);
    text.push_str("\r\n");
    text.push_str(parts.body);
    text
}

/// A response's parts: RFC 3261 §8.2.6.2. `to` is the request's To with a tag of ours.
pub(super) fn answer<'a>(request: &'a Message, start: String, to: &'a str) -> Parts<'a> {
    let owned = |name: &str| {
        request
            .values(name)
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    Parts {
        start,
        via: owned("Via"),
        record_route: owned("Record-Route"),
        from: request.header("From").unwrap_or_default(),
        to,
        call_id: request.call_id(),
        cseq: request.header("CSeq").unwrap_or_default().to_owned(),
        ..Parts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_no_dialog_stays_as_it_was_captured() {
        let pattern = "INVITE sip:a SIP/2.0\r\nVia: old\r\nRoute: <sip:old>\r\nMax-Forwards: 68\r\nCSeq: 1 INVITE\r\n\
                       Content-Length: 9\r\nX-FS-Support: x\r\n\r\nold body.";
        let parts = Parts {
            start: "INVITE sip:b SIP/2.0".to_owned(),
            via: vec!["new".to_owned()],
            routes: &["<sip:one;lr>".to_owned(), "<sip:two;lr>".to_owned()],
            cseq: "2 INVITE".to_owned(),
            body: "new",
            ..Parts::default()
        };
        assert_eq!(
            fill(pattern, &parts),
            "INVITE sip:b SIP/2.0\r\nVia: new\r\nRoute: <sip:one;lr>\r\nRoute: <sip:two;lr>\r\nMax-Forwards: 68\r\n\
             CSeq: 2 INVITE\r\nContent-Length: 3\r\nX-FS-Support: x\r\n\r\nnew"
        );
    }
}
