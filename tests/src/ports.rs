//! Free ports of loopback, for processes that must be told theirs.
//!
//! They are drawn below the range that the system gives to outgoing sockets, so that no connection of another test takes one
//! between the draw and the bind, and never twice in one test program.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

static DRAWN: Mutex<Option<Drawn>> = Mutex::new(None);

/// What this test program has drawn, and where it goes on: one behind the other, or what is left would be pieces too small
/// for a block.
struct Drawn {
    given: HashSet<u16>,
    next: u16,
}

const FIRST: u16 = 12_000;
/// `causeway demo` takes its RTP ports from 30000 on.
const LAST: u16 = 30_000;

/// A port free for UDP and for TCP on 127.0.0.1 and, where there is one, ::1.
pub fn free() -> u16 {
    block(1)
}

/// A free UDP or TCP address of 127.0.0.1.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free()))
}

/// Ports in a row that are given back when this is dropped.
#[derive(Debug)]
pub struct Block {
    /// The first of them.
    pub first: u16,
    count: u16,
}

impl Block {
    /// Draws `count` of them, as [`block`] does.
    pub fn draw(count: u16) -> Self {
        Self {
            first: block(count),
            count,
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(drawn) = drawn.as_mut() {
            let ours = self.first..self.first + self.count;
            drawn.given.retain(|port| !ours.contains(port));
        }
    }
}

/// The first of `count` free ports in a row; even, as RTP wants it.
///
/// # Panics
/// If there are none: a test that went on looking would never end.
pub fn block(count: u16) -> u16 {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let drawn = drawn.get_or_insert_with(|| Drawn {
        given: HashSet::new(),
        next: first(),
    });
    let mut start = drawn.next;
    let mut rounds = 0;
    loop {
        start = if start + count >= LAST {
            rounds += 1;
            assert!(rounds < 3, "no {count} ports in a row are free");
            FIRST
        } else {
            start + start % 2
        };
        let taken =
            (start..start + count).find(|port| drawn.given.contains(port) || !is_free(*port));
        match taken {
            Some(port) => start = port + 1,
            None => {
                drawn.given.extend(start..start + count);
                drawn.next = start + count;
                return start;
            }
        }
    }
}

/// Where to begin differs from one test program to the next, since several may run at once.
fn first() -> u16 {
    let nanoseconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.subsec_nanos());
    let offset = (nanoseconds ^ std::process::id().wrapping_mul(7919)) % u32::from(LAST - FIRST);
    FIRST + u16::try_from(offset).unwrap_or(0)
}

fn is_free(port: u16) -> bool {
    let v4: IpAddr = Ipv4Addr::LOCALHOST.into();
    let v6: IpAddr = std::net::Ipv6Addr::LOCALHOST.into();
    let has_v6 = UdpSocket::bind((v6, 0)).is_ok();
    let free = |address: IpAddr| {
        UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok()
    };
    free(v4) && (!has_v6 || free(v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_and_blocks_do_not_overlap() {
        let mut seen = HashSet::new();
        for _ in 0..20 {
            assert!(seen.insert(free()));
            let first = block(10);
            assert_eq!(first % 2, 0);
            assert!((first..first + 10).all(|port| seen.insert(port)));
        }
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        for _ in 0..40 {
            let block = Block::draw(1_000);
            assert!(block.first >= FIRST);
        }
    }
}
