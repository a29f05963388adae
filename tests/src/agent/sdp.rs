//! What a phone or a browser says of its audio.

use super::{Device, Kind};

impl Device {
    /// Its description of audio: what a plain phone says, or over a WebSocket what a browser says; `setup` is the browser's part in
    /// DTLS (`actpass` in an offer, `active` in an answer).
    pub fn sdp(&self, direction: &str, setup: &str) -> String {
        let lines = match self.endpoint.kind {
            Kind::Ws | Kind::Wss => format!(
                "m=audio 49170 UDP/TLS/RTP/SAVPF 0 101\r\nc=IN IP4 127.0.0.1\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
                 a=candidate:1 1 udp 2113937151 127.0.0.1 49170 typ host generation 0\r\na=ice-ufrag:bX0f\r\n\
                 a=ice-pwd:3d4a5e0f9c8b7a6d5e4f3c2b\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\na=mid:0\r\na=rtcp-mux\r\n",
                ["A1"; 32].join(":")
            ),
            _ => "m=audio 49170 RTP/AVP 0 101\r\nc=IN IP4 127.0.0.1\r\n".to_owned(),
        };
        format!(
            "v=0\r\no=- 4397 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{lines}a=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na={direction}\r\n"
        )
    }

    /// Its offer.
    pub fn offer(&self) -> String {
        self.sdp("sendrecv", "actpass")
    }

    /// Its answer.
    pub fn answer(&self) -> String {
        self.sdp("sendrecv", "active")
    }
}
