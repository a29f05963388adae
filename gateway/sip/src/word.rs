//! Eight bytes at a time: what short texts are searched with. A call of `memchr` costs more than most names, hosts and
//! parameters have bytes; it stays for what is long.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Eight bytes as a number, the first one lowest.
#[derive(Clone, Copy)]
pub(crate) struct Word(u64);

impl Word {
    /// The first eight bytes of a text, if it has as many.
    #[inline]
    pub(crate) fn first(text: &[u8]) -> Option<Word> {
        text.first_chunk()
            .map(|bytes| Word(u64::from_le_bytes(*bytes)))
    }

    /// A flag for each byte that is this one. The lowest flag is exact; one above it may be a neighbour's.
    #[inline]
    pub(crate) fn equal(self, byte: u8) -> Flags {
        let differing = self.0 ^ (ONES * u64::from(byte));
        Flags(differing.wrapping_sub(ONES) & !differing & HIGHS)
    }
}

/// Which bytes of a word are meant.
#[derive(Clone, Copy)]
pub(crate) struct Flags(u64);

impl Flags {
    /// How many bytes come before the first one.
    #[inline]
    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize / 8)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Where the first byte is that both tests, of a word and of a byte, say yes to. They have to mean the same bytes.
#[inline]
pub(crate) fn find_by(
    text: &[u8],
    word_test: impl Fn(Word) -> Flags,
    byte_test: impl Fn(u8) -> bool,
) -> Option<usize> {
    let mut rest = text;
    while let Some(word) = Word::first(rest) {
        if let Some(at) = word_test(word).first() {
            return Some(text.len() - rest.len() + at);
        }
        rest = &rest[8..];
    }
    let at = rest.iter().position(|byte| byte_test(*byte))?;
    Some(text.len() - rest.len() + at)
}

/// Where the byte is first, if it is not far.
#[inline]
pub(crate) fn find(text: &[u8], byte: u8) -> Option<usize> {
    find_by(text, |word| word.equal(byte), |other| other == byte)
}

/// Where one of two bytes is first, if none is far.
#[inline]
pub(crate) fn find2(text: &[u8], a: u8, b: u8) -> Option<usize> {
    find_by(
        text,
        |word| word.equal(a) | word.equal(b),
        |byte| byte == a || byte == b,
    )
}

/// Where the first CR or LF is, which may be some way off.
#[inline]
pub(crate) fn find_line_end(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    while let Some(chunk) = rest.first_chunk::<CHUNK>() {
        // One comparison for both; what else is that low is rare.
        if any(chunk, |byte| byte <= b'\r')
            && let Some(at) = find2(chunk, b'\r', b'\n')
        {
            return Some(text.len() - rest.len() + at);
        }
        rest = &rest[CHUNK..];
    }
    Some(text.len() - rest.len() + find2(rest, b'\r', b'\n')?)
}

/// What the compiler makes a few vector instructions of.
const CHUNK: usize = 16;

/// Whether the test says yes to a byte. It is asked about all, so that it becomes vector instructions.
#[inline]
fn any(chunk: &[u8; CHUNK], test: impl Fn(u8) -> bool) -> bool {
    chunk.iter().fold(false, |found, byte| found | test(*byte))
}

/// Whether the text has a byte that the test says yes to. Comparisons joined by `|` are cheap in the test;
/// tables and branches, `||` among them, are not.
#[inline]
pub(crate) fn has(text: &[u8], test: impl Fn(u8) -> bool) -> bool {
    let mut rest = text;
    while let Some(chunk) = rest.first_chunk() {
        if any(chunk, &test) {
            return true;
        }
        rest = &rest[CHUNK..];
    }
    match text.last_chunk() {
        // Looking at some bytes twice is cheaper than at the rest one by one.
        Some(last) => !rest.is_empty() && any(last, test),
        None => rest.iter().any(|byte| test(*byte)),
    }
}

/// Up to eight bytes of the start of a text as a number, the first one lowest, zeros above them.
#[inline]
pub(crate) const fn prefix(text: &[u8], length: usize) -> u64 {
    if length >= 8
        && let Some(bytes) = text.first_chunk()
    {
        return u64::from_le_bytes(*bytes);
    }
    if let Some(bytes) = text.first_chunk() {
        return u64::from_le_bytes(*bytes) & ((1 << (8 * length)) - 1);
    }
    let mut number = 0;
    let mut at = 0;
    while at < length && at < text.len() {
        number |= (text[at] as u64) << (8 * at);
        at += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_stands_whatever_is_around_it() {
        for length in 0..40 {
            for around in [b'a', b':' - 1, b':' + 1, b':' | 0x80, 0, 0xff] {
                let mut text = vec![around; length];
                assert_eq!(find(&text, b':'), None);
                assert_eq!(
                    find2(&text, b':', b';'),
                    text.iter().position(|b| *b == b';')
                );
                assert!(!has(&text, |byte| byte == b':'));
                for at in (0..length).rev() {
                    text[at] = b':';
                    assert!(has(&text, |byte| byte == b':'));
                    assert_eq!(find(&text, b':'), Some(at), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_line_end_is_found_wherever_it_stands() {
        for length in 0..40 {
            for around in [b'a', b'\t', 0x0e, 0x8d] {
                let mut text = vec![around; length];
                assert_eq!(find_line_end(&text), None);
                for at in (0..length).rev() {
                    text[at] = if at % 2 == 0 { b'\r' } else { b'\n' };
                    assert_eq!(find_line_end(&text), Some(at), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_prefix_is_padded_with_zeros() {
        for (text, length, want) in [
            (&b"Via: x"[..], 3, u64::from_le_bytes(*b"Via\0\0\0\0\0")),
            (b"Via: SIP/2.0", 3, u64::from_le_bytes(*b"Via\0\0\0\0\0")),
            (b"Supported", 9, u64::from_le_bytes(*b"Supporte")),
            (b"Call", 4, u64::from_le_bytes(*b"Call\0\0\0\0")),
            (b"12345678", 8, u64::from_le_bytes(*b"12345678")),
            (b"", 0, 0),
        ] {
            assert_eq!(prefix(text, length), want);
        }
    }
}
