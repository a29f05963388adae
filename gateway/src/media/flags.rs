//! The proxy's intents in the ng protocol's words, one to one.

use std::time::Duration;

use proxy::media::intent::{Address, Ice, Intent, Ip, Protocol, RtcpMux, Sdes};
use rtpengine_client::Options;
use rtpengine_client::{Codecs, words};

/// What RTPEngine is told.
pub(super) fn options(intent: &Intent) -> Options {
    let (flag, received_from) = match intent.address {
        Address::AsSaid => (words::Flag::TrustAddress, None),
        Address::AsSeen(address) => (words::Flag::SipSourceAddress, Some(address)),
    };
    Options {
        transport_protocol: intent.transport_protocol.map(|protocol| match protocol {
            Protocol::RtpAvp => words::TransportProtocol::RtpAvp,
            Protocol::RtpSavp => words::TransportProtocol::RtpSavp,
            Protocol::DtlsSavp => words::TransportProtocol::DtlsSavp,
            Protocol::DtlsSavpf => words::TransportProtocol::DtlsSavpf,
        }),
        ice: intent.ice.map(|ice| match ice {
            Ice::Force => words::Ice::Force,
            Ice::Remove => words::Ice::Remove,
        }),
        dtls: intent.dtls_off.then_some(words::Dtls::Off),
        sdes: match intent.sdes {
            None => Vec::new(),
            Some(Sdes::Off) => vec![words::Sdes::Off],
            Some(Sdes::TwoSuites) => {
                let two = [
                    words::CryptoSuite::AesCm128HmacSha1_80,
                    words::CryptoSuite::AesCm128HmacSha1_32,
                ];
                std::iter::once(words::Sdes::Pad)
                    .chain(words::Sdes::only(&two))
                    .collect()
            }
        },
        osrtp: if intent.osrtp_offer {
            vec![words::Osrtp::Offer]
        } else {
            Vec::new()
        },
        rtcp_mux: match intent.rtcp_mux {
            None => Vec::new(),
            Some(RtcpMux::Offer) => vec![words::RtcpMux::Offer],
            Some(RtcpMux::Demux) => vec![words::RtcpMux::Demux],
        },
        replace: if intent.replace_origin {
            // RTPEngine leaves the c= line of the session as it came where each m= line has its own.
            vec![words::Replace::Origin, words::Replace::SessionConnection]
        } else {
            Vec::new()
        },
        flags: std::iter::once(flag)
            .chain(intent.inject_keys.then_some(words::Flag::InjectDtmf))
            .collect(),
        received_from,
        codecs: Codecs {
            strip: intent.codecs.strip.clone(),
            mask: intent.codecs.mask.clone(),
            offer: intent.codecs.offer.clone(),
            transcode: intent.codecs.transcode.clone(),
            ..Codecs::default()
        },
        record_call: intent.record.then_some(words::RecordCall::On),
        direction: intent
            .direction
            .as_ref()
            .map(|(from, to)| (from.to_string(), to.to_string())),
        address_family: intent.family.map(|family| match family {
            Ip::V4 => words::AddressFamily::Ip4,
            Ip::V6 => words::AddressFamily::Ip6,
        }),
        ptime: intent
            .ptime
            .map(|milliseconds| Duration::from_millis(milliseconds.into())),
        ..Options::default()
    }
}
