//! Who is where: an address of loopback for each part, as each would have a machine of its own. Only the pages are at
//! `localhost`, where a browser gives them the microphone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;

use crate::demo::accounts::{self, Account, Kind, write_private};
use crate::demo::{Options, choose_port, rtpengine};

/// The domain of all users.
pub(super) const DOMAIN: &str = "cluster.test";
/// Where RTPEngine and the pages are.
pub(super) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const EDGES: [IpAddr; 2] = [local(11), local(12)];
const REGISTRARS: [IpAddr; 2] = [local(21), local(22)];
const CORE: IpAddr = local(30);

const fn local(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// All addresses, users and files.
pub(super) struct Plan {
    /// Configurations and logs; absolute.
    pub(super) folder: PathBuf,
    /// The same as the reader would type it.
    pub(super) shown: PathBuf,
    pub(super) accounts: Vec<Account>,
    pub(super) edges: [Edge; 2],
    pub(super) registrars: [SocketAddr; 2],
    pub(super) core: SocketAddr,
    /// Where RTPEngine takes commands.
    pub(super) ng: SocketAddr,
}

/// Where an edge is.
pub(super) struct Edge {
    /// For phones, UDP and TCP.
    pub(super) phones: SocketAddr,
    /// Towards registrars and the other edge.
    pub(super) inner: SocketAddr,
    /// The page and its WebSocket.
    pub(super) pages: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Plan {
    /// Chooses ports and makes the folder; passwords and the edges' key are drawn once and kept.
    pub(super) fn make(options: &Options) -> anyhow::Result<Self> {
        let shown = options.data_dir.join("cluster");
        std::fs::create_dir_all(&shown)
            .with_context(|| format!("cannot make the directory {}", shown.display()))?;
        let folder = shown.canonicalize()?;
        let key = folder.join("cluster.key");
        if !key.exists() {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).context("the system gives no random bytes")?;
            let text = format!("0 {} 0 0\n", hex::encode(secret));
            write_private(&key, text.as_bytes())?;
        }
        let mut accounts = accounts::load(&options.data_dir)?;
        // Here it is the core that answers, and it does not register.
        accounts.retain(|account| account.kind != Kind::Machine);
        let first = choose_port(LOCAL, options.http_port, 8081, "the first page")?;
        let second = choose_port(LOCAL, None, first.saturating_add(1), "the second page")?;
        let edge = |ip, page| {
            anyhow::Ok(Edge {
                phones: at(ip, options.sip_port, 5060, "phones")?,
                inner: at(ip, None, 5080, "registrars")?,
                pages: SocketAddr::new(LOCAL, page),
                admin: at(ip, None, 9090, "the admin API")?,
            })
        };
        let [one, other] = EDGES;
        let edges = [edge(one, first)?, edge(other, second)?];
        let [one, other] = REGISTRARS;
        let registrars = [
            at(one, None, 5060, "a registrar")?,
            at(other, None, 5060, "a registrar")?,
        ];
        Ok(Self {
            folder,
            shown,
            accounts,
            edges,
            registrars,
            core: at(CORE, None, 5060, "the core")?,
            ng: rtpengine::free_udp()?,
        })
    }
}

fn at(ip: IpAddr, asked: Option<u16>, usual: u16, whose: &str) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::new(ip, choose_port(ip, asked, usual, whose)?))
}
