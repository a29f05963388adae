//! Damaged real bytes through every place where bytes of strangers come in: the short, seeded sibling of `make fuzz`.
//!
//! `SEED=N cargo test -p causeway-tests-pure --test random` takes another seed, `ROUNDS=N` more of them. A failure prints the bytes;
//! put them into `tests/data/crashes/ENTRY/NAME.bin`, and they are tried ever after.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use pure::entry::Entry;
use pure::mutate::{Random, mutate};
use pure::seeds;

/// Damaged inputs of each entry point, about a second's worth in the dev profile.
fn damages(entry: Entry) -> usize {
    match entry {
        Entry::Message => 2_000,
        Entry::Session | Entry::Decision => 1_000,
        Entry::Token | Entry::Stream => 500,
        Entry::Ng => 4_000,
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Says which bytes did it before the panic goes on.
fn run(entry: Entry, why: &str, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| entry.run(data))).is_err() {
        panic!("{}: {why}: b\"{}\"", entry.name(), data.escape_ascii());
    }
}

fn damaged_bytes_break_no_promise(entry: Entry) {
    let began = Instant::now();
    let seeds = seeds::of(entry).expect("tests/data can be read");
    assert!(seeds.len() >= 10, "{} seeds", seeds.len());
    let seed = number("SEED", 20_260_801);
    let rounds = number("ROUNDS", 1) as usize * damages(entry);
    let mut random = Random::new(seed);
    for number in 0..rounds {
        let mut data = seeds[random.below(seeds.len())].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut data, other, &mut random);
        run(entry, &format!("SEED={seed}, input {number}"), &data);
    }
    let took = began.elapsed();
    println!(
        "{}: {rounds} inputs of SEED={seed} in {took:?}",
        entry.name()
    );
}

#[test]
fn damaged_messages_break_no_promise() {
    damaged_bytes_break_no_promise(Entry::Message);
}

#[test]
fn damaged_streams_break_no_promise() {
    damaged_bytes_break_no_promise(Entry::Stream);
}

#[test]
fn damaged_tokens_break_no_promise() {
    damaged_bytes_break_no_promise(Entry::Token);
}

#[test]
fn damaged_sessions_break_no_promise() {
    damaged_bytes_break_no_promise(Entry::Session);
}

#[test]
fn damaged_ng_answers_break_no_promise() {
    damaged_bytes_break_no_promise(Entry::Ng);
}

#[test]
fn damaged_messages_are_decided_about() {
    damaged_bytes_break_no_promise(Entry::Decision);
}

#[test]
fn whole_seeds_and_old_crashes_break_no_promise() {
    for entry in Entry::ALL {
        let seeds = seeds::of(entry).expect("tests/data can be read");
        // Every tenth of the captured ones: the damaged ones begin as the others. All crashes come first.
        let crashes = seeds::crashes(entry).expect("tests/data can be read").len();
        for (number, data) in seeds.iter().enumerate() {
            if number < crashes || number % 10 == 0 {
                run(entry, &format!("seed {number}"), data);
            }
        }
    }
}
