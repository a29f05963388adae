//! `causeway ctl call` and `causeway ctl trace` beside a call: everything that was on the wire is in them, once and in order, and
//! nothing that is secret.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use causeway_tests::agent::{Call, Device, Kind};
use causeway_tests::gateway::binary;
use causeway_tests::scene::Scene;
use causeway_tests::{http, wait};
use regex::Regex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpStream, UdpSocket};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A browser's user and a phone's, registered.
pub(super) struct Pair {
    pub(super) scene: Scene,
    alice: Device,
    desk: Device,
}

pub(super) async fn pair(more: &str) -> Pair {
    let scene = Scene::start_with(&[], more).await.unwrap();
    let alice = scene.device("alice", Kind::Ws).await.unwrap();
    let desk = scene.device("desk1", Kind::Udp).await.unwrap();
    Pair { scene, alice, desk }
}

impl Pair {
    /// A call that is up.
    async fn talk(&self) -> (Call, Call) {
        let mut call = self
            .alice
            .calls("desk1", &self.alice.offer())
            .await
            .unwrap();
        let mut other = self.desk.called().await.unwrap();
        other.rings();
        call.progress(180).await.unwrap();
        let (answered, accepted) = tokio::join!(call.is_answered(""), {
            let answer = self.desk.answer();
            async move { (other.accepts(&answer).await, other) }
        });
        answered.unwrap();
        accepted.0.unwrap();
        (call, accepted.1)
    }

    /// A call from its first to its last message; its Call-ID.
    pub(super) async fn whole_call(&self) -> String {
        let (mut call, mut other) = self.talk().await;
        let (_, taken) = tokio::join!(call.hangs_up(), other.takes("BYE", ""));
        taken.unwrap();
        self.scene.engine.empty_within(SOON).await.unwrap();
        // Its record is made when RTPEngine has answered the last command.
        let path = format!("/calls/ended?call-id={}", call.call_id);
        let is_over = || async {
            let said = http::get(self.scene.admin, &path).await;
            said.is_ok_and(|(_, said)| said.contains("\"verdict\""))
        };
        assert!(wait::until_async(SOON, is_over).await, "no record");
        call.call_id.clone()
    }
}

fn command(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary().unwrap());
    command
        .arg("ctl")
        .args(arguments)
        .args(["--admin", &scene.admin.to_string()]);
    command
        .env("LANG", "C.UTF-8")
        .env_remove("LC_ALL")
        .kill_on_drop(true);
    command
}

/// A trace that goes on.
async fn follow(scene: &Scene, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = command(scene, arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// What `causeway ctl` says; an error with what it complains of.
pub(super) async fn ctl(scene: &Scene, arguments: &[&str]) -> Result<String, String> {
    let output = command(scene, arguments).output().await.unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// What `causeway ctl call --json` says of a call.
async fn drawn(scene: &Scene, call_id: &str) -> Value {
    let text = ctl(scene, &["call", call_id, "--json", "--bytes"])
        .await
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text<'v>(step: &'v Value, key: &str) -> &'v str {
    step[key].as_str().unwrap_or_default()
}

/// A message with its secrets crossed out, as this test understands them.
fn hidden(message: &str) -> String {
    let mut text = message.to_owned();
    for pattern in ["a=ice-pwd:([^\r]*)", "response=\"([0-9a-f]*)\""] {
        let pattern = Regex::new(pattern).unwrap();
        let secrets: Vec<_> = pattern
            .captures_iter(message)
            .map(|found| found.get(1).unwrap().range())
            .collect();
        for secret in secrets {
            text.replace_range(secret.clone(), &"x".repeat(secret.len()));
        }
    }
    text
}

#[tokio::test]
async fn a_call_is_drawn_with_every_message_once_and_in_order() {
    let pair = pair("").await;
    let call_id = pair.whole_call().await;
    let call = drawn(&pair.scene, &call_id).await;
    let steps = call["steps"].as_array().unwrap();

    let times: Vec<u64> = steps
        .iter()
        .map(|step| step["time"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    // What each device received left here once, byte by byte.
    let mut devices = 0;
    for device in [&pair.alice, &pair.desk] {
        let own = device.endpoint().own().to_string();
        let left: Vec<&str> = steps
            .iter()
            .filter(|step| text(step, "kind") == "out" && text(step, "peer") == own)
            .map(|step| text(step, "text"))
            .collect();
        let received = device.endpoint().received();
        let received: Vec<String> = received
            .iter()
            .filter(|message| message.call_id() == call_id)
            .map(|message| hidden(&message.text))
            .collect();
        assert_eq!(left, received, "{own}");
        devices += left.len();
    }
    let came = |step: &&Value| text(step, "kind") == "in";
    let whats: Vec<&str> = steps
        .iter()
        .filter(came)
        .map(|step| text(step, "what"))
        .collect();
    let want = [
        "INVITE sdp",
        "ACK",
        "INVITE sdp +auth",
        "180 Ringing",
        "200 OK sdp",
        "ACK",
        "BYE",
        "200 OK (BYE)",
    ];
    assert_eq!(whats, want);
    let ng: Vec<&str> = steps
        .iter()
        .map(|step| text(step, "what"))
        .filter(|what| what.contains("/l") || what.ends_with(" ms"))
        .collect();
    let ng: Vec<&str> = ng
        .iter()
        .map(|what| {
            what.rsplit_once(' ').map_or(*what, |(start, _)| {
                start
                    .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
                    .trim_end()
            })
        })
        .collect();
    assert_eq!(
        ng,
        [
            "offer",
            "offer ok",
            "answer",
            "answer ok",
            "delete",
            "delete ok"
        ]
    );
    assert_eq!(
        steps.len(),
        devices + want.len() + ng.len(),
        "and nothing else"
    );
    let sides: Vec<&str> = call["parties"]
        .as_array()
        .unwrap()
        .iter()
        .map(|party| text(party, "name"))
        .collect();
    assert_eq!(sides, ["alice", "desk1", "rtpengine"]);

    let records = call["records"].as_array().unwrap();
    assert_eq!(records.len(), 1, "{records:?}");
    let verdict = format!("\n{}: ", text(&records[0], "verdict"));

    // The same as a picture: as wide as asked, an arrow for each step, and what was changed.
    for (width, ascii) in [(80, true), (110, false), (200, false)] {
        let mut arguments = vec![
            "call".to_owned(),
            call_id.clone(),
            "--width".to_owned(),
            width.to_string(),
        ];
        arguments.extend(ascii.then(|| "--ascii".to_owned()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let picture = ctl(&pair.scene, &arguments).await.unwrap();
        println!("{picture}");
        assert!(
            picture.lines().all(|line| line.chars().count() <= width),
            "{picture}"
        );
        assert_eq!(picture.is_ascii(), ascii, "{picture}");
        let arrow = if ascii { ['<', '>'] } else { ['◀', '▶'] };
        let arrows = picture
            .lines()
            .filter(|line| line.contains(['|', '│']) && line.contains(arrow));
        assert_eq!(arrows.count(), steps.len(), "{picture}");
        let (picture, below) = picture.split_once(&verdict).unwrap();
        assert!(below.starts_with(text(&records[0], "words")), "{below}");
        assert!(
            picture.contains("-DTLS") && picture.contains("+Record-Route"),
            "{picture}"
        );
    }
}

#[tokio::test]
async fn a_call_is_meant_by_how_its_id_begins_or_its_candidates_are_named() {
    let pair = pair("").await;
    let nobody = ctl(&pair.scene, &["call", "alice"]).await.unwrap_err();
    assert!(nobody.contains("no call \"alice\" is known"), "{nobody}");
    let first = pair.whole_call().await;
    let start = &first[..first.len() - 1];
    assert!(
        ctl(&pair.scene, &["call", start])
            .await
            .unwrap()
            .contains(&first)
    );
    let second = pair.whole_call().await;
    let both = ctl(&pair.scene, &["call", "alice"]).await.unwrap_err();
    assert!(both.contains("begins 2 calls"), "{both}");
    assert!(both.contains(&first) && both.contains(&second), "{both}");
    let other = ctl(&pair.scene, &["call", "bob"]).await.unwrap_err();
    assert!(
        other.contains("the newest are") && other.contains(&second),
        "{other}"
    );
    let listed = ctl(&pair.scene, &["call"]).await.unwrap();
    assert!(
        listed.contains(&first) && listed.contains(&second),
        "{listed}"
    );
}

#[tokio::test]
async fn secrets_are_crossed_out_unless_the_configuration_shows_them() {
    let response = Regex::new("response=\"([^\"]*)\"").unwrap();
    for (more, shown) in [("", false), ("[trace]\nsecrets = \"show\"\n", true)] {
        let pair = pair(more).await;
        let call_id = pair.whole_call().await;
        let picture = ctl(&pair.scene, &["call", &call_id, "--bytes"])
            .await
            .unwrap();
        let live = ctl(&pair.scene, &["trace", "--no-follow", "--bytes"])
            .await
            .unwrap();
        for said in [picture, live] {
            // The browser's own, in its INVITE and in the offer to RTPEngine.
            assert_eq!(said.contains("3d4a5e0f9c8b7a6d5e4f3c2b"), shown, "{said}");
            assert!(said.contains("a=ice-pwd:"), "{said}");
            let responses: Vec<&str> = response
                .captures_iter(&said)
                .map(|found| found.get(1).unwrap().as_str())
                .collect();
            assert!(!responses.is_empty());
            assert!(
                responses
                    .iter()
                    .all(|one| one.trim_matches('x').is_empty() != shown),
                "{responses:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_live_trace_shows_the_whole_calls_of_whom_it_was_asked_for() {
    let pair = pair("").await;
    let (mut child, mut lines) = follow(&pair.scene, &["trace", "--user", "desk1", "--json"]).await;
    let (mut other, mut of_others) =
        follow(&pair.scene, &["trace", "--user", "carol", "--json"]).await;
    // A trace begins when its request has come; a call that it shows says so.
    let mut seen = Vec::new();
    let mut call_id = String::new();
    let all = async {
        // One that began before the trace did is there in part: what came first was the INVITE without credentials.
        let begins =
            |line: &Value| text(line, "kind") == "in" && text(line, "what") == "INVITE sdp";
        while !seen.first().is_some_and(begins) {
            seen.clear();
            call_id = pair.whole_call().await;
            while let Ok(Ok(Some(line))) = timeout(Duration::from_secs(1), lines.next_line()).await
            {
                let line: Value = serde_json::from_str(&line).unwrap();
                if text(&line, "call_id") == call_id {
                    seen.push(line);
                }
            }
        }
    };
    timeout(SOON, all).await.unwrap();
    let steps = drawn(&pair.scene, &call_id).await["steps"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(seen.len(), steps);
    assert!(
        seen.iter()
            .any(|line| text(line, "what").starts_with("offer ok")),
        "{seen:?}"
    );
    let nothing = timeout(Duration::from_millis(100), of_others.next_line()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    for process in [&mut child, &mut other] {
        process.kill().await.unwrap();
    }
}

/// A packet of a capture file: its time in microseconds, its ends, and what is in it.
type Packet = (u64, SocketAddr, SocketAddr, Vec<u8>);

/// Reads libpcap's format as its description says, and checks lengths and sums.
fn packets(file: &[u8]) -> Vec<Packet> {
    let number =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let short = |bytes: &[u8], at: usize| u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
    assert_eq!((number(file, 0), number(file, 20)), (0xa1b2_c3d4, 101));
    let (mut rest, mut found) = (&file[24..], Vec::new());
    while !rest.is_empty() {
        let time = u64::from(number(rest, 0)) * 1_000_000 + u64::from(number(rest, 4));
        let length = number(rest, 8) as usize;
        assert_eq!(length, number(rest, 12) as usize);
        let ip = &rest[16..16 + length];
        rest = &rest[16 + length..];
        assert_eq!(
            (ip[0], ip[9], usize::from(short(ip, 2))),
            (0x45, 17, length)
        );
        assert_eq!(sum(&ip[..20]), 0xffff, "the header's sum");
        let udp = &ip[20..];
        assert_eq!(usize::from(short(udp, 4)), udp.len());
        let pseudo = [&ip[12..20], &[0, 17], &udp[4..6], udp].concat();
        assert_eq!(sum(&pseudo), 0xffff, "the datagram's sum");
        let end = |at: usize, port: usize| {
            let octets: [u8; 4] = ip[at..at + 4].try_into().unwrap();
            SocketAddr::from((octets, short(udp, port)))
        };
        found.push((time, end(12, 0), end(16, 2), udp[8..].to_vec()));
    }
    found
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}

#[tokio::test]
async fn a_capture_file_holds_what_passed_between_the_real_addresses() {
    let pair = pair("").await;
    let call_id = pair.whole_call().await;
    let file = pair.scene.gateway.path().join("call.pcap");
    let said = ctl(
        &pair.scene,
        &["call", &call_id, "--pcap", file.to_str().unwrap()],
    )
    .await
    .unwrap();
    assert_eq!(said, "");
    let packets = packets(&std::fs::read(&file).unwrap());
    let call = drawn(&pair.scene, &call_id).await;
    let steps = call["steps"].as_array().unwrap();
    assert_eq!(packets.len(), steps.len());
    for (packet, step) in packets.iter().zip(steps) {
        let ends =
            [text(step, "peer"), text(step, "local")].map(|end| end.parse::<SocketAddr>().unwrap());
        let (from, to) = match text(step, "kind") {
            "in" | "answer" => (ends[0], ends[1]),
            _ => (ends[1], ends[0]),
        };
        let time = step["time"].as_u64().unwrap();
        assert_eq!((packet.0, packet.1, packet.2), (time, from, to), "{step}");
        assert_eq!(String::from_utf8_lossy(&packet.3), text(step, "text"));
    }
}

#[tokio::test]
async fn a_flood_stays_within_its_memory_and_who_reads_slowly_is_told_what_he_missed() {
    let memory = 1 << 20;
    let pair = pair(&format!(
        "[trace]\nmemory = {memory}\n[limits]\nmessages_per_second = 0\n"
    ))
    .await;
    let mut slow = TcpStream::connect(pair.scene.admin).await.unwrap();
    let ask = "GET /trace?from=now HTTP/1.0\r\nHost: localhost\r\n\r\n";
    slow.write_all(ask.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    slow.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.0 200");

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = socket.local_addr().unwrap();
    let mut buffer = vec![0; 65_536];
    // Each is answered before the next, so that none is lost on the way; 10,000 of 1 kB and their answers are some 16 times the ring.
    let filler = "x".repeat(700);
    let flood = async {
        for number in 0..10_000 {
            let options = format!(
                "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number};rport\r\nFrom: <sip:p@{own}>;tag=p\r\n\
                 To: <sip:{0}>\r\nCall-ID: flood{number}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nX: {filler}\r\n\
                 Content-Length: 0\r\n\r\n",
                pair.scene.sip
            );
            socket
                .send_to(options.as_bytes(), pair.scene.sip)
                .await
                .unwrap();
            socket.recv(&mut buffer).await.unwrap();
        }
    };
    timeout(Duration::from_secs(60), flood).await.unwrap();

    let kept = ctl(&pair.scene, &["trace", "--no-follow", "--json"])
        .await
        .unwrap();
    let lines: Vec<Value> = kept
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (calls, rest): (Vec<&Value>, Vec<&Value>) = lines
        .iter()
        .partition(|line| !text(line, "call_id").starts_with("flood"));
    assert!(rest.len() * 500 < memory, "{} of the flood", rest.len());
    assert!(
        text(rest.last().unwrap(), "call_id") == "flood9999",
        "the newest is there"
    );
    println!(
        "{} of 20,000 messages are kept, {} lines of others",
        rest.len(),
        calls.len()
    );

    // What waited in the connection, then the count, then what is there.
    let mut lines = BufReader::new(slow).lines();
    let (mut read, mut lost) = (0, 0);
    let catches_up = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let Ok(line) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            lost += line["lost"].as_u64().unwrap_or(0);
            read += usize::from(text(&line, "call_id").starts_with("flood"));
            if text(&line, "call_id") == "flood9999" && text(&line, "kind") == "out" {
                return;
            }
        }
    };
    timeout(SOON, catches_up).await.unwrap();
    println!("the slow reader read {read} and was told of {lost}");
    assert!(lost > 0);
    assert_eq!(read as u64 + lost, 20_000);
}
