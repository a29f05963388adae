//! The messages of RFC 4475 and RFC 5118, and what `expect.json` beside them says of each.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;
use sip::{Edited, Fault, Frame, Framer, FramingError, Header, Limits, Message, ParseError};

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/torture"
    ))
}

struct Case {
    name: String,
    bytes: Bytes,
    expect: Value,
}

impl Case {
    fn all() -> Vec<Case> {
        let text = std::fs::read_to_string(folder().join("expect.json")).unwrap();
        let expect: Value = serde_json::from_str(&text).unwrap();
        let messages: BTreeMap<String, Value> =
            serde_json::from_value(expect["messages"].clone()).unwrap();
        let cases: Vec<Case> = messages
            .into_iter()
            .map(|(name, expect)| {
                let file = folder().join(expect["file"].as_str().unwrap());
                Case {
                    name,
                    bytes: std::fs::read(file).unwrap().into(),
                    expect,
                }
            })
            .collect();
        assert!(
            cases.len() >= 70,
            "all of RFC 4475 and RFC 5118, and the variants"
        );
        cases
    }

    fn parse(&self) -> Result<Message, ParseError> {
        Message::parse(self.bytes.clone(), &Limits::default())
    }

    fn verdict(&self) -> Verdict {
        match self.parse() {
            Err(_) => Verdict::Unreadable,
            Ok(message) => message
                .check()
                .map_or_else(Verdict::Refused, |()| Verdict::Good),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Unreadable,
    Refused(Fault),
    Good,
}

/// What expect.json calls JSON text, as the bytes on the wire: it holds one character a byte where they are not UTF-8.
fn same_text(bytes: &[u8], text: &str) -> bool {
    bytes == text.as_bytes() || bytes.iter().map(|byte| char::from(*byte)).eq(text.chars())
}

fn assert_text(case: &Case, what: &str, bytes: &[u8], want: &Value) {
    let want = want.as_str().unwrap_or_default();
    assert!(
        same_text(bytes, want),
        "{}: {what}: {} is not {want}",
        case.name,
        bytes.escape_ascii()
    );
}

#[test]
fn two_start_lines_are_beyond_reading_and_no_others() {
    let unreadable: Vec<String> = Case::all()
        .into_iter()
        .filter(|case| case.parse().is_err())
        .map(|case| case.name)
        .collect();
    // A status code of ten digits; a request without a version.
    assert_eq!(unreadable, ["rfc4475/bigcode", "variants/archive-test"]);
}

#[test]
fn what_is_read_from_each_message_is_what_the_list_says() {
    for case in Case::all() {
        let Ok(message) = case.parse() else { continue };
        let want = &case.expect["parse"];
        let name = &case.name;
        if want["kind"] == "request" {
            assert_text(
                &case,
                "method",
                message.method().as_bytes(),
                &want["method"],
            );
            assert_text(&case, "uri", message.uri(), &want["uri"]);
        } else {
            assert_eq!(
                u64::from(message.status()),
                want["status"].as_u64().unwrap(),
                "{name}"
            );
        }
        assert_text(&case, "version", &message.version()[4..], &want["version"]);
        assert_eq!(
            message.all_lines().count() as u64,
            want["header_lines"].as_u64().unwrap(),
            "{name}"
        );
        // Its Via ends in `;;,;,,`: the list counts the empty value between the last two commas.
        let surplus = if name == "rfc4475/badinv01" { 2 } else { 0 };
        assert_eq!(
            message.values(Header::Via).count() as u64 + surplus,
            want["via_values"].as_u64().unwrap(),
            "{name}"
        );
        assert_eq!(
            message.values(Header::Contact).count() as u64,
            want["contact_values"].as_u64().unwrap(),
            "{name}"
        );
        if let Some(length) = want["body_length"].as_u64() {
            assert_eq!(message.body().len() as u64, length, "{name}: body");
            let trailing = (case.bytes.len() - message.bytes().len()) as u64;
            assert_eq!(
                trailing,
                want["trailing_octets"].as_u64().unwrap(),
                "{name}: behind the body"
            );
        }
        assert_eq!(
            message.max_forwards().map(u64::from),
            want["max_forwards"].as_u64(),
            "{name}"
        );
        if !want["call_id"].is_null() {
            assert_text(&case, "Call-ID", message.call_id(), &want["call_id"]);
        }
        compare_cseq(&case, &message);
        compare_top_via(&case, &message);
    }
}

fn compare_cseq(case: &Case, message: &Message) {
    let want = &case.expect["parse"]["cseq"];
    match want["number"].as_u64() {
        // A number of more than 32 bits stands there as text.
        None => assert_eq!(message.cseq(), None, "{}", case.name),
        Some(number) => {
            let cseq = message.cseq().unwrap();
            assert_eq!(u64::from(cseq.number), number, "{}", case.name);
            assert_text(case, "CSeq", cseq.method.as_bytes(), &want["method"]);
        }
    }
}

fn compare_top_via(case: &Case, message: &Message) {
    let want = &case.expect["parse"]["top_via"];
    let via = message.top_via().unwrap();
    assert_text(case, "transport", via.transport, &want["transport"]);
    assert_text(case, "host", via.host, &want["host"]);
    assert_eq!(
        via.port.map(u64::from),
        want["port"].as_u64(),
        "{}",
        case.name
    );
    assert_text(
        case,
        "branch",
        via.branch.unwrap_or_default(),
        &want["branch"],
    );
    assert_eq!(
        via.rport.is_some(),
        want["rport"].as_bool().unwrap(),
        "{}",
        case.name
    );
    assert_text(
        case,
        "received",
        via.received.unwrap_or_default(),
        &want["received"],
    );
}

/// Messages with a fault that we let pass, since it is nobody's but the receiver's and cannot be read in two ways.
const PASSED: [(&str, &str); 5] = [
    (
        "rfc4475/escruri",
        "baresip sends such Request-URIs; whoever forwards it cuts the headers off",
    ),
    ("rfc4475/baddate", "nobody here reads Date"),
    (
        "rfc4475/badbranch",
        "an empty branch is matched as RFC 2543 does",
    ),
    (
        "rfc4475/unksm2",
        "To and Contact of other schemes are the registrar's",
    ),
    (
        "variants/noreason-nospace",
        "the reason phrase may be empty; the blank before it is of no use",
    ),
];

#[test]
fn what_must_be_taken_is_taken_and_what_must_be_refused_is_refused() {
    for case in Case::all() {
        let verdict = case.verdict();
        let name = case.name.as_str();
        let passed = PASSED.iter().any(|(passed, _)| *passed == name);
        let answered_400_or_416 = |fault: Fault| {
            let codes = case.expect["edge"]["datagram"]["codes"].as_array();
            codes.is_some_and(|codes| codes.contains(&fault.status.into()))
        };
        match (case.expect["must"].as_str().unwrap(), verdict) {
            ("accept", Verdict::Good) => {}
            // Well formed, but with a Request-URI that we cannot route: RFC 4475 §3.3.2, §3.3.3 want 416.
            ("accept", Verdict::Refused(fault)) => {
                assert!(
                    fault.status == 416 && answered_400_or_416(fault),
                    "{name}: {fault}"
                );
            }
            ("reject", Verdict::Refused(_) | Verdict::Unreadable) => assert!(!passed, "{name}"),
            ("may-reject" | "should-accept", Verdict::Refused(_)) => {
                assert!(!passed, "{name} is refused now")
            }
            ("may-reject" | "should-accept", Verdict::Good) => assert!(passed, "{name} passes"),
            (must, verdict) => panic!("{name}: {must}, but {verdict:?}"),
        }
    }
}

#[test]
fn a_refusal_has_a_status_that_the_list_names() {
    // Answers that policy gives, not form: Proxy-Require, Max-Forwards.
    let policy = ["rfc4475/bext01", "rfc4475/zeromf"];
    for case in Case::all() {
        let edge = &case.expect["edge"]["datagram"];
        let name = case.name.as_str();
        match (edge["do"].as_str().unwrap(), case.verdict()) {
            ("process", verdict) => assert_eq!(verdict, Verdict::Good, "{name}"),
            ("answer" | "answer-or-process", Verdict::Refused(fault)) => {
                let codes = edge["codes"].as_array().unwrap();
                assert!(
                    codes.contains(&fault.status.into()),
                    "{name}: {fault}, not {codes:?}"
                );
            }
            ("answer", Verdict::Unreadable) => {
                assert!(
                    edge["tolerated"]
                        .as_array()
                        .unwrap()
                        .contains(&"none".into()),
                    "{name}"
                );
            }
            ("answer", Verdict::Good) => assert!(policy.contains(&name), "{name}"),
            ("answer-or-process" | "drop", _) => {}
            (other, verdict) => panic!("{name}: {other}, but {verdict:?}"),
        }
    }
}

#[test]
fn on_a_stream_each_is_found_waited_for_or_given_up() {
    for case in Case::all() {
        let edge = &case.expect["edge"];
        let what = edge["stream"]["do"].as_str().unwrap_or("process");
        let mut framer = Framer::new(&Limits::default());
        framer.push(&case.bytes);
        let first = framer.next();
        let name = &case.name;
        match what {
            "wait-close" => assert_eq!(first, Ok(None), "{name}"),
            "close" => assert_eq!(first, Err(FramingError::ContentLength), "{name}"),
            _ => match case.parse() {
                Err(_) => assert_eq!(first, Err(FramingError::NotSip), "{name}"),
                Ok(message) => {
                    assert_eq!(
                        first,
                        Ok(Some(Frame::Message(message.bytes().clone()))),
                        "{name}"
                    );
                    if edge["stream"]["then"] == "close" {
                        while let Ok(Some(_)) = framer.next() {}
                        assert!(
                            framer.next().is_err() || !framer.is_idle(),
                            "{name}: rubbish follows"
                        );
                    } else {
                        assert!(framer.is_idle(), "{name}");
                    }
                }
            },
        }
    }
}

#[test]
fn what_nobody_edits_leaves_as_it_came() {
    for case in Case::all() {
        let Ok(message) = case.parse() else { continue };
        let parse = &case.expect["parse"];
        if parse["framing"] == "exact" && parse["terminated"] == true {
            let edited = Edited::new(message);
            assert_eq!(edited.to_bytes(), case.bytes, "{}", case.name);
            assert_eq!(edited.len(), case.bytes.len(), "{}", case.name);
        }
    }
}

#[test]
fn the_archive_with_bare_line_feeds_is_read_and_refused() {
    let mut count = 0;
    for file in std::fs::read_dir(folder().join("rfc5118-archive")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sip") {
            continue;
        }
        count += 1;
        let message =
            Message::parse(std::fs::read(&path).unwrap().into(), &Limits::default()).unwrap();
        assert!(message.top_via().is_some(), "{}", path.display());
        // Whether LF ends a line is read in two ways: what we would take for a value, the next element may take for a header.
        assert_eq!(
            message.check().unwrap_err().status,
            400,
            "{}",
            path.display()
        );
    }
    assert_eq!(count, 12);
}
