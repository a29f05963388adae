//! Every kind of party calls every other kind, through a gateway with the real RTPEngine, and walks through all that can happen
//! to a call. After each step audio is proven where it is heard.
//!
//! One call of every pair in `make test`; the whole cross is `make matrix`, which sets `CAUSEWAY_MATRIX=whole`. A pair is a test
//! of its own, so that one can be run alone: `cargo test -p causeway-tests --test matrix -- avp_calls_core`.

mod kind;
mod stage;
mod table;
mod walk;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use kind::Kind;
use libtest_mimic::{Arguments, Failed, Trial};
use stage::{Browsers, Stage, USERS};
use table::Pair;
use tokio::runtime::{Handle, Runtime};
use walk::{Done, Outcome, fork, walk};

/// Pairs at once unless `--test-threads` says otherwise: each has its audio to keep in time.
const AT_ONCE: usize = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let Ok(runtime) = Runtime::new() else {
        return ExitCode::FAILURE;
    };
    let whole = std::env::var("CAUSEWAY_MATRIX").is_ok_and(|value| value == "whole");
    let pairs = Arc::new(Mutex::new(Vec::new()));
    let browsers = Arc::new(Browsers::default());
    let mut trials = Vec::new();
    for caller in Kind::ROWS {
        for called in Kind::COLUMNS {
            if is_walked(caller, called, whole) {
                let (handle, pairs) = (runtime.handle().clone(), pairs.clone());
                let browsers = browsers.clone();
                let name = format!("{caller:?}_calls_{called:?}").to_lowercase();
                let run = move || run(&handle, &pairs, &browsers, caller, called, whole);
                trials.push(Trial::test(name, run));
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let pairs = std::mem::take(&mut *pairs.lock().unwrap_or_else(PoisonError::into_inner));
    if !pairs.is_empty() {
        println!("{}", table::print(pairs));
    }
    conclusion.exit_code()
}

/// A core does not call itself. A desk phone that calls a desk phone is for the whole matrix alone, and so is Firefox with what the
/// other matrix cells and `calls` have: as the called side, and with desk phones. Of linphone there are [`LINPHONE`].
fn is_walked(caller: Kind, called: Kind, whole: bool) -> bool {
    if caller.is_linphone() || called.is_linphone() {
        return whole || LINPHONE.contains(&(caller, called));
    }
    let desks = caller.is_desk() && (called.is_desk() || called.is_phone());
    let desks = desks || called.is_desk() && caller.is_phone();
    let firefox = called == Kind::Firefox || caller == Kind::Firefox && called.is_desk();
    (caller, called) != (Kind::Core, Kind::Core) && (whole || !desks && !firefox)
}

/// What is walked without the whole matrix: each linphone as caller and called, with a browser and with the core.
const LINPHONE: [(Kind, Kind); 4] = [
    (Kind::Linphone, Kind::Chromium),
    (Kind::Core, Kind::Linphone),
    (Kind::LinphoneSdes, Kind::Core),
    (Kind::Chromium, Kind::LinphoneSdes),
];

fn run(
    runtime: &Handle,
    pairs: &Mutex<Vec<Pair>>,
    browsers: &Arc<Browsers>,
    caller: Kind,
    called: Kind,
    whole: bool,
) -> Result<(), Failed> {
    let mut done = Vec::new();
    let result = runtime.block_on(async {
        calls(browsers, caller, called, whole, &mut done).await?;
        if whole {
            fails_over(browsers, caller, called, &mut done).await?;
        }
        if whole && called == Kind::COLUMNS[0] {
            forks(browsers, caller, &mut done).await?;
        }
        anyhow::Ok(())
    });
    let mut pairs = pairs.lock().unwrap_or_else(PoisonError::into_inner);
    pairs.push(Pair {
        caller,
        called,
        done,
    });
    result.map_err(|error| format!("{error:#}").into())
}

/// All calls of a pair at one stage; afterwards nothing is left of them.
async fn calls(
    browsers: &Arc<Browsers>,
    caller: Kind,
    called: Kind,
    whole: bool,
    all: &mut Vec<Done>,
) -> Result<()> {
    let stage = Stage::set(browsers).await?;
    let mut one = stage.party(caller, USERS[0], 0).await?;
    let mut other = stage.party(called, USERS[1], 1).await?;
    let ways = if whole { walk::WHOLE } else { walk::SHORT };
    for way in ways {
        let done = walk(*way, (caller, called), one.as_mut(), other.as_mut()).await;
        let failed = failed(&done);
        all.extend(done);
        failed.with_context(|| stage.logs())?;
    }
    stage.is_empty().await.with_context(|| stage.logs())
}

/// One call where what is asked first is of no use.
async fn fails_over(
    browsers: &Arc<Browsers>,
    caller: Kind,
    called: Kind,
    all: &mut Vec<Done>,
) -> Result<()> {
    let stage = Stage::set_failing(browsers).await?;
    let mut one = stage.party(caller, USERS[0], 0).await?;
    let mut other = stage.party(called, USERS[1], 1).await?;
    let done = walk(
        walk::FAILOVER,
        (caller, called),
        one.as_mut(),
        other.as_mut(),
    )
    .await;
    let failed = failed(&done);
    all.extend(done);
    failed.with_context(|| stage.logs())
}

/// A user has a browser and a phone; either answers.
async fn forks(browsers: &Arc<Browsers>, caller: Kind, all: &mut Vec<Done>) -> Result<()> {
    let stage = Stage::set(browsers).await?;
    let mut one = stage.party(caller, USERS[0], 0).await?;
    let mut phone = stage.party(Kind::Avp, USERS[2], 1).await?;
    let mut browser = stage.party(Kind::Chromium, USERS[2], 2).await?;
    let (one, phone, browser) = (one.as_mut(), phone.as_mut(), browser.as_mut());
    all.push(fork("fork: the phone answers", one, phone, browser).await);
    all.push(fork("fork: the browser answers", one, browser, phone).await);
    failed(all).with_context(|| stage.logs())?;
    stage.is_empty().await.with_context(|| stage.logs())
}

fn failed(done: &[Done]) -> Result<()> {
    for Done { name, outcome, .. } in done {
        if let Outcome::Failed(why) = outcome {
            bail!("{name}: {why}");
        }
    }
    Ok(())
}
