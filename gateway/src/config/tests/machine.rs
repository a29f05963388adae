//! What only the machine can tell.
use std::net::{TcpListener, UdpSocket};

use super::*;

/// Loads, and asks the machine; warnings of loading apart.
fn probed(site: &Site, text: &str) -> Diagnostics {
    let text = completed(text).replace("127.0.0.1:5999", "127.0.0.1:0");
    let text = if text.contains("[node]") {
        text
    } else {
        format!("{text}[node]\ndata_dir = \".\"\nopen_files = 512\n")
    };
    let loaded = site.load(&text).unwrap();
    probe(&loaded.config, &loaded.source)
}

#[test]
fn a_machine_that_can_do_it_has_nothing_to_say() {
    let found = probed(&Site::new(), "");
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_port_in_use_is_named_with_a_free_one() {
    let site = Site::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for (key, layer, address) in [
        ("udp", "UDP", udp.local_addr().unwrap()),
        ("tcp", "TCP", tcp.local_addr().unwrap()),
    ] {
        let found = probed(&site, &format!("[listen.a]\n{key} = \"{address}\"\n"));
        assert_eq!(found.errors(), 1, "{found}");
        let only = found.iter().next().unwrap();
        assert_eq!(only.position(), Some((2, 7)), "{found}");
        assert_eq!(
            only.message,
            format!("{layer} port {} is in use", address.port())
        );
        let help = only.help.as_deref().unwrap();
        assert!(
            help.contains("ss -") && help.contains("which is free"),
            "{help}"
        );
        assert!(!help.contains(&format!("\"{address}\"")), "{help}");
    }
}

#[test]
fn an_address_that_is_not_ours_is_named_with_those_that_are() {
    let found = probed(&Site::new(), "[listen.a]\nudp = \"203.0.113.77:5060\"\n");
    let only = found.iter().next().unwrap();
    assert_eq!(only.position(), Some((2, 7)), "{found}");
    assert_eq!(
        only.message,
        "203.0.113.77 is not an address of this machine"
    );
    assert!(
        only.help.as_deref().unwrap().contains("127.0.0.1"),
        "{found}"
    );
}

#[test]
fn a_name_that_does_not_resolve_is_a_warning_at_each_place() {
    let found = probed(
        &Site::new(),
        "[media]\nrtpengine = [\"127.0.0.1:2223\", \"nobody.invalid:2223\"]\n",
    );
    assert_eq!((found.errors(), found.warnings()), (0, 1), "{found}");
    assert_eq!(
        found.iter().next().unwrap().position(),
        Some((2, 32)),
        "{found}"
    );
    assert!(found.to_string().contains("nobody.invalid"), "{found}");
}

#[test]
fn a_data_directory_must_be_one() {
    let site = Site::new();
    for (path, want) in [
        ("nowhere", "no such file"),
        ("good.pem", "is not a directory"),
    ] {
        let text = format!("[node]\nopen_files = 512\ndata_dir = \"{path}\"\n");
        let found = probed(&site, &text);
        let only = found.iter().next().unwrap();
        assert_eq!(only.position(), Some((3, 12)), "{found}");
        assert!(only.message.contains(want), "{found}");
        assert!(
            only.help.as_deref().unwrap().contains("mkdir -p"),
            "{found}"
        );
    }
}

#[test]
fn more_open_files_than_the_system_allows_are_warned_of() {
    let (_, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    if hard >= 4_194_304 {
        return; // no number that may be written is more
    }
    let found = probed(
        &Site::new(),
        "[node]\ndata_dir = \".\"\nopen_files = 4194304\n",
    );
    assert_eq!((found.errors(), found.warnings()), (0, 1), "{found}");
    assert!(found.to_string().contains("LimitNOFILE=4194304"), "{found}");
}

#[test]
fn a_configuration_built_by_code_is_probed_without_a_file() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    config.node.data_dir = std::env::temp_dir();
    config.node.open_files = 256;
    config.listen.insert(
        "a".to_owned(),
        Listen {
            udp: vec![taken.local_addr().unwrap()],
            ..Listen::default()
        },
    );
    let found = probe(&config, &Source::default());
    assert_eq!(found.errors(), 1, "{found}");
    assert!(found.to_string().contains("is in use"), "{found}");
}

#[test]
fn mistakes_of_the_file_and_of_the_machine_are_said_at_once() {
    let site = Site::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = completed(&format!(
        "[node]\nopen_files = 512\ndata_dir = 3\n[listen.a]\nudp = \"{address}\"\nupd = \"127.0.0.1:5060\"\n"
    ));
    site.write("both.toml", 0o600, &text);
    let report = check(&site.path("both.toml"));
    let said: Vec<_> = report
        .found
        .iter()
        .map(|one| (one.position(), one.message.clone()))
        .collect();
    let in_use = format!("UDP port {} is in use", address.port());
    let want = [
        // What nobody could read is not looked for on the machine: no word of the default directory.
        (
            Some((3, 12)),
            "`node.data_dir` must be a path, not a number",
        ),
        (Some((5, 7)), in_use.as_str()),
        (Some((6, 1)), "unknown key `listen.a.upd`"),
    ];
    assert_eq!(
        said,
        want.map(|(at, words)| (at, words.to_owned())),
        "{}",
        report.found
    );
}

#[test]
fn check_reads_probes_and_says_how_it_ends() {
    let site = Site::new();
    let good = format!(
        "{}[node]\ndata_dir = \".\"\nopen_files = 512\n",
        completed("")
    );
    site.write("good.toml", 0o600, &good);
    let report = check(&site.path("good.toml"));
    assert_eq!(report.exit_code(), 0, "{}", report.render(false));
    assert!(
        report.render(false).ends_with("good.toml: ok\n"),
        "{}",
        report.render(false)
    );
    site.write(
        "bad.toml",
        0o600,
        "[lisen.a]\n[node]\ndata_dir = \".\"\nopen_files = 512\n",
    );
    let report = check(&site.path("bad.toml"));
    assert_eq!(report.exit_code(), 1);
    assert!(
        report.render(false).ends_with("bad.toml: 2 errors\n"),
        "{}",
        report.render(false)
    );
    let report = check(Path::new("/nowhere/causeway.toml"));
    assert_eq!(report.exit_code(), 1);
    assert!(
        report
            .render(false)
            .contains("cannot read /nowhere/causeway.toml: no such file"),
        "{}",
        report.render(false)
    );
}

#[test]
fn a_file_of_records_needs_a_directory() {
    let site = Site::new();
    for (path, want) in [
        (
            "/nowhere/at/all/calls.jsonl",
            "there is no directory /nowhere/at/all",
        ),
        ("/", "/ is a directory, not a file"),
    ] {
        let found = probed(&site, &format!("[calls]\nrecords = \"{path}\"\n"));
        let only = found.iter().next().unwrap();
        assert_eq!(only.position(), Some((2, 11)), "{found}");
        assert_eq!(only.message, want);
        assert!(only.help.as_deref().unwrap().contains("calls.jsonl"));
    }
    assert!(probed(&site, "[calls]\nrecords = \"calls.jsonl\"\n").is_empty());
}
