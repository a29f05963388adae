//! A capture file that Wireshark and sngrep read: libpcap's format with raw IP packets (LINKTYPE_RAW).
//!
//! Each message is a UDP datagram between the real addresses, also what came over TCP, TLS or a WebSocket: both tools know SIP by its
//! words, and a stream would have to be made up with its handshakes. What did not leave, and a silence, are no packets.

use std::net::{IpAddr, SocketAddr};

use super::line::Line;
use super::record::Kind;

/// The file's first bytes: version 2.4, microseconds, packets of any length, raw IP.
pub fn header() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    bytes[4..6].copy_from_slice(&2_u16.to_le_bytes());
    bytes[6..8].copy_from_slice(&4_u16.to_le_bytes());
    bytes[16..20].copy_from_slice(&262_144_u32.to_le_bytes());
    bytes[20..].copy_from_slice(&101_u32.to_le_bytes());
    bytes
}

/// The packet of a line, with its header in the file; `None` where there was none.
pub fn packet(line: &Line) -> Option<Vec<u8>> {
    let (from, to) = match line.kind {
        Kind::In | Kind::Answer => (line.peer, line.local),
        Kind::Out | Kind::Command => (line.local, line.peer),
        Kind::Unsent | Kind::Silence => return None,
    };
    let packet = ip(from, to, &line.bytes)?;
    let length = u32::try_from(packet.len()).ok()?;
    let seconds = u32::try_from(line.time / 1_000_000).unwrap_or(u32::MAX);
    let micros = (line.time % 1_000_000) as u32;
    let mut bytes = Vec::with_capacity(16 + packet.len());
    for number in [seconds, micros, length, length] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&packet);
    Some(bytes)
}

/// An IP packet with a UDP datagram; `None` for addresses of two families.
fn ip(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    // A datagram over IPv4 holds 65,507 bytes; a message over a stream may be longer, and is cut.
    let payload = &payload[..payload.len().min(65_507)];
    let length = (8 + payload.len()) as u16;
    let (mut packet, pseudo) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = [0; 20];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&(20 + length).to_be_bytes());
            // Not to be fragmented, 64 hops, UDP.
            header[6] = 0x40;
            header[8..10].copy_from_slice(&[64, 17]);
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            let sum = checksum([&header[..]]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            let [high, low] = length.to_be_bytes();
            let pseudo = [&header[12..20], &[0, 17, high, low]].concat();
            (header.to_vec(), pseudo)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = [0; 40];
            header[0] = 0x60;
            header[4..6].copy_from_slice(&length.to_be_bytes());
            header[6..8].copy_from_slice(&[17, 64]);
            header[8..24].copy_from_slice(&from.octets());
            header[24..40].copy_from_slice(&to.octets());
            let [high, low] = length.to_be_bytes();
            let pseudo = [&header[8..40], &[0, 0, high, low, 0, 0, 0, 17]].concat();
            (header.to_vec(), pseudo)
        }
        _ => return None,
    };
    let mut udp = [0; 8];
    udp[..2].copy_from_slice(&from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&length.to_be_bytes());
    // RFC 768: a sum of zero is written as all ones.
    let sum = match checksum([&pseudo[..], &udp[..], payload]) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(&udp);
    packet.extend_from_slice(payload);
    Some(packet)
}

/// RFC 1071; every part but the last has an even length.
fn checksum<const N: usize>(parts: [&[u8]; N]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 = words
        .map(|word| {
            u64::from(u16::from_be_bytes([
                word[0],
                word.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
