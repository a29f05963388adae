//! Issue 4 "Trust": peers that are known by their address, their limits, and calls towards carriers. Sockets play the peers, the
//! core and the carrier, each from an address of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_tests::gateway::Gateway;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, raw, wait};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::party::{answer, hears, lines};
use crate::siege::Siege;

const SOON: Duration = Duration::from_secs(10);
/// A PBX, a carrier that is trusted with identity and has to come by TCP, and a device.
const PBX: &str = "127.0.0.33";
const CARRIER: &str = "127.0.0.65";
const DEVICE: &str = "127.0.0.50";

/// A gateway with users of its own, a core (one socket) and these peers.
struct Stage {
    public: SocketAddr,
    admin: SocketAddr,
    core: UdpSocket,
    gateway: Gateway,
}

impl Stage {
    async fn set(limits: &str) -> Self {
        Self::set_with(limits, "").await
    }

    async fn set_with(limits: &str, more: &str) -> Self {
        let [public, inside, admin] = std::array::from_fn(|_| ports::free_address());
        let core = UdpSocket::bind("127.0.0.3:0").await.unwrap();
        let member = core.local_addr().unwrap();
        let gateway = Gateway::start(&format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
             [listen.public]\nudp = \"{public}\"\ntcp = \"{public}\"\n\
             [listen.core]\nudp = \"{inside}\"\ntrust = [\"127.0.0.3\"]\n\
             [domain.\"here.test\"]\nusers = [{{ name = \"alice\", password = \"correct horse\" }}]\n\
             [group.core]\nmembers = [\"sip:{member}\"]\n\
             [peer.pbx]\naddresses = [\"127.0.0.32/28\"]\nlistener = \"public\"\n{limits}\n\
             [peer.carrier]\naddresses = [\"127.0.0.64/28\"]\ntransport = [\"tcp\"]\nidentity = true\n\
             {more}\n\
             [[route]]\nfrom = \"peer:pbx\"\nto = \"group:core\"\n\
             [[route]]\nfrom = \"peer:carrier\"\nto = \"group:core\"\n\
             [[route]]\nfrom = \"devices\"\nto = \"reject 404\"\n"
        ))
        .await
        .unwrap();
        Self {
            public,
            admin,
            core,
            gateway,
        }
    }

    async fn figures(&self) -> Value {
        let (_, body) = http::get(self.admin, "/status").await.unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// The figures of the peer `pbx`.
    async fn pbx(&self) -> (u64, u64, u64) {
        let figures = self.figures().await;
        let peers = figures["peers"].as_array().unwrap();
        let pbx = peers.iter().find(|peer| peer["peer"] == "pbx").unwrap();
        let figure = |name: &str| pbx[name].as_u64().unwrap();
        (figure("calls"), figure("too_many"), figure("too_fast"))
    }

    async fn pbx_has(&self, calls: u64) {
        let has = || async { self.pbx().await.0 == calls };
        assert!(
            wait::until_async(SOON, has).await,
            "{:?}",
            self.figures().await
        );
    }
}

async fn socket(own: &str) -> UdpSocket {
    UdpSocket::bind((own, 0)).await.unwrap()
}

/// A request of a call from a socket; `number` makes Call-ID, tag and branch.
fn request(method: &str, number: usize, own: SocketAddr, over: &str, more: &str) -> String {
    format!(
        "{method} sip:+4930@here.test SIP/2.0\r\nVia: SIP/2.0/{over} {own};branch=z9hG4bK{method}{number};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:pbx@here.test>;tag=f{number}\r\nTo: <sip:+4930@here.test>\r\nCall-ID: call-{number}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:pbx@{own}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

impl Stage {
    async fn send(&self, from: &UdpSocket, text: &str) {
        from.send_to(text.as_bytes(), self.public).await.unwrap();
    }

    /// Sends an INVITE; what the core hears of it.
    async fn reaches_core(&self, from: &UdpSocket, number: usize) -> (String, SocketAddr) {
        let own = from.local_addr().unwrap();
        self.send(from, &request("INVITE", number, own, "UDP", ""))
            .await;
        hears(&self.core, &format!("Call-ID: call-{number}\r\n")).await
    }

    /// Sends an INVITE and hears its final answer, which we gave; the ACK follows.
    async fn is_refused(&self, from: &UdpSocket, number: usize) -> String {
        let own = from.local_addr().unwrap();
        self.send(from, &request("INVITE", number, own, "UDP", ""))
            .await;
        self.final_answer(from, number).await
    }

    async fn final_answer(&self, from: &UdpSocket, number: usize) -> String {
        loop {
            let (text, _) = hears(from, &format!("Call-ID: call-{number}\r\n")).await;
            if !text.starts_with("SIP/2.0 1") {
                let ack = request("ACK", number, from.local_addr().unwrap(), "UDP", "");
                let to = lines(&text, &["To"]);
                let ack = ack
                    .replace("To: <sip:+4930@here.test>\r\n", &to)
                    .replace("z9hG4bKACK", "z9hG4bKINVITE");
                self.send(from, &ack).await;
                return text;
            }
        }
    }

    /// The core answers a request.
    async fn core_answers(&self, (request, from): &(String, SocketAddr), status: &str, tag: &str) {
        let to = lines(request, &["To"]);
        let to = match to.contains(";tag=") {
            true => to,
            false => to.replace("\r\n", &format!(";tag={tag}\r\n")),
        };
        let contact = format!("Contact: <sip:gw@{}>\r\n", self.core.local_addr().unwrap());
        let text = answer(request, status, &(to + &contact));
        self.core.send_to(text.as_bytes(), from).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_is_known_by_its_address_and_transport_and_a_device_is_challenged() {
    let stage = Stage::set("").await;
    let identity = "P-Asserted-Identity: <sip:+4940@here.test>\r\n";
    let (pbx, device, carrier) = (
        socket(PBX).await,
        socket(DEVICE).await,
        socket(CARRIER).await,
    );

    let invite = |from: &UdpSocket, number| {
        request(
            "INVITE",
            number,
            from.local_addr().unwrap(),
            "UDP",
            identity,
        )
    };
    stage.send(&pbx, &invite(&pbx, 1)).await;
    let (heard, _) = hears(&stage.core, "Call-ID: call-1\r\n").await;
    assert!(!heard.contains("P-Asserted-Identity"), "{heard}");

    for (who, number) in [(&device, 2), (&carrier, 3)] {
        stage.send(who, &invite(who, number)).await;
        let refused = stage.final_answer(who, number).await;
        assert!(refused.starts_with("SIP/2.0 407"), "{refused}");
    }
    let mut stream = raw::tcp(CARRIER, stage.public).await.unwrap();
    let own = stream.local_addr().unwrap();
    let text = request("INVITE", 4, own, "TCP", identity);
    stream.write_all(text.as_bytes()).await.unwrap();
    let (heard, _) = hears(&stage.core, "Call-ID: call-4\r\n").await;
    assert!(heard.contains(identity), "{heard}");

    // No Route of its own, and no REGISTER.
    let core = stage.core.local_addr().unwrap();
    let routed = request(
        "INVITE",
        5,
        pbx.local_addr().unwrap(),
        "UDP",
        &format!("Route: <sip:{core};lr>\r\n"),
    );
    stage.send(&pbx, &routed).await;
    let refused = stage.final_answer(&pbx, 5).await;
    assert!(refused.starts_with("SIP/2.0 403"), "{refused}");
    stage
        .send(
            &pbx,
            &request("REGISTER", 6, pbx.local_addr().unwrap(), "UDP", ""),
        )
        .await;
    let (refused, _) = hears(&pbx, "Call-ID: call-6\r\n").await;
    assert!(refused.starts_with("SIP/2.0 403"), "{refused}");
}

#[tokio::test]
async fn calls_at_once_are_counted_from_the_invite_to_the_end() {
    let stage = Stage::set("calls = 2").await;
    let pbx = socket(PBX).await;
    let one = stage.reaches_core(&pbx, 1).await;
    let two = stage.reaches_core(&pbx, 2).await;
    // Another of its addresses is the same peer.
    let refused = stage.is_refused(&socket("127.0.0.34").await, 3).await;
    assert!(refused.starts_with("SIP/2.0 503"), "{refused}");
    assert!(refused.contains("Retry-After: 5\r\n"), "{refused}");
    assert_eq!(stage.pbx().await, (2, 1, 0));

    // A failure gives its place back.
    stage.core_answers(&one, "486 Busy Here", "one").await;
    assert!(stage.final_answer(&pbx, 1).await.starts_with("SIP/2.0 486"));
    stage.pbx_has(1).await;
    // So does a caller who gives up, once that is answered.
    let four = stage.reaches_core(&pbx, 4).await;
    let own = pbx.local_addr().unwrap();
    stage.core_answers(&four, "180 Ringing", "four").await;
    hears(&pbx, "SIP/2.0 180").await;
    let cancel = request("CANCEL", 4, own, "UDP", "").replace("z9hG4bKCANCEL", "z9hG4bKINVITE");
    stage.send(&pbx, &cancel).await;
    let cancelled = hears(&stage.core, "CANCEL sip:").await;
    stage.core_answers(&cancelled, "200 OK", "four").await;
    stage
        .core_answers(&four, "487 Request Terminated", "four")
        .await;
    stage.pbx_has(1).await;

    // An answered call holds its place until its BYE is answered, whoever sends it, though it is passed on without a transaction.
    stage.core_answers(&two, "200 OK", "two").await;
    hears(&pbx, ";tag=two").await;
    let up = || async { stage.figures().await["calls"] == 1 };
    assert!(wait::until_async(SOON, up).await);
    let five = stage.reaches_core(&pbx, 5).await;
    assert!(stage.is_refused(&pbx, 6).await.starts_with("SIP/2.0 503"));
    let (_, listed) = http::get(stage.admin, "/calls").await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let call = &listed["calls"][0];
    assert_eq!(
        (&listed["up"], &call["call_id"]),
        (&1.into(), &"call-2".into())
    );
    assert_eq!(
        (&call["peer"], &call["group"]),
        (&"pbx".into(), &"core".into())
    );
    let route = lines(&two.0, &["Record-Route"]).replace("Record-Route:", "Route:");
    let member = stage.core.local_addr().unwrap();
    let bye = format!(
        "BYE sip:pbx@{own} SIP/2.0\r\nVia: SIP/2.0/UDP {member};branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n{route}\
         From: <sip:+4930@here.test>;tag=two\r\nTo: <sip:pbx@here.test>;tag=f2\r\nCall-ID: call-2\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
    );
    stage.core.send_to(bye.as_bytes(), two.1).await.unwrap();
    let (hung_up, from) = hears(&pbx, "BYE sip:").await;
    assert_eq!(stage.pbx().await.0, 2, "it is not over before its answer");
    let text = answer(&hung_up, "200 OK", &lines(&hung_up, &["To"]));
    pbx.send_to(text.as_bytes(), from).await.unwrap();
    hears(&stage.core, "SIP/2.0 200 OK").await;
    stage.pbx_has(1).await;

    // What nobody answers is over, too.
    stage.core_answers(&five, "500 Nope", "five").await;
    stage.pbx_has(0).await;
    let figures = stage.figures().await;
    assert_eq!(figures["calls"], 0, "{figures}");
    assert_eq!(figures["members"][0]["calls"], 0, "{figures}");
    assert_eq!(stage.pbx().await, (0, 2, 0));
    let log = stage.gateway.process.log();
    let said = log
        .lines()
        .any(|line| line.contains("a call is refused") && line.contains("pbx"));
    assert!(said, "{log}");
}

#[tokio::test]
async fn calls_a_second_are_what_the_peer_may_and_the_rest_is_told_when_to_come_back() {
    let stage = Stage::set("calls_per_second = 5").await;
    let pbx = socket(PBX).await;
    let began = Instant::now();
    for number in 0..40 {
        let text = request("INVITE", number, pbx.local_addr().unwrap(), "UDP", "");
        stage.send(&pbx, &text).await;
    }
    let all = || async { stage.pbx().await.0 + stage.pbx().await.2 == 40 };
    assert!(
        wait::until_async(SOON, all).await,
        "{:?}",
        stage.pbx().await
    );
    let most = 5 + began.elapsed().as_secs() * 5 + 5;
    let (passed, too_many, refused) = stage.pbx().await;
    assert!((5..=most).contains(&passed), "{passed} of {most}");
    assert_eq!((too_many, refused), (0, 40 - passed));
    let (said, _) = hears(&pbx, "SIP/2.0 503").await;
    assert!(said.contains("Retry-After: 1\r\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_calls_from_a_peer_over_its_limits_stays_bounded() {
    let core = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let inside = ports::free_address();
    let siege = Siege::begin_with(
        "a peer's flood of calls",
        &format!(
            "[listen.core]\nudp = \"{inside}\"\ntrust = [\"127.0.0.3\"]\n[group.core]\nmembers = [\"sip:{}\"]\n\
             [peer.flooder]\naddresses = [\"127.0.0.66\"]\ncalls = 10\nmessages_per_second = 200\n\
             [[route]]\nfrom = \"peer:flooder\"\nto = \"group:core\"\n",
            core.local_addr().unwrap()
        ),
    )
    .await;
    let to = siege.sip;
    let sending = move || {
        let socket = std::net::UdpSocket::bind("127.0.0.66:0").unwrap();
        let own = socket.local_addr().unwrap();
        for number in 0..100_000 {
            let text = request("INVITE", number, own, "UDP", "");
            let _ = socket.send_to(text.as_bytes(), to);
        }
    };
    tokio::task::spawn_blocking(sending).await.unwrap();
    siege.reaches("peers/0/too_many", 100).await;
    siege.reaches("refused/peer_too_fast", 100).await;
    assert!(siege.figure("peers/0/calls").await <= 10);
    assert!(siege.figure("transactions").await <= 10);
    siege.logged(&["a call is refused", "flooder"]).await;
    siege.end(32 << 20).await;
}

#[tokio::test]
async fn a_call_goes_out_to_a_carrier_from_the_public_side_and_comes_back_by_its_flow() {
    let carrier = UdpSocket::bind((CARRIER, 0)).await.unwrap();
    let at = carrier.local_addr().unwrap();
    let more = format!(
        "[group.carriers]\nmembers = [\"sip:{at}\"]\nlistener = \"public\"\n\
         [[route]]\nfrom = \"group:core\"\nto = \"group:carriers\"\n\
         [[route]]\nfrom = \"peer:pbx\"\nprefix = \"+\"\nto = \"group:carriers\"\n"
    );
    let stage = Stage::set_with("", &more).await;
    // Probed from the public side, too.
    let (_, from) = hears(&carrier, "OPTIONS sip:").await;
    assert_eq!(from, stage.public);
    let pbx = socket(PBX).await;
    let own = pbx.local_addr().unwrap();
    stage
        .send(&pbx, &request("INVITE", 1, own, "UDP", ""))
        .await;
    let (invite, from) = hears(&carrier, "INVITE sip:").await;
    assert_eq!(from, stage.public);
    let ok = answer(
        &invite,
        "200 OK",
        &format!("To: <sip:+4930@here.test>;tag=c\r\nContact: <sip:gw@{CARRIER}:9>\r\n"),
    );
    carrier.send_to(ok.as_bytes(), from).await.unwrap();
    let (ok, _) = hears(&pbx, "SIP/2.0 200").await;
    // Its Contact is not where it is: the flow is.
    let route = lines(&ok, &["Record-Route"]).replace("Record-Route:", "Route:");
    let bye = request("BYE", 1, own, "UDP", &route)
        .replace(
            "To: <sip:+4930@here.test>",
            "To: <sip:+4930@here.test>;tag=c",
        )
        .replace(
            "sip:+4930@here.test SIP/2.0",
            &format!("sip:gw@{CARRIER}:9 SIP/2.0"),
        );
    stage.send(&pbx, &bye).await;
    timeout(SOON, hears(&carrier, "BYE sip:")).await.unwrap();
}

/// An SDP that offers or answers PCMU at this port.
fn sdp(at: SocketAddr) -> String {
    let (ip, port) = (at.ip(), at.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}

fn with_sdp(message: &str, at: SocketAddr) -> String {
    let body = sdp(at);
    let length = format!(
        "Content-Type: application/sdp\r\nContent-Length: {}",
        body.len()
    );
    message.replace("Content-Length: 0", &length) + &body
}

/// Where an SDP says that audio goes.
fn audio(message: &str) -> SocketAddr {
    let after = |word: &str| {
        let rest = message.split(word).nth(1).unwrap();
        rest.split([' ', '\r']).next().unwrap().to_owned()
    };
    let at = format!("{}:{}", after("c=IN IP4 "), after("m=audio "));
    at.parse().unwrap()
}

/// Audio that is sent arrives.
async fn hears_audio(from: &UdpSocket, to: SocketAddr, at: &UdpSocket) {
    let mut packet = [0x55; 172];
    let mut buffer = [0; 1500];
    for number in 0..200_u8 {
        packet[..12].copy_from_slice(&[0x80, 0, 0, number, 0, 0, 0, number, 1, 2, 3, 4]);
        from.send_to(&packet, to).await.unwrap();
        let heard = timeout(Duration::from_millis(50), at.recv(&mut buffer)).await;
        if matches!(heard, Ok(Ok(172))) {
            return;
        }
    }
    panic!("no audio through {to}");
}

#[tokio::test]
async fn a_call_that_a_second_carrier_takes_has_audio_and_one_that_it_refuses_leaves_nothing() {
    // RTPEngine knows the call by the first one: towards the second nothing is offered again.
    let engine = RtpEngine::start().await.unwrap();
    let [first, second] = [socket(CARRIER).await, socket("127.0.0.66").await];
    let [one, two] = [&first, &second].map(|socket| socket.local_addr().unwrap());
    let more = format!(
        "[media]\nrtpengine = \"{}\"\ndelete_delay = \"0s\"\n\
         [group.carriers]\nmembers = [{{ uri = \"sip:{one}\", priority = 1 }}, {{ uri = \"sip:{two}\", priority = 2 }}]\n\
         listener = \"public\"\n\
         [[route]]\nfrom = \"peer:pbx\"\nprefix = \"+\"\nto = \"group:carriers\"\n",
        engine.ng
    );
    let stage = Stage::set_with("", &more).await;
    let (pbx, audio_of_pbx, audio_of_second) = (
        socket(PBX).await,
        socket(PBX).await,
        socket("127.0.0.66").await,
    );
    // The first is asked, and then the second; what that one hears.
    let offered = async |number: usize| {
        let invite = request("INVITE", number, pbx.local_addr().unwrap(), "UDP", "");
        let invite = with_sdp(&invite, audio_of_pbx.local_addr().unwrap());
        stage.send(&pbx, &invite).await;
        let call = format!("Call-ID: call-{number}\r\n");
        let (unable, from) = hears(&first, &call).await;
        let to = "To: <sip:+4930@here.test>;tag=no\r\n";
        let no = answer(&unable, "503 Not Now", to);
        first.send_to(no.as_bytes(), from).await.unwrap();
        let (offered, from) = hears(&second, &call).await;
        (offered, from, to)
    };
    let (busy, from, to) = offered(1).await;
    assert_eq!(engine.calls().await.unwrap().len(), 1);
    let busy = answer(&busy, "486 Busy Here", to);
    second.send_to(busy.as_bytes(), from).await.unwrap();
    assert!(stage.final_answer(&pbx, 1).await.starts_with("SIP/2.0 486"));
    engine.empty_within(SOON).await.unwrap();

    let (offered, from, _) = offered(2).await;
    let ok = answer(
        &offered,
        "200 OK",
        &format!("To: <sip:+4930@here.test>;tag=c\r\nContact: <sip:gw@{two}>\r\n"),
    );
    let ok = with_sdp(&ok, audio_of_second.local_addr().unwrap());
    second.send_to(ok.as_bytes(), from).await.unwrap();
    let (answered, _) = hears(&pbx, "SIP/2.0 200").await;
    hears_audio(&audio_of_second, audio(&offered), &audio_of_pbx).await;
    hears_audio(&audio_of_pbx, audio(&answered), &audio_of_second).await;
}

#[tokio::test]
async fn least_calls_goes_by_the_calls_that_ring_or_are_up() {
    let busy = [socket("127.0.0.3").await, socket("127.0.0.3").await];
    let members = busy
        .each_ref()
        .map(|socket| format!("\"sip:{}\"", socket.local_addr().unwrap()));
    let more = format!(
        "[group.least]\nmembers = [{}]\nalgorithm = \"least calls\"\n\
         [[route]]\nfrom = \"peer:pbx\"\nmethod = \"INVITE\"\nprefix = \"+\"\nto = \"group:least\"\n",
        members.join(", ")
    );
    let stage = Stage::set_with("", &more).await;
    let pbx = socket(PBX).await;
    let own = pbx.local_addr().unwrap();
    let heard_by = async |number: usize| {
        let text = request("INVITE", number, own, "UDP", "");
        stage.send(&pbx, &text).await;
        let call = format!("Call-ID: call-{number}\r\n");
        tokio::select! {
            heard = hears(&busy[0], &call) => (0, heard),
            heard = hears(&busy[1], &call) => (1, heard),
        }
    };
    // One call stays with the first that is asked: all others go to the other one, whatever their Call-IDs.
    let (first, (invite, from)) = heard_by(0).await;
    let to = "To: <sip:+4930@here.test>;tag=up\r\nContact: <sip:gw@127.0.0.3:9>\r\n";
    let ok = answer(&invite, "200 OK", to);
    busy[first].send_to(ok.as_bytes(), from).await.unwrap();
    hears(&pbx, "SIP/2.0 200").await;
    for number in 1..8 {
        let (other, (invite, from)) = heard_by(number).await;
        assert_ne!(other, first, "call {number}");
        let no = answer(&invite, "486 Busy Here", &to.replace("tag=up", "tag=no"));
        busy[other].send_to(no.as_bytes(), from).await.unwrap();
        assert!(
            stage
                .final_answer(&pbx, number)
                .await
                .starts_with("SIP/2.0 486")
        );
        stage.pbx_has(1).await;
    }
}
