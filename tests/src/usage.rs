//! What processes use, read from /proc: CPU time and memory of a whole process group.

use std::fs;
use std::time::Duration;

/// CPU time of all processes of a group so far, children that have ended and were waited for included.
pub fn group_cpu(group: u32) -> Duration {
    members(group).map(|stat| stat.cpu).sum()
}

/// Resident bytes of all processes of a group. Pages that they share count once for each: for processes that share much,
/// take [`group_share`].
pub fn group_memory(group: u32) -> u64 {
    members(group)
        .map(|stat| field(&format!("/proc/{}/status", stat.id), "VmRSS:"))
        .sum()
}

/// Proportional resident bytes (PSS) of all processes of a group: a page shared by four processes counts a quarter in each.
pub fn group_share(group: u32) -> u64 {
    members(group)
        .map(|stat| field(&format!("/proc/{}/smaps_rollup", stat.id), "Pss:"))
        .sum()
}

/// A field of /proc given in kB, as bytes.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes * 1024)
}

struct Stat {
    id: u32,
    group: u32,
    cpu: Duration,
}

fn members(group: u32) -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(read_stat)
        .filter(move |stat| stat.group == group)
}

/// proc(5): after the command's name in brackets come state, parent, group; user and system time are the 12th and 13th, those
/// of waited-for children the 14th and 15th, all in hundredths of a second.
fn read_stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let ticks: u64 = fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<u64>().unwrap_or(0))
        .sum();
    let coarse = Duration::from_millis(ticks * 10);
    Some(Stat {
        id,
        group: fields.get(2)?.parse().ok()?,
        cpu: fine_cpu(id).map_or(coarse, |fine| fine.max(coarse)),
    })
}

/// Nanoseconds on a CPU of all living threads, where the kernel keeps them: the clock ticks of `stat`, which are rounded down,
/// are too coarse for a process that is busy for a few milliseconds.
fn fine_cpu(id: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten();
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(times.sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_has_used_time_and_memory() {
        let us = read_stat(std::process::id()).unwrap();
        assert!(group_cpu(us.group) >= us.cpu);
        assert!(group_memory(us.group) > 100_000);
        assert!(group_share(us.group) > 0);
    }
}
