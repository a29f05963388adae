//! What a message costs on its way through: nanoseconds for parsing, checking, two new headers and writing. Run with
//! `cargo bench -p causeway-sip`. Prints, and judges nothing: machines differ.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sip::{Edited, Framer, Header, Limits, Message};

const REGISTER: &[u8] = include_bytes!(
    "../../../tests/data/captured/chain/a6_register_udp_token/006_edge_to_reg1_REGISTER.sip"
);
const INVITE: &[u8] = include_bytes!(
    "../../../tests/data/captured/chain/b1_invite_unstripped/003_reg1_to_edge_INVITE.sip"
);

fn main() {
    for (name, bytes) in [("REGISTER", REGISTER), ("INVITE", INVITE)] {
        println!("{name} of {} bytes", bytes.len());
        let bytes = Bytes::from_static(bytes);
        let limits = Limits::default();
        let parse = || Message::parse(bytes.clone(), &limits).ok();
        let Some(message) = parse() else {
            println!("  is no message");
            continue;
        };
        measure("parse", parse);
        measure("check", || message.check());
        measure("clone", || message.clone());
        measure("two headers in front, written", || {
            with_two(message.clone())
        });
        measure("parse, two headers, written", || parse().map(with_two));
        measure("parse, check, two headers, written", || {
            let message = parse()?;
            message.check().ok()?;
            Some(with_two(message))
        });
        measure("as a proxy edits it", || proxied(message.clone()));
        measure("framed", || {
            let mut framer = Framer::new(&limits);
            framer.push(&bytes);
            framer.next()
        });
    }
}

fn with_two(message: Message) -> Bytes {
    let mut edited = Edited::new(message);
    edited.prepend(
        Header::Via,
        b"SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bK0123456789abcdef0123456789abcdef",
    );
    edited.prepend(
        Header::Path,
        b"<sip:0123456789abcdef0123456789abcdef@203.0.113.10;lr>",
    );
    edited.to_bytes()
}

fn proxied(message: Message) -> Bytes {
    let mut edited = Edited::new(message);
    edited.remove_value(Header::Route, 0);
    edited.replace_value(
        Header::Via,
        0,
        b"SIP/2.0/WSS x.invalid;branch=z9hG4bK1;received=203.0.113.7",
    );
    edited.set(Header::MaxForwards, b"68");
    edited.prepend(
        Header::Via,
        b"SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bK0123456789abcdef0123456789abcdef",
    );
    edited.prepend(
        Header::RecordRoute,
        b"<sip:0123456789abcdef0123456789abcdef@203.0.113.10;lr>",
    );
    edited.to_bytes()
}

/// The best of several rounds, since others use the machine too.
fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    const ROUNDS: usize = 20;
    const TIMES: u32 = 20_000;
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..TIMES {
                black_box(work());
            }
            start.elapsed() / TIMES
        })
        .min();
    println!("  {what}: {} ns", best.unwrap_or_default().as_nanos());
}
