//! What the reader is told when all of it runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::part::Part;
use super::plan::{DOMAIN, Plan};
use crate::demo::accounts::{Account, Kind};

/// Everything, ready to be printed; the file that `causeway explain` is tried with is written on the way.
pub(super) fn all(plan: &Plan, parts: &[Part]) -> anyhow::Result<String> {
    let mut text = String::new();
    table(&mut text, plan, parts)?;
    users(&mut text, plan)?;
    tries(&mut text, plan, parts)?;
    looks(&mut text, plan)?;
    writeln!(text, "\nCtrl-C ends all of it.\n")?;
    Ok(text)
}

/// Who runs where.
fn table(text: &mut String, plan: &Plan, parts: &[Part]) -> std::fmt::Result {
    let [one, other] = &plan.edges;
    let edge = |edge: &super::plan::Edge| {
        format!(
            "http://localhost:{}/  phones {}",
            edge.pages.port(),
            edge.phones
        )
    };
    let places = [
        format!("ng {}, audio 127.0.0.1", plan.ng),
        format!("{}  Kamailio", plan.registrars[0]),
        format!("{}  Kamailio", plan.registrars[1]),
        edge(one),
        edge(other),
    ];
    writeln!(text, "\n  {:<12} {:<8} {:<48} log", "what", "pid", "where")?;
    for (part, place) in parts.iter().zip(places) {
        let name = part.log.file_name().unwrap_or_default();
        let log = plan.shown.join(name);
        let id = part.id().unwrap_or(0);
        writeln!(
            text,
            "  {:<12} {id:<8} {place:<48} {}",
            part.name,
            log.display()
        )?;
    }
    let place = plan.core.to_string();
    let id = std::process::id();
    writeln!(text, "  {:<12} {id:<8} {place:<48} (this program)", "core")
}

/// Who can register, and with what.
fn users(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let [one, other] = &plan.edges;
    let pages: Vec<&Account> = of(plan, Kind::Browser).collect();
    writeln!(
        text,
        "\nOpen http://localhost:{}/ and, in a second window, http://localhost:{}/: one page at each edge, {}.",
        one.pages.port(),
        other.pages.port(),
        names(&pages),
    )?;
    writeln!(
        text,
        "They call each other, the echo (`echo`, 9196) and the tone (`tone`, 9198) of the core, and desk phones:"
    )?;
    writeln!(text, "\n  {:<8} {:<14} domain {DOMAIN}", "user", "password")?;
    for account in &plan.accounts {
        writeln!(text, "  {:<8} {}", account.user, account.password)?;
    }
    writeln!(
        text,
        "\nA desk phone at either edge (apt install baresip):\n"
    )?;
    for (account, edge) in of(plan, Kind::Desk).zip([one, other]) {
        writeln!(
            text,
            "  baresip -e '/uanew <sip:{}@{DOMAIN}>;auth_pass={};outbound=\"sip:{}\"'",
            account.user, account.password, edge.phones
        )?;
    }
    writeln!(
        text,
        "\nIn it, `/dial echo` calls the echo and `/dial alice` a page; `/hangup` and `/quit` end it."
    )
}

/// What can be taken away.
fn tries(text: &mut String, plan: &Plan, parts: &[Part]) -> std::fmt::Result {
    let id = |name| {
        let part = parts.iter().find(|part| part.name == name);
        part.and_then(Part::id).unwrap_or(0)
    };
    writeln!(
        text,
        "\nIn a call of the page at port {}, kill the edge that it goes through:\n\n  kill -9 {}\n",
        plan.edges[0].pages.port(),
        id("edge 1")
    )?;
    writeln!(
        text,
        "The audio goes on. Within seconds the page is back through edge 2; it can hold, resume and hang up, and be called. The\n\
         edges share no address here, as two machines would: what the other side does in that call waits for edge 1, and so do\n\
         phones on UDP. Enter, in this window, starts it again."
    )?;
    writeln!(
        text,
        "\nThe core calls, too: type `call alice` in this window; `hangup` ends it from the core's side."
    )?;
    writeln!(
        text,
        "\nKill a registrar (with its workers), call and register through the other one:\n\n  kill -9 -- -{}",
        id("registrar 1")
    )
}

/// How to look into it.
fn looks(text: &mut String, plan: &Plan) -> anyhow::Result<()> {
    let [one, other] = &plan.edges;
    let program = typed(&std::env::current_exe()?);
    let program = program.display();
    writeln!(text, "\nWhat each edge thinks of the registrars:\n")?;
    for edge in [one, other] {
        writeln!(text, "  {program} ctl --admin {} status", edge.admin)?;
    }
    std::fs::write(plan.folder.join("invite.sip"), invite(plan))?;
    let shown = plan.shown.display();
    writeln!(
        text,
        "\nWhat edge 1 would do with an INVITE, and why:\n\n  {program} explain {shown}/edge-1.toml {shown}/invite.sip --listener phones --from udp:127.0.0.1:40000"
    )?;
    Ok(())
}

/// An INVITE of a desk phone to the echo, as it arrives at the edge.
fn invite(plan: &Plan) -> String {
    let user = of(plan, Kind::Desk)
        .next()
        .map_or("desk1", |account| &account.user);
    let edge = plan.edges[0].phones;
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40002 RTP/AVP 0 8\r\n";
    format!(
        "INVITE sip:echo@{DOMAIN} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK-explain;rport\r\n\
         Route: <sip:{edge};lr>\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{user}@{DOMAIN}>;tag=explain\r\n\
         To: <sip:echo@{DOMAIN}>\r\n\
         Call-ID: explain@{DOMAIN}\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:{user}@127.0.0.1:40000>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn of(plan: &Plan, kind: Kind) -> impl Iterator<Item = &Account> {
    let accounts = plan.accounts.iter();
    accounts.filter(move |account| account.kind == kind)
}

fn names(accounts: &[&Account]) -> String {
    let names: Vec<&str> = accounts
        .iter()
        .map(|account| account.display.as_str())
        .collect();
    names.join(" and ")
}

/// A path as it would be typed here.
fn typed(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let below = path.strip_prefix(&here).unwrap_or(path);
    below.to_owned()
}
