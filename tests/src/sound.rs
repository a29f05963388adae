//! Audio, proven at the end that hears it: by the browser's getStats, and by a phone's recording or its count of packets.
//!
//! A phone speaks a tone without a pause, Chromium's fake microphone beeps for 50 ms twice a second: a recording shows whose voice
//! it is. getStats does not, so there a mute shows it: who is muted and hears goes on hearing the other one.

use std::time::{Duration, Instant};

use crate::baresip::Phone;
use crate::browser::Page;
use crate::wait;
use anyhow::{Context, Result, bail, ensure};

/// For how long audio is proven in each direction.
pub const SECONDS: u32 = 3;
/// Packets of a second: 20 ms each.
const PACKETS: u64 = 50;
/// What a second of audio adds to totalAudioEnergy at least. A phone's tone adds 0.26, Chromium's beeps 0.34, Firefox's soft tone
/// 0.0095, silence nothing.
const LOUD: f64 = 0.004;
/// How long a second of audio may take to arrive on a busy machine, and how long it may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing may come before a direction counts as silent.
const SILENCE: Duration = Duration::from_millis(600);
const POLL: Duration = Duration::from_millis(100);

/// What getStats counts that is looked at here.
#[derive(Clone, Copy, Debug)]
struct Figures {
    sent: u64,
    received: u64,
    energy_in: f64,
    /// Firefox does not count it.
    energy_out: Option<f64>,
}

impl Figures {
    async fn of(page: &Page) -> Result<Self> {
        let stats = page.stats().await?;
        let count = |name: &str| stats[name].as_u64();
        let energy = |name: &str| stats[name].as_f64();
        let read = || {
            Some(Figures {
                sent: count("sent")?,
                received: count("received")?,
                energy_in: energy("energyIn")?,
                energy_out: energy("energyOut"),
            })
        };
        read().with_context(|| format!("figures without figures: {stats}"))
    }
}

/// Waits until the page has heard something in so many seconds of packets on end, and spoken itself where the browser counts
/// that.
pub async fn talks(page: &Page, seconds: u32) -> Result<()> {
    let before = Figures::of(page).await?;
    hears(page, seconds).await?;
    let now = Figures::of(page).await?;
    ensure!(
        now.energy_out
            .is_none_or(|now| before.energy_out.is_none_or(|before| now > before)),
        "the page's microphone was silent: {before:?}, then {now:?}"
    );
    Ok(())
}

/// Waits until the page has heard something in so many seconds of packets on end; it may be muted itself.
pub async fn hears(page: &Page, seconds: u32) -> Result<()> {
    // The first packets come while the path is still being built.
    let mut before = figures_after(page, Figures::of(page).await?, 10).await?;
    let began = Instant::now();
    let mut heard_on_end = 0;
    while heard_on_end < seconds {
        let now = figures_after(page, before, PACKETS).await?;
        let heard = now.energy_in - before.energy_in;
        let heard = heard * PACKETS as f64 / (now.received - before.received) as f64;
        if heard > LOUD {
            heard_on_end += 1;
        } else {
            // Where nobody has time for the audio, packets arrive in heaps, and the browser plays nothing of them.
            heard_on_end = 0;
            ensure!(
                began.elapsed() < PATIENCE,
                "the page heard {heard} of energy in a second: {before:?}, then {now:?}"
            );
        }
        before = now;
    }
    Ok(())
}

/// Waits until so many packets more were sent and received.
async fn figures_after(page: &Page, before: Figures, packets: u64) -> Result<Figures> {
    let began = Instant::now();
    loop {
        let now = Figures::of(page).await?;
        if now.received >= before.received + packets && now.sent >= before.sent + packets {
            return Ok(now);
        }
        if began.elapsed() > PATIENCE {
            bail!("not {packets} packets both ways within {PATIENCE:?}: {before:?}, then {now:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the page receives nothing more, or nothing but silence.
pub async fn hears_no_more(page: &Page) -> Result<()> {
    let began = Instant::now();
    let mut last = (Figures::of(page).await?, Instant::now());
    while last.1.elapsed() < SILENCE {
        tokio::time::sleep(POLL).await;
        let now = Figures::of(page).await?;
        ensure!(began.elapsed() < PATIENCE, "the page still hears: {now:?}");
        if now.energy_in > last.0.energy_in + 1e-5 {
            last = (now, Instant::now());
        }
    }
    Ok(())
}

/// Waits until the page receives no packet more.
pub async fn receives_no_more(page: &Page) -> Result<()> {
    let began = Instant::now();
    let mut last = (Figures::of(page).await?, Instant::now());
    while last.1.elapsed() < SILENCE {
        tokio::time::sleep(POLL).await;
        let now = Figures::of(page).await?;
        ensure!(
            began.elapsed() < PATIENCE,
            "the page still receives: {now:?}"
        );
        if now.received > last.0.received {
            last = (now, Instant::now());
        }
    }
    Ok(())
}

/// How many beeps of a browser a phone has recorded so far, in all its calls.
pub fn beeps(phone: &Phone) -> usize {
    let heard = phone.heard().unwrap_or_default();
    heard
        .iter()
        .map(|sound| {
            let part = (sound.rate / 50).max(1) as usize;
            let loud = sound
                .samples
                .chunks(part)
                .map(|samples| samples.iter().any(|sample| sample.abs() > 0.2));
            // A beep begins where it is loud after 100 ms of quiet.
            let mut quiet = 5;
            loud.filter(|loud| {
                let begins = *loud && quiet >= 5;
                quiet = if *loud { 0 } else { quiet + 1 };
                begins
            })
            .count()
        })
        .sum()
}

/// Waits until a phone has heard a browser for `SECONDS` more than the beeps that it had before, and never itself.
pub async fn phone_hears_browser(phone: &Phone, before: usize) -> Result<()> {
    let wanted = before + 2 * SECONDS as usize;
    let own = phone.seconds_heard(440);
    if !wait::until(PATIENCE, || beeps(phone) >= wanted).await {
        bail!(
            "the phone heard {} beeps, not {wanted}:\n{}",
            beeps(phone),
            phone.process.log_tail()
        );
    }
    ensure!(
        phone.seconds_heard(440) < own + 0.3,
        "the phone hears its own tone"
    );
    Ok(())
}

/// Both hear each other for `SECONDS`.
pub async fn page_and_phone_talk(page: &Page, phone: &Phone, before: usize) -> Result<()> {
    let (page, phone) = tokio::join!(talks(page, SECONDS), phone_hears_browser(phone, before));
    page?;
    phone
}

/// Waits until a phone has recorded a second without a beep.
pub async fn phone_hears_no_beep(phone: &Phone) -> Result<()> {
    let quiet = || {
        let heard = phone.heard().unwrap_or_default();
        heard.last().is_some_and(|sound| {
            let start = sound.seconds() - 1.0;
            start > 0.0 && sound.part(start, 1.0).loudness() < 0.01
        })
    };
    if !wait::until(PATIENCE, quiet).await {
        bail!("the phone still hears:\n{}", phone.process.log_tail());
    }
    Ok(())
}
