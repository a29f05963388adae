//! What kind of leg a session description speaks for.

use crate::media::Media;
use crate::session::Session;

/// How a leg carries its media, as its session description tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// DTLS-SRTP with ICE: a browser (RFC 8834, 8835), or a phone that does as one does.
    WebRtc,
    /// DTLS-SRTP without ICE (RFC 5763).
    DtlsSrtp,
    /// SRTP with its keys in the description: RTP/SAVP or SAVPF with a=crypto (RFC 4568).
    SrtpSdes,
    /// SRTP if the other side will: RTP/AVP with a=crypto (RFC 8643; baresip's and others' "optional").
    SrtpOptional,
    /// Plain RTP.
    Rtp,
}

impl Profile {
    /// The profile of the first RTP section that is not rejected; where all are, of the first RTP section. `None` without
    /// any (T.38, a data channel alone, no m= line).
    ///
    /// ```
    /// use sdp::{Profile, Session};
    /// let body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    /// assert_eq!(Profile::of(&Session::parse(body)?), Some(Profile::Rtp));
    /// # Ok::<(), sdp::Error>(())
    /// ```
    pub fn of(session: &Session<'_>) -> Option<Self> {
        let rtp = || {
            session
                .media()
                .iter()
                .enumerate()
                .filter(|(_, media)| media.is_rtp())
        };
        let (index, _) = rtp()
            .find(|(_, media)| !media.is_rejected())
            .or_else(|| rtp().next())?;
        Self::of_media(session, index)
    }

    /// The profile of one media section; `None` where it is not RTP or not there.
    ///
    /// The protocol word does not decide between DTLS and SDES: FreeSWITCH and Kamailio say `RTP/SAVPF` for WebRTC, so it is
    /// the fingerprint that tells. A fingerprint beside `RTP/AVP` is no DTLS (RFC 5763 §5 wants a secure profile).
    pub fn of_media(session: &Session<'_>, index: usize) -> Option<Self> {
        let media = session.media().get(index).filter(|media| media.is_rtp())?;
        let has = |name| session.attribute_of(index, name).is_some();
        let crypto = media.section().has_attribute("crypto");
        let dtls = is_secure(media) && has("fingerprint");
        Some(match () {
            () if dtls && has("ice-ufrag") => Self::WebRtc,
            () if dtls => Self::DtlsSrtp,
            () if is_secure(media) => Self::SrtpSdes,
            () if crypto => Self::SrtpOptional,
            () => Self::Rtp,
        })
    }
}

fn is_secure(media: &Media<'_>) -> bool {
    memchr::memmem::find(media.protocol(), b"RTP/SAVP").is_some()
}
