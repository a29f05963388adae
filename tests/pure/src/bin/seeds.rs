//! `seeds FOLDER`: writes the seeds of each entry point to FOLDER/ENTRY, one a file, for the fuzz targets.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pure::entry::Entry;
use pure::seeds;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: seeds FOLDER")?;
    for entry in Entry::ALL {
        let folder = PathBuf::from(&folder).join(entry.name());
        fs::create_dir_all(&folder)?;
        let seeds = seeds::of(entry)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:04}")), seed)?;
        }
        println!("{}: {} seeds", entry.name(), seeds.len());
    }
    Ok(())
}
