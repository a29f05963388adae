//! The way of a pair through all steps: one call, then the short calls that end otherwise.

use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_tests::party::{Part, Party, Spelling, Step, silence, talk};

use crate::kind::Kind;

/// Any party, owned by the test.
pub(crate) type Anyone = dyn Party + 'static;

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
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// A call, by its name, and its steps.
pub(crate) type Way = (&'static str, &'static [(Step, Who)]);

use Who::{Called, Caller};

/// What `make matrix` walks with every pair.
pub(crate) const WHOLE: &[Way] = &[
    ("call", CALL),
    ("early media", EARLY),
    ("late offer", LATE),
    ("cancel", CANCELLED),
];

/// What `make test` walks with every pair.
pub(crate) const SHORT: &[Way] = &[
    ("call", BRIEF),
    ("early media", EARLY),
    ("cancel", CANCELLED),
];

/// One RTPEngine of two does not answer, one member of two refuses.
pub(crate) const FAILOVER: Way = (
    "failover",
    &[
        (Step::Ring, Caller),
        (Step::Pickup, Caller),
        (Step::Bye, Caller),
    ],
);

/// One call through everything that a call can go through.
const CALL: &[(Step, Who)] = &[
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
    (Step::Hold(Spelling::Inactive), Called),
    (Step::Resume, Called),
    (Step::Hold(Spelling::Zero), Caller),
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
const EARLY: &[(Step, Who)] = &[
    (Step::Early, Caller),
    (Step::Pickup, Caller),
    (Step::Crossing, Caller),
];

/// The offer comes in the 200; and a BYE that crosses from the other side.
const LATE: &[(Step, Who)] = &[
    (Step::RingLate, Caller),
    (Step::Pickup, Caller),
    (Step::Crossing, Called),
];

/// Nobody answers.
const CANCELLED: &[(Step, Who)] = &[(Step::Ring, Caller), (Step::Cancel, Caller)];

/// A call with what breaks most often.
const BRIEF: &[(Step, Who)] = &[
    (Step::Ring, Caller),
    (Step::Pickup, Caller),
    (Step::Refused, Caller),
    (Step::Hold(Spelling::Sendonly), Called),
    (Step::Resume, Called),
    (Step::Bye, Caller),
];

fn audio_after(step: Step) -> Audio {
    match step {
        Step::Ring | Step::RingLate | Step::Cancel | Step::Crossing | Step::Bye => Audio::None,
        Step::Hold(_) => Audio::Held,
        _ => Audio::Both,
    }
}

/// Walks two parties along a way. What a step that cannot be would lead to cannot be either (no answer without a call, nothing to
/// take back without a hold); after a failure the rest of the walk would say nothing.
pub(crate) async fn walk(
    way: Way,
    kinds: (Kind, Kind),
    caller: &mut Anyone,
    called: &mut Anyone,
) -> Vec<Done> {
    let (call, steps) = way;
    let mut all: Vec<Done> = Vec::new();
    let mut missing = None;
    let mut held = String::new();
    for (index, (step, who)) in steps.iter().copied().enumerate() {
        let began = Instant::now();
        let follows = index > 0 && step == Step::Resume;
        let outcome = match missing {
            Some(why) if follows || matches!(steps[0].0, Step::Early | Step::RingLate) => {
                Outcome::Cannot(why)
            }
            _ => {
                let (one, other) = match who {
                    Caller => kinds,
                    Called => (kinds.1, kinds.0),
                };
                match one.cannot(step, other) {
                    Some(why) => Outcome::Cannot(why),
                    None => together(step, who, caller, called).await,
                }
            }
        };
        missing = match outcome {
            Outcome::Cannot(why) => Some(why),
            _ => None,
        };
        let failed = matches!(outcome, Outcome::Failed(_));
        let by = match who {
            Caller => "caller",
            Called => "called",
        };
        let mut what = name(step);
        match step {
            Step::Hold(_) => held.clone_from(&what),
            Step::Resume => what = format!("resume after {held}"),
            _ => {}
        }
        all.push(Done {
            name: format!("{call}: {what}, {by}"),
            outcome,
            took: began.elapsed(),
        });
        if failed {
            return all;
        }
    }
    // What should have ended the call could not be: it ends in the usual way.
    let is_up = all
        .get(1)
        .is_some_and(|done| matches!(done.outcome, Outcome::Ok));
    if missing.is_some() && is_up {
        let began = Instant::now();
        all.push(Done {
            name: format!("{call}: BYE instead, caller"),
            outcome: together(Step::Bye, Caller, caller, called).await,
            took: began.elapsed(),
        });
    }
    all
}

fn name(step: Step) -> String {
    match step {
        Step::Hold(spelling) => format!("hold {spelling:?}").to_lowercase(),
        Step::RefusedRestart => "refused ICE restart".to_owned(),
        Step::Refused => "refused re-INVITE".to_owned(),
        Step::Glare => "glare 491".to_owned(),
        Step::Late => "re-INVITE without offer".to_owned(),
        Step::Restart => "moves, restarts ICE".to_owned(),
        Step::Crossing => "BYE crosses re-INVITE".to_owned(),
        Step::Early => "183 with SDP".to_owned(),
        Step::RingLate => "INVITE without offer".to_owned(),
        Step::Ring => "INVITE, 407, 180".to_owned(),
        Step::Pickup => "200, ACK".to_owned(),
        step => format!("{step:?}").to_uppercase(),
    }
}

async fn together(step: Step, who: Who, caller: &mut Anyone, called: &mut Anyone) -> Outcome {
    let (one, other) = match who {
        Caller => (caller, called),
        Called => (called, caller),
    };
    let able = one.can(step, Part::Begins);
    if let Err(why) = able.and_then(|()| other.can(step, Part::Follows)) {
        return Outcome::Cannot(why);
    }
    told(done(step, one, other).await)
}

fn told(result: Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Ok,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

async fn done(step: Step, one: &mut Anyone, other: &mut Anyone) -> Result<()> {
    let whom = other.user().to_owned();
    other.prepares(step).await?;
    tokio::try_join!(one.begins(step, &whom), other.follows(step))?;
    match audio_after(step) {
        Audio::Both => talk(one, other).await,
        Audio::Held => silence(one).await,
        Audio::None => Ok(()),
    }
}

/// A call that rings at two devices of one user; the first of them answers.
pub(crate) async fn fork(
    name: &'static str,
    caller: &mut Anyone,
    winner: &mut Anyone,
    loser: &mut Anyone,
) -> Done {
    let began = Instant::now();
    let whom = winner.user().to_owned();
    let run = async {
        tokio::try_join!(
            caller.begins(Step::Ring, &whom),
            winner.follows(Step::Ring),
            loser.follows(Step::Ring)
        )?;
        tokio::try_join!(
            caller.begins(Step::Pickup, &whom),
            winner.follows(Step::Pickup),
            loser.follows(Step::Cancel)
        )?;
        talk(caller, winner).await?;
        tokio::try_join!(caller.begins(Step::Bye, &whom), winner.follows(Step::Bye))?;
        Ok(())
    };
    let outcome = told(run.await);
    Done {
        name: name.to_owned(),
        outcome,
        took: began.elapsed(),
    }
}
