//! Whether two messages say the same to a phone: who calls, what may be done with the call, and what can be spoken in it.

use std::collections::BTreeMap;

use super::message::{header, whole};
use super::stage::EDGE;

/// What makes a call this call, and what a phone may do in it.
const HEADERS: [&str; 8] = [
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Supported",
    "Session-Expires",
    "Content-Type",
];

/// RFC 3551 §6, and RFC 3389 for 13: what a payload type means that no `a=rtpmap` explains.
const STATIC: [(&str, &str); 4] = [
    ("0", "PCMU/8000"),
    ("8", "PCMA/8000"),
    ("9", "G722/8000"),
    ("13", "CN/8000"),
];

/// What stands in one m= line.
#[derive(Debug, PartialEq, Eq)]
struct Media<'m> {
    kind: &'m str,
    port: u16,
    protocol: &'m str,
    /// Payload types in their order, each with what it means and its parameters.
    codecs: Vec<(&'m str, &'m str, Option<&'m str>)>,
    direction: &'m str,
    ptime: &'m str,
    connection: &'m str,
}

fn media(sdp: &str) -> Vec<Media<'_>> {
    let mut parts = sdp.split("\r\nm=");
    let session = parts.next().unwrap_or_default();
    parts.map(|part| one_media(session, part)).collect()
}

fn one_media<'m>(session: &'m str, part: &'m str) -> Media<'m> {
    let mut lines = part.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let attributes: Vec<&str> = lines
        .clone()
        .filter_map(|line| line.strip_prefix("a="))
        .collect();
    let of = |name: &str, payload: &str| {
        let wanted = format!("{name}:{payload} ");
        attributes
            .iter()
            .find_map(|line| line.strip_prefix(wanted.as_str()))
    };
    let statics = BTreeMap::from(STATIC);
    let codec = |payload: &&'m str| {
        let meaning = of("rtpmap", payload).or_else(|| statics.get(payload).copied());
        let meaning = meaning.unwrap_or_else(|| panic!("nothing says what {payload} is: {part}"));
        (*payload, meaning, of("fmtp", payload))
    };
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let direction = attributes.iter().find(|line| directions.contains(line));
    let ptime = attributes
        .iter()
        .find_map(|line| line.strip_prefix("ptime:"));
    let connection = lines
        .chain(session.split("\r\n"))
        .find_map(|line| line.strip_prefix("c="));
    let port: u16 = words[1].parse().unwrap();
    Media {
        kind: words[0],
        port,
        protocol: words[2],
        // What is rejected says nothing.
        codecs: words[3..].iter().filter(|_| port != 0).map(codec).collect(),
        // RFC 4566 §6, RFC 3551 §4.2: what is assumed where nothing is said.
        direction: direction.copied().unwrap_or("sendrecv"),
        ptime: ptime.unwrap_or("20"),
        connection: connection.unwrap_or_default(),
    }
}

/// A request that came to the edge and what the phone got of it.
pub(super) fn is_the_same(who: &str, came: &str, arrived: &str) {
    for name in HEADERS {
        assert_eq!(header(arrived, name), header(came, name), "{who}: {name}");
    }
    let [came, arrived] = [came, arrived].map(|message| {
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            header(head, "Content-Length"),
            Some(body.len().to_string().as_str()),
            "{who}"
        );
        media(body)
    });
    assert_eq!(
        arrived.len(),
        came.len(),
        "{who}: every m= line keeps its place"
    );
    let mut taken = came
        .iter()
        .zip(&arrived)
        .filter(|(_, arrived)| arrived.port != 0);
    assert!(
        taken.clone().count() <= 1,
        "{who}: one stream is enough: {arrived:?}"
    );
    assert_eq!(taken.clone().count(), came.len().min(1), "{who}");
    if let Some((came, arrived)) = taken.next() {
        assert_eq!(arrived.codecs, came.codecs, "{who}");
        assert_eq!(
            (
                arrived.kind,
                arrived.protocol,
                arrived.direction,
                arrived.ptime
            ),
            (came.kind, "RTP/AVP", came.direction, came.ptime),
            "{who}"
        );
        // Its own address and port are RTPEngine's.
        assert_eq!(arrived.connection, format!("IN IP4 {EDGE}"), "{who}");
        assert_ne!(arrived.port, came.port, "{who}");
    }
}

/// A request of the registrar's and what it got for an answer: RFC 3261 §8.2.6.2, and its own Vias and Record-Route.
pub(super) fn answers(who: &str, request: &str, answer: &str) {
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(header(answer, name), header(request, name), "{who}: {name}");
    }
    let vias = |message| whole(message, "Via").map(branch).collect::<Vec<_>>();
    assert_eq!(vias(answer), vias(request), "{who}");
}

fn branch(via: &str) -> &str {
    let value = via.split("branch=").nth(1).unwrap_or_default();
    value.split(';').next().unwrap_or_default()
}
