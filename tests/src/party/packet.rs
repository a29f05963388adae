//! RTP packets (RFC 3550 §5.1) and telephone events (RFC 4733 §2.3), as far as a test needs them.

/// What of a packet is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    pub(super) timestamp: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads one; `None` if it is not RTP of version 2.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut start = 12 + 4 * usize::from(first & 15);
        if first & 16 != 0 {
            let words = bytes.get(start + 2..start + 4)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        let padding = if first & 32 != 0 {
            usize::from(*bytes.last()?)
        } else {
            0
        };
        let time = bytes.get(4..8)?;
        Some(Packet {
            kind: bytes[1] & 127,
            timestamp: u32::from_be_bytes([time[0], time[1], time[2], time[3]]),
            payload: bytes.get(start..bytes.len().checked_sub(padding)?)?,
        })
    }
}

/// RFC 5761 §4: of what shares a port, this is RTCP.
pub(super) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// What is sent one after the other.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) source: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
}

impl Stream {
    /// The next packet of the stream.
    pub(super) fn packet(
        &mut self,
        kind: u8,
        marked: bool,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + payload.len());
        bytes.extend_from_slice(&[0x80, kind | if marked { 128 } else { 0 }]);
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.source.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        bytes
    }
}

/// The body of a telephone event.
pub(super) fn event(digit: char, ended: bool, duration: u16) -> [u8; 4] {
    let number = match digit {
        '*' => 10,
        '#' => 11,
        digit => digit.to_digit(10).unwrap_or(0) as u8,
    };
    let [high, low] = duration.to_be_bytes();
    [number, if ended { 0x80 | 10 } else { 10 }, high, low]
}

/// The digit of an event, and whether it has ended.
pub(super) fn digit(payload: &[u8]) -> Option<(char, bool)> {
    let [number, flags, ..] = *payload else {
        return None;
    };
    let digit = *b"0123456789*#ABCD".get(usize::from(number))?;
    Some((char::from(digit), flags & 0x80 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let mut stream = Stream {
            source: 7,
            sequence: 65_535,
            timestamp: 0,
        };
        let bytes = stream.packet(101, true, 320, &event('#', true, 800));
        let packet = Packet::read(&bytes).unwrap();
        assert_eq!((packet.kind, packet.timestamp), (101, 320));
        assert_eq!(digit(packet.payload), Some(('#', true)));
        assert_eq!(stream.sequence, 0);
    }

    #[test]
    fn header_extensions_and_padding_are_no_payload() {
        let mut bytes = vec![
            0xB0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4,
        ];
        bytes.extend_from_slice(&[9, 9, 0, 2]);
        assert_eq!(Packet::read(&bytes).unwrap().payload, [9, 9]);
        assert!(Packet::read(&bytes[..14]).is_none());
        assert!(Packet::read(&[]).is_none());
    }
}
