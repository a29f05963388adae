//! Prints the memory of an idle WSS connection: 2,000 of them, then again after each had one message of 60 KB.
//!
//! `cargo run --example idle_websockets [COUNT]`; a release build differs by less than 1 KiB a connection. The clients are
//! another process, so that only the gateway's side is measured: resident memory after less before, divided by
//! connections. No SIP state, transport only.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use bytes::Bytes;
use causeway::transport::{
    CloseReason, Handler, Listener, Settings, Transports, raise_open_files, tls,
};
use futures_util::{SinkExt, StreamExt};
use proxy::flow::{Flow, ListenerId};
use rustls::pki_types::ServerName;
use sip::Transport;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What the binary uses as well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LONG: usize = 60_000;

#[derive(Default)]
struct Echo(OnceLock<Transports>);

impl Handler for Echo {
    fn message(&self, flow: &Flow, bytes: Bytes) {
        // The client counts what comes back.
        let _ = self.0.wait().send(flow, bytes);
    }

    fn closed(&self, _: &Flow, _: &CloseReason) {}
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let count = arguments.get(1).map_or(Ok(2000), |count| count.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match (arguments.get(2), arguments.get(3)) {
        (Some(to), Some(root)) => runtime.block_on(clients(count, to.parse()?, Path::new(root))),
        _ => measure(count, &runtime),
    }
}

/// The gateway's side: starts the clients and says when they go on.
fn measure(count: usize, runtime: &tokio::runtime::Runtime) -> Result<()> {
    let made = tls::self_made(&["127.0.0.1".into()])?;
    let root = std::env::temp_dir().join(format!("idle-websockets-{}.pem", std::process::id()));
    std::fs::write(&root, &made.chain_pem)?;
    let id = ListenerId(0);
    let mut listener = Listener::new(id, Transport::Wss, "127.0.0.1:0".parse()?);
    listener.tls = Some(tls::server_config(vec![made.certificate])?);
    let echo = Arc::new(Echo::default());
    let transports = Transports::start(vec![listener], Settings::default(), echo.clone())?;
    echo.0.set(transports.clone()).ok().context("set once")?;
    let to = transports.bound(id).context("the listener is there")?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([count.to_string(), to.to_string()])
        .arg(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut words = BufReader::new(child.stdout.take().context("it is piped")?).lines();
    let mut input = child.stdin.take().context("it is piped")?;
    let mut before = 0;
    for step in [
        "a few, to warm up",
        "all connected",
        "a short message each",
        "60 KB each",
    ] {
        words.next().context("the clients ended early")??;
        let rss = resident()?;
        if before == 0 {
            before = rss;
        }
        let each = rss.saturating_sub(before) as f64 / 1024.0 / count as f64;
        let open = transports.counters().open(Transport::Wss);
        println!(
            "{step:22} open {open:5}  RSS {:7} KiB  {each:5.1} KiB a connection",
            rss / 1024
        );
        writeln!(input, "go on")?;
    }
    child.wait()?;
    std::fs::remove_file(&root)?;
    runtime.block_on(transports.shutdown());
    Ok(())
}

fn resident() -> Result<u64> {
    // What the allocator holds back for a second is not the connections'.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// The other process: connects, and does one step after another.
async fn clients(count: usize, to: SocketAddr, root: &Path) -> Result<()> {
    raise_open_files();
    let connector = TlsConnector::from(tls::client_config(&[root.into()])?);
    let done = || -> Result<()> {
        println!("done");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    };
    let mut pages = Vec::new();
    for n in 0..count + 20 {
        if n == 20 {
            done()?;
        }
        let stream = TcpStream::connect(to).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = connector.connect(name, stream).await?;
        let mut request = "wss://127.0.0.1/".into_client_request()?;
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", "sip".parse()?);
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0);
        let (page, _) = client_async_with_config(request, stream, Some(config)).await?;
        pages.push(page);
    }
    done()?;
    for size in [700, LONG] {
        let message = Message::text("x".repeat(size));
        for page in &mut pages {
            page.send(message.clone()).await?;
            while page.next().await.context("the gateway closed")??.len() != size {}
        }
        done()?;
    }
    Ok(())
}
