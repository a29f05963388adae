//! Who has an account, or is in a call, and does not behave.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::{http, ports, raw, wait};
use rsip::services::DigestGenerator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// The next message with these words in it.
pub(crate) async fn hears(socket: &UdpSocket, words: &str) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let hearing = async {
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(words) {
                return (text, from);
            }
        }
    };
    timeout(SOON, hearing).await.expect(words)
}

/// Reads until these words came, and the message that they are in; from them on.
async fn reads(stream: &mut TcpStream, words: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        loop {
            assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "{words}");
            let text = String::from_utf8_lossy(&all);
            if let Some(at) = text.find(words)
                && text[at..].ends_with("\r\n\r\n")
            {
                return text[at..].to_owned();
            }
        }
    };
    timeout(SOON, reading).await.expect(words)
}

/// The lines of these headers, as they came.
pub(crate) fn lines(message: &str, names: &[&str]) -> String {
    let is_one = |line: &&str| {
        names
            .iter()
            .any(|name| line.starts_with(&format!("{name}: ")))
    };
    message
        .lines()
        .filter(is_one)
        .map(|line| format!("{line}\r\n"))
        .collect()
}

pub(crate) fn answer(request: &str, status: &str, more: &str) -> String {
    let copied = lines(request, &["Via", "Record-Route", "From", "Call-ID", "CSeq"]);
    format!("SIP/2.0 {status}\r\n{copied}{more}Content-Length: 0\r\n\r\n")
}

async fn figure(admin: SocketAddr, name: &str) -> u64 {
    let (_, body) = http::get(admin, "/status").await.unwrap();
    let figures: serde_json::Value = serde_json::from_str(&body).unwrap();
    figures[name].as_u64().unwrap()
}

#[tokio::test]
async fn who_answers_one_invite_a_thousand_times_is_heard_a_few_times() {
    let (public, core, admin) = (
        ports::free_address(),
        ports::free_address(),
        ports::free_address(),
    );
    let registrar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let member = registrar.local_addr().unwrap();
    let _gateway = Gateway::start(&format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
         [listen.public]\ntcp = \"{public}\"\n[listen.core]\nudp = \"{core}\"\ntrust = [\"127.0.0.1\"]\n\
         [group.registrars]\nmembers = [\"sip:{member}\"]\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n"
    ))
    .await
    .unwrap();
    let mut device = raw::tcp("127.0.0.1", public).await.unwrap();
    let own = "From: <sip:m@h>;tag=m\r\nTo: <sip:m@h>\r\nContact: <sip:m@127.0.0.1:9;transport=tcp>\r\nContent-Length: 0\r\n\r\n";
    let register = format!(
        "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKr\r\nMax-Forwards: 70\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n{own}"
    );
    device.write_all(register.as_bytes()).await.unwrap();
    let (request, from) = hears(&registrar, "REGISTER sip:h").await;
    let path = lines(&request, &["Path"]).replace("Path:", "Route:");
    let ok = answer(
        &request,
        "200 OK",
        &format!("{}To: <sip:m@h>;tag=x\r\n", lines(&request, &["Contact"])),
    );
    registrar.send_to(ok.as_bytes(), from).await.unwrap();
    reads(&mut device, "SIP/2.0 200").await;

    let invite = format!(
        "INVITE sip:m@127.0.0.1:9;transport=tcp SIP/2.0\r\nVia: SIP/2.0/UDP {member};branch=z9hG4bKi\r\nMax-Forwards: 70\r\n{path}\
         From: <sip:a@h>;tag=a\r\nTo: <sip:m@h>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{member}>\r\nContent-Length: 0\r\n\r\n"
    );
    registrar.send_to(invite.as_bytes(), core).await.unwrap();
    let rings = reads(&mut device, "INVITE sip:m").await;
    // RFC 3261 §17.1.3: the answer to something else.
    let other =
        answer(&rings, "200 OK", "To: <sip:m@h>;tag=other\r\n").replace("1 INVITE", "1 BYE");
    device.write_all(other.as_bytes()).await.unwrap();
    // Fewer than the rate limit holds up.
    for number in 0..900 {
        let to = format!(
            "To: <sip:m@h>;tag={number}\r\nContact: <sip:m@127.0.0.1:9>\r\nX: {}\r\n",
            "x".repeat(500)
        );
        device
            .write_all(answer(&rings, "200 OK", &to).as_bytes())
            .await
            .unwrap();
    }
    // What comes behind them says that all have been read.
    let options = register
        .replace("REGISTER", "OPTIONS")
        .replace("Call-ID: r", "Call-ID: last");
    device.write_all(options.as_bytes()).await.unwrap();
    let (mut heard, mut buffer) = (std::collections::HashSet::new(), vec![0; 65_536]);
    loop {
        let length = timeout(SOON, registrar.recv(&mut buffer))
            .await
            .expect("the OPTIONS")
            .unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains("Call-ID: last") {
            break;
        }
        if text.starts_with("SIP/2.0 200") {
            heard.insert(lines(&text, &["To"]));
        }
    }
    assert_eq!(heard.len(), 32);
    assert!(
        !heard.iter().any(|to| to.contains("tag=other")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_register_that_grows_too_long_on_its_way_leaves_nothing_behind() {
    let (sip, admin) = (ports::free_address(), ports::free_address());
    let _gateway = Gateway::start(&format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[listen.public]\ntcp = \"{sip}\"\n\
         [domain.\"hostile.test\"]\nusers = [{{ name = \"mallory\", password = \"correct horse\" }}]\n"
    ))
    .await
    .unwrap();
    let mut device = raw::tcp("127.0.0.1", sip).await.unwrap();
    let register = |number: u32, more: &str| {
        format!(
            "REGISTER sip:hostile.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:mallory@hostile.test>;tag=m\r\nTo: <sip:mallory@hostile.test>\r\nCall-ID: c\r\nCSeq: {number} REGISTER\r\n\
             Contact: <sip:mallory@127.0.0.1:9;transport=tcp>\r\n{more}Content-Length: 0\r\n\r\n"
        )
    };
    device.write_all(register(1, "").as_bytes()).await.unwrap();
    let challenge = reads(&mut device, "SIP/2.0").await;
    let nonce = challenge
        .split("nonce=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let credentials = |count: u8| {
        let qop = rsip::headers::auth::AuthQop::Auth {
            cnonce: "abc".to_owned(),
            nc: count,
        };
        let response = DigestGenerator {
            username: "mallory",
            password: "correct horse",
            algorithm: rsip::headers::auth::Algorithm::Md5,
            nonce,
            method: &rsip::Method::Register,
            qop: Some(&qop),
            uri: &"sip:hostile.test".try_into().unwrap(),
            realm: "hostile.test",
        }
        .compute();
        format!(
            "Authorization: Digest username=\"mallory\", realm=\"hostile.test\", nonce=\"{nonce}\", uri=\"sip:hostile.test\", \
             response=\"{response}\", algorithm=MD5, qop=auth, nc={count:08}, cnonce=\"abc\"\r\n"
        )
    };
    // 256 lines and 65,536 bytes are what is taken.
    let many = credentials(1) + &"a: b\r\n".repeat(256 - 9);
    device
        .write_all(register(2, &many).as_bytes())
        .await
        .unwrap();
    let refused = reads(&mut device, "SIP/2.0").await;
    assert!(refused.starts_with("SIP/2.0 513"), "{refused}");
    let long = credentials(2) + "a: " + &"x".repeat(65_000) + "\r\n";
    let text = register(3, &long);
    assert!((65_400..65_536).contains(&text.len()), "{}", text.len());
    device.write_all(text.as_bytes()).await.unwrap();
    let refused = reads(&mut device, "SIP/2.0").await;
    assert!(refused.starts_with("SIP/2.0 513"), "{refused}");
    device
        .write_all(register(4, &credentials(3)).as_bytes())
        .await
        .unwrap();
    let granted = reads(&mut device, "SIP/2.0").await;
    assert!(granted.starts_with("SIP/2.0 200"), "{granted}");
    let none = || async { figure(admin, "transactions").await == 0 };
    assert!(wait::until_async(SOON, none).await);
}
