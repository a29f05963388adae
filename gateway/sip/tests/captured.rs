//! Every message that was captured from real browsers, phones, registrars and FreeSWITCH.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};

use sip::digest::{self, Credentials};
use sip::{Edited, Frame, Framer, Header, Limits, Message, Start};

fn captured() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    collect(
        Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/captured"
        )),
        &mut files,
    );
    files.sort();
    assert!(
        files.len() > 2800,
        "all captures, but there are {}",
        files.len()
    );
    files
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "sip") {
            files.push(path);
        }
    }
}

fn messages() -> impl Iterator<Item = (PathBuf, Vec<u8>, Message)> {
    captured().into_iter().map(|(path, bytes)| {
        let message = Message::parse(bytes.clone().into(), &Limits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, bytes, message)
    })
}

#[test]
fn every_one_is_well_formed() {
    for (path, _, message) in messages() {
        message
            .check()
            .unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        assert!(
            message.top_via().is_some_and(|via| via.branch.is_some()),
            "{}",
            path.display()
        );
        assert!(message.from_tag().is_some(), "{}", path.display());
        assert_eq!(message.is_request(), message.status() == 0);
    }
}

#[test]
fn every_one_leaves_as_it_came_but_for_a_missing_content_length() {
    let mut added = 0;
    for (path, bytes, message) in messages() {
        let edited = Edited::new(message.clone());
        let out = edited.to_bytes();
        assert_eq!(out.len(), edited.len());
        if message.header(Header::ContentLength).is_some() {
            assert_eq!(out, bytes, "{}", path.display());
            continue;
        }
        added += 1;
        // Only linphone leaves it out, and only over UDP.
        assert!(
            path.to_string_lossy().contains("linphone"),
            "{}",
            path.display()
        );
        let head = bytes.len() - message.body().len() - 2;
        let line = format!("Content-Length: {}\r\n", message.body().len());
        let want = [&bytes[..head], line.as_bytes(), &bytes[head..]].concat();
        assert_eq!(out, want, "{}", path.display());
    }
    assert_eq!(added, 53, "as the README beside the captures counts");
}

/// Where the file name ends in what the message is, it says so.
#[test]
fn every_one_is_what_its_file_name_says() {
    for (path, _, message) in messages() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let words: Vec<&str> = name.rsplit(['-', '_']).collect();
        let method = message.method().to_string();
        match message.start() {
            Start::Request { .. } => assert_eq!(words[0], method, "{name}"),
            Start::Response { status, .. } => {
                let status = status.to_string();
                assert!(
                    words[..2].contains(&&*status) && words[..2].contains(&&*method),
                    "{name}"
                );
            }
        }
    }
}

/// The password of each user of the browser captures is `pw` and the user's name.
#[test]
fn every_digest_of_the_phones_verifies() {
    let mut verified = 0;
    for (path, _, message) in messages() {
        if !path.to_string_lossy().contains("/browser/") || !message.is_request() {
            continue;
        }
        let lines = message
            .lines(Header::Authorization)
            .chain(message.lines(Header::ProxyAuthorization));
        for line in lines {
            let credentials =
                Credentials::parse(line).unwrap_or_else(|| panic!("{}", path.display()));
            let user = credentials.username_decoded();
            let password = [b"pw", &*user].concat();
            let ha1 = digest::ha1(credentials.algorithm, &user, credentials.realm, &password);
            // The ACK carries the INVITE's credentials again (RFC 3261 §22.1), and some repeat them in what follows.
            let repeats = [
                "ACK", "CANCEL", "BYE", "INFO", "REFER", "PRACK", "UPDATE", "INVITE",
            ];
            let method = message.method();
            let invite = repeats.contains(&&*method.to_string())
                && credentials.verify(&ha1, sip::Method::Invite);
            assert!(
                invite || credentials.verify(&ha1, method),
                "{}",
                path.display()
            );
            let wrong = digest::ha1(credentials.algorithm, &user, credentials.realm, b"wrong");
            assert!(!credentials.verify(&wrong, method), "{}", path.display());
            verified += 1;
        }
    }
    assert!(verified > 100, "only {verified}");
}

#[test]
fn all_of_them_pass_through_one_stream() {
    let whole: Vec<Vec<u8>> = messages()
        .map(|(_, _, message)| Edited::new(message).to_bytes().to_vec())
        .collect();
    let stream = whole.concat();
    for chunk in [1, 7, 1448, 16 * 1024, stream.len()] {
        let mut framer = Framer::new(&Limits::default());
        let mut want = whole.iter();
        for piece in stream.chunks(chunk) {
            framer.push(piece);
            while let Some(frame) = framer.next().unwrap() {
                assert_eq!(Frame::Message(want.next().unwrap().clone().into()), frame);
            }
        }
        assert!(
            want.next().is_none() && framer.is_idle(),
            "in pieces of {chunk}"
        );
        assert!(
            framer.capacity() <= 4096,
            "an idle framer holds {} bytes",
            framer.capacity()
        );
    }
}
