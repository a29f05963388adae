//! `causeway demo`: a whole telephone system in one process, for the first minute with Causeway. RTPEngine in userspace,
//! a node that is edge and registrar at once, the softphone page, and two users that answer with real audio.

mod accounts;
mod agent;
mod answer;
mod cluster;
mod rtp;
mod rtpengine;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;

use crate::config::{self, Config, Domain, HostPort, Listen, RtpEngine, Secret, User};
use crate::node::{Node, Page};
use crate::transport::tls;
use accounts::Account;
use agent::Agent;
use answer::Answer;

/// How long after the end of RTPEngine it may turn out that everything was to end.
const BOTH: Duration = Duration::from_millis(500);

/// What can be chosen.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Two edges, two Kamailio registrars that share their bindings, RTPEngine and a core that answers, each a process of its
    /// own that may be killed. Needs Debian's kamailio and kamailio-extra-modules.
    #[arg(long, conflicts_with = "host")]
    cluster: bool,
    /// The address of this machine that others reach: serves them over HTTPS with a certificate made here. Left out, only
    /// this machine is served, over plain HTTP.
    #[arg(long, value_name = "ADDRESS")]
    host: Option<IpAddr>,
    /// The port of the page (of the first edge's, with --cluster). Left out: 8080 (8443 with --host), or a free one if that
    /// is taken.
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// The port for phones, UDP and TCP. Left out: 5060, or a free one if that is taken.
    #[arg(long, value_name = "PORT")]
    sip_port: Option<u16>,
    /// Where passwords and bindings are kept, so that a phone need not be set up again.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/demo")]
    data_dir: PathBuf,
}

/// Starts everything, says how to use it, and serves until `stopped`.
///
/// # Errors
/// What could not be started, in words.
pub async fn run(options: Options, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("cannot make the directory {}", options.data_dir.display()))?;
    if options.cluster {
        return cluster::run(&options, stopped).await;
    }
    let host = options.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if host.is_unspecified() {
        bail!(
            "{host} is every address: name the one under which others reach this machine (`ip address` lists them)"
        );
    }
    let is_local = options.host.is_none();
    let sip_port = choose_port(host, options.sip_port, 5060, "phones")?;
    let usual = if is_local { 8080 } else { 8443 };
    let http_port = choose_port(host, options.http_port, usual, "the page")?;
    let accounts = accounts::load(&options.data_dir)?;

    eprintln!("starting RTPEngine in userspace …");
    let media = rtpengine::start(host, &options.data_dir).await?;
    let config = configuration(&options, host, sip_port, http_port, &accounts, media.ng)?;
    let page = Page::with_demo(demo_json(&host.to_string(), &accounts));
    let node = Node::start(&config, Some(page))
        .await
        .context("the node could not start")?;
    let registrar = SocketAddr::new(host, sip_port);
    let mut agents = Vec::new();
    for (name, answer) in [("echo", Answer::Echo), ("tone", Answer::Tone)] {
        let account = accounts
            .iter()
            .find(|account| account.user == name)
            .context("no such account")?;
        agents.push(Agent::start(registrar, account, answer).await?);
    }
    for agent in &mut agents {
        agent.registered().await?;
    }
    print!(
        "{}",
        directions(is_local, host, sip_port, http_port, &accounts)
    );
    println!("ready");

    let mut stopped = pin!(stopped);
    let ended = tokio::select! {
        () = &mut stopped => Ok(()),
        // Ctrl-C in a terminal reaches RTPEngine too, and it may be the first to act on it.
        why = media.ended() => match tokio::time::timeout(BOTH, stopped).await {
            Ok(()) => Ok(()),
            Err(_) => why,
        },
    };
    eprintln!("stopping …");
    drop(agents);
    node.stop().await;
    ended
}

/// The page with accounts and targets of a file.
///
/// # Errors
/// The file cannot be read, or is no JSON.
pub fn page(file: &Path) -> anyhow::Result<Page> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let json = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    Ok(Page::with_demo(json))
}

/// The wanted port if it is free for UDP and TCP; if nobody asked for it by name, any free one instead.
fn choose_port(host: IpAddr, asked: Option<u16>, usual: u16, whose: &str) -> anyhow::Result<u16> {
    TcpListener::bind((host, 0))
        .with_context(|| format!("{host} is not an address of this machine"))?;
    let is_free =
        |port| UdpSocket::bind((host, port)).is_ok() && TcpListener::bind((host, port)).is_ok();
    match asked {
        Some(port) if is_free(port) || port == 0 => Ok(port),
        Some(port) => bail!("port {port} of {host} is taken: choose another one, or leave it out"),
        None if is_free(usual) => Ok(usual),
        None => {
            let port = TcpListener::bind((host, 0))?.local_addr()?.port();
            eprintln!("port {usual}, for {whose}, is taken: it will be {port}");
            Ok(port)
        }
    }
}

fn configuration(
    options: &Options,
    host: IpAddr,
    sip_port: u16,
    http_port: u16,
    accounts: &[Account],
    ng: SocketAddr,
) -> anyhow::Result<Config> {
    let phones = SocketAddr::new(host, sip_port);
    let browsers = SocketAddr::new(host, http_port);
    let mut listen = Listen {
        udp: vec![phones],
        tcp: vec![phones],
        page: true,
        ..Listen::default()
    };
    if options.host.is_none() {
        listen.ws = vec![browsers];
    } else {
        listen.wss = vec![browsers];
        listen.certificate = Some(certificate(host, &options.data_dir)?);
    }
    let user = |account: &Account| User {
        name: account.user.clone(),
        password: Some(Secret::new(account.password.clone())),
        ..User::default()
    };
    let domain = Domain {
        aliases: vec!["localhost".to_owned()],
        users: accounts.iter().map(user).collect(),
        ..Domain::default()
    };
    let mut config = Config {
        listen: BTreeMap::from([("demo".to_owned(), listen)]),
        domain: BTreeMap::from([(host.to_string(), domain)]),
        ..Config::default()
    };
    config.node.data_dir = options.data_dir.clone();
    // Nobody's demo has more phones, and no system allows fewer: no warning that nobody can act on.
    config.node.open_files = 1024;
    let address = HostPort {
        host: ng.ip().to_string(),
        port: ng.port(),
    };
    config.media.rtpengine = vec![RtpEngine {
        address,
        ..RtpEngine::default()
    }];
    Ok(config)
}

/// A certificate for this address, kept so that a browser need be told to trust it once only.
fn certificate(host: IpAddr, data: &Path) -> anyhow::Result<config::Certificate> {
    let paths = config::Certificate {
        chain: data.join("certificate.pem"),
        key: data.join("certificate.key"),
    };
    let is_current = std::fs::read_to_string(data.join("certificate.for"))
        .is_ok_and(|known| known == host.to_string());
    if !is_current || tls::Certificate::load(&paths.chain, &paths.key).is_err() {
        let made = tls::self_made(&[host.to_string(), "localhost".to_owned()])?;
        std::fs::write(&paths.chain, made.chain_pem)?;
        accounts::write_private(&paths.key, made.key_pem.as_bytes())?;
        std::fs::write(data.join("certificate.for"), host.to_string())?;
    }
    Ok(paths)
}

/// What the page asks for at `/demo.json`.
fn demo_json(domain: &str, accounts: &[Account]) -> serde_json::Value {
    let with_password = |account: &Account| json!({ "user": account.user, "password": account.password, "display": account.display });
    let of = |kind: accounts::Kind| accounts.iter().filter(move |account| account.kind == kind);
    json!({
        "ws": null,
        "domain": domain,
        "accounts": of(accounts::Kind::Browser).map(with_password).collect::<Vec<_>>(),
        "desk": of(accounts::Kind::Desk).map(|a| json!({ "user": a.user, "display": a.display })).collect::<Vec<_>>(),
        "targets": [
            { "user": "echo", "label": "Hear yourself" },
            { "user": "tone", "label": "Hear a tone" },
        ],
    })
}

fn directions(
    is_local: bool,
    host: IpAddr,
    sip_port: u16,
    http_port: u16,
    accounts: &[Account],
) -> String {
    let shown = bracketed(host);
    let url = if is_local {
        format!("http://localhost:{http_port}/")
    } else {
        format!("https://{shown}:{http_port}/")
    };
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "\nOpen {url} and press “Hear yourself”. A second tab is a second phone."
    );
    if !is_local {
        let _ = writeln!(
            text,
            "The certificate was made here, so the browser asks once whether you trust it."
        );
        let _ = writeln!(
            text,
            "Whoever reaches {host} can open the page and use its accounts: for a network that you trust."
        );
    }
    let _ = writeln!(
        text,
        "\n  {:<8} {:<14} {:<20} for",
        "user", "password", "name"
    );
    for account in accounts {
        let what = match account.kind {
            accounts::Kind::Browser => "the page",
            accounts::Kind::Desk => "a desk phone",
            accounts::Kind::Machine => "answers by itself",
        };
        let _ = writeln!(
            text,
            "  {:<8} {:<14} {:<20} {what}",
            account.user, account.password, account.display
        );
    }
    if let Some(desk) = accounts
        .iter()
        .find(|account| account.kind == accounts::Kind::Desk)
    {
        let _ = writeln!(text, "\nA desk phone from Debian (apt install baresip):\n");
        let _ = writeln!(
            text,
            "  baresip -e '/uanew <sip:{}@{shown}:{sip_port}>;auth_pass={}'",
            desk.user, desk.password
        );
        let _ = writeln!(
            text,
            "\nIn it, `/dial echo` calls the echo and `/dial alice` the page; `/hangup` and `/quit` end it."
        );
        let _ = writeln!(
            text,
            "Any other phone: server {shown}, port {sip_port}, UDP or TCP. Ctrl-C ends all of it.\n"
        );
    }
    text
}

/// An address as a URI has it.
fn bracketed(host: IpAddr) -> String {
    match host {
        IpAddr::V6(address) => format!("[{address}]"),
        IpAddr::V4(address) => address.to_string(),
    }
}
