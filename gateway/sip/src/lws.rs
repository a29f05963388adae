//! Linear white space (RFC 3261 §25.1, LWS): blanks, tabs and line folds, which may stand at nearly every separator.

use crate::word::has;

/// Whether the byte is a blank, a tab or part of a fold.
#[inline]
pub(crate) fn is_lws(byte: u8) -> bool {
    // One comparison answers for nearly all bytes.
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Cuts white space off both ends.
#[inline]
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    text = trim_start(text);
    while let [rest @ .., last] = text
        && is_lws(*last)
    {
        text = rest;
    }
    text
}

/// Cuts white space off the front.
#[inline]
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    text
}

/// Whether the byte may stand in a token (RFC 3261 §25.1).
#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether the byte may stand in a host name or IPv4 address. The underscore is not in the RFC's host, and is in too many real
/// ones.
#[inline]
pub(crate) fn is_host(byte: u8) -> bool {
    HOST[usize::from(byte)]
}

/// Looked at for nearly every byte of a Via: a table is several times faster than asking.
static TOKEN: [bool; 256] = alphanumeric_and(b"-.!%*_+`'~");
static HOST: [bool; 256] = alphanumeric_and(b"-._");

const fn alphanumeric_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether the text is a token.
pub(crate) fn is_token_text(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token(*byte))
}

/// Splits before the first byte that the test refuses.
#[inline]
pub(crate) fn take_while(text: &[u8], accept: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !accept(*byte))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Reads decimal digits and nothing else.
#[inline]
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    // Nine digits fit whatever they are.
    if text.len() <= 9 {
        let mut sum = 0;
        for byte in text {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            sum = sum * 10 + u32::from(digit);
        }
        return Some(sum);
    }
    text.iter().try_fold(0u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes a header value on one line. A fold becomes one blank, which means the same (RFC 3261 §7.3.1); so does any other CR
/// or LF, because a value that carries a line end would be a header of the sender's choice.
pub(crate) fn push_unfolded(out: &mut Vec<u8>, value: &[u8]) {
    let value = trim(value);
    if !has(value, |byte| (byte == b'\r') | (byte == b'\n')) {
        out.extend_from_slice(value);
        return;
    }
    let mut rest = value;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let mut before = &rest[..at];
        while let [shorter @ .., b' ' | b'\t'] = before {
            before = shorter;
        }
        out.extend_from_slice(before);
        out.push(b' ');
        rest = trim_start(&rest[at..]);
    }
    out.extend_from_slice(rest);
}

/// Writes a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        // A remainder of ten fits a byte.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_inside_a_value_becomes_a_blank() {
        for (value, want) in [
            (&b"plain value "[..], &b"plain value"[..]),
            (b"folded\r\n value", b"folded value"),
            (b"folded \r\n\t\r\n value", b"folded value"),
            (b"x\r\nInjected: y", b"x Injected: y"),
            (b"\r\n", b""),
        ] {
            let mut out = Vec::new();
            push_unfolded(&mut out, value);
            assert_eq!(out, want);
        }
    }

    #[test]
    fn numbers_are_decimal_and_bounded() {
        for (text, want) in [
            (&b"0"[..], Some(0)),
            (b"0068", Some(68)),
            (b"4294967295", Some(u32::MAX)),
            (b"4294967296", None),
            (b"-1", None),
            (b"", None),
            (b"1 2", None),
        ] {
            assert_eq!(number(text), want);
        }
        for value in [0, 7, 10, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
