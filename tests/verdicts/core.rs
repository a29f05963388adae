//! Calls to a core that does not serve them: a registrar that is silent, one that refuses.

use std::net::SocketAddr;

use causeway_tests::agent::Message;
use causeway_tests::gateway::Gateway;
use causeway_tests::ports;
use causeway_tests::rtpengine::RtpEngine;
use tokio::net::UdpSocket;

use crate::stage::{FAST, record};

/// A line of a phone, and of nobody in particular.
fn invite(own: SocketAddr, call_id: &str) -> String {
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:bob@core.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{call_id};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@core.test>;tag=a\r\nTo: <sip:bob@core.test>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:alice@{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

#[tokio::test]
async fn a_core_that_does_not_serve_a_call_is_named() {
    let engine = RtpEngine::start().await.unwrap();
    let member = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let [sip, inner, admin] = [(); 3].map(|()| ports::free_address());
    let at = member.local_addr().unwrap();
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[media]\nrtpengine = \"{}\"\n\
         [listen.public]\nudp = \"{sip}\"\n[listen.core]\nudp = \"{inner}\"\ntrust = [\"127.0.0.1\"]\n\
         [group.core]\nmembers = [\"sip:{at}\"]\nprobe.interval = \"10m\"\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:core\"\n{FAST}",
        engine.ng
    );
    let _gateway = Gateway::start(&config).await.unwrap();
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = phone.local_addr().unwrap();
    // What the member says of itself once, so that it lives; then nothing, or what is asked for.
    let plays = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, from) = member.recv_from(&mut buffer).await.unwrap();
            let message = Message {
                text: String::from_utf8_lossy(&buffer[..length]).into_owned(),
                from,
            };
            let status = match message.method() {
                "OPTIONS" => "SIP/2.0 200 OK",
                "INVITE" if message.call_id() == "refused" => "SIP/2.0 503 Service Unavailable",
                "INVITE" if message.call_id() == "asked" => {
                    "SIP/2.0 407 Proxy Authentication Required"
                }
                _ => continue,
            };
            let said = answer(status, &message);
            member.send_to(said.as_bytes(), from).await.unwrap();
        }
    };
    let asks = async {
        for (fault, call_id, want) in [
            ("the core refuses (503)", "refused", "registrar_refused"),
            ("the registrar is silent", "silent", "registrar_silent"),
        ] {
            phone
                .send_to(invite(own, call_id).as_bytes(), sip)
                .await
                .unwrap();
            let record = record(admin, call_id).await.unwrap();
            println!("{fault:45} | {want:22} | {}", record["words"]);
            assert_eq!(record["verdict"], want, "{record:#}");
            assert_eq!(record["member"], at.to_string(), "{record:#}");
        }
    };
    tokio::select! {
        () = plays => {}
        () = asks => {}
    }
}

/// An answer without anything else in it.
fn answer(status: &str, request: &Message) -> String {
    let same = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let vias = request.values("Via").join(", ");
    format!(
        "{status}\r\nVia: {vias}\r\nFrom: {}\r\nTo: {};tag=b\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        same("From"),
        same("To"),
        same("Call-ID"),
        same("CSeq")
    )
}
