//! Issue 4: what finds a queue full is answered 503 with Retry-After, and what waits in it goes on.

use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::ports;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Names that are looked up at once.
const LOOKUPS: usize = 64;

#[tokio::test]
async fn who_asks_for_one_name_more_than_are_looked_up_at_once_is_told_to_come_back() {
    let (public, core) = (ports::free_address(), ports::free_address());
    // A name server that says nothing.
    let names = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let registrar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let member = registrar.local_addr().unwrap();
    let _gateway = Gateway::start(&format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[listen.public]\nudp = \"{public}\"\n\
         [listen.core]\nudp = \"{core}\"\ntrust = [\"127.0.0.1\"]\n\
         [dns]\nservers = [\"{}\"]\ntimeout = \"1s\"\nattempts = 1\n\
         [group.registrars]\nmembers = [\"sip:{member}\"]\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n",
        names.local_addr().unwrap()
    ))
    .await
    .unwrap();
    for number in 0..=LOOKUPS {
        let text = format!(
            "MESSAGE sip:a@host-{number}.test SIP/2.0\r\nVia: SIP/2.0/UDP {member};branch=z9hG4bK{number};rport\r\n\
             Max-Forwards: 70\r\nRoute: <sip:host-{number}.test;lr>\r\nFrom: <sip:b@h>;tag=b\r\nTo: <sip:a@h>\r\n\
             Call-ID: call-{number}\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
        );
        registrar.send_to(text.as_bytes(), core).await.unwrap();
    }
    let (mut busy, mut nowhere) = (Vec::new(), 0);
    let mut buffer = vec![0; 65_536];
    while busy.len() + nowhere <= LOOKUPS {
        let length = timeout(Duration::from_secs(30), registrar.recv(&mut buffer))
            .await
            .expect("an answer to each")
            .unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        match text.split(' ').nth(1) {
            Some("503") => busy.push(text),
            Some("502") => nowhere += 1,
            // We are probed.
            _ => {}
        }
    }
    assert_eq!((busy.len(), nowhere), (1, LOOKUPS));
    assert!(busy[0].contains("Retry-After: 5\r\n"), "{busy:?}");
}
