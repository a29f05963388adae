//! The token decoder.

use aes::Aes128;
use aes::cipher::KeyInit;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, Mac};
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
