//! The bytes inside a token, before they are encrypted. All numbers are big-endian.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::ends;
use super::{
    ContactToken, FlowAddress, Lines, Media, Pass, PathToken, Purpose, RecordRouteCore,
    RecordRouteDevice, Token, Towards, ViaToken,
};

use crate::media::Ends;

/// Room for every token but those that hold what others wrote.
pub(super) type Payload = SmallVec<[u8; 48]>;

const CONNECTION_BITS: u64 = (1 << 48) - 1;
const OFFER_BIT: u8 = 0x04;
const CALLED_BIT: u8 = 0x04;
const DEVICE_BIT: u8 = 0x08;
const ANONYMOUS_BIT: u8 = 0x08;
const CONTACT_FAMILY_BIT: u8 = 0x80;

/// The payload and the header's address family bit.
pub(super) fn write(token: &Token) -> (Payload, bool) {
    let mut to = Payload::new();
    let family = match token {
        Token::Path(path) => write_flow(&mut to, path.listener, path.node, path.flow),
        Token::RecordRouteCore(core) => {
            write_media(
                &mut to,
                core.media,
                if core.anonymous { ANONYMOUS_BIT } else { 0 },
            );
            to.extend_from_slice(&core.device);
            let family = write_flow(&mut to, core.listener, core.node, core.flow);
            ends::write(&mut to, &core.media.ends);
            family
        }
        Token::RecordRouteDevice(device) => {
            let called = if device.called { CALLED_BIT } else { 0 };
            let anonymous = if device.anonymous { ANONYMOUS_BIT } else { 0 };
            write_media(&mut to, device.media, called | anonymous);
            to.extend_from_slice(device.holder.as_ref().map_or(&[][..], |holder| &holder[..]));
            let family = device.towards.is_some_and(|other| {
                to.extend_from_slice(&other.device);
                write_flow(&mut to, other.listener, other.node, other.flow)
            });
            ends::write(&mut to, &device.media.ends);
            family
        }
        Token::Via(via) => {
            let offer = if via.offer { OFFER_BIT } else { 0 };
            let device = if via.device.is_some() { DEVICE_BIT } else { 0 };
            write_media(&mut to, via.media, offer | device);
            to.extend_from_slice(&via.transaction);
            to.extend_from_slice(via.device.as_ref().map_or(&[][..], |device| &device[..]));
            write_flow(&mut to, via.listener, via.node, via.source)
        }
        Token::Contact(contact) => {
            write_contact(&mut to, contact);
            false
        }
        Token::Vias(lines) | Token::Routes(lines) => {
            write_lines(&mut to, lines);
            false
        }
    };
    (to, family)
}

/// `None` for bytes that `write` does not write.
pub(super) fn read(purpose: Purpose, bytes: &[u8], family: bool) -> Option<Token> {
    Some(match purpose {
        Purpose::Path => {
            let (listener, node, flow) = read_flow(bytes, family)?;
            Token::Path(PathToken {
                listener,
                node,
                flow,
            })
        }
        Purpose::RecordRouteCore => {
            let anonymous = bytes.get(1)? & ANONYMOUS_BIT != 0;
            let (mut media, bytes) = read_media(bytes, ANONYMOUS_BIT)?;
            let (bytes, ends) = ends::read(bytes)?;
            media.ends = ends;
            if media.pass == Pass::Through {
                return None;
            }
            let other = read_device(bytes, family)?;
            Token::RecordRouteCore(RecordRouteCore {
                listener: other.listener,
                node: other.node,
                flow: other.flow,
                device: other.device,
                media,
                anonymous,
            })
        }
        Purpose::RecordRouteDevice => {
            let bits = bytes.get(1)?;
            let (called, anonymous) = (bits & CALLED_BIT != 0, bits & ANONYMOUS_BIT != 0);
            let (mut media, bytes) = read_media(bytes, CALLED_BIT | ANONYMOUS_BIT)?;
            let (bytes, ends) = ends::read(bytes)?;
            media.ends = ends;
            let (holder, bytes) = read_holder(bytes);
            let towards = match bytes {
                [] if !family => None,
                other => Some(read_device(other, family)?),
            };
            // Between servers there is neither device nor side.
            let says_more =
                called || anonymous || holder.is_some() || towards.is_some() || ends != Ends::NONE;
            if media.pass == Pass::Through && says_more {
                return None;
            }
            Token::RecordRouteDevice(RecordRouteDevice {
                media,
                called,
                anonymous,
                holder,
                towards,
            })
        }
        Purpose::Via => {
            let bits = bytes.get(1)?;
            let (offer, has_device) = (bits & OFFER_BIT != 0, bits & DEVICE_BIT != 0);
            let (media, bytes) = read_media(bytes, OFFER_BIT | DEVICE_BIT)?;
            let (transaction, bytes) = bytes.split_first_chunk()?;
            let (device, bytes) = match bytes.split_first_chunk() {
                Some((device, rest)) if has_device => (Some(*device), rest),
                _ if has_device => return None,
                _ => (None, bytes),
            };
            let (listener, node, source) = read_flow(bytes, family)?;
            Token::Via(ViaToken {
                node,
                media,
                offer,
                transaction: *transaction,
                listener,
                source,
                device,
            })
        }
        Purpose::Contact if !family => Token::Contact(read_contact(bytes)?),
        Purpose::Vias if !family => Token::Vias(read_lines(bytes)?),
        Purpose::Routes if !family => Token::Routes(read_lines(bytes)?),
        Purpose::Contact | Purpose::Vias | Purpose::Routes => return None,
    })
}

/// The node's number, then generation (4 bits), two bits of the token's, and the pass (2 bits).
fn write_media(to: &mut Payload, media: Media, bits: u8) {
    let pass = match media.pass {
        Pass::Up => 0,
        Pass::Down => 1,
        Pass::Local => 2,
        Pass::Through => 3,
    };
    to.extend_from_slice(&[media.node, media.generation << 4 | bits | pass]);
}

fn read_media(bytes: &[u8], allowed: u8) -> Option<(Media, &[u8])> {
    let (&[node, bits], rest) = bytes.split_first_chunk()?;
    let pass = match bits & 0x0f & !allowed {
        0 => Pass::Up,
        1 => Pass::Down,
        2 => Pass::Local,
        3 => Pass::Through,
        _ => return None,
    };
    let media = Media {
        node,
        generation: bits >> 4,
        pass,
        ends: Ends::NONE,
    };
    Some((media, rest))
}

/// The length of what says where the Contact leads, that, and the URI. The lengths of the three kinds of flow differ, but for
/// the family bit that a connection needs: its length has the top bit set.
fn write_contact(to: &mut Payload, contact: &ContactToken) {
    let mut place = Payload::new();
    let family = contact
        .at
        .is_some_and(|at| write_flow(&mut place, at.listener, at.node, at.flow));
    // 21 bytes at most.
    to.push(place.len() as u8 | if family { CONTACT_FAMILY_BIT } else { 0 });
    to.extend_from_slice(&place);
    to.extend_from_slice(&contact.uri);
}

fn read_contact(bytes: &[u8]) -> Option<ContactToken> {
    let (&first, rest) = bytes.split_first()?;
    let (family, length) = (first & CONTACT_FAMILY_BIT != 0, first & !CONTACT_FAMILY_BIT);
    let (place, uri) = rest.split_at_checked(length.into())?;
    let at = match place {
        [] if !family => None,
        place => {
            let (listener, node, flow) = read_flow(place, family)?;
            Some(PathToken {
                listener,
                node,
                flow,
            })
        }
    };
    Some(ContactToken {
        uri: uri.to_vec(),
        at,
    })
}

/// Each with its length before it. What is longer than a length can say was cut by nobody: a message ends before.
fn write_lines(to: &mut Payload, lines: &Lines) {
    for line in &lines.0 {
        let length = u16::try_from(line.len()).unwrap_or(u16::MAX);
        to.extend_from_slice(&length.to_be_bytes());
        to.extend_from_slice(&line[..usize::from(length)]);
    }
}

fn read_lines(mut bytes: &[u8]) -> Option<Lines> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let (&length, rest) = bytes.split_first_chunk()?;
        let (line, rest) = rest.split_at_checked(u16::from_be_bytes(length).into())?;
        lines.push(line.to_vec());
        bytes = rest;
    }
    Some(Lines(lines))
}

fn write_flow(to: &mut Payload, listener: u8, node: u16, flow: FlowAddress) -> bool {
    to.push(listener);
    to.extend_from_slice(&node.to_be_bytes());
    let port = match flow {
        FlowAddress::Connection(number) => {
            to.extend_from_slice(&(number & CONNECTION_BITS).to_be_bytes()[2..]);
            return true;
        }
        FlowAddress::Udp(address) => {
            match address {
                SocketAddr::V4(v4) => to.extend_from_slice(&v4.ip().octets()),
                SocketAddr::V6(v6) => to.extend_from_slice(&v6.ip().octets()),
            }
            address.port()
        }
    };
    to.extend_from_slice(&port.to_be_bytes());
    matches!(flow, FlowAddress::Udp(SocketAddr::V6(_)))
}

fn read_flow(bytes: &[u8], family: bool) -> Option<(u8, u16, FlowAddress)> {
    let (&[listener, high, low], address) = bytes.split_first_chunk()?;
    let flow = match (family, address) {
        (false, &[a, b, c, d, high, low]) => {
            let port = u16::from_be_bytes([high, low]);
            FlowAddress::Udp((Ipv4Addr::new(a, b, c, d), port).into())
        }
        (true, &[a, b, c, d, e, f]) => {
            FlowAddress::Connection(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
        }
        (true, address) => {
            let (ip, port) = address.split_first_chunk::<16>()?;
            let port = u16::from_be_bytes(port.try_into().ok()?);
            FlowAddress::Udp((Ipv6Addr::from(*ip), port).into())
        }
        (false, _) => return None,
    };
    Some((listener, u16::from_be_bytes([high, low]), flow))
}

/// Every bit has its meaning already, so the length tells whether a holder stands in front: what else follows has 0, 13 or 25
/// bytes ([`read_device`]).
fn read_holder(bytes: &[u8]) -> (Option<[u8; 4]>, &[u8]) {
    match bytes.split_first_chunk() {
        Some((holder, rest)) if matches!(rest.len(), 0 | 13 | 25) => (Some(*holder), rest),
        _ => (None, bytes),
    }
}

fn read_device(bytes: &[u8], family: bool) -> Option<Towards> {
    let (device, bytes) = bytes.split_first_chunk()?;
    let (listener, node, flow) = read_flow(bytes, family)?;
    Some(Towards {
        listener,
        node,
        flow,
        device: *device,
    })
}
