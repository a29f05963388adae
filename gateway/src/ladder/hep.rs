//! HEP, the protocol by which Homer is told what passes ("EEP", version 3): a datagram for each message, chunks of type, length and
//! value behind a head.
//!
//! Who sends reads the ring as anybody does, so nothing on the way of a message waits for Homer: while he is slower than what passes,
//! what was overwritten is lost to him, counted, and said in the log.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_bencode::value::Value;
use serde_json::{Map, json};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::filter::{Filter, Naming, Reader, cookie_of, dictionary_of};
use super::line::{Line, Side};
use super::record::Kind;
use super::ring::Ring;

/// How often is looked for something new.
const EVERY: Duration = Duration::from_millis(20);
/// What a datagram may hold, less the other chunks.
const LONGEST: usize = 65_000;

/// To whom, and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Homer, or whoever collects for him.
    pub to: SocketAddr,
    /// The capture agent that this node is.
    pub id: u32,
    /// What proves it; empty for nothing.
    pub password: Vec<u8>,
    /// What is said to RTPEngine, too.
    pub ng: bool,
    /// Secrets as they were.
    pub secrets: bool,
}

/// Sends what passes, for ever.
///
/// # Errors
/// When there is no socket for it.
pub async fn run(ring: Arc<Ring>, settings: Settings) -> std::io::Result<()> {
    let any: IpAddr = match settings.to {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(settings.to).await?;
    let (mut reader, mut cursor) = (Reader::new(Filter::default()), ring.newest());
    let naming = Naming {
        listeners: &[],
        // HEP says addresses and not sides.
        side: &|record| {
            if record.head.kind.is_ng() {
                Side::RtpEngine
            } else {
                Side::Device
            }
        },
        secrets: settings.secrets,
    };
    loop {
        let read = ring.read(&mut cursor, Duration::MAX);
        if read.lost > 0 {
            tracing::warn!(
                count = read.lost,
                "Homer was not told of these messages: [trace] memory is small for what passes"
            );
        }
        let is_all = read.is_all;
        for record in read.records {
            let wall = ring.wall(&record.head);
            let line = reader.take(record, wall, &naming);
            let packet = line.and_then(|line| packet(&line, &settings));
            // Homer who is not there is no concern of ours: ICMP says so at the next send, and that one is lost too.
            if let Some(packet) = packet
                && let Err(error) = socket.send(&packet).await
            {
                tracing::debug!(?error, "Homer was not told of a message");
            }
        }
        if is_all {
            sleep(EVERY).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// A line as a datagram; `None` for what is not told.
fn packet(line: &Line, settings: &Settings) -> Option<Vec<u8>> {
    let (from, to) = match line.kind {
        Kind::In | Kind::Answer | Kind::Silence => (line.peer, line.local),
        Kind::Out | Kind::Command => (line.local, line.peer),
        Kind::Unsent => return None,
    };
    let (payload, protocol) = match line.kind.is_ng() {
        true if settings.ng => (ng(line).into_bytes(), 100),
        true => return None,
        false => (line.bytes.to_vec(), 1),
    };
    let payload = &payload[..payload.len().min(LONGEST)];
    let is_udp = line.transport == "udp";
    let mut packet = b"HEP3\0\0".to_vec();
    let mut chunk = |kind: u16, value: &[u8]| {
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&(6 + value.len() as u16).to_be_bytes());
        packet.extend_from_slice(value);
    };
    chunk(2, &[if is_udp { 17 } else { 6 }]);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(1, &[2]);
            chunk(3, &from.octets());
            chunk(4, &to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            chunk(1, &[10]);
            chunk(5, &from.octets());
            chunk(6, &to.octets());
        }
        _ => return None,
    }
    chunk(7, &from.port().to_be_bytes());
    chunk(8, &to.port().to_be_bytes());
    let seconds = u32::try_from(line.time / 1_000_000).unwrap_or(u32::MAX);
    chunk(9, &seconds.to_be_bytes());
    chunk(10, &((line.time % 1_000_000) as u32).to_be_bytes());
    chunk(11, &[protocol]);
    chunk(12, &settings.id.to_be_bytes());
    if !settings.password.is_empty() {
        chunk(14, &settings.password);
    }
    // Homer finds what belongs to a SIP message by its own words; what is no SIP has to say it.
    if protocol != 1 && !line.call_id.is_empty() && line.call_id.len() < 512 {
        chunk(17, line.call_id.as_bytes());
    }
    chunk(15, payload);
    let length = u16::try_from(packet.len()).ok()?;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    Some(packet)
}

/// A command or an answer as JSON.
fn ng(line: &Line) -> String {
    let (cookie, rest) = cookie_of(&line.bytes);
    let mut said = Map::new();
    said.insert("ng".to_owned(), json!(line.kind));
    said.insert("cookie".to_owned(), json!(String::from_utf8_lossy(cookie)));
    if line.kind != Kind::Command {
        said.insert("took_ms".to_owned(), json!(line.took as f64 / 1000.0));
        said.insert("datagrams".to_owned(), json!(line.datagrams));
    }
    match line.kind {
        Kind::Silence => said.insert("error".to_owned(), json!(String::from_utf8_lossy(rest))),
        _ => {
            let message = as_json(&Value::Dict(dictionary_of(rest)));
            said.insert("message".to_owned(), message)
        }
    };
    serde_json::Value::from(said).to_string()
}

fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
        Value::Int(number) => json!(number),
        Value::List(list) => list.iter().map(as_json).collect(),
        Value::Dict(dictionary) => {
            let pair = |(key, value): (&Vec<u8>, &Value)| {
                (String::from_utf8_lossy(key).into_owned(), as_json(value))
            };
            dictionary.iter().map(pair).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rtpengine_client::{Error, Watch};

    use super::*;

    /// The chunks of a datagram by their types, read as the description of HEP says.
    fn chunks(packet: &[u8]) -> BTreeMap<u16, Vec<u8>> {
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!(
            (&packet[..4], usize::from(number(4))),
            (&b"HEP3"[..], packet.len())
        );
        let (mut at, mut found) = (6, BTreeMap::new());
        while at < packet.len() {
            let (vendor, kind, length) = (number(at), number(at + 2), usize::from(number(at + 4)));
            assert_eq!(vendor, 0);
            let value = packet[at + 6..at + length].to_vec();
            assert!(found.insert(kind, value).is_none(), "chunk {kind} twice");
            at += length;
        }
        found
    }

    #[tokio::test]
    async fn homer_is_told_of_every_message_and_of_what_rtpengine_was_told() {
        let homer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ring = Arc::new(Ring::new(1 << 20));
        let settings = Settings {
            to: homer.local_addr().unwrap(),
            id: 2001,
            password: b"north".to_vec(),
            ng: true,
            secrets: false,
        };
        let sending = tokio::spawn(run(ring.clone(), settings));
        let flow = proxy::Flow {
            listener: proxy::flow::ListenerId(0),
            transport: sip::Transport::Wss,
            local: "[2001:db8::1]:443".parse().unwrap(),
            peer: "[2001:db8::2]:40000".parse().unwrap(),
            connection: None,
        };
        let message = "INVITE sip:b@c SIP/2.0\r\nCall-ID: one\r\nAuthorization: Digest response=\"0af1\"\r\n\r\n";
        let mut buffer = vec![0; 65_536];
        // It begins with what comes next, so the first may come before it looks.
        let length = loop {
            ring.message(Kind::In, &flow, message.as_bytes());
            let came = tokio::time::timeout(Duration::from_millis(100), homer.recv(&mut buffer));
            if let Ok(length) = came.await {
                break length.unwrap();
            }
        };
        let got = chunks(&buffer[..length]);
        assert_eq!(got[&15], message.replace("0af1", "xxxx").as_bytes());
        assert_eq!(
            (&got[&1][..], &got[&2][..], &got[&11][..]),
            (&[10][..], &[6][..], &[1][..])
        );
        assert_eq!(got[&5][..4], [0x20, 1, 0x0d, 0xb8]);
        assert_eq!((got[&5][15], got[&6][15]), (2, 1));
        assert_eq!(
            (&got[&7][..], &got[&8][..]),
            (&40_000_u16.to_be_bytes()[..], &443_u16.to_be_bytes()[..])
        );
        assert_eq!(
            (&got[&12][..], &got[&14][..]),
            (&2001_u32.to_be_bytes()[..], &b"north"[..])
        );
        assert!(!got.contains_key(&17) && got[&9].len() == 4 && got[&10].len() == 4);

        let ends = (
            "127.0.0.1:4000".parse().unwrap(),
            "127.0.0.1:2223".parse().unwrap(),
        );
        ring.sent(ends.0, ends.1, b"c00 d7:call-id5:one/u7:command5:offere");
        let spent = (Duration::from_micros(1500), 2);
        ring.ended(ends.0, ends.1, b"c00 ", Ok(b"d6:result2:oke"), spent);
        ring.ended(ends.0, ends.1, b"c00 ", Err(&Error::NoNode), spent);
        let mut said = Vec::new();
        while said.len() < 3 {
            let length = homer.recv(&mut buffer).await.unwrap();
            let got = chunks(&buffer[..length]);
            if got[&11] != [100] {
                continue;
            }
            assert_eq!((&got[&17][..], &got[&1][..]), (&b"one"[..], &[2][..]));
            said.push(serde_json::from_slice::<serde_json::Value>(&got[&15]).unwrap());
        }
        assert_eq!(
            said[0]["message"],
            json!({ "call-id": "one/u", "command": "offer" })
        );
        assert_eq!(
            (&said[1]["message"]["result"], &said[1]["took_ms"]),
            (&json!("ok"), &json!(1.5))
        );
        assert_eq!(
            (&said[2]["ng"], &said[2]["datagrams"]),
            (&json!("silence"), &json!(2))
        );
        sending.abort();
    }
}
