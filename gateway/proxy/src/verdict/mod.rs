//! What became of a call, and in words what went wrong: from what is known when it is over. It is judged behind the last
//! message, so nothing here may be needed to pass one on.
//!
//! Start reading at [`judge`]; what it looks at is in [`Facts`], what it can say in [`Code`].

mod code;
mod facts;
mod media;
mod signalling;

use std::time::Duration;

pub use code::{Code, Weight};
pub use facts::{Answer, By, Dtls, Ending, Facts, Leg, Legs, Media, Party, Quality, Refresh};

/// What became of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// In a stable word.
    pub code: Code,
    /// In a sentence for people.
    pub words: String,
    /// The figures that it rests on, each with its name.
    pub evidence: Vec<(&'static str, String)>,
}

impl Verdict {
    fn new(code: Code, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
            evidence: Vec::new(),
        }
    }

    /// The same with a figure more.
    fn with(mut self, name: &'static str, figure: impl ToString) -> Self {
        self.evidence.push((name, figure.to_string()));
        self
    }
}

/// Says what became of a call. What is the matter first is said: without an answer nobody asks for packets, without DTLS nobody
/// for loss.
pub fn judge(facts: &Facts) -> Verdict {
    match facts.answered {
        None => signalling::unanswered(facts),
        Some(answered) => {
            let talked = facts.ended.saturating_sub(answered);
            signalling::answered_badly(facts)
                .or_else(|| media::judge(facts, talked))
                .or_else(|| signalling::ended_badly(facts))
                .or_else(|| media::quality(facts))
                .unwrap_or_else(|| fine(facts, talked))
        }
    }
}

fn fine(facts: &Facts, talked: Duration) -> Verdict {
    if facts.ending == Ending::Unseen {
        let words = "unknown: the call was answered, and its end was not seen by this node";
        return Verdict::new(Code::Unknown, words).with("seconds", seconds(talked));
    }
    let words = match &facts.media {
        Media::NotAsked => format!(
            "The call was up for {} s. No RTPEngine was in its way, so nothing is known of its audio.",
            seconds(talked)
        ),
        Media::Seen(_) if talked < media::JUDGED => format!(
            "The call was up for {} s, too short to judge its audio.",
            seconds(talked)
        ),
        _ => format!(
            "The call was up for {} s, with audio from both sides.",
            seconds(talked)
        ),
    };
    Verdict::new(Code::Ok, words)
}

/// Seconds with one digit behind the point.
fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
