//! Members of a group that do what no real server should, each a socket of the test: the whole of a failover on the wire.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_tests::gateway::Gateway;
use causeway_tests::ports;
use tokio::net::UdpSocket;

use crate::device::{header, status};

const SOON: Duration = Duration::from_secs(5);

/// An edge in front of two sockets; `probe` is its table.
pub(crate) struct Stage {
    _gateway: Gateway,
    pub(crate) phone: UdpSocket,
    pub(crate) members: [UdpSocket; 2],
    public: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A probe that never says anything: it is the requests that count.
pub(crate) const NO_PROBE: &str = "{ interval = \"10m\", fall = 100 }";

impl Stage {
    pub(crate) async fn set(probe: &str) -> Self {
        Self::with(&format!("probe = {probe}")).await
    }

    /// The same with these keys of the group.
    pub(crate) async fn with(group: &str) -> Self {
        let [public, core, admin] = [(); 3].map(|()| ports::free_address());
        let members = [
            UdpSocket::bind("127.0.0.3:0").await.unwrap(),
            UdpSocket::bind("127.0.0.4:0").await.unwrap(),
        ];
        let [one, other] = [&members[0], &members[1]].map(|socket| socket.local_addr().unwrap());
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[listen.public]\nudp = \"{public}\"\n\
             [listen.core]\nudp = \"{core}\"\ntrust = [\"127.0.0.3\", \"127.0.0.4\"]\n\
             [group.core]\nmembers = [\"sip:{one}\", \"sip:{other}\"]\n{group}\n\
             [[route]]\nfrom = \"devices\"\nto = \"group:core\"\n"
        );
        let gateway = Gateway::start(&config).await.unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Stage {
            _gateway: gateway,
            phone,
            members,
            public,
            admin,
        }
    }

    pub(crate) async fn send(&self, method: &str, more: &str) {
        let own = self.phone.local_addr().unwrap();
        let request = format!(
            "{method} sip:bob@kit.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKone\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@kit.test>;tag=a\r\nTo: <sip:bob@kit.test>\r\nCall-ID: call\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:alice@{own}>\r\n{more}Content-Length: 0\r\n\r\n"
        );
        self.phone
            .send_to(request.as_bytes(), self.public)
            .await
            .unwrap();
    }

    /// Which member gets a request of this method first, and what it gets.
    pub(crate) async fn first(&self, start: &str) -> (usize, String, SocketAddr) {
        tokio::select! {
            (message, from) = receive(&self.members[0], start) => (0, message, from),
            (message, from) = receive(&self.members[1], start) => (1, message, from),
        }
    }

    pub(crate) async fn answer(
        &self,
        member: usize,
        request: &str,
        edge: SocketAddr,
        status: &str,
        more: &str,
    ) {
        self.members[member]
            .send_to(response(request, status, more).as_bytes(), edge)
            .await
            .unwrap();
    }
}

/// The next message that begins so; what else comes is of no concern here.
pub(crate) async fn receive(socket: &UdpSocket, start: &str) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    loop {
        let received = tokio::time::timeout(SOON, socket.recv_from(&mut buffer)).await;
        let (length, from) = received
            .unwrap_or_else(|_| panic!("no {start} in {SOON:?}"))
            .unwrap();
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.starts_with(start) {
            return (message, from);
        }
    }
}

/// What has arrived at a socket by now, of this method.
pub(crate) fn arrived(socket: &UdpSocket, start: &str) -> usize {
    let mut buffer = vec![0; 65_535];
    let mut count = 0;
    while let Ok((length, _)) = socket.try_recv_from(&mut buffer) {
        count += usize::from(buffer[..length].starts_with(start.as_bytes()));
    }
    count
}

pub(crate) fn response(request: &str, status: &str, more: &str) -> String {
    let copied: Vec<&str> = request
        .lines()
        .filter(|line| {
            ["Via:", "Record-Route:", "From:", "To:", "Call-ID:", "CSeq:"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .collect();
    let copied = copied
        .join("\r\n")
        .replace("To: <sip:bob@kit.test>", "To: <sip:bob@kit.test>;tag=b");
    format!("SIP/2.0 {status}\r\n{copied}\r\n{more}Content-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn a_silent_member_costs_an_invite_a_second_and_is_cancelled_when_it_wakes() {
    let stage = Stage::set(NO_PROBE).await;
    stage.send("INVITE", "").await;
    let began = Instant::now();
    let (silent, first, edge) = stage.first("INVITE ").await;
    let other = 1 - silent;
    let (second, _) = receive(&stage.members[other], "INVITE ").await;
    let waited = began.elapsed();
    println!("silent: the INVITE was with the next member after {waited:?}");
    assert!(waited >= Duration::from_millis(950), "{waited:?}");
    assert_ne!(
        header(&first, "Via"),
        header(&second, "Via"),
        "a branch of its own"
    );

    stage.answer(other, &second, edge, "180 Ringing", "").await;
    receive(&stage.phone, "SIP/2.0 180 ").await;
    // It wakes up: its ringing is not told, and it is stopped.
    stage.answer(silent, &first, edge, "180 Ringing", "").await;
    let (cancel, _) = receive(&stage.members[silent], "CANCEL ").await;
    assert_eq!(header(&cancel, "Via"), header(&first, "Via"));
    stage.answer(silent, &cancel, edge, "200 OK", "").await;
    stage
        .answer(silent, &first, edge, "487 Request Terminated", "")
        .await;
    receive(&stage.members[silent], "ACK ").await;

    stage
        .answer(
            other,
            &second,
            edge,
            "200 OK",
            "Contact: <sip:bob@127.0.0.9>\r\n",
        )
        .await;
    // The very next thing that the phone hears.
    let (answer, _) = receive(&stage.phone, "SIP/2.0 ").await;
    assert_eq!(status(&answer), Some(200), "{answer}");
}

#[tokio::test]
async fn whichever_answers_an_invite_with_2xx_is_passed_on() {
    let stage = Stage::set(NO_PROBE).await;
    stage.send("INVITE", "").await;
    let (silent, first, edge) = stage.first("INVITE ").await;
    let (second, _) = receive(&stage.members[1 - silent], "INVITE ").await;
    stage
        .answer(1 - silent, &second, edge, "180 Ringing", "")
        .await;
    receive(&stage.phone, "SIP/2.0 180 ").await;
    stage
        .answer(
            silent,
            &first,
            edge,
            "200 OK",
            "Contact: <sip:bob@127.0.0.8>\r\n",
        )
        .await;
    let (answer, _) = receive(&stage.phone, "SIP/2.0 200 ").await;
    assert_eq!(header(&answer, "Contact"), Some("<sip:bob@127.0.0.8>"));
    // And who rings is told.
    receive(&stage.members[1 - silent], "CANCEL ").await;
}

#[tokio::test]
async fn of_another_request_the_first_final_response_wins() {
    let stage = Stage::set(NO_PROBE).await;
    stage.send("MESSAGE", "").await;
    let began = Instant::now();
    let (silent, first, edge) = stage.first("MESSAGE ").await;
    let (second, _) = receive(&stage.members[1 - silent], "MESSAGE ").await;
    let waited = began.elapsed();
    println!("silent: the MESSAGE was with the next member after {waited:?}");
    assert!(waited >= Duration::from_millis(1450), "{waited:?}");
    stage.answer(silent, &first, edge, "202 Accepted", "").await;
    let (answer, _) = receive(&stage.phone, "SIP/2.0 ").await;
    assert_eq!(status(&answer), Some(202));
    // The later one is absorbed: what the phone hears next is the answer to its next request.
    stage
        .answer(1 - silent, &second, edge, "404 Not Found", "")
        .await;
    stage.send("OPTIONS", "").await;
    let (member, options, edge) = stage.first("OPTIONS sip:bob").await;
    stage.answer(member, &options, edge, "200 OK", "").await;
    let (answer, _) = receive(&stage.phone, "SIP/2.0 ").await;
    assert_eq!(header(&answer, "CSeq"), Some("1 OPTIONS"), "{answer}");
}

#[tokio::test]
async fn who_answers_503_is_passed_over_and_left_alone_as_long_as_it_says() {
    let stage = Stage::set(NO_PROBE).await;
    stage.send("MESSAGE", "").await;
    let (busy, first, edge) = stage.first("MESSAGE ").await;
    let began = Instant::now();
    stage
        .answer(
            busy,
            &first,
            edge,
            "503 Service Unavailable",
            "Retry-After: 30\r\n",
        )
        .await;
    let (second, _) = receive(&stage.members[1 - busy], "MESSAGE ").await;
    println!("503: the next was asked after {:?}", began.elapsed());
    stage.answer(1 - busy, &second, edge, "200 OK", "").await;
    receive(&stage.phone, "SIP/2.0 200 ").await;
    // The same user's next request does not even ask it.
    arrived(&stage.members[busy], "");
    stage.send("INVITE", "").await;
    receive(&stage.members[1 - busy], "INVITE ").await;
    assert_eq!(arrived(&stage.members[busy], "INVITE "), 0);
}

#[tokio::test]
async fn with_503_from_all_the_phone_hears_500() {
    let stage = Stage::set(NO_PROBE).await;
    stage.send("MESSAGE", "").await;
    let (member, first, edge) = stage.first("MESSAGE ").await;
    stage
        .answer(member, &first, edge, "503 Service Unavailable", "")
        .await;
    let (second, _) = receive(&stage.members[1 - member], "MESSAGE ").await;
    stage
        .answer(1 - member, &second, edge, "503 Service Unavailable", "")
        .await;
    // SIGNALLING §4: 503 would make it shun the edge.
    let (answer, _) = receive(&stage.phone, "SIP/2.0 ").await;
    assert_eq!(status(&answer), Some(500), "{answer}");
}

#[tokio::test]
async fn after_an_answer_that_the_group_names_the_next_member_is_asked() {
    let stage = Stage::with(&format!("fail_over = [408, \"5xx\"]\nprobe = {NO_PROBE}")).await;
    for (method, status) in [
        ("INVITE", "500 Server Internal Error"),
        ("MESSAGE", "408 Request Timeout"),
    ] {
        stage.send(method, "").await;
        let start = format!("{method} ");
        let (member, first, edge) = stage.first(&start).await;
        stage.answer(member, &first, edge, status, "").await;
        let (second, _) = receive(&stage.members[1 - member], &start).await;
        stage
            .answer(1 - member, &second, edge, "404 Not Found", "")
            .await;
        // The better of the two goes back (RFC 3261 §16.7 step 6).
        let (answer, _) = receive(&stage.phone, "SIP/2.0 404 ").await;
        assert!(
            header(&answer, "CSeq").unwrap().ends_with(method),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_redirection_is_followed_or_passed_back_as_the_group_says() {
    for redirects in ["follow", "pass"] {
        let stage = Stage::with(&format!("redirects = \"{redirects}\"\nprobe = {NO_PROBE}")).await;
        stage.send("INVITE", "").await;
        let (member, first, edge) = stage.first("INVITE ").await;
        let there = stage.members[1 - member].local_addr().unwrap();
        let contact = format!("Contact: <sip:moved@{there}>, <sip:bob@192.0.2.1>;q=0.9\r\n");
        stage
            .answer(member, &first, edge, "302 Moved Temporarily", &contact)
            .await;
        receive(&stage.members[member], "ACK ").await;
        if redirects == "pass" {
            receive(&stage.phone, "SIP/2.0 302 ").await;
            continue;
        }
        let (second, _) = receive(&stage.members[1 - member], "INVITE ").await;
        assert!(
            second.starts_with(&format!("INVITE sip:moved@{there} ")),
            "{second}"
        );
        assert_ne!(header(&first, "Via"), header(&second, "Via"));
        stage
            .answer(1 - member, &second, edge, "486 Busy Here", "")
            .await;
        // The only one that could be followed: its answer is the callee's.
        let (answer, _) = receive(&stage.phone, "SIP/2.0 4").await;
        assert_eq!(status(&answer), Some(486), "{answer}");
    }
}

#[tokio::test]
async fn what_a_count_sent_somewhere_is_found_there_again() {
    // REGISTER has to meet again who challenged it: `check` wants it to go elsewhere.
    let stage = Stage::with(&format!(
        "algorithm = \"round robin\"\nprobe = {NO_PROBE}\n\
         [[route]]\nfrom = \"devices\"\nmethod = \"REGISTER\"\nto = \"reject 403\""
    ))
    .await;
    stage.send("INVITE", "").await;
    let (member, invite, edge) = stage.first("INVITE ").await;
    stage.answer(member, &invite, edge, "180 Ringing", "").await;
    receive(&stage.phone, "SIP/2.0 180 ").await;
    stage.send("CANCEL", "").await;
    let (cancel, _) = receive(&stage.members[member], "CANCEL ").await;
    assert_eq!(header(&cancel, "Via"), header(&invite, "Via"));
    // And the next one is somebody else's.
    stage.send("MESSAGE", "").await;
    receive(&stage.members[1 - member], "MESSAGE ").await;
}

#[tokio::test]
async fn a_call_that_a_dead_member_had_is_ended_by_the_probes_word() {
    for heard in ["100 Trying", "180 Ringing"] {
        let stage = Stage::set("{ interval = \"100ms\", timeout = \"200ms\", fall = 2 }").await;
        // Both answer their probes until one does not.
        let (probe_0, from) = receive(&stage.members[0], "OPTIONS ").await;
        stage.answer(0, &probe_0, from, "200 OK", "").await;
        let (probe_1, from) = receive(&stage.members[1], "OPTIONS ").await;
        stage.answer(1, &probe_1, from, "200 OK", "").await;
        stage.send("INVITE", "").await;
        let (member, invite, edge) = stage.first("INVITE ").await;
        stage.answer(member, &invite, edge, heard, "").await;
        let began = Instant::now();
        let (answer, _) = tokio::select! {
            answer = receive(&stage.phone, "SIP/2.0 5") => answer,
            // By another way it would be a merged request.
            invite = lives(&stage, 1 - member) => panic!("{invite}"),
        };
        println!(
            "answered {heard} and died: the phone was told after {:?}",
            began.elapsed()
        );
        assert_eq!(status(&answer), Some(502), "{answer}");
    }
}

/// Answers probes until an INVITE comes.
async fn lives(stage: &Stage, member: usize) -> String {
    loop {
        let (message, edge) = receive(&stage.members[member], "").await;
        if message.starts_with("INVITE ") {
            return message;
        }
        stage.answer(member, &message, edge, "200 OK", "").await;
    }
}
