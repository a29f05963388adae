//! What a message costs on its way through, an operation at a time.
//!
//! `cargo bench -p causeway-sip` prints nanoseconds, the best of several rounds. Prints, and judges nothing: machines differ.
//! Instructions do not: `wire MESSAGE OPERATION TIMES`, with names as printed and blanks as `-`, does one operation only, for
//! `valgrind --tool=callgrind` and a subtraction of two runs.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Edited, Framer, Header, Limits, Message, Uri, via};

const REGISTER: &[u8] = include_bytes!(
    "../../../tests/data/captured/chain/a6_register_udp_token/006_edge_to_reg1_REGISTER.sip"
);
const INVITE: &[u8] = include_bytes!(
    "../../../tests/data/captured/chain/b1_invite_unstripped/003_reg1_to_edge_INVITE.sip"
);

const EDGE_VIA: &[u8] =
    b"SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bK0123456789abcdef0123456789abcdef";
const EDGE_ROUTE: &[u8] = b"<sip:0123456789abcdef0123456789abcdef@203.0.113.10;lr>";
const STAMPED_VIA: &[u8] = b"SIP/2.0/WSS x.invalid;branch=z9hG4bK1;received=203.0.113.7";

fn main() {
    let only: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let mut run = match &only[..] {
        [message, operation, times] => Run {
            only: Some((message, operation, times.parse().unwrap_or(0))),
        },
        _ => Run { only: None },
    };
    for (name, bytes) in [("REGISTER", REGISTER), ("INVITE", INVITE)] {
        if run.only.is_none_or(|(message, ..)| message == name) {
            run.message(name, Bytes::from_static(bytes));
        }
    }
}

struct Run<'a> {
    /// Message, operation and how often, where only one is wanted.
    only: Option<(&'a str, &'a str, u32)>,
}

impl Run<'_> {
    fn message(&mut self, name: &str, bytes: Bytes) {
        if self.only.is_none() {
            println!("{name} of {} bytes", bytes.len());
        }
        let limits = Limits::default();
        let parse = || Message::parse(bytes.clone(), &limits).ok();
        let Some(message) = parse() else {
            println!("  is no message");
            return;
        };
        let contact = message.header(Header::Contact).unwrap_or_default();
        let contact = &contact[1..contact.len() - 1];
        let via = message.header(Header::Via).unwrap_or_default();
        let peer = SocketAddr::from(([192, 0, 2, 7], 5060));
        self.measure("parse", parse);
        self.measure("check", || message.check());
        self.measure("clone", || message.clone());
        self.measure("top Via", || {
            message
                .top_via()
                .and_then(|via| via.branch.map(<[u8]>::len))
        });
        self.measure("From and its tag", || {
            message.from().and_then(|from| from.tag().map(<[u8]>::len))
        });
        self.measure("To and its tag", || {
            message.to().and_then(|to| to.tag().map(<[u8]>::len))
        });
        self.measure("CSeq", || message.cseq().map(|cseq| cseq.number));
        self.measure("Call-ID", || message.call_id().len());
        self.measure("a URI", || {
            Uri::parse(black_box(contact)).map(|uri| uri.host.len())
        });
        self.measure("a Via stamped", || via::stamp_received(via, peer));
        self.measure("two headers in front, written", || {
            with_two(message.clone())
        });
        self.measure("as a proxy edits it", || proxied(message.clone()));
        self.measure("parse, two headers, written", || parse().map(with_two));
        self.measure("parse, check, two headers, written", || {
            let message = parse()?;
            message.check().ok()?;
            Some(with_two(message))
        });
        self.measure("relayed", || relayed(parse()?, peer));
        self.measure("framed", || {
            let mut framer = Framer::new(&limits);
            framer.push(&bytes);
            framer.next()
        });
    }

    /// The best of several rounds, since others use the machine too.
    fn measure<T>(&mut self, what: &str, mut work: impl FnMut() -> T) {
        const ROUNDS: usize = 20;
        const TIMES: u32 = 20_000;
        if let Some((_, operation, times)) = self.only {
            if what.replace(' ', "-") == operation {
                for _ in 0..times {
                    black_box(work());
                }
            }
            return;
        }
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
}

/// What a stateless relay does to a request in all.
fn relayed(message: Message, peer: SocketAddr) -> Option<Bytes> {
    message.check().ok()?;
    black_box((message.method(), message.call_id().len()));
    black_box(Uri::parse(message.uri())?.host.len());
    black_box(message.from_tag().map(<[u8]>::len));
    black_box(message.to_tag().map(<[u8]>::len));
    black_box(message.cseq()?.number);
    black_box(message.top_via()?.branch.map(<[u8]>::len));
    let hops = message.max_forwards()?;
    let stamped = via::stamp_received(message.header(Header::Via)?, peer)?;
    let mut edited = Edited::new(message);
    edited.replace_value(Header::Via, 0, &stamped);
    edited.prepend(Header::Via, EDGE_VIA);
    edited.set(
        Header::MaxForwards,
        hops.checked_sub(1)?.to_string().as_bytes(),
    );
    edited.prepend(Header::Path, EDGE_ROUTE);
    Some(edited.to_bytes())
}

fn with_two(message: Message) -> Bytes {
    let mut edited = Edited::new(message);
    edited.prepend(Header::Via, EDGE_VIA);
    edited.prepend(Header::Path, EDGE_ROUTE);
    edited.to_bytes()
}

fn proxied(message: Message) -> Bytes {
    let mut edited = Edited::new(message);
    edited.remove_value(Header::Route, 0);
    edited.replace_value(Header::Via, 0, STAMPED_VIA);
    edited.set(Header::MaxForwards, b"68");
    edited.prepend(Header::Via, EDGE_VIA);
    edited.prepend(Header::RecordRoute, EDGE_ROUTE);
    edited.to_bytes()
}
