//! A browser's INVITE: what JsSIP and SIP.js sent, once more over a WebSocket, to a desk phone of the same domain.

use causeway_tests::gateway::Gateway;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{data, ports, raw};
use futures_util::{SinkExt as _, StreamExt as _};
use rsip::services::DigestGenerator;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::device::Device;
use super::message::{call_id, header, whole};
use super::stage::{EDGE, Figures, PHONE_PORT, SOON};
use super::{meaning, weigh};

const DOMAIN: &str = "example.test";

pub(super) async fn its_invite_reaches_a_phone() {
    let engine = RtpEngine::start_at(&[EDGE.parse().unwrap()]).await.unwrap();
    let admin = ports::free_address();
    let users: String = ["desk1", "jssip1", "sipjs1"]
        .map(|user| {
            format!("[[domain.\"{DOMAIN}\".users]]\nname = \"{user}\"\npassword = \"pw{user}\"\n")
        })
        .concat();
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
         [listen.public]\nudp = \"{EDGE}:5060\"\nws = \"127.0.0.1:8080\"\n[media]\nrtpengine = \"{}\"\n{users}",
        engine.ng
    );
    let _gateway = Gateway::start(&config).await.unwrap();
    let figures = Figures::new(admin);
    let phone = Device::bind(PHONE_PORT + 2).await;
    let challenged = phone.register("desk1", DOMAIN, "").await;
    let credentials = credentials(
        &challenged,
        "desk1",
        rsip::Method::Register,
        &format!("sip:{DOMAIN}"),
    );
    let registered = phone.register("desk1", DOMAIN, &credentials).await;
    assert!(registered.starts_with("SIP/2.0 200 "), "{registered}");

    for (who, folder, user) in [("JsSIP", "jssip", "jssip1"), ("SIP.js", "sipjs", "sipjs1")] {
        let file = |name: String| {
            data::read_text(&format!(
                "captured/browser/{folder}/invite-audio/{name}-INVITE.sip"
            ))
            .unwrap()
        };
        let (came, theirs) = (
            file(format!("04-{user}-to-edge")),
            file("06-edge-to-desk1".to_owned()),
        );
        let stream = raw::tcp("127.0.0.1", "127.0.0.1:8080".parse().unwrap())
            .await
            .unwrap();
        let mut page = raw::websocket(stream).await.unwrap();
        say(&mut page, &file(format!("01-{user}-to-edge"))).await;
        let challenged = hears(&mut page, "SIP/2.0 407 ").await;
        let credentials = self::credentials(
            &challenged,
            user,
            rsip::Method::Invite,
            "sip:desk1@example.test",
        );
        let before = figures.spent().await;
        // As the page answered it then, with a nonce of ours.
        let old = whole(&came, "Proxy-Authorization").next().unwrap();
        say(&mut page, &came.replacen(old, credentials.trim_end(), 1)).await;
        let arrived = phone.hears("INVITE ", call_id(&came)).await;
        let spent = figures.spent_since(&before).await;
        weigh(who, [&came, &theirs, &arrived], &spent);
        phone.answers(&arrived, "486 Busy Here").await;
        let refused = hears(&mut page, "SIP/2.0 486 ").await;
        meaning::answers(who, &came, &refused);
    }
}

async fn say(page: &mut WebSocketStream<TcpStream>, message: &str) {
    page.send(Message::text(message.to_owned())).await.unwrap();
}

async fn hears(page: &mut WebSocketStream<TcpStream>, begins: &str) -> String {
    let wanted = async {
        loop {
            let message = page.next().await.unwrap().unwrap().into_text().unwrap();
            if message.starts_with(begins) {
                return message.to_string();
            }
        }
    };
    timeout(SOON, wanted).await.expect(begins)
}

/// The line that answers a challenge.
fn credentials(challenged: &str, user: &str, method: rsip::Method, uri: &str) -> String {
    let (name, challenge) = match header(challenged, "WWW-Authenticate") {
        Some(challenge) => ("Authorization", challenge),
        None => (
            "Proxy-Authorization",
            header(challenged, "Proxy-Authenticate").unwrap(),
        ),
    };
    let nonce = challenge
        .split("nonce=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let qop = rsip::headers::auth::AuthQop::Auth {
        cnonce: "qv522t5hkmr3".to_owned(),
        nc: 1,
    };
    let digest = DigestGenerator {
        username: user,
        password: &format!("pw{user}"),
        algorithm: rsip::headers::auth::Algorithm::Md5,
        nonce,
        method: &method,
        qop: Some(&qop),
        uri: &uri.try_into().unwrap(),
        realm: DOMAIN,
    };
    format!(
        "{name}: Digest algorithm=MD5, username=\"{user}\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{}\", \
         qop=auth, cnonce=\"qv522t5hkmr3\", nc=00000001\r\n",
        digest.compute()
    )
}
