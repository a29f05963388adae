//! Edits, limits and odd bodies; and edits at random against a naive model.

use proptest::prelude::*;
use sdp::{Direction, Error, Hold, Limits, LineEnd, Session, Slim, WebRtc};

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

fn body(rest: &str) -> Vec<u8> {
    format!("{HEAD}{rest}").into_bytes()
}

#[test]
fn a_body_is_refused_with_its_reason() {
    let long = [HEAD.as_bytes(), &vec![b'x'; 65 * 1024]].concat();
    let lines = body(&"a=x\r\n".repeat(2000));
    let media = body(&"m=audio 1 RTP/AVP 0\r\n".repeat(65));
    for (why, bytes, want) in [
        ("nothing", vec![], Error::NotASession),
        (
            "no version",
            b"o=- 1 1 IN IP4 192.0.2.1\r\n".to_vec(),
            Error::NotASession,
        ),
        ("another version", b"v=1\r\n".to_vec(), Error::NotASession),
        (
            "too long",
            long.clone(),
            Error::TooLong {
                bytes: long.len(),
                limit: 64 * 1024,
            },
        ),
        ("too many lines", lines, Error::TooManyLines { limit: 2000 }),
        (
            "too many m= lines",
            media,
            Error::TooManyMedia { limit: 64 },
        ),
        (
            "m= without format",
            body("m=audio 1 RTP/AVP\r\n"),
            Error::MalformedMedia { line: 6 },
        ),
        (
            "m= with blanks for a format",
            body("m=audio 1 RTP/AVP  \r\n"),
            Error::MalformedMedia { line: 6 },
        ),
        (
            "m= with a word for a port",
            body("m=audio x RTP/AVP 0\r\n"),
            Error::MalformedMedia { line: 6 },
        ),
        (
            "a port of 17 bits",
            body("m=audio 65536 RTP/AVP 0\r\n"),
            Error::MalformedMedia { line: 6 },
        ),
        (
            "a signed port",
            body("m=audio +1 RTP/AVP 0\r\n"),
            Error::MalformedMedia { line: 6 },
        ),
        (
            "no media type",
            body("m= 1 RTP/AVP 0\r\n"),
            Error::MalformedMedia { line: 6 },
        ),
    ] {
        assert_eq!(Session::parse(&bytes), Err(want), "{why}");
    }
    let few = Limits {
        lines: 5,
        ..Limits::default()
    };
    assert!(Session::parse_within(HEAD.as_bytes(), few).is_ok());
}

#[test]
fn odd_bodies_are_kept_as_they_came() {
    for odd in [
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 1 RTP/AVP 0\n",
        "v=0\r\ns=-\nm=audio 1/2 RTP/AVP 0 8",
        "v=0\r\n\r\nnot a line\r\n=\r\nm=audio 1 RTP/AVP 0\r\n\r\n\r\n",
        "v=0 \r\na=sendonly \r\na=x:\r\r\n\u{feff}=\r\n",
    ] {
        assert_eq!(
            Session::parse(odd.as_bytes()).map(|session| session.to_bytes()),
            Ok(odd.into()),
            "{odd:?}"
        );
    }
    let latin = b"v=0\r\ns=caf\xe9\r\n";
    assert_eq!(
        Session::parse(latin).map(|session| session.to_bytes()),
        Ok(latin.to_vec())
    );
    assert_eq!(WebRtc::read(latin), Err(sdp::webrtc::ReadError::Encoding));
}

#[test]
fn edits_touch_what_they_name() {
    let bytes =
        body("m=audio 4000/2 RTP/AVP 0 8\r\na=sendonly\r\na=ptime:20\r\na=x:1\r\na=x:2\r\n");
    let edited = |edit: fn(&mut Session<'_>)| {
        let mut session = Session::parse(&bytes).expect("a good body");
        edit(&mut session);
        String::from_utf8(session.to_bytes()).expect("ASCII")
    };
    let whole = String::from_utf8(bytes.clone()).expect("ASCII");
    for (why, edit, want) in [
        (
            "the first takes the value, the others of its name go",
            (|session| {
                session.media_mut()[0]
                    .section_mut()
                    .set_attribute("x", Some("3"))
            }) as fn(&mut Session<'_>),
            whole.replace("a=x:1\r\na=x:2\r\n", "a=x:3\r\n"),
        ),
        (
            "what is new comes last",
            |session| {
                session.media_mut()[0]
                    .section_mut()
                    .set_attribute("rtcp-mux", None)
            },
            format!("{whole}a=rtcp-mux\r\n"),
        ),
        (
            "no line can be smuggled in",
            |session| {
                session
                    .head_mut()
                    .set_attribute("tool", Some("a\r\nm=audio 1 RTP/AVP 0"))
            },
            whole.replace("t=0 0\r\n", "t=0 0\r\na=tool:am=audio 1 RTP/AVP 0\r\n"),
        ),
        (
            "a rejected section keeps its place and formats",
            |session| session.media_mut()[0].reject(),
            format!("{HEAD}m=audio 0 RTP/AVP 0 8\r\n"),
        ),
        (
            "the v= and m= lines stay whatever is asked",
            |session| assert_eq!(session.remove_lines(|_| true), 8),
            "v=0\r\nm=audio 4000/2 RTP/AVP 0 8\r\n".into(),
        ),
        (
            "origin and session name",
            |session| {
                assert!(session.set_origin("- 7 8 IN IP6 ::1"));
                assert!(session.set_session_name("x"));
            },
            whole.replace(
                "o=- 1 1 IN IP4 192.0.2.1\r\ns=-",
                "o=- 7 8 IN IP6 ::1\r\ns=x",
            ),
        ),
        (
            "a direction replaces the other",
            |session| assert!(session.set_direction(0, Direction::RecvOnly)),
            whole.replace("a=sendonly\r\n", "") + "a=recvonly\r\n",
        ),
    ] {
        assert_eq!(edited(edit), want, "{why}");
    }
}

#[test]
fn what_is_added_ends_as_the_body_does() {
    let mut bare = Session::parse(b"v=0\ns=-\nm=audio 1 RTP/AVP 0").expect("a good body");
    bare.media_mut()[0]
        .section_mut()
        .set_attribute("mid", Some("0"));
    assert_eq!(
        bare.to_bytes(),
        b"v=0\ns=-\nm=audio 1 RTP/AVP 0\r\na=mid:0\r\n"
    );
    bare.head_mut().set_attribute("ice-lite", None);
    assert!(bare.to_bytes().starts_with(b"v=0\ns=-\na=ice-lite\nm="));
    assert_eq!(bare.head().lines()[2].end(), LineEnd::Lf);
}

#[test]
fn a_call_is_held_in_three_spellings() {
    for (why, rest, want) in [
        (
            "RFC 3264 §8.4: sendonly",
            "m=audio 1 RTP/AVP 0\r\na=sendonly\r\n",
            Some(Hold::SendOnly),
        ),
        (
            "RFC 3264 §8.4: inactive",
            "m=audio 1 RTP/AVP 0\r\na=inactive\r\n",
            Some(Hold::Inactive),
        ),
        (
            "for the whole session",
            "a=inactive\r\nm=audio 1 RTP/AVP 0\r\n",
            Some(Hold::Inactive),
        ),
        (
            "the section's word wins",
            "a=inactive\r\nm=audio 1 RTP/AVP 0\r\na=sendrecv\r\n",
            None,
        ),
        (
            "RFC 2543",
            "m=audio 1 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n",
            Some(Hold::ZeroAddress),
        ),
        (
            "and with IPv6",
            "m=audio 1 RTP/AVP 0\r\nc=IN IP6 ::\r\n",
            Some(Hold::ZeroAddress),
        ),
        (
            "a browser that hides",
            "m=audio 9 RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:x\r\n",
            None,
        ),
        (
            "who only listens holds nobody",
            "m=audio 1 RTP/AVP 0\r\na=recvonly\r\n",
            None,
        ),
        ("nothing said", "m=audio 1 RTP/AVP 0\r\n", None),
        ("rejected", "m=audio 0 RTP/AVP 0\r\na=sendonly\r\n", None),
    ] {
        let bytes = body(rest);
        let session = Session::parse(&bytes).expect("a good body");
        assert_eq!(session.hold(0), want, "{why}");
        assert_eq!(session.is_on_hold(), want.is_some(), "{why}");
    }
}

#[test]
fn only_what_is_plain_is_slimmed() {
    let browser = body(
        "a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=ice-ufrag:x\r\na=extmap:1 x\r\n",
    );
    let mut session = Session::parse(&browser).expect("a good body");
    assert_eq!(session.slim(Slim::Implied), 0, "a browser reads all of it");
    for (why, rest, how, want) in [
        (
            "feedback with AVPF stays",
            "m=video 2 RTP/AVPF 96\r\na=rtcp-fb:96 nack\r\n",
            Slim::Implied,
            0,
        ),
        (
            "feedback without it goes",
            "m=video 2 RTP/AVP 96\r\na=rtcp-fb:96 nack\r\n",
            Slim::Foreign,
            19,
        ),
        (
            "mid goes with its group",
            "a=group:BUNDLE 0\r\nm=audio 2 RTP/AVP 0\r\na=mid:0\r\n",
            Slim::Foreign,
            27,
        ),
        (
            "a lip-sync group stays",
            "a=group:LS 0\r\nm=audio 2 RTP/AVP 0\r\na=mid:0\r\n",
            Slim::Foreign,
            0,
        ),
        (
            "the port after",
            "m=audio 2 RTP/AVP 0\r\na=rtcp:3\r\n",
            Slim::Implied,
            10,
        ),
        (
            "another port",
            "m=audio 2 RTP/AVP 0\r\na=rtcp:4\r\n",
            Slim::Implied,
            0,
        ),
        (
            "sendrecv against the session's word",
            "a=sendonly\r\nm=audio 2 RTP/AVP 0\r\na=sendrecv\r\n",
            Slim::Implied,
            0,
        ),
        (
            "a static type's own meaning",
            "m=audio 2 RTP/AVP 0\r\na=rtpmap:0 pcmu/8000/1\r\n",
            Slim::Implied,
            24,
        ),
        (
            "a static type with another meaning",
            "m=audio 2 RTP/AVP 0\r\na=rtpmap:0 L16/8000\r\n",
            Slim::Implied,
            0,
        ),
        (
            "first the foreign alone",
            "m=audio 2 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n",
            Slim::Foreign,
            0,
        ),
        (
            "keys and digits stay",
            "m=audio 2 RTP/SAVP 96\r\na=crypto:1 x\r\na=rtpmap:96 telephone-event/8000\r\n",
            Slim::Implied,
            0,
        ),
    ] {
        let bytes = body(rest);
        let mut session = Session::parse(&bytes).expect("a good body");
        assert_eq!(session.slim(how), want, "{why}");
    }
}

proptest! {
    /// Any bytes: no panic, and what is read leaves as it came.
    #[test]
    fn any_bytes_are_kept_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [&b"v=0\r\n"[..], &tail].concat();
        if let Ok(session) = Session::parse(&bytes) {
            prop_assert_eq!(session.to_bytes(), bytes.clone());
        }
        let _ = WebRtc::read(&bytes);
    }

    /// Lines like those of a description, cut and mixed: everything may be asked and edited without panic, and edits by
    /// attribute do what filtering the text's lines does.
    #[test]
    fn edits_agree_with_a_naive_model(lines in proptest::collection::vec(
        prop_oneof![
            "m=(audio|video) (0|[1-9][0-9]{0,3}) (RTP/S?AVPF?|UDP/TLS/RTP/SAVPF) [0-9]{1,3}( [0-9]{1,3})?",
            "a=(x|mid|group|rtpmap|sendrecv|inactive|ice-ufrag|fingerprint|crypto|rtcp|setup)(:[ -~]{0,12})?",
            "[a-z]=[ -~]{0,12}".prop_filter("m= lines come from above", |line| !line.starts_with("m=")),
            "[ -~]{0,5}".prop_filter("m= lines come from above", |line| !line.starts_with("m=")),
        ], 0..30)
    ) {
        let text = format!("v=0\r\n{}\r\n", lines.join("\r\n"));
        let mut session = Session::parse(text.as_bytes()).expect("its m= lines are good");
        prop_assert_eq!(session.to_bytes(), text.as_bytes());
        prop_assert_eq!(session.media().len(), lines.iter().filter(|line| line.starts_with("m=")).count());
        prop_assert_eq!(sdp::legal::violations(&session, &session.clone()).iter()
            .filter(|found| matches!(found, sdp::legal::Violation::Count { .. } | sdp::legal::Violation::Kind { .. })).count(), 0);
        for index in 0..session.media().len() + 1 {
            let _ = (session.hold(index), session.direction(index), sdp::Profile::of_media(&session, index));
        }
        let gone = session.head_mut().remove_attribute("x")
            + session.media_mut().iter_mut().map(|media| media.section_mut().remove_attribute("x")).sum::<usize>();
        let is_x = |line: &str| line.trim_end() == "a=x" || line.starts_with("a=x:");
        let naive: String = text.split_inclusive("\r\n").filter(|line| !is_x(line)).collect();
        prop_assert_eq!(gone, text.lines().filter(|line| is_x(line)).count());
        prop_assert_eq!(String::from_utf8(session.to_bytes()).expect("ASCII"), naive);
        let before = session.len();
        prop_assert_eq!(session.slim(Slim::Implied), before - session.len());
        let slim = session.to_bytes();
        prop_assert!(Session::parse(&slim).is_ok());
        for media in session.media_mut() {
            media.reject();
            prop_assert!(media.port() == 0 && media.formats().count() > 0);
        }
        let rejected = session.to_bytes();
        prop_assert_eq!(Session::parse(&rejected).expect("still good").to_bytes(), rejected.clone());
    }
}
