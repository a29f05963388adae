//! What the kernel allows and what it lost: open files, and datagrams that found a full receive buffer.

use std::os::fd::AsFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limit of open files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenFiles {
    /// What it was.
    pub before: u64,
    /// What it is now: the hard limit, if the kernel let us.
    pub now: u64,
}

/// Lets a socket be bound to an address that this machine does not have yet, if it `moves` (IP_FREEBIND, which for a socket
/// of IPv6 means IPv6).
pub(super) fn free_to_bind(socket: &impl AsFd, moves: bool) -> std::io::Result<()> {
    if moves {
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpFreebind, &true)?;
    }
    Ok(())
}

/// Raises the limit of open files to what is allowed without privileges. Each connection is one.
pub fn raise_open_files() -> OpenFiles {
    raise_open_files_to(0)
}

/// The same, and to `wanted` if that is more and we have the privilege.
pub(super) fn raise_open_files_to(wanted: u64) -> OpenFiles {
    let Ok((before, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        // Not known to fail; 1024 is what a shell gives.
        return OpenFiles {
            before: 1024,
            now: 1024,
        };
    };
    let set = |limit: u64| setrlimit(Resource::RLIMIT_NOFILE, limit, limit.max(hard)).is_ok();
    let steps = [wanted.max(hard), hard];
    let now = steps
        .into_iter()
        .find(|&limit| limit > before && set(limit));
    OpenFiles {
        before,
        now: now.unwrap_or(before),
    }
}

/// The number by which the kernel's tables name a socket.
pub(super) fn inode(socket: impl AsFd) -> Option<u64> {
    nix::sys::stat::fstat(socket).ok().map(|stat| stat.st_ino)
}

/// Datagrams that the kernel dropped on these sockets since they were bound, because nobody read them in time.
pub(super) fn dropped(inodes: &[u64]) -> u64 {
    ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|table| dropped_in(&table, inodes))
        .sum()
}

/// `proc_pid_net(5)`: the inode is the tenth column of a line, the drops are the last.
fn dropped_in(table: &str, inodes: &[u64]) -> u64 {
    let drops = |line: &str| -> Option<u64> {
        let mut columns = line.split_whitespace();
        let inode = columns.nth(9)?.parse().ok()?;
        let drops = columns.next_back()?.parse().ok()?;
        inodes.contains(&inode).then_some(drops)
    };
    table.lines().skip(1).filter_map(drops).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  131: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41231 2 0000000000000000 17
  131: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41232 2 0000000000000000 4
  140: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9 2 0000000000000000 1000
";

    #[test]
    fn drops_are_those_of_our_sockets() {
        assert_eq!(dropped_in(TABLE, &[41231, 41232]), 21);
        assert_eq!(dropped_in(TABLE, &[1]), 0);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_the_hard_one() {
        let got = raise_open_files();
        assert!(got.now >= got.before);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, got.now);
    }
}
