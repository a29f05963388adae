//! The flags of offers and answers (MEDIA.md §2). Plain words, which the gateway maps one to one onto its ng client; each row was
//! tried on RTPEngine 10.5.3.5.

use std::net::IpAddr;
use std::sync::Arc;

use sdp::Profile;
use sip::Transport;

use super::codec::Choice;
use super::profile_of_flow;

/// What RTPEngine is to do with an SDP. What is `None`, `false` or empty is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Intent {
    /// `transport-protocol`.
    pub transport_protocol: Option<Protocol>,
    /// `ICE`.
    pub ice: Option<Ice>,
    /// `DTLS: off`.
    pub dtls_off: bool,
    /// `SDES`.
    pub sdes: Option<Sdes>,
    /// `OSRTP: [offer]`.
    pub osrtp_offer: bool,
    /// `rtcp-mux`, a list of one.
    pub rtcp_mux: Option<RtcpMux>,
    /// `replace: [origin, session-connection]`: nobody learns the other side's address from o=, or from a c= line before the m= lines.
    pub replace_origin: bool,
    /// Whether the address in the SDP or the one that the message came from is where its sender expects media.
    pub address: Address,
    /// `codec`.
    pub codecs: Choice,
    /// Flag `inject-DTMF`: without it `play DTMF` is answered and nobody hears it (measured). In offer and answer.
    pub inject_keys: bool,
    /// `record-call: on`, with the Call-ID as `metadata`. Where it is written is RTPEngine's own configuration.
    pub record: bool,
    /// `direction`: the interfaces that face the sender and the receiver.
    pub direction: Option<(Arc<str>, Arc<str>)>,
    /// `address-family`.
    pub family: Option<Ip>,
    /// `ptime`, in milliseconds.
    pub ptime: Option<u16>,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    /// `IP4`
    V4,
    /// `IP6`
    V6,
}

/// The protocol of the m= lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `RTP/AVP`
    RtpAvp,
    /// `RTP/SAVP`
    RtpSavp,
    /// `UDP/TLS/RTP/SAVP`
    DtlsSavp,
    /// `UDP/TLS/RTP/SAVPF`
    DtlsSavpf,
}

/// What becomes of ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ice {
    /// `force`: RTPEngine's own candidates in place of the sender's.
    Force,
    /// `remove`
    Remove,
}

/// What becomes of a=crypto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdes {
    /// `[off]`
    Off,
    /// `[pad, no-…]` for all suites but AES_CM_128_HMAC_SHA1_80 and _32, which every SRTP phone has. The twelve of RTPEngine's
    /// default make an INVITE of 3 kB; without `pad`, baresip refuses keys whose base64 would end in `=`.
    TwoSuites,
}

/// RTP and RTCP on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpMux {
    /// `offer`
    Offer,
    /// `demux`: not offered, while what the sender asks for is accepted. Without it a browser's later offer is answered without
    /// a=rtcp-mux, and Chromium ends the call (measured).
    Demux,
}

/// Where the sender of an SDP expects media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Address {
    /// Where the SDP says (flag `trust-address`).
    #[default]
    AsSaid,
    /// Where the message came from (flag `SIP-source-address`, with `received-from`), with the port of the SDP.
    AsSeen(IpAddr),
}

/// The leg that an offer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// A leg whose profile is known, from what it said, from its token, or for a first offer from its flow.
    Known(Profile),
    /// A leg of a call that is up. RTPEngine then keeps for each m= line the protocol, ICE and DTLS that it had (measured), so only
    /// that is said which it would forget: the suites, and rtcp-mux. A browser is known by its flow in any case.
    Settled {
        /// Its flow.
        transport: Transport,
        /// What it was when the dialog began, for an RTPEngine that never saw the call: it would pass on the offerer's kind, and a
        /// phone would be asked for DTLS (measured).
        was: Profile,
    },
}

impl Towards {
    /// A leg of a call that is up: its token has its profile where that is another than its flow says.
    pub fn settled(profile: Option<Profile>, transport: Transport) -> Self {
        Self::Settled {
            transport,
            was: profile.unwrap_or(profile_of_flow(transport)),
        }
    }

    /// The same for an RTPEngine that never saw the call.
    #[must_use]
    pub fn anew(self) -> Self {
        match self {
            Self::Settled { was, .. } => Self::Known(was),
            known => known,
        }
    }
}

/// The flags of an offer.
pub fn offer_flags(towards: Towards, address: Address) -> Intent {
    let profile = match towards {
        Towards::Known(profile) => profile,
        Towards::Settled {
            transport: Transport::Ws | Transport::Wss,
            was: Profile::WebRtc,
        } => Profile::WebRtc,
        Towards::Settled { .. } => {
            let (sdes, rtcp_mux) = (Some(Sdes::TwoSuites), Some(RtcpMux::Demux));
            return Intent {
                sdes,
                rtcp_mux,
                replace_origin: true,
                address,
                ..Intent::default()
            };
        }
    };
    let plain = Intent {
        ice: Some(Ice::Remove),
        dtls_off: true,
        sdes: Some(Sdes::Off),
        rtcp_mux: Some(RtcpMux::Demux),
        replace_origin: true,
        address,
        ..Intent::default()
    };
    match profile {
        Profile::WebRtc => Intent {
            transport_protocol: Some(Protocol::DtlsSavpf),
            ice: Some(Ice::Force),
            dtls_off: false,
            rtcp_mux: Some(RtcpMux::Offer),
            ..plain
        },
        Profile::DtlsSrtp => Intent {
            transport_protocol: Some(Protocol::DtlsSavp),
            dtls_off: false,
            ..plain
        },
        Profile::SrtpSdes => Intent {
            transport_protocol: Some(Protocol::RtpSavp),
            sdes: Some(Sdes::TwoSuites),
            ..plain
        },
        Profile::SrtpOptional => Intent {
            transport_protocol: Some(Protocol::RtpAvp),
            sdes: Some(Sdes::TwoSuites),
            osrtp_offer: true,
            ..plain
        },
        Profile::Rtp => Intent {
            transport_protocol: Some(Protocol::RtpAvp),
            ..plain
        },
    }
}

/// The flags of an answer: none of protocol, ICE, DTLS, SDES. RTPEngine answers in the offerer's kind; to force it breaks what
/// FreeSWITCH offers as WebRTC, which is `RTP/SAVPF` (no media flows).
pub fn answer_flags(address: Address) -> Intent {
    Intent {
        replace_origin: true,
        address,
        ..Intent::default()
    }
}

/// Whether a device's SDP is believed about its address. One behind NAT says a private address while its message comes from a
/// public one; then what we see is the better guess, until its first packet tells. Anybody else may receive media elsewhere than
/// signalling, the core above all.
pub fn address_of(said: Option<IpAddr>, seen: IpAddr) -> Address {
    match said {
        Some(said) if is_private(said) && !is_private(seen) => Address::AsSeen(seen),
        _ => Address::AsSaid,
    }
}

/// Addresses that no NAT's outside has: RFC 1918, RFC 6598, link-local, loopback, and their like of IPv6.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            let shared = first == 100 && second & 0xc0 == 64;
            four.is_private() || four.is_loopback() || four.is_link_local() || shared
        }
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_asks_for_what_the_leg_speaks() {
        let said = Address::AsSaid;
        for (profile, protocol, ice, dtls_off, sdes, mux) in [
            (
                Profile::WebRtc,
                Protocol::DtlsSavpf,
                Ice::Force,
                false,
                Sdes::Off,
                RtcpMux::Offer,
            ),
            (
                Profile::DtlsSrtp,
                Protocol::DtlsSavp,
                Ice::Remove,
                false,
                Sdes::Off,
                RtcpMux::Demux,
            ),
            (
                Profile::SrtpSdes,
                Protocol::RtpSavp,
                Ice::Remove,
                true,
                Sdes::TwoSuites,
                RtcpMux::Demux,
            ),
            (
                Profile::SrtpOptional,
                Protocol::RtpAvp,
                Ice::Remove,
                true,
                Sdes::TwoSuites,
                RtcpMux::Demux,
            ),
            (
                Profile::Rtp,
                Protocol::RtpAvp,
                Ice::Remove,
                true,
                Sdes::Off,
                RtcpMux::Demux,
            ),
        ] {
            let want = Intent {
                transport_protocol: Some(protocol),
                ice: Some(ice),
                dtls_off,
                sdes: Some(sdes),
                osrtp_offer: profile == Profile::SrtpOptional,
                rtcp_mux: Some(mux),
                replace_origin: true,
                ..Intent::default()
            };
            assert_eq!(
                offer_flags(Towards::Known(profile), said),
                want,
                "{profile:?}"
            );
        }
    }

    #[test]
    fn a_later_offer_to_an_unknown_leg_leaves_its_kind_to_rtpengine() {
        let said = Address::AsSaid;
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let settled = Towards::settled(None, transport);
            let flags = offer_flags(settled, said);
            assert_eq!(
                settled.anew(),
                Towards::Known(Profile::Rtp),
                "{transport:?}"
            );
            assert_eq!(
                (flags.transport_protocol, flags.ice, flags.dtls_off),
                (None, None, false),
                "{transport:?}"
            );
            assert_eq!(
                (flags.sdes, flags.rtcp_mux),
                (Some(Sdes::TwoSuites), Some(RtcpMux::Demux)),
                "{transport:?}"
            );
        }
        let browser = offer_flags(Towards::Known(Profile::WebRtc), said);
        assert_eq!(
            offer_flags(Towards::settled(None, Transport::Wss), said),
            browser
        );
        for transport in [Transport::Tls, Transport::Wss] {
            let settled = Towards::settled(Some(Profile::SrtpSdes), transport);
            assert_eq!(offer_flags(settled, said).transport_protocol, None);
            assert_eq!(settled.anew(), Towards::Known(Profile::SrtpSdes));
        }
    }

    #[test]
    fn an_answer_is_given_in_the_offerers_kind() {
        let flags = answer_flags(Address::AsSaid);
        assert_eq!(
            flags,
            Intent {
                replace_origin: true,
                ..Intent::default()
            }
        );
    }

    #[test]
    fn a_private_address_is_not_believed_from_a_public_one() {
        let [phone, nat, lan, core] =
            ["192.168.0.90", "82.10.18.109", "192.168.0.1", "203.0.113.7"];
        for (why, said, seen, want) in [
            (
                "behind NAT",
                Some(phone),
                nat,
                Address::AsSeen(address(nat)),
            ),
            (
                "carrier-grade NAT",
                Some("100.64.0.1"),
                nat,
                Address::AsSeen(address(nat)),
            ),
            (
                "behind NAT, IPv6 inside",
                Some("fd00::1"),
                nat,
                Address::AsSeen(address(nat)),
            ),
            ("both in one LAN", Some(phone), lan, Address::AsSaid),
            (
                "mapped",
                Some("::ffff:192.168.0.90"),
                nat,
                Address::AsSeen(address(nat)),
            ),
            (
                "media elsewhere than signalling",
                Some(core),
                nat,
                Address::AsSaid,
            ),
            ("nothing said", None, nat, Address::AsSaid),
        ] {
            assert_eq!(address_of(said.map(address), address(seen)), want, "{why}");
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }
}
