//! The message parser, its check and its edits.

use bytes::Bytes;
use sip::digest::Credentials;
use sip::{CSeq, Edited, Header, Limits, Message, NameAddr, Uri, Via};

/// Parses a datagram. What nobody edits leaves as it came; what was edited and passed [`Message::check`] is read again
/// as it was written.
pub fn message(data: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(data), &Limits::default()) else {
        return;
    };
    read_all(&message);
    let passed = message.check().is_ok();
    let untouched = Edited::new(message.clone());
    let bytes = written(&untouched);
    if length_is_right(&message) {
        assert_eq!(&bytes, message.bytes(), "nobody edited it");
    }
    if passed {
        reads_the_same(&untouched, &bytes);
    }
    for change in CHANGES {
        let mut edited = untouched.clone();
        change(&mut edited);
        let bytes = written(&edited);
        if passed {
            reads_the_same(&edited, &bytes);
        }
    }
}

type Change = fn(&mut Edited);

/// What a proxy does to a message, and worse.
const CHANGES: [Change; 6] = [
    |message| {
        message.prepend(Header::Via, b"SIP/2.0/UDP edge.test;branch=z9hG4bK1");
        message.prepend(Header::RecordRoute, b"<sip:token@edge.test;lr>");
        message.set(Header::MaxForwards, b"69");
        message.remove_value(Header::Route, 0);
    },
    |message| {
        let stamped = message
            .values(Header::Via)
            .next()
            .and_then(|via| sip::via::stamp_received(via, ([192, 0, 2, 1], 5060).into()));
        if let Some(stamped) = stamped {
            message.replace_value(Header::Via, 0, &stamped);
        }
        message.set_uri(b"sip:other@edge.test");
        message.set_status(500, b"Server Internal Error");
    },
    |message| {
        message.set_body(Bytes::from_static(b"v=0\r\n"));
        message.compact_names();
    },
    |message| {
        message.remove_value(Header::Contact, 0);
        message.remove_value(Header::Supported, 1);
        message.replace_value(Header::RecordRoute, 0, b"<sip:edge.test;lr>");
        message.append(Header::Other(b"X-Edge"), b"a\r\nVia: b\n c\r");
    },
    |message| {
        message.remove_lines_where(|header, _| matches!(header, Header::Other(_)));
        message.remove(Header::ContentLength);
        message.compact_names();
    },
    |message| {
        message.set(Header::ContentLength, b"4000000000");
        message.append(Header::Route, b"<sip:edge.test;lr>");
        message.set_body(Bytes::new());
    },
];

fn written(message: &Edited) -> Bytes {
    let bytes = message.to_bytes();
    assert_eq!(bytes.len(), message.len(), "len() says how long it will be");
    bytes
}

/// What an edited message says must be what the next element reads.
fn reads_the_same(edited: &Edited, bytes: &Bytes) {
    // Edits may make it longer than we would take ourselves.
    let limits = Limits {
        message_bytes: 1 << 20,
        headers: 1024,
    };
    let again = Message::parse(bytes.clone(), &limits).expect("what we write is a message");
    assert_eq!(again.bytes(), bytes, "no octet behind its body");
    assert_eq!(again.start(), edited.start());
    assert_eq!(again.body(), edited.body());
    let without_length = |header: &Header<'_>| *header != Header::ContentLength;
    let mut lines = again
        .all_lines()
        .filter(|(header, _)| without_length(header));
    for (header, value) in edited
        .all_lines()
        .filter(|(header, _)| without_length(header))
    {
        let (name, read) = lines.next().expect("a line was lost");
        assert!(
            name == header || name.name().eq_ignore_ascii_case(header.name()),
            "{name:?} for {header:?}"
        );
        assert_eq!(read, value, "{header:?}");
    }
    assert!(lines.next().is_none(), "a line that nobody wrote");
    let lengths: Vec<usize> = again
        .lines(Header::ContentLength)
        .filter_map(|value| std::str::from_utf8(value).ok()?.parse().ok())
        .collect();
    assert_eq!(lengths, [again.body().len()]);
}

/// Whether serialising has nothing to put right: one Content-Length that is true, and an empty line behind the headers.
fn length_is_right(message: &Message) -> bool {
    let mut lines = message.lines(Header::ContentLength);
    let right = lines.next().is_some_and(|value| {
        value.iter().all(u8::is_ascii_digit)
            && std::str::from_utf8(value)
                .is_ok_and(|text| text.parse() == Ok(message.body().len() as u32))
    });
    let head = &message.bytes()[..message.bytes().len() - message.body().len()];
    right && lines.next().is_none() && head.ends_with(b"\n\r\n")
}

/// Every reader, on every line.
fn read_all(message: &Message) {
    let _ = (message.top_via(), message.cseq(), message.has_sdp());
    let _ = (message.from_tag(), message.to_tag(), message.method());
    let _ = (
        message.max_forwards(),
        message.version(),
        message.content_type(),
    );
    for (header, value) in message.all_lines() {
        assert!(message.header(header).is_some(), "{header:?} is there");
        for value in message.values(header).take(8).chain([value]) {
            if let Some(uri) = NameAddr::parse(value).and_then(|address| Uri::parse(address.uri)) {
                assert!(uri.same_as(&uri) || !uri.is_sip(), "{uri:?}");
                let _ = (uri.ip(), uri.user_decoded().len(), uri.param(b"lr"));
            }
            let _ = (Via::parse(value), Uri::parse(value), CSeq::parse(value));
            let _ = Credentials::parse(value)
                .map(|credentials| credentials.verify("", message.method()));
        }
    }
}
