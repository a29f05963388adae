//! The socket of many devices. Each has an address of its own in 127.0.0.0/8, so that each is a flow of its own to the edge; no system
//! would give one process that many sockets.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use anyhow::Result;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The first device's address; others follow.
const FIRST: u32 = 0x7f01_0000;

/// All devices' socket.
pub(crate) struct Phones {
    pub(crate) socket: UdpSocket,
    port: u16,
}

impl Phones {
    pub(crate) async fn bind() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = socket.local_addr()?.port();
        Ok(Phones { socket, port })
    }

    pub(crate) fn address(&self, device: u32) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(FIRST + device), self.port)
    }

    /// Sends from a device's own address.
    pub(crate) async fn send(&self, device: u32, message: &[u8], to: SocketAddrV4) -> Result<()> {
        let own = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr {
                s_addr: u32::from(*self.address(device).ip()).to_be(),
            },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let send = || {
            let sent = sendmsg(
                self.socket.as_raw_fd(),
                &[IoSlice::new(message)],
                &[ControlMessage::Ipv4PacketInfo(&own)],
                MsgFlags::empty(),
                Some(&SockaddrIn::from(to)),
            );
            sent.map_err(std::io::Error::from)
        };
        self.socket.async_io(Interest::WRITABLE, send).await?;
        Ok(())
    }
}

/// The device whose address the request-URI has.
pub(crate) fn called(request: &str) -> Option<u32> {
    let uri = request.split(' ').nth(1)?;
    let host = uri.split('@').nth(1)?.split([':', ';']).next()?;
    u32::from(host.parse::<Ipv4Addr>().ok()?).checked_sub(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_its_address() {
        let bye = "BYE sip:stub@127.1.1.2:6000;x=y SIP/2.0\r\n";
        assert_eq!(called(bye), Some(258));
        assert_eq!(called("BYE sip:127.0.0.1 SIP/2.0\r\n"), None);
    }
}
