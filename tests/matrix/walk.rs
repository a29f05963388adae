//! The way of a pair through all steps: one call, then the short calls that end otherwise.

use std::time::{Duration, Instant};

use causeway_tests::party::{Part, Party, Spelling, Step, silence, talk};

/// Any party, owned by the test.
type Anyone = dyn Party + 'static;

/// Who begins a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Caller,
    Called,
}

/// What must be heard after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audio {
    /// Both hear each other.
    Both,
    /// Who began hears nothing any more.
    Held,
    /// There is no call, or none yet.
    None,
}

/// How a step went.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Ok,
    Cannot(&'static str),
    Failed(String),
}

/// A step of a walk, and how it went.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) step: Step,
    pub(crate) who: Who,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

use Who::{Called, Caller};

/// One call through everything that a call can go through.
pub(crate) const LONG: &[(Step, Who)] = &[
    (Step::Ring, Caller),
    (Step::Pickup, Caller),
    (Step::Refused, Caller),
    (Step::Refused, Called),
    (Step::RefusedRestart, Caller),
    (Step::RefusedRestart, Called),
    (Step::Glare, Caller),
    (Step::Hold(Spelling::Sendonly), Caller),
    (Step::Resume, Caller),
    (Step::Hold(Spelling::Sendonly), Called),
    (Step::Resume, Called),
    (Step::Hold(Spelling::Inactive), Caller),
    (Step::Resume, Caller),
    (Step::Hold(Spelling::Zero), Called),
    (Step::Resume, Called),
    (Step::Update, Caller),
    (Step::Update, Called),
    (Step::Late, Caller),
    (Step::Late, Called),
    (Step::Dtmf, Caller),
    (Step::Dtmf, Called),
    (Step::Restart, Caller),
    (Step::Restart, Called),
    (Step::Codec, Caller),
    (Step::Codec, Called),
    (Step::Bye, Called),
];

/// Early media, and a BYE that crosses a re-INVITE.
pub(crate) const EARLY: &[(Step, Who)] = &[
    (Step::Early, Caller),
    (Step::Pickup, Caller),
    (Step::Crossing, Caller),
];

/// The offer comes in the 200.
pub(crate) const LATE: &[(Step, Who)] = &[
    (Step::RingLate, Caller),
    (Step::Pickup, Caller),
    (Step::Bye, Caller),
];

/// Nobody answers.
pub(crate) const CANCELLED: &[(Step, Who)] = &[(Step::Ring, Caller), (Step::Cancel, Caller)];

fn audio_after(step: Step) -> Audio {
    match step {
        Step::Ring | Step::RingLate | Step::Cancel | Step::Crossing | Step::Bye => Audio::None,
        Step::Hold(_) => Audio::Held,
        _ => Audio::Both,
    }
}

/// Walks two parties through these steps. A hold that cannot be is not taken back either; after a failure the rest of the
/// walk would say nothing.
pub(crate) async fn walk(
    steps: &[(Step, Who)],
    caller: &mut Anyone,
    called: &mut Anyone,
) -> Vec<Done> {
    let mut all: Vec<Done> = Vec::new();
    for (step, who) in steps.iter().copied() {
        let began = Instant::now();
        let outcome = one(step, who, caller, called, all.last()).await;
        let failed = matches!(outcome, Outcome::Failed(_));
        all.push(Done {
            step,
            who,
            outcome,
            took: began.elapsed(),
        });
        if failed {
            break;
        }
    }
    all
}

async fn one(
    step: Step,
    who: Who,
    caller: &mut Anyone,
    called: &mut Anyone,
    before: Option<&Done>,
) -> Outcome {
    let (one, other) = match who {
        Caller => (caller, called),
        Called => (called, caller),
    };
    if let Some(Done {
        outcome: Outcome::Cannot(why),
        ..
    }) = before
        && step == Step::Resume
    {
        return Outcome::Cannot(why);
    }
    let able = one.can(step, Part::Begins);
    if let Err(why) = able.and_then(|()| other.can(step, Part::Follows)) {
        return Outcome::Cannot(why);
    }
    match done(step, one, other).await {
        Ok(()) => Outcome::Ok,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

async fn done(step: Step, one: &mut Anyone, other: &mut Anyone) -> anyhow::Result<()> {
    let whom = other.user().to_owned();
    tokio::try_join!(one.begins(step, &whom), other.follows(step))?;
    match audio_after(step) {
        Audio::Both => talk(one, other).await,
        Audio::Held => silence(one).await,
        Audio::None => Ok(()),
    }
}
