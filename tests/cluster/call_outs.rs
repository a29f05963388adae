//! Where a request goes is asked over HTTP: of a server that answers, is slow, is down, or says what it must not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::{http, ports};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use crate::device::{header, status};
use crate::members::{arrived, receive, response};

/// How the server behaves.
#[derive(Clone)]
enum Behaviour {
    /// This status and body.
    Says(u16, String),
    /// It takes the question and says nothing.
    Silent,
    /// It closes the connection.
    Closes,
}

struct Asked {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    questions: Arc<Mutex<Vec<Value>>>,
    listening: Option<JoinHandle<()>>,
}

impl Asked {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut asked = Self {
            listening: None,
            address: listener.local_addr().unwrap(),
            behaviour: Arc::new(Mutex::new(Behaviour::Silent)),
            questions: Arc::default(),
        };
        let (behaviour, questions) = (asked.behaviour.clone(), asked.questions.clone());
        asked.listening = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour.clone(), questions.clone()));
            }
        }));
        asked
    }

    fn behaves(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Nobody listens any more: a connection is refused.
    async fn ends(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
    }

    fn says(&self, body: &str) {
        self.behaves(Behaviour::Says(200, body.to_owned()));
    }

    /// What was asked since the last time.
    fn questions(&self) -> Vec<Value> {
        std::mem::take(&mut *self.questions.lock().unwrap())
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Arc<Mutex<Behaviour>>,
    questions: Arc<Mutex<Vec<Value>>>,
) {
    while let Some(question) = question(&mut stream).await {
        questions.lock().unwrap().push(question);
        let behaviour = behaviour.lock().unwrap().clone();
        match behaviour {
            Behaviour::Silent => std::future::pending().await,
            Behaviour::Closes => return,
            Behaviour::Says(status, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} Whatever\r\nLocation: /elsewhere\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    }
}

/// The JSON of the next request of a connection.
async fn question(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("post /route http/1.1"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let body = &bytes[head.len() + 4..];
        if body.len() >= length {
            return Some(serde_json::from_slice(body).unwrap());
        }
    }
}

struct Stage {
    _gateway: Gateway,
    asked: Asked,
    phone: UdpSocket,
    core: UdpSocket,
    carrier: UdpSocket,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Stage {
    /// `more` are keys of the call-out.
    async fn set(more: &str) -> Self {
        let asked = Asked::listen().await;
        let [public, inside, admin] = [(); 3].map(|()| ports::free_address());
        let [core, carrier] = [
            UdpSocket::bind("127.0.0.3:0").await.unwrap(),
            UdpSocket::bind("127.0.0.4:0").await.unwrap(),
        ];
        let [one, other] = [&core, &carrier].map(|socket| socket.local_addr().unwrap());
        let probe = "probe = { interval = \"10m\", fall = 100 }";
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[listen.public]\nudp = \"{public}\"\n\
             [listen.inside]\nudp = \"{inside}\"\ntrust = [\"127.0.0.3\", \"127.0.0.4\"]\n\
             [group.core]\nmembers = [\"sip:{one}\"]\n{probe}\n[group.carrier]\nmembers = [\"sip:{other}\"]\n{probe}\n\
             [call_out.desk]\nurl = \"http://{}/route\"\n{more}\n\
             [[route]]\nfrom = \"devices\"\nto = \"call-out:desk\"\n",
            asked.address
        );
        Stage {
            _gateway: Gateway::start(&config).await.unwrap(),
            asked,
            phone: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            core,
            carrier,
            public,
            admin,
        }
    }

    /// Sends a request of this number: what makes it one of its own.
    async fn send(&self, method: &str, number: u32) {
        let own = self.phone.local_addr().unwrap();
        let request = format!(
            "{method} sip:bob@kit.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@kit.test>;tag=a{number}\r\nTo: <sip:bob@kit.test>\r\n\
             Call-ID: call{number}\r\nCSeq: 1 {method}\r\nUser-Agent: A \"phone\"\r\nContact: <sip:alice@{own}>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.phone
            .send_to(request.as_bytes(), self.public)
            .await
            .unwrap();
    }

    /// The status that the phone hears at last.
    async fn heard(&self) -> Option<u16> {
        loop {
            let (answer, _) = receive(&self.phone, "SIP/2.0 ").await;
            match status(&answer) {
                Some(100) => {}
                other => return other,
            }
        }
    }

    /// The counter of a result.
    async fn counted(&self, result: &str) -> u64 {
        let (_, text) = http::get(self.admin, "/metrics").await.unwrap();
        let labels = format!("call_out=\"desk\",result=\"{result}\"");
        let line = text.lines().find(|line| line.contains(&labels)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn it_is_told_of_the_request_and_chooses_target_and_number_or_refuses() {
    let stage = Stage::set("").await;
    let asked = &stage.asked;

    asked.says(r#"{"to": "group:carrier", "user": "+4930123"}"#);
    stage.send("INVITE", 1).await;
    let (invite, edge) = receive(&stage.carrier, "INVITE ").await;
    assert!(
        invite.starts_with("INVITE sip:+4930123@kit.test SIP/2.0\r\n"),
        "{invite}"
    );
    assert_eq!(header(&invite, "To"), Some("<sip:bob@kit.test>"));
    let own = stage.phone.local_addr().unwrap();
    let told = serde_json::json!({
        "method": "INVITE", "request_uri": "sip:bob@kit.test", "from": "<sip:alice@kit.test>;tag=a1",
        "to": "<sip:bob@kit.test>", "call_id": "call1", "user_agent": "A \"phone\"", "source": "127.0.0.1",
        "source_port": own.port(), "transport": "udp", "listener": "public", "peer": null,
    });
    assert_eq!(asked.questions(), [told]);

    // What the phone sends again, its CANCEL and its ACK ask nobody.
    stage.send("INVITE", 1).await;
    stage.send("CANCEL", 1).await;
    let ringing = response(&invite, "180 Ringing", "");
    stage
        .carrier
        .send_to(ringing.as_bytes(), edge)
        .await
        .unwrap();
    let (cancel, _) = receive(&stage.carrier, "CANCEL ").await;
    assert!(cancel.starts_with("CANCEL sip:+4930123@"), "{cancel}");
    let ended = response(&invite, "487 Request Terminated", "");
    stage.carrier.send_to(ended.as_bytes(), edge).await.unwrap();
    receive(&stage.phone, "SIP/2.0 487 ").await;
    stage.send("ACK", 1).await;

    asked.says(r#"{"to": "reject 603"}"#);
    stage.send("MESSAGE", 2).await;
    assert_eq!(stage.heard().await, Some(603));
    assert_eq!(asked.questions().len(), 1, "for the MESSAGE alone");

    asked.says(r#"{"to": "group:core"}"#);
    stage.send("REGISTER", 3).await;
    receive(&stage.core, "REGISTER sip:bob@kit.test").await;
    assert_eq!(stage.counted("answered").await, 3);
}

#[tokio::test]
async fn what_is_no_good_answer_in_time_is_a_failure_and_goes_where_that_is_configured() {
    let stage = Stage::set("timeout = \"200ms\"\nat_once = 2").await;
    let says = |status, body: &str| Behaviour::Says(status, body.to_owned());
    let rows = [
        ("slow", Behaviour::Silent),
        ("it closes", Behaviour::Closes),
        ("a status", says(500, r#"{"to": "group:core"}"#)),
        ("a redirect is not followed", says(302, "")),
        ("no JSON", says(200, "<html>")),
        ("an address", says(200, r#"{"to": "sip:192.0.2.66"}"#)),
        (
            "a group that is not configured",
            says(200, r#"{"to": "group:x"}"#),
        ),
        (
            "a line that would be a header",
            says(
                200,
                r#"{"to": "group:core", "request_uri": "sip:a@b\r\nX: y"}"#,
            ),
        ),
        (
            "more than is read",
            says(
                200,
                &format!(
                    r#"{{"to": "group:core", "user": "{}"}}"#,
                    "x".repeat(20_000)
                ),
            ),
        ),
    ];
    let count = rows.len() as u64;
    for (number, (why, behaviour)) in (0..).zip(rows) {
        stage.asked.behaves(behaviour);
        stage.send("MESSAGE", number).await;
        assert_eq!(stage.heard().await, Some(503), "{why}");
        assert!(!stage.asked.questions().is_empty(), "{why}: it was asked");
    }
    assert_eq!(stage.counted("failed").await, count);
    assert_eq!(
        arrived(&stage.core, "MESSAGE ") + arrived(&stage.carrier, "MESSAGE "),
        0
    );

    // Two are asked at once and no more.
    stage.asked.behaves(Behaviour::Silent);
    for number in 100..110 {
        stage.send("MESSAGE", number).await;
    }
    for _ in 0..10 {
        assert_eq!(stage.heard().await, Some(503));
    }
    let asked = stage.asked.questions().len();
    println!("ten at once: {asked} were asked about");
    assert!(asked <= 2, "{asked}");
}

#[tokio::test]
async fn nobody_listens_and_the_call_goes_on_to_the_group_that_is_configured() {
    let mut stage = Stage::set("on_failure = \"group:core\"").await;
    stage.asked.ends().await;
    stage.send("INVITE", 1).await;
    receive(&stage.core, "INVITE sip:bob@kit.test").await;
    assert_eq!(stage.counted("failed").await, 1);
}

#[tokio::test]
async fn an_answer_is_remembered_for_what_says_the_same_and_a_failure_is_not() {
    let stage = Stage::set("cache = \"1h\"").await;
    let asked = &stage.asked;
    asked.behaves(Behaviour::Closes);
    stage.send("MESSAGE", 1).await;
    assert_eq!(stage.heard().await, Some(503));
    assert!(!asked.questions().is_empty());

    asked.says(r#"{"to": "reject 404"}"#);
    for number in 2..5 {
        stage.send("MESSAGE", number).await;
        assert_eq!(stage.heard().await, Some(404));
    }
    // Another method is another question.
    asked.says(r#"{"to": "reject 405"}"#);
    stage.send("SUBSCRIBE", 5).await;
    assert_eq!(stage.heard().await, Some(405));
    assert_eq!(asked.questions().len(), 2);
    assert_eq!(stage.counted("remembered").await, 2);
    assert_eq!(stage.counted("answered").await, 2);
    // It is as good when nobody can be asked any more.
    asked.behaves(Behaviour::Silent);
    stage.send("MESSAGE", 6).await;
    let soon = Duration::from_secs(20);
    let heard = tokio::time::timeout(soon, stage.heard()).await;
    assert_eq!(heard.unwrap(), Some(404));
}
