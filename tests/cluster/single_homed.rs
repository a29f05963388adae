//! The case study's edge: one address for devices and for the core. Unmodified baresips behind it, a Kamailio that challenges,
//! keeps Paths and knows the edge by its one address.

use std::net::SocketAddr;

use causeway_tests::baresip::{Account, Phone, Transport};
use causeway_tests::gateway::Gateway;
use causeway_tests::kamailio::{Kamailio, Settings};
use causeway_tests::ports;

use crate::device::{DOMAIN, PASSWORD};

/// A registrar on the second loopback address: the source tells it from the phones on the first.
async fn registrar() -> Kamailio {
    let address = SocketAddr::from(([127, 0, 0, 2], ports::free()));
    Kamailio::start(&Settings {
        config: "member",
        listen: vec![format!("udp:{address}"), format!("tcp:{address}")],
        domain: DOMAIN,
        fill: vec![
            ("NAME", "core".to_owned()),
            ("PASSWORD", PASSWORD.to_owned()),
        ],
        ..Settings::default()
    })
    .await
    .unwrap()
}

/// The edge, and its one address.
async fn edge(member: SocketAddr, transport: &str) -> (Gateway, SocketAddr) {
    let address = ports::free_address();
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n\
         [listen.edge]\nudp = \"{address}\"\ntcp = \"{address}\"\ncore = \"127.0.0.2\"\n\
         [group.registrars]\nmembers = \"sip:{member}\"\ntransport = \"{transport}\"\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n"
    );
    (Gateway::start(&config).await.unwrap(), address)
}

async fn phone(user: &str, edge: SocketAddr, transport: Transport, tone: u32) -> Phone {
    let account = Account {
        transport,
        tone,
        ..Account::new(user, DOMAIN, PASSWORD, edge)
    };
    Phone::start_registered(&account).await.unwrap()
}

async fn call(caller: &mut Phone, called: &str, answers: &mut Phone) {
    caller
        .dial(&format!("sip:{called}@{DOMAIN}"))
        .await
        .unwrap();
    caller.event("CALL_ESTABLISHED").await.unwrap();
    answers.event("CALL_ESTABLISHED").await.unwrap();
}

#[tokio::test]
async fn phones_register_call_and_are_called_through_one_address_for_both_sides() {
    for (of_phone, of_core) in [
        (Transport::Udp, "udp"),
        (Transport::Tcp, "udp"),
        (Transport::Udp, "tcp"),
    ] {
        let core = registrar().await;
        let (_gateway, address) = edge(core.address, of_core).await;
        let mut alice = phone("alice", address, of_phone, 440).await;
        let mut bob = phone("bob", address, Transport::Udp, 700).await;
        // Alice is on the caller's side once and once on the called one; who hangs up changes too.
        call(&mut alice, "bob", &mut bob).await;
        alice.hears(700, 1.0).await.unwrap();
        bob.hears(440, 1.0).await.unwrap();
        bob.hang_up().await.unwrap();
        alice.event("CALL_CLOSED").await.unwrap();
        call(&mut bob, "alice", &mut alice).await;
        // A re-INVITE of the caller, inside the dialog.
        bob.hold().await.unwrap();
        bob.receives_no_more().await.unwrap();
        bob.resume().await.unwrap();
        bob.receives_more(25).await.unwrap();
        bob.hang_up().await.unwrap();
        alice.event("CALL_CLOSED").await.unwrap();
    }
}
