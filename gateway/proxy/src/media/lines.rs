//! m= lines after RTPEngine (MEDIA.md §7), and what of an SDP the MTU may cost (SIGNALLING §8 step 5).
//!
//! No line is ever dropped, so nothing has to be remembered: a line that the receiver shall not take keeps its place with port 0.

use sdp::{Media, Profile, Session, Slim};

/// Rejects, in an offer that RTPEngine has rewritten, the lines that its receiver must not take, and says how many:
///
/// - the second of two alternatives. FreeSWITCH's optional SRTP is `RTP/SAVP` beside `RTP/AVP` on one port; RTPEngine makes two plain
///   lines of them with two ports, and a phone would answer both.
/// - DTLS beside a plain line: a browser has added video to a call of which only the flow is known
///   ([`Towards::Settled`](super::Towards::Settled)), so the new line came through in the browser's kind.
/// - what carries no RTP. RTPEngine passes the addresses of some of it on as they are (MSRP), ends the DTLS of none (a data channel),
///   and gives a fax ICE that no fax knows. Only T.38 between two plain legs is carried as it is.
///
/// `offer` is what the offerer sent.
pub fn reject_surplus(offer: &Session<'_>, rewritten: &mut Session<'_>) -> usize {
    let plain = Profile::of(rewritten).is_some_and(|profile| !by_dtls(profile));
    let surplus: Vec<usize> = (0..rewritten.media().len())
        .filter(|index| !rewritten.media()[*index].is_rejected())
        .filter(|index| {
            let foreign = plain && Profile::of_media(rewritten, *index).is_some_and(by_dtls);
            let line = &rewritten.media()[*index];
            let is_fax = plain && line.kind() == b"image" && line.protocol() == b"udptl";
            foreign || !(line.is_rtp() || is_fax) || is_alternative(offer, *index)
        })
        .collect();
    for index in &surplus {
        rewritten.media_mut()[*index].reject();
    }
    surplus.len()
}

/// Takes everything but the m= line and its mid from lines that are rejected (RFC 3264 §6 lets nobody read it), and says how much that
/// was: RTPEngine copies into those that it does not know the address which the session has for all.
pub fn clear_rejected(session: &mut Session<'_>) -> usize {
    let rejected = session.media_mut().iter_mut();
    rejected
        .filter(|line| line.is_rejected())
        .map(|line| {
            let section = line.section_mut();
            section.remove_lines(|line| !line.is_attribute("mid"))
        })
        .sum()
}

fn by_dtls(profile: Profile) -> bool {
    matches!(profile, Profile::WebRtc | Profile::DtlsSrtp)
}

/// Whether a line stands for the same stream as one before it: same kind and port, another protocol. In a bundle all lines have one
/// port, but one protocol too.
fn is_alternative(offer: &Session<'_>, index: usize) -> bool {
    let Some(line) = offer
        .media()
        .get(index)
        .filter(|line| line.is_rtp() && line.port() != 0)
    else {
        return false;
    };
    let same = |other: &Media<'_>| {
        other.kind() == line.kind()
            && other.port() == line.port()
            && other.protocol() != line.protocol()
    };
    offer.media()[..index].iter().any(same)
}

/// The SDP without what a plain phone does not miss; `None` where there is nothing to take out, or it is no SDP.
pub fn slim_sdp(body: &[u8], how: Slim) -> Option<Vec<u8>> {
    let mut session = Session::parse(body).ok()?;
    (session.slim(how) > 0).then(|| session.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

    #[test]
    fn a_surplus_line_keeps_its_place() {
        let dtls = "a=fingerprint:sha-256 A\r\na=ice-ufrag:x\r\n";
        let audio = format!("m=audio 6 UDP/TLS/RTP/SAVPF 0\r\n{dtls}");
        let video = format!("m=video 7 UDP/TLS/RTP/SAVPF 96\r\n{dtls}");
        for (why, offer, rewritten, want) in [
            (
                "FreeSWITCH's optional SRTP",
                "m=audio 4 RTP/SAVP 0\r\na=crypto:1 x y\r\nm=audio 4 RTP/AVP 0 8\r\n",
                "m=audio 6 RTP/AVP 0\r\nm=audio 8 RTP/AVP 0 8\r\na=sendrecv\r\na=rtcp:9\r\n".into(),
                "m=audio 6 RTP/AVP 0\r\nm=audio 0 RTP/AVP 0 8\r\n",
            ),
            (
                "a browser's new line towards an SDES phone",
                "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
                format!("m=audio 6 RTP/SAVP 0\r\na=crypto:1 x y\r\n{video}"),
                "m=audio 6 RTP/SAVP 0\r\na=crypto:1 x y\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n",
            ),
            (
                "two cameras stay",
                "m=video 4 RTP/AVP 96\r\nm=video 6 RTP/AVP 96\r\n",
                "m=video 8 RTP/AVP 96\r\nm=video 10 RTP/AVP 96\r\n".into(),
                "m=video 8 RTP/AVP 96\r\nm=video 10 RTP/AVP 96\r\n",
            ),
            (
                "fax beside audio stays",
                "m=audio 4 RTP/AVP 0\r\nm=image 4 udptl t38\r\n",
                "m=audio 6 RTP/AVP 0\r\nm=image 8 udptl t38\r\n".into(),
                "m=audio 6 RTP/AVP 0\r\nm=image 8 udptl t38\r\n",
            ),
            (
                "fax towards a browser",
                "m=audio 4 RTP/AVP 0\r\nm=image 4 udptl t38\r\n",
                format!("{audio}m=image 8 udptl t38\r\na=ice-ufrag:x\r\n"),
                &format!("{audio}m=image 0 udptl t38\r\n"),
            ),
            (
                "messages, whose addresses nobody replaces",
                "m=audio 4 RTP/AVP 0\r\nm=message 7 TCP/MSRP *\r\nm=video 6 RTP/AVP 96\r\n",
                "m=audio 6 RTP/AVP 0\r\nm=message 7 TCP/MSRP *\r\nc=IN IP4 10.0.0.1\r\nm=video 8 RTP/AVP 96\r\n".into(),
                "m=audio 6 RTP/AVP 0\r\nm=message 0 TCP/MSRP *\r\nm=video 8 RTP/AVP 96\r\n",
            ),
            (
                "a browser's data channel",
                "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
                format!("{audio}m=application 8 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n"),
                &format!("{audio}m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
            ),
            (
                "a bundle towards a browser stays",
                "m=video 4 UDP/TLS/RTP/SAVPF 96\r\nm=video 4 UDP/TLS/RTP/SAVPF 96\r\n",
                format!("{video}{video}"),
                &format!("{video}{video}"),
            ),
        ] {
            let (offer, rewritten) = (format!("{HEAD}{offer}"), format!("{HEAD}{rewritten}"));
            let offer = Session::parse(offer.as_bytes()).expect("a good offer");
            let mut session = Session::parse(rewritten.as_bytes()).expect("a good offer");
            let rejected = reject_surplus(&offer, &mut session);
            assert_eq!(
                String::from_utf8_lossy(&session.to_bytes()),
                format!("{HEAD}{want}"),
                "{why}"
            );
            assert_eq!(
                rejected,
                want.matches(" 0 RTP/AVP 0 8").count()
                    + ["m=video 0", "m=image 0", "m=message 0", "m=application 0"]
                        .map(|line| want.matches(line).count())
                        .iter()
                        .sum::<usize>(),
                "{why}"
            );
        }
    }

    #[test]
    fn a_rejected_line_says_nothing_but_its_mid() {
        let body = format!(
            "{HEAD}m=message 0 TCP/MSRP *\r\nc=IN IP4 10.0.0.1\na=mid:1\r\nm=audio 0 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=bundle-only\r\n"
        );
        let mut session = Session::parse(body.as_bytes()).expect("a session");
        assert_eq!(clear_rejected(&mut session), 1);
        let want = body.replace("c=IN IP4 10.0.0.1\n", "");
        assert_eq!(session.to_bytes(), want.as_bytes());
        assert_eq!(clear_rejected(&mut session), 0);
    }

    #[test]
    fn an_sdp_is_slimmed_if_there_is_anything_to_take() {
        let body =
            format!("{HEAD}m=audio 4 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ssrc:1 cname:x\r\n");
        let slim = |how| slim_sdp(body.as_bytes(), how).map(|bytes| bytes.len());
        assert_eq!(
            slim(Slim::Foreign),
            Some(body.len() - "a=ssrc:1 cname:x\r\n".len())
        );
        assert_eq!(
            slim(Slim::Implied),
            Some(HEAD.len() + "m=audio 4 RTP/AVP 0\r\n".len())
        );
        assert_eq!(slim_sdp(HEAD.as_bytes(), Slim::Implied), None);
        assert_eq!(slim_sdp(b"no sdp", Slim::Implied), None);
    }
}
