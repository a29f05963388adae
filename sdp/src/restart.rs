//! ICE restart and new keys (RFC 8445 §2.4, RFC 8842 §5.5): a description whose transport begins anew, and the same description
//! as if it did not.
//!
//! A relay that has told its media server of new ICE credentials cannot take that back: the server has drawn new ones of its own,
//! which nobody learns if the offer is refused. So the offer is first shown with the transport of before
//! ([`unrestarted`]), and as it is only once it is accepted ([`restarted`]).

use crate::line::Line;
use crate::media::Media;
use crate::section::Section;
use crate::session::Session;

/// What names a transport, apart from its default address. Looked for in the m= section, then in the session's lines.
const TRANSPORT: [&str; 6] = [
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "fingerprint",
    "tls-id",
    "candidate",
];
/// What says by itself that a transport begins anew.
const BEGINS: [&str; 4] = ["ice-ufrag", "ice-pwd", "fingerprint", "tls-id"];

/// The m= lines of `new` whose transport is another one than in `last`, by ICE or DTLS: there a restart was asked for.
fn begins(last: &Session<'_>, new: &Session<'_>) -> Vec<usize> {
    let both = last.media().len().min(new.media().len());
    (0..both)
        .filter(|index| {
            let of = |session: &Session<'_>, name| all(session, *index, name);
            let is_up = |session: &Session<'_>| {
                !session.media()[*index].is_rejected()
                    && ["ice-ufrag", "fingerprint"]
                        .iter()
                        .any(|name| session.attribute_of(*index, name).is_some())
            };
            is_up(last) && is_up(new) && BEGINS.iter().any(|name| of(last, name) != of(new, name))
        })
        .collect()
}

/// All values of an attribute as they hold for a media section.
fn all(session: &Session<'_>, index: usize, name: &str) -> Vec<Vec<u8>> {
    let own: Vec<_> = session.media()[index]
        .section()
        .attributes(name)
        .map(<[u8]>::to_vec)
        .collect();
    if own.is_empty() {
        session
            .head()
            .attributes(name)
            .map(<[u8]>::to_vec)
            .collect()
    } else {
        own
    }
}

/// `new` with the transports of `last`, or `None` if none of them begins anew. Everything else (codecs, directions, more m=
/// lines) is what `new` says.
///
/// ```
/// use sdp::{Session, restart};
/// let sdp = |ufrag: &str, port: u16, direction: &str| format!(
///     "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio {port} UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 192.0.2.1\r\n\
///      a={direction}\r\na=ice-ufrag:{ufrag}\r\n");
/// let (last, new) = (sdp("abcd", 4000, "sendrecv"), sdp("efgh", 5000, "sendonly"));
/// let (last, new) = (Session::parse(last.as_bytes())?, Session::parse(new.as_bytes())?);
/// let shown = restart::unrestarted(&last, &new).expect("it restarts");
/// assert_eq!(shown.to_bytes(), sdp("abcd", 4000, "sendonly").as_bytes());
/// assert!(restart::unrestarted(&last, &shown).is_none());
/// # Ok::<(), sdp::Error>(())
/// ```
pub fn unrestarted<'a>(last: &Session<'_>, new: &Session<'a>) -> Option<Session<'a>> {
    let begins = begins(last, new);
    if begins.is_empty() {
        return None;
    }
    let mut shown = own_transports(new);
    for index in begins {
        keep_address(last, &mut shown, index);
        let section = shown.media_mut()[index].section_mut();
        for name in TRANSPORT {
            section.remove_attribute(name);
            all(last, index, name)
                .iter()
                .for_each(|value| add(section, name, value));
        }
    }
    Some(shown)
}

/// `new` as it is, but with the default addresses of `last` where a transport begins anew: with ICE they are only where media goes
/// until a pair is chosen, and a server that is told of another one takes another port towards the *other* side, which nobody
/// would tell that side. `None` if no transport begins anew.
pub fn restarted<'a>(last: &Session<'_>, new: &Session<'a>) -> Option<Session<'a>> {
    let begins = begins(last, new);
    if begins.is_empty() {
        return None;
    }
    let mut shown = new.clone();
    for index in begins {
        let by_ice = shown.attribute_of(index, "ice-ufrag").is_some();
        if by_ice {
            keep_address(last, &mut shown, index);
        }
    }
    Some(shown)
}

/// The same with what the session says of transports written into each m= section.
fn own_transports<'a>(new: &Session<'a>) -> Session<'a> {
    let mut shown = new.clone();
    for index in 0..new.media().len() {
        for name in TRANSPORT {
            let section = shown.media_mut()[index].section_mut();
            if section.has_attribute(name) {
                continue;
            }
            new.head()
                .attributes(name)
                .for_each(|value| add(section, name, value));
        }
    }
    for name in TRANSPORT {
        shown.head_mut().remove_attribute(name);
    }
    shown
}

/// None of these is anything but ASCII.
fn add(section: &mut Section<'_>, name: &str, value: &[u8]) {
    if let Ok(value) = std::str::from_utf8(value) {
        section.add_attribute(name, Some(value));
    }
}

/// Gives an m= line the port and the c= line that it had.
fn keep_address(last: &Session<'_>, shown: &mut Session<'_>, index: usize) {
    let port = last.media()[index].port();
    let connection = last
        .connection_of(index)
        .and_then(|value| std::str::from_utf8(value).ok());
    let media: &mut Media<'_> = &mut shown.media_mut()[index];
    media.set_port(port);
    let section = media.section_mut();
    // It names the port of before, and with rtcp-mux nothing at all.
    section.remove_attribute("rtcp");
    if let Some(connection) = connection
        && !section.set_value(b'c', connection)
    {
        let at = 1.min(section.lines().len());
        let end = section
            .lines()
            .first()
            .map_or(crate::LineEnd::CrLf, Line::end);
        let text = format!("c={connection}").into_bytes();
        section.lines_mut().insert(at, Line::new(text, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

    fn read(text: &str) -> Session<'_> {
        Session::parse(text.as_bytes()).expect("a session")
    }

    #[test]
    fn only_what_begins_anew_is_shown_as_before() {
        let line = |ufrag: &str, print: &str, port: u16| {
            format!(
                "m=audio {port} UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 192.0.2.{}\r\na=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n\
                 a=ice-ufrag:{ufrag}\r\na=ice-pwd:{ufrag}{ufrag}\r\na=fingerprint:sha-256 {print}\r\na=setup:actpass\r\n",
                port / 1000
            )
        };
        let plain = "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n";
        let rejected = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:z\r\n".to_owned();
        for (why, last, new, begins) in [
            (
                "the same again",
                line("a", "A", 4000),
                line("a", "A", 4000),
                false,
            ),
            (
                "ICE restart",
                line("a", "A", 4000),
                line("b", "A", 4000),
                true,
            ),
            (
                "and another port",
                line("a", "A", 4000),
                line("b", "A", 5000),
                true,
            ),
            (
                "another key",
                line("a", "A", 4000),
                line("a", "B", 4000),
                true,
            ),
            (
                "another port alone: trickled, or a plain move",
                line("a", "A", 4000),
                line("a", "A", 5000),
                false,
            ),
            (
                "plain RTP has neither",
                plain.to_owned(),
                plain.replace("4000", "5000"),
                false,
            ),
            (
                "from plain to WebRTC: nothing to go back to",
                plain.to_owned(),
                line("a", "A", 4000),
                false,
            ),
            (
                "a line that was rejected comes to life",
                rejected,
                line("b", "A", 4000),
                false,
            ),
        ] {
            let (last, new) = (format!("{HEAD}{last}"), format!("{HEAD}{new}"));
            let shown = unrestarted(&read(&last), &read(&new)).map(Session::into_owned);
            assert_eq!(shown.is_some(), begins, "{why}");
            let Some(shown) = shown else { continue };
            assert!(unrestarted(&read(&last), &shown).is_none(), "{why}");
            assert_eq!(shown.media()[0].port(), 4000, "{why}");
            assert_eq!(
                shown.connection_of(0),
                read(&last).connection_of(0),
                "{why}"
            );
            assert_eq!(
                all(&shown, 0, "candidate"),
                all(&read(&last), 0, "candidate"),
                "{why}"
            );
            let taken = restarted(&read(&last), &read(&new))
                .map(Session::into_owned)
                .expect(why);
            assert_eq!(taken.media()[0].port(), 4000, "{why}");
            assert_eq!(
                all(&taken, 0, "ice-ufrag"),
                all(&read(&new), 0, "ice-ufrag"),
                "{why}"
            );
            assert_eq!(
                all(&taken, 0, "candidate"),
                all(&read(&new), 0, "candidate"),
                "{why}"
            );
        }
    }

    #[test]
    fn what_the_session_says_for_all_lines_counts_as_theirs() {
        let of = |ufrag: &str| {
            format!(
                "{HEAD}c=IN IP4 192.0.2.1\r\na=ice-ufrag:{ufrag}\r\na=fingerprint:sha-256 A\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n"
            )
        };
        let (last, more) = (
            of("a"),
            format!("{}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", of("b")),
        );
        let shown = unrestarted(&read(&last), &read(&more))
            .expect("it restarts")
            .into_owned();
        assert_eq!(all(&shown, 0, "ice-ufrag"), [b"a".to_vec()]);
        assert_eq!(
            all(&shown, 1, "ice-ufrag"),
            [b"b".to_vec()],
            "a line that is new has the new one"
        );
        assert_eq!(shown.connection_of(0), Some(&b"IN IP4 192.0.2.1"[..]));
        assert_eq!(shown.media().len(), 2);
    }
}
