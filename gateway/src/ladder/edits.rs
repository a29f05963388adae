//! What we changed in a message on its way through, in few words: header lines that went (`-Route`), came (`+Via`) or changed
//! (`~Contact`), and what became of each m= line.

use std::collections::BTreeMap;

use sdp::{Media, Session};
use sip::Message;

/// What is said of a URI at most.
const SHORT: usize = 48;

/// Says what is different in `after`.
pub(super) fn edits(before: &Message, after: &Message) -> Vec<String> {
    let mut said = Vec::new();
    if before.is_request() && after.is_request() && before.uri() != after.uri() {
        said.push(format!("URI {}", short(after.uri())));
    }
    said.extend(headers(before, after));
    match (before.has_sdp(), after.has_sdp()) {
        (true, true) if before.body() != after.body() => {
            said.extend(sdp(before.body(), after.body()))
        }
        (true, false) => said.push("-SDP".to_owned()),
        (false, true) => said.push("+SDP".to_owned()),
        _ => {}
    }
    said
}

fn short(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// Header lines by name, in the order of the message.
fn lines(message: &Message) -> BTreeMap<String, Vec<&[u8]>> {
    let mut by_name: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (header, value) in message.all_lines() {
        let name = String::from_utf8_lossy(header.name()).into_owned();
        by_name.entry(name).or_default().push(value);
    }
    by_name
}

fn headers(before: &Message, after: &Message) -> Vec<String> {
    let (before, after) = (lines(before), lines(after));
    let mut said = Vec::new();
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        if name.eq_ignore_ascii_case("Content-Length") {
            continue;
        }
        let none = Vec::new();
        let (old, new) = (
            before.get(name).unwrap_or(&none),
            after.get(name).unwrap_or(&none),
        );
        let gone = old.iter().filter(|value| !new.contains(value)).count();
        let come = new.iter().filter(|value| !old.contains(value)).count();
        let times = |count: usize| {
            if count > 1 {
                format!("×{count}")
            } else {
                String::new()
            }
        };
        let changed = gone.min(come);
        if name.eq_ignore_ascii_case("Max-Forwards") && changed == 1 {
            said.push(format!("{name} {}", short(new[0])));
            continue;
        }
        for (sign, count) in [('~', changed), ('-', gone - changed), ('+', come - changed)] {
            if count > 0 {
                said.push(format!("{sign}{name}{}", times(count)));
            }
        }
    }
    said
}

fn sdp(before: &[u8], after: &[u8]) -> Vec<String> {
    let (Ok(old), Ok(new)) = (Session::parse(before), Session::parse(after)) else {
        return vec!["~SDP".to_owned()];
    };
    let mut said = Vec::new();
    for (place, media) in new.media().iter().enumerate() {
        let was = old.media().get(place).map(|was| where_to(&old, place, was));
        let is = where_to(&new, place, media);
        let kind = String::from_utf8_lossy(media.kind()).into_owned();
        match was {
            Some(was) if was != is => said.push(format!("{kind} {was} → {is}")),
            None => said.push(format!("+{kind} {is}")),
            Some(_) => {}
        }
        said.extend(old.media().get(place).and_then(|was| codecs(was, media)));
        for (name, word) in [
            ("ice-ufrag", "ICE"),
            ("fingerprint", "DTLS"),
            ("crypto", "SDES"),
            ("rtcp-mux", "rtcp-mux"),
        ] {
            let had = old.attribute_of(place, name).is_some();
            let has = new.attribute_of(place, name).is_some();
            match (had, has) {
                (true, false) => said.push(format!("-{word}")),
                (false, true) => said.push(format!("+{word}")),
                _ => {}
            }
        }
    }
    for media in old.media().get(new.media().len()..).unwrap_or_default() {
        said.push(format!("-{}", String::from_utf8_lossy(media.kind())));
    }
    said
}

/// Protocol, address and port of an m= line.
fn where_to(session: &Session<'_>, place: usize, media: &Media<'_>) -> String {
    let protocol = String::from_utf8_lossy(media.protocol()).into_owned();
    if media.is_rejected() {
        return format!("{protocol} refused");
    }
    let connection =
        String::from_utf8_lossy(session.connection_of(place).unwrap_or_default()).into_owned();
    let address = connection.split_ascii_whitespace().nth(2).unwrap_or("?");
    format!("{protocol} {address}:{}", media.port())
}

/// Payload types that went or came.
fn codecs(before: &Media<'_>, after: &Media<'_>) -> Option<String> {
    let list = |media: &Media<'_>| {
        let formats: Vec<String> = media
            .formats()
            .map(|format| String::from_utf8_lossy(format).into_owned())
            .collect();
        formats.join(" ")
    };
    let (old, new) = (list(before), list(after));
    (old != new && !after.is_rejected()).then(|| format!("payloads {old} → {new}"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sip::Limits;

    use super::*;

    fn message(uri: &str, headers: &str, body: &str) -> Message {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@b>\r\nCall-ID: x\r\n\
             CSeq: 1 INVITE\r\nMax-Forwards: 70\r\n{headers}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(Bytes::from(text), &Limits::default()).unwrap()
    }

    #[test]
    fn what_changed_is_said_in_few_words() {
        let rtp = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n";
        let savpf = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n\
                     m=audio 5000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 AA\r\n";
        for (why, before, after, want) in [
            (
                "nothing",
                message("sip:c@b", "", rtp),
                message("sip:c@b", "", rtp),
                "",
            ),
            (
                "routes",
                message(
                    "sip:c@b",
                    "Route: <sip:x;lr>\r\nContact: <sip:a@1>\r\n",
                    rtp,
                ),
                message(
                    "sip:c@9",
                    "Record-Route: <sip:y>\r\nRecord-Route: <sip:z>\r\nContact: <sip:a@2>\r\n",
                    rtp,
                ),
                "URI sip:c@9, ~Contact, +Record-Route×2, -Route",
            ),
            (
                "media",
                message("sip:c@b", "", savpf),
                message("sip:c@b", "", rtp),
                "audio UDP/TLS/RTP/SAVPF 10.0.0.2:5000 → RTP/AVP 10.0.0.1:4000, payloads 0 → 0 8, -DTLS",
            ),
        ] {
            assert_eq!(edits(&before, &after).join(", "), want, "{why}");
        }
    }
}
