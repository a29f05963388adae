//! STUN Binding requests on the SIP port (RFC 5626 §5.4 and §8): a phone's keepalive over UDP, which must be answered, or
//! it takes the flow for dead and registers for ever (baresip does).

use std::net::{IpAddr, SocketAddr};

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];

/// True for a STUN message of any kind (RFC 5389 §6). No SIP message begins with a byte below 4.
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram[4..8] == COOKIE
}

/// The answer to a Binding request from `peer`; `None` for anything else.
///
/// Attributes are not looked at: RFC 5626 §8 uses neither credentials nor fingerprints.
pub(super) fn answer(datagram: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]));
    let whole = is_stun(datagram) && datagram.len() == HEADER + length && length.is_multiple_of(4);
    if !whole || datagram[..2] != BINDING_REQUEST {
        return None;
    }
    // RFC 5389 §15.2: the port is masked by the cookie, the address by cookie and transaction.
    let mask = &datagram[4..HEADER];
    let mut value = vec![0, if peer.is_ipv4() { 1 } else { 2 }];
    value.extend(masked(&peer.port().to_be_bytes(), mask));
    match peer.ip() {
        IpAddr::V4(ip) => value.extend(masked(&ip.octets(), mask)),
        IpAddr::V6(ip) => value.extend(masked(&ip.octets(), mask)),
    }
    let mut out = Vec::with_capacity(HEADER + 4 + value.len());
    out.extend(BINDING_SUCCESS);
    out.extend((4 + value.len() as u16).to_be_bytes());
    out.extend(mask);
    out.extend(XOR_MAPPED_ADDRESS);
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
    Some(out)
}

fn masked(bytes: &[u8], mask: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction of the sample messages, RFC 5769 §2.2 and §2.3.
    const TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend((attributes.len() as u16).to_be_bytes());
        bytes.extend(COOKIE);
        bytes.extend(TRANSACTION);
        bytes.extend(attributes);
        bytes
    }

    #[test]
    fn the_mapped_address_is_masked_as_in_the_samples_of_rfc_5769() {
        for (peer, want) in [
            ("192.0.2.1:32853", "0001a147e112a643"),
            (
                "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
                "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9",
            ),
        ] {
            let answer = answer(&request(&[]), peer.parse().unwrap()).unwrap();
            assert_eq!(answer[..2], BINDING_SUCCESS);
            assert_eq!(answer[8..20], TRANSACTION);
            assert_eq!(answer[20..22], XOR_MAPPED_ADDRESS);
            assert_eq!(hex::encode(&answer[24..]), want, "{peer}");
            assert_eq!(usize::from(answer[3]), answer.len() - HEADER);
        }
    }

    #[test]
    fn only_a_whole_binding_request_is_answered() {
        let peer = "192.0.2.1:1".parse().unwrap();
        let mut indication = request(&[]);
        indication[1] = 0x11;
        let mut other_cookie = request(&[]);
        other_cookie[4] = 0;
        for (why, datagram) in [
            ("an indication", indication),
            ("not STUN", other_cookie),
            ("cut", request(&[0, 6, 0, 0])[..22].to_vec()),
            ("surplus", [request(&[]), vec![0; 4]].concat()),
            ("SIP", b"OPTIONS sip:a@b SIP/2.0\r\n\r\n".to_vec()),
            ("nothing", vec![]),
        ] {
            assert_eq!(answer(&datagram, peer), None, "{why}");
        }
        assert!(
            answer(&request(&[0x80, 0x22, 0, 0]), peer).is_some(),
            "attributes do not matter"
        );
    }
}
