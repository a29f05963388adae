//! The cluster's keys: who may sign tokens and nonces, and since when (SIGNALLING §1).
//!
//! A key file has a line for each key, `id key verify-from sign-from`, and `#` comments. Every node verifies a new
//! key before any node signs with it, so a file can be rolled out node by node. Reading the file is the caller's.

use std::fmt;
use std::time::Duration;

use aes::Aes128;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// How long a key that no longer signs still verifies by default: the longest registration (1 h) and 24 h of calls.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(25 * 3600);

/// The keys of a cluster, at most four.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<Key>,
    lifetime: Duration,
}

/// One key with what is derived from it. Its secret is never printed.
#[derive(Clone)]
pub struct Key {
    id: u8,
    verify_from: u64,
    sign_from: u64,
    root: HmacSha256,
    token_mac: HmacSha256,
    token_stream: Aes128,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A line has too few or too many fields.
    #[error("line {line}: expected `id key verify-from sign-from`, found {found} fields")]
    Fields {
        /// Counted from 1.
        line: usize,
        /// How many fields there are.
        found: usize,
    },
    /// The id does not fit into the two bits that a token has for it.
    #[error("line {line}: a key's id is 0, 1, 2 or 3")]
    Id {
        /// Counted from 1.
        line: usize,
    },
    /// Two lines have one id.
    #[error("line {line}: id {id} is already used in line {first}")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The id.
        id: u8,
        /// The line that had it first.
        first: usize,
    },
    /// The key is not 64 hexadecimal digits.
    #[error("line {line}: a key is 64 hexadecimal digits (32 bytes)")]
    Secret {
        /// Counted from 1.
        line: usize,
    },
    /// A time is neither RFC 3339 nor seconds since 1970.
    #[error("line {line}: {field} is a time such as 2026-08-01T00:00:00Z or seconds since 1970")]
    Time {
        /// Counted from 1.
        line: usize,
        /// `verify-from` or `sign-from`.
        field: &'static str,
    },
    /// A node would sign what others do not verify yet.
    #[error("line {line}: sign-from lies before verify-from")]
    Order {
        /// Counted from 1.
        line: usize,
    },
    /// There is no key at all.
    #[error("the file holds no key")]
    Empty,
}

impl Keys {
    /// One key for a node on its own: signs and verifies from the beginning of time, under id 0.
    pub fn single(secret: [u8; 32]) -> Self {
        Self {
            keys: vec![Key::new(0, &secret, 0, 0)],
            lifetime: DEFAULT_LIFETIME,
        }
    }

    /// Reads the text of a key file.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut lines: Vec<usize> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fields = line.split('#').next().unwrap_or_default();
            if fields.trim().is_empty() {
                continue;
            }
            let key = parse_line(index + 1, fields)?;
            if let Some(at) = keys.iter().position(|other| other.id == key.id) {
                return Err(KeyError::Twice {
                    line: index + 1,
                    id: key.id,
                    first: lines[at],
                });
            }
            keys.push(key);
            lines.push(index + 1);
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self {
            keys,
            lifetime: DEFAULT_LIFETIME,
        })
    }

    /// Sets for how long a key verifies after another one began to sign: the longest registration that is granted,
    /// plus 24 h of calls. Too short, and a phone's Path stops working before it registers again.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The key to sign with: of those whose time has come, the one whose time came last. Before the first one's time
    /// (a clock set wrong) it is the first, so that a node at least understands itself.
    pub fn signing(&self, now_unix: u64) -> &Key {
        // There is always a key: `single` makes one and `parse` refuses an empty file.
        self.keys.iter().fold(&self.keys[0], |best, key| {
            let ready = |key: &Key| key.sign_from <= now_unix;
            let better = match (ready(best), ready(key)) {
                (true, true) => key.sign_from > best.sign_from,
                (false, false) => key.sign_from < best.sign_from,
                (_, key_is_ready) => key_is_ready,
            };
            if better { key } else { best }
        })
    }

    /// Keys a hash for a use of its own named by `label`: the same on all nodes of a cluster, and secret. It is made of the key
    /// whose time came first, so that it stays while a new one is rolled in.
    pub fn hash_key(&self, label: &str) -> (u64, u64) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = self.signing(0).mac(label, &[]);
        (
            u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            u64::from_be_bytes([i, j, k, l, m, n, o, p]),
        )
    }

    /// The key that verifies what carries `id`, if it does so already, and still.
    pub fn verifying(&self, id: u8, now_unix: u64) -> Option<&Key> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        let ready = key.verify_from <= now_unix && !self.is_over(key, now_unix);
        (ready || self.signing(now_unix).id == id).then_some(key)
    }

    /// True when `key` was superseded longer ago than anything it signed can live.
    fn is_over(&self, key: &Key, now_unix: u64) -> bool {
        self.keys
            .iter()
            .map(|other| other.sign_from)
            .filter(|from| *from > key.sign_from)
            .min()
            .is_some_and(|from| now_unix > from.saturating_add(self.lifetime.as_secs()))
    }
}

impl Key {
    fn new(id: u8, secret: &[u8; 32], verify_from: u64, sign_from: u64) -> Self {
        let root = keyed(secret);
        let token_mac = keyed(&derive(&root, b"causeway token mac"));
        let stream = derive(&root, b"causeway token stream");
        let mut stream_key = [0; 16];
        stream_key.copy_from_slice(&stream[..16]);
        Self {
            id,
            verify_from,
            sign_from,
            root,
            token_mac,
            token_stream: Aes128::new(&stream_key.into()),
        }
    }

    /// 0 to 3.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// An HMAC-SHA256 over `parts`, each with its length before it, for a use of its own named by `label`: what is
    /// made for one use never passes for another, nor for a token.
    pub fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.root.clone();
        for part in [label.as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn token_mac(&self) -> HmacSha256 {
        self.token_mac.clone()
    }

    pub(crate) fn token_stream(&self) -> Aes128 {
        self.token_stream.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Key {{ id: {}, verify_from: {}, sign_from: {}, secret: [redacted] }}",
            self.id, self.verify_from, self.sign_from
        )
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

/// HMAC pads a key shorter than its block with zeros (RFC 2104 §2); padded here, making one cannot fail.
fn keyed(secret: &[u8; 32]) -> HmacSha256 {
    let mut block = [0; 64];
    block[..32].copy_from_slice(secret);
    HmacSha256::new(&block.into())
}

fn derive(root: &HmacSha256, label: &[u8]) -> [u8; 32] {
    let mut mac = root.clone();
    mac.update(label);
    mac.finalize().into_bytes().into()
}

fn parse_line(line: usize, fields: &str) -> Result<Key, KeyError> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [id, secret, verify_from, sign_from] = fields[..] else {
        return Err(KeyError::Fields {
            line,
            found: fields.len(),
        });
    };
    let id = match id {
        "0" => 0,
        "1" => 1,
        "2" => 2,
        "3" => 3,
        _ => return Err(KeyError::Id { line }),
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(secret, &mut bytes).map_err(|_| KeyError::Secret { line })?;
    let time = |text, field| parse_time(text).ok_or(KeyError::Time { line, field });
    let verify_from = time(verify_from, "verify-from")?;
    let sign_from = time(sign_from, "sign-from")?;
    if sign_from < verify_from {
        return Err(KeyError::Order { line });
    }
    Ok(Key::new(id, &bytes, verify_from, sign_from))
}

/// Seconds since 1970 from digits alone, or from a date and time of RFC 3339 §5.6.
fn parse_time(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() {
        return None;
    }
    let shape = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if shape.iter().any(|(at, mark)| bytes[*at] != *mark) || !matches!(bytes[10], b'T' | b't') {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = &text[from..to];
        (digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match bytes[19] {
        b'.' => {
            bytes[20..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
                + 1
        }
        _ => 0,
    };
    let offset = offset_minutes(&text[19 + fraction..])?;
    // A fraction is cut off: what signs half a second early is no harm.
    let minutes = days_since_1970(year, month, day) * 1440 + hour * 60 + minute - offset;
    u64::try_from(minutes * 60 + second).ok()
}

/// `Z`, or `+02:00` and `-05:30`: minutes east of Greenwich.
fn offset_minutes(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| -> Option<i64> {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days of the Gregorian calendar. Years begin in March here, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const B: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, want) in [
            ("0", Some(0)),
            ("1785542400", Some(1_785_542_400)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-08-01T00:00:00Z", Some(1_785_542_400)),
            ("2026-08-01T02:00:00+02:00", Some(1_785_542_400)),
            ("2026-07-31T18:30:00-05:30", Some(1_785_542_400)),
            ("2024-02-29t23:59:59.25z", Some(1_709_251_199)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2025-02-29T00:00:00Z", None),
            ("2025-13-01T00:00:00Z", None),
            ("2025-01-01T24:00:00Z", None),
            ("2025-01-01T00:00:00", None),
            ("2025-01-01T00:00:00+2:00", None),
            ("2025-01-01 00:00:00Z", None),
            ("2025-01-01T00:00:0éZ", None),
            ("tomorrow", None),
            ("-5", None),
            ("1960-01-01T00:00:00Z", None),
        ] {
            assert_eq!(parse_time(text), want, "{text}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_with_its_number_and_fault() {
        for (text, want) in [
            (String::new(), KeyError::Empty),
            ("# nothing\n\n".into(), KeyError::Empty),
            (format!("0 {A} 0"), KeyError::Fields { line: 1, found: 3 }),
            (format!("#\n4 {A} 0 0"), KeyError::Id { line: 2 }),
            (format!("+1 {A} 0 0"), KeyError::Id { line: 1 }),
            ("1 abcd 0 0".into(), KeyError::Secret { line: 1 }),
            (format!("1 {A}00 0 0"), KeyError::Secret { line: 1 }),
            (
                format!("1 {A} soon 0"),
                KeyError::Time {
                    line: 1,
                    field: "verify-from",
                },
            ),
            (
                format!("1 {A} 0 soon"),
                KeyError::Time {
                    line: 1,
                    field: "sign-from",
                },
            ),
            (format!("1 {A} 9 8"), KeyError::Order { line: 1 }),
            (
                format!("1 {A} 0 0\n\n1 {B} 5 9"),
                KeyError::Twice {
                    line: 3,
                    id: 1,
                    first: 1,
                },
            ),
        ] {
            assert_eq!(Keys::parse(&text).map(|_| ()), Err(want), "{text}");
        }
    }

    #[test]
    fn a_key_verifies_before_it_signs_and_for_a_lifetime_after_the_next_one_signs() {
        let text = format!("# rolled in August\n0 {A} 0 0  # the old one\n1 {B} 1000 2000\n");
        let keys = Keys::parse(&text)
            .unwrap()
            .with_lifetime(Duration::from_secs(500));
        let signs = |now| keys.signing(now).id();
        let verifies = |id, now| keys.verifying(id, now).is_some();
        assert_eq!((signs(0), signs(1999), signs(2000)), (0, 0, 1));
        assert_eq!((verifies(1, 999), verifies(1, 1000)), (false, true));
        assert_eq!((verifies(0, 2500), verifies(0, 2501)), (true, false));
        assert!(!verifies(2, 5000));
        assert!(verifies(1, u64::MAX));
        let early = Keys::parse(&format!("0 {A} 50 90\n1 {B} 10 20")).unwrap();
        assert_eq!(early.signing(5).id(), 1);
        assert!(early.verifying(1, 5).is_some() && early.verifying(0, 5).is_none());
    }

    #[test]
    fn a_key_for_one_use_is_none_for_another() {
        let keys = Keys::single([7; 32]);
        let key = keys.signing(0);
        assert_eq!(key.mac("a", &[b"bc"]), key.mac("a", &[b"bc"]));
        assert_ne!(key.mac("a", &[b"bc"]), key.mac("ab", &[b"c"]));
        assert_ne!(key.mac("a", &[b"b", b"c"]), key.mac("a", &[b"bc"]));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let keys = Keys::parse(&format!("2 {A} 0 0")).unwrap();
        let text = format!("{keys:?} {:?}", keys.signing(0));
        assert!(
            text.contains("[redacted]") && text.contains("id: 2"),
            "{text}"
        );
        assert!(
            !text.contains("0102") && !text.contains("1, 2, 3"),
            "{text}"
        );
    }
}
