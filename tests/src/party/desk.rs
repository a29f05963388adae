//! baresip as a party: a real phone, with what its keys can do.

use anyhow::{Result, ensure};

use super::steps::DIGITS;
use super::{Doing, Heard, Part, Party, Step, tone};
use crate::baresip::{Account, Answer, Encryption, Phone};

/// baresip, with one call at a time.
#[derive(Debug)]
pub struct DeskPhone {
    phone: Phone,
    kind: &'static str,
    user: String,
    domain: String,
    tone: u32,
    /// Of calls before this one, so that figures only grow.
    before: u64,
    has_call: bool,
}

impl DeskPhone {
    /// Starts and registers one; `number` chooses its tone.
    pub async fn registered(account: &Account<'_>, number: u32) -> Result<Self> {
        let tone = tone::of(number);
        let account = Account {
            answer: Answer::Manual,
            tone,
            ..account.clone()
        };
        Ok(DeskPhone {
            phone: Phone::start_registered(&account).await?,
            kind: match account.encryption {
                Encryption::Sdes => "baresip, SDES",
                _ => "baresip",
            },
            user: account.user.to_owned(),
            domain: account.domain.to_owned(),
            tone,
            before: 0,
            has_call: false,
        })
    }

    /// The call is about to end: its figures are kept.
    async fn counts(&mut self) -> Result<()> {
        self.before += self.phone.received().await?;
        self.has_call = false;
        Ok(())
    }

    async fn acts(&mut self, step: Step, whom: &str) -> Result<()> {
        match step {
            Step::Ring | Step::Early => {
                let uri = format!("sip:{whom}@{}", self.domain);
                self.phone.dial(&uri).await?;
                self.has_call = true;
                let event = if step == Step::Early {
                    "CALL_PROGRESS"
                } else {
                    "CALL_RINGING"
                };
                self.phone.event(event).await?;
            }
            Step::Pickup => {
                self.phone.event("CALL_ESTABLISHED").await?;
            }
            Step::Cancel | Step::Bye => {
                self.counts().await?;
                self.phone.hang_up().await?;
            }
            Step::Hold(_) => self.phone.hold().await?,
            Step::Resume => self.phone.resume().await?,
            Step::Dtmf => {
                for key in DIGITS.chars() {
                    self.phone.key(key).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn reacts(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Ring | Step::RingLate => {
                self.phone.event("CALL_INCOMING").await?;
                self.has_call = true;
            }
            Step::Pickup => {
                self.phone.accept().await?;
                self.phone.event("CALL_ESTABLISHED").await?;
            }
            Step::Cancel | Step::Bye => {
                self.counts().await?;
                self.phone.event("CALL_CLOSED").await?;
            }
            Step::Dtmf => {
                let keys = self.phone.keys(DIGITS.len()).await?;
                ensure!(keys == DIGITS, "the keys were {keys}");
            }
            // It answers a re-INVITE by itself.
            _ => {}
        }
        Ok(())
    }
}

impl Party for DeskPhone {
    fn kind(&self) -> &str {
        self.kind
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn can(&self, step: Step, part: Part) -> Result<(), &'static str> {
        match (part, step) {
            (Part::Begins, _) if !step.has_a_key() => Err("baresip has no key for it"),
            (Part::Follows, Step::Refused | Step::RefusedRestart | Step::Glare) => {
                Err("baresip takes every re-INVITE")
            }
            (Part::Follows, Step::Crossing) => Err("baresip has no key for it"),
            (Part::Follows, Step::Update) => Err("baresip has no UPDATE"),
            (Part::Follows, Step::Early) => Err("baresip only rings"),
            _ => Ok(()),
        }
    }

    fn begins<'a>(&'a mut self, step: Step, whom: &'a str) -> Doing<'a> {
        Box::pin(self.acts(step, whom))
    }

    fn follows(&mut self, step: Step) -> Doing<'_> {
        Box::pin(self.reacts(step))
    }

    fn heard(&mut self) -> Doing<'_, Heard> {
        Box::pin(async {
            let now = if self.has_call {
                self.phone.received().await?
            } else {
                0
            };
            // It does not say under which payload type they came: what it cannot decode it does not count.
            let codec = "RTP".to_owned();
            Ok(Heard {
                packets: [(codec.clone(), self.before + now)].into(),
                codec,
                ..Heard::default()
            })
        })
    }

    fn tone(&self) -> Option<u32> {
        Some(self.tone)
    }
}
