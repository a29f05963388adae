//! The bytes inside a token, before they are encrypted. All numbers are big-endian.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::{
    ContactToken, FlowAddress, Media, Pass, PathToken, Purpose, RecordRouteCore, RecordRouteDevice,
    Token, Towards, ViaToken,
};

/// Room for every token but that of a Contact.
pub(super) type Payload = SmallVec<[u8; 32]>;

const CONNECTION_BITS: u64 = (1 << 48) - 1;
const OFFER_BIT: u8 = 0x04;

/// The payload and the header's address family bit.
pub(super) fn write(token: &Token) -> (Payload, bool) {
    let mut to = Payload::new();
    let family = match token {
        Token::Path(path) => write_flow(&mut to, path.listener, path.node, path.flow),
        Token::RecordRouteCore(core) => {
            write_media(&mut to, core.media, 0);
            to.extend_from_slice(&core.device);
            write_flow(&mut to, core.listener, core.node, core.flow)
        }
        Token::RecordRouteDevice(device) => {
            write_media(&mut to, device.media, 0);
            device.towards.is_some_and(|other| {
                to.extend_from_slice(&other.device);
                write_flow(&mut to, other.listener, other.node, other.flow)
            })
        }
        Token::Via(via) => {
            write_media(&mut to, via.media, if via.offer { OFFER_BIT } else { 0 });
            to.extend_from_slice(&via.node.to_be_bytes());
            to.extend_from_slice(&via.transaction);
            false
        }
        Token::Contact(contact) => {
            to.extend_from_slice(&contact.uri);
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
            let (media, bytes) = read_media(bytes, 0)?;
            let other = read_device(bytes, family)?;
            Token::RecordRouteCore(RecordRouteCore {
                listener: other.listener,
                node: other.node,
                flow: other.flow,
                device: other.device,
                media,
            })
        }
        Purpose::RecordRouteDevice => {
            let (media, bytes) = read_media(bytes, 0)?;
            let towards = match bytes {
                [] if !family => None,
                other => Some(read_device(other, family)?),
            };
            Token::RecordRouteDevice(RecordRouteDevice { media, towards })
        }
        Purpose::Via if !family => {
            let offer = bytes.get(1)? & OFFER_BIT != 0;
            let (media, bytes) = read_media(bytes, OFFER_BIT)?;
            let (node, bytes) = bytes.split_first_chunk()?;
            Token::Via(ViaToken {
                node: u16::from_be_bytes(*node),
                media,
                offer,
                transaction: bytes.try_into().ok()?,
            })
        }
        Purpose::Contact if !family => Token::Contact(ContactToken {
            uri: bytes.to_vec(),
        }),
        Purpose::Via | Purpose::Contact => return None,
    })
}

/// The node's number, then generation (4 bits), a spare bit, a bit of the caller's, and the pass (2 bits).
fn write_media(to: &mut Payload, media: Media, bit: u8) {
    let pass = match media.pass {
        Pass::Up => 0,
        Pass::Down => 1,
        Pass::Local => 2,
    };
    to.extend_from_slice(&[media.node, media.generation << 4 | bit | pass]);
}

fn read_media(bytes: &[u8], allowed: u8) -> Option<(Media, &[u8])> {
    let (&[node, bits], rest) = bytes.split_first_chunk()?;
    let pass = match bits & 0x0f & !allowed {
        0 => Pass::Up,
        1 => Pass::Down,
        2 => Pass::Local,
        _ => return None,
    };
    let media = Media {
        node,
        generation: bits >> 4,
        pass,
    };
    Some((media, rest))
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
