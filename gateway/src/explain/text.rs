//! A report for people.

use std::fmt::Write as _;

use super::report::{Leaving, Report, Told, What};

/// Colours of a terminal, or nothing.
struct Paint {
    bold: &'static str,
    gone: &'static str,
    come: &'static str,
    dim: &'static str,
    end: &'static str,
}

const COLOURS: Paint = Paint {
    bold: "\x1b[1m",
    gone: "\x1b[31m",
    come: "\x1b[32m",
    dim: "\x1b[2m",
    end: "\x1b[0m",
};
const PLAIN: Paint = Paint {
    bold: "",
    gone: "",
    come: "",
    dim: "",
    end: "",
};

/// The report as text.
pub(super) fn render(report: &Report, colour: bool) -> String {
    let paint = if colour { &COLOURS } else { &PLAIN };
    let mut text = String::new();
    let came = &report.message;
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}{}{}", paint.bold, clean(&came.start), paint.end);
    let _ = writeln!(
        text,
        "{} bytes from {} ({}) to [listen.{}] {}\n",
        came.bytes,
        came.from,
        match (came.side, report.reason) {
            (_, Some("untrusted")) => "a stranger",
            ("core", _) => "the core",
            _ => "a device",
        },
        came.listener,
        came.to,
    );
    for assumed in &report.assumed {
        let _ = writeln!(
            text,
            "{}taken for granted: {}{}",
            paint.dim,
            clean(assumed),
            paint.end
        );
    }
    for step in &report.steps {
        let _ = writeln!(text, "{:<12} {}", step.what, clean(&step.text));
        if step.what == "rule" {
            rules(&mut text, report, paint);
        }
    }
    let _ = writeln!(
        text,
        "\n{}{}{}",
        paint.bold,
        clean(&report.verdict),
        paint.end
    );
    for leaving in &report.leaves {
        message(&mut text, leaving, paint);
    }
    for told in &report.rtpengine {
        rtpengine(&mut text, told, paint);
    }
    if !report.later.is_empty() {
        text.push('\n');
    }
    for later in &report.later {
        let _ = writeln!(text, "later: {}", clean(later));
    }
    text
}

/// The rules before the one that matches: why they do not.
fn rules(text: &mut String, report: &Report, paint: &Paint) {
    for rule in report.rules.iter().take_while(|rule| !rule.matches) {
        let misses: Vec<String> = rule
            .misses
            .iter()
            .map(|miss| format!("{} = {}, not {}", miss.key, miss.wants, miss.has))
            .collect();
        let line = rule
            .line
            .map_or_else(String::new, |line| format!(" (line {line})"));
        let misses = clean(&misses.join("; "));
        let _ = writeln!(
            text,
            "{:<12} {}{}{line}: {misses}{}",
            "", paint.dim, rule.number, paint.end
        );
    }
}

fn rtpengine(text: &mut String, told: &Told, paint: &Paint) {
    let _ = writeln!(
        text,
        "\n{}RTPEngine {} is told `{}` {}{}",
        paint.bold,
        clean(&told.rtpengine),
        told.command,
        told.when,
        paint.end
    );
    for (key, value) in &told.keys {
        let _ = writeln!(text, "  {key}: {}", clean(&plain(value)));
    }
}

/// A value without the quotes of JSON.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(all) => {
            let each: Vec<String> = all.iter().map(plain).collect();
            each.join(", ")
        }
        other => other.to_string(),
    }
}

fn message(text: &mut String, leaving: &Leaving, paint: &Paint) {
    let what = match leaving.what {
        What::Request => "the request",
        What::Response => "the response",
        What::Answer => "the answer",
        What::Trying => "100, at once,",
    };
    let _ = writeln!(
        text,
        "\n{}{what} to {} from [listen.{}] {}: {} bytes{}",
        paint.bold, leaving.to, leaving.listener, leaving.from, leaving.length, paint.end
    );
    if let Some(budget) = leaving.budget {
        let _ = match &leaving.shortened {
            None => writeln!(
                text,
                "a datagram may have {budget}: nothing has to be taken out"
            ),
            Some(lost) => writeln!(
                text,
                "a datagram may have {budget}; it had {}, and lost: {}{}",
                lost.before,
                if lost.spent.is_empty() {
                    "nothing".to_owned()
                } else {
                    lost.spent.join(", ")
                },
                if lost.is_too_long {
                    "; it leaves in fragments"
                } else {
                    ""
                }
            ),
        };
    }
    match leaving.what {
        What::Trying => {}
        What::Answer => {
            for line in leaving.message.lines() {
                let _ = writeln!(text, "  {}", clean(line));
            }
        }
        What::Request | What::Response => {
            for line in &leaving.diff {
                let colour = if line.sign == '-' {
                    paint.gone
                } else {
                    paint.come
                };
                let _ = writeln!(
                    text,
                    "{colour}{} {}{}",
                    line.sign,
                    clean(&line.text),
                    paint.end
                );
            }
        }
    }
}

/// A message is from outside: its control characters must not reach the terminal.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}
