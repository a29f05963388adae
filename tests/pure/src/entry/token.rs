//! The token decoder.

use aes::Aes128;
use aes::cipher::KeyInit;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, Mac};
use proxy::decision::Device;
use proxy::exchange::{Answer, Question, Speaker};
use proxy::key::Keys;
use proxy::token::{Purpose, Sealer, TokenError, base64url};
use sha2::Sha256;

const SECRET: [u8; 32] = [7; 32];
const NOW: u64 = 1_785_542_400;
const PURPOSES: [Purpose; 7] = [
    Purpose::Path,
    Purpose::RecordRouteCore,
    Purpose::RecordRouteDevice,
    Purpose::Via,
    Purpose::Contact,
    Purpose::Vias,
    Purpose::Routes,
];

/// Opens a text for every purpose, and a payload that somebody with our key has sealed: the decoder proper comes behind
/// the MAC, where chance would never get. What it understands, it writes as it was.
pub fn token(data: &[u8]) {
    let sealer = Sealer::new(Keys::single(SECRET));
    let (call_id, rest) = data.split_at(data.len().min(4));
    let (bits, payload) = rest.split_first().unwrap_or((&0, &[]));
    for (code, purpose) in (0u8..).zip(PURPOSES) {
        for text in [data, base64url::encode(data).as_bytes()] {
            let _ = Sealer::is_handed_over(text);
            if let Ok(token) = sealer.open(purpose, text, Some(call_id), NOW) {
                panic!("chance made {token:?}");
            }
        }
        let bound: &[u8] = match purpose {
            Purpose::Path | Purpose::Contact => &[],
            _ => call_id,
        };
        let sealed = sealed(code << 2 | bits & 3, payload, bound);
        match sealer.open(purpose, sealed.as_bytes(), Some(call_id), NOW) {
            Ok(token) => {
                assert_eq!(token.purpose(), purpose);
                assert_eq!(Sealer::is_handed_over(sealed.as_bytes()), bits & 1 != 0);
                let again = match bits & 1 {
                    0 => sealer.seal(&token, Some(call_id), NOW),
                    _ => sealer.seal_handed_over(&token, Some(call_id), NOW),
                };
                assert_eq!(again, sealed, "{token:?}");
            }
            Err(error) => assert_eq!(error, TokenError::Content, "the MAC is right"),
        }
    }
    between_nodes(data, call_id);
}

/// What nodes say to each other: no chance text is believed, and of a true one no bit may change.
fn between_nodes(data: &[u8], call_id: &[u8]) {
    let keys = Keys::single(SECRET);
    let is_believed = |text: &[u8]| {
        Question::open(&keys, text, call_id, NOW).is_some()
            || Answer::open(&keys, text, call_id, NOW).is_some()
    };
    assert!(!is_believed(data));
    assert!(!is_believed(base64url::encode(data).as_bytes()));
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = *from;
    }
    let [a, b, c, d, e, f, g, h, device @ .., at, bit] = bytes;
    let from = Speaker {
        node: u16::from_be_bytes([a, b]),
        run: u64::from_be_bytes([c, d, e, f, g, h, a, b]),
    };
    let [one, two, three, four, last, _] = device;
    let question = Question {
        from,
        device: Device([one, two, three, four]),
    };
    let answer = Answer {
        from,
        has_device: last & 1 == 1,
    };
    let (asked, said) = (
        question.seal(&keys, call_id, NOW),
        answer.seal(&keys, call_id, NOW),
    );
    assert_eq!(
        Question::open(&keys, asked.as_bytes(), call_id, NOW),
        Some(question)
    );
    assert_eq!(
        Answer::open(&keys, said.as_bytes(), call_id, NOW),
        Some(answer)
    );
    assert_eq!(Answer::open(&keys, asked.as_bytes(), call_id, NOW), None);
    assert_eq!(Question::open(&keys, said.as_bytes(), call_id, NOW), None);
    let mut changed = base64url::decode(asked.as_bytes()).expect("as it was written");
    let at = usize::from(at) % changed.len();
    changed[at] ^= 1 << (bit & 7);
    assert!(!is_believed(base64url::encode(&changed).as_bytes()));
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The design's words about a token, written a second time: see [`proxy::token`].
fn sealed(header: u8, payload: &[u8], call_id: &[u8]) -> String {
    let key = mac(&SECRET, &[b"causeway token mac"]);
    let length = (payload.len() as u32).to_be_bytes();
    let tag = &mac(&key, &[&[header], &length, payload, call_id])[..8];
    let mut stream_key = [0; 16];
    stream_key.copy_from_slice(&mac(&SECRET, &[b"causeway token stream"])[..16]);
    let mut start = [0; 16];
    start[..8].copy_from_slice(tag);
    let core = CtrCore::<Aes128, flavors::Ctr128BE>::inner_iv_init(
        Aes128::new(&stream_key.into()),
        &start.into(),
    );
    let mut body = payload.to_vec();
    StreamCipherCoreWrapper::from_core(core).apply_keystream(&mut body);
    base64url::encode(&[&[header], tag, &body].concat())
}
