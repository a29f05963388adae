//! Where requests go.

use super::*;

const OUTBOUND: &str = "Supported: outbound";

async fn bind(registrar: &Registrar, after: u64, cseq: u32, contact: &str) {
    let path = format!("Path: <sip:flow{cseq}@edge.test;lr;ob>");
    let answer = register(
        registrar,
        NOW + seconds(after),
        cseq,
        &[contact, OUTBOUND, &path],
    )
    .await;
    assert_eq!(answer.status(), 200, "{contact}");
}

fn uris(targets: &[Target]) -> Vec<String> {
    targets.iter().map(|target| text(&target.uri)).collect()
}

#[tokio::test]
async fn each_device_is_reached_by_its_newest_flow_and_keeps_the_others() {
    let registrar = registrar();
    bind(
        &registrar,
        0,
        1,
        "Contact: <sip:one@h>;+sip.instance=\"<urn:a>\";reg-id=1",
    )
    .await;
    bind(
        &registrar,
        1,
        2,
        "Contact: <sip:two@h>;+sip.instance=\"<urn:a>\";reg-id=2",
    )
    .await;
    bind(
        &registrar,
        2,
        3,
        "Contact: <sip:three@h>;+sip.instance=\"<urn:b>\"",
    )
    .await;
    bind(&registrar, 3, 4, "Contact: <sip:four@h>;q=0.5").await;
    bind(&registrar, 4, 5, "Contact: <sip:five@h>").await;
    bind(&registrar, 5, 6, "Contact: <tel:+49301>").await;
    let targets = registrar.lookup(b"alice@example.test", NOW + seconds(6));
    assert_eq!(
        uris(&targets),
        ["sip:five@h", "sip:three@h", "sip:two@h", "sip:four@h"]
    );
    assert_eq!(uris(&targets[2].alternatives), ["sip:one@h"]);
    assert_eq!(targets[2].path, [b"<sip:flow2@edge.test;lr;ob>".to_vec()]);
    assert_eq!(targets[2].instance.as_deref(), Some(&b"\"<urn:a>\""[..]));
    assert_eq!((targets[2].reg_id, targets[3].q), (Some(2), 500));

    assert_eq!(
        registrar.lookup(b"alice@192.0.2.1", NOW).len(),
        4,
        "by the domain's alias"
    );
    assert_eq!(registrar.lookup(b"bob@example.test", NOW).len(), 0);
    assert_eq!(
        registrar
            .lookup(b"alice@example.test", NOW + seconds(605))
            .len(),
        0,
        "all expired"
    );
}

#[test]
fn who_exists_is_known_whether_registered_or_not() {
    let registrar = registrar();
    for (aor, want) in [
        ("alice@example.test", true),
        ("alice@192.0.2.1", true),
        ("nobody@example.test", false),
        ("alice@elsewhere.test", false),
        ("alice", false),
    ] {
        assert_eq!(registrar.knows(aor.as_bytes()), want, "{aor}");
    }
}

#[tokio::test]
async fn a_contact_that_somebody_quotes_leads_to_its_binding() {
    let registrar = registrar();
    bind(
        &registrar,
        0,
        1,
        "Contact: <sip:6an2dokb@tu1e39g7lib1.invalid;transport=ws>",
    )
    .await;
    let find = |uri: &str, after| {
        let found = registrar.find_contact(uri.as_bytes(), NOW + seconds(after));
        found.map(|(aor, target)| (aor.to_string(), text(&target.path[0])))
    };
    let found = Some((
        "alice@example.test".to_owned(),
        "<sip:flow1@edge.test;lr;ob>".to_owned(),
    ));
    for (why, uri, after, want) in [
        (
            "as it is",
            "sip:6an2dokb@tu1e39g7lib1.invalid;transport=ws",
            0,
            &found,
        ),
        (
            "in another spelling",
            "sip:%36an2dokb@TU1E39G7lib1.invalid;Transport=WS;ob",
            0,
            &found,
        ),
        (
            "another transport",
            "sip:6an2dokb@tu1e39g7lib1.invalid;transport=tcp",
            0,
            &None,
        ),
        (
            "another user",
            "sip:other@tu1e39g7lib1.invalid;transport=ws",
            0,
            &None,
        ),
        (
            "expired",
            "sip:6an2dokb@tu1e39g7lib1.invalid;transport=ws",
            601,
            &None,
        ),
    ] {
        assert_eq!(&find(uri, after), want, "{why}");
    }
}

#[tokio::test]
async fn a_contact_that_two_claim_belongs_to_the_first_also_after_a_restart() {
    const CONTACT: &str = "Contact: <sip:x@one.invalid;transport=ws>";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registrar.sqlite");
    let owner = |registrar: &Registrar| {
        let (aor, _) = registrar
            .find_contact(b"sip:x@one.invalid;transport=ws", NOW + seconds(3))
            .unwrap();
        aor.to_string()
    };
    let registrar = open(Rules::default(), &file);
    let of_bob =
        |cseq, contact: &str| message(&register_text(cseq, &[contact]).replace("alice", "bob"));
    // bob is first, and alice, whose name sorts before his, claims his Contact: once as a new one, once for a flow of
    // hers that is older than his.
    let flow = "+sip.instance=\"<u>\";reg-id=1";
    bind(&registrar, 0, 1, &format!("Contact: <sip:y@h>;{flow}")).await;
    send(&registrar, NOW + seconds(1), &of_bob(1, CONTACT)).await;
    bind(&registrar, 2, 2, CONTACT).await;
    bind(&registrar, 2, 3, &format!("{CONTACT};{flow}")).await;
    send(&registrar, NOW + seconds(3), &of_bob(2, CONTACT)).await;
    assert_eq!(owner(&registrar), "bob@example.test");
    drop(registrar);
    assert_eq!(owner(&open(Rules::default(), &file)), "bob@example.test");
}

#[tokio::test]
async fn a_dead_flow_takes_its_bindings_with_it() {
    let registrar = registrar();
    bind(&registrar, 0, 1, "Contact: <sip:one@h>").await;
    bind(&registrar, 0, 2, "Contact: <sip:two@h>").await;
    assert_eq!(
        registrar.remove_flow(b"<sip:flow3@edge.test;lr;ob>").len(),
        0
    );
    let gone = registrar.remove_flow(b"<sip:flow1@edge.test;lr;ob>");
    assert_eq!(gone.len(), 1);
    assert_eq!(text(&gone[0].1.contact), "sip:one@h");
    assert_eq!(
        uris(&registrar.lookup(b"alice@example.test", NOW)),
        ["sip:two@h"]
    );
    assert!(registrar.find_contact(b"sip:one@h", NOW).is_none());
}

#[tokio::test]
async fn a_target_that_answered_430_goes_unless_it_came_back() {
    let registrar = registrar();
    let failed = |aor: &[u8], target: &Target| {
        registrar.flow_failed(aor, &target.uri, &target.path[0], target.updated)
    };
    bind(&registrar, 0, 1, "Contact: <sip:one@h>").await;
    let old = registrar.lookup(b"alice@example.test", NOW).remove(0);
    bind(&registrar, 1, 2, "Contact: <sip:one@h>").await;
    assert!(
        !failed(b"alice@example.test", &old),
        "it registered again meanwhile"
    );
    let new = registrar.lookup(b"alice@example.test", NOW).remove(0);
    assert!(!registrar.flow_failed(b"alice@192.0.2.1", &new.uri, b"<sip:other;lr>", new.updated));
    assert!(failed(b"alice@192.0.2.1", &new));
    assert!(!failed(b"alice@example.test", &new));
    assert!(registrar.is_empty());
}
