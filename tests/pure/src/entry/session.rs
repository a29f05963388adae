//! The line model of session descriptions.

use proxy::media::lines::{reject_surplus, slim_sdp};
use sdp::{Direction, Profile, Session, Slim, WebRtc, legal};

/// Reads a body, or an offer with its answer behind it: unedited it is the same bytes, edited it can be read again.
pub fn session(data: &[u8]) {
    let _ = WebRtc::read(data).map(|webrtc| {
        webrtc
            .media
            .iter()
            .map(|media| media.missing().len())
            .sum::<usize>()
    });
    let _ = slim_sdp(data, Slim::Implied);
    let second = data
        .windows(5)
        .skip(1)
        .position(|window| window.starts_with(b"v=0") && matches!(window[3], b'\r' | b'\n'))
        .map_or(data.len(), |at| at + 1);
    let (offer, answer) = data.split_at(second);
    let Ok(offer) = Session::parse(offer) else {
        return;
    };
    alone(&offer, &data[..second]);
    if let Ok(answer) = Session::parse(answer) {
        alone(&answer, &data[second..]);
        for violation in legal::violations(&offer, &answer) {
            assert!(!violation.to_string().is_empty());
        }
        let _ = legal::may_follow(&offer, &answer);
        edited(answer, |answer| {
            reject_surplus(&offer, answer);
        });
    }
}

fn alone(session: &Session<'_>, bytes: &[u8]) {
    assert_eq!(session.to_bytes(), bytes, "nobody edited it");
    assert_eq!(session.len(), bytes.len());
    let _ = (Profile::of(session), session.is_on_hold(), session.origin());
    for index in 0..session.media().len() {
        let _ = (
            session.direction(index),
            session.hold(index),
            session.connection_of(index),
        );
        let media = &session.media()[index];
        let _ = (media.is_rtp(), media.formats().count(), media.kind());
        let _ = Profile::of_media(session, index);
    }
    // RFC 3264 §6: an answer that rejects every stream is always one.
    let mut rejecting = session.clone();
    rejecting
        .media_mut()
        .iter_mut()
        .for_each(sdp::Media::reject);
    let wrong = legal::violations(session, &rejecting);
    assert_eq!(wrong, [], "rejecting is legal");
    edited(session.clone(), |session| {
        session.media_mut().iter_mut().for_each(sdp::Media::reject)
    });
    edited(session.clone(), |session| {
        session.set_origin("- 1 2\r\na=x IN IP4 192.0.2.1");
        session.set_session_name("\n");
        session.head_mut().set_attribute("x", Some("y\r\nm=z"));
    });
    edited(session.clone(), |session| {
        for index in 0..session.media().len() {
            session.set_direction(index, Direction::RecvOnly);
            assert_eq!(session.direction(index), Some(Direction::RecvOnly));
        }
    });
    for how in [Slim::Foreign, Slim::Implied] {
        let mut slim = session.clone();
        let gone = slim.slim(how);
        assert_eq!(slim.len() + gone, session.len());
        assert_eq!(slim.slim(how), 0, "once is enough");
        edited(slim, |_| ());
    }
}

/// Edits keep the number of m= lines, and what they write is what the next one reads.
fn edited<'a>(mut session: Session<'a>, change: impl FnOnce(&mut Session<'a>)) {
    let media = session.media().len();
    change(&mut session);
    assert_eq!(session.media().len(), media);
    let bytes = session.to_bytes();
    assert_eq!(bytes.len(), session.len());
    let limits = sdp::Limits {
        bytes: usize::MAX,
        lines: usize::MAX,
        media: usize::MAX,
    };
    let again = Session::parse_within(&bytes, limits).expect("what we write is a session");
    assert_eq!(again, session);
}
