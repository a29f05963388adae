//! Nobody writes into the log but the gateway.

use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::{ports, raw};
use tokio::net::UdpSocket;
use tokio_tungstenite::tungstenite::Message;

use crate::siege::Siege;

const MIB: u64 = 1 << 20;
const OWN: &str = "127.0.0.66";
/// Ends a line for most who look at logs, begins another, and turns it red.
const FORGED: &str = "a\rFORGED line\x1b[31m\x1b]0;title\x07\u{85}\u{2028}b";

/// Requests with the forgery wherever a peer may put it.
fn requests() -> Vec<String> {
    let places = ["M", "U", "V", "F", "T", "I", "C", "K", "X"];
    places
        .iter()
        .map(|place| {
            let at = |mark: &str, plain: &str| if *place == mark { format!("{plain}{FORGED}") } else { plain.to_owned() };
            format!(
                "{} sip:{}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.66:9;branch=z9hG4bK{}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{}@x.test>;tag=1\r\nTo: <sip:{}@x.test>\r\nCall-ID: {}\r\nCSeq: 1 {}\r\nContact: <sip:{}@x>\r\n\
                 {}: 1\r\nContent-Length: 0\r\n\r\n",
                at("M", "OPTIONS"),
                at("U", "a"),
                at("V", place),
                at("F", "a"),
                at("T", "a"),
                at("I", place),
                at("M", "OPTIONS"),
                at("K", "a"),
                at("X", "X"),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_the_log_is_forged() {
    for format in ["text", "json"] {
        let log = format!(
            "[log]\nlevel = \"trace\"\nformat = \"{format}\"\n[limits]\nmessages_per_second = 0\n"
        );
        let siege = Siege::begin_with("forged log lines", &log).await;
        let udp = UdpSocket::bind((OWN, 0)).await.unwrap();
        let mut ws = raw::websocket(raw::tcp(OWN, siege.ws).await.unwrap())
            .await
            .unwrap();
        let before = siege.figure("received/UDP").await;
        for request in requests() {
            udp.send_to(request.as_bytes(), siege.sip).await.unwrap();
            raw::send(&mut ws, Message::text(request.as_str())).await;
            let mut tcp = raw::tcp(OWN, siege.sip).await.unwrap();
            raw::write(&mut tcp, request.as_bytes()).await;
        }
        // Where the WebSocket's own words may be logged: path, origin, a header's name.
        let mut http = raw::tcp(OWN, siege.ws).await.unwrap();
        raw::write(
            &mut http,
            format!("GET /{FORGED} HTTP/1.1\r\nOrigin: {FORGED}\r\n{FORGED}: 1\r\n\r\n").as_bytes(),
        )
        .await;
        siege
            .reaches("received/UDP", before + requests().len() as u64)
            .await;
        siege.reaches("received/WS", requests().len() as u64).await;
        siege.reaches("received/TCP", 1).await;
        let log = siege.gateway.process.log();
        // Before, nobody could have sent anything.
        let (_, since) = log.split_once("\nready\n").unwrap();
        for line in since.split_terminator('\n') {
            let own = begins_as_ours(line, format);
            assert!(own, "not a line of ours: {line:?}");
            let bad = line
                .chars()
                .find(|sign| sign.is_control() || ['\u{2028}', '\u{2029}'].contains(sign));
            assert_eq!(bad, None, "{line:?}");
        }
        siege.end(32 * MIB).await;
    }
}

/// A date, or an object that begins with one.
fn begins_as_ours(line: &str, format: &str) -> bool {
    let date = match format {
        "json" => line
            .strip_prefix("{\"timestamp\":\"")
            .filter(|_| line.ends_with('}')),
        _ => Some(line),
    };
    date.and_then(|date| date.get(..4))
        .is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An RTPEngine that lives and takes nothing.
async fn refuses_all(socket: UdpSocket) {
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let (cookie, rest) = text.split_once(' ').unwrap();
        let answer = match rest.contains("7:command4:ping") {
            true => "d6:result4:ponge",
            false => "d12:error-reason3:bad6:result5:errore",
        };
        let datagram = format!("{cookie} {answer}");
        socket.send_to(datagram.as_bytes(), from).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_rtpengine_refuses_do_not_fill_the_log() {
    let engine = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let member = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (ng, member) = (engine.local_addr().unwrap(), member.local_addr().unwrap());
    let (public, core) = (ports::free_address(), ports::free_address());
    let refusing = tokio::spawn(refuses_all(engine));
    let mut gateway = Gateway::start(&format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[listen.public]\nudp = \"{public}\"\n\
         [listen.core]\nudp = \"{core}\"\ntrust = [\"127.0.0.1\"]\n[media]\nrtpengine = [\"{ng}\"]\n\
         [group.core]\nmembers = [\"sip:{member}\"]\nprobe = {{ interval = \"10m\", timeout = \"30s\", fall = 100 }}\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:core\"\n"
    ))
    .await
    .unwrap();
    gateway
        .process
        .wait_for_line(
            "RTPEngine answers",
            |line| line.contains("RTPEngine answers"),
            Duration::from_secs(10),
        )
        .await
        .unwrap();
    let device = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 4096];
    for number in 0..200 {
        let invite = format!(
            "INVITE sip:1@{public} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@h>;tag=a\r\nTo: <sip:1@h>\r\nCall-ID: {number}\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\n\
             Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
        device.send_to(invite.as_bytes(), public).await.unwrap();
        let refused = format!("Call-ID: {number}\r\n");
        let answered = async {
            loop {
                let length = device.recv(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]);
                if text.starts_with("SIP/2.0 488") && text.contains(&refused) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), answered)
            .await
            .expect("488");
    }
    let log = gateway.process.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("RTPEngine did not take"))
        .count();
    // One a second, and nobody knows how busy the machine is.
    assert!((1..60).contains(&lines), "{lines} lines");
    refusing.abort();
}
