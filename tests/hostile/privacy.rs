//! A caller who asked for privacy, through a running edge: what a phone reads on the wire, and what the core gets back
//! (SIGNALLING §8, §9).

use std::net::SocketAddr;
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::{data, http, ports};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// The next message that begins so; probes, 100 and what is sent again are passed over.
async fn receive(socket: &UdpSocket, begins: &str) -> (String, SocketAddr) {
    let mut buffer = vec![0; 4096];
    let wanted = async {
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.starts_with(begins) {
                return (message, from);
            }
        }
    };
    timeout(SOON, wanted).await.expect(begins)
}

fn lines<'t>(message: &'t str, names: &[&str]) -> Vec<&'t str> {
    let named = |line: &&str| {
        line.split_once(": ")
            .is_some_and(|(name, _)| names.contains(&name))
    };
    message.split("\r\n").filter(named).collect()
}

/// A 200 with what a response takes over from its request (RFC 3261 §8.2.6.2).
fn answer(request: &str, more: &str) -> String {
    let copied = lines(
        request,
        &[
            "Via",
            "Record-Route",
            "From",
            "To",
            "Call-ID",
            "CSeq",
            "Path",
        ],
    )
    .join("\r\n");
    let copied = if copied.contains(";tag=phone") {
        copied
    } else {
        copied.replace(
            "sip:221222@sbc.rig.test>",
            "sip:221222@sbc.rig.test>;tag=phone",
        )
    };
    format!("SIP/2.0 200 OK\r\n{copied}\r\n{more}Content-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn a_private_caller_is_nobody_to_the_phone_and_himself_to_the_core() {
    let (public, inside, admin) = (
        ports::free_address(),
        ports::free_address(),
        ports::free_address(),
    );
    let core = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
         [listen.public]\nudp = \"{public}\"\n[listen.core]\nudp = \"{inside}\"\ntrust = [\"127.0.0.3\"]\n\
         [group.core]\nmembers = [\"sip:{}\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n",
        core.local_addr().unwrap()
    );
    let _gateway = Gateway::start(&config).await.unwrap();

    let own = phone.local_addr().unwrap();
    let register = format!(
        "REGISTER sip:sbc.rig.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKr1;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:221222@sbc.rig.test>;tag=r\r\nTo: <sip:221222@sbc.rig.test>\r\nCall-ID: registers\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:221222@{own}>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
    );
    phone.send_to(register.as_bytes(), public).await.unwrap();
    let (registered, edge) = receive(&core, "REGISTER ").await;
    let path = lines(&registered, &["Path"])[0]["Path: ".len()..].to_owned();
    core.send_to(
        answer(
            &registered,
            &format!("Contact: <sip:221222@{own}>;expires=600\r\n"),
        )
        .as_bytes(),
        edge,
    )
    .await
    .unwrap();
    receive(&phone, "SIP/2.0 200 ").await;

    // FreeSWITCH's own INVITE: From has the real name, and a mark that it is private.
    let invite =
        data::read_text("captured/chain/k1_privacy_rpid/002_reg1_to_edge_INVITE.sip").unwrap();
    let invite = invite.replace(
        "Route: <sip:mysbc@10.33.69.151;lr;received=sip:82.10.18.109:12202>",
        &format!("Route: {path}"),
    );
    core.send_to(invite.as_bytes(), edge).await.unwrap();
    let (reached, _) = receive(&phone, "INVITE ").await;
    assert!(reached.len() <= 1300, "{} bytes: {reached}", reached.len());
    assert!(
        !reached.contains("Jane") && !reached.contains("221223"),
        "{reached}"
    );

    phone
        .send_to(
            answer(&reached, &format!("Contact: <sip:221222@{own}>\r\n")).as_bytes(),
            public,
        )
        .await
        .unwrap();
    let (answered, _) = receive(&core, "SIP/2.0 200 ").await;
    assert_eq!(
        lines(&answered, &["From"]),
        lines(&invite, &["From"]),
        "RFC 3261 §8.2.6.2"
    );

    // The ACK has no mark; the Record-Route that the core got says it.
    let route = lines(&answered, &["Record-Route"])[0].replace("Record-Route", "Route");
    let dialog = lines(&answered, &["From", "To", "Call-ID"]).join("\r\n");
    let number = lines(&invite, &["CSeq"])[0].replace("INVITE", "ACK");
    let ack = format!(
        "ACK sip:221222@192.168.0.90:2048 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKack\r\n{route}\r\nMax-Forwards: 70\r\n\
         {dialog}\r\n{number}\r\nContent-Length: 0\r\n\r\n",
        core.local_addr().unwrap()
    );
    core.send_to(ack.as_bytes(), edge).await.unwrap();
    let (acknowledged, _) = receive(&phone, "ACK ").await;
    assert!(
        !acknowledged.contains("Jane") && !acknowledged.contains("221223"),
        "{acknowledged}"
    );

    let (_, body) = http::get(admin, "/status").await.unwrap();
    let figures: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(figures["shortened"]["allow_events"], 1, "{figures}");
    assert_eq!(figures["too_long"], 0, "{figures}");
}
