//! What linphone records, read while it grows: 16-bit samples at 8 kHz behind a header of 44 bytes. It writes a quarter of a second
//! at a time, goes on in the same file from call to call, and writes nothing while nothing comes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::Result;

use crate::wav::Sound;

const HEADER: u64 = 44;
const RATE: u32 = 8_000;
/// What a packet holds, in bytes of the recording.
const PACKET: usize = RATE as usize / 50 * 2;

/// A recording that grows.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    /// Whole packets so far, 20 ms each.
    packets: u64,
    tones: BTreeMap<u32, u64>,
}

impl Recording {
    pub(super) fn of(path: PathBuf) -> Self {
        Recording {
            path,
            packets: 0,
            tones: BTreeMap::new(),
        }
    }

    /// Packets so far, and those of them that are one of `tones` and little else, by its Hz.
    pub fn heard(&mut self, tones: &[u32]) -> Result<(u64, BTreeMap<u32, u64>)> {
        // There is no file before the first call.
        if let Ok(mut file) = File::open(&self.path) {
            file.seek(SeekFrom::Start(HEADER + self.packets * PACKET as u64))?;
            let mut new = Vec::new();
            file.read_to_end(&mut new)?;
            for packet in new.chunks_exact(PACKET) {
                self.packets += 1;
                let sound = sound(packet);
                let tone = tones.iter().find(|tone| sound.share_of(**tone) > 0.5);
                if let Some(tone) = tone.filter(|_| sound.loudness() > 0.02) {
                    *self.tones.entry(*tone).or_default() += 1;
                }
            }
        }
        Ok((self.packets, self.tones.clone()))
    }
}

fn sound(packet: &[u8]) -> Sound {
    let samples = packet.chunks_exact(2);
    Sound {
        rate: RATE,
        samples: samples
            .map(|sample| f32::from(i16::from_le_bytes([sample[0], sample[1]])) / 32_768.0)
            .collect(),
    }
}
