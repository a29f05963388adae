//! The names of headers: one table with name, compact form (RFC 3261 §7.3.3) and whether values may be joined by commas
//! (§7.3.1). Names compare without case. A header that is not in the table stays bytes.

use std::hash::{Hash, Hasher};

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
const FREE: u8 = 0xff;

const fn hash(name: &[u8]) -> u8 {
    // Setting 0x20 makes letters lower case, and does no harm to others as long as both sides do it. With these factors no two
    // names of the table share a slot; a new one that does costs a step, not correctness.
    let first = (name[0] | 0x20) as usize * 9;
    let middle = (name[name.len() / 2] | 0x20) as usize * 17;
    let last = (name[name.len() - 1] | 0x20) as usize * 67;
    (name.len().wrapping_mul(213) ^ first ^ middle ^ last) as u8
}

const fn slots() -> [u8; 256] {
    let mut slots = [FREE; 256];
    let mut row = 0;
    while row < TABLE.len() {
        insert(&mut slots, TABLE[row].name.as_bytes(), row as u8);
        if !TABLE[row].compact.is_empty() {
            insert(&mut slots, TABLE[row].compact.as_bytes(), row as u8);
        }
        row += 1;
    }
    slots
}

const fn insert(slots: &mut [u8; 256], name: &[u8], row: u8) {
    let mut at = hash(name);
    while slots[at as usize] != FREE {
        at = at.wrapping_add(1);
    }
    slots[at as usize] = row;
}

impl Id {
    /// Not in the table.
    pub(crate) const OTHER: Id = Id(FREE);

    /// Looks a name up, long or compact.
    pub(crate) fn of(name: &[u8]) -> Id {
        if name.is_empty() {
            return Id::OTHER;
        }
        let mut at = hash(name);
        loop {
            let row = SLOTS[usize::from(at)];
            if row == FREE {
                return Id::OTHER;
            }
            let Row {
                name: long,
                compact,
                ..
            } = TABLE[usize::from(row)];
            // Most senders write the name as the RFC does: comparing words first is several times faster.
            if name == long.as_bytes()
                || name.eq_ignore_ascii_case(long.as_bytes())
                || name.eq_ignore_ascii_case(compact.as_bytes())
            {
                return Id(row);
            }
            at = at.wrapping_add(1);
        }
    }

    /// One bit for a header in the table, none for others.
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

// A bit for each row has to fit, and a row must not be taken for a free slot.
const _: () = assert!(TABLE.len() <= 64);

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
