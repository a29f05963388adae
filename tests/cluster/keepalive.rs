//! Phones on UDP behind a NAT that forgets: who is pinged, and what becomes of one that is silent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use causeway_tests::agent::{Account, Device, Kind};
use causeway_tests::core::Offer;
use causeway_tests::gateway::Gateway;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::device::{DOMAIN, PASSWORD};
use crate::own_registrar::{EDGES, Stage, at, becomes, registers};

const SOON: Duration = Duration::from_secs(10);

/// A NAT for one phone: it lets in what comes from outside as long as it knows the way.
struct Nat {
    inside: SocketAddr,
    knows_the_way: Arc<AtomicBool>,
    came: UnboundedReceiver<String>,
    passes_on: tokio::task::JoinHandle<()>,
}

impl Nat {
    async fn towards(edge: SocketAddr) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (inside, outside) = (bind().await.unwrap(), bind().await.unwrap());
        let address = inside.local_addr().unwrap();
        let knows_the_way = Arc::new(AtomicBool::new(true));
        let (way, (tell, came)) = (knows_the_way.clone(), unbounded_channel());
        let passes_on = tokio::spawn(async move {
            let (mut out, mut back) = (vec![0; 65_535], vec![0; 65_535]);
            let mut phone = None;
            loop {
                tokio::select! {
                    Ok((length, from)) = inside.recv_from(&mut out) => {
                        phone = Some(from);
                        // RFC 4787 §6: a datagram from inside opens the way.
                        way.store(true, Ordering::Relaxed);
                        let _ = outside.send_to(&out[..length], edge).await;
                    }
                    Ok((length, _)) = outside.recv_from(&mut back) => {
                        let text = String::from_utf8_lossy(&back[..length]).into_owned();
                        let _ = tell.send(text);
                        if let (Some(phone), true) = (phone, way.load(Ordering::Relaxed)) {
                            let _ = inside.send_to(&back[..length], phone).await;
                        }
                    }
                }
            }
        });
        Nat {
            inside: address,
            knows_the_way,
            came,
            passes_on,
        }
    }

    /// A phone behind it, registered.
    async fn phone(&self) -> Device {
        let account = Account {
            user: "alice",
            domain: DOMAIN,
            password: PASSWORD,
            kind: Kind::Udp,
            server: self.inside,
        };
        Device::registered(&account, None).await.unwrap()
    }

    /// The next datagram from outside that begins so.
    async fn gets(&mut self, start: &str) -> String {
        let reading = async {
            loop {
                let text = self.came.recv().await.expect("the NAT is gone");
                if text.starts_with(start) {
                    return text;
                }
            }
        };
        let got = tokio::time::timeout(SOON, reading).await;
        got.unwrap_or_else(|_| panic!("no {start:?}"))
    }

    fn forgets(&self) {
        self.knows_the_way.store(false, Ordering::Relaxed);
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.passes_on.abort();
    }
}

#[tokio::test]
async fn a_registered_phone_gets_an_empty_line_time_and_again() {
    let stage = Stage::set_with(1, "keepalive = { interval = \"1s\" }\n").await;
    let mut nat = Nat::towards(stage.edges[0].sip).await;
    let _phone = nat.phone().await;
    for _ in 0..3 {
        assert_eq!(nat.gets("\r\n").await, "\r\n\r\n");
    }
}

#[tokio::test]
async fn a_phone_that_answers_no_options_is_forgotten_and_its_registrar_told_430() {
    let keepalive = "keepalive = { udp = \"options\", interval = \"1s\", fall = 2 }\n";
    let stage = Stage::set_with(1, keepalive).await;
    let edge = &stage.edges[0];
    let mut nat = Nat::towards(edge.sip).await;
    let mut phone = nat.phone().await;
    // Twice as many as it may leave unanswered.
    for _ in 0..4 {
        nat.gets("OPTIONS sip:alice@127.0.0.1:").await;
    }
    becomes(edge.admin, "devices", 1).await;
    stage.holds(1).await;

    nat.forgets();
    let silent = Instant::now();
    becomes(edge.admin, "devices", 0).await;
    println!(
        "silent: the edge knew after {:?}, with two OPTIONS a second apart",
        silent.elapsed()
    );
    let began = Instant::now();
    let mut core = stage.core.calls_with("alice", Offer::Pcmu).await.unwrap();
    let refused = stage.tells(core.dialog.outcome().await);
    println!(
        "silent: its registrar and the caller knew {:?} after the INVITE",
        began.elapsed()
    );
    assert_eq!(refused.status(), Some(480), "{}", refused.text);
    stage.holds(0).await;

    // It is there again as soon as it registers, by the same flow.
    registers(&mut phone).await;
    let _core = stage.core.calls_with("alice", Offer::Pcmu).await.unwrap();
    stage.tells(phone.called().await);
}

#[tokio::test]
async fn a_node_that_is_its_own_registrar_forgets_a_silent_phone_at_once() {
    let (sip, admin) = (at(EDGES), at(EDGES));
    let _node = Gateway::start(&format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[listen.public]\nudp = \"{sip}\"\n\
         keepalive = {{ udp = \"options\", interval = \"1s\", fall = 1 }}\n\
         [[domain.\"{DOMAIN}\".users]]\nname = \"alice\"\npassword = \"{PASSWORD}\"\n"
    ))
    .await
    .unwrap();
    let mut nat = Nat::towards(sip).await;
    let _phone = nat.phone().await;
    nat.gets("OPTIONS ").await;
    becomes(admin, "bindings", 1).await;
    nat.forgets();
    becomes(admin, "bindings", 0).await;
}
