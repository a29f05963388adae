//! The page of the documentation and the sample file have every key.
use std::collections::BTreeSet;

use super::*;
use crate::config::schema::{KeyDoc, Section};

const SAMPLE: &str = include_str!("../../../../deploy/causeway.toml");
const README: &str = include_str!("../../../../README.md");

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md")
}

#[test]
fn the_page_of_the_documentation_is_what_the_code_says() {
    if std::env::var_os("CAUSEWAY_WRITE_DOCS").is_some() {
        fs::write(page(), markdown()).unwrap();
    }
    let written = fs::read_to_string(page()).unwrap_or_default();
    assert!(
        written == markdown(),
        "docs/configuration.md is old: run this test with CAUSEWAY_WRITE_DOCS=1"
    );
}

/// The sample as it stands, and with every setting that is commented out (`#key = value`, no blank) put in force.
fn sample(uncommented: bool) -> String {
    let in_force = |line: &str| match line.strip_prefix('#') {
        Some(setting) if uncommented && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    SAMPLE.lines().map(|line| in_force(line) + "\n").collect()
}

/// The sample's files, in a directory of the test's own.
fn at_home(site: &Site, text: &str) -> String {
    let key = fs::read_to_string(site.path("good.key")).unwrap();
    let chain = fs::read_to_string(site.path("good.pem")).unwrap();
    site.write("fullchain.pem", 0o644, &chain);
    site.write("privkey.pem", 0o600, &key);
    site.write("turn.secret", 0o600, "north");
    site.write("hep.password", 0o600, "north");
    text.replace("/etc/causeway", &site.dir.path().display().to_string())
}

#[test]
fn the_sample_file_can_be_run_as_it_stands() {
    let site = Site::new();
    let found = site.found(&at_home(&site, &sample(false)));
    assert!(found.is_empty(), "{found}");
}

#[test]
fn every_setting_that_the_sample_comments_out_is_right() {
    let site = Site::new();
    let found = site.found(&at_home(&site, &sample(true)));
    assert!(found.is_empty(), "{found}");
}

/// The README's configurations, in their order.
fn of_readme() -> Vec<&'static str> {
    let blocks = README.split("\n```toml\n").skip(1);
    blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[test]
fn the_configurations_of_the_readme_can_be_run() {
    let of = of_readme();
    let [alone, edge, one_address] = of[..] else {
        panic!("{} configurations", of.len());
    };
    let rest = edge.find("[group.").expect("a group");
    let single_homed = format!("{one_address}\n{}", &edge[rest..]);
    for text in [alone, edge, &single_homed] {
        let site = Site::new();
        let found = site.found(&at_home(&site, text));
        assert!(found.is_empty(), "{text}\n{found}");
    }
    assert!(edge.lines().count() <= 30, "a page at most");
}

/// Keys of the sample, each under its section's path without names: `listen.udp`.
fn mentioned() -> BTreeSet<String> {
    fn visit(table: &toml::Table, path: &str, keys: &[KeyDoc], seen: &mut BTreeSet<String>) {
        for key in keys {
            let Some(value) = table.get(key.name) else {
                continue;
            };
            let at = format!("{path}{}", key.name);
            seen.insert(at.clone());
            let Some(inside) = &key.inside else { continue };
            let at = format!("{at}.");
            let tables: Vec<&toml::Value> = match value {
                toml::Value::Array(list) => list.iter().collect(),
                toml::Value::Table(named)
                    if inside.shape == crate::config::schema::Shape::Named =>
                {
                    named.values().collect()
                }
                one => vec![one],
            };
            for table in tables.into_iter().filter_map(toml::Value::as_table) {
                visit(table, &at, &inside.keys, seen);
            }
        }
    }
    let mut seen = BTreeSet::new();
    visit(
        &sample(true).parse().unwrap(),
        "",
        &Config::keys(),
        &mut seen,
    );
    seen
}

#[test]
fn the_sample_file_has_every_key() {
    fn visit(keys: &[KeyDoc], path: &str, all: &mut BTreeSet<String>) {
        for key in keys {
            let at = format!("{path}{}", key.name);
            all.insert(at.clone());
            if let Some(inside) = &key.inside {
                visit(&inside.keys, &format!("{at}."), all);
            }
        }
    }
    let mut all = BTreeSet::new();
    visit(&Config::keys(), "", &mut all);
    let mentioned = mentioned();
    let missing: Vec<&String> = all.difference(&mentioned).collect();
    assert!(missing.is_empty(), "deploy/causeway.toml lacks {missing:?}");
}

/// Users are read by the configuration itself, which makes one credential of what proves them; so are sockets, which
/// `Listen::sockets` gives out.
const READ_HERE: [&str; 7] = [
    "domain.users.",
    "domain.users_file",
    "listen.udp",
    "listen.tcp",
    "listen.tls",
    "listen.ws",
    "listen.wss",
];

/// What the rest of the gateway says, without the configuration's own files.
fn readers() -> String {
    fn visit(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("src/config") {
                visit(&path, text);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    visit(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut text,
    );
    text
}

#[test]
fn no_key_is_accepted_that_nothing_reads() {
    fn visit(keys: &[KeyDoc], path: &str, readers: &str, unread: &mut Vec<String>) {
        for key in keys {
            let at = format!("{path}{}", key.name);
            let field = regex::Regex::new(&format!(r"\.{}\b", key.name)).unwrap();
            let here = READ_HERE.iter().any(|read| at.starts_with(read));
            if !here && !field.is_match(readers) {
                unread.push(at.clone());
            }
            if let Some(inside) = &key.inside {
                visit(&inside.keys, &format!("{at}."), readers, unread);
            }
        }
    }
    let mut unread = Vec::new();
    visit(&Config::keys(), "", &readers(), &mut unread);
    assert!(unread.is_empty(), "nothing reads {unread:?}");
}
