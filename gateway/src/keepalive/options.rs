//! The OPTIONS that asks a device whether it is there (RFC 3261 §11), and the answer to it. The branch says who was asked, so
//! that nothing has to be looked for.

use std::fmt::Write as _;

use bytes::Bytes;
use proxy::Device;
use proxy::site::Listener;
use sip::{Header, Message};

use crate::options;

/// What tells these branches from all others.
const BRANCH: &str = "z9hG4bKalive-";

/// An answer to a question of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// Whom it is of.
    pub(crate) device: Device,
    /// What was asked.
    pub(crate) random: u64,
}

/// The question to the device at `contact`.
pub(crate) fn request(listener: &Listener, device: Device, contact: &[u8], random: u64) -> Bytes {
    let mut branch = BRANCH.to_owned();
    for byte in device.0 {
        let _ = write!(branch, "{byte:02x}");
    }
    let _ = write!(branch, "{random:016x}");
    let of = (listener, listener.transport);
    options::request(of, contact, &branch, ("keepalive", random))
        .header(Header::MaxForwards, b"70")
        .to_bytes()
}

/// Whose answer this is. `None` for one to something else; `Some(None)` for what looks like one and says nothing.
pub(crate) fn answer_of(response: &Message) -> Option<Option<Answer>> {
    let rest = options::branch_after(response, BRANCH)?;
    Some(read(rest).filter(|_| response.status() >= 200))
}

fn read(rest: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(rest)
        .ok()
        .filter(|text| text.len() == 24)?;
    let (device, random) = text.split_at_checked(8)?;
    Some(Answer {
        device: Device(u32::from_str_radix(device, 16).ok()?.to_be_bytes()),
        random: u64::from_str_radix(random, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proxy::ListenerId;
    use proxy::site::Side;
    use sip::Transport;

    use super::*;

    fn listener() -> Listener {
        let bind = ([192, 0, 2, 1], 5060).into();
        Listener {
            host: "sbc.example.com".to_owned(),
            ..Listener::new(ListenerId(0), Side::Device, Transport::Udp, bind)
        }
    }

    fn parsed(bytes: Bytes) -> Message {
        Message::parse(bytes, &sip::Limits::default()).unwrap()
    }

    #[test]
    fn a_question_is_a_whole_request_and_its_answer_says_whose_it_is() {
        let (device, random) = (Device([1, 0xab, 0, 7]), 0x0123_4567_89ab_cdef);
        let contact = b"sip:bob@10.0.0.7:5062;transport=udp";
        let question = parsed(request(&listener(), device, contact, random));
        assert!(question.check().is_ok());
        assert_eq!(question.uri(), contact);
        let answer = |status, change: &dyn Fn(&str) -> String| {
            let response =
                sip::build::response(&sip::Edited::new(question.clone()), status, "", Some(b"t"));
            let text = String::from_utf8(response.to_bytes().to_vec()).unwrap();
            answer_of(&parsed(change(&text).into()))
        };
        let as_it_is = |text: &str| text.to_owned();
        let whose = Some(Some(Answer { device, random }));
        for (why, status, want) in [
            ("it is there", 200, whose),
            ("whatever it says", 404, whose),
            ("provisional", 100, Some(None)),
        ] {
            assert_eq!(answer(status, &as_it_is), want, "{why}");
        }
        let cut = |text: &str| text.replace("cdef\r", "\r");
        assert_eq!(answer(200, &cut), Some(None), "cut");
        let other = |text: &str| text.replace("alive-", "other-");
        assert_eq!(answer(200, &other), None, "somebody else's");
    }
}
