//! Whether an answer is one: RFC 3264 §6, and what the RFCs of its keys say.

use crate::direction::Direction;
use crate::media::Media;
use crate::profile::Profile;
use crate::session::Session;

/// What an answer does that it must not. m= lines are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// RFC 3264 §6: as many m= lines as the offer.
    #[error("RFC 3264 §6: the offer has {offered} m= lines and the answer {answered}")]
    Count {
        /// m= lines of the offer.
        offered: usize,
        /// m= lines of the answer.
        answered: usize,
    },
    /// RFC 3264 §6: the same media in the same place.
    #[error("RFC 3264 §6: m= line {index} is {offered} in the offer and {answered} in the answer")]
    Kind {
        /// Which m= line.
        index: usize,
        /// What the offer has there.
        offered: String,
        /// What the answer has there.
        answered: String,
    },
    /// RFC 3264 §6: the same transport protocol.
    #[error("RFC 3264 §6: m= line {index} was offered as {offered} and is answered as {answered}")]
    Protocol {
        /// Which m= line.
        index: usize,
        /// The offer's protocol.
        offered: String,
        /// The answer's.
        answered: String,
    },
    /// RFC 3264 §6: what was offered with port 0 has port 0 in the answer.
    #[error("RFC 3264 §6: m= line {index} was offered with port 0 and is accepted")]
    Revived {
        /// Which m= line.
        index: usize,
    },
    /// RFC 3264 §6.1: at least one format of the offer.
    #[error("RFC 3264 §6.1: m= line {index} has none of the offered formats")]
    NoCommonFormat {
        /// Which m= line.
        index: usize,
    },
    /// A format that was not offered. RFC 3264 §6.1 would let somebody add one to a stream that flows both ways; a relay has
    /// none of its own to add, and a browser refuses the answer (RFC 8829 §5.11).
    #[error("m= line {index} has format {format}, which was not offered")]
    NewFormat {
        /// Which m= line.
        index: usize,
        /// The format, for RTP the payload type.
        format: String,
    },
    /// A payload type that names another codec than the offer gave it (RFC 3264 §6.1 wants the same number for a codec).
    #[error(
        "m= line {index}: payload type {format} is {offered} in the offer and {answered} in the answer"
    )]
    Meaning {
        /// Which m= line.
        index: usize,
        /// The payload type.
        format: String,
        /// The offer's codec.
        offered: String,
        /// The answer's.
        answered: String,
    },
    /// RFC 3264 §6.1: sends only what the other receives, receives only what it sends.
    #[error("RFC 3264 §6.1: m= line {index} was offered {} and is answered {}", .offered.as_str(), .answered.as_str())]
    Direction {
        /// Which m= line.
        index: usize,
        /// The offer's direction.
        offered: Direction,
        /// The answer's.
        answered: Direction,
    },
    /// RFC 5761 §5.1.3: no `a=rtcp-mux` that was not offered.
    #[error("RFC 5761 §5.1.3: m= line {index} has rtcp-mux, which was not offered")]
    RtcpMux {
        /// Which m= line.
        index: usize,
    },
    /// RFC 5888 §9.1: the mid of the offer, if both have one.
    #[error("RFC 5888 §9.1: m= line {index} has another mid than the offer")]
    Mid {
        /// Which m= line.
        index: usize,
    },
    /// RFC 4568 §5.1.2: exactly one of the offered a=crypto, by tag and suite.
    #[error("RFC 4568 §5.1.2: m= line {index} does not accept exactly one of the offered a=crypto")]
    Crypto {
        /// Which m= line.
        index: usize,
    },
    /// RFC 5763 §5: a fingerprint for a fingerprint.
    #[error("RFC 5763 §5: m= line {index} was offered DTLS and is answered without fingerprint")]
    Fingerprint {
        /// Which m= line.
        index: usize,
    },
    /// RFC 5763 §5, RFC 4145 §4.1: active or passive, and not what the offer is.
    #[error("RFC 5763 §5: m= line {index} has no a=setup that answers the offer's")]
    Setup {
        /// Which m= line.
        index: usize,
    },
}

/// Compares an answer with its offer. Nothing returned: the answer is legal.
///
/// ```
/// use sdp::{Session, legal};
/// let offer = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n";
/// let answer = b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
/// let wrong = legal::violations(&Session::parse(offer)?, &Session::parse(answer)?);
/// assert_eq!(wrong[0].to_string(), "RFC 3264 §6: m= line 0 was offered as RTP/SAVP and is answered as RTP/AVP");
/// # Ok::<(), sdp::Error>(())
/// ```
pub fn violations(offer: &Session<'_>, answer: &Session<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let (offered, answered) = (offer.media().len(), answer.media().len());
    if offered != answered {
        found.push(Violation::Count { offered, answered });
    }
    for index in 0..offered.min(answered) {
        Pair {
            offer,
            answer,
            index,
        }
        .check(&mut found);
    }
    found
}

/// Whether a later offer has at least as many m= lines as what was last agreed on (RFC 3264 §8).
pub fn may_follow(last: &Session<'_>, offer: &Session<'_>) -> bool {
    offer.media().len() >= last.media().len()
}

/// One m= line in both.
struct Pair<'s> {
    offer: &'s Session<'s>,
    answer: &'s Session<'s>,
    index: usize,
}

impl Pair<'_> {
    fn check(&self, found: &mut Vec<Violation>) {
        let index = self.index;
        let (offered, answered) = (&self.offer.media()[index], &self.answer.media()[index]);
        if offered.kind() != answered.kind() {
            let (offered, answered) = (text(offered.kind()), text(answered.kind()));
            found.push(Violation::Kind {
                index,
                offered,
                answered,
            });
        }
        if answered.port() == 0 && !answered.section().has_attribute("bundle-only") {
            return; // Rejected: RFC 3264 §6 lets nobody read the rest of it.
        }
        if offered.is_rejected() {
            found.push(Violation::Revived { index });
            return;
        }
        if offered.protocol() != answered.protocol() {
            let (offered, answered) = (text(offered.protocol()), text(answered.protocol()));
            found.push(Violation::Protocol {
                index,
                offered,
                answered,
            });
        }
        self.check_formats(offered, answered, found);
        self.check_direction(found);
        if answered.section().has_attribute("rtcp-mux")
            && !offered.section().has_attribute("rtcp-mux")
        {
            found.push(Violation::RtcpMux { index });
        }
        let mids = (
            offered.section().attribute("mid"),
            answered.section().attribute("mid"),
        );
        // To an offer without mid, Chromium answers with one of its own.
        if mids.0.is_some() && mids.1.is_some() && mids.0 != mids.1 {
            found.push(Violation::Mid { index });
        }
        self.check_keys(offered, answered, found);
    }

    fn check_formats(&self, offered: &Media<'_>, answered: &Media<'_>, found: &mut Vec<Violation>) {
        let index = self.index;
        let was_offered = |format: &[u8]| offered.formats().any(|other| other == format);
        if !answered.formats().any(was_offered) {
            found.push(Violation::NoCommonFormat { index });
        }
        for format in answered.formats() {
            if !was_offered(format) {
                found.push(Violation::NewFormat {
                    index,
                    format: text(format),
                });
            } else if let (Some(before), Some(now)) =
                (codec(offered, format), codec(answered, format))
                && !before.eq_ignore_ascii_case(&now)
            {
                found.push(Violation::Meaning {
                    index,
                    format: text(format),
                    offered: before,
                    answered: now,
                });
            }
        }
    }

    fn check_direction(&self, found: &mut Vec<Violation>) {
        let both = (
            self.offer.direction(self.index),
            self.answer.direction(self.index),
        );
        if let (Some(offered), Some(answered)) = both
            && !answered.answers(offered)
        {
            found.push(Violation::Direction {
                index: self.index,
                offered,
                answered,
            });
        }
    }

    fn check_keys(&self, offered: &Media<'_>, answered: &Media<'_>, found: &mut Vec<Violation>) {
        let index = self.index;
        match Profile::of_media(self.offer, index) {
            Some(Profile::WebRtc | Profile::DtlsSrtp) => {
                // Who offers both fingerprint and crypto may be answered with either.
                let by_crypto = answered.section().has_attribute("crypto");
                if self.answer.attribute_of(index, "fingerprint").is_none() && !by_crypto {
                    found.push(Violation::Fingerprint { index });
                } else if !by_crypto && !self.setup_fits() {
                    found.push(Violation::Setup { index });
                }
            }
            Some(Profile::SrtpSdes) if !accepts_one(offered, answered) => {
                found.push(Violation::Crypto { index })
            }
            // To the optional kind the answer may be plain.
            Some(Profile::SrtpOptional)
                if answered.section().has_attribute("crypto")
                    && !accepts_one(offered, answered) =>
            {
                found.push(Violation::Crypto { index });
            }
            _ => {}
        }
    }

    fn setup_fits(&self) -> bool {
        let role = |session: &Session<'_>| {
            session
                .attribute_of(self.index, "setup")
                .map(|role| role.trim_ascii().to_vec())
        };
        match (role(self.offer).as_deref(), role(self.answer).as_deref()) {
            (Some(b"actpass"), Some(b"active" | b"passive")) => true,
            // RFC 4145 §4: without a=setup the offerer is active, the answerer passive.
            (Some(b"active") | None, Some(b"passive") | None) => true,
            (Some(b"passive"), Some(b"active")) => true,
            _ => false,
        }
    }
}

/// The tag and suite of `1 AES_CM_128_HMAC_SHA1_80 inline:…`.
fn tag_and_suite(crypto: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = crypto
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    Some((words.next()?, words.next()?))
}

fn accepts_one(offered: &Media<'_>, answered: &Media<'_>) -> bool {
    let mut chosen = answered.section().attributes("crypto").map(tag_and_suite);
    match (chosen.next().flatten(), chosen.next()) {
        (Some(one), None) => offered
            .section()
            .attributes("crypto")
            .any(|crypto| tag_and_suite(crypto) == Some(one)),
        _ => false,
    }
}

/// The codec that a section's rtpmap gives to a payload type, without `/1` channels.
fn codec(media: &Media<'_>, format: &[u8]) -> Option<String> {
    media.section().attributes("rtpmap").find_map(|value| {
        let said = value.strip_prefix(format)?.strip_prefix(b" ")?;
        let said = said.trim_ascii();
        Some(text(said.strip_suffix(b"/1").unwrap_or(said)))
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
