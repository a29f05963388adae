//! Privacy that a caller asked for (RFC 3323, RFC 3325, Remote-Party-ID `privacy=`), towards devices: they get no name and no
//! number. Between servers of the core everything stays as it is: the mark too, which is for them.
//!
//! FreeSWITCH asks by a mark alone and leaves the real name in From, so From is made anonymous before the mark goes
//! (SIGNALLING §9). Nothing has to be remembered of the call: the Record-Route tokens say that its caller is anonymous, so
//! ACK and BYE, which have no mark, are treated alike. A response must have the From of its request (RFC 3261 §8.2.6.2), so
//! an anonymous request is kept in a transaction until then, and [`reveal`] takes From from there. Should the node die in
//! between, the response goes back with the anonymous From: its branch and tags still say whose it is.

use sip::{Edited, Header, Message, NameAddr};

/// RFC 3323 §4.1.1.3.
const ANONYMOUS: &[u8] = b"sip:anonymous@anonymous.invalid";

/// What may not be shown.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Hidden {
    name: bool,
    number: bool,
}

impl Hidden {
    const ALL: Hidden = Hidden {
        name: true,
        number: true,
    };

    fn or(self, other: Hidden) -> Hidden {
        Hidden {
            name: self.name || other.name,
            number: self.number || other.number,
        }
    }
}

/// Makes From anonymous as far as the request asks for it, and takes off what says the same elsewhere, and the mark. True
/// if From was changed.
pub(crate) fn conceal_if_asked(request: &mut Edited) -> bool {
    let hidden = asked(request);
    hide(request, hidden)
}

/// The same for a request of a dialog whose caller asked for it.
pub(crate) fn conceal(request: &mut Edited) {
    hide(request, Hidden::ALL);
}

/// Who answers may ask for privacy, too (RFC 3325 §9.2): the device that called has its own To, and gets no more.
pub(crate) fn conceal_answerer(response: &mut Edited) {
    if asked(response) != Hidden::default() {
        remove_identity(response);
    }
}

/// Puts the From that came into a response to the request whose From was made anonymous.
pub fn reveal(response: &mut Edited, request: &Message) {
    if let Some(from) = request.header(Header::From) {
        response.set(Header::From, from);
    }
}

fn hide(request: &mut Edited, hidden: Hidden) -> bool {
    if hidden == Hidden::default() {
        return false;
    }
    remove_identity(request);
    let Some(from) = request.from() else {
        return false;
    };
    let mut value = match (hidden.name, from.display) {
        (true, _) => b"\"Anonymous\" ".to_vec(),
        (false, b"") => Vec::new(),
        (false, name) => [name, b" "].concat(),
    };
    value.push(b'<');
    value.extend_from_slice(if hidden.number { ANONYMOUS } else { from.uri });
    value.push(b'>');
    value.extend_from_slice(from.params);
    request.set(Header::From, &value);
    true
}

fn remove_identity(message: &mut Edited) {
    for header in [
        Header::RemotePartyId,
        Header::PAssertedIdentity,
        Header::PPreferredIdentity,
        Header::Privacy,
    ] {
        message.remove(header);
    }
}

fn asked(message: &Edited) -> Hidden {
    let by_privacy = message
        .lines(Header::Privacy)
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .any(|level| {
            let level = level.trim_ascii();
            // RFC 3323 §4.2, RFC 3325 §9.3. Of "session" RTPEngine takes care; "none" and "critical" ask for nothing.
            [&b"id"[..], b"user", b"header"]
                .iter()
                .any(|asks| level.eq_ignore_ascii_case(asks))
        });
    let by_mark = message
        .values(Header::RemotePartyId)
        .filter_map(NameAddr::parse)
        .filter_map(|party| party.param(b"privacy").flatten())
        .fold(Hidden::default(), |hidden, privacy| {
            hidden.or(of_mark(privacy))
        });
    if by_privacy { Hidden::ALL } else { by_mark }
}

/// draft-ietf-sip-privacy-04 §5.1: `full`, `name`, `uri` or `off`, perhaps with `-network` behind; several in quotes.
fn of_mark(privacy: &[u8]) -> Hidden {
    privacy
        .split(|byte| matches!(byte, b'"' | b',' | b' '))
        .map(|word| word.split(|byte| *byte == b'-').next().unwrap_or_default())
        .fold(Hidden::default(), |hidden, word| {
            let full = word.eq_ignore_ascii_case(b"full");
            hidden.or(Hidden {
                name: full || word.eq_ignore_ascii_case(b"name"),
                number: full || word.eq_ignore_ascii_case(b"uri"),
            })
        })
}
