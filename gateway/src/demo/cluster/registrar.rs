//! The two registrars: Debian's Kamailio, which knows nothing of us, with the bindings of both shared by DMQ.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::core::NUMBERS;
use super::part::{Part, Ready};
use super::plan::{DOMAIN, Plan};
use crate::demo::accounts::{Account, write_private};
use crate::demo::answer::random_word;

const TEMPLATE: &str = include_str!("registrar.cfg");
/// Where its modules may be; Debian's place first.
const PLACES: [&str; 3] = [
    concat!("/usr/lib/", "@ARCH@", "-linux-gnu/kamailio/modules"),
    "/usr/lib64/kamailio/modules",
    "/usr/lib/kamailio/modules",
];

/// Where Kamailio's modules are.
///
/// # Errors
/// It is not installed.
pub(super) fn modules() -> anyhow::Result<String> {
    let places = PLACES.map(|place| place.replace("@ARCH@", std::env::consts::ARCH));
    let found = places
        .into_iter()
        .find(|place| Path::new(place).join("dmq_usrloc.so").exists());
    match (found, program()) {
        (Some(modules), Some(_)) => Ok(modules),
        _ => bail!(
            "Kamailio is not installed: `apt install kamailio kamailio-extra-modules`, or `make cluster`, which does it"
        ),
    }
}

/// Daemons live in sbin, which a user's PATH on Debian leaves out.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("kamailio"))
        .find(|program| program.exists())
}

/// The registrar of this index (0 or 1).
pub(super) fn part(
    plan: &Plan,
    index: usize,
    name: &'static str,
    modules: &str,
) -> anyhow::Result<Part> {
    let file = |end: &str| plan.folder.join(format!("registrar-{}{end}", index + 1));
    let (config, place) = (file(".cfg"), file(""));
    std::fs::create_dir_all(&place)?;
    // It has the users' passwords in it.
    write_private(&config, configuration(plan, index, modules)?.as_bytes())?;
    let [config, place] = [config, place].map(|path| path.display().to_string());
    // -DD: in the foreground with children; -m, -M: shared and private memory in MiB.
    let arguments = [
        "-DD", "-E", "-m", "64", "-M", "8", "-f", &config, "-Y", &place, "-w", &place,
    ];
    Ok(Part::new(
        name,
        file(".log"),
        (
            program().unwrap_or_else(|| "kamailio".into()),
            arguments.map(str::to_owned).to_vec(),
        ),
        Ready::Says("ready for SIP"),
    ))
}

fn configuration(plan: &Plan, index: usize, modules: &str) -> anyhow::Result<String> {
    let own: SocketAddr = plan.registrars[index];
    let peer = plan.registrars[1 - index];
    let core: Vec<&str> = NUMBERS.iter().map(|(user, _)| *user).collect();
    let values = [
        ("NAME", format!("registrar-{}", index + 1)),
        ("DOMAIN", DOMAIN.to_owned()),
        ("MODULES", format!("{modules}/")),
        ("OWN", own.to_string()),
        ("PEERHOST", peer.ip().to_string()),
        ("PEER", peer.to_string()),
        ("COREHOST", plan.core.ip().to_string()),
        ("COREPORT", plan.core.port().to_string()),
        ("CORE", core.join("|")),
        ("SECRET", random_word()?),
        ("PASSWORDS", passwords(&plan.accounts)?),
    ];
    let mut text = TEMPLATE.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), &value);
    }
    Ok(text)
}

fn passwords(accounts: &[Account]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for account in accounts {
        writeln!(
            lines,
            "    if ($fU == \"{}\") {{ $var(password) = \"{}\"; }}",
            account.user, account.password
        )?;
    }
    Ok(lines)
}
