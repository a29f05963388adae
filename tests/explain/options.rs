//! What the command line takes, and what it says of mistakes.

use std::path::Path;

use causeway_tests::process::Process;

use crate::stage::explain;

const CONFIG: &str = r#"[node]
data_dir = "@FOLDER@/data"
[listen.public]
udp = "127.0.0.1:5060"
tcp = "127.0.0.1:5060"
[listen.second]
udp = "127.0.0.1:5070"
[listen.core]
udp = "127.0.0.1:5080"
trust = ["10.0.0.0/8"]
[group.registrars]
members = ["sip:10.0.0.1", "sip:10.0.0.2"]
[domain."example.com"]
users = [{ name = "alice", password = "very secret" }, { name = "bob", password = "very secret" }]
[[route]]
from = "devices"
method = ["MESSAGE"]
to = "reject 405"
[call_out.desk]
url = "http://127.0.0.1:1/"
[[route]]
from = "devices"
user = "900"
to = "call-out:desk"
[[route]]
from = "devices"
prefix = "9"
to = "group:registrars"
"#;

const INVITE: &str = "INVITE sip:911@example.com SIP/2.0\nVia: SIP/2.0/TCP 192.168.1.9:5060;branch=z9hG4bKa;rport\n\
                      Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=a\nTo: <sip:911@example.com>\nCall-ID: c\n\
                      CSeq: 1 INVITE\nContact: <sip:alice@192.168.1.9:5060>\nContent-Length: 0\n\n";

const FROM: &str = "tcp:203.0.113.7:12345";

/// Runs it: whether it succeeded, and what it said.
async fn said(folder: &Path, message: &str, from: &str, more: &[&str]) -> (bool, String) {
    let config = folder.join("causeway.toml");
    let text = CONFIG.replace("@FOLDER@", folder.to_str().unwrap());
    std::fs::write(&config, text).unwrap();
    let file = folder.join("message.sip");
    std::fs::write(&file, message).unwrap();
    let output = explain(config, &file, from)
        .args(more)
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn what_is_taken_for_granted_changes_what_would_be_done() {
    let folder = Process::folder("explain").unwrap();
    let to_bob = INVITE.replace("911@", "bob@");
    let to_900 = INVITE.replace("911@", "900@");
    let cases: [(&str, &str, &[&str], &[&str]); 12] = [
        (
            "a rule, and the one before it",
            INVITE,
            &[],
            &[
                "[[route]] 3, line 26, matches: to \"group:registrars\"",
                "1 (line 16): method = [\"MESSAGE\"], not INVITE",
                "another member may have to be asked",
                "alice@example.com is taken as authenticated",
                "100, at once, to tcp:203.0.113.7:12345",
                "- Max-Forwards: 70",
                "+ Max-Forwards: 69",
            ],
        ),
        (
            "both members dead",
            INVITE,
            &["--dead", "registrars/1", "--dead", "registrars/10.0.0.2"],
            &["it is answered 500"],
        ),
        (
            "who is asked when one is dead",
            INVITE,
            &["--dead", "registrars/1"],
            &["it goes on to udp:10.0.0.2:5060"],
        ),
        (
            "the other",
            INVITE,
            &["--dead", "registrars/2"],
            &["it goes on to udp:10.0.0.1:5060"],
        ),
        (
            "no credentials",
            INVITE,
            &["--sender", "unknown"],
            &["it is answered 407", "Proxy-Authenticate: Digest"],
        ),
        (
            "checked now",
            INVITE,
            &["--sender", "check"],
            &["shows no credentials", "it is answered 407"],
        ),
        (
            "nobody is registered",
            &to_bob,
            &[],
            &["there is no store", "it is answered 480"],
        ),
        (
            "a binding that is given",
            &to_bob,
            &["--binding", "sip:bob@10.9.9.9:5062"],
            &[
                "it goes on to udp:10.9.9.9:5062",
                "+ INVITE sip:bob@10.9.9.9:5062 SIP/2.0",
            ],
        ),
        (
            "its Path",
            &to_bob,
            &[
                "--binding",
                "sip:bob@192.168.1.2",
                "--path",
                "sip:10.3.3.3;lr",
            ],
            &[
                "it goes on to udp:10.3.3.3:5060",
                "+ Route: <sip:10.3.3.3;lr>",
            ],
        ),
        (
            "a call-out is not asked",
            &to_900,
            &[],
            &[
                "[call_out.desk] would be told {\"method\":\"INVITE\"",
                "taken as failed",
                "it is answered 503",
            ],
        ),
        (
            "what it answers",
            &to_900,
            &[
                "--call-out-answer",
                r#"{"to": "group:registrars", "user": "901"}"#,
            ],
            &["+ INVITE sip:901@example.com SIP/2.0"],
        ),
        (
            "what it must not answer",
            &to_900,
            &["--call-out-answer", r#"{"to": "sip:192.0.2.1"}"#],
            &[
                "its answer is wrong: `to` is \"sip:192.0.2.1\"",
                "it is answered 503",
            ],
        ),
    ];
    for (why, message, more, wants) in cases {
        let (is_well, text) = said(folder.path(), message, FROM, more).await;
        assert!(is_well, "{why}: {text}");
        for want in wants {
            assert!(text.contains(want), "{why}, {want}: {text}");
        }
        assert!(!text.contains('\x1b'), "colours only on a terminal");
        assert!(!text.contains("very secret"), "{text}");
    }
}

#[tokio::test]
async fn a_mistake_is_said_with_the_file_line_or_value() {
    let folder = Process::folder("explain").unwrap();
    let cases: [(&str, &str, &str, &[&str], &str); 8] = [
        (
            "no message",
            "HELLO\n\n",
            FROM,
            &[],
            "message.sip, line 1: the first line is no start line of SIP",
        ),
        (
            "a transport",
            INVITE,
            "sctp:203.0.113.7:1",
            &[],
            "`sctp` is none of udp, tcp, tls, ws, wss",
        ),
        (
            "an address",
            INVITE,
            "udp:203.0.113.7",
            &[],
            "`203.0.113.7` is no address with a port",
        ),
        (
            "which listener",
            INVITE,
            "udp:203.0.113.7:1",
            &[],
            "public 127.0.0.1:5060, second 127.0.0.1:5070",
        ),
        (
            "no such listener",
            INVITE,
            FROM,
            &["--listener", "privat"],
            "there are: public 127.0.0.1:5060",
        ),
        (
            "nobody speaks it",
            INVITE,
            "wss:203.0.113.7:1",
            &[],
            "no listener speaks wss",
        ),
        (
            "a group",
            INVITE,
            FROM,
            &["--dead", "registrar/1"],
            "there is no [group.registrar]; known: registrars",
        ),
        (
            "a member",
            INVITE,
            FROM,
            &["--dead", "registrars/3"],
            "[group.registrars] has 2 members, and none is called 3",
        ),
    ];
    for (why, message, from, more, want) in cases {
        let (is_well, text) = said(folder.path(), message, from, more).await;
        assert!(!is_well && text.contains(want), "{why}: {text}");
    }
}

#[tokio::test]
async fn a_fault_of_form_is_named_and_so_is_who_is_not_trusted() {
    let folder = Process::folder("explain").unwrap();
    let faulty = INVITE.replace("Max-Forwards: 70", "Max-Forwards 70");
    let (_, text) = said(folder.path(), &faulty, FROM, &[]).await;
    assert!(text.contains("a line that is no header"), "{text}");
    assert!(text.contains("it is answered 400"), "{text}");
    let stranger = ["--listener", "core"];
    let (_, text) = said(folder.path(), INVITE, "udp:203.0.113.7:1", &stranger).await;
    assert!(
        text.contains("203.0.113.7 is not on the `trust` of [listen.core]"),
        "{text}"
    );
    assert!(text.contains("nothing: who is not trusted"), "{text}");
}

#[tokio::test]
async fn with_bytes_nothing_but_the_message_is_written() {
    let folder = Process::folder("explain").unwrap();
    let out = folder.path().join("out.sip");
    let to = out.to_str().unwrap();
    let (is_well, text) = said(folder.path(), INVITE, FROM, &["--bytes", "--output", to]).await;
    assert!(is_well && text.is_empty(), "{text}");
    let message = std::fs::read_to_string(out).unwrap();
    assert!(
        message.starts_with("INVITE sip:911@example.com SIP/2.0\r\n"),
        "{message}"
    );
    assert!(message.ends_with("\r\n\r\n"), "{message}");
    assert!(!folder.path().join("data").exists(), "nothing is made");
}

#[tokio::test]
async fn the_listener_is_the_one_that_trusts_the_sender_and_that_is_said() {
    let folder = Process::folder("explain").unwrap();
    let (_, text) = said(folder.path(), INVITE, "udp:10.0.0.1:5060", &[]).await;
    assert!(
        text.contains("it came to [listen.core] 127.0.0.1:5080, by who its sender is"),
        "{text}"
    );
    let stranger = ["--listener", "core"];
    let (_, text) = said(folder.path(), INVITE, "udp:203.0.113.7:1", &stranger).await;
    assert!(!text.contains("by who its sender is"), "{text}");
    assert!(text.contains("(a stranger) to [listen.core]"), "{text}");
}

#[tokio::test]
async fn a_message_in_place_of_the_configuration_is_seen() {
    let folder = Process::folder("explain").unwrap();
    let file = folder.path().join("message.sip");
    std::fs::write(&file, INVITE).unwrap();
    let output = explain(file.clone(), &file, FROM).output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("the configuration comes first"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[tokio::test]
async fn what_rtpengine_would_be_told_is_said_in_its_own_words() {
    let folder = Process::folder("explain").unwrap();
    let sdp = "v=0\no=- 1 1 IN IP4 192.168.1.9\ns=-\nc=IN IP4 192.168.1.9\nt=0 0\nm=audio 4000 RTP/AVP 0\n";
    let length = sdp.len() + sdp.lines().count();
    let offer = INVITE.replace(
        "Content-Length: 0\n\n",
        &format!("Content-Type: application/sdp\nContent-Length: {length}\n\n{sdp}"),
    );
    let (_, text) = said(folder.path(), &offer, FROM, &[]).await;
    assert!(!text.contains("is told `offer`"), "there is none: {text}");
    let config = format!("{CONFIG}[media]\nrtpengine = \"127.0.0.1:2223\"\n");
    let config = config.replace("@FOLDER@", folder.path().to_str().unwrap());
    let file = folder.path().join("with-media.toml");
    std::fs::write(&file, config).unwrap();
    let message = folder.path().join("message.sip");
    let output = explain(file, &message, FROM).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for want in [
        "RTPEngine 127.0.0.1:2223 is told `offer` before it leaves",
        "call-id: c/u",
        "transport-protocol: RTP/AVP",
        "ICE: remove",
        "DTLS: off",
        "flags: SIP-source-address",
        "203.0.113.7",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
}
