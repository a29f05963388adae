//! SIP over UDP: one socket a worker on the same address (SO_REUSEPORT), read in turns of 64 datagrams; one 4-tuple always
//! lands on the same socket, so a flow's order is kept.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use proxy::flow::Flow;
use sip::{Frame, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::counters::DropReason;
use super::error::SendError;
use super::shared::{Listening, Shared};
use super::{datagram, kernel, stun};

/// Draining a socket until it would block starves the runtime: under a flood another task's 5 ms timer was 399 ms late,
/// with this many datagrams a turn 1.4 ms (PLATFORM).
const A_TURN: usize = 64;
/// The longest datagram there is, so that none comes cut.
const DATAGRAM_BYTES: usize = 65_536;

/// The sockets of one listener, one a worker, and what receive buffer the kernel gave each.
pub(super) struct Bound {
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) address: SocketAddr,
    pub(super) receive_buffer: usize,
}

/// Binds `count` sockets to one address. The first without SO_REUSEPORT, so that a port in use by another process (even of
/// the same user) is an error; then the flag is set and the others join. `beside_our_wildcard`: a listener of ours has this
/// port on all addresses already, so that nobody else has it, and the first joins as well. An address that `moves` is bound also
/// while another machine has it.
pub(super) fn bind(
    (address, moves): (SocketAddr, bool),
    count: usize,
    receive_buffer: usize,
    beside_our_wildcard: bool,
) -> io::Result<Bound> {
    let first = open((address, moves), beside_our_wildcard, receive_buffer)?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let receive_buffer_got = first.recv_buffer_size()?;
    let mut sockets = vec![UdpSocket::from(first)];
    for _ in 1..count {
        sockets.push(open((address, moves), true, receive_buffer)?.into());
    }
    if address.ip().is_unspecified() {
        for socket in &sockets {
            datagram::ask_for_address(socket, address)?;
        }
    }
    // The kernel doubles what it is asked for, to pay for its own headers.
    Ok(Bound {
        sockets,
        address,
        receive_buffer: receive_buffer_got / 2,
    })
}

fn open(
    (address, moves): (SocketAddr, bool),
    reuse_port: bool,
    receive_buffer: usize,
) -> io::Result<Socket> {
    use nix::sys::socket::{setsockopt, sockopt};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        // IPv4 has listeners of its own, so that no flow has an address in both notations.
        socket.set_only_v6(true)?;
    }
    // With CAP_NET_ADMIN beyond net.core.rmem_max, without it up to that; what was given is asked afterwards.
    if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err() {
        let _ = socket.set_recv_buffer_size(receive_buffer);
    }
    let _ = socket.set_send_buffer_size(receive_buffer);
    kernel::free_to_bind(&socket, moves)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sends from any thread: the second handle of a worker's socket, so that no runtime stands between.
pub(super) struct Sender {
    socket: UdpSocket,
    is_wildcard: bool,
}

impl Sender {
    pub(super) fn new(socket: &UdpSocket, bound: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            socket: socket.try_clone()?,
            is_wildcard: bound.ip().is_unspecified(),
        })
    }

    pub(super) fn send(&self, flow: &Flow, bytes: &[u8]) -> Result<(), SendError> {
        let sent = if self.is_wildcard && !flow.local.ip().is_unspecified() {
            datagram::send(&self.socket, bytes, flow.local, flow.peer)
        } else {
            self.socket.send_to(bytes, flow.peer)
        };
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::Full),
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => Err(SendError::Full),
            Err(error) => Err(SendError::Io(error.kind())),
        }
    }
}

/// Receives on one worker's socket until the task is dropped with its runtime.
pub(super) async fn receive(shared: Arc<Shared>, listening: Arc<Listening>, socket: UdpSocket) {
    // Only to be read is waited for: the kernel reports every datagram that has left, which would wake the worker once more for
    // each.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types whose descriptor may change; a socket's does not"
    )]
    let socket = match AsyncFd::with_interest(socket, Interest::READABLE) {
        Ok(socket) => socket,
        Err(error) => {
            return tracing::error!(?error, listener = ?listening.id, "cannot receive datagrams");
        }
    };
    let is_wildcard = listening.bound.ip().is_unspecified();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let mut ready = match socket.readable().await {
            Ok(ready) => ready,
            Err(error) => {
                return tracing::error!(?error, listener = ?listening.id, "cannot receive datagrams");
            }
        };
        let mut received = 0;
        while received < A_TURN
            && let Ok(read) = ready.try_io(|socket| {
                if is_wildcard {
                    datagram::receive(socket.as_raw_fd(), &mut buffer, listening.bound)
                } else {
                    let read = socket.get_ref().recv_from(&mut buffer);
                    read.map(|(length, peer)| (length, peer, listening.bound))
                }
            })
        {
            match read {
                Ok((length, peer, local)) => {
                    take(&shared, &listening, &buffer[..length], peer, local);
                }
                Err(error) => tracing::debug!(?error, "a datagram could not be read"),
            }
            received += 1;
        }
        drop(ready);
        if received == A_TURN {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes one datagram in: guard, keepalives, size, then the handler.
fn take(
    shared: &Shared,
    listening: &Listening,
    datagram: &[u8],
    peer: SocketAddr,
    local: SocketAddr,
) {
    if !shared.handler.admit(listening.id, peer.ip()) {
        return shared.drop_because(DropReason::NotAdmitted);
    }
    let transport = Transport::Udp;
    let flow = Flow {
        listener: listening.id,
        transport,
        local,
        peer,
        connection: None,
    };
    // Keepalives are 4 bytes or begin with a zero; a SIP message is longer and begins with a letter (or blank lines).
    if datagram.len() <= 4 || datagram[0] < 4 {
        return keepalive(shared, listening, &flow, datagram);
    }
    if datagram.len() > shared.settings.limits.message_bytes {
        return shared.drop_because(DropReason::TooLarge);
    }
    shared.deliver(&flow, Bytes::copy_from_slice(datagram));
}

fn keepalive(shared: &Shared, listening: &Listening, flow: &Flow, datagram: &[u8]) {
    let answer = match Frame::keepalive(datagram) {
        Some(Frame::Ping) => Some(b"\r\n".to_vec()),
        Some(_) => None,
        None if stun::is_stun(datagram) => stun::answer(datagram, flow.peer),
        // What phones send to keep a NAT's mapping: nothing, a zero or a few.
        None if datagram.iter().all(|&byte| byte == 0) && datagram.len() <= 4 => None,
        None => return shared.drop_because(DropReason::NoMessage),
    };
    if let (Some(answer), Some(sender)) = (answer, listening.sender(flow.peer)) {
        // A lost answer is asked for again.
        let _ = sender.send(flow, &answer);
    }
    shared.keepalive(flow);
}

impl Listening {
    /// One of the listener's sockets, always the same for a peer; `None` for streams.
    pub(super) fn sender(&self, peer: SocketAddr) -> Option<&Sender> {
        let count = self.senders.len();
        self.senders
            .get(usize::from(peer.port()).checked_rem(count)?)
    }
}
