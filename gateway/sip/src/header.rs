//! The names of headers: one table with name, compact form (RFC 3261 §7.3.3) and whether values may be joined by commas
//! (§7.3.1). Names compare without case. A header that is not in the table stays bytes.

use std::hash::{Hash, Hasher};

use crate::word::prefix;

struct Row {
    name: &'static str,
    compact: &'static str,
    list: bool,
}

macro_rules! headers {
    ($($variant:ident $name:literal $compact:literal $rule:ident)*) => {
        /// The name of a header.
        #[derive(Clone, Copy, Debug)]
        pub enum Header<'a> {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other, as it was written; compares without case.
            Other(&'a [u8]),
        }

        #[repr(u8)]
        enum Row8 { $($variant),* }

        const TABLE: &[Row] = &[$(Row { name: $name, compact: $compact, list: headers!(@$rule) }),*];
        const HEADERS: &[Header<'static>] = &[$(Header::$variant),*];

        impl Header<'_> {
            #[inline]
            pub(crate) fn id(self) -> Id {
                match self {
                    $(Self::$variant => Id(Row8::$variant as u8),)*
                    Self::Other(name) => Id::of(name),
                }
            }

            /// The bit of a header that is written as one of the table; none for `Other`.
            pub(crate) const fn known_bit(self) -> u64 {
                match self {
                    $(Self::$variant => 1 << Row8::$variant as u8,)*
                    Self::Other(_) => 0,
                }
            }
        }
    };
    (@list) => { true };
    (@single) => { false };
}

headers! {
    Via "Via" "v" list
    From "From" "f" single
    To "To" "t" single
    CallId "Call-ID" "i" single
    CSeq "CSeq" "" single
    Contact "Contact" "m" list
    MaxForwards "Max-Forwards" "" single
    Route "Route" "" list
    RecordRoute "Record-Route" "" list
    Path "Path" "" list
    ServiceRoute "Service-Route" "" list
    ContentLength "Content-Length" "l" single
    ContentType "Content-Type" "c" single
    ContentDisposition "Content-Disposition" "" single
    ContentEncoding "Content-Encoding" "e" list
    Supported "Supported" "k" list
    Require "Require" "" list
    ProxyRequire "Proxy-Require" "" list
    Unsupported "Unsupported" "" list
    Allow "Allow" "" list
    AllowEvents "Allow-Events" "u" list
    Event "Event" "o" single
    SubscriptionState "Subscription-State" "" single
    Expires "Expires" "" single
    MinExpires "Min-Expires" "" single
    Authorization "Authorization" "" single
    ProxyAuthorization "Proxy-Authorization" "" single
    WwwAuthenticate "WWW-Authenticate" "" single
    ProxyAuthenticate "Proxy-Authenticate" "" single
    AuthenticationInfo "Authentication-Info" "" single
    UserAgent "User-Agent" "" single
    Server "Server" "" single
    ReferTo "Refer-To" "r" single
    ReferredBy "Referred-By" "b" single
    Replaces "Replaces" "" single
    Reason "Reason" "" list
    Warning "Warning" "" list
    Date "Date" "" single
    Timestamp "Timestamp" "" single
    RetryAfter "Retry-After" "" single
    SessionExpires "Session-Expires" "x" single
    MinSe "Min-SE" "" single
    RAck "RAck" "" single
    RSeq "RSeq" "" single
    PAssertedIdentity "P-Asserted-Identity" "" list
    PPreferredIdentity "P-Preferred-Identity" "" list
    RemotePartyId "Remote-Party-ID" "" list
    Privacy "Privacy" "" single
    Diversion "Diversion" "" list
    HistoryInfo "History-Info" "" list
    FlowTimer "Flow-Timer" "" single
    MaxBreadth "Max-Breadth" "" single
    CallInfo "Call-Info" "" list
    AlertInfo "Alert-Info" "" list
    Accept "Accept" "" list
    AcceptEncoding "Accept-Encoding" "" list
    AcceptLanguage "Accept-Language" "" list
    Subject "Subject" "s" single
}

/// The row of a header in the table, or [`Id::OTHER`]: what the index of a message keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Id(u8);

/// Where a name may be found in the table: hash, then on to the next slot while another name is there. Made at compile time.
const SLOTS: [u8; 256] = slots();
/// The rows of the compact forms, by letter.
const LETTERS: [u8; 32] = letters();
/// The long names as numbers: comparing those is several times faster than comparing bytes.
const WORDS: [Words; TABLE.len()] = words();
const FREE: u8 = 0xff;

/// Hashes a name by its length and its first eight bytes, given as [`prefix`] does.
const fn hash(first: u64, length: usize) -> usize {
    // Without 0x20 letters are upper case, and others do no harm as long as both sides leave it out. With this factor no two
    // names of the table share a slot; a new one that does costs a step, not correctness.
    let upper = first & 0xdfdf_dfdf_dfdf_dfdf;
    (upper
        .wrapping_add(length as u64)
        .wrapping_mul(0x14be_a560_1824_d4bd)
        >> 56) as usize
}

const fn slots() -> [u8; 256] {
    let mut slots = [FREE; 256];
    let mut row = 0;
    while row < TABLE.len() {
        let name = TABLE[row].name.as_bytes();
        let mut at = hash(prefix(name, name.len()), name.len());
        while slots[at] != FREE {
            at = (at + 1) % slots.len();
        }
        slots[at] = row as u8;
        row += 1;
    }
    slots
}

const fn letters() -> [u8; 32] {
    let mut letters = [FREE; 32];
    let mut row = 0;
    while row < TABLE.len() {
        if let [letter] = TABLE[row].compact.as_bytes() {
            letters[(*letter & 0x1f) as usize] = row as u8;
        }
        row += 1;
    }
    letters
}

/// A name of 8 to 24 bytes: the first eight, the second eight, the last eight, which overlap in most. What is shorter is in
/// the first.
struct Words {
    length: usize,
    first: u64,
    middle: u64,
    last: u64,
}

const fn words() -> [Words; TABLE.len()] {
    let mut words = [const {
        Words {
            length: 0,
            first: 0,
            middle: 0,
            last: 0,
        }
    }; TABLE.len()];
    let mut row = 0;
    while row < TABLE.len() {
        let name = TABLE[row].name.as_bytes();
        words[row].length = name.len();
        words[row].first = prefix(name, name.len());
        if name.len() > 8 {
            words[row].last = prefix(name.split_at(name.len() - 8).1, 8);
        }
        if name.len() > 16 {
            words[row].middle = prefix(name.split_at(8).1, 8);
        }
        row += 1;
    }
    words
}

impl Words {
    /// Whether this is the name, whose first eight bytes are known.
    #[inline]
    fn are(&self, first: u64, name: &[u8]) -> bool {
        let length = name.len();
        self.first == first
            && self.length == length
            && (length <= 8 || self.last == prefix(&name[length - 8..], 8))
            && (length <= 16 || self.middle == prefix(&name[8..], 8))
    }
}

impl Id {
    /// Not in the table.
    pub(crate) const OTHER: Id = Id(FREE);

    /// Looks a name up, long or compact.
    pub(crate) fn of(name: &[u8]) -> Id {
        Self::of_start(name, name.len())
    }

    /// Looks up the name that the first `length` bytes are. What stands behind them saves copying a short name to compare it.
    #[inline]
    pub(crate) fn of_start(text: &[u8], length: usize) -> Id {
        if length <= 1 {
            return match text {
                [letter, ..] if length == 1 && letter.is_ascii_alphabetic() => {
                    Id(LETTERS[usize::from(letter & 0x1f)])
                }
                _ => Id::OTHER,
            };
        }
        let first = prefix(text, length);
        let at = hash(first, length);
        let row = SLOTS[at];
        let (Some(words), Some(name)) = (WORDS.get(usize::from(row)), text.get(..length)) else {
            return Id::OTHER;
        };
        // Most senders write the name as the RFC does.
        if words.are(first, name) {
            return Id(row);
        }
        Self::spelt_otherwise(name, at)
    }

    /// Looks a long name up from this slot on, in any case.
    #[cold]
    fn spelt_otherwise(name: &[u8], hash: usize) -> Id {
        let mut at = hash;
        while let Some(known) = TABLE.get(usize::from(SLOTS[at])) {
            if name.eq_ignore_ascii_case(known.name.as_bytes()) {
                return Id(SLOTS[at]);
            }
            at = (at + 1) % SLOTS.len();
        }
        Id::OTHER
    }

    /// The row, for those that keep something for each of the first few.
    pub(crate) fn row(self) -> usize {
        usize::from(self.0)
    }

    /// One bit for a header in the table, none for others.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        1u64.checked_shl(u32::from(self.0)).unwrap_or(0)
    }

    /// The compact form, empty where there is none.
    pub(crate) fn compact(self) -> &'static [u8] {
        TABLE
            .get(usize::from(self.0))
            .map_or(b"", |row| row.compact.as_bytes())
    }

    /// The header of this row, or `Other` with the name as it was written.
    pub(crate) fn header(self, name: &[u8]) -> Header<'_> {
        HEADERS
            .get(usize::from(self.0))
            .copied()
            .unwrap_or(Header::Other(name))
    }
}

// A bit for each row has to fit, a row must not be taken for a free slot, and a name has to fit three words.
const _: () = {
    assert!(TABLE.len() <= 64);
    let mut row = 0;
    while row < TABLE.len() {
        assert!(TABLE[row].name.len() > 1 && TABLE[row].name.len() <= 24);
        assert!(TABLE[row].compact.len() <= 1);
        row += 1;
    }
};

impl<'a> Header<'a> {
    /// Its name as its RFC writes it, or as the sender did if it is not in the table.
    pub fn name(self) -> &'a [u8] {
        match self.id() {
            Id::OTHER => match self {
                Self::Other(name) => name,
                _ => b"",
            },
            id => TABLE[usize::from(id.0)].name.as_bytes(),
        }
    }

    /// Its compact form, if it has one.
    pub fn compact(self) -> Option<&'static [u8]> {
        Some(self.id().compact()).filter(|name| !name.is_empty())
    }

    /// Whether several values may stand in one line, joined by commas. False where nobody has said so: `Date`, credentials
    /// and challenges have commas inside, and an unknown header may.
    pub fn is_list(self) -> bool {
        TABLE
            .get(usize::from(self.id().0))
            .is_some_and(|row| row.list)
    }
}

impl<'a> From<&'a [u8]> for Header<'a> {
    fn from(name: &'a [u8]) -> Self {
        Id::of(name).header(name)
    }
}

impl PartialEq for Header<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
            && (self.id() != Id::OTHER || self.name().eq_ignore_ascii_case(other.name()))
    }
}

impl Eq for Header<'_> {}

impl Hash for Header<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.name() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl std::fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        String::from_utf8_lossy(self.name()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_compact_form_is_found_in_any_case() {
        for (row, header) in TABLE.iter().zip(HEADERS) {
            for name in [row.name, row.compact]
                .into_iter()
                .filter(|name| !name.is_empty())
            {
                for written in [name.to_owned(), name.to_uppercase(), name.to_lowercase()] {
                    let found = Header::from(written.as_bytes());
                    assert!(!matches!(found, Header::Other(_)), "{written}");
                    assert_eq!(found, *header, "{written}");
                    assert_eq!(found.name(), row.name.as_bytes());
                }
            }
        }
    }

    #[test]
    fn an_unknown_name_stays_as_it_was_written_and_compares_without_case() {
        let header = Header::from(&b"X-FS-Support"[..]);
        assert_eq!(header.name(), b"X-FS-Support");
        assert_eq!(header, Header::Other(b"x-fs-support"));
        assert_ne!(header, Header::Other(b"x-fs-supporT2"));
        assert_eq!(
            Header::Other(b"via"),
            Header::Via,
            "a known name is known however it is spelt"
        );
        assert_eq!(Header::from(&b""[..]).name(), b"");
    }

    #[test]
    fn commas_join_values_only_where_the_rfc_says_so() {
        for header in [
            Header::Via,
            Header::Contact,
            Header::Route,
            Header::Path,
            Header::Supported,
        ] {
            assert!(header.is_list());
        }
        for header in [
            Header::Date,
            Header::Authorization,
            Header::WwwAuthenticate,
            Header::Subject,
            Header::Other(b"X"),
        ] {
            assert!(!header.is_list());
        }
    }
}
