//! The OPTIONS between nodes (RFC 3261 §11): what they ask, and who may answer.

use std::time::Duration;

use bytes::Bytes;
use proxy::Flow;
use proxy::exchange::{Answer, Question};
use proxy::key::Keys;
use proxy::site::Listener;
use sip::{Header, Message, build};

use crate::options::{self, Asked};
use crate::transport::Transports;

/// Who asks, in From and Call-ID.
const NAME: &str = "node";
/// What tells a question's branch from all others.
const BRANCH: &str = "z9hG4bKnode-";
/// Where the question and the answer stand.
const NODE: Header<'static> = Header::Other(b"X-Causeway-Node");
/// A datagram may be lost; nodes are near each other.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The questions that are under way.
pub(super) struct Questions {
    asked: Asked<Answer>,
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            asked: Asked::new(BRANCH),
        }
    }
}

impl Questions {
    /// Asks until there is an answer: the caller sets a limit.
    pub(super) async fn ask(
        &self,
        transports: &Transports,
        flow: &Flow,
        listener: &Listener,
        (question, keys): (Question, &Keys),
    ) -> Option<Answer> {
        let random = getrandom::u64().ok()?;
        let branch = self.asked.branch(random);
        let request = request(flow, listener, &branch, (question, keys), random);
        let asking = self
            .asked
            .ask(transports, flow, (random, request), AGAIN_AFTER);
        asking.await.ok()
    }

    /// Takes the answer to a question; false if it is one to something else.
    pub(super) fn take(&self, response: &Message, keys: &Keys) -> bool {
        if options::branch_after(response, BRANCH).is_none() {
            return false;
        }
        let now = crate::engine::now().as_secs();
        let answer = response
            .header(NODE)
            .and_then(|text| Answer::open(keys, text, response.call_id(), now));
        // What is not signed is nobody's answer, and does not end the waiting either.
        if let (Some(answer), Some(random)) = (answer, self.asked.number_of(response)) {
            self.asked.answer(random, answer);
        }
        true
    }
}

/// The question in a request, if it is one of our cluster's.
pub(super) fn read(request: &Message, keys: &Keys) -> Option<Question> {
    let now = crate::engine::now().as_secs();
    Question::open(keys, request.header(NODE)?, request.call_id(), now)
}

/// The 200 to it.
pub(super) fn answer(request: &Message, flow: &Flow, answer: &Answer, keys: &Keys) -> Bytes {
    let now = crate::engine::now().as_secs();
    let text = answer.seal(keys, request.call_id(), now);
    let tag = proxy::reply::own_tag(request);
    build::response(
        &proxy::reply::stamped(request, flow.peer),
        200,
        "",
        Some(tag.as_bytes()),
    )
    .header(NODE, text.as_bytes())
    .to_bytes()
}

fn request(
    flow: &Flow,
    listener: &Listener,
    branch: &str,
    (question, keys): (Question, &Keys),
    random: u64,
) -> Bytes {
    let mut uri = format!("sip:{}", flow.peer);
    if flow.transport.is_stream() {
        uri.push_str(";transport=");
        uri.push_str(flow.transport.uri_param());
    }
    let of = (listener, flow.transport);
    let request = options::request(of, uri.as_bytes(), branch, (NAME, random));
    let call_id = options::call_id(NAME, random);
    let text = question.seal(keys, call_id.as_bytes(), crate::engine::now().as_secs());
    request
        .header(Header::MaxForwards, b"1")
        .header(NODE, text.as_bytes())
        .to_bytes()
}

#[cfg(test)]
mod tests {
    use proxy::exchange::Speaker;
    use proxy::site::Side;
    use proxy::{Device, ListenerId};
    use sip::Transport;

    use super::*;

    fn flow() -> Flow {
        Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            local: ([10, 0, 0, 1], 5060).into(),
            peer: ([10, 0, 0, 2], 5060).into(),
            connection: None,
        }
    }

    fn asked(keys: &Keys) -> Message {
        let flow = flow();
        let listener = Listener::new(ListenerId(0), Side::Core, flow.transport, flow.local);
        let question = Question {
            from: Speaker { node: 1, run: 1 },
            device: Device([1, 2, 3, 4]),
        };
        let branch = format!("{BRANCH}{:016x}", 7);
        let bytes = super::request(&flow, &listener, &branch, (question, keys), 7);
        Message::parse(bytes, &sip::Limits::default()).unwrap()
    }

    #[test]
    fn only_what_the_cluster_signed_is_answered_and_believed() {
        let (ours, theirs) = (Keys::single([1; 32]), Keys::single([2; 32]));
        let request = asked(&ours);
        assert!(request.check().is_ok());
        assert!(read(&request, &ours).is_some());
        assert_eq!(read(&request, &theirs), None, "another cluster");

        let questions = Questions::default();
        let mut receiver = questions.asked.expect(7);
        let says = Answer {
            from: Speaker { node: 2, run: 2 },
            has_device: true,
        };
        let response = |keys| {
            let bytes = answer(&request, &flow(), &says, keys);
            Message::parse(bytes, &sip::Limits::default()).unwrap()
        };
        assert!(
            questions.take(&response(&theirs), &ours),
            "taken, and not believed"
        );
        assert!(receiver.try_recv().is_err());
        assert!(questions.take(&response(&ours), &ours));
        assert_eq!(receiver.try_recv(), Ok(says));
        assert!(!questions.asked.waits(7));
    }
}
