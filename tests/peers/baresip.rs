use std::net::SocketAddr;

use causeway_tests::baresip::{Account, Answer, Encryption, Phone, Transport};
use causeway_tests::kamailio::Kamailio;
use causeway_tests::ports;

/// Two phones at the stand-in registrar; both speak a tone of their own.
async fn two_phones(transport: Transport, encryption: Encryption) -> (Kamailio, Phone, Phone) {
    let (port, tls_port) = (ports::free(), ports::free());
    let kamailio = Kamailio::registrar("kit.test", port, tls_port)
        .await
        .unwrap();
    let server = SocketAddr::from((
        [127, 0, 0, 1],
        if transport == Transport::Tls {
            tls_port
        } else {
            port
        },
    ));
    let trust =
        (transport == Transport::Tls).then(|| kamailio.process.path().join("certificate.pem"));
    let account = Account {
        transport,
        encryption,
        trust,
        ..Account::new("alice", "kit.test", "secret", server)
    };
    let alice = Phone::start_registered(&account).await.unwrap();
    let bob = Account {
        user: "bob",
        tone: 700,
        ..account
    };
    let bob = Phone::start_registered(&bob).await.unwrap();
    (kamailio, alice, bob)
}

async fn they_hear_each_other(alice: &mut Phone, bob: &mut Phone) {
    alice.dial("sip:bob@kit.test").await.unwrap();
    alice.event("CALL_ESTABLISHED").await.unwrap();
    bob.event("CALL_ESTABLISHED").await.unwrap();
    alice.hears(700, 1.0).await.unwrap();
    bob.hears(440, 1.0).await.unwrap();
    assert!(
        alice.seconds_heard(440) < 0.3,
        "alice must not hear herself"
    );
}

#[tokio::test]
async fn two_phones_hear_each_other_over_every_transport_and_encryption() {
    for (transport, encryption) in [
        (Transport::Udp, Encryption::None),
        (Transport::Tcp, Encryption::None),
        (Transport::Tls, Encryption::Sdes),
    ] {
        let (_kamailio, mut alice, mut bob) = two_phones(transport, encryption).await;
        they_hear_each_other(&mut alice, &mut bob).await;
        bob.hang_up().await.unwrap();
        alice.event("CALL_CLOSED").await.unwrap();
    }
}

#[tokio::test]
async fn keys_and_hold_reach_the_other_phone() {
    let (_kamailio, mut alice, mut bob) = two_phones(Transport::Udp, Encryption::None).await;
    they_hear_each_other(&mut alice, &mut bob).await;
    for key in "42#".chars() {
        alice.key(key).await.unwrap();
    }
    assert_eq!(bob.keys(3).await.unwrap(), "42#");
    alice.hold().await.unwrap();
    alice.receives_no_more().await.unwrap();
    alice.resume().await.unwrap();
    alice.receives_more(25).await.unwrap();
    bob.receives_more(25).await.unwrap();
}

#[tokio::test]
async fn a_phone_transfers_its_call_to_a_third() {
    let (kamailio, mut alice, mut bob) = two_phones(Transport::Udp, Encryption::None).await;
    let server = kamailio.address;
    let account = Account {
        tone: 1000,
        ..Account::new("carol", "kit.test", "secret", server)
    };
    let mut carol = Phone::start_registered(&account).await.unwrap();
    they_hear_each_other(&mut alice, &mut bob).await;
    alice.transfer("sip:carol@kit.test").await.unwrap();
    carol.event("CALL_ESTABLISHED").await.unwrap();
    bob.hears(1000, 1.0).await.unwrap();
    carol.hears(700, 1.0).await.unwrap();
}

#[tokio::test]
async fn a_phone_refuses_and_cancels_calls() {
    let (port, tls_port) = (ports::free(), ports::free());
    let _kamailio = Kamailio::registrar("kit.test", port, tls_port)
        .await
        .unwrap();
    let account = Account::new("alice", "kit.test", "secret", ([127, 0, 0, 1], port).into());
    let mut bob = Phone::start_registered(&Account {
        user: "bob",
        answer: Answer::Manual,
        ..account.clone()
    })
    .await
    .unwrap();
    let mut alice = Phone::start_registered(&account).await.unwrap();
    alice.dial("sip:bob@kit.test").await.unwrap();
    bob.event("CALL_INCOMING").await.unwrap();
    bob.hang_up().await.unwrap();
    let closed = alice.event("CALL_CLOSED").await.unwrap();
    assert!(closed.parameter.starts_with("486"), "{closed:?}");
    alice.dial("sip:bob@kit.test").await.unwrap();
    bob.event("CALL_INCOMING").await.unwrap();
    alice.hang_up().await.unwrap();
    alice.event("CALL_CLOSED").await.unwrap();
    bob.event("CALL_CLOSED").await.unwrap();
    alice.dial("sip:nobody@kit.test").await.unwrap();
    assert!(
        alice
            .event("CALL_CLOSED")
            .await
            .unwrap()
            .parameter
            .starts_with("404")
    );
}
