//! The ring: bytes of what passed, the newest over the oldest.
//!
//! Two lanes, so that the pings and REGISTERs of ten thousand phones do not wash the calls away: three quarters of the memory are for
//! calls and ng, one quarter is for the rest. A push copies the bytes under a lock that is held for nothing else but copies.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem::Finder;
use proxy::flow::{Flow, ListenerId};
use rtpengine_client::{Error, Watch};
use sip::Transport;

use super::record::{self, HEAD, Head, Kind, Record};

/// Bytes that a read copies under the lock at most: some ten microseconds.
const A_READ: usize = 64 * 1024;

/// The newest of what passed, in a memory of a fixed size.
#[derive(Debug)]
pub struct Ring {
    calls: Mutex<Lane>,
    rest: Mutex<Lane>,
    started: Instant,
    /// What the clock on the wall said then, since 1970.
    since: Duration,
    cseq: Finder<'static>,
}

/// How far somebody has read.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cursor {
    calls: Place,
    rest: Place,
}

/// A place in a lane: its byte since the beginning, and how many records were before it.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    byte: u64,
    record: u64,
}

/// What a read found.
#[derive(Debug)]
pub struct Read {
    /// In the order in which they passed.
    pub records: Vec<Record>,
    /// How many were overwritten before they were read.
    pub lost: u64,
    /// There was no more.
    pub is_all: bool,
}

impl Ring {
    /// A ring in `memory` bytes, which are taken as they are used, and never more.
    pub fn new(memory: usize) -> Self {
        let rest = memory / 4;
        Self {
            calls: Mutex::new(Lane::new(memory - rest)),
            rest: Mutex::new(Lane::new(rest)),
            started: Instant::now(),
            since: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            cseq: Finder::new(b"\nCSeq:").into_owned(),
        }
    }

    /// A SIP message that came or left.
    pub fn message(&self, kind: Kind, flow: &Flow, bytes: &[u8]) {
        let head = Head {
            at: Duration::ZERO,
            kind,
            listener: flow.listener,
            transport: flow.transport,
            local: flow.local,
            peer: flow.peer,
            took: Duration::ZERO,
            datagrams: 0,
        };
        let lane = match self.is_of_a_call(bytes) {
            true => &self.calls,
            false => &self.rest,
        };
        self.push(lane, head, &[bytes]);
    }

    fn ng(&self, kind: Kind, (local, peer): (SocketAddr, SocketAddr), bytes: &[&[u8]]) {
        self.ended(kind, (local, peer), bytes, Duration::ZERO, 0);
    }

    fn ended(
        &self,
        kind: Kind,
        (local, peer): (SocketAddr, SocketAddr),
        bytes: &[&[u8]],
        took: Duration,
        datagrams: u16,
    ) {
        let head = Head {
            at: Duration::ZERO,
            kind,
            listener: ListenerId(0),
            transport: Transport::Udp,
            local,
            peer,
            took,
            datagrams,
        };
        self.push(&self.calls, head, bytes);
    }

    fn push(&self, lane: &Mutex<Lane>, mut head: Head, payload: &[&[u8]]) {
        let mut lane = locked(lane);
        // Under the lock, so that a lane's times never go back.
        head.at = self.started.elapsed();
        lane.push(&head, payload);
    }

    /// Whether a message is of a call, by its method. What has no CSeq where everybody writes it is one too: it may be worth a look.
    fn is_of_a_call(&self, message: &[u8]) -> bool {
        let method = if message.starts_with(b"SIP/2.0 ") {
            match self.cseq.find(message) {
                Some(at) => {
                    let value = message[at + 6..].trim_ascii_start();
                    let digits = value
                        .iter()
                        .take_while(|byte| byte.is_ascii_digit())
                        .count();
                    value[digits..].trim_ascii_start()
                }
                None => return true,
            }
        } else {
            message
        };
        const REST: [&[u8]; 5] = [b"REGIST", b"OPTION", b"SUBSCR", b"NOTIFY", b"PUBLIS"];
        !method.get(..6).is_some_and(|start| REST.contains(&start))
    }

    /// The place of the oldest that is there.
    pub fn oldest(&self) -> Cursor {
        Cursor {
            calls: locked(&self.calls).oldest,
            rest: locked(&self.rest).oldest,
        }
    }

    /// The place of what comes next.
    pub fn newest(&self) -> Cursor {
        Cursor {
            calls: locked(&self.calls).newest,
            rest: locked(&self.rest).newest,
        }
    }

    /// Since the ring was made.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// When something passed, since 1970.
    pub fn wall(&self, head: &Head) -> Duration {
        self.since + head.at
    }

    /// Reads on, some 64 KiB of each lane at most, and nothing that passed after `until`.
    pub fn read(&self, cursor: &mut Cursor, until: Duration) -> Read {
        // What passed before now has been written when the locks are had: no record of one lane comes late.
        let until = until.min(self.now());
        let (mut calls, more_calls) = locked(&self.calls).read(&mut cursor.calls, until);
        let (mut rest, more_rest) = locked(&self.rest).read(&mut cursor.rest, until);
        // Where one lane has more to come, the other one may not be ahead of it: what is, is read once more.
        let ends = [(more_calls, calls.last), (more_rest, rest.last)];
        if let Some(end) = ends
            .iter()
            .filter(|(more, _)| *more)
            .map(|(_, last)| *last)
            .min()
        {
            calls.leave_after(end, &mut cursor.calls);
            rest.leave_after(end, &mut cursor.rest);
        }
        let is_all = !more_calls && !more_rest;
        let mut records = record::records(calls.run.into());
        records.extend(record::records(rest.run.into()));
        records.sort_by_key(|record| record.head.at);
        Read {
            records,
            lost: calls.lost + rest.lost,
            is_all,
        }
    }
}

impl Watch for Ring {
    fn sent(&self, local: SocketAddr, node: SocketAddr, datagram: &[u8]) {
        self.ng(Kind::Command, (local, node), &[datagram]);
    }

    fn ended(
        &self,
        local: SocketAddr,
        node: SocketAddr,
        cookie: &[u8],
        end: Result<&[u8], &Error>,
        (took, datagrams): (Duration, u32),
    ) {
        let datagrams = u16::try_from(datagrams).unwrap_or(u16::MAX);
        match end {
            Ok(answer) => {
                let bytes = [cookie, answer];
                Ring::ended(self, Kind::Answer, (local, node), &bytes, took, datagrams);
            }
            Err(error) => {
                let why = error.to_string();
                let bytes = [cookie, why.as_bytes()];
                Ring::ended(self, Kind::Silence, (local, node), &bytes, took, datagrams);
            }
        }
    }
}

/// No code that could panic half-way runs under these locks; were one poisoned, its bytes would still be whole records.
fn locked(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records one after the other in a circle of bytes.
#[derive(Debug)]
struct Lane {
    circle: Vec<u8>,
    oldest: Place,
    newest: Place,
}

/// What was copied out of a lane.
struct Copied {
    run: Vec<u8>,
    lost: u64,
    /// When the last one passed.
    last: Duration,
}

impl Lane {
    fn new(bytes: usize) -> Self {
        Self {
            // Zeroed by the system when a page is first touched: a quiet node does not pay for it.
            circle: vec![0; bytes],
            oldest: Place::default(),
            newest: Place::default(),
        }
    }

    fn push(&mut self, head: &Head, payload: &[&[u8]]) {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let whole = HEAD + length;
        if whole > self.circle.len() / 2 {
            // One that would wash half of the others away is left out.
            return;
        }
        while self.newest.byte + whole as u64 - self.oldest.byte > self.circle.len() as u64 {
            self.forget_oldest();
        }
        let mut at = self.newest.byte;
        for part in [&head.encode(length)[..]].iter().chain(payload) {
            self.write(at, part);
            at += part.len() as u64;
        }
        self.newest = Place {
            byte: at,
            record: self.newest.record + 1,
        };
    }

    fn forget_oldest(&mut self) {
        let mut length = [0; 4];
        self.copy(self.oldest.byte, &mut length);
        self.oldest.byte += u64::from(u32::from_le_bytes(length));
        self.oldest.record += 1;
    }

    fn place(&self, byte: u64) -> usize {
        (byte % self.circle.len() as u64) as usize
    }

    fn write(&mut self, byte: u64, part: &[u8]) {
        let at = self.place(byte);
        let first = part.len().min(self.circle.len() - at);
        self.circle[at..at + first].copy_from_slice(&part[..first]);
        self.circle[..part.len() - first].copy_from_slice(&part[first..]);
    }

    fn copy(&self, byte: u64, into: &mut [u8]) {
        let at = self.place(byte);
        let first = into.len().min(self.circle.len() - at);
        into[..first].copy_from_slice(&self.circle[at..at + first]);
        let rest = into.len() - first;
        into[first..].copy_from_slice(&self.circle[..rest]);
    }

    /// Copies from `place` on; whether there is more.
    fn read(&self, place: &mut Place, until: Duration) -> (Copied, bool) {
        let mut lost = 0;
        if place.byte < self.oldest.byte {
            lost = self.oldest.record - place.record;
            *place = self.oldest;
        }
        let from = place.byte;
        let mut last = Duration::ZERO;
        let mut more = false;
        while place.byte < self.newest.byte {
            let mut head = [0; 12];
            self.copy(place.byte, &mut head);
            let length = record::length(&head).unwrap_or(HEAD) as u64;
            let at = record::at(&head).unwrap_or_default();
            let enough = place.byte > from && place.byte + length - from > A_READ as u64;
            if enough || at > until {
                more = enough && at <= until;
                break;
            }
            last = at;
            place.byte += length;
            place.record += 1;
        }
        let mut run = vec![0; (place.byte - from) as usize];
        self.copy(from, &mut run);
        (Copied { run, lost, last }, more)
    }
}

impl Copied {
    /// Leaves what passed after `last` for the next read.
    fn leave_after(&mut self, last: Duration, place: &mut Place) {
        let mut kept = 0;
        let mut left = 0;
        while let Some(length) = record::length(&self.run[kept..]).filter(|length| *length >= HEAD)
        {
            if record::at(&self.run[kept..]).is_some_and(|at| at > last) {
                break;
            }
            kept += length;
        }
        let mut rest = &self.run[kept..];
        while let Some(length) =
            record::length(rest).filter(|length| (HEAD..=rest.len()).contains(length))
        {
            rest = &rest[length..];
            left += 1;
        }
        place.byte -= (self.run.len() - kept) as u64;
        place.record -= left;
        self.run.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: Flow = Flow {
        listener: ListenerId(1),
        transport: Transport::Udp,
        local: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5060),
        peer: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5061),
        connection: None,
    };

    /// Everything that is there, and how much was lost.
    fn all(ring: &Ring, cursor: &mut Cursor) -> (Vec<Record>, u64) {
        let (mut records, mut lost) = (Vec::new(), 0);
        loop {
            let read = ring.read(cursor, Duration::MAX);
            records.extend(read.records);
            lost += read.lost;
            if read.is_all {
                return (records, lost);
            }
        }
    }

    fn numbered(method: &str, number: usize, length: usize) -> Vec<u8> {
        let mut message = format!("{method} {number} ").into_bytes();
        message.resize(length, b'x');
        message
    }

    #[test]
    fn what_was_put_in_comes_out_in_order_and_what_was_washed_away_is_counted() {
        let memory = 1 << 20;
        for (why, messages, length) in [
            ("all of it fits", 300, 700),
            ("many times around", 20_000, 900),
            ("lengths that meet the end anywhere", 5_000, 1_237),
        ] {
            let ring = Ring::new(memory);
            let mut cursor = ring.oldest();
            for number in 0..messages {
                let method = if number % 3 == 0 {
                    "REGISTER"
                } else {
                    "INVITE"
                };
                ring.message(Kind::In, &FLOW, &numbered(method, number, length));
            }
            let (records, lost) = all(&ring, &mut cursor);
            assert_eq!(records.len() as u64 + lost, messages as u64, "{why}");
            let times: Vec<_> = records.iter().map(|record| record.head.at).collect();
            assert!(times.is_sorted(), "{why}");
            for method in ["REGISTER ", "INVITE "] {
                let of_it = records
                    .iter()
                    .filter(|record| record.bytes.starts_with(method.as_bytes()));
                let numbers: Vec<usize> = of_it
                    .map(|record| {
                        assert_eq!(record.bytes.len(), length, "{why}");
                        let text = String::from_utf8_lossy(&record.bytes);
                        text.split(' ').nth(1).unwrap().parse().unwrap()
                    })
                    .collect();
                assert!(numbers.is_sorted() && !numbers.is_empty(), "{why}");
                assert!(
                    *numbers.last().unwrap() + 3 >= messages,
                    "{why}: the newest are there"
                );
            }
            assert_eq!(all(&ring, &mut cursor).0.len(), 0, "{why}: nothing twice");
        }
    }

    #[test]
    fn a_flood_takes_no_more_memory_and_leaves_the_calls_there() {
        let ring = Ring::new(1 << 20);
        let held = |ring: &Ring| {
            locked(&ring.calls).circle.capacity() + locked(&ring.rest).circle.capacity()
        };
        let before = held(&ring);
        ring.message(Kind::In, &FLOW, b"INVITE sip:a@b SIP/2.0\r\n");
        let answer = b"SIP/2.0 200 OK\r\nVia: x\r\nCSeq: 1 OPTIONS\r\n\r\n";
        for _ in 0..50_000 {
            ring.message(Kind::In, &FLOW, &numbered("OPTIONS", 1, 400));
            ring.message(Kind::Out, &FLOW, answer);
        }
        assert_eq!((held(&ring), before), (before, 1 << 20));
        let (records, _) = all(&ring, &mut ring.oldest());
        assert!(records[0].bytes.starts_with(b"INVITE"));
    }

    #[test]
    fn what_is_of_a_call_is_told_by_its_method() {
        let ring = Ring::new(1 << 20);
        for (message, want) in [
            ("INVITE sip:a SIP/2.0\r\n", true),
            ("REFER sip:a SIP/2.0\r\n", true),
            ("REGISTER sip:a SIP/2.0\r\n", false),
            ("OPTIONS sip:a SIP/2.0\r\n", false),
            ("NOTIFY sip:a SIP/2.0\r\n", false),
            ("SIP/2.0 200 OK\r\nCSeq: 17 BYE\r\n", true),
            ("SIP/2.0 200 OK\r\nVia: x\r\nCSeq:17  REGISTER\r\n", false),
            ("SIP/2.0 200 OK\r\nVia: x\r\n", true),
            ("", true),
            ("SIP/2.0 200 OK\r\nCSeq: ", true),
        ] {
            assert_eq!(ring.is_of_a_call(message.as_bytes()), want, "{message:?}");
        }
    }

    #[test]
    fn one_that_would_wash_half_of_the_others_away_is_left_out() {
        let ring = Ring::new(1 << 20);
        ring.message(Kind::In, &FLOW, &numbered("INVITE", 1, 100));
        ring.message(Kind::In, &FLOW, &numbered("INVITE", 2, 700_000));
        ring.message(Kind::In, &FLOW, &numbered("INVITE", 3, 100));
        let (records, lost) = all(&ring, &mut ring.oldest());
        assert_eq!((records.len(), lost), (2, 0));
    }

    #[test]
    fn a_reader_sees_nothing_that_passed_after_the_end_he_named() {
        let ring = Ring::new(1 << 20);
        ring.message(Kind::In, &FLOW, b"INVITE 1");
        let end = ring.now();
        // The clock has microseconds.
        while ring.now() < end + Duration::from_micros(2) {}
        ring.message(Kind::In, &FLOW, b"INVITE 2");
        let mut cursor = ring.oldest();
        assert_eq!(ring.read(&mut cursor, end).records.len(), 1);
        assert_eq!(ring.read(&mut cursor, Duration::MAX).records.len(), 1);
    }
}
