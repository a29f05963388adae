//! What the media path adds to a call: the same calls with and without RTPEngine, ours beside Kamailio's rtpengine module, on one
//! RTPEngine, whose own work is not counted.

use std::time::Duration;

use anyhow::Result;
use causeway_tests::rtpengine::RtpEngine;

use crate::cpu::{self, Plan};
use crate::link::Kind;
use crate::load::{Pace, Scenario};
use crate::subject::{self, Cores, Subject};
use crate::table::{Cell, Table};

/// Calls a second are a fifth of it. RTPEngine in user space, which shares a core with the load, takes some 300 of them.
const RATES: [u32; 2] = [250, 1_000];
const LOAD: (Scenario, Kind) = (Scenario::Call, Kind::Udp);

/// Both tables: microseconds a message, and what RTPEngine adds to a call.
pub(crate) async fn measure(cores: &Cores, ours: bool, plan: &Plan) -> Result<[Table; 2]> {
    // A call's ports are free as soon as it is over: at its default, a `delete` without a word about it keeps them for 30 s.
    let engine = RtpEngine::start_with(&["--delete-delay=0"]).await?;
    let (_stub, target) = subject::answering_stub(cores).await?;
    let under = subject::pinned(cores);
    let mut subjects = Vec::new();
    for asked in [None, Some(engine.ng)] {
        subjects.push(Subject::kamailio_with_media(&under, target, asked).await?);
        if ours {
            subjects.push(Subject::causeway_with_media(under.clone(), target, asked).await?);
        }
    }
    let plan = Plan {
        paces: RATES.map(Pace::Rate).into(),
        ..plan.clone()
    };
    let title = "Media: call INVITE…BYE, UDP to UDP, with a session description in INVITE and 200";
    let all: Vec<&Subject> = subjects.iter().collect();
    let costs = cpu::measure(title, LOAD.0, LOAD.1, &all, &plan).await?;
    engine.empty_within(Duration::from_secs(30)).await?;
    let mut added = Table::new(
        "Media: what RTPEngine's offer, answer and delete add to a call, µs",
        RATES
            .map(|rate| format!("{} calls/s", rate / LOAD.0.messages()))
            .into(),
    );
    for (name, with) in [subject::KAMAILIO_MEDIA, subject::CAUSEWAY_MEDIA] {
        if let (Some(without), Some(with)) = (costs.values(name), costs.values(with)) {
            let each = f64::from(LOAD.0.messages());
            let cells = without.zip(with).map(|(without, with)| Cell {
                value: (with - without) * each,
                note: String::new(),
            });
            added.row(name, cells.collect());
        }
    }
    Ok([costs, added])
}
