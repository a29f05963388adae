//! Messages as text: what is read of them, and what is made of them.

use causeway_tests::agent::compact;

/// A response with what it takes over from its request (RFC 3261 §8.2.6.2), under the names that those have there.
pub(super) fn response(request: &str, status: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for line in whole(request, name) {
            let tag = if name == "To" && !line.contains(";tag=") {
                ";tag=phone"
            } else {
                ""
            };
            text.push_str(&format!("{line}{tag}\r\n"));
        }
    }
    format!("{text}{more}Content-Length: 0\r\n\r\n")
}

/// The lines of a header, by its long name or the compact one.
pub(super) fn whole<'m>(message: &'m str, name: &'static str) -> impl Iterator<Item = &'m str> {
    let compact = compact(name).unwrap_or(name);
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.split("\r\n").skip(1).filter(move |line| {
        line.split_once(':')
            .is_some_and(|(own, _)| own == name || own == compact)
    })
}

/// The first value of a header.
pub(super) fn header<'m>(message: &'m str, name: &'static str) -> Option<&'m str> {
    whole(message, name)
        .next()?
        .split_once(": ")
        .map(|(_, value)| value)
}

pub(super) fn call_id(message: &str) -> &str {
    header(message, "Call-ID").unwrap_or_default()
}

/// A captured request with a Route of ours in the place of the capture's.
pub(super) fn with_route(captured: &str, route: &str) -> String {
    let old = whole(captured, "Route").next().unwrap();
    captured.replacen(old, &format!("Route: {route}"), 1)
}
