//! Who there is, and what two of them cannot do together although each could with somebody else.

use causeway_tests::party::Step;

/// A kind of party: a row and a column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Plain RTP, over UDP.
    Avp,
    /// SRTP with its keys in SDP, over TLS.
    Sdes,
    /// ICE and DTLS-SRTP, over WSS.
    Webrtc,
    /// baresip over UDP.
    Baresip,
    /// baresip over TLS, with SDES.
    BaresipSdes,
    /// linphone over TCP.
    Linphone,
    /// linphone over TLS, with SDES.
    LinphoneSdes,
    /// The demo page in Chromium.
    Chromium,
    /// The demo page in Firefox.
    Firefox,
    /// FreeSWITCH, by what it was seen to send.
    Core,
}

impl Kind {
    /// Who calls.
    pub(crate) const ROWS: [Kind; 10] = [
        Kind::Avp,
        Kind::Sdes,
        Kind::Webrtc,
        Kind::Baresip,
        Kind::BaresipSdes,
        Kind::Linphone,
        Kind::LinphoneSdes,
        Kind::Chromium,
        Kind::Firefox,
        Kind::Core,
    ];
    /// Who is called.
    pub(crate) const COLUMNS: [Kind; 10] = Self::ROWS;

    /// As the table names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Avp => "AVP phone",
            Kind::Sdes => "SDES phone",
            Kind::Webrtc => "WebRTC client",
            Kind::Baresip => "baresip",
            Kind::BaresipSdes => "baresip, SDES",
            Kind::Linphone => "linphone",
            Kind::LinphoneSdes => "linphone, SDES",
            Kind::Chromium => "Chromium",
            Kind::Firefox => "Firefox",
            Kind::Core => "core",
        }
    }

    /// Why nothing comes of a step that this one begins and the other follows.
    pub(crate) fn cannot(self, step: Step, other: Kind) -> Option<&'static str> {
        match (self, step, other) {
            // RTPEngine gives the keys of one SDES phone to the other, new ones too.
            (Kind::Sdes, Step::Restart, Kind::BaresipSdes) => Some("baresip keeps the first keys"),
            // It takes a 180 without SDP for the end of what the 183 before it began, and linphone sends one.
            (
                Kind::Baresip | Kind::BaresipSdes,
                Step::Early,
                Kind::Linphone | Kind::LinphoneSdes,
            ) => Some("baresip falls silent at a 180 after the 183"),
            _ => None,
        }
    }

    /// A phone of ours.
    pub(crate) fn is_phone(self) -> bool {
        matches!(self, Kind::Avp | Kind::Sdes)
    }

    /// baresip.
    pub(crate) fn is_desk(self) -> bool {
        matches!(self, Kind::Baresip | Kind::BaresipSdes)
    }

    /// linphone.
    pub(crate) fn is_linphone(self) -> bool {
        matches!(self, Kind::Linphone | Kind::LinphoneSdes)
    }
}
