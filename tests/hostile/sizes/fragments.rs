//! A phone behind a cable of 1500 bytes and a firewall that drops fragments: with the budget it rings and talks, without it
//! nothing of the same INVITE arrives.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use causeway_tests::baresip::{Account, Answer, Phone};
use causeway_tests::process::Process;
use causeway_tests::{data, namespace, wait};
use tokio::net::UdpSocket;

use super::message::{call_id, response, with_route};
use super::stage::{self, EDGE, FREESWITCH, PHONE, SOON, Stage, public};
use super::{LIMIT, addresses};

/// A second namespace at the other end of a cable, where the phone is.
struct House {
    process: Process,
}

impl House {
    async fn build() -> Self {
        let folder = Process::folder("house").unwrap();
        let arguments = ["--net", "sleep", "infinity"];
        let process = Process::start("house", folder, Path::new("unshare"), &arguments).unwrap();
        let house = House { process };
        let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).unwrap();
        let id = house.id();
        assert!(wait::until(SOON, || namespace(&id) != namespace("self")).await);
        run(&format!(
            "ip link add street mtu 1500 type veth peer name house mtu 1500 netns {id}; \
             ip link set street up; ip route add {PHONE} dev street src {EDGE}"
        ));
        house.inside(&format!(
            "ip link set lo up; ip link set house up; ip address add {PHONE}/32 dev house; \
             ip route add {EDGE} dev house; \
             iptables -t raw -A PREROUTING -f -j DROP"
        ));
        house
    }

    fn id(&self) -> String {
        self.process.id().to_string()
    }

    fn inside(&self, script: &str) -> String {
        run(&format!(
            "nsenter --target {} --net sh -ec '{script}'",
            self.id()
        ))
    }

    /// Fragments that its firewall has dropped: every one but the first of a datagram, without which no datagram is whole.
    fn dropped(&self) -> u64 {
        let rules = self.inside("iptables -t raw -nvxL PREROUTING");
        let rule = rules.lines().find(|line| line.contains("DROP")).unwrap();
        rule.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// Runs commands of a shell; what they print.
fn run(script: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new("sh");
    // iptables of a user namespace's root may not write where the system's does.
    let lock = std::env::temp_dir().join(format!("causeway-test-xtables-{}", std::process::id()));
    command.env("PATH", path).env("XTABLES_LOCKFILE", lock);
    let done = command.args(["-ec", script]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{script}: {said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    said
}

#[tokio::test]
async fn a_phone_rings_where_fragments_are_dropped() {
    let without_phone = addresses().replace(&stage::local(PHONE), "");
    namespace::play("sizes::fragments::inside", &without_phone, "sizes: ", LIMIT)
        .await
        .unwrap();
}

/// The case study's INVITE, for another call.
fn invite(path: &str, number: u8) -> String {
    let captured =
        data::read_text("captured/chain/b1_invite_unstripped/003_reg1_to_edge_INVITE.sip").unwrap();
    let id = call_id(&captured).to_owned();
    let branch = "z9hG4bKa895.93a53077.0";
    let call = with_route(&captured, path)
        .replace(&id, &format!("{}{number:02}", &id[2..]))
        .replace(
            branch,
            &format!("{}{number:02}", &branch[..branch.len() - 2]),
        )
        .replace("sip:221223@", &format!("sip:2212{number:02}@"));
    assert_eq!(call.len(), with_route(&captured, path).len());
    call
}

#[tokio::test]
#[ignore = "runs in a network namespace, started by the test above"]
async fn inside() {
    namespace::must_be_inside();
    let house = House::build().await;
    let mut stage = Stage::start("").await;
    let freeswitch = UdpSocket::bind((FREESWITCH, 33056)).await.unwrap();
    let id = house.id();
    let mut phone = Phone::start_registered(&Account {
        answer: Answer::Manual,
        host: Some(PHONE.parse().unwrap()),
        under: vec!["nsenter", "--target", &id, "--net"],
        ..Account::new("221222", "sbc.rig.test", "", public())
    })
    .await
    .unwrap();
    let path = stage.path_of("221222").await;

    let call = invite(&path, 23);
    stage.send(&call).await;
    let rings = phone.event("CALL_INCOMING").await.unwrap();
    assert!(rings.peer.contains("221223"), "{rings:?}");
    assert_eq!(house.dropped(), 0);
    phone.accept().await.unwrap();
    let accepted = stage.hears("SIP/2.0 200 ", call_id(&call)).await;
    stage.confirm(&accepted).await;
    phone.event("CALL_ESTABLISHED").await.unwrap();
    talks(&mut phone, &freeswitch, &accepted).await;
    phone.hang_up().await.unwrap();
    let bye = stage.hears("BYE ", call_id(&call)).await;
    stage.send(&response(&bye, "200 OK", "")).await;
    println!(
        "sizes: the phone rang for an INVITE of {} bytes and talked",
        call.len()
    );

    // The same without the budget: the INVITE is lost on the cable, again and again.
    stage.restart_with("shorten = []").await;
    let lost = invite(&path, 24);
    stage.send(&lost).await;
    assert!(
        wait::until(SOON, || house.dropped() >= 2).await,
        "nothing was dropped"
    );
    // A short one comes through: the next for which the phone rings.
    let short = without(
        &invite(&path, 25),
        &["Allow-Events", "Allow", "User-Agent", "Remote-Party-ID"],
    );
    stage.send(&short).await;
    let rings = phone.event("CALL_INCOMING").await.unwrap();
    assert!(rings.peer.contains("221225"), "{rings:?}");
    assert!(stage.figures.too_long().await > 0);
    println!(
        "sizes: with shorten = [] the same was lost: {} fragments dropped; a shorter one of {} bytes rang",
        house.dropped(),
        short.len()
    );
}

fn without(message: &str, names: &[&str]) -> String {
    let goes = |line: &&str| {
        names
            .iter()
            .any(|name| line.starts_with(&format!("{name}: ")))
    };
    let kept: Vec<&str> = message.split("\r\n").filter(|line| !goes(line)).collect();
    kept.join("\r\n")
}

/// G.711 both ways: FreeSWITCH's side is a socket at the address of its SDP.
async fn talks(phone: &mut Phone, freeswitch: &UdpSocket, answer: &str) {
    let word = |start: &str, nth: usize| {
        let line = answer.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap().split(' ').nth(nth).unwrap().to_owned()
    };
    let engine = format!("{}:{}", word("c=", 2), word("m=", 1));
    assert!(engine.starts_with(EDGE), "{answer}");
    assert_eq!(word("m=", 2), "RTP/AVP");
    let speaks = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        for number in 0_u16.. {
            every.tick().await;
            freeswitch.send_to(&rtp(number), &engine).await.unwrap();
        }
    };
    let hears = async {
        let mut buffer = [0; 2048];
        for _ in 0..50 {
            freeswitch.recv(&mut buffer).await.unwrap();
            assert_eq!(buffer[1] & 0x7f, 0, "PCMU");
        }
    };
    let both = async { tokio::join!(phone.receives_more(50), hears).0.unwrap() };
    tokio::select! {
        () = speaks => {}
        done = tokio::time::timeout(SOON, both) => done.expect("audio both ways"),
    }
}

/// 20 ms of silence in PCMU (RFC 3550 §5.1, RFC 3551).
fn rtp(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 160).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend([0xff; 160]);
    packet
}
