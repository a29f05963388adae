//! Sound in files: tones to speak with, and what is in a recording.
//!
//! A phone of a test speaks a tone of its own, so the other side's recording proves by its frequency whose voice it heard.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One channel of samples from -1 to 1.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Samples a second.
    pub rate: u32,
    /// The samples of the first channel.
    pub samples: Vec<f32>,
}

impl Sound {
    /// A tone of `hertz`, half as loud as can be.
    pub fn tone(hertz: u32, seconds: u32, rate: u32) -> Self {
        let step = TAU * f64::from(hertz) / f64::from(rate);
        let samples = (0..seconds * rate)
            .map(|index| (0.5 * (step * f64::from(index)).sin()) as f32)
            .collect();
        Sound { rate, samples }
    }

    /// Reads a WAV file of 16-bit or float samples, also one whose writer has not finished it: the lengths in its header are not believed.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            bail!("{} is no WAV file", path.display());
        }
        let mut format = None;
        let mut rest = bytes.get(12..).unwrap_or_default();
        while let (Some(name), Some(length)) = (rest.get(..4), rest.get(4..8)) {
            let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
            let body = rest.get(8..).unwrap_or_default();
            match name {
                b"fmt " => format = body.get(..16).map(Format::read),
                b"data" => {
                    let format = format.context("samples before their format")?;
                    let length = if length == 0 {
                        body.len()
                    } else {
                        length.min(body.len())
                    };
                    return Ok(Sound {
                        rate: format.rate,
                        samples: format.samples(&body[..length])?,
                    });
                }
                _ => {}
            }
            rest = body.get(length + length % 2..).unwrap_or_default();
        }
        bail!("{} has no samples", path.display())
    }

    /// Writes 16-bit samples.
    pub fn write(&self, path: &Path) -> Result<()> {
        let size = u32::try_from(self.samples.len() * 2)?;
        let mut bytes = Vec::with_capacity(44 + self.samples.len() * 2);
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(36 + size).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        bytes.extend_from_slice(&self.rate.to_le_bytes());
        bytes.extend_from_slice(&(self.rate * 2).to_le_bytes());
        bytes.extend_from_slice(b"\x02\0\x10\0data");
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend(
            self.samples
                .iter()
                .flat_map(|sample| ((sample * 32767.0) as i16).to_le_bytes()),
        );
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The part from `start` on, both in seconds.
    pub fn part(&self, start: f64, seconds: f64) -> Self {
        let index = |at: f64| ((at * f64::from(self.rate)) as usize).min(self.samples.len());
        Sound {
            rate: self.rate,
            samples: self.samples[index(start)..index(start + seconds)].to_vec(),
        }
    }

    /// Root mean square, 0 to 1. A tone of half amplitude has 0.35, silence less than 0.001.
    pub fn loudness(&self) -> f64 {
        let squares: f64 = self
            .samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        (squares / self.samples.len().max(1) as f64).sqrt()
    }

    /// The share of the energy that lies at `hertz` (Goertzel): near 1 for a clean tone, near 0 for another one or for silence.
    pub fn share_of(&self, hertz: u32) -> f64 {
        let energy: f64 = self
            .samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        if energy < 1e-6 {
            return 0.0;
        }
        let factor = 2.0 * (TAU * f64::from(hertz) / f64::from(self.rate)).cos();
        let (mut last, mut before) = (0.0, 0.0);
        for sample in &self.samples {
            (last, before) = (f64::from(*sample) + factor * last - before, last);
        }
        let power = last * last + before * before - factor * last * before;
        2.0 * power / (energy * self.samples.len() as f64)
    }

    /// For how many seconds the tone was heard: tenths of a second in which most of a loud sound lies at `hertz`.
    pub fn seconds_of(&self, hertz: u32) -> f64 {
        let tenth = (self.rate / 10).max(1) as usize;
        let heard = self.samples.chunks_exact(tenth).filter(|chunk| {
            let chunk = Sound {
                rate: self.rate,
                samples: chunk.to_vec(),
            };
            chunk.loudness() > 0.02 && chunk.share_of(hertz) > 0.5
        });
        heard.count() as f64 / 10.0
    }
}

#[derive(Clone, Copy)]
struct Format {
    kind: u16,
    channels: u16,
    rate: u32,
    bits: u16,
}

impl Format {
    fn read(body: &[u8]) -> Self {
        let short = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
        Format {
            kind: short(0),
            channels: short(2).max(1),
            rate: u32::from_le_bytes([body[4], body[5], body[6], body[7]]),
            bits: short(14),
        }
    }

    fn samples(self, data: &[u8]) -> Result<Vec<f32>> {
        let frame = usize::from(self.channels) * usize::from(self.bits / 8);
        if frame == 0 {
            bail!("a WAV file of {} bits a sample", self.bits);
        }
        let frames = data.chunks_exact(frame);
        match (self.kind, self.bits) {
            (1, 16) => Ok(frames
                .map(|f| f32::from(i16::from_le_bytes([f[0], f[1]])) / 32768.0)
                .collect()),
            (3, 32) => Ok(frames
                .map(|f| f32::from_le_bytes([f[0], f[1], f[2], f[3]]))
                .collect()),
            (kind, bits) => bail!("a WAV file of kind {kind} with {bits} bits is not read here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_at_its_own_frequency_and_nowhere_else() {
        let tone = Sound::tone(440, 2, 8000);
        assert!(tone.share_of(440) > 0.99, "{}", tone.share_of(440));
        assert!(tone.share_of(600) < 0.01);
        assert!((tone.loudness() - 0.353).abs() < 0.01);
        assert!((tone.seconds_of(440) - 2.0).abs() < 0.11);
        assert!(tone.seconds_of(600) < 0.11);
        let silence = Sound {
            rate: 8000,
            samples: vec![0.0; 8000],
        };
        assert!(silence.seconds_of(440) < 0.01);
    }

    #[test]
    fn a_file_is_read_as_it_was_written_even_when_its_header_was_never_finished() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tone.wav");
        Sound::tone(700, 1, 16000).write(&path)?;
        let read = Sound::read(&path)?;
        assert_eq!((read.rate, read.samples.len()), (16000, 16000));
        let mut bytes = fs::read(&path)?;
        bytes[40..44].fill(0);
        fs::write(&path, &bytes)?;
        let unfinished = Sound::read(&path)?;
        assert_eq!(unfinished.samples.len(), 16000);
        assert!(unfinished.share_of(700) > 0.99);
        Ok(())
    }
}
