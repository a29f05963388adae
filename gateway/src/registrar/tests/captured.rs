//! REGISTERs of real browsers and phones (`tests/data/captured`), whose users have the password `pw` and their name.

use std::path::PathBuf;

use super::*;

/// Every REGISTER that a device sent, in the order in which it was captured.
fn captured() -> Vec<(String, Message)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captured/browser");
    let list = |folder: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        entries
    };
    let folders = |folder: &Path| list(folder).into_iter().filter(|path| path.is_dir());
    folders(&root)
        .flat_map(|kind| folders(&kind).collect::<Vec<_>>())
        .flat_map(|scenario| list(&scenario))
        .filter(|file| file.to_string_lossy().ends_with("-to-edge-REGISTER.sip"))
        .map(|file| {
            let bytes = std::fs::read(&file).unwrap();
            let message = Message::parse(bytes.into(), &Limits::default()).unwrap();
            let name = file.strip_prefix(&root).unwrap();
            (name.display().to_string(), message)
        })
        .collect()
}

fn users_of(messages: &[(String, Message)]) -> Users {
    let mut users = Users::default();
    users.add_domain("example.test", &[], &[Algorithm::Md5]);
    for (_, message) in messages {
        let user = text(message.to().unwrap().parsed_uri().unwrap().user.unwrap());
        let password = format!("pw{user}");
        users.add_user("example.test", &user, Credential::Password(&password));
    }
    users
}

#[tokio::test]
async fn every_captured_register_is_judged_and_accepted() {
    let messages = captured();
    assert!(messages.len() > 50, "only {} found", messages.len());
    let registrar = registrar();
    registrar.set_users(users_of(&messages));
    let (mut with, mut without) = (0, 0);
    for (name, message) in &messages {
        // The nonce is Kamailio's, so the right digest is stale, and a wrong one would not be.
        let stale = message.header(Header::Authorization).is_some();
        let judged = registrar.authenticate(message, Kind::Www, PEER, NOW);
        assert_eq!(judged, Authentication::Challenge { stale }, "{name}");
        if stale {
            with += 1;
        } else {
            without += 1;
        }
    }
    println!("{with} captured REGISTERs with a right digest, {without} without credentials");
    assert!(with > 20 && without > 20);
    // Each capture is a story of its own: what a device sends with credentials is what a registrar gets to see.
    for (name, message) in messages
        .iter()
        .filter(|(_, message)| message.header(Header::Authorization).is_some())
    {
        let registrar = self::registrar();
        registrar.set_users(users_of(&messages));
        let answer = send(&registrar, NOW, message).await;
        assert_eq!(answer.status(), 200, "{name}");
        let removes = message.header(Header::Contact) == Some(b"*")
            || message.header(Header::Expires) == Some(b"0")
            || message
                .header(Header::Contact)
                .is_some_and(|contact| text(contact).contains(";expires=0"));
        assert_eq!(contacts(&answer).len(), usize::from(!removes), "{name}");
    }
}

#[tokio::test]
async fn a_captured_device_answers_our_challenge() {
    let messages = captured();
    let registrar = registrar();
    registrar.set_users(users_of(&messages));
    for (name, message) in messages
        .iter()
        .filter(|(_, message)| message.header(Header::Authorization).is_some())
    {
        let challenge = registrar
            .challenge(message, Kind::Www, false, b"t", PEER, NOW)
            .to_bytes();
        let challenge = Message::parse(challenge, &Limits::default()).unwrap();
        let nonce = field(
            &header(&challenge, Header::WwwAuthenticate).unwrap(),
            "nonce",
        )
        .unwrap();
        let user = text(message.to().unwrap().parsed_uri().unwrap().user.unwrap());
        let client = Client {
            user: &user,
            realm: "example.test",
            password: &format!("pw{user}"),
            algorithm: Algorithm::Md5,
            method: "REGISTER",
            uri: "sip:example.test",
            nonce: &nonce,
            nc: Some("00000001"),
        };
        let line = client.line("Authorization");
        let value = line.split_once(": ").unwrap().1;
        let mut edited = sip::Edited::new(message.clone());
        edited.set(Header::Authorization, value.as_bytes());
        let judged = registrar.authenticate(&edited, Kind::Www, PEER, NOW);
        assert!(
            matches!(&judged, Authentication::Passed { user: found } if found.name == user),
            "{name}: {judged:?}"
        );
    }
}
