//! Audio, proven at the end that hears it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Heard, Party};
use crate::process::POLL;

/// How many packets prove a direction: half a second.
const PACKETS: u64 = 25;
/// How long they may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long nothing may come before a direction counts as silent.
const QUIET: Duration = Duration::from_millis(400);

/// What a party has heard up to now.
pub async fn mark(party: &mut dyn Party) -> Result<Heard> {
    party.heard().await
}

/// Waits until `one` has heard `other` since the mark: packets under the negotiated payload type, with the other's tone if both
/// can tell.
pub async fn hears(one: &mut dyn Party, tone: Option<u32>, mark: &Heard) -> Result<()> {
    let began = Instant::now();
    loop {
        let now = one.heard().await?;
        let mut before = mark.packets.get(&now.codec).copied().unwrap_or(0);
        let mut after = now.expected();
        if let (Some(tone), Some(tones)) = (tone, &now.tones) {
            let of = |tones: &std::collections::BTreeMap<u32, u64>| {
                tones.get(&tone).copied().unwrap_or(0)
            };
            let tones_before = mark.tones.as_ref().map_or(0, of);
            // Both have to have come; the lesser says.
            if of(tones) - tones_before < after - before {
                (before, after) = (tones_before, of(tones));
            }
        }
        if after >= before + PACKETS {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            bail!(
                "{} does not hear {tone:?} within {PATIENCE:?}: before {mark:?}, now {now:?}",
                one.kind()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Audio in both directions, from now on.
pub async fn talk(one: &mut dyn Party, other: &mut dyn Party) -> Result<()> {
    let (mark_one, mark_other) = (mark(one).await?, mark(other).await?);
    let (tone_one, tone_other) = (one.tone(), other.tone());
    let (first, second) = tokio::join!(
        hears(one, tone_other, &mark_one),
        hears(other, tone_one, &mark_other)
    );
    first.and(second)
}

/// Waits until nothing more comes to a party.
pub async fn silence(one: &mut dyn Party) -> Result<()> {
    let began = Instant::now();
    let mut last = (one.heard().await?.expected(), Instant::now());
    while last.1.elapsed() < QUIET {
        tokio::time::sleep(POLL).await;
        let now = one.heard().await?.expected();
        if now > last.0 {
            last = (now, Instant::now());
        }
        if began.elapsed() > PATIENCE {
            let heard = one.heard().await?;
            bail!("{} still hears: {heard:?}", one.kind());
        }
    }
    Ok(())
}
