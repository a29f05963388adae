//! Where a WebSocket's messages end (RFC 6455 §5.2), followed from the bytes as they pass.
//!
//! The library keeps the buffers that one long message made it grow (134 KiB for 60 KB). They are given back by wrapping
//! the stream anew, which is safe only between messages: with half a frame in its buffer a connection looks just as idle,
//! and the message would be lost.

/// Follows frames; knows no more of them than their length and whether a message is unfinished.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 14],
    have: usize,
    payload: u64,
    in_message: bool,
}

impl Frames {
    /// These bytes came.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skip = bytes
                    .len()
                    .min(usize::try_from(self.payload).unwrap_or(usize::MAX));
                self.payload -= skip as u64;
                bytes = &bytes[skip..];
            } else {
                self.header[self.have] = bytes[0];
                self.have += 1;
                bytes = &bytes[1..];
                self.end_header();
            }
        }
    }

    /// True between two messages: no frame begun, no fragment waiting for its next one.
    pub(super) fn between_messages(&self) -> bool {
        self.have == 0 && self.payload == 0 && !self.in_message
    }

    /// Takes the header in, once it is whole.
    fn end_header(&mut self) {
        let [first, second, ..] = self.header;
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        if self.have < 2 || self.have < 2 + length_bytes + mask_bytes {
            return;
        }
        self.payload = match length_bytes {
            0 => u64::from(second & 0x7f),
            n => self.header[2..2 + n]
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        };
        self.have = 0;
        // Control frames may stand between the fragments of a message and do not end it (§5.4).
        if first & 0x08 == 0 {
            self.in_message = first & 0x80 == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, masked: bool, len: usize) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut out = vec![first];
        match len {
            0..126 => out.push(mask_bit | len as u8),
            126..65536 => {
                out.push(mask_bit | 126);
                out.extend((len as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        if masked {
            out.extend([1, 2, 3, 4]);
        }
        out.extend(vec![0x81; len]);
        out
    }

    #[test]
    fn only_the_end_of_a_message_is_between_messages_however_the_bytes_are_cut() {
        const TEXT: u8 = 0x81;
        const BEGIN: u8 = 0x01;
        const END: u8 = 0x80;
        const PING: u8 = 0x89;
        for (why, parts) in [
            ("short", vec![frame(TEXT, true, 5)]),
            ("empty", vec![frame(TEXT, true, 0)]),
            ("16 bits of length", vec![frame(TEXT, true, 700)]),
            ("64 bits of length", vec![frame(TEXT, true, 70_000)]),
            ("not masked", vec![frame(TEXT, false, 126)]),
            (
                "a ping between fragments",
                vec![
                    frame(BEGIN, true, 9),
                    frame(PING, true, 2),
                    frame(END, true, 3),
                ],
            ),
        ] {
            let bytes = parts.concat();
            for step in [1, 2, 7, 4096] {
                let mut frames = Frames::default();
                let mut passed = 0;
                for chunk in bytes.chunks(step) {
                    assert_eq!(
                        frames.between_messages(),
                        passed == 0,
                        "{why}, {passed} by {step}"
                    );
                    frames.pass(chunk);
                    passed += chunk.len();
                }
                assert!(frames.between_messages(), "{why} by {step}");
            }
        }
    }
}
