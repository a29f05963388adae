//! Tones in G.711 (ITU-T G.711): made, and recognised in a packet of 20 ms.

use std::f64::consts::TAU;

/// Samples of a second, and of a packet.
pub(super) const RATE: u32 = 8000;
pub(super) const SAMPLES: u32 = 160;
/// How many tones are told apart: 400 Hz, 600 Hz … Whole periods fit into a packet, so that none is heard in another.
const TONES: u32 = 15;

/// The tone of a number.
pub(super) fn of(number: u32) -> u32 {
    400 + 200 * (number % TONES)
}

/// All of them.
pub(super) fn all() -> Vec<u32> {
    (0..TONES).map(of).collect()
}

/// The two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    Mu,
    A,
}

impl Law {
    fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => {
                let sign = if sample < 0 { 0x80 } else { 0 };
                let size = i32::from(sample).unsigned_abs().min(32_635) + 132;
                let exponent = 24 - size.leading_zeros();
                let mantissa = size >> (exponent + 3) & 15;
                !(sign | (exponent as u8) << 4 | mantissa as u8)
            }
            Law::A => {
                let sign = if sample < 0 { 0 } else { 0x80 };
                let size = if sample < 0 {
                    -(i32::from(sample) + 1)
                } else {
                    i32::from(sample)
                };
                let size = size.unsigned_abs();
                let byte = if size < 256 {
                    size >> 4
                } else {
                    let exponent = 24 - size.leading_zeros();
                    exponent << 4 | size >> (exponent + 3) & 15
                };
                (sign | byte as u8) ^ 0x55
            }
        }
    }

    fn decode(self, byte: u8) -> f64 {
        match self {
            Law::Mu => {
                let byte = !byte;
                let (exponent, mantissa) = (byte >> 4 & 7, u32::from(byte & 15));
                let size = ((mantissa * 8 + 132) << exponent) as f64 - 132.0;
                if byte & 0x80 != 0 { -size } else { size }
            }
            Law::A => {
                let byte = byte ^ 0x55;
                let (exponent, mantissa) = (byte >> 4 & 7, u32::from(byte & 15));
                let size = match exponent {
                    0 => mantissa * 16 + 8,
                    _ => (mantissa * 16 + 264) << (exponent - 1),
                };
                if byte & 0x80 != 0 {
                    f64::from(size)
                } else {
                    -f64::from(size)
                }
            }
        }
    }

    /// A packet's worth of a tone, from this sample on.
    pub(super) fn packet(self, hertz: u32, from: u32) -> Vec<u8> {
        let sample = |n: u32| {
            let phase =
                TAU * f64::from(hertz) * f64::from(from.wrapping_add(n) % RATE) / f64::from(RATE);
            (phase.sin() * 8000.0) as i16
        };
        (0..SAMPLES).map(|n| self.encode(sample(n))).collect()
    }

    /// The tone that holds most of a payload's energy (Goertzel's algorithm), if one does.
    pub(super) fn recognise(self, payload: &[u8]) -> Option<u32> {
        let samples: Vec<f64> = payload.iter().map(|byte| self.decode(*byte)).collect();
        let energy: f64 = samples.iter().map(|sample| sample * sample).sum();
        if samples.is_empty() || energy / (samples.len() as f64) < 1e4 {
            return None;
        }
        (0..TONES).map(of).find(|hertz| {
            let step = 2.0 * (TAU * f64::from(*hertz) / f64::from(RATE)).cos();
            let (one, two) = samples.iter().fold((0.0, 0.0), |(one, two), sample| {
                (sample + step * one - two, one)
            });
            let power = one * one + two * two - step * one * two;
            power * 2.0 / (samples.len() as f64) > energy * 0.7
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tone_is_recognised_in_both_laws_and_silence_is_none() {
        for law in [Law::Mu, Law::A] {
            for number in 0..TONES {
                for from in [0, 12_345] {
                    let packet = law.packet(of(number), from);
                    assert_eq!(law.recognise(&packet), Some(of(number)), "{law:?}");
                }
            }
            assert_eq!(law.recognise(&[law.encode(0); 160]), None);
            for sample in [-32_768, -8_000, -100, 0, 100, 8_000, 32_767] {
                let back = law.decode(law.encode(sample));
                let error = (back - f64::from(sample)).abs();
                assert!(
                    error <= 16.0 + f64::from(sample).abs() / 16.0,
                    "{law:?}: {sample} is {back}"
                );
            }
        }
    }
}
