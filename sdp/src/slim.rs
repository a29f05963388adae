//! Lines that can go where a description must be short: towards a phone over UDP, whose INVITE has to fit one datagram.

use crate::line::Line;
use crate::session::Session;

/// How much may go. Each does what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slim {
    /// Lines of a browser that mean nothing to a plain phone: header extensions, stream names, RTCP feedback without AVPF,
    /// groups that nobody bundles.
    Foreign,
    /// And what a reader assumes where nothing is said: `a=sendrecv`, `a=ptime:20`, `a=rtcp:` with the port after the media's
    /// (RFC 3605 §2.1), rtpmap lines of static payload types (RFC 3551 §6).
    Implied,
}

/// Attributes that only a browser reads, or that only mean something beside others that RTPEngine has taken out.
const FOREIGN: [&str; 15] = [
    "extmap",
    "extmap-allow-mixed",
    "msid",
    "msid-semantic",
    "ssrc",
    "ssrc-group",
    "rtcp-rsize",
    "rtcp-xr",
    "rid",
    "simulcast",
    "bundle-only",
    "ice-options",
    "end-of-candidates",
    "remote-candidates",
    "label",
];

/// Payload types whose meaning RFC 3551 fixes, as devices still offer them.
const STATIC: [(&str, &str); 9] = [
    ("0", "PCMU/8000"),
    ("3", "GSM/8000"),
    ("4", "G723/8000"),
    ("8", "PCMA/8000"),
    ("9", "G722/8000"),
    ("13", "CN/8000"),
    ("15", "G728/8000"),
    ("18", "G729/8000"),
    ("34", "H263/90000"),
];

impl Session<'_> {
    /// Takes out what a plain phone does not miss, and says how many bytes went. Meant for descriptions without ICE and DTLS
    /// (`RTP/AVP`, `RTP/SAVP`); sections of a browser's kind and rejected ones stay as they are. Payload types on the m= line
    /// never change.
    ///
    /// ```
    /// let body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
    ///              a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=rtpmap:0 PCMU/8000\r\na=sendonly\r\n";
    /// let mut session = sdp::Session::parse(body)?;
    /// assert_eq!(session.slim(sdp::Slim::Foreign), 56);
    /// assert_eq!(session.slim(sdp::Slim::Implied), 22);
    /// assert!(session.to_bytes().ends_with(b"m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"));
    /// # Ok::<(), sdp::Error>(())
    /// ```
    pub fn slim(&mut self, how: Slim) -> usize {
        let before = self.len();
        let plain: Vec<bool> = (0..self.media().len())
            .map(|index| self.is_plain(index))
            .collect();
        if plain.is_empty() || plain.contains(&false) {
            // A session attribute may be meant for the section that is not plain.
            self.slim_media(&plain, how);
            return before - self.len();
        }
        let bundled = |line: &Line<'_>| {
            line.attribute()
                .is_some_and(|(name, value)| name == b"group" && is_bundle(value))
        };
        self.head_mut()
            .remove_lines(|line| is_foreign(line) || bundled(line));
        self.slim_media(&plain, how);
        before - self.len()
    }

    fn slim_media(&mut self, plain: &[bool], how: Slim) {
        // mid is for groups (RFC 5888 §4): while one is left, it stays.
        let grouped = self.head().has_attribute("group");
        let directed = self.head().lines().iter().any(|line| {
            line.attribute()
                .is_some_and(|(name, _)| matches!(name, b"sendonly" | b"recvonly" | b"inactive"))
        });
        for (media, _) in self
            .media_mut()
            .iter_mut()
            .zip(plain)
            .filter(|(_, plain)| **plain)
        {
            let feedback = media.protocol().ends_with(b"F");
            let rtcp = media
                .port()
                .checked_add(1)
                .map(|port| format!("rtcp:{port}"));
            media.section_mut().remove_lines(|line| {
                is_foreign(line)
                    || (line.is_attribute("mid") && !grouped)
                    || (line.is_attribute("rtcp-fb") && !feedback)
                    || (how == Slim::Implied && is_implied(line, rtcp.as_deref(), directed))
            });
        }
    }

    fn is_plain(&self, index: usize) -> bool {
        let ice_or_dtls = ["ice-ufrag", "fingerprint"]
            .into_iter()
            .any(|name| self.attribute_of(index, name).is_some());
        !ice_or_dtls
    }
}

fn is_bundle(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.starts_with(b"BUNDLE"))
}

fn is_foreign(line: &Line<'_>) -> bool {
    line.attribute()
        .is_some_and(|(name, _)| FOREIGN.iter().any(|foreign| foreign.as_bytes() == name))
}

fn is_implied(line: &Line<'_>, rtcp: Option<&str>, directed: bool) -> bool {
    match line.attribute() {
        Some((b"sendrecv", None)) => !directed,
        Some((b"ptime", Some(b"20"))) => true,
        Some((b"rtcp", Some(_))) => {
            rtcp.is_some_and(|rtcp| line.text().strip_prefix(b"a=") == Some(rtcp.as_bytes()))
        }
        Some((b"rtpmap", Some(value))) => STATIC
            .iter()
            .any(|(payload, codec)| is_static(value, payload, codec)),
        _ => false,
    }
}

/// `0 PCMU/8000`, with or without `/1`; encoding names compare without case (RFC 8866 §6.6).
fn is_static(value: &[u8], payload: &str, codec: &str) -> bool {
    let Some(said) = value
        .strip_prefix(payload.as_bytes())
        .and_then(|rest| rest.strip_prefix(b" "))
    else {
        return false;
    };
    let said = said.trim_ascii();
    said.strip_suffix(b"/1")
        .unwrap_or(said)
        .eq_ignore_ascii_case(codec.as_bytes())
}
