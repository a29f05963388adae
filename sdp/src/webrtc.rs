//! A WebRTC session read with types: keys, ICE, candidates, groups, codecs. The `webrtc-sdp` crate reads; nothing is ever written
//! from here, for its output differs from its input. Edits go through [`Session`].

use std::fmt;
use std::net::IpAddr;

use webrtc_sdp::SdpSession;
use webrtc_sdp::address::Address;
use webrtc_sdp::attribute_type as read;
use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeType};
use webrtc_sdp::media_type::{SdpFormatList, SdpMedia};

use crate::direction::Direction;
use crate::session::Session;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not UTF-8, which RFC 8866 §5 wants.
    #[error("the body is not UTF-8")]
    Encoding,
    /// Over the limits of [`Session::parse`], or not a session description.
    #[error(transparent)]
    Body(#[from] crate::Error),
    /// What the reader says.
    #[error("{0}")]
    Syntax(String),
}

/// A session description of a browser, or of who speaks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtc {
    /// The session id of the o= line.
    pub session_id: u64,
    /// The version of the o= line; it grows with each new offer of that party (RFC 3264 §8).
    pub version: u64,
    /// The mids of each BUNDLE group (RFC 9143).
    pub bundles: Vec<Vec<String>>,
    /// The media sections in order.
    pub media: Vec<Stream>,
}

/// One media section. What the session says for all (fingerprint, ICE, setup) is repeated in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// `audio`, `video`, `application`.
    pub kind: String,
    /// `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// The port; 9 where the browser gives only candidates, 0 where rejected or bundled.
    pub port: u16,
    /// Its name in groups.
    pub mid: Option<String>,
    /// Which way it flows.
    pub direction: Direction,
    /// The certificate's hash.
    pub fingerprint: Option<Fingerprint>,
    /// Who begins the DTLS handshake.
    pub setup: Option<Setup>,
    /// The ICE credentials.
    pub ice: Option<Ice>,
    /// The ICE candidates, mDNS names among them.
    pub candidates: Vec<Candidate>,
    /// RTP and RTCP on one port.
    pub rtcp_mux: bool,
    /// The codecs that have an rtpmap, in order of the m= line.
    pub codecs: Vec<Codec>,
}

/// The hash of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256` and its like.
    pub hash: String,
    /// The hash's bytes.
    pub bytes: Vec<u8>,
}

/// Who opens (RFC 4145 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// This party.
    Active,
    /// The other.
    Passive,
    /// Either; the answerer chooses.
    ActPass,
    /// Nobody for now.
    HoldConn,
}

/// ICE credentials (RFC 8839 §5.4). The password is not shown by Debug: with it a third party could take a stream over.
#[derive(Clone, PartialEq, Eq)]
pub struct Ice {
    /// The user name fragment.
    pub ufrag: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Ice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ice")
            .field("ufrag", &self.ufrag)
            .field("password", &"[redacted]")
            .finish()
    }
}

/// An address where the party may be reached (RFC 8839 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// 1 for RTP, 2 for RTCP.
    pub component: u32,
    /// `true` for TCP, which browsers offer with port 9 and RTPEngine does not take.
    pub tcp: bool,
    /// The higher the dearer.
    pub priority: u64,
    /// An address, or a name (`….local`) of a browser that hides it.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// How the party knows of it.
    pub kind: CandidateKind,
}

/// What a candidate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, of mDNS in practice.
    Name(String),
}

/// How a candidate was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// An interface of its own.
    Host,
    /// Seen by a STUN server.
    ServerReflexive,
    /// Seen by the peer.
    PeerReflexive,
    /// A TURN server's.
    Relay,
}

/// A codec with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The payload type.
    pub payload_type: u8,
    /// `opus`, as written.
    pub name: String,
    /// Clock rate in hertz.
    pub rate: u32,
    /// Channels, where said.
    pub channels: Option<u32>,
}

/// What a browser misses in an accepted media section, and would fail the call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// `a=fingerprint` (RFC 8827 §6.5).
    Fingerprint,
    /// `a=ice-ufrag` and `a=ice-pwd`.
    Ice,
    /// `a=rtcp-mux`: Chromium ends the call on an answer without it.
    RtcpMux,
    /// `a=setup`.
    Setup,
    /// Any candidate over UDP; there is no trickling in SIP without RFC 8840.
    Candidates,
}

impl WebRtc {
    /// Reads a body.
    ///
    /// ```
    /// let body = "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
    ///             c=IN IP4 0.0.0.0\r\na=ice-ufrag:3eA1\r\na=ice-pwd:MLQwX1LbnZl4k3Nr+lB9I8c2\r\na=mid:0\r\na=rtcp-mux\r\n\
    ///             a=rtpmap:111 opus/48000/2\r\n";
    /// let session = sdp::WebRtc::read(body.as_bytes())?;
    /// assert_eq!(session.bundles, [["0"]]);
    /// assert_eq!(session.media[0].codecs[0].name, "opus");
    /// assert!(session.media[0].missing().contains(&sdp::webrtc::Missing::Fingerprint));
    /// # Ok::<(), sdp::webrtc::ReadError>(())
    /// ```
    ///
    /// # Errors
    /// [`ReadError`]; the reader is stricter than [`Session::parse`] (line order, numbers, addresses).
    pub fn read(body: &[u8]) -> Result<Self, ReadError> {
        let mut lines = Session::parse(body)?; // With its limits, before anything else works on the bytes.
        // The reader wants the hash's name in small letters; baresip and linphone write SHA-256, and RFC 8122 §5 lets them.
        lines.head_mut().map_attributes("fingerprint", small_hash);
        for media in lines.media_mut() {
            media
                .section_mut()
                .map_attributes("fingerprint", small_hash);
        }
        let bytes = lines.to_bytes();
        let text = std::str::from_utf8(&bytes).map_err(|_| ReadError::Encoding)?;
        let session = webrtc_sdp::parse_sdp(text, false)
            .map_err(|error| ReadError::Syntax(error.to_string()))?;
        let groups = session
            .attribute
            .iter()
            .filter_map(|attribute| match attribute {
                SdpAttribute::Group(group) => Some(group),
                _ => None,
            });
        let bundles = groups
            .filter(|group| matches!(group.semantics, read::SdpAttributeGroupSemantic::Bundle))
            .map(|group| group.tags.clone())
            .collect();
        let direction = |index| lines.direction(index).unwrap_or(Direction::SendRecv);
        Ok(Self {
            session_id: session.origin.session_id,
            version: session.origin.session_version,
            bundles,
            media: session
                .media
                .iter()
                .enumerate()
                .map(|(index, media)| Stream::of(&session, media, direction(index)))
                .collect(),
        })
    }
}

impl Stream {
    fn of(session: &SdpSession, media: &SdpMedia, direction: Direction) -> Self {
        let find = |kind: SdpAttributeType| {
            media
                .get_attribute(kind.clone())
                .or_else(|| session.get_attribute(kind))
        };
        let text = |kind| match find(kind) {
            Some(
                SdpAttribute::IceUfrag(text) | SdpAttribute::IcePwd(text) | SdpAttribute::Mid(text),
            ) => Some(text.clone()),
            _ => None,
        };
        let ice = text(SdpAttributeType::IceUfrag).zip(text(SdpAttributeType::IcePwd));
        Self {
            kind: media.get_type().to_string(),
            protocol: media.get_proto().to_string(),
            port: u16::try_from(media.get_port()).unwrap_or(0),
            mid: text(SdpAttributeType::Mid),
            direction,
            fingerprint: match find(SdpAttributeType::Fingerprint) {
                Some(SdpAttribute::Fingerprint(found)) => Some(Fingerprint {
                    hash: found.hash_algorithm.to_string(),
                    bytes: found.fingerprint.clone(),
                }),
                _ => None,
            },
            setup: match find(SdpAttributeType::Setup) {
                Some(SdpAttribute::Setup(found)) => Some(setup(found)),
                _ => None,
            },
            ice: ice.map(|(ufrag, password)| Ice { ufrag, password }),
            candidates: media
                .get_attributes()
                .iter()
                .filter_map(candidate)
                .collect(),
            rtcp_mux: media.get_attribute(SdpAttributeType::RtcpMux).is_some(),
            codecs: codecs(media),
        }
    }

    /// What a browser would miss here. Nothing for a rejected section.
    pub fn missing(&self) -> Vec<Missing> {
        if self.port == 0 {
            return Vec::new();
        }
        let here = [
            (self.fingerprint.is_some(), Missing::Fingerprint),
            (self.ice.is_some(), Missing::Ice),
            (self.rtcp_mux, Missing::RtcpMux),
            (self.setup.is_some(), Missing::Setup),
            (
                self.candidates.iter().any(|candidate| !candidate.tcp),
                Missing::Candidates,
            ),
        ];
        here.into_iter()
            .filter(|(there, _)| !there)
            .map(|(_, missing)| missing)
            .collect()
    }
}

fn small_hash(fingerprint: &[u8]) -> Vec<u8> {
    let mut words = fingerprint.to_vec();
    let name = memchr::memchr(b' ', &words).unwrap_or(words.len());
    words[..name].make_ascii_lowercase();
    words
}

fn setup(found: &read::SdpAttributeSetup) -> Setup {
    match found {
        read::SdpAttributeSetup::Active => Setup::Active,
        read::SdpAttributeSetup::Actpass => Setup::ActPass,
        read::SdpAttributeSetup::Holdconn => Setup::HoldConn,
        read::SdpAttributeSetup::Passive => Setup::Passive,
    }
}

fn candidate(attribute: &SdpAttribute) -> Option<Candidate> {
    let SdpAttribute::Candidate(found) = attribute else {
        return None;
    };
    Some(Candidate {
        component: found.component,
        tcp: matches!(found.transport, read::SdpAttributeCandidateTransport::Tcp),
        priority: found.priority,
        host: match &found.address {
            Address::Ip(address) => Host::Address(*address),
            Address::Fqdn(name) => Host::Name(name.clone()),
        },
        port: u16::try_from(found.port).ok()?,
        kind: match found.c_type {
            read::SdpAttributeCandidateType::Host => CandidateKind::Host,
            read::SdpAttributeCandidateType::Srflx => CandidateKind::ServerReflexive,
            read::SdpAttributeCandidateType::Prflx => CandidateKind::PeerReflexive,
            read::SdpAttributeCandidateType::Relay => CandidateKind::Relay,
        },
    })
}

fn codecs(media: &SdpMedia) -> Vec<Codec> {
    let SdpFormatList::Integers(formats) = media.get_formats() else {
        return Vec::new();
    };
    let maps: Vec<_> = media
        .get_attributes_of_type(SdpAttributeType::Rtpmap)
        .into_iter()
        .filter_map(|attribute| match attribute {
            SdpAttribute::Rtpmap(map) => Some(map),
            _ => None,
        })
        .collect();
    let map_of = |format: &u32| {
        maps.iter()
            .find(|map| u32::from(map.payload_type) == *format)
    };
    let read = |map: &&read::SdpAttributeRtpmap| Codec {
        payload_type: map.payload_type,
        name: map.codec_name.clone(),
        rate: map.frequency,
        channels: map.channels,
    };
    formats.iter().filter_map(map_of).map(read).collect()
}
