//! What a phone says of its audio and reads of another's: SDP (RFC 8866) by offer and answer (RFC 3264), for one audio line.
//!
//! It is written and read here and not by the gateway's own crate, so that what a test says of the gateway does not depend on
//! the code under test.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};

use super::Spelling;

/// How a phone carries its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Plain RTP.
    Avp,
    /// SRTP with its keys in SDP (RFC 4568).
    Sdes,
    /// ICE and DTLS-SRTP (RFC 8827).
    Webrtc,
}

impl Profile {
    /// What such a phone can speak, the liked ones first.
    pub(super) fn codecs(self) -> Vec<Codec> {
        match self {
            Profile::Webrtc => vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            _ => vec![Codec::Pcmu, Codec::Pcma],
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Profile::Avp => "RTP/AVP",
            Profile::Sdes => "RTP/SAVP",
            Profile::Webrtc => "UDP/TLS/RTP/SAVPF",
        }
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Pcmu,
    Pcma,
    Opus,
}

impl Codec {
    /// Its name in `a=rtpmap`, upper case.
    pub(super) fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::Opus => "OPUS",
        }
    }

    fn format(self) -> (u8, &'static str) {
        match self {
            Codec::Pcmu => (0, "PCMU/8000"),
            Codec::Pcma => (8, "PCMA/8000"),
            Codec::Opus => (111, "opus/48000/2"),
        }
    }
}

/// The name of RFC 4733 in `a=rtpmap`, as read here.
pub(super) const EVENTS: &str = "TELEPHONE-EVENT";
/// The one suite of SDES that every phone has.
pub(super) const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// Who begins DTLS: RFC 5763 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Offers both; answers that it begins.
    Actpass,
    /// It begins.
    Active,
    /// The other begins.
    Passive,
}

impl Setup {
    fn name(self) -> &'static str {
        match self {
            Setup::Actpass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
        }
    }

    /// What is answered to an offer: what it leaves open is as this side likes.
    fn answered(self, offer: &Line) -> Self {
        match (offer.setup.as_deref(), self) {
            (Some("active"), _) => Setup::Passive,
            (Some("passive"), _) => Setup::Active,
            (_, Setup::Passive) => Setup::Passive,
            (_, Setup::Actpass | Setup::Active) => Setup::Active,
        }
    }

    /// Whether this side begins, after the other said this.
    pub(super) fn begins(self, line: &Line, they_answered: bool) -> bool {
        match (they_answered, self) {
            (true, Setup::Actpass) => line.setup.as_deref() == Some("passive"),
            (true, own) => own == Setup::Active,
            (false, own) => own.answered(line) == Setup::Active,
        }
    }
}

/// `a=sendrecv` and so on, as two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    pub(super) sends: bool,
    pub(super) receives: bool,
}

impl Direction {
    pub(super) const BOTH: Direction = Direction {
        sends: true,
        receives: true,
    };

    fn name(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let both = [true, false];
        let mut all = both
            .into_iter()
            .flat_map(|sends| both.map(|receives| Direction { sends, receives }));
        all.find(|direction| direction.name() == name)
    }

    /// RFC 3264 §6.1: what is answered to this by one who would rather send and receive.
    pub(super) fn answered(self) -> Self {
        Direction {
            sends: self.receives,
            receives: self.sends,
        }
    }
}

/// ICE credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) fragment: String,
    pub(super) password: String,
}

/// What a phone would say of itself.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) profile: Profile,
    pub(super) at: SocketAddr,
    pub(super) version: u32,
    pub(super) codecs: Vec<Codec>,
    pub(super) direction: Direction,
    /// Held in the old way: nobody shall send to it.
    pub(super) zero: bool,
    /// Base64 of key and salt.
    pub(super) key: String,
    pub(super) ice: Credentials,
    pub(super) fingerprint: String,
    pub(super) setup: Setup,
}

impl Own {
    /// It holds the other, or does no longer.
    pub(super) fn held(mut self, spelling: Option<Spelling>) -> Self {
        self.zero = spelling == Some(Spelling::Zero);
        self.direction = match spelling {
            None | Some(Spelling::Zero) => Direction::BOTH,
            Some(Spelling::Sendonly) => Direction {
                sends: true,
                receives: false,
            },
            Some(Spelling::Inactive) => Direction {
                sends: false,
                receives: false,
            },
        };
        self
    }

    fn head(&self) -> String {
        let host = self.at.ip();
        let address = if self.zero {
            "0.0.0.0".to_owned()
        } else {
            host.to_string()
        };
        let version = self.version;
        format!("v=0\r\no=- 4397 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n")
    }

    fn line(
        &self,
        formats: &[(u8, String)],
        protocol: &str,
        setup: &str,
        tag: &str,
        middle: &str,
    ) -> String {
        let kinds: Vec<String> = formats.iter().map(|(kind, _)| kind.to_string()).collect();
        let mut text = format!(
            "m=audio {} {protocol} {}\r\n",
            self.at.port(),
            kinds.join(" ")
        );
        for (kind, map) in formats {
            let _ = write!(text, "a=rtpmap:{kind} {map}\r\n");
            if map.starts_with("telephone-event") {
                let _ = write!(text, "a=fmtp:{kind} 0-15\r\n");
            }
        }
        match self.profile {
            Profile::Avp => {}
            Profile::Sdes => {
                let _ = write!(text, "a=crypto:{tag} {SUITE} inline:{}\r\n", self.key);
            }
            Profile::Webrtc => {
                let Credentials { fragment, password } = &self.ice;
                let _ = write!(
                    text,
                    "a=candidate:1 1 udp 2113937151 {} {} typ host generation 0\r\na=ice-ufrag:{fragment}\r\na=ice-pwd:{password}\r\n\
                     a=fingerprint:sha-256 {}\r\na=setup:{setup}\r\na=mid:{middle}\r\na=rtcp-mux\r\n",
                    self.at.ip(),
                    self.at.port(),
                    self.fingerprint
                );
            }
        }
        let _ = write!(text, "a=ptime:20\r\na={}\r\n", self.direction.name());
        text
    }

    /// What it can receive, by payload type, if it offers.
    pub(super) fn formats(&self) -> Vec<(u8, String)> {
        let codecs = self.codecs.iter().map(|codec| codec.format());
        let mut all: Vec<(u8, String)> = codecs.map(|(kind, map)| (kind, map.to_owned())).collect();
        all.push((101, "telephone-event/8000".to_owned()));
        if self.codecs.contains(&Codec::Opus) {
            all.push((110, "telephone-event/48000".to_owned()));
        }
        all
    }

    /// An offer.
    pub(super) fn offer(&self) -> String {
        self.head()
            + &self.line(
                &self.formats(),
                self.profile.protocol(),
                self.setup.name(),
                "1",
                "0",
            )
    }

    /// What of an offer it takes, by the offer's payload types (RFC 3264 §6.1).
    pub(super) fn common(&self, line: &Line) -> Vec<(u8, String)> {
        let names: Vec<&str> = self.codecs.iter().map(|codec| codec.name()).collect();
        let is_ours = |map: &str| {
            let name = map.split('/').next().unwrap_or_default().to_uppercase();
            names.contains(&name.as_str()) || name == EVENTS
        };
        let all = line.formats.iter().filter(|(_, map)| is_ours(map));
        all.cloned().collect()
    }

    /// The answer: one line is taken, every other one refused in its place (RFC 3264 §6).
    pub(super) fn answer(&self, offer: &Description, taken: usize) -> String {
        let mut text = self.head();
        for (index, line) in offer.lines.iter().enumerate() {
            if index == taken {
                let tag = line.key.as_ref().map_or("1", |key| &key.0);
                text += &self.line(
                    &self.common(line),
                    &line.protocol,
                    self.setup.answered(line).name(),
                    tag,
                    &line.middle,
                );
            } else {
                let _ = write!(
                    text,
                    "m={} 0 {} {}\r\n",
                    line.medium, line.protocol, line.kinds
                );
            }
        }
        text
    }
}

/// What somebody else said.
#[derive(Clone, Debug, Default)]
pub(super) struct Description {
    pub(super) lines: Vec<Line>,
}

/// One m= line of it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    medium: String,
    protocol: String,
    kinds: String,
    pub(super) at: SocketAddr,
    /// Payload types and what `a=rtpmap` says of them.
    pub(super) formats: Vec<(u8, String)>,
    pub(super) direction: Direction,
    /// Tag and key of the suite that everybody has.
    pub(super) key: Option<(String, String)>,
    pub(super) ice: Option<Credentials>,
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) fingerprint: Option<String>,
    pub(super) setup: Option<String>,
    middle: String,
}

impl Description {
    /// Reads one.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut host: IpAddr = [0, 0, 0, 0].into();
        let mut session: Vec<String> = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("m=") {
                lines.push(Line::begin(rest, host)?);
                let newest = lines.last_mut().context("a line was read")?;
                session
                    .iter()
                    .for_each(|attribute| newest.learns(attribute));
            } else if let Some(rest) = line.strip_prefix("c=IN IP") {
                let address = rest
                    .split(' ')
                    .nth(1)
                    .context("no address in c=")?
                    .trim()
                    .parse()?;
                match lines.last_mut() {
                    Some(newest) => newest.at.set_ip(address),
                    None => host = address,
                }
            } else if let Some(attribute) = line.strip_prefix("a=") {
                match lines.last_mut() {
                    Some(newest) => newest.learns(attribute),
                    None => session.push(attribute.to_owned()),
                }
            }
        }
        Ok(Description { lines })
    }

    /// The first line that this profile can take, and its number.
    pub(super) fn audio(&self, profile: Profile) -> Result<(usize, &Line)> {
        let mut all = self.lines.iter().enumerate();
        let found = all.find(|(_, line)| {
            let kind = match profile {
                Profile::Avp => line.key.is_none() && line.fingerprint.is_none(),
                Profile::Sdes => line.key.is_some(),
                Profile::Webrtc => line.fingerprint.is_some() && line.ice.is_some(),
            };
            kind && line.medium == "audio" && line.at.port() != 0
        });
        found.with_context(|| format!("no audio for {profile:?}: {:?}", self.lines))
    }
}

impl Line {
    fn begin(rest: &str, host: IpAddr) -> Result<Self> {
        let mut words = rest.splitn(4, ' ');
        let mut next = || words.next().context("a short m= line");
        let (medium, port) = (next()?.to_owned(), next()?.parse()?);
        let (protocol, kinds) = (next()?.to_owned(), next()?.trim().to_owned());
        let formats = kinds.split(' ').filter_map(|kind| {
            // RFC 3551 §6: these need no a=rtpmap.
            let kind = kind.parse().ok()?;
            let map = match kind {
                0 => "PCMU/8000",
                8 => "PCMA/8000",
                _ => "",
            };
            Some((kind, map.to_owned()))
        });
        Ok(Line {
            formats: formats.collect(),
            medium,
            protocol,
            kinds,
            at: SocketAddr::new(host, port),
            direction: Direction::BOTH,
            key: None,
            ice: None,
            candidates: Vec::new(),
            fingerprint: None,
            setup: None,
            middle: "0".to_owned(),
        })
    }

    fn learns(&mut self, attribute: &str) {
        let (name, value) = attribute
            .trim()
            .split_once(':')
            .unwrap_or((attribute.trim(), ""));
        let credentials = |ice: &mut Option<Credentials>| {
            let empty = Credentials {
                fragment: String::new(),
                password: String::new(),
            };
            ice.take().unwrap_or(empty)
        };
        match name {
            "rtpmap" => {
                let (kind, map) = value.split_once(' ').unwrap_or_default();
                let own = self
                    .formats
                    .iter_mut()
                    .find(|(own, _)| own.to_string() == kind);
                if let Some((_, own)) = own {
                    map.clone_into(own);
                }
            }
            "crypto" if self.key.is_none() => {
                let words: Vec<&str> = value.split(' ').collect();
                if let [tag, SUITE, key, ..] = words[..] {
                    let key = key
                        .trim_start_matches("inline:")
                        .split('|')
                        .next()
                        .unwrap_or_default();
                    self.key = Some((tag.to_owned(), key.to_owned()));
                }
            }
            "ice-ufrag" => {
                let ice = credentials(&mut self.ice);
                self.ice = Some(Credentials {
                    fragment: value.to_owned(),
                    ..ice
                });
            }
            "ice-pwd" => {
                let ice = credentials(&mut self.ice);
                self.ice = Some(Credentials {
                    password: value.to_owned(),
                    ..ice
                });
            }
            "candidate" => {
                let words: Vec<&str> = value.split(' ').collect();
                if let [_, "1", transport, _, host, port, ..] = words[..]
                    && transport.eq_ignore_ascii_case("udp")
                    && let (Ok(host), Ok(port)) = (host.parse(), port.parse())
                {
                    self.candidates.push(SocketAddr::new(host, port));
                }
            }
            "fingerprint" => self.fingerprint = value.split(' ').nth(1).map(str::to_uppercase),
            "setup" => self.setup = Some(value.to_owned()),
            "mid" => value.clone_into(&mut self.middle),
            _ => self.direction = Direction::named(name).unwrap_or(self.direction),
        }
    }

    /// RFC 2543 §B.5: who says this wants to be sent nothing.
    pub(super) fn is_held(&self) -> bool {
        self.at.ip().is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(profile: Profile) -> Own {
        Own {
            profile,
            at: SocketAddr::from(([127, 0, 0, 1], 4000)),
            version: 1,
            codecs: vec![Codec::Opus, Codec::Pcmu],
            direction: Direction::BOTH,
            zero: false,
            key: "a2V5".to_owned(),
            ice: Credentials {
                fragment: "f".to_owned(),
                password: "p".to_owned(),
            },
            fingerprint: "AA:BB".to_owned(),
            setup: Setup::Actpass,
        }
    }

    #[test]
    fn what_one_says_the_other_reads() {
        for profile in [Profile::Avp, Profile::Sdes, Profile::Webrtc] {
            let offer = Description::read(&own(profile).offer()).unwrap();
            let (index, line) = offer.audio(profile).unwrap();
            assert_eq!((index, line.at.port()), (0, 4000));
            assert_eq!(line.formats[0], (111, "opus/48000/2".to_owned()));
            let mut less = own(profile);
            less.codecs = vec![Codec::Pcmu];
            let answer = less.answer(&offer, index);
            let answer = Description::read(&answer).unwrap();
            let (_, line) = answer.audio(profile).unwrap();
            let kinds: Vec<u8> = line.formats.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [0, 101, 110], "{profile:?}");
        }
    }

    #[test]
    fn a_hold_is_read_in_its_three_spellings() {
        for (spelling, held) in [
            (Spelling::Sendonly, "recvonly"),
            (Spelling::Inactive, "inactive"),
            (Spelling::Zero, "sendrecv"),
        ] {
            let text = own(Profile::Avp).held(Some(spelling)).offer();
            let read = Description::read(&text).unwrap();
            let (_, line) = read.audio(Profile::Avp).unwrap();
            assert_eq!(line.direction.answered().name(), held);
            assert_eq!(line.is_held(), spelling == Spelling::Zero);
        }
    }

    #[test]
    fn a_line_too_many_is_refused_in_its_place() {
        let two = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n\
                   m=audio 9 RTP/AVP 0 8\r\n";
        let offer = Description::read(two).unwrap();
        let (index, _) = offer.audio(Profile::Avp).unwrap();
        assert_eq!(index, 1);
        let answer = own(Profile::Avp).answer(&offer, index);
        assert!(
            answer.contains("m=audio 0 RTP/SAVP 0\r\nm=audio 4000 RTP/AVP 0\r\n"),
            "{answer}"
        );
    }
}
