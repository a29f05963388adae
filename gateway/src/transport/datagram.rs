//! Datagrams on a wildcard socket, with the address of ours that the peer used (IP_PKTINFO, IPV6_PKTINFO), both ways.
//!
//! Without it, what was sent to a virtual or second address is answered from the first, and the phone throws it away.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, sendmsg,
    setsockopt, sockopt,
};

/// Bytes for one control message of either kind; the kernel aligns to 8.
const CONTROL_BYTES: usize = 64;

/// Makes the kernel tell the address that was used.
pub(super) fn ask_for_address(socket: &UdpSocket, bound: SocketAddr) -> io::Result<()> {
    match bound {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// One datagram: its length, who sent it, and to which address of ours. `bound` has our port and family.
pub(super) fn receive(
    fd: RawFd,
    buffer: &mut [u8],
    bound: SocketAddr,
) -> io::Result<(usize, SocketAddr, SocketAddr)> {
    let mut control = [0u8; CONTROL_BYTES];
    let mut parts = [IoSliceMut::new(buffer)];
    let mut local = bound;
    let (length, peer) = match bound {
        SocketAddr::V4(_) => {
            let flags = MsgFlags::MSG_DONTWAIT;
            let got = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), flags)?;
            take_address(got.cmsgs()?, &mut local);
            (
                got.bytes,
                got.address
                    .map(|address| SocketAddr::V4(SocketAddrV4::from(address))),
            )
        }
        SocketAddr::V6(_) => {
            let flags = MsgFlags::MSG_DONTWAIT;
            let got = recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), flags)?;
            take_address(got.cmsgs()?, &mut local);
            (
                got.bytes,
                got.address
                    .map(|address| SocketAddr::V6(SocketAddrV6::from(address))),
            )
        }
    };
    let peer = peer.ok_or(io::ErrorKind::InvalidData)?;
    Ok((length, peer, local))
}

fn take_address(messages: impl Iterator<Item = ControlMessageOwned>, local: &mut SocketAddr) {
    for message in messages {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                local.set_ip(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let ip = std::net::Ipv6Addr::from(info.ipi6_addr.s6_addr);
                // A link-local address means nothing without its link.
                let scope = if ip.is_unicast_link_local() {
                    info.ipi6_ifindex
                } else {
                    0
                };
                *local = SocketAddrV6::new(ip, local.port(), 0, scope).into();
            }
            _ => {}
        }
    }
}

/// Sends one datagram from `local`.
pub(super) fn send(
    socket: &UdpSocket,
    bytes: &[u8],
    local: SocketAddr,
    peer: SocketAddr,
) -> io::Result<usize> {
    let parts = [IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_raw_fd();
    let sent = match (local, peer) {
        (SocketAddr::V4(local), SocketAddr::V4(peer)) => {
            let source = in_addr {
                s_addr: u32::from_ne_bytes(local.ip().octets()),
            };
            let info = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: in_addr { s_addr: 0 },
            };
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(fd, &parts, &control, flags, Some(&SockaddrIn::from(peer)))?
        }
        (SocketAddr::V6(local), SocketAddr::V6(peer)) => {
            let info = in6_pktinfo {
                ipi6_addr: in6_addr {
                    s6_addr: local.ip().octets(),
                },
                ipi6_ifindex: local.scope_id(),
            };
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(fd, &parts, &control, flags, Some(&SockaddrIn6::from(peer)))?
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    Ok(sent)
}
