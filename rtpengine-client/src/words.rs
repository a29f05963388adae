//! The words of the ng protocol: each list of them an enum, from one table.

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            #[non_exhaustive]
            pub enum $name { $($(#[$word_doc])* $word,)+ }

            impl $name {
                /// All of them, in the table's order.
                pub const ALL: &'static [$name] = &[$($name::$word),+];

                /// The word on the wire.
                pub const fn as_str(self) -> &'static str {
                    match self { $($name::$word => $text,)+ }
                }

                /// Reads the word; `None` if it is not in the table.
                pub fn from_word(word: &str) -> Option<Self> {
                    Self::ALL.iter().copied().find(|known| known.as_str() == word)
                }
            }

            impl AsRef<[u8]> for $name {
                fn as_ref(&self) -> &[u8] {
                    self.as_str().as_bytes()
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(self.as_str())
                }
            }
        )+
    };
}
pub(crate) use words;

words! {
    /// The protocol of the m= line that RTPEngine writes (key `transport-protocol`).
    TransportProtocol {
        /// Plain RTP.
        RtpAvp = "RTP/AVP",
        /// Plain RTP with feedback.
        RtpAvpf = "RTP/AVPF",
        /// SRTP, keys in SDES.
        RtpSavp = "RTP/SAVP",
        /// SRTP with feedback, keys in SDES.
        RtpSavpf = "RTP/SAVPF",
        /// SRTP, keys by DTLS.
        DtlsSavp = "UDP/TLS/RTP/SAVP",
        /// SRTP with feedback, keys by DTLS: WebRTC.
        DtlsSavpf = "UDP/TLS/RTP/SAVPF",
        /// Fax over UDPTL.
        Udptl = "udptl",
        /// As the other side wants it, whatever that is.
        Accept = "accept",
    }
    /// What becomes of ICE (key `ICE`).
    Ice {
        /// All ICE attributes are removed, none is written.
        Remove = "remove",
        /// Those of the sender are removed, RTPEngine's own are written.
        Force = "force",
        /// RTPEngine's own are written if the other side has any.
        Optional = "optional",
        /// As RTPEngine thinks best; the same as no `ICE` key.
        Default = "default",
        /// Like `Force`, but candidates of type relay.
        ForceRelay = "force-relay",
    }
    /// Whether RTPEngine is an ICE-lite agent (key `ICE-lite`).
    IceLite {
        /// Full ICE on both sides.
        Off = "off",
        /// Lite towards the receiver of this SDP.
        Forward = "forward",
        /// Lite towards its sender.
        Backward = "backward",
        /// Lite towards both.
        Both = "both",
    }
    /// The DTLS role, or none (key `DTLS`).
    Dtls {
        /// No DTLS is offered; what is offered to us is not accepted.
        Off = "off",
        /// RTPEngine waits for the other side's handshake.
        Passive = "passive",
        /// RTPEngine begins the handshake.
        Active = "active",
    }
    /// The hash of the DTLS fingerprint (key `DTLS-fingerprint`).
    FingerprintHash {
        /// SHA-1.
        Sha1 = "sha-1",
        /// SHA-224.
        Sha224 = "sha-224",
        /// SHA-256, RTPEngine's default.
        Sha256 = "sha-256",
        /// SHA-384.
        Sha384 = "sha-384",
        /// SHA-512.
        Sha512 = "sha-512",
    }
    /// The crypto suites that RTPEngine offers, strongest first.
    CryptoSuite {
        /// RFC 7714.
        AeadAes256Gcm = "AEAD_AES_256_GCM",
        /// RFC 7714.
        AeadAes128Gcm = "AEAD_AES_128_GCM",
        /// RFC 6188.
        Aes256CmHmacSha1_80 = "AES_256_CM_HMAC_SHA1_80",
        /// RFC 6188.
        Aes256CmHmacSha1_32 = "AES_256_CM_HMAC_SHA1_32",
        /// RFC 6188.
        Aes192CmHmacSha1_80 = "AES_192_CM_HMAC_SHA1_80",
        /// RFC 6188.
        Aes192CmHmacSha1_32 = "AES_192_CM_HMAC_SHA1_32",
        /// RFC 4568, what every SRTP phone has.
        AesCm128HmacSha1_80 = "AES_CM_128_HMAC_SHA1_80",
        /// RFC 4568.
        AesCm128HmacSha1_32 = "AES_CM_128_HMAC_SHA1_32",
        /// RFC 4568.
        F8_128HmacSha1_80 = "F8_128_HMAC_SHA1_80",
        /// Not in an RFC.
        F8_128HmacSha1_32 = "F8_128_HMAC_SHA1_32",
        /// No encryption, RFC 3711.
        NullHmacSha1_80 = "NULL_HMAC_SHA1_80",
        /// No encryption, RFC 3711.
        NullHmacSha1_32 = "NULL_HMAC_SHA1_32",
    }
    /// What is done about RTP and RTCP on one port (key `rtcp-mux`, a list).
    RtcpMux {
        /// Offer it.
        Offer = "offer",
        /// Offer it, and offer nothing else.
        Require = "require",
        /// Do not offer it, even if the other side does.
        Demux = "demux",
        /// Accept it if it is offered.
        Accept = "accept",
        /// Refuse it if it is offered.
        Reject = "reject",
    }
    /// Opportunistic SRTP, RFC 8643 (key `OSRTP`, a list).
    Osrtp {
        /// Offer it.
        Offer = "offer",
        /// Accept it.
        Accept = "accept",
    }
    /// What else of the SDP is rewritten (key `replace`, a list).
    Replace {
        /// The address in o=.
        Origin = "origin",
        /// The c= of the session.
        SessionConnection = "session-connection",
        /// s=.
        SessionName = "session-name",
        /// The version in o=, counted by RTPEngine.
        SdpVersion = "SDP-version",
        /// The user name in o=.
        Username = "username",
        /// The address 0.0.0.0 as well, which means "on hold".
        ZeroAddress = "zero-address",
    }
    /// Switches without value (key `flags`, a list).
    Flag {
        /// Send to the address in the SDP, rather than to where the signalling came from.
        TrustAddress = "trust-address",
        /// Send to where the signalling came from (`received-from`).
        SipSourceAddress = "SIP-source-address",
        /// The peer sends from elsewhere than where it receives.
        Asymmetric = "asymmetric",
        /// Do not learn the peer's address from its packets.
        PortLatching = "port-latching",
        /// Never keep a port that was used before.
        NoPortLatching = "no-port-latching",
        /// Accept packets only from the learned address.
        StrictSource = "strict-source",
        /// Follow the peer to a new address at any time.
        MediaHandover = "media-handover",
        /// Only one direction has media.
        Unidirectional = "unidirectional",
        /// Forget what was negotiated before.
        Reset = "reset",
        /// Leave an SDP alone that RTPEngine has rewritten already.
        LoopProtect = "loop-protect",
        /// Keep a=sendrecv and its kin as they came.
        OriginalSendrecv = "original-sendrecv",
        /// Write no a=rtcp.
        NoRtcpAttribute = "no-rtcp-attribute",
        /// Write a=rtcp with its address.
        FullRtcpAttribute = "full-rtcp-attribute",
        /// RTPEngine makes its own RTCP.
        GenerateRtcp = "generate-RTCP",
        /// Send RTCP also to the mirror of the RTP destination.
        RtcpMirror = "RTCP-mirror",
        /// Add a=mid where it is missing.
        GenerateMid = "generate-mid",
        /// Remove a=extmap.
        StripExtmap = "strip-extmap",
        /// Offer trickle ICE.
        TrickleIce = "trickle-ICE",
        /// Refuse ICE.
        IceReject = "ICE-reject",
        /// The SDP is a fragment of trickle ICE (RFC 8840).
        Fragment = "fragment",
        /// Record from the start.
        RecordCall = "record-call",
        /// Do not write the call to Redis.
        NoRedisUpdate = "no-redis-update",
        /// Log all of this call.
        Debug = "debug",
        /// Pad the crypto keys with `=` (baresip 1.0 wants it).
        PadCrypto = "pad-crypto",
        /// Transcode even if both sides have a codec in common.
        AlwaysTranscode = "always-transcode",
        /// Transcode if the other side's answer makes it necessary.
        AllowTranscoding = "allow-transcoding",
        /// Each direction may have its own codec.
        AsymmetricCodecs = "asymmetric-codecs",
        /// Both directions have the same codec.
        SymmetricCodecs = "symmetric-codecs",
        /// Put codecs that need no transcoding first.
        ReorderCodecs = "reorder-codecs",
        /// Use the codecs of the former offer.
        ReuseCodecs = "reuse-codecs",
        /// Do not change the codec any more.
        NoCodecRenegotiation = "no-codec-renegotiation",
        /// Leave one codec in the answer.
        SingleCodec = "single-codec",
        /// Be ready for `play DTMF`.
        InjectDtmf = "inject-DTMF",
        /// Find DTMF tones in the audio.
        DetectDtmf = "detect-DTMF",
        /// No jitter buffer for this call.
        NoJitterBuffer = "no-jitter-buffer",
        /// Forward packets as they are.
        Passthrough = "passthrough",
        /// The opposite.
        NoPassthrough = "no-passthrough",
        /// Send empty packets to open the peer's NAT.
        PierceNat = "pierce-NAT",
        /// Wait for the peer's packets before any is sent to it.
        NatWait = "NAT-wait",
        /// All parties of the call (of `block media` and the like, and of `subscribe request`).
        All = "all",
        /// What goes out, rather than what comes in (of `play media` in later versions, and `block media`).
        Egress = "egress",
        /// The subscription is for SIPREC; the answer lists labels.
        Siprec = "SIPREC",
        /// `delete` fails if there is nothing to delete, rather than warn.
        Fatal = "fatal",
        /// `delete`: the to-tag is meant as well as the from-tag. RTPEngine 10.5 heeds a to-tag without it.
        ToTag = "to-tag",
    }
    /// The family of the addresses in the SDP that RTPEngine writes (key `address-family`).
    AddressFamily {
        /// IPv4.
        Ip4 = "IP4",
        /// IPv6.
        Ip6 = "IP6",
    }
    /// How the peer's address is learned from its packets (key `endpoint-learning`, a list of one).
    EndpointLearning {
        /// Not at all.
        Off = "off",
        /// From the first packet.
        Immediate = "immediate",
        /// From the packets after three seconds.
        Delayed = "delayed",
        /// Within three seconds, by the best match with the SDP.
        Heuristic = "heuristic",
    }
    /// Whether the call is recorded from now on (key `record-call`).
    RecordCall {
        /// Yes.
        On = "on",
        /// No.
        Off = "off",
    }
    /// Media is thrown away (key `drop-traffic`).
    DropTraffic {
        /// From now on.
        Start = "start",
        /// No longer.
        Stop = "stop",
    }
    /// Media goes back to its sender (key `media-echo`).
    MediaEcho {
        /// To nobody.
        Blackhole = "blackhole",
        /// The receiver of this SDP hears itself.
        Forward = "forward",
        /// Its sender hears itself.
        Backward = "backward",
        /// Both hear themselves.
        Both = "both",
    }
    /// What is done to DTMF that is blocked (key `DTMF-security`).
    DtmfBlock {
        /// Nothing.
        Off = "off",
        /// Events are dropped; tones in the audio pass.
        Drop = "drop",
        /// Silence in place of it.
        Silence = "silence",
        /// A tone in place of it.
        Tone = "tone",
        /// Random digits in place of it.
        Random = "random",
        /// The digit 0 in place of it.
        Zero = "zero",
        /// One digit (`digit`) in place of it.
        Dtmf = "DTMF",
    }
    /// T.38 to and from audio (key `T.38`, a list).
    T38 {
        /// An offer of T.38 becomes one of audio.
        Decode = "decode",
        /// An offer of audio becomes one of T.38.
        Force = "force",
        /// T.38 ends.
        Stop = "stop",
        /// Without error correction mode.
        NoEcm = "no-ECM",
        /// Without V.17.
        NoV17 = "no-V.17",
        /// Without V.27ter.
        NoV27ter = "no-V.27ter",
        /// Without V.29.
        NoV29 = "no-V.29",
        /// Without V.34.
        NoV34 = "no-V.34",
        /// Without Internet-aware fax.
        NoIaf = "no-IAF",
        /// Forward error correction in place of redundancy.
        Fec = "FEC",
    }
}

/// SDES keys in the SDP that RTPEngine writes (key `SDES`, a list).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sdes {
    /// No SDES: of a=crypto none is written.
    Off,
    /// Pad the keys with `=`.
    Pad,
    /// Write the lifetime of the keys (RFC 4568 §6.1).
    Lifetime,
    /// Keep the suite that was chosen first in the call.
    Static,
    /// Do not offer this suite. RTPEngine's default of twelve makes 3 kB of SDP.
    No(CryptoSuite),
    /// Offer UNENCRYPTED_SRTP.
    UnencryptedSrtp,
    /// Offer UNENCRYPTED_SRTCP.
    UnencryptedSrtcp,
    /// Offer UNAUTHENTICATED_SRTP.
    UnauthenticatedSrtp,
    /// Refuse UNENCRYPTED_SRTP.
    EncryptedSrtp,
    /// Refuse UNENCRYPTED_SRTCP.
    EncryptedSrtcp,
    /// Refuse UNAUTHENTICATED_SRTP.
    AuthenticatedSrtp,
}

impl Sdes {
    /// The word on the wire.
    pub fn to_word(self) -> String {
        match self {
            Sdes::Off => "off",
            Sdes::Pad => "pad",
            Sdes::Lifetime => "lifetime",
            Sdes::Static => "static",
            Sdes::No(suite) => return format!("no-{suite}"),
            Sdes::UnencryptedSrtp => "unencrypted_srtp",
            Sdes::UnencryptedSrtcp => "unencrypted_srtcp",
            Sdes::UnauthenticatedSrtp => "unauthenticated_srtp",
            Sdes::EncryptedSrtp => "encrypted_srtp",
            Sdes::EncryptedSrtcp => "encrypted_srtcp",
            Sdes::AuthenticatedSrtp => "authenticated_srtp",
        }
        .to_owned()
    }

    /// Leaves only `suites` on offer: one [`Sdes::No`] for each of the others.
    pub fn only(suites: &[CryptoSuite]) -> Vec<Sdes> {
        CryptoSuite::ALL
            .iter()
            .filter(|suite| !suites.contains(suite))
            .map(|suite| Sdes::No(*suite))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_as_what_wrote_it() {
        for flag in Flag::ALL {
            assert_eq!(Flag::from_word(flag.as_str()), Some(*flag));
        }
        assert_eq!(Flag::from_word("no such flag"), None);
    }

    #[test]
    fn two_suites_left_means_ten_refused() {
        let only = Sdes::only(&[
            CryptoSuite::AesCm128HmacSha1_80,
            CryptoSuite::AesCm128HmacSha1_32,
        ]);
        assert_eq!(only.len(), 10);
        assert!(only.contains(&Sdes::No(CryptoSuite::AeadAes256Gcm)));
        assert!(!only.contains(&Sdes::No(CryptoSuite::AesCm128HmacSha1_80)));
        assert_eq!(only[0].to_word(), "no-AEAD_AES_256_GCM");
    }
}
