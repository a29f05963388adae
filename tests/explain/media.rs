//! What RTPEngine would be told is what it is told.

use std::collections::HashMap;

use causeway_tests::gateway::Gateway;
use causeway_tests::{data, ports};
use rtpengine_client::Value;
use rtpengine_client::bencode::{self, Limits};
use tokio::net::UdpSocket;

use crate::stage::{SOON, explain};

/// An RTPEngine that takes every question and answers none.
async fn offer(engine: &UdpSocket) -> HashMap<String, Value> {
    let mut buffer = vec![0; 65536];
    loop {
        let receiving = engine.recv_from(&mut buffer);
        let (length, _) = tokio::time::timeout(SOON, receiving)
            .await
            .unwrap()
            .unwrap();
        let blank = buffer[..length]
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap();
        let asked: HashMap<String, Value> =
            bencode::decode(&buffer[blank + 1..length], &Limits::default()).unwrap();
        if asked["command"] == Value::Bytes(b"offer".to_vec()) {
            return asked;
        }
    }
}

/// As `explain` writes it.
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap().into(),
        Value::Int(number) => (*number).into(),
        Value::List(all) => all.iter().map(plain).collect(),
        Value::Dict(_) => panic!("no dictionary is sent"),
    }
}

#[tokio::test]
async fn rtpengine_is_told_what_explain_says() {
    let engine = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ng = engine.local_addr().unwrap();
    let [public, core] = [(); 2].map(|()| ports::free_address());
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[listen.public]\nudp = \"{public}\"\n\
         [listen.core]\nudp = \"{core}\"\ntrust = [\"127.0.0.9\"]\n[media]\nrtpengine = [\"{ng}\"]\n\
         [group.server]\nmembers = [\"sip:127.0.0.9\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:server\"\n"
    );
    let gateway = Gateway::start(&config).await.unwrap();
    let file = data::path("captured/chain/c1_early_media_183/001_caller_to_edge_INVITE.sip");
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let invite = std::fs::read(&file).unwrap();
    phone.send_to(&invite, public).await.unwrap();
    let asked = offer(&engine).await;

    let from = format!("udp:{}", phone.local_addr().unwrap());
    let output = explain(gateway.path().join("causeway.toml"), &file, &from)
        .args(["--json", "--listener", "public"])
        .output()
        .await
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = &report["rtpengine"][0];
    assert_eq!(told["command"], "offer", "{report:#}");
    assert_eq!(told["rtpengine"], ng.to_string());
    let keys = told["keys"].as_object().unwrap();
    for (key, value) in &asked {
        match &key[..] {
            "command" => {}
            "sdp" => {
                let Value::Bytes(sdp) = value else {
                    panic!("{value:?}")
                };
                assert_eq!(keys["sdp"], format!("({} bytes)", sdp.len()));
            }
            key => assert_eq!(keys[key], plain(value), "{key}"),
        }
    }
    println!("{} keys of the offer are alike", keys.len());
    assert_eq!(keys.len() + 1, asked.len(), "{keys:?}");
    assert!(keys.len() >= 8, "{keys:?}");
}
