//! Keys of a telephone that come by INFO (RFC 6086 before it had packages): `application/dtmf-relay` (`Signal=5`, `Duration=160`) and
//! `application/dtmf` (the key alone), for a leg that takes telephone events instead (RFC 4733).

use sip::{Header, Method};

use super::ends::{Legs, takes_events};
use crate::decision::{Context, Forward};
use crate::token::Media;

/// A key that RTPEngine is to play in place of an INFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// The media of the dialog.
    pub media: Media,
    /// `0` to `9`, `*`, `#`, `A` to `D`.
    pub key: char,
    /// For how long, in milliseconds; what the INFO says within what RTPEngine plays, 100 to 5000.
    pub duration: Option<u16>,
}

/// The key in an INFO for a leg that takes events; `None` for all else, which goes on as it is.
pub fn key_for(forward: &Forward, context: &Context<'_>) -> Option<Key> {
    if forward.request.method() != Method::Info || !context.site.policies.speak() {
        return None;
    }
    let media = forward.media.filter(|media| media.is_some())?;
    let request = forward.request.original();
    let kind = request.header(Header::ContentType)?;
    let (key, duration) = read(kind, request.body())?;
    takes_events(&Legs::of(forward, context).to).then_some(Key {
        media,
        key,
        duration,
    })
}

fn read(kind: &[u8], body: &[u8]) -> Option<(char, Option<u16>)> {
    let kind = kind.split(|byte| *byte == b';').next()?.trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/dtmf") {
        return Some((key(body)?, None));
    }
    if !kind.eq_ignore_ascii_case(b"application/dtmf-relay") {
        return None;
    }
    let value = |name: &[u8]| {
        body.split(|byte| *byte == b'\n').find_map(|line| {
            let mut parts = line.splitn(2, |byte| *byte == b'=');
            let is_it = parts.next()?.trim_ascii().eq_ignore_ascii_case(name);
            parts.next().filter(|_| is_it)
        })
    };
    let duration = value(b"Duration")
        .and_then(|value| std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok())
        .map(|milliseconds: u16| milliseconds.clamp(100, 5000));
    Some((key(value(b"Signal")?)?, duration))
}

/// Some phones number `*` and `#` as RFC 4733 §3.2 does.
fn key(text: &[u8]) -> Option<char> {
    match text.trim_ascii() {
        b"10" => Some('*'),
        b"11" => Some('#'),
        [one] => match one.to_ascii_uppercase() {
            key @ (b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D') => Some(char::from(key)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_both_kinds_of_info() {
        let relay: &[u8] = b"application/dtmf-relay";
        for (why, kind, body, want) in [
            (
                "as Cisco has it",
                relay,
                &b"Signal=5\r\nDuration=160\r\n"[..],
                Some(('5', Some(160))),
            ),
            (
                "with blanks",
                relay,
                b"Signal= #\r\nDuration= 250",
                Some(('#', Some(250))),
            ),
            ("no duration", relay, b"Signal=*\r\n", Some(('*', None))),
            (
                "too short for RTPEngine",
                relay,
                b"signal=a\r\nduration=20\r\n",
                Some(('A', Some(100))),
            ),
            (
                "by number",
                relay,
                b"Signal=11\r\nDuration=100\r\n",
                Some(('#', Some(100))),
            ),
            (
                "the key alone",
                b"application/DTMF; charset=utf-8",
                b"7\r\n",
                Some(('7', None)),
            ),
            ("flash is no key", relay, b"Signal=16\r\n", None),
            ("two keys are none", b"application/dtmf", b"55", None),
            ("nothing", relay, b"", None),
            (
                "of another kind",
                b"application/media_control+xml",
                b"5",
                None,
            ),
            (
                "a duration that is none",
                relay,
                b"Signal=1\r\nDuration=99999999\r\n",
                Some(('1', None)),
            ),
        ] {
            assert_eq!(read(kind, body), want, "{why}");
        }
    }
}
