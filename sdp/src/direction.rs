//! Which way media flows (RFC 3264 §5.1, §6.1), and the ways to put a call on hold.

use crate::session::Session;

/// Which way media flows, as the one who says it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; what holds where nothing is said.
    SendRecv,
    /// It sends and does not want to receive.
    SendOnly,
    /// It receives and does not send.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::SendRecv,
        Self::SendOnly,
        Self::RecvOnly,
        Self::Inactive,
    ];

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether it sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether it receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// Whether an answer may say this to an offer of `offered`: it sends only what is received, and receives only what is
    /// sent (RFC 3264 §6.1).
    pub fn answers(self, offered: Self) -> bool {
        (!self.sends() || offered.receives()) && (!self.receives() || offered.sends())
    }
}

/// How a party says that it holds the call. All are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// `a=sendonly`: held, maybe with music (RFC 3264 §8.4).
    SendOnly,
    /// `a=inactive`: held, nothing flows.
    Inactive,
    /// `c=IN IP4 0.0.0.0`: RFC 2543's way, which RFC 3264 §8.4 still wants understood.
    ZeroAddress,
}

impl Session<'_> {
    /// The direction of a media section: its own attribute, else the session's, else both ways. `None` where the section is
    /// not there.
    pub fn direction(&self, index: usize) -> Option<Direction> {
        let own = self.media().get(index)?.section();
        let said = |section: &crate::Section<'_>| {
            Direction::ALL
                .into_iter()
                .find(|way| section.has_attribute(way.as_str()))
        };
        Some(
            said(own)
                .or_else(|| said(self.head()))
                .unwrap_or(Direction::SendRecv),
        )
    }

    /// Sets the direction of a media section; whether it was there.
    pub fn set_direction(&mut self, index: usize, direction: Direction) -> bool {
        let Some(media) = self.media_mut().get_mut(index) else {
            return false;
        };
        let section = media.section_mut();
        let is_direction = |name: &[u8]| {
            Direction::ALL
                .iter()
                .any(|way| way.as_str().as_bytes() == name)
        };
        section.remove_lines(|line| line.attribute().is_some_and(|(name, _)| is_direction(name)));
        section.add_attribute(direction.as_str(), None);
        true
    }

    /// Whether and how a media section is on hold. A rejected one is not.
    ///
    /// The zero address says hold only where no ICE is spoken: a browser that hides its addresses (mDNS) writes
    /// `c=IN IP4 0.0.0.0` in every offer and means nothing by it (RFC 8839 §4.2.1).
    pub fn hold(&self, index: usize) -> Option<Hold> {
        let media = self
            .media()
            .get(index)
            .filter(|media| !media.is_rejected())?;
        let nowhere = self.connection_of(index).is_some_and(is_zero);
        match self.direction(index)? {
            Direction::SendOnly => Some(Hold::SendOnly),
            Direction::Inactive => Some(Hold::Inactive),
            _ if nowhere
                && self.attribute_of(index, "ice-ufrag").is_none()
                && media.port() != 0 =>
            {
                Some(Hold::ZeroAddress)
            }
            _ => None,
        }
    }

    /// Whether the call is on hold: there are audio sections that are not rejected, and all of them are.
    pub fn is_on_hold(&self) -> bool {
        let mut audio = (0..self.media().len())
            .filter(|index| {
                self.media()[*index].kind() == b"audio" && !self.media()[*index].is_rejected()
            })
            .peekable();
        audio.peek().is_some() && audio.all(|index| self.hold(index).is_some())
    }
}

/// `IN IP4 0.0.0.0`, `IN IP6 ::`.
fn is_zero(connection: &[u8]) -> bool {
    let address = connection
        .trim_ascii()
        .rsplit(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    address == b"0.0.0.0" || address == b"::"
}
