//! How RTPEngine is to rewrite an SDP: what `offer`, `answer`, `publish` and the subscription commands have in common.

use std::net::IpAddr;
use std::time::Duration;

use crate::bencode::{Dictionary, Value};
use crate::words::{
    AddressFamily, DropTraffic, Dtls, EndpointLearning, FingerprintHash, Flag, Ice, IceLite,
    MediaEcho, Osrtp, RecordCall, Replace, RtcpMux, Sdes, T38, TransportProtocol,
};

/// What is done to the codecs of an SDP (key `codec`, a dictionary of lists). Names are like `PCMU`, `opus/48000/2`,
/// `all`, `full`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    /// Removed from the offer.
    pub strip: Vec<String>,
    /// Kept although `strip` says `all`.
    pub except: Vec<String>,
    /// The order in which they are offered.
    pub offer: Vec<String>,
    /// Added to the offer, and transcoded.
    pub transcode: Vec<String>,
    /// Removed from the offer, yet accepted from the sender and transcoded.
    pub mask: Vec<String>,
    /// Parameters, such as `opus/48000/2/16000`.
    pub set: Vec<String>,
    /// Accepted in the answer, whatever was offered.
    pub accept: Vec<String>,
    /// Like `mask` and `accept` in one.
    pub consume: Vec<String>,
}

impl Codecs {
    fn write(&self, to: &mut Dictionary) {
        let mut lists = Dictionary::new();
        lists.list("strip", &self.strip);
        lists.list("except", &self.except);
        lists.list("offer", &self.offer);
        lists.list("transcode", &self.transcode);
        lists.list("mask", &self.mask);
        lists.list("set", &self.set);
        lists.list("accept", &self.accept);
        lists.list("consume", &self.consume);
        if !lists.is_empty() {
            to.value("codec", lists.into_value());
        }
    }
}

/// All that can be said about an SDP besides the SDP. Every field left alone is not sent, and RTPEngine does as it does
/// by default. A key that is not here goes into `extra`.
///
/// ```
/// use rtpengine_client::{Options, words::*};
///
/// // Towards a browser:
/// let options = Options {
///     transport_protocol: Some(TransportProtocol::DtlsSavpf),
///     ice: Some(Ice::Force),
///     sdes: vec![Sdes::Off],
///     rtcp_mux: vec![RtcpMux::Offer],
///     replace: vec![Replace::Origin],
///     flags: vec![Flag::TrustAddress],
///     ..Options::default()
/// };
/// # assert!(options.extra.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The protocol of the m= lines.
    pub transport_protocol: Option<TransportProtocol>,
    /// ICE attributes.
    pub ice: Option<Ice>,
    /// Who of us is ICE-lite.
    pub ice_lite: Option<IceLite>,
    /// The DTLS role towards the receiver of this SDP.
    pub dtls: Option<Dtls>,
    /// The DTLS role towards its sender.
    pub dtls_reverse: Option<Dtls>,
    /// The hash of our fingerprint.
    pub dtls_fingerprint: Option<FingerprintHash>,
    /// SDES keys.
    pub sdes: Vec<Sdes>,
    /// Opportunistic SRTP.
    pub osrtp: Vec<Osrtp>,
    /// RTP and RTCP on one port.
    pub rtcp_mux: Vec<RtcpMux>,
    /// What else of the SDP is rewritten.
    pub replace: Vec<Replace>,
    /// Switches.
    pub flags: Vec<Flag>,
    /// Flags that [`Flag`] does not know.
    pub other_flags: Vec<String>,
    /// Names of the interfaces (`--interface=NAME/IP`) towards the sender and towards the receiver.
    pub direction: Option<(String, String)>,
    /// The interface towards the receiver alone.
    pub interface: Option<String>,
    /// The family of the addresses written.
    pub address_family: Option<AddressFamily>,
    /// The address written in place of RTPEngine's own.
    pub media_address: Option<IpAddr>,
    /// Where the signalling came from, for [`Flag::SipSourceAddress`].
    pub received_from: Option<IpAddr>,
    /// How the sender's address is learned.
    pub endpoint_learning: Option<EndpointLearning>,
    /// Codecs.
    pub codecs: Codecs,
    /// T.38.
    pub t38: Vec<T38>,
    /// The packet time towards the receiver, sent in milliseconds.
    pub ptime: Option<Duration>,
    /// The packet time towards the sender, sent in milliseconds.
    pub ptime_reverse: Option<Duration>,
    /// Recording on or off.
    pub record_call: Option<RecordCall>,
    /// What is kept with a recording.
    pub metadata: Option<String>,
    /// The name of the sender's side, by which later commands may select it.
    pub label: Option<String>,
    /// The name of the new side (of `subscribe request`), or the new name (of media commands).
    pub set_label: Option<String>,
    /// Media is thrown away.
    pub drop_traffic: Option<DropTraffic>,
    /// Media goes back.
    pub media_echo: Option<MediaEcho>,
    /// RTPEngine makes its own RTCP (`true`) or does not.
    pub generate_rtcp: Option<bool>,
    /// The TOS byte of the media packets.
    pub tos: Option<u8>,
    /// How long audio is held back, in milliseconds on the wire, to detect and block DTMF in time.
    pub delay_buffer: Option<Duration>,
    /// Where RTPEngine reports a call that timed out (an address; the port is in `--b2b-url`).
    pub xmlrpc_callback: Option<IpAddr>,
    /// Any other keys. They win over the typed ones.
    pub extra: Vec<(String, Value)>,
}

impl Options {
    pub(crate) fn write(&self, to: &mut Dictionary) {
        to.text_if("transport-protocol", self.transport_protocol);
        to.text_if("ICE", self.ice);
        to.text_if("ICE-lite", self.ice_lite);
        to.text_if("DTLS", self.dtls);
        to.text_if("DTLS-reverse", self.dtls_reverse);
        to.text_if("DTLS-fingerprint", self.dtls_fingerprint);
        to.list("SDES", self.sdes.iter().map(|word| word.to_word()));
        to.list("OSRTP", &self.osrtp);
        to.list("rtcp-mux", &self.rtcp_mux);
        to.list("replace", &self.replace);
        to.list("flags", self.all_flags());
        if let Some((sender, receiver)) = &self.direction {
            to.list("direction", [sender, receiver]);
        }
        to.text_if("interface", self.interface.as_ref());
        to.text_if("address-family", self.address_family);
        to.text_if(
            "media-address",
            self.media_address.map(|address| address.to_string()),
        );
        if let Some(address) = self.received_from {
            let family = if address.is_ipv4() {
                AddressFamily::Ip4
            } else {
                AddressFamily::Ip6
            };
            to.list("received-from", [family.as_str(), &address.to_string()]);
        }
        to.list("endpoint-learning", self.endpoint_learning);
        self.codecs.write(to);
        to.list("T.38", &self.t38);
        to.number_if("ptime", self.ptime.map(milliseconds));
        to.number_if("ptime-reverse", self.ptime_reverse.map(milliseconds));
        to.text_if("record-call", self.record_call);
        to.text_if("metadata", self.metadata.as_ref());
        to.text_if("label", self.label.as_ref());
        to.text_if("set-label", self.set_label.as_ref());
        to.text_if("drop-traffic", self.drop_traffic);
        to.text_if("media-echo", self.media_echo);
        to.text_if(
            "generate-RTCP",
            self.generate_rtcp.map(|on| if on { "on" } else { "off" }),
        );
        to.number_if("TOS", self.tos);
        to.number_if("delay-buffer", self.delay_buffer.map(milliseconds));
        to.text_if(
            "xmlrpc-callback",
            self.xmlrpc_callback.map(|address| address.to_string()),
        );
        write_extra(&self.extra, to);
    }

    fn all_flags(&self) -> impl Iterator<Item = &str> {
        self.flags
            .iter()
            .map(|flag| flag.as_str())
            .chain(self.other_flags.iter().map(String::as_str))
    }
}

/// Keys that have no field go last, so that they win.
pub(crate) fn write_extra(extra: &[(String, Value)], to: &mut Dictionary) {
    for (key, value) in extra {
        to.value(key, value.clone());
    }
}

/// The protocol's unit for most times. What does not fit is sent as the largest number, which RTPEngine caps.
pub(crate) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::CryptoSuite;

    fn written(options: &Options) -> String {
        let mut dictionary = Dictionary::new();
        options.write(&mut dictionary);
        String::from_utf8(dictionary.encode()).unwrap()
    }

    #[test]
    fn options_left_alone_send_nothing() {
        assert_eq!(written(&Options::default()), "de");
    }

    #[test]
    fn each_option_is_sent_under_the_key_that_rtpengine_reads() {
        let options = Options::default;
        for (set, want) in [
            (
                Options {
                    transport_protocol: Some(TransportProtocol::DtlsSavpf),
                    ..options()
                },
                "d18:transport-protocol17:UDP/TLS/RTP/SAVPFe",
            ),
            (
                Options {
                    ice: Some(Ice::ForceRelay),
                    ..options()
                },
                "d3:ICE11:force-relaye",
            ),
            (
                Options {
                    ice_lite: Some(IceLite::Both),
                    ..options()
                },
                "d8:ICE-lite4:bothe",
            ),
            (
                Options {
                    dtls: Some(Dtls::Off),
                    ..options()
                },
                "d4:DTLS3:offe",
            ),
            (
                Options {
                    dtls_reverse: Some(Dtls::Active),
                    ..options()
                },
                "d12:DTLS-reverse6:activee",
            ),
            (
                Options {
                    dtls_fingerprint: Some(FingerprintHash::Sha256),
                    ..options()
                },
                "d16:DTLS-fingerprint7:sha-256e",
            ),
            (
                Options {
                    sdes: vec![Sdes::Pad, Sdes::No(CryptoSuite::NullHmacSha1_32)],
                    ..options()
                },
                "d4:SDESl3:pad20:no-NULL_HMAC_SHA1_32ee",
            ),
            (
                Options {
                    osrtp: vec![Osrtp::Offer],
                    ..options()
                },
                "d5:OSRTPl5:offeree",
            ),
            (
                Options {
                    rtcp_mux: vec![RtcpMux::Offer, RtcpMux::Accept],
                    ..options()
                },
                "d8:rtcp-muxl5:offer6:acceptee",
            ),
            (
                Options {
                    replace: vec![Replace::ZeroAddress],
                    ..options()
                },
                "d7:replacel12:zero-addressee",
            ),
            (
                Options {
                    flags: vec![Flag::TrustAddress],
                    other_flags: vec!["new".into()],
                    ..options()
                },
                "d5:flagsl13:trust-address3:newee",
            ),
            (
                Options {
                    direction: Some(("in".into(), "out".into())),
                    ..options()
                },
                "d9:directionl2:in3:outee",
            ),
            (
                Options {
                    interface: Some("pub".into()),
                    ..options()
                },
                "d9:interface3:pube",
            ),
            (
                Options {
                    address_family: Some(AddressFamily::Ip6),
                    ..options()
                },
                "d14:address-family3:IP6e",
            ),
            (
                Options {
                    media_address: "2001:db8::1".parse().ok(),
                    ..options()
                },
                "d13:media-address11:2001:db8::1e",
            ),
            (
                Options {
                    received_from: "192.0.2.1".parse().ok(),
                    ..options()
                },
                "d13:received-froml3:IP49:192.0.2.1ee",
            ),
            (
                Options {
                    endpoint_learning: Some(EndpointLearning::Heuristic),
                    ..options()
                },
                "d17:endpoint-learningl9:heuristicee",
            ),
            (
                Options {
                    codecs: Codecs {
                        strip: vec!["all".into()],
                        ..Codecs::default()
                    },
                    ..options()
                },
                "d5:codecd5:stripl3:alleee",
            ),
            (
                Options {
                    t38: vec![T38::Decode],
                    ..options()
                },
                "d4:T.38l6:decodeee",
            ),
            (
                Options {
                    ptime: Some(Duration::from_millis(40)),
                    ..options()
                },
                "d5:ptimei40ee",
            ),
            (
                Options {
                    ptime_reverse: Some(Duration::from_millis(30)),
                    ..options()
                },
                "d13:ptime-reversei30ee",
            ),
            (
                Options {
                    record_call: Some(RecordCall::On),
                    ..options()
                },
                "d11:record-call2:one",
            ),
            (
                Options {
                    metadata: Some("m".into()),
                    ..options()
                },
                "d8:metadata1:me",
            ),
            (
                Options {
                    label: Some("a".into()),
                    ..options()
                },
                "d5:label1:ae",
            ),
            (
                Options {
                    set_label: Some("b".into()),
                    ..options()
                },
                "d9:set-label1:be",
            ),
            (
                Options {
                    drop_traffic: Some(DropTraffic::Start),
                    ..options()
                },
                "d12:drop-traffic5:starte",
            ),
            (
                Options {
                    media_echo: Some(MediaEcho::Both),
                    ..options()
                },
                "d10:media-echo4:bothe",
            ),
            (
                Options {
                    generate_rtcp: Some(false),
                    ..options()
                },
                "d13:generate-RTCP3:offe",
            ),
            (
                Options {
                    tos: Some(184),
                    ..options()
                },
                "d3:TOSi184ee",
            ),
            (
                Options {
                    delay_buffer: Some(Duration::from_secs(1)),
                    ..options()
                },
                "d12:delay-bufferi1000ee",
            ),
            (
                Options {
                    xmlrpc_callback: "192.0.2.1".parse().ok(),
                    ..options()
                },
                "d15:xmlrpc-callback9:192.0.2.1e",
            ),
            (
                Options {
                    extra: vec![("x".into(), Value::Int(1))],
                    ..options()
                },
                "d1:xi1ee",
            ),
        ] {
            assert_eq!(written(&set), want);
        }
    }

    #[test]
    fn an_extra_key_wins_over_the_typed_one() {
        let options = Options {
            ice: Some(Ice::Remove),
            extra: vec![("ICE".into(), "new".into())],
            ..Options::default()
        };
        assert_eq!(written(&options), "d3:ICE3:newe");
    }
}
