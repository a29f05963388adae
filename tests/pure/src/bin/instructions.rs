//! Instructions a message of the pure path, counted by callgrind: free of the noise that times have.
//!
//! - `instructions check`: counts, and fails when an operation has grown by more than a tenth beyond
//!   `tests/data/instructions.toml`. With another compiler or another kind of processor it only prints.
//! - `instructions update`: counts, and writes that file. Do it with the change that makes it grow or shrink.
//! - `instructions top OPERATION`: where they go, a function a line.
//! - `instructions run OPERATION TIMES`: what callgrind looks at.
//!
//! What is counted is the difference of two runs, one twice as long as the other, divided by the messages between: what start
//! and end cost falls out. Keys and hashes are fixed. Valgrind knows no SHA instructions, so SHA-256 counts as its portable
//! code does: on a processor that has them a token costs less than half of what is said here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use pure::operation::{OPERATIONS, Operation};
use pure::seeds;
use serde::Deserialize;

/// How often the shorter run does it.
const TIMES: u64 = 300;
/// A tenth more fails.
const ALLOWED_GROWTH: f64 = 1.1;

/// The counts of a compiler on a kind of processor.
#[derive(Clone, PartialEq, Debug, Deserialize)]
struct Counts {
    /// As `rustc --version` says.
    compiler: String,
    /// What decides which code the libraries choose at run time.
    processor: String,
    instructions: BTreeMap<String, u64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", name, times] => {
            Operation::new(name)?.repeat(times.parse()?);
            Ok(())
        }
        ["top", name] => top(name),
        ["check"] => check(),
        ["update"] => {
            let counts = count_all()?;
            fs::write(baseline_path(), written(&counts))?;
            print(&counts, None);
            Ok(())
        }
        _ => {
            bail!("usage: instructions check | update | top OPERATION | run OPERATION TIMES")
        }
    }
}

fn baseline_path() -> PathBuf {
    seeds::data().join("instructions.toml")
}

fn check() -> Result<()> {
    let baseline: Counts = toml::from_str(&fs::read_to_string(baseline_path())?)?;
    let counts = count_all()?;
    print(&counts, Some(&baseline));
    match judge(&counts, &baseline) {
        Verdict::Held => Ok(()),
        Verdict::NotComparable => {
            println!(
                "Not judged: tests/data/instructions.toml was counted with {} on {}.",
                baseline.compiler, baseline.processor
            );
            Ok(())
        }
        Verdict::Grown(names) => bail!(
            "more than a tenth above tests/data/instructions.toml: {}. If it has to be, say why in the commit and run \
             `cargo run --release -p causeway-tests-pure --bin instructions -- update`",
            names.join(", ")
        ),
    }
}

#[derive(PartialEq, Debug)]
enum Verdict {
    Held,
    /// Counted with another compiler, or another kind of processor.
    NotComparable,
    /// These operations; one that has no baseline counts as grown.
    Grown(Vec<String>),
}

fn judge(counts: &Counts, baseline: &Counts) -> Verdict {
    if (&counts.compiler, &counts.processor) != (&baseline.compiler, &baseline.processor) {
        return Verdict::NotComparable;
    }
    let grown: Vec<String> = counts
        .instructions
        .iter()
        .filter(|(name, count)| {
            let before = baseline
                .instructions
                .get(*name)
                .copied()
                .unwrap_or_default();
            **count as f64 > before as f64 * ALLOWED_GROWTH
        })
        .map(|(name, _)| name.clone())
        .collect();
    if grown.is_empty() {
        Verdict::Held
    } else {
        Verdict::Grown(grown)
    }
}

fn written(counts: &Counts) -> String {
    let mut text = format!(
        "# Instructions a message, written by `instructions update` (tests/pure). See its first lines.\n\
         compiler = \"{}\"\nprocessor = \"{}\"\n\n[instructions]\n",
        counts.compiler, counts.processor
    );
    for (name, _) in OPERATIONS {
        if let Some(count) = counts.instructions.get(name) {
            text.push_str(&format!("{name} = {count}\n"));
        }
    }
    text
}

fn print(counts: &Counts, baseline: Option<&Counts>) {
    println!("Instructions a message ({})", counts.compiler);
    for (name, what) in OPERATIONS {
        let Some(count) = counts.instructions.get(name) else {
            continue;
        };
        let before = baseline.and_then(|baseline| baseline.instructions.get(name));
        let change = before.map(|before| *count as f64 / *before as f64 * 100.0 - 100.0);
        let change = change.map_or(String::new(), |change| format!("  {change:+.1} %"));
        println!("  {count:>8}  {name:<12} {what}{change}");
    }
}

fn count_all() -> Result<Counts> {
    let folder = Folder::new()?;
    let mut instructions = BTreeMap::new();
    for (name, _) in OPERATIONS {
        let file = folder.0.join(name);
        let [short, long] = [TIMES, 2 * TIMES].map(|times| count(name, times, &file));
        instructions.insert(name.to_owned(), (long? - short?) / TIMES);
    }
    let avx2 = fs::read_to_string("/proc/cpuinfo")
        .is_ok_and(|text| text.split_whitespace().any(|flag| flag == "avx2"));
    Ok(Counts {
        compiler: compiler()?,
        processor: format!(
            "{}{}",
            std::env::consts::ARCH,
            if avx2 { " with AVX2" } else { "" }
        ),
        instructions,
    })
}

fn compiler() -> Result<String> {
    let said = Command::new("rustc")
        .arg("--version")
        .output()
        .context("rustc")?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// Runs it under callgrind and gives all that it executed.
fn count(name: &str, times: u64, file: &Path) -> Result<u64> {
    let said = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["run", name, &times.to_string()])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdout(Stdio::null())
        .output()
        .context("valgrind is missing: scripts/install.sh --for test installs it")?;
    if !said.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&said.stderr));
    }
    let text = fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.context("callgrind counted nothing")?;
    Ok(total.trim().parse()?)
}

fn top(name: &str) -> Result<()> {
    let folder = Folder::new()?;
    let file = folder.0.join(name);
    // So often that the start does not show.
    let times = 10 * TIMES;
    let total = count(name, times, &file)?;
    println!("{name}: {} instructions a message", total / times);
    for (words, inclusive, merge) in [
        (
            "with what they call",
            "yes",
            u64::max as fn(u64, u64) -> u64,
        ),
        ("by themselves", "no", |a, b| a + b),
    ] {
        let said = Command::new("callgrind_annotate")
            .args(["--threshold=100", "--auto=no"])
            .arg(format!("--inclusive={inclusive}"))
            .arg(&file)
            .output()
            .context("callgrind_annotate")?;
        println!("Functions {words}:");
        let annotated = String::from_utf8_lossy(&said.stdout);
        for (count, function) in functions(&annotated, merge).into_iter().take(40) {
            println!("{:>8}  {function}", count / times);
        }
    }
    Ok(())
}

/// Reads lines such as ` 1,234 (5.6%)  file.rs:function [object]`, and gives the functions by their counts. What is inlined
/// stands there once for each file that it came from.
fn functions(annotated: &str, merge: fn(u64, u64) -> u64) -> Vec<(u64, String)> {
    let mut by_function = BTreeMap::new();
    for line in annotated.lines() {
        let Some((count, rest)) = line.trim_start().split_once(" (") else {
            continue;
        };
        let (Ok(count), Some((_, place))) =
            (count.replace(',', "").parse(), rest.split_once(")  "))
        else {
            continue;
        };
        let place = place.split(" [").next().unwrap_or_default();
        let Some((_, function)) = place.split_once(':') else {
            continue;
        };
        by_function
            .entry(function.trim_end().to_owned())
            .and_modify(|sum| *sum = merge(*sum, count))
            .or_insert(count);
    }
    let mut functions: Vec<(u64, String)> = by_function
        .into_iter()
        .map(|(function, count)| (count, function))
        .collect();
    functions.sort_by(|a, b| b.cmp(a));
    functions
}

/// A folder for callgrind's files, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("instructions-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compiler: &str, parse: u64) -> Counts {
        Counts {
            compiler: compiler.to_owned(),
            processor: "a".to_owned(),
            instructions: [("parse".to_owned(), parse)].into(),
        }
    }

    #[test]
    fn a_tenth_more_is_too_much_for_the_same_compiler() {
        let baseline = counts("1.95", 1000);
        for (why, now, want) in [
            ("fewer", counts("1.95", 500), Verdict::Held),
            ("a tenth more", counts("1.95", 1100), Verdict::Held),
            (
                "more than a tenth",
                counts("1.95", 1101),
                Verdict::Grown(vec!["parse".into()]),
            ),
            (
                "another compiler",
                counts("1.96", 5000),
                Verdict::NotComparable,
            ),
        ] {
            assert_eq!(judge(&now, &baseline), want, "{why}");
        }
        let mut new = counts("1.95", 1000);
        new.instructions.insert("new".into(), 1);
        assert_eq!(judge(&new, &baseline), Verdict::Grown(vec!["new".into()]));
    }

    #[test]
    fn a_function_is_named_once() {
        let annotated = "Ir\n1,200 (60.0%)  a.rs:sip::parse [x]\n 300 (15.0%)  b.rs:sip::parse\n2,000 (100.0%)  PROGRAM TOTALS\n";
        let sum = functions(annotated, |a, b| a + b);
        assert_eq!(sum, [(1500, "sip::parse".to_owned())]);
        assert_eq!(functions(annotated, u64::max)[0].0, 1200);
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let counts = counts("rustc 1.95.0", 12);
        assert_eq!(toml::from_str::<Counts>(&written(&counts)).unwrap(), counts);
    }

    #[test]
    fn every_operation_has_its_baseline() {
        let baseline: Counts =
            toml::from_str(&fs::read_to_string(baseline_path()).unwrap()).unwrap();
        for (name, _) in OPERATIONS {
            assert!(baseline.instructions.contains_key(name), "{name}");
        }
        assert_eq!(baseline.instructions.len(), OPERATIONS.len());
    }
}
