//! Damages real bytes, the same way for the same seed.

/// Pseudo-random numbers (xorshift64*): not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`; 0 for 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        if end == 0 { 0 } else { drawn as usize % end }
    }
}

/// Bytes that mean something to one of the parsers.
const PIECES: [&[u8]; 36] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\r\n ",
    b",",
    b";",
    b"<",
    b">",
    b"\"",
    b"\\",
    b":",
    b"@",
    b"=",
    b"%00",
    b"[::1]",
    b"0",
    b"-1",
    b"4294967296",
    b"99999999999999999999",
    b"\0",
    b"\xff",
    b"l: 5\r\n",
    b"l:0\r\n",
    b"Via: ",
    b"Route: <sip:a;lr>\r\n",
    b";lr",
    b"*",
    b"v=0\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"a=sendonly\r\n",
    b"i1e",
    b"d",
    b"le",
];

/// One to four damages: a byte flipped, a piece cut out, doubled, moved, taken from `other`, or put in from what the
/// parsers know.
pub fn mutate(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let most = 1 << random.below(8);
        let end = (at + 1 + random.below(most)).min(data.len());
        match random.below(7) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 if at < data.len() => data[at] = random.below(256) as u8,
            2 => drop(data.drain(at.min(end)..end)),
            3 => {
                let piece = data[at.min(end)..end].to_vec();
                data.splice(at..at, piece);
            }
            4 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                data.splice(at..at, other[from..to].iter().copied());
            }
            5 if random.below(8) == 0 => data.truncate(at),
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                data.splice(at..at, piece.iter().copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_does_the_same_damage() {
        let damaged = |seed| {
            let (mut random, mut data) =
                (Random::new(seed), b"INVITE sip:a@h SIP/2.0\r\n".to_vec());
            for _ in 0..100 {
                mutate(&mut data, b"another", &mut random);
            }
            data
        };
        assert_eq!(damaged(1), damaged(1));
        assert_ne!(damaged(1), damaged(2));
    }
}
