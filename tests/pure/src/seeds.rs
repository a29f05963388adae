//! Real bytes to start from: `tests/data`, and the crashes that were found and mended.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use sip::{Edited, Limits, Message};

use crate::entry::Entry;

/// The folder `tests/data`.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data")
}

/// The seeds of an entry point, always in the same order.
///
/// # Errors
/// If a file cannot be read.
pub fn of(entry: Entry) -> Result<Vec<Vec<u8>>> {
    let mut seeds = crashes(entry)?;
    match entry {
        Entry::Message | Entry::Decision => seeds.extend(messages()?),
        Entry::Stream => seeds.extend(messages()?.chunks(3).map(streamed)),
        Entry::Session => seeds.extend(sessions()?),
        Entry::Token => seeds.extend(payloads()),
        Entry::Ng => seeds.extend(dictionaries()?),
    }
    Ok(seeds)
}

/// What once broke an entry point: `tests/data/crashes/ENTRY/`.
///
/// # Errors
/// If a file cannot be read.
pub fn crashes(entry: Entry) -> Result<Vec<Vec<u8>>> {
    let folder = data().join("crashes").join(entry.name());
    if folder.exists() {
        files(&folder, "bin")
    } else {
        Ok(Vec::new())
    }
}

fn messages() -> Result<Vec<Vec<u8>>> {
    files(&data(), "sip")
}

/// Several messages with keepalives between them, as a stream carries them: with a true Content-Length.
fn streamed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for message in messages {
        match Message::parse(Bytes::copy_from_slice(message), &Limits::default()) {
            Ok(message) => stream.extend_from_slice(&Edited::new(message).to_bytes()),
            Err(_) => stream.extend_from_slice(message),
        }
        stream.extend_from_slice(b"\r\n\r\n");
    }
    stream
}

/// Bodies by themselves, and each with the next one behind it: often an offer and its answer.
fn sessions() -> Result<Vec<Vec<u8>>> {
    let bodies: Vec<Vec<u8>> = messages()?
        .into_iter()
        .filter_map(|message| Message::parse(message.into(), &Limits::default()).ok())
        .filter(Message::has_sdp)
        .map(|message| message.body().to_vec())
        .collect();
    let mut seeds = bodies.clone();
    seeds.extend(bodies.windows(2).step_by(2).map(<[Vec<u8>]>::concat));
    Ok(seeds)
}

/// Four bytes of Call-ID, the bits of the header, and the payload of each shape of token.
fn payloads() -> Vec<Vec<u8>> {
    [
        &b"call\0\x02\x01\x07\xcb\x00\x71\x09\x9c\x40"[..],
        b"call\x02\x02\x01\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x13\xc4",
        b"call\x03\x02\x01\x07\x12\x34\x56\x78\x9a\xbc",
        b"call\0\x03\x10dev1\x02\x01\x07\xcb\x00\x71\x09\x9c\x40",
        b"call\0\x03\x14",
        b"call\x02\x03\x11dev1\x02\x01\x07\x12\x34\x56\x78\x9a\xbc",
        b"call\0\x03\x14branched\x02\x01\x07\xcb\x00\x71\x09\x9c\x40",
        b"call\0\x03\x18brancheddev1\x02\x01\x07\xcb\x00\x71\x09\x9c\x40",
        b"call\0sip:alice@[2001:db8::9]:5060;transport=tcp",
        b"AAxv17XX-dSzriSL_tuKgjtg",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// Captured datagrams of the ng protocol without their cookies.
fn dictionaries() -> Result<Vec<Vec<u8>>> {
    let datagrams = files(&data().join("captured"), "bin")?;
    Ok(datagrams
        .into_iter()
        .map(|datagram| {
            let cookie = datagram.iter().position(|byte| *byte == b' ');
            datagram[cookie.map_or(0, |at| at + 1)..].to_vec()
        })
        .collect())
}

/// All files below a folder whose name ends so, in the order of their names.
fn files(folder: &Path, extension: &str) -> Result<Vec<Vec<u8>>> {
    let mut folders = vec![folder.to_owned()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).with_context(|| path.display().to_string()))
        .collect()
}
