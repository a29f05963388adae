//! The page of the documentation, made from the blocks that declare the sections.
use std::fmt::Write;

use super::Config;
use super::schema::{Inside, Section, Shape};

const INTRODUCTION: &str = "\
# Configuration

One TOML file. `causeway check FILE` says everything that is wrong with it, without starting: an unknown key with the
nearest known one, a wrong type or unit, files that are not there, values that contradict each other, and what this
machine cannot do (a port in use, an address that is not its own). `deploy/causeway.toml` has every key.

- A duration is a string with its unit: `\"500ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`, `\"1d\"`. A size is a number of bytes, or a
  string with `KiB` or `MiB`.
- Where a list is expected, one value may stand without brackets.
- A path is relative to the directory of the configuration file.
- A file that holds a secret (keys, passwords) must be readable by its owner alone (`chmod 600`).
- An address is written with its port, IPv6 in brackets: `\"[2001:db8::1]:5060\"`.

This page is made from the source (`gateway/src/config/`): a test fails when the two differ.
";

/// `docs/configuration.md`.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for key in Config::keys() {
        if let Some(inside) = &key.inside {
            section(&mut page, key.name, key.name, inside);
        }
    }
    page
}

fn section(page: &mut String, path: &str, name: &str, of: &Inside) {
    let (header, path) = match of.shape {
        Shape::One => (format!("[{path}]"), path.to_owned()),
        Shape::Named if name == "domain" => {
            (format!("[{path}.\"NAME\"]"), format!("{path}.\"NAME\""))
        }
        Shape::Named => (format!("[{path}.NAME]"), format!("{path}.NAME")),
        Shape::List => (format!("[[{path}]]"), path.to_owned()),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n## `{header}`\n\n{}\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
        words(of.doc)
    );
    for inner in &of.keys {
        let default = match (inner.required, inner.default.as_str()) {
            (true, _) => "must be given".to_owned(),
            (false, "") => "".to_owned(),
            (false, default) => format!("`{default}`"),
        };
        let mut meaning = words(inner.doc);
        if let Some((min, max)) = &inner.range {
            let _ = write!(meaning, " From `{min}` to `{max}`.");
        }
        let kind = cell(&inner.kind);
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            inner.name,
            cell(&default),
            cell(&meaning)
        );
    }
    for key in &of.keys {
        if let Some(inside) = &key.inside {
            section(page, &format!("{path}.{}", key.name), key.name, inside);
        }
    }
}

fn words(doc: &[&str]) -> String {
    doc.iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
