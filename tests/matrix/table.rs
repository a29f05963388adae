//! The result, for people: a table for each who calls, with who is called across and the steps down.

use std::fmt::Write as _;

use crate::kind::Kind;
use crate::walk::{Done, Outcome};

/// What a pair did.
pub(crate) struct Pair {
    pub(crate) caller: Kind,
    pub(crate) called: Kind,
    pub(crate) done: Vec<Done>,
}

const STEP: usize = 50;
const CELL: usize = 16;

/// All tables, and below each why a cell is not ok.
pub(crate) fn print(mut pairs: Vec<Pair>) -> String {
    pairs.sort_by_key(|pair| (pair.caller, pair.called));
    let mut text = String::new();
    for caller in Kind::ROWS {
        let row: Vec<&Pair> = pairs.iter().filter(|pair| pair.caller == caller).collect();
        if row.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{:<STEP$}", format!("{} calls", caller.name()));
        for pair in &row {
            let _ = write!(text, "{:<CELL$}", pair.called.name());
        }
        let mut names: Vec<&str> = Vec::new();
        for done in row.iter().flat_map(|pair| &pair.done) {
            if !names.contains(&done.name.as_str()) {
                names.push(&done.name);
            }
        }
        let mut notes: Vec<String> = Vec::new();
        for name in names {
            let _ = write!(text, "\n  {name:<width$}", width = STEP - 2);
            for pair in &row {
                let done = pair.done.iter().find(|done| done.name == name);
                let cell = done.map_or_else(String::new, |done| cell(done, &mut notes));
                let _ = write!(text, "{cell:<CELL$}");
            }
        }
        text.push('\n');
        for (number, note) in (1..).zip(&notes) {
            // The whole of a failure is with its test.
            let line = note.lines().next().unwrap_or_default();
            let _ = writeln!(text, "  {number}: {line}");
        }
    }
    text
}

fn cell(done: &Done, notes: &mut Vec<String>) -> String {
    let mut note = |why: &str| {
        let known = notes.iter().position(|note| note == why);
        known.unwrap_or_else(|| {
            notes.push(why.to_owned());
            notes.len() - 1
        }) + 1
    };
    match &done.outcome {
        Outcome::Ok => format!("ok {:.1} s", done.took.as_secs_f64()),
        Outcome::Cannot(why) => format!("cannot ({})", note(why)),
        Outcome::Failed(why) => format!("FAILED ({})", note(why)),
    }
}
