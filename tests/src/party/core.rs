//! FreeSWITCH as a party: what it says are captured messages, what it hears it sends back.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Doing, Heard, Part, Party, Spelling, Step};
use crate::core::{Call, Core, Offer, Script};
use crate::wait;

/// How long a condition of the other side may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Payload types that every capture has.
const PCMU: u8 = 0;
const EVENTS: u8 = 101;

/// A core with one call at a time.
#[derive(Debug)]
pub struct CoreParty {
    core: Core,
    number: String,
    call: Option<Call>,
    /// Of calls before this one, so that figures only grow.
    before: u64,
}

impl CoreParty {
    /// A core that is called by this number.
    pub fn new(core: Core, number: &str) -> Self {
        CoreParty {
            core,
            number: number.to_owned(),
            call: None,
            before: 0,
        }
    }

    fn call(&mut self) -> Result<&mut Call> {
        self.call.as_mut().context("the core has no call")
    }

    /// The call, which ends with this step.
    fn last(&mut self) -> Result<Call> {
        let call = self.call.take().context("the core has no call")?;
        self.before += audio(&call);
        Ok(call)
    }

    async fn acts(&mut self, step: Step, whom: &str) -> Result<()> {
        match step {
            Step::Ring | Step::RingLate => {
                let offer = if step == Step::Ring {
                    Offer::Pcmu
                } else {
                    Offer::Late
                };
                let mut call = self.core.calls_with(whom, offer).await?;
                call.rings().await?;
                self.call = Some(call);
            }
            Step::Early => {
                let mut call = self.core.calls_with(whom, Offer::Pcmu).await?;
                call.dialog.progress(183).await?;
                self.call = Some(call);
            }
            Step::Pickup => {
                self.call()?.is_answered().await?;
            }
            Step::Cancel => {
                let outcome = self.last()?.cancels().await?;
                ensure!(outcome.status() == Some(487), "{}", outcome.text);
            }
            Step::Refused => self.call()?.is_refused(488).await?,
            Step::Glare => {
                let call = self.call()?;
                let sent = call.begins_reinvite()?;
                let answer = call.dialog.answer_to(&sent).await?;
                ensure!(answer.status() == Some(491), "{}", answer.text);
                refuses(call, "491 Request Pending").await?;
            }
            Step::Restart => self.call()?.moves().await?,
            Step::Hold(_) => {
                self.call()?.holds().await?;
            }
            Step::Resume => {
                self.call()?.resumes().await?;
            }
            Step::Update => {
                self.call()?.updates_with_sdp().await?;
            }
            Step::Crossing => {
                let mut call = self.last()?;
                let invite = call.dialog.expects("INVITE").await?;
                call.hangs_up().await?;
                call.dialog.replies(&invite, "487 Request Terminated", "");
                call.dialog.expects("ACK").await?;
            }
            Step::Bye => {
                self.last()?.hangs_up().await?;
            }
            Step::RefusedRestart | Step::Codec | Step::Late | Step::Dtmf => {
                bail!("the core cannot begin {step:?}")
            }
        }
        Ok(())
    }

    async fn reacts(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Ring | Step::RingLate | Step::Early => {
                let call = self.core.answers_with(Script::Trying).await?;
                call.progresses(step == Step::Early)?;
                self.call = Some(call);
            }
            Step::Pickup => self.call()?.picks_up().await?,
            Step::Cancel => {
                self.last()?.dialog.is_cancelled().await?;
            }
            Step::Refused | Step::RefusedRestart => {
                refuses(self.call()?, "488 Not Acceptable Here").await?;
            }
            Step::Glare => {
                let call = self.call()?;
                let sent = call.begins_reinvite()?;
                refuses(call, "491 Request Pending").await?;
                let answer = call.dialog.answer_to(&sent).await?;
                ensure!(answer.status() == Some(491), "{}", answer.text);
            }
            Step::Restart | Step::Hold(_) | Step::Resume => {
                self.call()?.takes("INVITE").await?;
            }
            Step::Late => self.call()?.takes_late().await?,
            Step::Update => {
                self.call()?.takes("UPDATE").await?;
            }
            Step::Dtmf => {
                let call = self.call()?;
                let events = || call.echoed_by_kind().contains_key(&EVENTS);
                ensure!(wait::until(PATIENCE, events).await, "no digit came");
            }
            Step::Crossing => {
                let mut call = self.last()?;
                let sent = call.begins_reinvite()?;
                call.takes("BYE").await?;
                let answer = call.dialog.answer_to(&sent).await?;
                ensure!(
                    matches!(answer.status(), Some(481 | 487)),
                    "after BYE: {}",
                    answer.text
                );
            }
            Step::Bye => {
                self.last()?.takes("BYE").await?;
            }
            Step::Codec => bail!("the core cannot follow {step:?}"),
        }
        Ok(())
    }
}

/// Packets of G.711 that came in a call.
fn audio(call: &Call) -> u64 {
    call.echoed_by_kind().get(&PCMU).copied().unwrap_or(0)
}

/// Refuses the next INVITE of the dialog.
async fn refuses(call: &mut Call, status: &str) -> Result<()> {
    let request = call.dialog.expects("INVITE").await?;
    call.dialog.replies(&request, status, "");
    call.dialog.expects("ACK").await.map(drop)
}

impl Party for CoreParty {
    fn kind(&self) -> &str {
        "core"
    }

    fn user(&self) -> &str {
        &self.number
    }

    fn can(&self, step: Step, part: Part) -> Result<(), &'static str> {
        match (step, part) {
            (Step::RefusedRestart, Part::Begins) => Err("no ICE"),
            (Step::Codec, _) => Err("its captures speak PCMU"),
            (Step::Late | Step::Hold(Spelling::Inactive | Spelling::Zero), Part::Begins) => {
                Err("never captured")
            }
            (Step::Dtmf, Part::Begins) => Err("it echoes"),
            (Step::RingLate, Part::Follows) => Err("offers SRTP first, and echoes without keys"),
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
            let now = self.call.as_ref().map_or(0, audio);
            Ok(Heard {
                codec: "PCMU".to_owned(),
                packets: [("PCMU".to_owned(), self.before + now)].into(),
                ..Heard::default()
            })
        })
    }

    fn tone(&self) -> Option<u32> {
        // What comes from it is what went to it.
        None
    }
}
