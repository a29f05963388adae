//! Challenges and what answers them are worth.

use super::*;

/// A nonce as a device gets it.
fn nonce(registrar: &Registrar, now: Duration) -> String {
    let request = message(&register_text(1, &[]));
    let challenge = registrar
        .challenge(&request, Kind::Www, false, b"tag", PEER, now)
        .to_bytes();
    let challenge = Message::parse(challenge, &Limits::default()).unwrap();
    field(
        &header(&challenge, Header::WwwAuthenticate).unwrap(),
        "nonce",
    )
    .unwrap()
}

fn alice(nonce: &str) -> Client<'_> {
    Client {
        user: "alice",
        realm: "example.test",
        password: "pwalice",
        algorithm: Algorithm::Md5,
        method: "REGISTER",
        uri: "sip:example.test",
        nonce,
        nc: Some("00000001"),
    }
}

fn judge(registrar: &Registrar, client: Client<'_>, now: Duration) -> Authentication {
    let request = message(&register_text(2, &[&client.line("Authorization")]));
    registrar.authenticate(&request, Kind::Www, PEER, now)
}

fn passed(authentication: &Authentication) -> bool {
    matches!(authentication, Authentication::Passed { .. })
}

const ASK: Authentication = Authentication::Challenge { stale: false };
const STALE: Authentication = Authentication::Challenge { stale: true };
const NO: Authentication = Authentication::Refused(Refused::Credentials);
const NOT_HIS: Authentication = Authentication::Refused(Refused::Identity);

#[test]
fn a_challenge_asks_in_the_name_of_the_domain_once_for_each_algorithm_the_strongest_first() {
    let registrar = registrar();
    let ask = |to: &str, kind: Kind, stale| {
        let text = register_text(1, &[]).replace("alice@example.test", to);
        let response = registrar.challenge(&message(&text), kind, stale, b"tag", PEER, NOW);
        let response = Message::parse(response.to_bytes(), &Limits::default()).unwrap();
        let values: Vec<String> = response
            .lines(kind.challenge_header())
            .map(super::text)
            .collect();
        (response.status(), values)
    };
    let (status, values) = ask("alice@example.test", Kind::Www, false);
    assert_eq!((status, values.len()), (401, 1));
    assert_eq!(field(&values[0], "realm").as_deref(), Some("example.test"));
    assert_eq!(field(&values[0], "algorithm").as_deref(), Some("MD5"));
    assert_eq!(field(&values[0], "qop").as_deref(), Some("auth"));
    assert!(!values[0].contains("stale"));
    let (status, values) = ask("nobody@192.0.2.1", Kind::Proxy, true);
    assert_eq!((status, values.len()), (407, 1));
    assert_eq!(field(&values[0], "realm").as_deref(), Some("example.test"));
    assert_eq!(field(&values[0], "stale").as_deref(), Some("true"));
    let (_, values) = ask("alice@strong.test", Kind::Www, false);
    let algorithms: Vec<_> = values
        .iter()
        .filter_map(|value| field(value, "algorithm"))
        .collect();
    assert_eq!(algorithms, ["SHA-256", "MD5"]);
    assert_eq!(ask("alice@elsewhere.test", Kind::Www, false), (403, vec![]));
}

#[test]
fn credentials_are_worth_what_rfc_7616_and_our_rules_say() {
    let registrar = registrar();
    let fresh = nonce(&registrar, NOW);
    let old = nonce(&registrar, NOW - seconds(301));
    let of_bob = nonce(&registrar, NOW);
    let right = alice(&fresh);
    for (why, client, want) in [
        (
            "a wrong password",
            Client {
                password: "pwbob",
                ..right
            },
            NO,
        ),
        (
            "an unknown user, refused like a wrong password",
            Client {
                user: "nobody",
                ..right
            },
            NO,
        ),
        (
            "a user of another domain only",
            Client {
                realm: "elsewhere.test",
                ..right
            },
            ASK,
        ),
        (
            "an algorithm that was not offered",
            Client {
                algorithm: Algorithm::Sha256,
                ..right
            },
            ASK,
        ),
        (
            "an old nonce and the right password",
            Client {
                nonce: &old,
                ..right
            },
            STALE,
        ),
        (
            "an old nonce and a wrong password",
            Client {
                nonce: &old,
                password: "x",
                ..right
            },
            ASK,
        ),
        (
            "a nonce that is not ours, after a restart with new keys",
            Client {
                nonce: "awRIP2sE",
                ..right
            },
            STALE,
        ),
        (
            "a nonce that is not ours, an unknown user",
            Client {
                nonce: "awRIP2sE",
                user: "nobody",
                ..right
            },
            ASK,
        ),
        (
            "somebody else's bindings",
            Client {
                user: "bob",
                password: "pwbob",
                nonce: &of_bob,
                ..right
            },
            NOT_HIS,
        ),
        (
            "the digest of another method",
            Client {
                method: "INVITE",
                ..right
            },
            NO,
        ),
    ] {
        assert_eq!(judge(&registrar, client, NOW), want, "{why}");
    }
    let plain = message(&register_text(2, &[]));
    assert_eq!(registrar.authenticate(&plain, Kind::Www, PEER, NOW), ASK);
    let proxy = message(&register_text(2, &[&right.line("Proxy-Authorization")]));
    assert_eq!(
        registrar.authenticate(&proxy, Kind::Www, PEER, NOW),
        ASK,
        "the header of a proxy"
    );
    assert!(passed(&judge(&registrar, right, NOW)));
}

#[test]
fn a_count_that_does_not_grow_is_stale_and_never_403() {
    let registrar = registrar();
    let first = nonce(&registrar, NOW);
    let second = nonce(&registrar, NOW);
    for (why, nonce, nc, want) in [
        ("the first", &first, "00000001", true),
        ("SIP.js's refresh", &first, "00000001", false),
        ("the next", &first, "00000002", true),
        (
            "the next, a day later in hexadecimal",
            &first,
            "0000000a",
            true,
        ),
        ("an earlier one", &first, "00000009", false),
        (
            "another nonce of the same second",
            &second,
            "00000001",
            true,
        ),
    ] {
        let judged = judge(
            &registrar,
            Client {
                nc: Some(nc),
                ..alice(nonce)
            },
            NOW,
        );
        assert!(
            passed(&judged) == want && (want || judged == STALE),
            "{why}: {judged:?}"
        );
    }
}

#[test]
fn without_qop_a_nonce_is_good_once() {
    let registrar = registrar();
    let nonce = nonce(&registrar, NOW);
    let client = Client {
        nc: None,
        ..alice(&nonce)
    };
    assert!(passed(&judge(&registrar, client, NOW)));
    assert_eq!(judge(&registrar, client, NOW), STALE);
}

#[test]
fn any_node_of_the_cluster_verifies_the_nonce_of_another() {
    let (one, other) = (registrar(), registrar());
    assert!(passed(&judge(
        &other,
        alice(&nonce(&one, NOW)),
        NOW + seconds(299)
    )));
}

#[test]
fn the_strong_algorithm_works_where_it_is_offered() {
    let registrar = registrar();
    let request = |line: &str| {
        message(&register_text(2, &[line]).replace("alice@example.test", "alice@strong.test"))
    };
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let challenge = registrar
            .challenge(&request("X: y"), Kind::Www, false, b"t", PEER, NOW)
            .to_bytes();
        let challenge = Message::parse(challenge, &Limits::default()).unwrap();
        let nonce = field(
            &header(&challenge, Header::WwwAuthenticate).unwrap(),
            "nonce",
        )
        .unwrap();
        let client = Client {
            realm: "strong.test",
            algorithm,
            ..alice(&nonce)
        };
        let judged = registrar.authenticate(
            &request(&client.line("Authorization")),
            Kind::Www,
            PEER,
            NOW,
        );
        assert!(passed(&judged), "{algorithm:?}: {judged:?}");
    }
}

#[test]
fn a_caller_speaks_in_its_own_name_or_in_none() {
    let registrar = registrar();
    for (why, from, want) in [
        ("its own", "<sip:alice@example.test>;tag=f", true),
        (
            "its own under an alias",
            "<sip:alice@192.0.2.1>;tag=f",
            true,
        ),
        (
            "none (RFC 3323)",
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=f",
            true,
        ),
        ("another user's", "<sip:bob@example.test>;tag=f", false),
        (
            "another domain's",
            "<sip:alice@elsewhere.test>;tag=f",
            false,
        ),
        (
            "the same name in another domain of ours",
            "<sip:alice@strong.test>;tag=f",
            false,
        ),
    ] {
        let nonce = nonce(&registrar, NOW);
        let client = Client {
            method: "MESSAGE",
            ..alice(&nonce)
        };
        let request = register_text(2, &[&client.line("Proxy-Authorization")])
            .replace("REGISTER", "MESSAGE")
            .replace(
                "From: <sip:alice@example.test>;tag=f",
                &format!("From: {from}"),
            );
        let judged = registrar.authenticate(&message(&request), Kind::Proxy, PEER, NOW);
        assert!(
            passed(&judged) == want && (want || judged == NOT_HIS),
            "{why}: {judged:?}"
        );
    }
}

#[test]
fn credentials_for_one_callee_call_no_other() {
    let registrar = registrar();
    let bob = "sip:bob@example.test";
    for (why, signed, uri, want) in [
        ("the one that they name", bob, bob, true),
        (
            "RFC 3261 §22.4: a proxy gave another host",
            bob,
            "sip:bob@192.0.2.9:5070",
            true,
        ),
        (
            "another user, by who read them on the way",
            bob,
            "sip:0900123@example.test",
            false,
        ),
        ("a number", bob, "tel:0900123", false),
        (
            "nobody where they name somebody",
            bob,
            "sip:example.test",
            false,
        ),
        (
            "SIPp signs the server's name alone",
            "sip:192.0.2.9:5070",
            bob,
            true,
        ),
    ] {
        let nonce = nonce(&registrar, NOW);
        let client = Client {
            method: "INVITE",
            uri: signed,
            ..alice(&nonce)
        };
        let request = register_text(2, &[&client.line("Proxy-Authorization")])
            .replacen("REGISTER sip:example.test", &format!("REGISTER {uri}"), 1)
            .replace("REGISTER", "INVITE");
        let judged = registrar.authenticate(&message(&request), Kind::Proxy, PEER, NOW);
        assert_eq!(passed(&judged), want, "{why}: {judged:?}");
    }
}

#[test]
fn a_nonce_that_was_asked_for_elsewhere_is_stale() {
    let registrar = registrar();
    let nonce = nonce(&registrar, NOW);
    let request = message(&register_text(2, &[&alice(&nonce).line("Authorization")]));
    let victim = "198.51.100.66".parse().unwrap();
    assert_eq!(
        registrar.authenticate(&request, Kind::Www, victim, NOW),
        STALE
    );
    assert!(passed(&registrar.authenticate(
        &request,
        Kind::Www,
        PEER,
        NOW
    )));
}
