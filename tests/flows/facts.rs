//! Every description that was captured from FreeSWITCH, browsers and phones goes through a gateway and the real RTPEngine: what
//! leaves is legal against the offer that it answers, its m= lines are in order, and it names no address of anybody's network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::Message;
use causeway_tests::data;
use causeway_tests::scene::Scene;

use crate::play::{Exchange, Stage, judge, kind_of};

/// A message on its way to the edge of its capture.
struct Spoken {
    by: String,
    message: Message,
}

/// A call of a capture: its legs' kinds and its exchanges.
struct Captured {
    kinds: [usize; 2],
    exchanges: Vec<Exchange>,
}

fn folders() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for of in [
        "chain",
        "browser/jssip",
        "browser/sipjs",
        "browser/baresip",
        "browser/linphone",
    ] {
        for entry in std::fs::read_dir(data::path(&format!("captured/{of}")))? {
            let path = entry?.path();
            if path.is_dir() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The messages of a folder to its edge that have a description, or ask for one.
fn spoken(folder: &Path) -> Result<Vec<Spoken>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| anyhow::Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "sip"));
    files.sort();
    let mut all: Vec<Spoken> = Vec::new();
    for file in files {
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let words: Vec<&str> = name.split(['-', '_']).collect();
        let [_, by, "to", to, ..] = words[..] else {
            continue;
        };
        if !to.starts_with("edge") || by.starts_with("edge") {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
        let again = all.iter().any(|known| known.message.text == text);
        let message = Message {
            text,
            from: ([127, 0, 0, 1], 9).into(),
        };
        if !again && matches!(message.method(), "INVITE" | "UPDATE" | "ACK") {
            all.push(Spoken {
                by: by.to_owned(),
                message,
            });
        }
    }
    Ok(all)
}

fn has_sdp(message: &Message) -> bool {
    let kind = message.header("Content-Type").unwrap_or_default();
    kind.starts_with("application/sdp") && !message.body().is_empty()
}

/// The calls of a folder, and how many of its descriptions are in none.
fn calls(folder: &Path) -> Result<(Vec<Captured>, usize)> {
    let all = spoken(folder)?;
    let mut ids: Vec<&str> = Vec::new();
    for spoken in &all {
        if !ids.contains(&spoken.message.call_id()) {
            ids.push(spoken.message.call_id());
        }
    }
    let (mut found, mut left) = (Vec::new(), 0);
    for id in ids {
        let call: Vec<&Spoken> = all
            .iter()
            .filter(|spoken| spoken.message.call_id() == id)
            .collect();
        let Some(first) = call.iter().find(|spoken| spoken.message.status().is_none()) else {
            left += call
                .iter()
                .filter(|spoken| has_sdp(&spoken.message))
                .count();
            continue;
        };
        let caller = first.by.clone();
        let (mut exchanges, mut kinds, mut used) = (Vec::new(), [None; 2], 0);
        for (index, spoken) in call.iter().enumerate() {
            let request = &spoken.message;
            if request.status().is_some() || request.method() == "ACK" {
                continue;
            }
            let (number, method) = request.cseq();
            let later = call[index + 1..]
                .iter()
                .filter(|other| other.message.cseq().0 == number && has_sdp(&other.message));
            let answers: Vec<&&Spoken> = later
                .clone()
                .filter(|other| {
                    let status = other.message.status();
                    status.is_some_and(|status| (101..300).contains(&status))
                        && other.message.method() == method
                        && other.by != spoken.by
                })
                .collect();
            let ack = later.clone().find(|other| other.message.method() == "ACK");
            let by_caller = spoken.by == caller;
            let mut sides = [None, None];
            let exchange = if has_sdp(request) {
                used += 1 + answers.len();
                sides[0] = Some(request.body());
                sides[1] = answers.last().map(|answer| answer.message.body());
                Exchange {
                    method: method.to_owned(),
                    by_caller,
                    late: false,
                    offer: request.body().to_owned(),
                    answers: answers
                        .iter()
                        .map(|answer| answer.message.body().to_owned())
                        .collect(),
                }
            } else if let (Some(offer), Some(ack)) = (answers.last(), ack) {
                used += answers.len() + 1;
                sides[1] = Some(offer.message.body());
                sides[0] = Some(ack.message.body());
                Exchange {
                    method: method.to_owned(),
                    by_caller,
                    late: true,
                    offer: offer.message.body().to_owned(),
                    answers: vec![ack.message.body().to_owned()],
                }
            } else {
                continue;
            };
            if !by_caller {
                sides.reverse();
            }
            for (kind, said) in kinds.iter_mut().zip(sides) {
                *kind = kind.or(said.map(kind_of));
            }
            exchanges.push(exchange);
        }
        let described = call
            .iter()
            .filter(|spoken| has_sdp(&spoken.message))
            .count();
        left += described.saturating_sub(used);
        // Until somebody answers there is no call: each of those is one of its own (a challenge, a refusal).
        let answered = exchanges
            .iter()
            .position(|exchange| !exchange.answers.is_empty());
        let in_call = exchanges.split_off(answered.unwrap_or(exchanges.len()));
        let kinds = kinds.map(|kind| kind.unwrap_or(0));
        for alone in exchanges {
            found.push(Captured {
                kinds,
                exchanges: vec![alone],
            });
        }
        if !in_call.is_empty() {
            found.push(Captured {
                kinds,
                exchanges: in_call,
            });
        }
    }
    Ok((found, left))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_captured_leaves_legal_in_order_and_without_private_addresses() -> Result<()> {
    let scene = Scene::start_with(&[], "[limits]\nmessages_per_second = 0\n").await?;
    let stage = Stage::open(&scene).await?;
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for folder in folders()? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (calls, left) = calls(&folder)?;
        *count.entry("descriptions of no exchange").or_default() += left;
        for call in calls {
            *count.entry("calls").or_default() += 1;
            let played = stage.plays(call.kinds, &call.exchanges).await;
            let seen = match played.with_context(|| name.clone()) {
                Ok(seen) => seen,
                Err(error) => {
                    wrong.push(format!("{error:#}"));
                    continue;
                }
            };
            for (exchange, seen) in call.exchanges.iter().zip(&seen) {
                *count.entry("exchanges").or_default() += 1;
                *count.entry("descriptions").or_default() += 1 + seen.answered.len();
                let (fits, found) = judge(exchange, seen, "127.0.0.1")?;
                if !fits {
                    *count
                        .entry("answers that did not fit what we offered")
                        .or_default() += 1;
                }
                wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
            }
        }
    }
    println!("{count:#?}");
    ensure!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    ensure!(count["descriptions"] > 200, "hardly anything was played");
    scene.engine.empty_within(Duration::from_secs(10)).await
}
