//! linphone as a party: a real phone of another make, with what its commands can do.

use anyhow::{Context, Result, ensure};

use super::steps::DIGITS;
use super::{Doing, Heard, Part, Party, Step, tone};
use crate::linphone::{Account, Phone};

/// linphone, with one call at a time.
#[derive(Debug)]
pub struct Linphone {
    phone: Phone,
    is_secure: bool,
    user: String,
    domain: String,
    tone: u32,
}

impl Linphone {
    /// Starts and registers one; `number` chooses its tone.
    pub async fn registered(account: &Account<'_>, number: u32) -> Result<Self> {
        let tone = tone::of(number);
        let account = Account {
            tone,
            ..account.clone()
        };
        Ok(Linphone {
            phone: Phone::start_registered(&account).await?,
            is_secure: account.trust.is_some(),
            user: account.user.to_owned(),
            domain: account.domain.to_owned(),
            tone,
        })
    }

    async fn acts(&mut self, step: Step, whom: &str) -> Result<()> {
        let phone = &mut self.phone;
        match step {
            Step::Ring | Step::Early => {
                let uri = format!("sip:{whom}@{}", self.domain);
                // Without the word it sends silence until the other has answered.
                let early = if step == Step::Early {
                    " --early-media"
                } else {
                    ""
                };
                phone.dial(&format!("{uri}{early}"))?;
                let lines: &[&str] = match step {
                    Step::Early => &[EARLY],
                    _ => &[EARLY, " ringing."],
                };
                phone.says(lines).await?;
            }
            Step::Pickup => self.talks().await?,
            Step::Cancel | Step::Bye => {
                phone.hang_up()?;
                phone.says(&[ENDED]).await?;
            }
            Step::Hold(_) => {
                phone.hold()?;
                phone.says(&["is now paused."]).await?;
            }
            Step::Resume => {
                phone.resume()?;
                self.talks().await?;
            }
            Step::Dtmf => DIGITS.chars().try_for_each(|key| phone.key(key))?,
            _ => {}
        }
        Ok(())
    }

    async fn reacts(&mut self, step: Step) -> Result<()> {
        let phone = &mut self.phone;
        match step {
            Step::Ring | Step::RingLate | Step::Early => {
                phone.says(&["new incoming call"]).await?;
            }
            Step::Pickup => {
                phone.accept()?;
                self.talks().await?;
            }
            Step::Cancel | Step::Bye => {
                phone.says(&[ENDED]).await?;
            }
            Step::Crossing => {
                phone.hold()?;
                phone.says(&[ENDED]).await?;
            }
            Step::Dtmf => {
                let mut keys = String::new();
                for _ in DIGITS.chars() {
                    let line = phone.says(&["Receiving tone "]).await?;
                    let key = line.split("Receiving tone ").nth(1);
                    keys.extend(key.and_then(|key| key.chars().next()));
                }
                ensure!(keys == DIGITS, "the keys were {keys}");
            }
            // It answers a re-INVITE by itself.
            _ => {}
        }
        Ok(())
    }

    async fn talks(&mut self) -> Result<()> {
        let line = self
            .phone
            .says(&["Media streams established", ENDED])
            .await?;
        ensure!(!line.contains(ENDED), "{line}");
        self.phone.negotiated(self.is_secure).await
    }
}

/// What it says of a call that is no more; why is in brackets.
const ENDED: &str = " ended (";
/// What it says of a 183 with SDP.
const EARLY: &str = " early media.";

impl Party for Linphone {
    fn kind(&self) -> &str {
        match self.is_secure {
            true => "linphone, SDES",
            false => "linphone",
        }
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn can(&self, step: Step, part: Part) -> Result<(), &'static str> {
        match (part, step) {
            (Part::Begins, _) if !step.has_a_key() => Err("linphone has no command for it"),
            (Part::Follows, Step::Refused | Step::RefusedRestart | Step::Glare) => {
                Err("linphone takes every re-INVITE")
            }
            _ => Ok(()),
        }
    }

    fn begins<'a>(&'a mut self, step: Step, whom: &'a str) -> Doing<'a> {
        Box::pin(async move { self.acts(step, whom).await.context("linphone") })
    }

    fn follows(&mut self, step: Step) -> Doing<'_> {
        Box::pin(async move { self.reacts(step).await.context("linphone") })
    }

    fn heard(&mut self) -> Doing<'_, Heard> {
        Box::pin(async {
            let (packets, tones) = self.phone.recording.heard(&tone::all())?;
            // It does not say under which payload type they came: what it cannot decode it does not record.
            let codec = "RTP".to_owned();
            Ok(Heard {
                packets: [(codec.clone(), packets)].into(),
                codec,
                tones: Some(tones),
                ..Heard::default()
            })
        })
    }

    fn tone(&self) -> Option<u32> {
        Some(self.tone)
    }
}
