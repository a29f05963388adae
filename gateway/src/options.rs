//! The OPTIONS that we send of ourselves (RFC 3261 §11): to members of groups, to other nodes of the cluster, to devices. How
//! each kind of them begins, and which wait for their answer.
//!
//! The branch says of which kind an answer is, before anything is looked up.

use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use proxy::Flow;
use proxy::site::Listener;
use sip::build::Request;
use sip::{Header, Message, Method, Transport};
use tokio::sync::oneshot;

use crate::transport::{SendError, Transports};

/// A request to `uri` in the name of a listener; `name` and `random` make From and Call-ID. Max-Forwards and what the kind
/// needs besides are still to be added.
pub(crate) fn request(
    (listener, transport): (&Listener, Transport),
    uri: &[u8],
    branch: &str,
    (name, random): (&str, u64),
) -> Request {
    let us = listener.sent_by();
    let via = format!(
        "SIP/2.0/{} {us};rport;branch={branch}",
        transport.via_name()
    );
    let from = format!("<sip:{name}@{us}>;tag={random:x}");
    let call_id = call_id(name, random);
    Request::new(Method::Options, uri)
        .header(Header::Via, via.as_bytes())
        .header(Header::From, from.as_bytes())
        .header(Header::To, &[b"<", uri, b">"].concat())
        .header(Header::CallId, call_id.as_bytes())
        .header(Header::CSeq, b"1 OPTIONS")
}

/// The Call-ID of such a request.
pub(crate) fn call_id(name: &str, random: u64) -> String {
    format!("{name}-{random:016x}")
}

/// What follows `prefix` in the branch of a response; `None` if that does not begin so.
pub(crate) fn branch_after<'r>(response: &'r Message, prefix: &str) -> Option<&'r [u8]> {
    response.top_via()?.branch?.strip_prefix(prefix.as_bytes())
}

/// Requests of one kind that wait for their answer.
pub(crate) struct Asked<T> {
    /// What tells their branches from all others.
    prefix: &'static str,
    /// By what follows the prefix.
    waiting: DashMap<u64, oneshot::Sender<T>>,
}

/// Who asked may stop waiting at any moment.
struct Asking<'a, T> {
    asked: &'a Asked<T>,
    random: u64,
}

impl<T> Drop for Asking<'_, T> {
    fn drop(&mut self) {
        self.asked.waiting.remove(&self.random);
    }
}

impl<T> Asked<T> {
    /// Nobody is asked yet.
    pub(crate) fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            waiting: DashMap::new(),
        }
    }

    /// The branch of the request that has this number.
    pub(crate) fn branch(&self, random: u64) -> String {
        format!("{}{random:016x}", self.prefix)
    }

    /// Sends a request until it is answered: the caller sets a limit. A datagram is sent again after `pause`, and each time after
    /// twice as long (RFC 3261 §17.1.2.2).
    ///
    /// # Errors
    /// When it cannot be sent.
    pub(crate) async fn ask(
        &self,
        transports: &Transports,
        flow: &Flow,
        (random, request): (u64, Bytes),
        mut pause: Duration,
    ) -> Result<T, SendError> {
        let mut answer = self.expect(random);
        let _asking = Asking {
            asked: self,
            random,
        };
        let answered = loop {
            transports.send(flow, request.clone())?;
            if flow.transport.is_stream() {
                break answer.await;
            }
            match tokio::time::timeout(pause, &mut answer).await {
                Ok(answered) => break answered,
                Err(_) => pause *= 2,
            }
        };
        answered.map_err(|_| SendError::Gone)
    }

    /// Where the answer to the request of this number will come.
    pub(crate) fn expect(&self, random: u64) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(random, sender);
        receiver
    }

    /// The number of a response's request; `None` if it answers none of this kind.
    pub(crate) fn number_of(&self, response: &Message) -> Option<u64> {
        let digits = branch_after(response, self.prefix)?;
        // A sign is none, whatever from_str_radix says.
        if digits.len() != 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// True if somebody waits for the answer to this request.
    pub(crate) fn waits(&self, random: u64) -> bool {
        self.waiting.contains_key(&random)
    }

    /// Gives the answer to whoever waits for it; false if nobody does.
    pub(crate) fn answer(&self, random: u64, answer: T) -> bool {
        match self.waiting.remove(&random) {
            // Who waits may have given up this moment.
            Some((_, waiting)) => {
                let _ = waiting.send(answer);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy::ListenerId;
    use proxy::site::Side;

    use super::*;

    fn listener() -> Listener {
        let bind = ([10, 0, 0, 10], 5070).into();
        Listener::new(ListenerId(1), Side::Core, Transport::Udp, bind)
    }

    #[test]
    fn an_answer_finds_who_asked_once_and_nothing_else_does() {
        let asked = Asked::new("z9hG4bKtest-");
        let answer_to = |branch: &str| {
            let of = (&listener(), Transport::Tcp);
            let bytes = request(of, b"sip:a", branch, ("test", 7)).to_bytes();
            let asked = Message::parse(bytes, &sip::Limits::default()).unwrap();
            let answer = sip::build::response(&sip::Edited::new(asked), 200, "", Some(b"t"));
            Message::parse(answer.to_bytes(), &sip::Limits::default()).unwrap()
        };
        let number = |branch: &str| asked.number_of(&answer_to(branch));
        for (why, branch) in [
            ("somebody else's", "z9hG4bKother-0000000000000007"),
            ("cut", "z9hG4bKtest-7"),
            ("a sign before it", "z9hG4bKtest-+000000000000007"),
            ("no number", "z9hG4bKtest-x000000000000007"),
        ] {
            assert_eq!(number(branch), None, "{why}");
        }
        assert_eq!(number(&asked.branch(7)), Some(7));

        let mut answer = asked.expect(7);
        assert!(!asked.answer(8, 200), "a guess");
        assert!(asked.waits(7) && answer.try_recv().is_err());
        assert!(asked.answer(7, 404));
        assert_eq!(answer.try_recv(), Ok(404));
        assert!(!asked.answer(7, 404), "a retransmission");
    }
}
