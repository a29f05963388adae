//! The stream framer.

use bytes::Bytes;
use sip::{Frame, Framer, Header, Limits, Message};

/// Low, so that random bytes reach it.
const LIMITS: Limits = Limits {
    message_bytes: 16 * 1024,
    headers: 128,
};

/// Cuts a stream into messages, the same ones however it is cut, and of each the parser sees the same end.
pub fn stream(data: &[u8]) {
    let whole = cut(data, [data.len().max(1)]);
    for message in &whole.messages {
        // Two readers of one stream: if they differed, a message could be smuggled through one of them.
        if let Ok(parsed) = Message::parse(message.clone(), &LIMITS) {
            assert_eq!(parsed.bytes(), message, "framer and parser see one end");
            assert!(parsed.lines(Header::ContentLength).count() <= 1);
        }
    }
    assert_eq!(cut(data, [1]), whole, "byte by byte");
    let salt = data.iter().fold(data.len(), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let pieces = [3, 5, 7, 9].map(|shift| (salt >> shift) % 97 + 1);
    assert_eq!(cut(data, pieces), whole, "in pieces of {pieces:?}");
}

#[derive(PartialEq, Eq, Debug)]
struct Cut {
    messages: Vec<Bytes>,
    pings: usize,
    ended: bool,
}

fn cut<const N: usize>(mut data: &[u8], pieces: [usize; N]) -> Cut {
    let mut framer = Framer::new(&LIMITS);
    let mut result = Cut {
        messages: Vec::new(),
        pings: 0,
        ended: false,
    };
    for size in pieces.into_iter().cycle() {
        let Some((piece, rest)) = data.split_at_checked(size.min(data.len())) else {
            break;
        };
        if piece.is_empty() {
            break;
        }
        data = rest;
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(Frame::Message(message))) => {
                    assert!(message.len() <= LIMITS.message_bytes);
                    result.messages.push(message);
                }
                Ok(Some(Frame::Ping)) => result.pings += 1,
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next(), Err(error), "it says so for ever");
                    result.ended = true;
                    return result;
                }
            }
        }
        assert!(framer.capacity() <= 4 * LIMITS.message_bytes + 2 * size);
    }
    result
}
