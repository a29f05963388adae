//! What the nodes of a cluster say to each other: an OPTIONS that asks "who are you, and do you have this device?", and its
//! answer. Signed with the cluster's key, so that nobody outside it is believed, and bound to the Call-ID that the asking
//! node drew, so that no answer is good for a second question.
//!
//! ```text
//! key id 1 | MAC 16 | content          then base64url without padding
//! content = 'Q', node 2, run 8, device 4      or      'A', node 2, run 8, has it 1
//! ```

use crate::decision::Device;
use crate::key::{Key, Keys};
use crate::token::base64url;

const MAC_BYTES: usize = 16;
const LABEL: &str = "causeway nodes";

/// Who speaks: the number in the configuration, and one drawn at start. Two nodes that are told the same number differ in
/// the other, and whoever asks himself finds both the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speaker {
    /// The node's number.
    pub node: u16,
    /// Drawn at random when it was started.
    pub run: u64,
}

/// A question to another node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who asks.
    pub from: Speaker,
    /// The device that is looked for; the default for none.
    pub device: Device,
}

/// What it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Who answers.
    pub from: Speaker,
    /// It has that device at a living flow.
    pub has_device: bool,
}

impl Question {
    /// The text of a header.
    pub fn seal(&self, keys: &Keys, call_id: &[u8], now_unix: u64) -> String {
        let content = [&[b'Q'][..], &self.from.bytes(), &self.device.0].concat();
        seal(keys, &content, call_id, now_unix)
    }

    /// The question in a header, if our cluster asked it in this Call-ID.
    pub fn open(keys: &Keys, text: &[u8], call_id: &[u8], now_unix: u64) -> Option<Self> {
        let content = open(keys, text, call_id, now_unix)?;
        let (from, rest) = speaker(&content, b'Q')?;
        Some(Self {
            from,
            device: Device(rest.try_into().ok()?),
        })
    }
}

impl Answer {
    /// The text of a header.
    pub fn seal(&self, keys: &Keys, call_id: &[u8], now_unix: u64) -> String {
        let content = [
            &[b'A'][..],
            &self.from.bytes(),
            &[u8::from(self.has_device)],
        ]
        .concat();
        seal(keys, &content, call_id, now_unix)
    }

    /// The answer in a header, if our cluster gave it in this Call-ID.
    pub fn open(keys: &Keys, text: &[u8], call_id: &[u8], now_unix: u64) -> Option<Self> {
        let content = open(keys, text, call_id, now_unix)?;
        let (from, rest) = speaker(&content, b'A')?;
        let [has_device @ (0 | 1)] = *rest else {
            return None;
        };
        Some(Self {
            from,
            has_device: has_device == 1,
        })
    }
}

impl Speaker {
    fn bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&self.node.to_be_bytes());
        bytes[2..].copy_from_slice(&self.run.to_be_bytes());
        bytes
    }
}

fn speaker(content: &[u8], kind: u8) -> Option<(Speaker, &[u8])> {
    let (first, rest) = content.split_first()?;
    let (node, rest) = rest.split_first_chunk::<2>()?;
    let (run, rest) = rest.split_first_chunk::<8>()?;
    let speaker = Speaker {
        node: u16::from_be_bytes(*node),
        run: u64::from_be_bytes(*run),
    };
    (*first == kind).then_some((speaker, rest))
}

fn seal(keys: &Keys, content: &[u8], call_id: &[u8], now_unix: u64) -> String {
    let key = keys.signing(now_unix);
    let bytes = [&[key.id()][..], &mac(key, content, call_id), content].concat();
    let mut text = String::with_capacity(64);
    base64url::encode_into(&mut text, &bytes);
    text
}

fn open(keys: &Keys, text: &[u8], call_id: &[u8], now_unix: u64) -> Option<Vec<u8>> {
    use subtle::ConstantTimeEq;
    // Longer ones are none of ours, and cost nothing.
    let bytes = (text.len() <= 64).then(|| base64url::decode(text))??;
    let (&[id, ref given @ ..], content) = bytes.split_first_chunk::<{ 1 + MAC_BYTES }>()?;
    let key = keys.verifying(id, now_unix)?;
    let is_ours = bool::from(mac(key, content, call_id).ct_eq(given));
    is_ours.then(|| content.to_vec())
}

fn mac(key: &Key, content: &[u8], call_id: &[u8]) -> [u8; MAC_BYTES] {
    let whole = key.mac(LABEL, &[content, call_id]);
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&whole[..MAC_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_785_542_400;
    const ME: Speaker = Speaker { node: 7, run: 99 };

    fn keys() -> Keys {
        Keys::single([7; 32])
    }

    #[test]
    fn a_question_and_its_answer_are_read_as_they_were_written() {
        let question = Question {
            from: ME,
            device: Device([1, 2, 3, 4]),
        };
        let text = question.seal(&keys(), b"c", NOW);
        assert_eq!(
            Question::open(&keys(), text.as_bytes(), b"c", NOW),
            Some(question)
        );
        for has_device in [false, true] {
            let answer = Answer {
                from: ME,
                has_device,
            };
            let text = answer.seal(&keys(), b"c", NOW);
            assert_eq!(
                Answer::open(&keys(), text.as_bytes(), b"c", NOW),
                Some(answer)
            );
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        let answer = Answer {
            from: ME,
            has_device: true,
        };
        let question = Question {
            from: ME,
            device: Device::default(),
        };
        let text = answer.seal(&keys(), b"c", NOW);
        let mut changed = text.clone().into_bytes();
        changed[30] ^= 1;
        let foreign = answer.seal(&Keys::single([8; 32]), b"c", NOW);
        let asked = question.seal(&keys(), b"c", NOW);
        for (why, text, call_id) in [
            ("of another question", text.as_bytes(), &b"d"[..]),
            ("with a bit changed", &changed, b"c"),
            ("of another cluster", foreign.as_bytes(), b"c"),
            ("a question", asked.as_bytes(), b"c"),
            ("nothing", b"", b"c"),
            ("cut short", &text.as_bytes()[..20], b"c"),
            ("no base64url", b"****", b"c"),
            ("endless", &[b'A'; 4096], b"c"),
        ] {
            assert_eq!(Answer::open(&keys(), text, call_id, NOW), None, "{why}");
        }
    }
}
