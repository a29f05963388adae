//! Who there is.

/// A kind of party: a row and a column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Plain RTP, over UDP.
    Avp,
    /// SRTP with its keys in SDP, over TLS.
    Sdes,
    /// ICE and DTLS-SRTP, over WSS.
    Webrtc,
    /// FreeSWITCH, by what it was seen to send.
    Core,
}

impl Kind {
    /// Who calls.
    pub(crate) const ROWS: [Kind; 4] = [Kind::Avp, Kind::Sdes, Kind::Webrtc, Kind::Core];
    /// Who is called.
    pub(crate) const COLUMNS: [Kind; 4] = [Kind::Avp, Kind::Sdes, Kind::Webrtc, Kind::Core];

    /// As the table names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Avp => "AVP phone",
            Kind::Sdes => "SDES phone",
            Kind::Webrtc => "WebRTC client",
            Kind::Core => "core",
        }
    }
}
