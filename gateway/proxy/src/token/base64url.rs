//! base64url without padding (RFC 4648 §5): every character of it is `unreserved` in a SIP URI's user part and a
//! `token` character in a Via branch (RFC 3261 §25.1), so nothing on the way has a reason to escape it.

use smallvec::SmallVec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 255 where a byte is no character of the alphabet.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut table = [255; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// The text of `bytes`: four characters for three bytes, two or three for a rest of one or two.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    encode_into(&mut text, bytes);
    text
}

/// The same, behind what is there.
pub(crate) fn encode_into(text: &mut String, bytes: &[u8]) {
    let character = |word: u32, shift: u32| char::from(ALPHABET[(word >> shift) as usize & 63]);
    let mut groups = bytes.chunks_exact(3);
    for group in &mut groups {
        let word = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        text.extend([
            character(word, 18),
            character(word, 12),
            character(word, 6),
            character(word, 0),
        ]);
    }
    match *groups.remainder() {
        [one] => {
            let word = u32::from(one) << 16;
            text.extend([character(word, 18), character(word, 12)]);
        }
        [one, two] => {
            let word = u32::from(one) << 16 | u32::from(two) << 8;
            text.extend([character(word, 18), character(word, 12), character(word, 6)]);
        }
        _ => {}
    }
}

/// The bytes of `text`, or `None`: for a character outside the alphabet, a length that no bytes give, and for bits
/// set beyond the last byte. The last matters: otherwise several texts would be one token.
pub fn decode(text: &[u8]) -> Option<SmallVec<[u8; 64]>> {
    let mut bytes = SmallVec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut word = 0u32;
        for (i, character) in group.iter().enumerate() {
            match VALUES[usize::from(*character)] {
                255 => return None,
                value => word |= u32::from(value) << (18 - 6 * i),
            }
        }
        let whole = [(word >> 16) as u8, (word >> 8) as u8, word as u8];
        let (kept, rest) = match group.len() {
            4 => (3, 0),
            3 => (2, word & 0xff),
            2 => (1, word & 0xffff),
            _ => return None,
        };
        if rest != 0 {
            return None;
        }
        bytes.extend_from_slice(&whole[..kept]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_come_out() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn what_is_not_the_one_text_of_some_bytes_is_refused() {
        for text in ["Z", "Zh", "Zm9", "Zg==", "Zm 8", "Zm+8", "Zm9vY"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
