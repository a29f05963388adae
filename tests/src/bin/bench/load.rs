//! The load: open loop at a rate, or as much as comes back with a fixed number under way.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::link::Links;
use crate::message::{self, Template};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// REGISTER and its 200.
    Register,
    /// INVITE, 200, ACK, BYE, 200.
    Call,
}

impl Scenario {
    /// Messages that what is measured receives for one transaction or call.
    pub(crate) fn messages(self) -> u32 {
        match self {
            Scenario::Register => 2,
            Scenario::Call => 5,
        }
    }
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// This many messages a second, whether answers come or not.
    Rate(u32),
    /// As many as come back.
    Saturation,
}

/// How many are under way at saturation: enough to keep one core busy, few enough for a socket's default buffer of 92 datagrams.
pub(crate) const WINDOW: u32 = 64;
/// Nothing came back for this long: what is under way is lost.
const LOST: Duration = Duration::from_millis(300);
/// An open loop sends what is due this often.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many transactions are remembered; more are never under way.
const REMEMBERED: usize = 1 << 17;

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Transactions or calls that were begun.
    pub(crate) begun: u32,
    /// Those that ended well.
    pub(crate) done: u32,
    /// For how long.
    pub(crate) time: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Asked,
    HungUp,
}

/// A load that goes on from run to run: numbers are never used twice.
pub(crate) struct Load {
    links: Links,
    scenario: Scenario,
    templates: Vec<Template>,
    stages: Vec<Stage>,
    number: u32,
}

impl Load {
    pub(crate) fn new(links: Links, scenario: Scenario, first: u32) -> Self {
        let transport = links.kind().name();
        let make = match scenario {
            Scenario::Register => message::register,
            Scenario::Call => message::invite,
        };
        let templates = (0..links.count())
            .map(|link| make(transport, &format!("u{link}")))
            .collect();
        Load {
            links,
            scenario,
            templates,
            stages: vec![Stage::Idle; REMEMBERED],
            number: first,
        }
    }

    /// Runs for `time`. Answers that come later are not counted.
    pub(crate) async fn run(&mut self, pace: Pace, time: Duration) -> Result<Outcome> {
        let began = Instant::now();
        let mut outcome = Outcome::default();
        let mut under_way = 0_u32;
        let mut progress = Instant::now();
        while began.elapsed() < time {
            while let Some(message) = self.links.receive() {
                if self.take(&message).await? {
                    outcome.done += 1;
                    under_way = under_way.saturating_sub(1);
                    progress = Instant::now();
                }
            }
            match pace {
                Pace::Rate(rate) => {
                    let due = began.elapsed().as_secs_f64() * f64::from(rate)
                        / f64::from(self.scenario.messages());
                    while f64::from(outcome.begun) < due {
                        self.begin().await?;
                        outcome.begun += 1;
                    }
                }
                Pace::Saturation => {
                    if progress.elapsed() > LOST {
                        under_way = 0;
                        progress = Instant::now();
                    }
                    while under_way < WINDOW {
                        self.begin().await?;
                        outcome.begun += 1;
                        under_way += 1;
                    }
                }
            }
            if let Ok(message) = tokio::time::timeout(TICK, self.links.next()).await
                && self.take(&message?).await?
            {
                outcome.done += 1;
                under_way = under_way.saturating_sub(1);
                progress = Instant::now();
            }
        }
        outcome.time = began.elapsed();
        Ok(outcome)
    }

    /// One after the other, `count` times, each as soon as the one before has ended.
    pub(crate) async fn one_by_one(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            self.begin().await?;
            loop {
                let message = tokio::time::timeout(PATIENCE, self.links.next())
                    .await
                    .context("no answer")??;
                if self.take(&message).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes what is still on its way, so that the next run begins with quiet.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        while let Ok(message) =
            tokio::time::timeout(Duration::from_millis(50), self.links.next()).await
        {
            self.take(&message?).await?;
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<()> {
        self.number = self.number.wrapping_add(1);
        let link = self.link_of(self.number);
        self.stages[self.number as usize % REMEMBERED] = Stage::Asked;
        self.links
            .send(link, self.templates[link].fill(self.number))
            .await
    }

    fn link_of(&self, number: u32) -> usize {
        number as usize % self.templates.len()
    }

    /// Takes a message; says whether a transaction or call has ended well by it. A second answer to the same request counts nothing.
    async fn take(&mut self, message: &[u8]) -> Result<bool> {
        let Some(answer) = message::answer(message) else {
            return Ok(false);
        };
        let place = answer.number as usize % REMEMBERED;
        if answer.status < 200 {
            return Ok(false);
        }
        if answer.status >= 300 && self.stages[place] != Stage::Idle {
            bail!(
                "what is measured answers {}",
                String::from_utf8_lossy(message)
            );
        }
        match (self.scenario, self.stages[place], answer.to_bye) {
            (Scenario::Register, Stage::Asked, _) | (Scenario::Call, Stage::HungUp, true) => {
                self.stages[place] = Stage::Idle;
                Ok(true)
            }
            (Scenario::Call, Stage::Asked, false) => {
                self.stages[place] = Stage::HungUp;
                let link = self.link_of(answer.number);
                let transport = self.links.kind().name();
                if let Some(requests) = message::ack_and_bye(message, transport, "bench") {
                    for request in requests {
                        self.links.send(link, request.as_bytes()).await?;
                    }
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}
