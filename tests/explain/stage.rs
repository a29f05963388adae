//! A node on loopback, the sockets of its devices and of the server behind it, and `explain` with the same configuration.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use causeway_tests::gateway::{Gateway, binary};
use causeway_tests::{ports, wait};
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::process::Command;

/// Nothing takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// How long the node may take for what it is believed to send.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was sent, by receiver.
pub(crate) type Sent = BTreeMap<SocketAddr, Vec<Bytes>>;

pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) public: SocketAddr,
    core: SocketAddr,
    pub(crate) server: UdpSocket,
    probe: UdpSocket,
    devices: HashMap<String, UdpSocket>,
    asked: usize,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let [public, core] = [(); 2].map(|()| ports::free_address());
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        // A probe at the start, and none that would come between.
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n\
             [listen.public]\nudp = \"{public}\"\n[listen.core]\nudp = \"{core}\"\ntrust = [\"127.0.0.0/8\"]\n\
             [group.server]\nmembers = [\"sip:{at}\"]\nprobe = {{ interval = \"600s\", timeout = \"30s\" }}\n\
             [[route]]\nfrom = \"devices\"\nto = \"group:server\"\n\
             [[route]]\nfrom = \"listener:core\"\nmethod = [\"INVITE\", \"MESSAGE\"]\nto = \"group:server\"\n\
             [limits]\nmessages_per_second = 0\n[timers]\nt1 = \"5s\"\nt2 = \"20s\"\n"
        );
        let gateway = Gateway::start(&config).await.unwrap();
        let mut stage = Self {
            gateway,
            public,
            core,
            server,
            probe: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            devices: HashMap::new(),
            asked: 0,
        };
        stage.answer_probe().await;
        stage
    }

    async fn answer_probe(&mut self) {
        let (probe, from) = receive(&self.server).await;
        let answer = probe.split_once("\r\n").unwrap().1.to_owned();
        let answer = format!("SIP/2.0 200 OK\r\n{answer}");
        self.server.send_to(answer.as_bytes(), from).await.unwrap();
        self.settle(true).await;
    }

    /// The devices of one scenario are not those of the next.
    pub(crate) fn clear(&mut self) {
        self.devices.clear();
    }

    /// The socket of a peer of the capture.
    pub(crate) async fn device(&mut self, name: &str) -> &UdpSocket {
        if !self.devices.contains_key(name) {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            self.devices.insert(name.to_owned(), socket);
        }
        &self.devices[name]
    }

    pub(crate) fn socket(&self, device: Option<&str>) -> &UdpSocket {
        device.map_or(&self.server, |name| &self.devices[name])
    }

    fn listener(&self, of_core: bool) -> SocketAddr {
        if of_core { self.core } else { self.public }
    }

    /// Until the node has worked on everything that was sent to that listener: it answers in turn.
    async fn settle(&mut self, of_core: bool) {
        self.asked += 1;
        let (to, number) = (self.listener(of_core), self.asked);
        let own = self.probe.local_addr().unwrap();
        let options = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKsettle{number};rport\r\n\
             From: <sip:probe@{own}>;tag=p\r\nTo: <sip:{to}>\r\nCall-ID: settle{number}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        self.probe.send_to(options.as_bytes(), to).await.unwrap();
        let (answer, _) = receive(&self.probe).await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// What the node really sends for a message, by receiver; `awaited` of them are waited for.
    pub(crate) async fn lives(
        &mut self,
        device: Option<&str>,
        message: &[u8],
        awaited: usize,
    ) -> Sent {
        let to = self.listener(device.is_none());
        self.socket(device).send_to(message, to).await.unwrap();
        // What comes beyond that has come when the node answers what was sent after it.
        self.settle(device.is_none()).await;
        self.settle(device.is_some()).await;
        let mut all = Sent::new();
        wait::until(PATIENCE, || {
            for socket in self.devices.values().chain([&self.server]) {
                let mut buffer = vec![0; 65536];
                while let Ok((length, _)) = socket.try_recv_from(&mut buffer) {
                    // A keepalive to a device is no answer to anything.
                    if buffer[..length].trim_ascii().is_empty() {
                        continue;
                    }
                    let at = socket.local_addr().unwrap();
                    all.entry(at)
                        .or_default()
                        .push(Bytes::copy_from_slice(&buffer[..length]));
                }
            }
            all.values().map(Vec::len).sum::<usize>() >= awaited
        })
        .await;
        all
    }

    /// What `causeway explain` says of it.
    pub(crate) async fn explained(
        &self,
        device: Option<&str>,
        message: &[u8],
        registered: &[(String, Vec<u8>)],
    ) -> Value {
        let folder = self.gateway.path();
        let file = folder.join("message.sip");
        std::fs::write(&file, message).unwrap();
        let from = format!("udp:{}", self.socket(device).local_addr().unwrap());
        let mut command = explain(folder.join("causeway.toml"), &file, &from);
        command.args(["--json", "--listener"]);
        command.arg(if device.is_some() { "public" } else { "core" });
        for (name, register) in registered {
            let file = folder.join(format!("{name}.sip"));
            std::fs::write(&file, register).unwrap();
            let at = self.devices[name].local_addr().unwrap();
            let file = file.to_str().unwrap();
            command.args(["--registered", &format!("udp:{at}={file}")]);
        }
        let output = command.output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The command, for more arguments.
pub(crate) fn explain(config: PathBuf, message: &std::path::Path, from: &str) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.arg("explain").arg(config).arg(message);
    command.args(["--from", from]).stdin(Stdio::null());
    command.kill_on_drop(true);
    command
}

async fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65536];
    let receiving = socket.recv_from(&mut buffer);
    let (length, from) = tokio::time::timeout(SOON, receiving)
        .await
        .unwrap()
        .unwrap();
    (String::from_utf8(buffer[..length].to_vec()).unwrap(), from)
}
